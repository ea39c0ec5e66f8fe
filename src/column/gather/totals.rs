//! What a block knows of its events without their being read: series with their totals, and traces.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Gather;
use crate::column::Series;
use crate::column::batch::BatchSummary;
use crate::column::buffer::Values;
use crate::column::schema::{Field, Table};
use crate::event::{Signal, TraceId, is_error};
use crate::index::trace_hash;
use crate::time::Timestamp;

/// What a block knows of one of its series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesTotals {
    /// The series.
    pub series: Series,
    /// Its events in the block.
    pub events: u64,
    /// Those with status error or a severity of 17 or more.
    pub errors: u64,
    /// Time of the first of them.
    pub first: Timestamp,
    /// Time of the last of them.
    pub last: Timestamp,
    /// Bit k: a span of kind k is among them.
    pub kinds: u8,
}

/// The totals of a series while they are counted.
#[derive(Clone, Copy)]
struct Group {
    events: u64,
    errors: u64,
    first: i64,
    last: i64,
    kinds: u8,
}

const EMPTY_GROUP: Group =
    Group { events: 0, errors: 0, first: i64::MAX, last: i64::MIN, kinds: 0 };

impl Gather {
    /// Series, traces, and totals per series of what was gathered.
    #[must_use]
    pub fn summary(&self) -> (BatchSummary, Vec<SeriesTotals>) {
        let texts = |table, field| match self.find(table, field).map(|c| &c.values) {
            Some(Values::Texts(texts)) => Some(texts),
            _ => None,
        };
        let ints = |field| self.integers(Table::Events, field).unwrap_or_default();
        let (times, resources) = (ints(Field::Time).0, ints(Field::Resource).0);
        let (failed, kinds) = (self.failed(), self.span_kinds());
        let mut groups: HashMap<(u16, u16), Group, RandomState> = HashMap::default();
        if let (Some(sources), Some(types)) =
            (texts(Table::Resources, Field::Source), texts(Table::Events, Field::Type))
        {
            for (row, (&time, &resource)) in times.iter().zip(resources).enumerate() {
                let source = sources.codes.get(resource as usize).copied().unwrap_or(0);
                let event_type = types.codes.get(row).copied().unwrap_or(0);
                let group = groups.entry((source, event_type)).or_insert(EMPTY_GROUP);
                group.events += 1;
                group.errors += u64::from(failed.get(row).copied().unwrap_or(false));
                group.first = group.first.min(time);
                group.last = group.last.max(time);
                group.kinds |= kinds.get(row).copied().unwrap_or(0);
            }
        }
        let name = |table, field, code| {
            let text = texts(table, field).map(|t| t.entry(code)).unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        };
        let mut totals: Vec<SeriesTotals> = groups
            .into_iter()
            .map(|((source, event_type), group)| SeriesTotals {
                series: Series {
                    source: name(Table::Resources, Field::Source, source),
                    event_type: name(Table::Events, Field::Type, event_type),
                },
                events: group.events,
                errors: group.errors,
                first: Timestamp(group.first),
                last: Timestamp(group.last),
                kinds: group.kinds,
            })
            .collect();
        totals.sort_unstable_by(|a, b| a.series.cmp(&b.series));
        let series = totals.iter().map(|t| t.series.clone()).collect();
        let mut trace_hashes = self.links();
        if let Some(Values::Ids16(ids)) =
            self.find(Table::Events, Field::TraceId).map(|c| &c.values)
        {
            trace_hashes.extend(ids.entries.iter().map(|id| trace_hash(&TraceId(*id))));
        }
        trace_hashes.sort_unstable();
        trace_hashes.dedup();
        (BatchSummary { series, trace_hashes, expanded_bytes: self.expanded as u64 }, totals)
    }

    /// Of each event, whether its status or severity is an error.
    pub(super) fn failed(&self) -> Vec<bool> {
        let mut failed = vec![false; self.events()];
        let ints = |field| self.integers(Table::Events, field).unwrap_or_default();
        let mut note = |(values, rows): (&[i64], &[u16]), is_error: fn(i64) -> bool| {
            for (&value, &row) in values.iter().zip(rows) {
                if let Some(failed) = failed.get_mut(usize::from(row)) {
                    *failed |= is_error(value);
                }
            }
        };
        note(ints(Field::Status), |status| is_error(status, 0));
        note(ints(Field::SeverityNumber), |severity| is_error(0, severity));
        failed
    }

    /// Of each event, if it is a span, the bit of its kind.
    fn span_kinds(&self) -> Vec<u8> {
        let signals = self.integers(Table::Events, Field::Signal).unwrap_or_default().0;
        let span = Signal::Span as i64;
        let mut kinds: Vec<u8> = signals.iter().map(|&s| u8::from(s == span)).collect();
        let (values, rows) = self.integers(Table::Events, Field::Kind).unwrap_or_default();
        for (&kind, &row) in values.iter().zip(rows) {
            if let Some(bit) = kinds.get_mut(usize::from(row)).filter(|bit| **bit != 0) {
                *bit = 1 << kind.clamp(0, 7);
            }
        }
        kinds
    }
}

//! What sources and types there are, with totals. Kept per segment, so that a refresh reads only
//! the frames that came since the last one, and what retention took is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use crate::column::{Field, Kernels, Series, SeriesTotals, Table};
use crate::error::Result;
use crate::event::{Kind, Signal, is_error};
use crate::query::count::Packed;
use crate::query::decoded::Columns;
use crate::query::groups::Grouping;
use crate::query::guard::Guard;
use crate::query::source::{Segment, Source, damaged};
use crate::query::{By, Query, Totals};
use crate::segment::FrameEntry;
use crate::store::Snapshot;
use crate::time::Timestamp;

/// Totals per series, kept up to date by reading only what came since the last snapshot.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// By file: a compacted segment has the id of one that it stands for.
    segments: BTreeMap<String, SegmentTotals>,
    /// Next sequence and manifest version of the newest snapshot that was looked at.
    newest: (u64, u64),
    /// That snapshot was read to its end.
    complete: bool,
}

/// The totals of the first frames of a segment.
#[derive(Clone, Debug, Default)]
struct SegmentTotals {
    frames: usize,
    series: BTreeMap<Series, Known>,
}

/// What is known of a series of a segment.
#[derive(Clone, Copy, Debug)]
struct Known {
    totals: Totals,
    kinds: Kinds,
}

/// Which kinds the spans of a series are of; none if there is no span among its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// Whether no event is a span.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order of their codes.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        (0..8).filter(move |code| self.0 >> code & 1 == 1).filter_map(Kind::from_code)
    }

    fn insert(&mut self, code: i64) {
        self.0 |= 1 << code.clamp(0, 7);
    }
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.events += other.events;
        self.errors += other.errors;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl Known {
    fn of(totals: SeriesTotals) -> (Series, Known) {
        let SeriesTotals { series, events, errors, first, last, kinds } = totals;
        (series, Known { totals: Totals { events, errors, first, last }, kinds: Kinds(kinds) })
    }

    fn add(&mut self, other: &Known) {
        self.totals.add(&other.totals);
        self.kinds.0 |= other.kinds.0;
    }
}

impl Catalog {
    /// Reads what this snapshot has beyond the last one, and forgets segments that went. One that is
    /// older than the last changes nothing.
    pub fn refresh(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.refresh_within(snapshot, &Query { deadline_ms: u64::MAX, ..Query::default() })
    }

    /// As [`Catalog::refresh`], under the deadline and the cancel flag of a query. What was read
    /// until then is kept: the next refresh goes on from there.
    pub fn refresh_within(&mut self, snapshot: &Snapshot, query: &Query) -> Result<()> {
        self.refresh_from(&snapshot.source(), &Guard::new(query))
    }

    /// Whether the totals are those of this snapshot: nothing would be read.
    #[must_use]
    pub fn is_current(&self, snapshot: &Snapshot) -> bool {
        self.complete && self.newest == (snapshot.next_sequence(), snapshot.manifest_version())
    }

    pub(super) fn refresh_from<S: Segment>(
        &mut self,
        source: &Source<'_, S>,
        guard: &Guard,
    ) -> Result<()> {
        let newest = (source.next_sequence, source.manifest_version);
        if newest < self.newest {
            return Ok(());
        }
        (self.newest, self.complete) = (newest, false);
        self.segments.retain(|name, _| source.segments.iter().any(|s| s.file_name() == name));
        for segment in source.segments {
            let known = self.segments.entry(segment.file_name().to_owned()).or_default();
            if known.frames >= segment.frames_visible() {
                continue;
            }
            if let Some(totals) = segment.series_totals()? {
                guard.check(0)?;
                known.series = totals.into_iter().map(Known::of).collect();
                known.frames = segment.frames_visible();
                continue;
            }
            let directory = segment.directory()?;
            while known.frames < segment.frames_visible() {
                let Some(entry) = directory.frames.get(known.frames) else {
                    break;
                };
                guard.check(0)?;
                for (series, more) in read(segment, entry)? {
                    match known.series.get_mut(&series) {
                        Some(sum) => sum.add(&more),
                        None => {
                            known.series.insert(series, more);
                        }
                    }
                }
                known.frames += 1;
            }
        }
        self.complete = true;
        Ok(())
    }

    /// All sources with their totals, sorted.
    #[must_use]
    pub fn sources(&self) -> Vec<(String, Totals)> {
        let mut sources: BTreeMap<&str, Totals> = BTreeMap::new();
        for (series, known) in self.segments.values().flat_map(|s| &s.series) {
            let sum = sources.entry(&series.source);
            sum.and_modify(|sum| sum.add(&known.totals)).or_insert(known.totals);
        }
        sources.into_iter().map(|(name, totals)| (name.to_owned(), totals)).collect()
    }

    /// All types, of one source or of all, with their totals, sorted by (source, type).
    #[must_use]
    pub fn types(&self, source: Option<&str>) -> Vec<(Series, Totals)> {
        let mut types: BTreeMap<&Series, Totals> = BTreeMap::new();
        for (series, known) in self.segments.values().flat_map(|s| &s.series) {
            if source.is_none_or(|s| s == series.source) {
                let sum = types.entry(series);
                sum.and_modify(|sum| sum.add(&known.totals)).or_insert(known.totals);
            }
        }
        types.into_iter().map(|(series, totals)| (series.clone(), totals)).collect()
    }

    /// The series that have spans, of one source or of all, with the kinds of these spans, sorted by
    /// (source, type).
    #[must_use]
    pub fn operations(&self, source: Option<&str>) -> Vec<(Series, Kinds)> {
        let mut operations: BTreeMap<&Series, Kinds> = BTreeMap::new();
        for (series, known) in self.segments.values().flat_map(|s| &s.series) {
            if !known.kinds.is_empty() && source.is_none_or(|s| s == series.source) {
                operations.entry(series).or_default().0 |= known.kinds.0;
            }
        }
        operations.into_iter().map(|(series, kinds)| (series.clone(), kinds)).collect()
    }

    /// The sources that have spans, sorted.
    #[must_use]
    pub fn services(&self) -> Vec<String> {
        let series = self.segments.values().flat_map(|s| &s.series);
        let services = series.filter(|(_, known)| !known.kinds.is_empty());
        let services: BTreeSet<&str> = services.map(|(s, _)| s.source.as_str()).collect();
        services.into_iter().map(str::to_owned).collect()
    }
}

fn read(segment: &impl Segment, entry: &FrameEntry) -> Result<Vec<(Series, Known)>> {
    let (header, view) = segment.read(entry)?;
    let mut columns = Columns::new(&header, &view, Kernels::default());
    totals(&mut columns).map_err(|error| damaged(error, segment, entry))
}

/// What a frame says of its series.
fn totals(columns: &mut Columns<'_>) -> Result<Vec<(Series, Known)>> {
    let grouping = Grouping::new(columns, By { source: true, event_type: true, minute: false })?;
    let times = columns.every_int(Table::Events, Field::Time)?;
    let status = columns.field_ints(Table::Events, Field::Status)?;
    let severity = columns.field_ints(Table::Events, Field::SeverityNumber)?;
    let signals = columns.every_int(Table::Events, Field::Signal)?;
    let kinds = columns.field_ints(Table::Events, Field::Kind)?;
    let mut groups: Packed<Known> = Packed::default();
    for (row, time) in times.values.iter().enumerate() {
        let value = |ints: &Option<std::rc::Rc<crate::column::Ints>>| {
            ints.as_ref().and_then(|i| i.values.get(row)).copied().unwrap_or(0)
        };
        let error = is_error(value(&status), value(&severity));
        let time = Timestamp(*time);
        let totals = Totals { events: 1, errors: u64::from(error), first: time, last: time };
        let mut one = Known { totals, kinds: Kinds::default() };
        if signals.values.get(row) == Some(&(Signal::Span as i64)) {
            one.kinds.insert(value(&kinds));
        }
        groups.entry(grouping.key(row)).and_modify(|sum| sum.add(&one)).or_insert(one);
    }
    let named = |(key, known): (u64, Known)| {
        let names = grouping.names(key)?;
        let text = |name: Option<&str>| name.unwrap_or_default().to_owned();
        Ok((Series { source: text(names.source), event_type: text(names.event_type) }, known))
    };
    groups.into_iter().map(named).collect()
}

//! Which services call which: spans joined with their parents, inside each trace.
//!
//! 1. Spans are taken by a hash of (trace, span id), those with a parent also by the parent's; both
//!    lists hold no more than a hash and the number of the service.
//! 2. The list of spans is sorted; each child is looked up in it. Where a span id repeats inside a
//!    trace, the first that was stored counts.
//! 3. If there are more spans than may be joined at a time, the traces are divided by their hash and
//!    the frames are read once per part: memory stays bounded, and a trace is never torn.

use std::collections::{BTreeMap, HashMap};

use crate::column::{Field, Table};
use crate::error::{Error, Result};
use crate::event::{Signal, TraceId};
use crate::index::trace_hash;
use crate::limits;
use crate::query::decoded::Columns;
use crate::query::evaluate::referred;
use crate::query::guard::Guard;
use crate::query::plan::plan;
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::query::{Scanned, ids, scan};
use crate::store::Snapshot;

/// Calls from one service to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependency {
    /// The source of the spans that called.
    pub parent: String,
    /// The source of the spans that were called.
    pub child: String,
    /// Spans of the child whose parent is a span of the parent.
    pub calls: u64,
}

/// Dependencies, sorted by parent and child, and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Dependencies {
    /// The dependencies.
    pub dependencies: Vec<Dependency>,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

impl Snapshot {
    /// Which services call which, from the spans that the query admits: a call counts if both its
    /// ends are among them. Calls of a service to itself are not counted. Limit, order and cursor
    /// of the query mean nothing here.
    pub fn dependencies(&self, query: &Query) -> Result<Dependencies> {
        dependencies(&self.source(), query, limits::JOINED_SPANS_MAX as u64)
    }
}

pub(super) fn dependencies<S: Segment>(
    source: &Source<'_, S>,
    query: &Query,
    joined_max: u64,
) -> Result<Dependencies> {
    let has_spans = query.signal.is_none_or(|signal| signal == Signal::Span);
    let query = Query { cursor: None, signal: Some(Signal::Span), ..query.clone() };
    let mut guard = Guard::new(&query);
    let mut plan = plan(source, &query, &mut guard)?;
    if !has_spans {
        guard.scanned.frames_pruned += plan.frames.len() as u64;
        plan.frames.clear();
    }
    let entries = plan.frames.iter().filter_map(|frame| plan.entry(frame));
    let events: u64 = entries.map(|(_, entry)| u64::from(entry.events)).sum();
    let parts = events.div_ceil(joined_max.max(1)).max(1);
    let mut services = Services::default();
    let mut calls: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for part in 0..parts {
        let mut join = Join { part, parts, ..Join::default() };
        for frame in &plan.frames {
            let add = |columns: &mut Columns<'_>, rows: &Selection| {
                join.add(columns, rows, &mut services)
            };
            scan::frame(&plan, frame, &mut guard, add)?;
        }
        join.count(&mut calls);
    }
    let name = |number: &u32| services.names.get(*number as usize).cloned().unwrap_or_default();
    let dependency = |((parent, child), calls): (&(u32, u32), &u64)| Dependency {
        parent: name(parent),
        child: name(child),
        calls: *calls,
    };
    let mut dependencies: Vec<Dependency> = calls.iter().map(dependency).collect();
    dependencies.sort_unstable();
    Ok(Dependencies { dependencies, scanned: guard.scanned, damage: guard.damage })
}

/// The sources, numbered in order of first appearance.
#[derive(Default)]
struct Services {
    numbers: HashMap<String, u32>,
    names: Vec<String>,
}

impl Services {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }
}

/// One part of the traces.
#[derive(Default)]
struct Join {
    part: u64,
    parts: u64,
    /// Hash and service of each span.
    spans: Vec<(u64, u32)>,
    /// Hash of the parent, and the service of the child.
    children: Vec<(u64, u32)>,
}

impl Join {
    /// Adds the spans of a frame; nothing of it if it is damaged.
    fn add(
        &mut self,
        columns: &mut Columns<'_>,
        rows: &Selection,
        services: &mut Services,
    ) -> Result<()> {
        let (Some(traces), Some(spans)) = (ids::traces(columns)?, ids::spans(columns)?) else {
            return Ok(());
        };
        let parents = ids::parents(columns)?;
        let resources = columns.every_int(Table::Events, Field::Resource)?;
        let Some(sources) = columns.field_texts(Table::Resources, Field::Source)? else {
            return Err(Error::corrupt("the frame has no column of sources"));
        };
        let text = |row| sources.row(row).and_then(|t| std::str::from_utf8(t).ok());
        let numbers: Vec<u32> = (0..columns.view.rows(Table::Resources))
            .map(|row| services.number(text(row).unwrap_or_default()))
            .collect();
        let hashes: Vec<u64> = traces.values.iter().map(|id| trace_hash(&TraceId(*id))).collect();
        for row in rows.iter() {
            let code = traces.codes.get(row).copied().unwrap_or(u32::MAX) as usize;
            let (Some(trace), Some(hash)) = (traces.values.get(code), hashes.get(code)) else {
                continue;
            };
            let service = referred(&resources, row).and_then(|r| numbers.get(r)).copied();
            let (Some(service), true) = (service, hash % self.parts == self.part) else {
                continue;
            };
            if let Some(span) = spans.row(row) {
                self.spans.push((span_hash(trace, &span), service));
            }
            if let Some(parent) = parents.as_ref().and_then(|parents| parents.row(row)) {
                self.children.push((span_hash(trace, &parent), service));
            }
        }
        Ok(())
    }

    /// Looks each child's parent up.
    fn count(mut self, calls: &mut BTreeMap<(u32, u32), u64>) {
        // Stable: of spans with the same id the first stays first.
        self.spans.sort_by_key(|(hash, _)| *hash);
        self.children.sort_unstable();
        let mut spans = self.spans.iter().peekable();
        for (hash, child) in &self.children {
            while spans.next_if(|(span, _)| span < hash).is_some() {}
            match spans.peek() {
                Some((span, parent)) if span == hash && parent != child => {
                    *calls.entry((*parent, *child)).or_default() += 1;
                }
                _ => {}
            }
        }
    }
}

/// What stands for a span of a trace (XXH3, 64 bits): two of a million spans meet by chance once in
/// 30 million stores.
fn span_hash(trace: &[u8; 16], span: &[u8; 8]) -> u64 {
    let mut bytes = [0; 24];
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(trace);
    tail.copy_from_slice(span);
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Event, SpanId};
    use crate::storage::MemoryStorage;
    use crate::time::{SystemClock, Timestamp};
    use crate::{BatchBuilder, Options, Store};

    #[test]
    fn joined_part_by_part_the_calls_are_the_same() {
        let storage = Arc::new(MemoryStorage::new());
        let (store, _) =
            Store::open_with(storage, Arc::new(SystemClock::new()), Options::new("unused"))
                .unwrap();
        for number in 0..20u8 {
            // Children first, as they end first.
            let mut builder = BatchBuilder::new();
            for depth in (1..=5u8).rev() {
                let event = Event {
                    time: Timestamp(number.into()),
                    signal: Signal::Span,
                    source: ["a", "b", "b", "c", "d"][usize::from(depth) - 1].to_owned(),
                    trace_id: Some(TraceId([number + 1; 16])),
                    span_id: Some(SpanId([depth; 8])),
                    parent_span_id: (depth > 1).then(|| SpanId([depth - 1; 8])),
                    ..Event::default()
                };
                builder.push(&event).unwrap();
            }
            store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
        }
        let snapshot = store.snapshot();
        let query = Query::default();
        let ask = |max| dependencies(&snapshot.source(), &query, max).unwrap();
        let whole = ask(u64::MAX);
        let names: Vec<_> =
            whole.dependencies.iter().map(|d| (&*d.parent, &*d.child, d.calls)).collect();
        assert_eq!(names, [("a", "b", 20), ("b", "c", 20), ("c", "d", 20)]);
        for max in [0, 7, 50] {
            let parts = ask(max);
            assert_eq!(parts.dependencies, whole.dependencies);
            assert!(parts.scanned.events_read > whole.scanned.events_read);
        }
    }
}

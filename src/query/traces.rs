//! All events of several traces in one pass: a frame is read at most once for all of them.
//!
//! 1. The plan prunes by the trace filters: a frame is left out if no id asked for may be in it.
//! 2. Of a frame that is left the ids are looked up once per distinct trace, before anything else.
//! 3. Only rows that belong to a trace asked for become events; each trace is then sorted (QRY-1).

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::column::{Field, Table};
use crate::error::{Error, Result};
use crate::event::{Event, TraceId};
use crate::query::ast::{Expr, Intrinsic, Operator, Reference};
use crate::query::decoded::Columns;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::predicate::{self, Predicate};
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::size::event_bytes;
use crate::query::source::{Segment, Source, damaged};
use crate::query::{Scanned, evaluate, scan};
use crate::store::Snapshot;

/// Events by trace, and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// For each id asked for, its events by (time, sequence) (QRY-1); none if it is not stored.
    pub traces: Vec<Vec<Event>>,
    /// There are more events, but the limit of bytes was reached.
    pub truncated: bool,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

/// Events made at a time: how much more than the limit of bytes may be held.
const PORTION: usize = 8_192;

/// Where the events of each trace go.
type Places = hashbrown::HashMap<[u8; 16], u32, foldhash::fast::RandomState>;

impl Snapshot {
    /// The events of these traces that the query admits: `Query::default()` admits all of them.
    /// Its limit, order and cursor mean nothing here.
    pub fn traces(&self, ids: &[TraceId], query: &Query) -> Result<Traces> {
        traces(&self.source(), ids, query)
    }
}

pub(super) fn traces<S: Segment>(
    source: &Source<'_, S>,
    ids: &[TraceId],
    query: &Query,
) -> Result<Traces> {
    let mut places = Places::default();
    for id in ids {
        let next = places.len() as u32;
        places.entry(id.0).or_insert(next);
    }
    let query = Query { cursor: None, ..query.clone() };
    let mut guard = Guard::new(&query);
    let mut plan = plan(source, &query.clone().and(any_of(ids)), &mut guard)?;
    // The ids have pruned; which rows are theirs is looked up faster than evaluated, and what else
    // is asked is then evaluated for these rows alone.
    plan.predicate = Predicate::Constant(true);
    let predicate = predicate::compile(&query)?;
    let (bytes, bytes_max) = (AtomicUsize::new(0), query.bytes_max);
    let wanted = Wanted { places: &places, predicate: &predicate, bytes: &bytes, bytes_max };
    let new = || Gathered { found: places.iter().map(|_| Vec::new()).collect() };
    let add = |gathered: &mut Gathered, frame: &PlannedFrame, guard: &mut Guard| {
        if wanted.is_full() {
            return Ok(());
        }
        gathered.add_frame(&plan, frame, &wanted, guard)
    };
    let mut sums = fold(source.workers, &plan.frames, &mut guard, new, add)?.into_iter();
    let mut gathered = sums.next().unwrap_or_else(new);
    sums.for_each(|sum| gathered.join(sum));
    let truncated = wanted.is_full();
    let mut found = gathered.found;
    found.iter_mut().for_each(|events| events.sort_by_key(|e| (e.time, e.sequence)));
    let traces = in_order(ids, &places, found);
    Ok(Traces { traces, truncated, scanned: guard.scanned, damage: guard.damage })
}

/// What the filters of frames prune by.
fn any_of(ids: &[TraceId]) -> Expr {
    let trace = |id: &TraceId| {
        let reference = Reference::Intrinsic(Intrinsic::TraceId);
        Expr::compare(reference, Operator::Equal, id.to_string())
    };
    Expr::Any(ids.iter().map(trace).collect())
}

/// The events that one thread has found, by the places of their traces.
struct Gathered {
    found: Vec<Vec<Event>>,
}

impl Gathered {
    /// Takes over what another thread has found.
    fn join(&mut self, other: Gathered) {
        for (trace, mut events) in self.found.iter_mut().zip(other.found) {
            trace.append(&mut events);
        }
    }

    /// Adds the events of a frame that are asked for.
    fn add_frame<S: Segment>(
        &mut self,
        plan: &Plan<'_, S>,
        frame: &PlannedFrame,
        wanted: &Wanted<'_>,
        guard: &mut Guard,
    ) -> Result<()> {
        let matched = guard.scanned.events_matched;
        let read = scan::frame(plan, frame, guard, |columns, rows| wanted.rows(columns, rows))?;
        guard.scanned.events_matched = matched;
        let (Some((header, view, rows)), Some((segment, entry))) = (read, plan.entry(frame)) else {
            return Ok(());
        };
        for portion in rows.chunks(PORTION) {
            let chosen: Vec<u32> = portion.iter().map(|(row, _)| *row).collect();
            let events = view.materialise(&header, &chosen);
            let events = guard.tolerate(events.map_err(|error| damaged(error, segment, entry)))?;
            let events = events.unwrap_or_default();
            guard.scanned.events_matched += events.len() as u64;
            for ((_, place), event) in portion.iter().zip(events) {
                if !wanted.take(event_bytes(&event)) {
                    return Ok(());
                }
                if let Some(trace) = self.found.get_mut(*place as usize) {
                    trace.push(event);
                }
            }
        }
        Ok(())
    }
}

/// What is looked for in a frame.
struct Wanted<'q> {
    places: &'q Places,
    predicate: &'q Predicate,
    /// Of the events that all threads have found together.
    bytes: &'q AtomicUsize,
    bytes_max: usize,
}

impl Wanted<'_> {
    /// More was found than may be given.
    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }

    /// Whether there is room for one more event of so many bytes.
    fn take(&self, bytes: usize) -> bool {
        let add = |sum: usize| Some(sum.saturating_add(bytes));
        let before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        before.unwrap_or(usize::MAX).saturating_add(bytes) <= self.bytes_max
    }

    /// The rows that belong to a trace asked for, ascending, each with the place of its trace.
    fn rows(&self, columns: &mut Columns<'_>, rows: &Selection) -> Result<Vec<(u32, u32)>> {
        let Some(column) = columns.view.find(Table::Events, Field::TraceId) else {
            return Ok(Vec::new());
        };
        let mut found = columns.view.rows_of_ids(column, |id| self.places.get(id).copied())?;
        let mut own = Selection::none(rows.rows());
        found.iter().for_each(|(row, _)| own.insert(*row as usize));
        own.and(rows);
        let chosen = evaluate::select(columns, self.predicate, &own)?;
        found.retain(|(row, _)| chosen.contains(*row as usize));
        Ok(found)
    }
}

/// One list for each id, also where an id is asked for twice.
fn in_order(ids: &[TraceId], places: &Places, mut found: Vec<Vec<Event>>) -> Vec<Vec<Event>> {
    let mut given: Vec<Option<usize>> = vec![None; found.len()];
    let mut traces: Vec<Vec<Event>> = Vec::with_capacity(ids.len());
    for (at, id) in ids.iter().enumerate() {
        let place = places.get(&id.0).map_or(usize::MAX, |place| *place as usize);
        let events = match given.get_mut(place) {
            Some(Some(earlier)) => traces.get(*earlier).cloned(),
            Some(first) => {
                *first = Some(at);
                found.get_mut(place).map(std::mem::take)
            }
            None => None,
        };
        traces.push(events.unwrap_or_default());
    }
    traces
}

//! All events of several traces in one pass: a frame is read at most once for all of them.
//!
//! 1. The plan prunes by the trace filters: a frame is left out if no id asked for may be in it.
//! 2. Of a frame that is left the ids are looked up once per distinct trace, before anything else.
//! 3. What must be decompressed for the rows that belong to a trace asked for is decompressed on all
//!    threads that are idle, column by column: mostly there is one frame, and that is most of the
//!    work.
//! 4. These rows are read where they stand; each trace is then sorted (QRY-1).

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::column::{BatchView, EventRow, Field, Rows, Table};
use crate::error::{Error, Result};
use crate::event::{Event, TraceId};
use crate::format::frame::FrameHeader;
use crate::query::ast::{Expr, Intrinsic, Operator, Reference};
use crate::query::decoded::Columns;
use crate::query::fold::{fold, map};
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::predicate::{self, Predicate};
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::size::row_bytes;
use crate::query::source::{Segment, Source, damaged};
use crate::query::{Scanned, evaluate, scan};
use crate::store::Snapshot;

/// Events by trace, and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Traces<E = Event> {
    /// For each id asked for, its events by (time, sequence) (QRY-1); none if it is not stored.
    pub traces: Vec<Vec<E>>,
    /// There are more events, but the limit of bytes was reached.
    pub truncated: bool,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

/// Events made at a time: how much more than the limit of bytes may be held.
const PORTION: usize = 8_192;
/// Bytes of frames, decompressed, that are held until the answer is given; of the frames beyond, the
/// events are copied.
const HELD_BYTES_MAX: usize = 64 << 20;
/// Fewer bytes to decompress than this are not worth waking anybody for.
const SHARED_BYTES_MIN: usize = 64 << 10;

/// Where the events of each trace go.
type Places = hashbrown::HashMap<[u8; 16], u32, foldhash::fast::RandomState>;
/// A row of a frame, and the place of its trace.
type Placed = (u32, u32);

impl Snapshot {
    /// The events of these traces that the query admits: `Query::default()` admits all of them.
    /// Its limit, order and cursor mean nothing here.
    pub fn traces(&self, ids: &[TraceId], query: &Query) -> Result<Traces> {
        traces(&self.source(), ids, query, |found| found.into())
    }

    /// As [`Snapshot::traces`], but the events are read where they stand: for who writes them on
    /// without keeping them.
    pub fn with_traces<T>(
        &self,
        ids: &[TraceId],
        query: &Query,
        with: impl FnOnce(Traces<EventRow<'_>>) -> T,
    ) -> Result<T> {
        traces(&self.source(), ids, query, with)
    }
}

impl From<Traces<EventRow<'_>>> for Traces {
    fn from(found: Traces<EventRow<'_>>) -> Traces {
        let whole = |rows: Vec<EventRow<'_>>| rows.iter().map(EventRow::to_event).collect();
        let Traces { traces, truncated, scanned, damage } = found;
        Traces { traces: traces.into_iter().map(whole).collect(), truncated, scanned, damage }
    }
}

pub(super) fn traces<S: Segment, T>(
    source: &Source<'_, S>,
    ids: &[TraceId],
    query: &Query,
    with: impl FnOnce(Traces<EventRow<'_>>) -> T,
) -> Result<T> {
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
    let budget = Budget { bytes: AtomicUsize::new(0), bytes_max: query.bytes_max };
    let held_bytes = AtomicUsize::new(0);
    let search = Search { plan: &plan, places: &places, predicate: &predicate, budget, held_bytes };
    let matched = guard.scanned.events_matched;
    let found = map(source.workers, &plan.frames, &mut guard, |f, g| search.frame(f, g))?;
    guard.scanned.events_matched = matched;
    let found: Vec<Found> = found.into_iter().flatten().collect();
    open_columns(source, &found, &mut guard)?;
    let portions: Vec<Portion<'_>> = found.iter().flat_map(Found::portions).collect();
    let read = map(source.workers, &portions, &mut guard, |p, g| search.read(p, g))?;
    let mut gathered: Vec<Vec<EventRow<'_>>> = places.iter().map(|_| Vec::new()).collect();
    for (portion, read) in portions.iter().zip(&read) {
        for ((_, place), row) in portion.rows.iter().zip(read.rows.iter()).take(read.admitted) {
            guard.scanned.events_matched += 1;
            if let Some(trace) = gathered.get_mut(*place as usize) {
                trace.push(row);
            }
        }
    }
    gathered.iter_mut().for_each(|rows| rows.sort_by_key(|r| (r.event.time, r.event.sequence)));
    let traces = in_order(ids, &places, gathered);
    let truncated = search.budget.is_spent();
    Ok(with(Traces { traces, truncated, scanned: guard.scanned, damage: guard.damage }))
}

/// What the filters of frames prune by.
fn any_of(ids: &[TraceId]) -> Expr {
    let trace = |id: &TraceId| {
        let reference = Reference::Intrinsic(Intrinsic::TraceId);
        Expr::compare(reference, Operator::Equal, id.to_string())
    };
    Expr::Any(ids.iter().map(trace).collect())
}

/// What is looked for, and where.
struct Search<'s, 'p, S> {
    plan: &'s Plan<'p, S>,
    places: &'s Places,
    /// What the rows of a trace must be beside.
    predicate: &'s Predicate,
    budget: Budget,
    /// Bytes of the frames that are held until the answer is given.
    held_bytes: AtomicUsize,
}

/// Rows of a frame that are asked for.
struct Found<'s> {
    frame: &'s PlannedFrame,
    rows: Vec<Placed>,
    kept: Kept,
}

/// What rows are read from.
enum Kept {
    /// The frame itself.
    Frame(FrameHeader, Arc<BatchView>),
    /// Their events, which count already: there was no room for the frame.
    Events(Vec<Event>),
}

/// Some of a frame's rows.
struct Portion<'f> {
    found: &'f Found<'f>,
    rows: &'f [Placed],
}

/// The events of a portion, the first of which the budget admits.
#[derive(Default)]
struct Read<'f> {
    rows: Rows<'f>,
    admitted: usize,
}

impl Found<'_> {
    fn portions(&self) -> impl Iterator<Item = Portion<'_>> {
        let length = match &self.kept {
            Kept::Frame(..) => PORTION,
            Kept::Events(events) => events.len().max(1),
        };
        self.rows.chunks(length).map(|rows| Portion { found: self, rows })
    }
}

impl<S: Segment> Search<'_, '_, S> {
    /// The rows of a frame that are asked for; `None` if there are none.
    fn frame<'f>(&self, frame: &'f PlannedFrame, guard: &mut Guard) -> Result<Option<Found<'f>>> {
        if self.budget.is_spent() {
            return Ok(None);
        }
        let read = scan::frame(self.plan, frame, guard, |columns, rows| self.rows(columns, rows))?;
        let Some((header, view, rows)) = read.filter(|(_, _, rows)| !rows.is_empty()) else {
            return Ok(None);
        };
        let bytes = view.raw_bytes();
        let held = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let found = Found { frame, rows, kept: Kept::Frame(header, view) };
        if held + bytes <= HELD_BYTES_MAX {
            return Ok(Some(found));
        }
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let (mut rows, mut events) = (Vec::new(), Vec::new());
        for portion in found.portions() {
            let read = self.read(&portion, guard)?;
            rows.extend(portion.rows.iter().take(read.admitted));
            events.extend(read.rows.into_events().into_iter().take(read.admitted));
        }
        Ok(Some(Found { frame, rows, kept: Kept::Events(events) }))
    }

    /// The events of a portion.
    fn read<'f>(&self, portion: &Portion<'f>, guard: &mut Guard) -> Result<Read<'f>> {
        guard.check(0)?;
        let (header, view) = match &portion.found.kept {
            Kept::Events(events) => {
                return Ok(Read { rows: Rows::of(events), admitted: events.len() });
            }
            Kept::Frame(header, view) => (header, view),
        };
        let Some((segment, entry)) = self.plan.entry(portion.found.frame) else {
            return Ok(Read::default());
        };
        if self.budget.is_spent() {
            return Ok(Read::default());
        }
        let chosen: Vec<u32> = portion.rows.iter().map(|(row, _)| *row).collect();
        let rows = view.event_rows(header, &chosen);
        let rows = guard.tolerate(rows.map_err(|error| damaged(error, segment, entry)))?;
        let rows = rows.unwrap_or_default();
        let admitted = rows.iter().take_while(|row| self.budget.take(row_bytes(row))).count();
        Ok(Read { rows, admitted })
    }

    /// The rows that belong to a trace asked for, ascending, each with the place of its trace.
    fn rows(&self, columns: &mut Columns<'_>, rows: &Selection) -> Result<Vec<Placed>> {
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

/// How much may be answered; all threads of a query spend it together.
struct Budget {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// More was found than may be given.
    fn is_spent(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.bytes_max
    }

    /// Whether there is room for one more event of so many bytes.
    fn take(&self, bytes: usize) -> bool {
        let add = |sum: usize| Some(sum.saturating_add(bytes));
        let before = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        before.unwrap_or(usize::MAX).saturating_add(bytes) <= self.bytes_max
    }
}

/// Decompresses what the rows found have values in, the largest column first.
fn open_columns<S>(source: &Source<'_, S>, found: &[Found<'_>], guard: &mut Guard) -> Result<()> {
    let mut columns = Vec::new();
    for found in found {
        if let Kept::Frame(_, view) = &found.kept {
            let rows: Vec<u32> = found.rows.iter().map(|(row, _)| *row).collect();
            let unopened = view.unopened(&rows);
            columns.extend(unopened.into_iter().map(|(column, bytes)| (bytes, view, column)));
        }
    }
    if columns.iter().map(|(bytes, ..)| bytes).sum::<usize>() < SHARED_BYTES_MIN {
        return Ok(());
    }
    columns.sort_unstable_by_key(|(bytes, ..)| Reverse(*bytes));
    let open =
        |(): &mut (), (_, view, column): &(usize, &Arc<BatchView>, usize), guard: &mut Guard| {
            guard.check(0)?;
            view.open_column(*column);
            Ok(())
        };
    fold(source.workers, &columns, guard, || (), open).map(drop)
}

/// One list for each id, also where an id is asked for twice.
fn in_order<'r>(
    ids: &[TraceId],
    places: &Places,
    mut found: Vec<Vec<EventRow<'r>>>,
) -> Vec<Vec<EventRow<'r>>> {
    let mut given: Vec<Option<usize>> = vec![None; found.len()];
    let mut traces: Vec<Vec<EventRow<'r>>> = Vec::with_capacity(ids.len());
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

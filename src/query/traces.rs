//! All events of several traces in one pass: a frame is read at most once for all of them.
//!
//! 1. The plan prunes by the trace filters: a frame is left out if no id asked for may be in it.
//! 2. Of a frame that is left the ids are looked up once per distinct trace, before anything else.
//! 3. What must be decompressed for the events that belong to a trace asked for is decompressed on
//!    all threads that are idle, column by column: mostly there is one frame, and that is most of
//!    the work.
//! 4. These events are read where they stand; each trace is then sorted (QRY-1).
//!
//! Frames are held until the answer is given, so they are read in waves, in the order of the plan.
//! Mostly there is one wave. Of those before the last the events are copied, and where no more bytes
//! may be given there is no next one: what is cut off is the end.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::column::{BatchView, EventView, EventViews, Field, Table};
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
use crate::query::size::{FIXED_BYTES, view_bytes};
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
/// Fewer bytes to decompress than this are not worth waking anybody for.
const SHARED_BYTES_MIN: usize = 64 << 10;

/// What a wave may hold.
#[derive(Clone, Copy, Debug)]
struct Wave {
    frames_max: usize,
    /// Of its frames as they are stored; decompressed they take several times as many.
    bytes_max: usize,
}

const WAVE: Wave = Wave { frames_max: 1_024, bytes_max: 16 << 20 };

/// Where the events of each trace go.
type Places = hashbrown::HashMap<[u8; 16], u32, foldhash::fast::RandomState>;
/// A row of a frame, and the place of its trace.
type Placed = (u32, u32);

impl Snapshot {
    /// The events of these traces that the query admits: `Query::default()` admits all of them.
    /// Its limit, order and cursor mean nothing here. While they are copied they are held twice.
    pub fn traces(&self, ids: &[TraceId], query: &Query) -> Result<Traces> {
        traces(&self.source(), ids, query, WAVE, |found| found.into())
    }

    /// As [`Snapshot::traces`], but the events are read where they stand: for who writes them on
    /// without keeping them.
    pub fn with_traces<T>(
        &self,
        ids: &[TraceId],
        query: &Query,
        with: impl FnOnce(Traces<EventView<'_>>) -> T,
    ) -> Result<T> {
        traces(&self.source(), ids, query, WAVE, with)
    }
}

impl From<Traces<EventView<'_>>> for Traces {
    fn from(found: Traces<EventView<'_>>) -> Traces {
        let whole = |views: Vec<EventView<'_>>| views.iter().map(EventView::to_event).collect();
        let Traces { traces, truncated, scanned, damage } = found;
        Traces { traces: traces.into_iter().map(whole).collect(), truncated, scanned, damage }
    }
}

fn traces<S: Segment, T>(
    source: &Source<'_, S>,
    ids: &[TraceId],
    query: &Query,
    wave: Wave,
    with: impl FnOnce(Traces<EventView<'_>>) -> T,
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
    let search = Search { plan: &plan, places: &places, predicate: &predicate, source };
    let mut budget = Budget { bytes: 0, bytes_max: query.bytes_max };
    let mut waves = search.waves(wave);
    let last = waves.pop().unwrap_or_default();
    let mut copied = Copied::default();
    for frames in waves {
        let found = search.find(frames, &budget, &mut guard)?;
        for read in search.read(&found, &mut budget, &mut guard)? {
            copied.places.extend(read.places.iter().take(read.admitted).map(|(_, place)| *place));
            copied.events.extend(read.views.into_events().into_iter().take(read.admitted));
        }
    }
    let found = search.find(last, &budget, &mut guard)?;
    let read = search.read(&found, &mut budget, &mut guard)?;
    let before = EventViews::of(&copied.events);
    let before = copied.places.iter().copied().zip(before.iter());
    let read = read.iter().flat_map(|read| {
        let placed = read.places.iter().map(|(_, place)| *place).zip(read.views.iter());
        placed.take(read.admitted)
    });
    let mut gathered: Vec<Vec<EventView<'_>>> = places.iter().map(|_| Vec::new()).collect();
    for (place, view) in before.chain(read) {
        guard.scanned.events_matched += 1;
        if let Some(trace) = gathered.get_mut(place as usize) {
            trace.push(view);
        }
    }
    gathered.iter_mut().for_each(|views| views.sort_by_key(|v| (v.event.time, v.event.sequence)));
    let traces = in_order(ids, &places, gathered);
    let truncated = budget.is_spent();
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
    source: &'s Source<'p, S>,
    plan: &'s Plan<'p, S>,
    places: &'s Places,
    /// What the rows of a trace must be beside.
    predicate: &'s Predicate,
}

/// Rows of a frame that are asked for.
struct Found<'s> {
    frame: &'s PlannedFrame,
    header: FrameHeader,
    view: Arc<BatchView>,
    rows: Vec<Placed>,
}

/// Some of them, and their events.
struct Read<'f> {
    places: &'f [Placed],
    views: EventViews<'f>,
    /// What each weighs in an answer.
    bytes: Vec<usize>,
    /// So many of the first may be given.
    admitted: usize,
}

/// Events of frames that are held no longer, each with the place of its trace.
#[derive(Default)]
struct Copied {
    places: Vec<u32>,
    events: Vec<Event>,
}

impl<S: Segment> Search<'_, '_, S> {
    /// The frames of the plan, in its order.
    fn waves(&self, wave: Wave) -> Vec<&[PlannedFrame]> {
        let (mut waves, mut rest) = (Vec::new(), self.plan.frames.as_slice());
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = |frame: &&PlannedFrame| {
                bytes += self.plan.entry(frame).map_or(0, |(_, e)| e.stored_length as usize);
                bytes <= wave.bytes_max
            };
            let length = rest.iter().take(wave.frames_max).take_while(fits).count().max(1);
            let (frames, behind) = rest.split_at(length.min(rest.len()));
            waves.push(frames);
            rest = behind;
        }
        waves
    }

    /// The rows that are asked for, of frames that have some; none where nothing more may be given.
    fn find<'f>(
        &self,
        frames: &'f [PlannedFrame],
        budget: &Budget,
        guard: &mut Guard,
    ) -> Result<Vec<Found<'f>>> {
        if budget.is_spent() {
            return Ok(Vec::new());
        }
        let matched = guard.scanned.events_matched;
        let look = |frame: &'f PlannedFrame, guard: &mut Guard| {
            let rows = |columns: &mut Columns<'_>, rows: &Selection| self.rows(columns, rows);
            let found = scan::frame(self.plan, frame, guard, rows)?;
            let found = found.filter(|(_, _, rows)| !rows.is_empty());
            Ok(found.map(|(header, view, rows)| Found { frame, header, view, rows }))
        };
        let found = map(self.source.workers, frames, guard, look)?;
        guard.scanned.events_matched = matched;
        let mut found: Vec<Found<'f>> = found.into_iter().flatten().collect();
        // No event weighs less: those behind could not be given.
        let mut least = budget.bytes;
        found.retain(|found| {
            let is_wanted = least <= budget.bytes_max;
            least = least.saturating_add(found.rows.len().saturating_mul(FIXED_BYTES));
            is_wanted
        });
        Ok(found)
    }

    /// The events of these rows, as far as they may be given.
    fn read<'f>(
        &self,
        found: &'f [Found<'f>],
        budget: &mut Budget,
        guard: &mut Guard,
    ) -> Result<Vec<Read<'f>>> {
        open_columns(self.source, found, guard)?;
        let portions = |found: &'f Found<'f>| found.rows.chunks(PORTION).map(move |p| (found, p));
        let portions: Vec<(&Found<'f>, &'f [Placed])> = found.iter().flat_map(portions).collect();
        let read = map(self.source.workers, &portions, guard, |(found, places), guard| {
            self.portion(found, places, guard)
        })?;
        let mut read: Vec<Read<'f>> = read.into_iter().flatten().collect();
        for read in &mut read {
            read.admitted = read.bytes.iter().take_while(|bytes| budget.take(**bytes)).count();
        }
        Ok(read)
    }

    /// `None` for damage that is tolerated.
    fn portion<'f>(
        &self,
        found: &'f Found<'f>,
        places: &'f [Placed],
        guard: &mut Guard,
    ) -> Result<Option<Read<'f>>> {
        guard.check(0)?;
        let Some((segment, entry)) = self.plan.entry(found.frame) else { return Ok(None) };
        let rows: Vec<u32> = places.iter().map(|(row, _)| *row).collect();
        let views = found.view.event_views(&found.header, &rows);
        let views = guard.tolerate(views.map_err(|error| damaged(error, segment, entry)))?;
        Ok(views.map(|views| {
            let bytes = views.iter().map(|view| view_bytes(&view)).collect();
            Read { places, views, bytes, admitted: 0 }
        }))
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

/// How much may be answered.
struct Budget {
    bytes: usize,
    bytes_max: usize,
}

impl Budget {
    /// More was found than may be given.
    fn is_spent(&self) -> bool {
        self.bytes > self.bytes_max
    }

    /// Whether there is room for one more event of so many bytes.
    fn take(&mut self, bytes: usize) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        !self.is_spent()
    }
}

/// Decompresses what the rows found have values in, the largest column first.
fn open_columns<S>(source: &Source<'_, S>, found: &[Found<'_>], guard: &mut Guard) -> Result<()> {
    let mut columns = Vec::new();
    for found in found {
        guard.check(0)?;
        let rows: Vec<u32> = found.rows.iter().map(|(row, _)| *row).take(ROWS_LOOKED_AT).collect();
        let unopened = found.view.unopened(&rows);
        columns.extend(unopened.into_iter().map(|(column, bytes)| (bytes, &found.view, column)));
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

/// Rows whose columns are decompressed ahead; what only others have a value in is opened with them.
const ROWS_LOOKED_AT: usize = 256;

/// One list for each id, also where an id is asked for twice.
fn in_order<'r>(
    ids: &[TraceId],
    places: &Places,
    mut found: Vec<Vec<EventView<'r>>>,
) -> Vec<Vec<EventView<'r>>> {
    let mut given: Vec<Option<usize>> = vec![None; found.len()];
    let mut traces: Vec<Vec<EventView<'r>>> = Vec::with_capacity(ids.len());
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

#[cfg(test)]
mod tests;

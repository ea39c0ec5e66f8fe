//! All events of several traces in one pass: a frame is read for all of them, not for each.
//!
//! 1. The plan prunes by the trace filters: a frame is left out if no id asked for may be in it.
//! 2. Of a frame that is left the ids are looked up once per distinct trace, before anything else.
//! 3. What must be decompressed for the events that belong to a trace asked for is decompressed on
//!    all threads that are idle, see [`opening`]. Of a frame that is alone this begins while ids are
//!    looked up.
//! 4. These events are read where they stand; each trace is then sorted (QRY-1).
//!
//! Frames are held until the answer is given, so they are read in waves, in the order of the plan.
//! Mostly there is one wave. Of those before the last the events are copied, and where no more bytes
//! may be given there is no next one: what is cut off is the end of the plan, mostly what came last.
//! A frame for which there is no room any more is read again in the next wave.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::column::{BatchView, EventView, EventViews, Field, Table};
use crate::error::{Error, Result};
use crate::event::{Event, TraceId};
use crate::format::frame::FrameHeader;
use crate::query::ast::{Expr, Intrinsic, Operator, Reference};
use crate::query::decoded::Columns;
use crate::query::fold::map;
use crate::query::guard::Guard;
use crate::query::opening;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::predicate::{self, Predicate};
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::size::{FIXED_BYTES, view_bytes};
use crate::query::source::{Segment, Source, damaged};
use crate::query::{Scanned, evaluate, scan};
use crate::store::{Snapshot, Workers};

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

/// Events made at a time: each thread may hold so many more than the limit of bytes allows.
const PORTION: usize = 8_192;

/// What a wave may hold; one frame always.
#[derive(Clone, Copy, Debug)]
struct Wave {
    /// Frames looked at.
    frames_max: usize,
    /// Bytes of the frames that have what is asked for, before compression.
    raw_bytes_max: usize,
}

const WAVE: Wave = Wave { frames_max: 1_024, raw_bytes_max: 64 << 20 };

/// Where the events of each trace go.
type Places = hashbrown::HashMap<[u8; 16], u32, foldhash::fast::RandomState>;
/// A row of a frame, and the place of its trace.
type Placed = (u32, u32);

impl Snapshot {
    /// The events of these traces that the query admits: `Query::default()` admits all of them.
    /// Its limit, order and cursor mean nothing here.
    pub fn traces(&self, ids: &[TraceId], query: &Query) -> Result<Traces> {
        traces(&self.source(), ids, query, WAVE, |found| found.into())
    }

    /// As [`Snapshot::traces`], but the events are read where they stand, as far as there is room to
    /// hold their frames: for who writes them on without keeping them.
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
    let partial = query.partial;
    let search = Search { plan: &plan, places: &places, predicate: &predicate, source, partial };
    let mut budget = Budget { bytes: 0, bytes_max: query.bytes_max };
    let mut copied = Copied::default();
    let mut rest = plan.frames.as_slice();
    let found = loop {
        let (found, looked_at) = search.find(rest, wave, &budget, &mut guard)?;
        rest = rest.get(looked_at..).unwrap_or_default();
        if rest.is_empty() {
            break found;
        }
        for read in search.read(&found, &mut budget, &mut guard)? {
            let admitted = || read.places.iter().zip(read.views.iter()).take(read.admitted);
            copied.places.extend(admitted().map(|((_, place), _)| *place));
            copied.events.extend(admitted().map(|(_, view)| view.to_event()));
        }
        if budget.is_spent() {
            break Vec::new();
        }
    };
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
    /// Damage is left out.
    partial: bool,
}

/// Rows of a frame that are asked for.
struct Found<'s> {
    frame: &'s PlannedFrame,
    header: FrameHeader,
    view: Arc<BatchView>,
    rows: Vec<Placed>,
}

/// Frames of a wave that are held.
struct Held {
    /// Before compression.
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Held {
    fn has_room(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) <= self.bytes_max
    }
}

/// What a look at a frame gives.
enum Look<'f> {
    Found(Found<'f>),
    /// No row of it is asked for, or it is damaged and that is tolerated.
    Nothing,
    /// It is not looked at, or not held, because others are.
    NoRoom,
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
    /// The rows that are asked for, of the first frames that have some, and how many frames are done
    /// with so.
    fn find<'f>(
        &self,
        frames: &'f [PlannedFrame],
        wave: Wave,
        budget: &Budget,
        guard: &mut Guard,
    ) -> Result<(Vec<Found<'f>>, usize)> {
        let frames = frames.get(..wave.frames_max.max(1)).unwrap_or(frames);
        let held = Held { bytes: AtomicUsize::new(0), bytes_max: wave.raw_bytes_max };
        let matched = guard.scanned.events_matched;
        // Of several frames, helpers look at the others.
        let openers = self.source.workers.filter(|_| frames.len() == 1);
        let found = map(self.source.workers, frames, guard, |frame, guard| {
            // The first is held in any case: each wave gets on.
            let is_first = frames.first().is_some_and(|first| std::ptr::eq(first, frame));
            self.look(frame, (&held, is_first), openers, guard)
        })?;
        guard.scanned.events_matched = matched;
        // From the first that found no room on, frames wait for the next wave.
        let is_held = |look: &Look<'_>| !matches!(look, Look::NoRoom);
        let looked_at = found.iter().take_while(|look| is_held(look)).count();
        let found = found.into_iter().take(looked_at);
        let found = found.filter_map(|look| if let Look::Found(f) = look { Some(f) } else { None });
        let mut found: Vec<Found<'f>> = found.collect();
        if !self.partial {
            // No event weighs less: of those behind none can be given.
            let mut least = budget.bytes;
            found.retain(|found| {
                let is_wanted = least <= budget.bytes_max;
                least = least.saturating_add(found.rows.len().saturating_mul(FIXED_BYTES));
                is_wanted
            });
        }
        Ok((found, looked_at))
    }

    fn look<'f>(
        &self,
        frame: &'f PlannedFrame,
        (held, is_first): (&Held, bool),
        openers: Option<&Workers>,
        guard: &mut Guard,
    ) -> Result<Look<'f>> {
        if !is_first && !held.has_room() {
            return Ok(Look::NoRoom);
        }
        let found = scan::frame(self.plan, frame, guard, |columns, rows| {
            let view = columns.view;
            let look_up = || self.rows(columns, rows);
            opening::open_meanwhile(openers, view, look_up, |found| first_rows_of(found))
        })?;
        let Some((header, view, rows)) = found.filter(|(_, _, rows)| !rows.is_empty()) else {
            return Ok(Look::Nothing);
        };
        held.bytes.fetch_add(view.raw_bytes(), Ordering::Relaxed);
        match is_first || held.has_room() {
            true => Ok(Look::Found(Found { frame, header, view, rows })),
            false => Ok(Look::NoRoom),
        }
    }

    /// The events of these rows, as far as they may be given.
    fn read<'f>(
        &self,
        found: &'f [Found<'f>],
        budget: &mut Budget,
        guard: &mut Guard,
    ) -> Result<Vec<Read<'f>>> {
        let blocks = found.iter().map(|found| (&*found.view, first_rows_of(&found.rows)));
        opening::open(self.source.workers, blocks, guard)?;
        let chunks = |found: &'f Found<'f>| found.rows.chunks(PORTION).map(move |p| (found, p));
        let portions: Vec<_> = found.iter().flat_map(chunks).enumerate().collect();
        // What each weighs, once it is made. Those before alone decide whether one can be given.
        let weights: Vec<AtomicUsize> = portions.iter().map(|_| AtomicUsize::new(0)).collect();
        let read = map(self.source.workers, &portions, guard, |(at, (found, places)), guard| {
            let before = weights.iter().take(*at).map(|weight| weight.load(Ordering::Relaxed));
            let before = before.fold(budget.bytes, usize::saturating_add);
            if before > budget.bytes_max {
                return Ok(None);
            }
            let read = self.portion(found, places, guard)?;
            if let (Some(read), Some(weight)) = (&read, weights.get(*at)) {
                weight.store(read.bytes.iter().sum(), Ordering::Relaxed);
            }
            Ok(read)
        })?;
        let mut read: Vec<Read<'f>> = read.into_iter().flatten().collect();
        read.retain_mut(|read| {
            read.admitted = read.bytes.iter().take_while(|bytes| budget.take(**bytes)).count();
            read.admitted > 0
        });
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

/// What says which columns will be read.
fn first_rows_of(placed: &[Placed]) -> Vec<u32> {
    placed.iter().map(|(row, _)| *row).take(opening::ROWS_LOOKED_AT).collect()
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

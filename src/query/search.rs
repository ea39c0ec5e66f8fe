//! Events in order, at most so many (QRY-1): newest first or oldest first, with an early stop.
//!
//! 1. Frames come in the order of the best event that they can hold.
//! 2. A heap keeps the best events found, as (rank, frame, row); one more than the limit, which
//!    tells whether there are more. What the limit of bytes cannot hold is not kept.
//! 3. As soon as no frame that is left can beat the worst event kept, the rest is not read.
//! 4. Only events that were kept are made, in portions, until the limit of bytes.

use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use crate::column::{BatchView, Field, Table};
use crate::error::Result;
use crate::event::Event;
use crate::format::frame::FrameHeader;
use crate::limits;
use crate::query::decoded::Columns;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::request::{Cursor, Order, Query};
use crate::query::selection::Selection;
use crate::query::size::{FIXED_BYTES, event_bytes};
use crate::query::source::{Segment, Source, damaged};
use crate::query::{Answer, fold, scan};
use crate::time::Timestamp;

/// Events made at a time, at most.
const PORTION: usize = 1_024;
/// Bytes that a portion may weigh above what is left to give, before fewer events are tried.
const PORTION_SPARE_BYTES: usize = 1 << 20;
/// Bytes of frames kept between finding events and making them; others are read again.
const KEPT_BYTES_MAX: usize = 32 << 20;
const _: () = assert!(KEPT_BYTES_MAX >= limits::BLOCK_RAW_BYTES_MAX);
const _: () = assert!(KEPT_BYTES_MAX >= limits::BATCH_RAW_BYTES_MAX);

/// A found event: lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// (time, sequence), turned around for newest first.
    rank: (i64, u64),
    frame: u32,
    row: u32,
}

/// Frames that were read and hold found events.
#[derive(Default)]
struct Kept {
    views: HashMap<u32, (FrameHeader, Arc<BatchView>)>,
    bytes: usize,
}

fn rank(order: Order, time: i64, sequence: u64) -> (i64, u64) {
    match order {
        // Complements turn an order around without overflow.
        Order::Newest => (!time, !sequence),
        Order::Oldest => (time, sequence),
    }
}

/// The time part of the best rank that an event of the frame can have.
fn best_of(frame: &PlannedFrame, order: Order) -> i64 {
    match order {
        Order::Newest => !frame.times.1.0,
        Order::Oldest => frame.times.0.0,
    }
}

/// Answers a query.
pub(super) fn search<S: Segment>(source: &Source<'_, S>, query: &Query) -> Result<Answer> {
    let mut guard = Guard::new(query);
    let mut plan = plan(source, query, &mut guard)?;
    plan.frames.sort_by_key(|frame| best_of(frame, query.order));
    let mut kept = Kept::default();
    // One more than the limit of bytes can hold, so that it is what ends the answer.
    let limit = query.limit.min((query.bytes_max / FIXED_BYTES).saturating_add(1));
    let found = find(source, &plan, query, limit, &mut guard, &mut kept)?;
    let truncated = found.len() > limit;
    let found = found.get(..limit.min(found.len())).unwrap_or_default();
    let upper = query.cursor.map_or(source.next_sequence, |c| c.upper_sequence);
    let (events, cut) = make(&plan, query, found, &mut guard, &mut kept)?;
    let truncated = truncated || cut.is_some();
    let last = match cut {
        Some(cut) => Some(cut),
        None => found.last().copied(),
    };
    let next = last.filter(|_| truncated).map(|last| {
        let (time, sequence) = match query.order {
            Order::Newest => (!last.rank.0, !last.rank.1),
            Order::Oldest => last.rank,
        };
        Cursor { time: Timestamp(time), sequence, upper_sequence: upper }
    });
    Ok(Answer { events, next, truncated, scanned: guard.scanned, damage: guard.damage })
}

/// The best events, one more than the limit if there are more, best first.
fn find<S: Segment>(
    source: &Source<'_, S>,
    plan: &Plan<'_, S>,
    query: &Query,
    limit: usize,
    guard: &mut Guard,
    kept: &mut Kept,
) -> Result<Vec<Found>> {
    let wanted = limit.saturating_add(1);
    let mut heap: BinaryHeap<Found> = BinaryHeap::new();
    let frames: Vec<(u32, &PlannedFrame)> = (0..).zip(&plan.frames).collect();
    let mut left = frames.as_slice();
    while let Some((_, frame)) = left.first() {
        // Once there are enough, only what is better than the worst of them matters.
        let worst = heap.peek().copied().filter(|_| heap.len() >= wanted);
        let beaten = worst.is_some_and(|worst| best_of(frame, query.order) > worst.rank.0);
        if beaten && !query.full_scan {
            guard.scanned.frames_pruned += left.len() as u64;
            break;
        }
        let wave = fold::wave(source.workers, query, frames.len() - left.len());
        let (now, later) = left.split_at(wave.min(left.len()));
        let read = fold::map(source.workers, now, guard, |(index, frame), guard| {
            Ok(scan::frame(plan, frame, guard, |columns, rows| {
                candidates(columns, rows, query.order, *index, worst, wanted)
            }))
        })?;
        for ((index, frame), read) in now.iter().zip(read) {
            // What was read ahead may not be needed any more: nor is what is wrong with it.
            let worst = heap.peek().filter(|_| heap.len() >= wanted);
            let beaten = worst.is_some_and(|worst| best_of(frame, query.order) > worst.rank.0);
            if beaten && !query.full_scan {
                continue;
            }
            let Some((header, view, found)) = read?.filter(|(.., found)| !found.is_empty()) else {
                continue;
            };
            for found in found {
                if heap.len() < wanted {
                    heap.push(found);
                } else if let Some(mut worst) = heap.peek_mut().filter(|w| found < **w) {
                    *worst = found;
                }
            }
            kept.keep(*index, header, view);
        }
        left = later;
    }
    Ok(heap.into_sorted_vec())
}

/// The matching events of a frame that are better than the worst wanted, as many as are wanted.
fn candidates(
    columns: &mut Columns<'_>,
    rows: &Selection,
    order: Order,
    frame: u32,
    worst: Option<Found>,
    wanted: usize,
) -> Result<Vec<Found>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let times = columns.every_int(Table::Events, Field::Time)?;
    let first = columns.header.first_sequence;
    let found = rows.iter().map(|row| {
        let time = times.values.get(row).copied().unwrap_or(0);
        Found { rank: rank(order, time, first + row as u64), frame, row: row as u32 }
    });
    let mut found: Vec<Found> = found.filter(|f| worst.is_none_or(|worst| *f < worst)).collect();
    if found.len() > wanted {
        found.select_nth_unstable(wanted);
        found.truncate(wanted);
    }
    Ok(found)
}

impl Kept {
    fn keep(&mut self, frame: u32, header: FrameHeader, view: Arc<BatchView>) {
        // A block decompresses as much while its events are made.
        let bytes = view.raw_bytes();
        if self.bytes + bytes <= KEPT_BYTES_MAX {
            self.bytes += bytes;
            self.views.insert(frame, (header, view));
        }
    }
}

/// Makes the events, in order. If they grow beyond the limit of bytes: those before, and the last
/// of them.
fn make<S: Segment>(
    plan: &Plan<'_, S>,
    query: &Query,
    found: &[Found],
    guard: &mut Guard,
    kept: &mut Kept,
) -> Result<(Vec<Event>, Option<Found>)> {
    let mut events = Vec::new();
    let (mut bytes, mut last) = (0_usize, None);
    let (mut rest, mut size) = (found, PORTION);
    while !rest.is_empty() {
        let (portion, later) = rest.split_at(size.min(rest.len()));
        let left = query.bytes_max.saturating_sub(bytes).saturating_add(PORTION_SPARE_BYTES);
        let Some(made) = make_portion(plan, portion, left, guard, kept)? else {
            // Its first half may be all that is wanted.
            size = portion.len().div_ceil(2);
            continue;
        };
        let before = bytes;
        for (found, event) in portion.iter().zip(made) {
            let Some(event) = event else {
                continue;
            };
            bytes = bytes.saturating_add(event_bytes(&event));
            // The first is given whatever its size, so that pages come to an end.
            if bytes > query.bytes_max && !events.is_empty() {
                return Ok((events, last));
            }
            events.push(event);
            last = Some(*found);
        }
        if (bytes - before).saturating_mul(2) <= query.bytes_max.saturating_sub(bytes) {
            size = PORTION.min(2 * size);
        }
        rest = later;
    }
    Ok((events, None))
}

/// Makes some events, frame by frame, in their order; `None` where damage is tolerated, and instead
/// of all of them if several weigh more than `bytes_max` together.
fn make_portion<S: Segment>(
    plan: &Plan<'_, S>,
    portion: &[Found],
    bytes_max: usize,
    guard: &mut Guard,
    kept: &mut Kept,
) -> Result<Option<Vec<Option<Event>>>> {
    let mut by_frame: BTreeMap<u32, Vec<(u32, usize)>> = BTreeMap::new();
    for (place, found) in portion.iter().enumerate() {
        by_frame.entry(found.frame).or_default().push((found.row, place));
    }
    let mut made: Vec<Option<Event>> = portion.iter().map(|_| None).collect();
    let mut bytes = 0_usize;
    for (frame, mut wanted) in by_frame {
        wanted.sort_unstable();
        let rows: Vec<u32> = wanted.iter().map(|w| w.0).collect();
        let events = make_of_frame(plan, frame, &rows, guard, kept)?;
        for ((_, place), event) in wanted.into_iter().zip(events.into_iter().flatten()) {
            bytes = bytes.saturating_add(event_bytes(&event));
            if let Some(slot) = made.get_mut(place) {
                *slot = Some(event);
            }
        }
        if bytes > bytes_max && portion.len() > 1 {
            return Ok(None);
        }
    }
    Ok(Some(made))
}

fn make_of_frame<S: Segment>(
    plan: &Plan<'_, S>,
    frame: u32,
    rows: &[u32],
    guard: &mut Guard,
    kept: &mut Kept,
) -> Result<Option<Vec<Event>>> {
    let planned = plan.frames.get(frame as usize);
    let Some((segment, entry)) = planned.and_then(|f| plan.entry(f)) else {
        return Ok(None);
    };
    guard.check(0)?;
    if !kept.views.contains_key(&frame) {
        let Some((header, view)) = guard.tolerate(segment.read(entry))? else {
            return Ok(None);
        };
        guard.scanned.bytes_read += u64::from(entry.stored_length);
        if kept.bytes + view.raw_bytes() > KEPT_BYTES_MAX {
            kept.views.clear();
            kept.bytes = 0;
        }
        kept.keep(frame, header, view);
    }
    let Some((header, view)) = kept.views.get(&frame) else {
        return Ok(None);
    };
    let events = view.materialise(header, rows);
    guard.tolerate(events.map_err(|error| damaged(error, segment, entry)))
}

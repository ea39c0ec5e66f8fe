//! The newest traces that have a matching event, without making any event.
//!
//! 1. Frames come in the order of the newest event that they can hold.
//! 2. A table keeps the newest matching event of each trace found; after each frame all but the best
//!    traces go, one more than the limit, which tells whether there are more.
//! 3. As soon as no frame that is left can beat the worst trace kept, the rest is not read.
//!
//! A trace that was let go comes back with a newer event: what it was ranked by before is not
//! needed again.

use std::cmp::Reverse;

use crate::column::{Field, Table};
use crate::error::{Error, Result};
use crate::event::TraceId;
use crate::query::decoded::Columns;
use crate::query::guard::Guard;
use crate::query::plan::plan;
use crate::query::request::{Order, Query};
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::query::{Scanned, fold, ids, scan};
use crate::store::Snapshot;

/// Traces and how they were found.
#[derive(Clone, Debug, Default)]
pub struct FoundTraces {
    /// The traces, that of the newest matching event first.
    pub ids: Vec<TraceId>,
    /// More traces match than were given.
    pub truncated: bool,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

impl Snapshot {
    /// The newest traces with at least one matching event, at most `limit`. Events without a trace,
    /// and the query's own limit, order and cursor mean nothing here.
    pub fn find_traces(&self, query: &Query, limit: usize) -> Result<FoundTraces> {
        find(&self.source(), query, limit)
    }
}

/// (time, sequence) of an event: greater is newer.
type Rank = (i64, u64);

pub(super) fn find<S: Segment>(
    source: &Source<'_, S>,
    query: &Query,
    limit: usize,
) -> Result<FoundTraces> {
    let query = Query { cursor: None, order: Order::Newest, ..query.clone() };
    let mut guard = Guard::new(&query);
    let mut plan = plan(source, &query, &mut guard)?;
    plan.frames.sort_by_key(|frame| Reverse(frame.times.1));
    let mut newest = Newest::new(limit.saturating_add(1));
    let mut left = plan.frames.as_slice();
    while let Some(frame) = left.first() {
        let beaten = newest.worst.is_some_and(|worst| frame.times.1.0 < worst.0);
        if beaten && !query.full_scan {
            guard.scanned.frames_pruned += left.len() as u64;
            break;
        }
        let wave = fold::wave(source.workers, &query, plan.frames.len() - left.len());
        let (now, later) = left.split_at(wave.min(left.len()));
        let worst = newest.worst;
        let read = fold::map(source.workers, now, &mut guard, |frame, guard| {
            let with = |columns: &mut Columns<'_>, rows: &Selection| ranked(columns, rows, worst);
            Ok(scan::frame(&plan, frame, guard, with))
        })?;
        for (frame, read) in now.iter().zip(read) {
            // What was read ahead may not be needed any more: nor is what is wrong with it.
            let beaten = newest.worst.is_some_and(|worst| frame.times.1.0 < worst.0);
            if !beaten || query.full_scan {
                newest.add(read?.map(|(_, _, found)| found).unwrap_or_default());
                newest.trim();
            }
        }
        left = later;
    }
    let mut ids = newest.into_sorted();
    let truncated = ids.len() > limit;
    ids.truncate(limit);
    Ok(FoundTraces { ids, truncated, scanned: guard.scanned, damage: guard.damage })
}

/// The traces of the matching events of a frame, unless a worst one is known that is newer.
fn ranked(
    columns: &mut Columns<'_>,
    rows: &Selection,
    worst: Option<Rank>,
) -> Result<Vec<(TraceId, Rank)>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let Some(traces) = ids::traces(columns)? else {
        return Ok(Vec::new());
    };
    let times = columns.every_int(Table::Events, Field::Time)?;
    let first = columns.header.first_sequence;
    let ranked = rows.iter().filter_map(|row| {
        let time = times.values.get(row).copied().unwrap_or(0);
        let rank = (time, first + row as u64);
        let is_late = worst.is_some_and(|worst| rank < worst);
        traces.row(row).filter(|_| !is_late).map(|id| (TraceId(id), rank))
    });
    Ok(ranked.collect())
}

/// The newest traces so far.
struct Newest {
    wanted: usize,
    found: hashbrown::HashMap<TraceId, Rank, foldhash::fast::RandomState>,
    /// Rank of the last of `wanted` traces: only what is newer matters.
    worst: Option<Rank>,
}

impl Newest {
    fn new(wanted: usize) -> Newest {
        Newest { wanted, found: hashbrown::HashMap::default(), worst: None }
    }

    fn add(&mut self, found: Vec<(TraceId, Rank)>) {
        for (id, rank) in found {
            let newest = self.found.entry(id).or_insert(rank);
            *newest = rank.max(*newest);
        }
    }

    /// Lets go of all but the best.
    fn trim(&mut self) {
        if self.found.len() < self.wanted {
            return;
        }
        let mut ranks: Vec<Rank> = self.found.values().copied().collect();
        let last = self.wanted.saturating_sub(1);
        let worst = *ranks.select_nth_unstable_by_key(last, |rank| Reverse(*rank)).1;
        self.found.retain(|_, rank| *rank >= worst);
        self.worst = Some(worst);
    }

    fn into_sorted(self) -> Vec<TraceId> {
        let mut found: Vec<(TraceId, Rank)> = self.found.into_iter().collect();
        found.sort_unstable_by_key(|(_, rank)| Reverse(*rank));
        found.into_iter().map(|(id, _)| id).collect()
    }
}

//! Rate, errors and durations over time: how many events of each source (or source and type) lie in
//! each step, how many of them failed, and how long spans took. From columns alone: no event is
//! made.
//!
//! What a compacted segment knows of its minutes is taken from there; only minutes that the range
//! cuts are read. Steps begin at multiples of their length since the epoch, so that what is known of
//! a minute can be added up to an hour, whoever asks and from when on. Steps without events are left
//! out.

use crate::error::{Error, Result};
use crate::index::Histogram;
use crate::query::Scanned;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::query::minutes::{self, KnownMinutes};
use crate::query::plan::{PlannedFrame, plan};
use crate::query::request::Query;
use crate::query::source::{Segment, Source};
use crate::query::sums::Sums;
use crate::store::Snapshot;
use crate::time::{MINUTE_NS, Timestamp};

/// What tells series apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeriesBy {
    /// The source.
    #[default]
    Source,
    /// Source and type.
    Type,
}

/// What happened in one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Where the step begins.
    pub time: Timestamp,
    /// Its events.
    pub count: u64,
    /// Those with status error or a severity of 17 or more.
    pub errors: u64,
    /// How long its spans took; spans without an end and other signals are not in it.
    pub durations: Histogram,
}

/// The points of one source, or of one source and type.
#[derive(Clone, Debug, PartialEq)]
pub struct PointSeries {
    /// The source.
    pub source: String,
    /// The type, where asked for.
    pub event_type: Option<String>,
    /// Its points, by time; none is empty.
    pub points: Vec<Point>,
}

/// Series, sorted by source and type, and how they were found.
#[derive(Clone, Debug, Default)]
pub struct SeriesAnswer {
    /// The series.
    pub series: Vec<PointSeries>,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

impl Snapshot {
    /// Counts, errors and durations of all matching events, per step of so many nanoseconds. Limit,
    /// order and cursor of the query mean nothing here.
    pub fn series(&self, query: &Query, step_ns: i64, by: SeriesBy) -> Result<SeriesAnswer> {
        series(&self.source(), query, step_ns, by)
    }
}

pub(super) fn series<S: Segment>(
    source: &Source<'_, S>,
    query: &Query,
    step_ns: i64,
    by: SeriesBy,
) -> Result<SeriesAnswer> {
    if step_ns <= 0 {
        return Err(Error::invalid("a step is longer than 0 ns").in_field("step"));
    }
    let query = Query { cursor: None, ..query.clone() };
    let mut guard = Guard::new(&query);
    let plan = plan(source, &query, &mut guard)?;
    let new = || Sums::new(step_ns, by);
    let by_minutes = by == SeriesBy::Source && step_ns % MINUTE_NS == 0;
    let (known, sums_known) = match by_minutes && minutes::answer(&plan, &query) {
        true => KnownMinutes::add_up(source, &plan, &mut guard, new, Sums::add_minutes)?,
        false => (KnownMinutes::none(), Vec::new()),
    };
    let add = |sums: &mut Sums, frame: &PlannedFrame, guard: &mut Guard| {
        known.read(&plan, frame, guard, |columns, rows| sums.add(columns, rows))?;
        sums.check()
    };
    let read = fold(source.workers, &plan.frames, &mut guard, new, add)?;
    let mut sums = new();
    sums_known.into_iter().for_each(|sum| sums.join(sum));
    read.into_iter().for_each(|sum| sums.join(sum));
    sums.check()?;
    Ok(SeriesAnswer { series: sums.finish(), scanned: guard.scanned, damage: guard.damage })
}

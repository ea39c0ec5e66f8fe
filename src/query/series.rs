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
use crate::index::minutes::MINUTE_NS;
use crate::query::Scanned;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::request::Query;
use crate::query::source::{Segment, Source};
use crate::query::sums::Sums;
use crate::store::Snapshot;
use crate::time::{TimeRange, Timestamp};

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
    let whole = whole_minutes(&plan.bounds.range);
    let asked = Asked { plan: &plan, query: &query, step_ns, by, whole: &whole };
    let new = || Sums::new(step_ns, by);
    let known = fold(source.workers, &asked.segments(), &mut guard, Known::default, |k, at, g| {
        let mut sums = k.sums.take().unwrap_or_else(new);
        if sums.add_minutes(&asked, *at, g)? {
            k.segments.push(*at);
        }
        k.sums = Some(sums);
        Ok(())
    })?;
    let (mut sums, mut is_known) = (new(), vec![false; plan.segments.len()]);
    for known in known {
        for at in known.segments {
            if let Some(is_known) = is_known.get_mut(at) {
                *is_known = true;
            }
        }
        known.sums.into_iter().for_each(|sum| sums.join(sum));
    }
    let add = |sums: &mut Sums, frame: &PlannedFrame, guard: &mut Guard| {
        let is_known = is_known.get(frame.segment as usize) == Some(&true);
        sums.add_frame(&asked, frame, is_known, guard)
    };
    let read = fold(source.workers, &plan.frames, &mut guard, new, add)?;
    read.into_iter().for_each(|sum| sums.join(sum));
    sums.check()?;
    Ok(SeriesAnswer { series: sums.finish(), scanned: guard.scanned, damage: guard.damage })
}

/// What every piece of the work has to know.
pub(super) struct Asked<'q, 'a, S> {
    pub(super) plan: &'q Plan<'a, S>,
    query: &'q Query,
    step_ns: i64,
    by: SeriesBy,
    /// Times of the minutes that are asked for as a whole.
    pub(super) whole: &'q std::ops::Range<i64>,
}

impl<S: Segment> Asked<'_, '_, S> {
    /// The planned segments whose minutes would answer the question, if they have any.
    fn segments(&self) -> Vec<usize> {
        let answers = !self.query.full_scan
            && self.by == SeriesBy::Source
            && self.step_ns % MINUTE_NS == 0
            && self.query.sequences.is_none()
            && self.plan.predicate.is_of_source();
        if answers { (0..self.plan.segments.len()).collect() } else { Vec::new() }
    }
}

/// What segments know, and which segments those are.
#[derive(Default)]
struct Known {
    segments: Vec<usize>,
    sums: Option<Sums>,
}

/// The times of minutes that lie in the range as a whole.
fn whole_minutes(range: &TimeRange) -> std::ops::Range<i64> {
    let begin = |time: i64| time.saturating_sub(time.rem_euclid(MINUTE_NS));
    let (since, until) = (range.since.0, range.until.0);
    let first = begin(since);
    let first = if first == since { first } else { first.saturating_add(MINUTE_NS) };
    first..begin(until)
}

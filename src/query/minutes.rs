//! What compacted segments know of their minutes, for whoever adds up by source or over time: totals
//! of whole minutes are taken from there, and of those segments' frames only the minutes that the
//! range cuts are read.

use std::ops::Range;

use crate::column::{Field, Series, Table};
use crate::error::Result;
use crate::index::minutes::Minute;
use crate::query::decoded::Columns;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame};
use crate::query::request::Query;
use crate::query::scan;
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::time::{MINUTE_NS, TimeRange};

/// Which minutes of which planned segments need not be read.
pub(super) struct KnownMinutes {
    /// Times of the minutes that are asked for as a whole.
    whole: Range<i64>,
    /// By planned segment: whether its minutes were taken.
    segments: Vec<bool>,
}

/// What a segment knows of a source: minutes, each with the time at which it begins.
pub(super) struct OfSource {
    pub(super) source: String,
    pub(super) minutes: Vec<(i64, Minute)>,
}

/// How much of a frame is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    All,
    /// Rows of minutes that are not asked for as a whole.
    Cut,
    Nothing,
}

/// Whether what is known of minutes answers the query, of whatever source.
pub(super) fn answer<S>(plan: &Plan<'_, S>, query: &Query) -> bool {
    !query.full_scan && query.sequences.is_none() && plan.predicate.is_of_source()
}

impl KnownMinutes {
    /// Nothing is known.
    pub(super) fn none() -> KnownMinutes {
        KnownMinutes { whole: 0..0, segments: Vec::new() }
    }

    /// Adds up what the planned segments know of the minutes that the query asks for as a whole.
    /// Gives one sum for each thread that took part.
    pub(super) fn add_up<S: Segment, A: Send>(
        source: &Source<'_, S>,
        plan: &Plan<'_, S>,
        guard: &mut Guard,
        new: impl Fn() -> A + Sync,
        add: impl Fn(&mut A, OfSource) -> Result<()> + Sync,
    ) -> Result<(KnownMinutes, Vec<A>)> {
        let whole = whole_minutes(&plan.bounds.range);
        let segments: Vec<usize> = (0..plan.segments.len()).collect();
        let new = || (new(), Vec::new());
        let add = |(sum, taken): &mut (A, Vec<usize>), at: &usize, guard: &mut Guard| {
            if let Some(sources) = minutes_of(plan, *at, &whole, guard)? {
                taken.push(*at);
                for of_source in sources {
                    let events = of_source.minutes.iter().map(|(_, minute)| minute.events);
                    guard.scanned.events_matched += events.sum::<u64>();
                    add(sum, of_source)?;
                }
            }
            Ok(())
        };
        let parts = fold(source.workers, &segments, guard, new, add)?;
        let mut known = KnownMinutes { whole, segments: vec![false; plan.segments.len()] };
        let mut sums = Vec::with_capacity(parts.len());
        for (sum, taken) in parts {
            for at in taken {
                known.segments.get_mut(at).into_iter().for_each(|known| *known = true);
            }
            sums.push(sum);
        }
        Ok((known, sums))
    }

    /// How much of a frame is to be read.
    pub(super) fn left(&self, frame: &PlannedFrame) -> Left {
        if self.segments.get(frame.segment as usize) != Some(&true) {
            return Left::All;
        }
        let (min, max) = frame.times;
        match self.whole.contains(&min.0) && self.whole.contains(&max.0) {
            true => Left::Nothing,
            false => Left::Cut,
        }
    }

    /// Gives the matching rows of a frame that are not known; `None` if all are, or the frame is
    /// damaged and that is tolerated.
    pub(super) fn read<S: Segment, T>(
        &self,
        plan: &Plan<'_, S>,
        frame: &PlannedFrame,
        guard: &mut Guard,
        with: impl FnOnce(&mut Columns<'_>, &Selection) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.left(frame) {
            Left::All => Ok(scan::frame(plan, frame, guard, with)?.map(|(_, _, outcome)| outcome)),
            Left::Nothing => {
                guard.scanned.frames_pruned += 1;
                Ok(None)
            }
            Left::Cut => {
                let matched = guard.scanned.events_matched;
                let read = scan::frame(plan, frame, guard, |columns, rows| {
                    let times = columns.every_int(Table::Events, Field::Time)?;
                    let is_known =
                        |row| times.values.get(row).is_some_and(|time| self.whole.contains(time));
                    let mut cut = rows.clone();
                    cut.and_not(&Selection::of(rows.rows(), is_known));
                    Ok((cut.count() as u64, with(columns, &cut)?))
                })?;
                // The others are counted as what is known.
                let cut = read.as_ref().map_or(0, |(.., (cut, _))| *cut);
                guard.scanned.events_matched = matched + cut;
                Ok(read.map(|(.., (_, outcome))| outcome))
            }
        }
    }
}

/// The minutes of sources that the predicate may hold for; `None` if the segment knows none.
fn minutes_of<S: Segment>(
    plan: &Plan<'_, S>,
    at: usize,
    whole: &Range<i64>,
    guard: &mut Guard,
) -> Result<Option<Vec<OfSource>>> {
    let Some(planned) = plan.segments.get(at) else { return Ok(None) };
    guard.check(0)?;
    let mut sources: Vec<OfSource> = Vec::new();
    let mut each = |source: &str, number: i64, minute: Minute| {
        let start = number.saturating_mul(MINUTE_NS);
        if !whole.contains(&start) {
            return;
        }
        match sources.last_mut() {
            Some(last) if last.source == source => last.minutes.push((start, minute)),
            _ => {
                let (source, minutes) = (source.to_owned(), vec![(start, minute)]);
                sources.push(OfSource { source, minutes });
            }
        }
    };
    let read = guard.tolerate(planned.segment.minutes(&mut each))?.unwrap_or(false);
    sources.retain(|of| {
        let series = Series { source: of.source.clone(), event_type: String::new() };
        plan.predicate.verdict(&series).0
    });
    Ok(read.then_some(sources))
}

/// The times of minutes that lie in the range as a whole.
fn whole_minutes(range: &TimeRange) -> Range<i64> {
    let begin = |time: i64| time.saturating_sub(time.rem_euclid(MINUTE_NS));
    let (since, until) = (range.since.0, range.until.0);
    let first = begin(since);
    let first = if first == since { first } else { first.saturating_add(MINUTE_NS) };
    first..begin(until)
}

//! What compacted segments know of their minutes, for whoever adds up by source or over time: totals
//! of whole minutes are taken from there, and of those segments' frames only what lies in minutes
//! that the range cuts is left to be read.

use std::ops::Range;

use crate::column::{Field, Series, Table};
use crate::error::Result;
use crate::index::minutes::Minute;
use crate::query::decoded::Columns;
use crate::query::fold::fold;
use crate::query::groups::minute_of;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame};
use crate::query::request::Query;
use crate::query::scan;
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::time::{MINUTE_NS, TimeRange, Timestamp};

/// Which minutes of which planned segments need not be read.
pub(super) struct KnownMinutes {
    /// Numbers of the minutes, since the epoch, that are asked for as a whole.
    whole: Range<i64>,
    /// By planned segment: whether its minutes were taken.
    segments: Vec<bool>,
}

/// What a segment knows of a source: minutes, each with its number since the epoch.
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
        let has_some = |segment: &S| {
            let times = segment.times().map(|(min, max)| (minute_of(min), minute_of(max)));
            times.is_some_and(|(min, max)| {
                !whole.is_empty() && min < whole.end && max >= whole.start
            })
        };
        let segments = plan.segments.iter().enumerate();
        let segments = segments.filter(|(_, planned)| has_some(planned.segment));
        let segments: Vec<usize> = segments.map(|(at, _)| at).collect();
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
        let (min, max) = (minute_of(frame.times.0), minute_of(frame.times.1));
        if max < self.whole.start || min >= self.whole.end {
            Left::All
        } else if self.whole.contains(&min) && self.whole.contains(&max) {
            Left::Nothing
        } else {
            Left::Cut
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
                    let is_known = |row| {
                        let time = times.values.get(row).copied().map(Timestamp);
                        time.is_some_and(|time| self.whole.contains(&minute_of(time)))
                    };
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
    // The source that comes at the time, and whether it is asked for.
    let (mut series, mut is_wanted) = (None, false);
    let mut each = |source: &str, number: i64, minute: Minute| {
        if series.as_ref().is_none_or(|series: &Series| series.source != source) {
            let new = Series { source: source.to_owned(), event_type: String::new() };
            is_wanted = plan.predicate.verdict(&new).0;
            if is_wanted {
                sources.push(OfSource { source: source.to_owned(), minutes: Vec::new() });
            }
            series = Some(new);
        }
        if let Some(last) = sources.last_mut().filter(|_| is_wanted && whole.contains(&number)) {
            last.minutes.push((number, minute));
        }
    };
    let read = guard.tolerate(planned.segment.minutes(&mut each))?.unwrap_or(false);
    sources.retain(|of| !of.minutes.is_empty());
    Ok(read.then_some(sources))
}

/// The minutes that lie in the range as a whole.
fn whole_minutes(range: &TimeRange) -> Range<i64> {
    let begins = range.since.0.rem_euclid(MINUTE_NS) == 0;
    minute_of(range.since) + i64::from(!begins)..minute_of(range.until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_frames_with_known_minutes_only_those_that_the_range_cuts_are_read() {
        let known = KnownMinutes { whole: 10..20, segments: vec![false, true] };
        let left = |segment, min: i64, max: i64| {
            let times = (Timestamp(min * MINUTE_NS), Timestamp(max * MINUTE_NS + MINUTE_NS - 1));
            known.left(&PlannedFrame { segment, frame: 0, inside: true, certain: true, times })
        };
        assert_eq!(left(1, 10, 19), Left::Nothing);
        assert_eq!([left(1, 9, 10), left(1, 19, 20), left(1, 0, 30)], [Left::Cut; 3]);
        // Nothing of these was taken: the directory may know them.
        assert_eq!([left(1, 5, 9), left(1, 20, 30), left(0, 12, 12)], [Left::All; 3]);
    }

    #[test]
    fn whole_minutes_lie_in_the_range_from_begin_to_end() {
        let of = |since: i64, until: i64| {
            whole_minutes(&TimeRange { since: Timestamp(since), until: Timestamp(until) })
        };
        assert_eq!(of(0, 3 * MINUTE_NS), 0..3);
        assert_eq!(of(1, 3 * MINUTE_NS - 1), 1..2);
        assert_eq!(of(-1, MINUTE_NS), 0..1);
        assert!(of(1, MINUTE_NS - 1).is_empty() && of(5, 3).is_empty());
        let all = of(i64::MIN, i64::MAX);
        assert!(all.start as i128 * i128::from(MINUTE_NS) >= i128::from(i64::MIN));
        assert!(all.end as i128 * i128::from(MINUTE_NS) <= i128::from(i64::MAX));
    }
}

//! Counts of matching events, from columns, or from directories and what segments know of their
//! minutes alone: no event is made.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::limits;
use crate::query::decoded::Columns;
use crate::query::fold::fold;
use crate::query::groups::{Grouping, minute_of, minute_start};
use crate::query::guard::Guard;
use crate::query::minutes::{self, KnownMinutes, Left, OfSource};
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::query::{By, Count, Counts};
use crate::time::Timestamp;

/// Numbers by packed key, with a fixed hash: the keys are not a stranger's.
pub(super) type Packed<T> = hashbrown::HashMap<u64, T, foldhash::fast::FixedState>;

/// Source, type and minute of a group, where asked for.
type Group = (Option<String>, Option<String>, Option<Timestamp>);
/// Events of each group.
type Sum = BTreeMap<Group, u64>;

/// Counts what matches. Limit, order and cursor of the query mean nothing.
pub(super) fn count<S: Segment>(source: &Source<'_, S>, query: &Query, by: By) -> Result<Counts> {
    let query = Query { cursor: None, ..query.clone() };
    let mut guard = Guard::new(&query);
    let plan = plan(source, &query, &mut guard)?;
    let mut groups = Sum::new();
    if by == By::default() {
        groups.insert((None, None, None), 0);
    }
    // Where neither is asked for, directories know more frames than minutes do.
    let by_minutes = !by.event_type && (by.source || by.minute);
    let (known_minutes, sums_known) = match by_minutes && minutes::answer(&plan, &query) {
        true => {
            let add = |sum: &mut Sum, of| add_minutes(sum, of, by);
            KnownMinutes::add_up(source, &plan, &mut guard, Sum::new, add)?
        }
        false => (KnownMinutes::none(), Vec::new()),
    };
    let add = |sum: &mut Sum, frame: &PlannedFrame, guard: &mut Guard| {
        let is_left = known_minutes.left(frame) == Left::All;
        if let Some((group, events)) = known(&plan, frame, by).filter(|_| is_left) {
            guard.check(0)?;
            guard.scanned.events_matched += events;
            *sum.entry(group).or_default() += events;
        } else {
            let in_frame = |columns: &mut Columns<'_>, rows: &_| in_frame(columns, rows, by);
            let counts = known_minutes.read(&plan, frame, guard, in_frame)?;
            for (group, events) in counts.into_iter().flatten() {
                *sum.entry(group).or_default() += events;
            }
        }
        check_groups(sum.len())
    };
    let sums = fold(source.workers, &plan.frames, &mut guard, Sum::new, add)?;
    for (group, events) in sums_known.into_iter().chain(sums).flatten() {
        *groups.entry(group).or_default() += events;
    }
    check_groups(groups.len())?;
    let counts = groups.into_iter().map(|((source, event_type, minute), count)| Count {
        source,
        event_type,
        minute,
        count,
    });
    Ok(Counts { counts: counts.collect(), scanned: guard.scanned, damage: guard.damage })
}

/// Adds what a segment knows of a source.
fn add_minutes(sum: &mut Sum, of: OfSource, by: By) -> Result<()> {
    let source = by.source.then_some(of.source);
    for (number, minute) in of.minutes {
        let start = by.minute.then_some(minute_start(number));
        *sum.entry((source.clone(), None, start)).or_default() += minute.events;
    }
    check_groups(sum.len())
}

fn check_groups(groups: usize) -> Result<()> {
    if groups <= limits::COUNT_GROUPS_MAX {
        return Ok(());
    }
    let max = limits::COUNT_GROUPS_MAX;
    let what = format!("more than {max} groups: count by less, or over less time");
    Err(Error::limit(what).in_field("by"))
}

/// Group and number of a frame's events, if its directory entry says both.
fn known<S: Segment>(plan: &Plan<'_, S>, frame: &PlannedFrame, by: By) -> Option<(Group, u64)> {
    if !frame.inside || !frame.certain {
        return None;
    }
    let (_, entry) = plan.entry(frame)?;
    let (mut source, mut event_type, mut minute) = (None, None, None);
    if by.source || by.event_type {
        let directory = &plan.segments.get(frame.segment as usize)?.directory;
        let mut series = entry.series.iter().map(|s| directory.series.get(*s as usize));
        let first = series.next()??;
        for other in series {
            let other = other?;
            let source_differs = by.source && other.source != first.source;
            if source_differs || by.event_type && other.event_type != first.event_type {
                return None;
            }
        }
        source = by.source.then(|| first.source.clone());
        event_type = by.event_type.then(|| first.event_type.clone());
    }
    if by.minute {
        let first = minute_of(entry.min_time);
        if first != minute_of(entry.max_time) {
            return None;
        }
        minute = Some(minute_start(first));
    }
    Some(((source, event_type, minute), u64::from(entry.events)))
}

fn in_frame(columns: &mut Columns<'_>, rows: &Selection, by: By) -> Result<Vec<(Group, u64)>> {
    if by == By::default() {
        return Ok(vec![((None, None, None), rows.count() as u64)]);
    }
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let grouping = Grouping::new(columns, by)?;
    let counts = grouping.count(rows, columns.header.max_time);
    let group = |(key, events): (u64, u64)| {
        let names = grouping.names(key)?;
        let text = |name: Option<&str>| name.map(str::to_owned);
        Ok(((text(names.source), text(names.event_type), names.minute), events))
    };
    counts.into_iter().map(group).collect()
}

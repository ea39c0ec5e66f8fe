//! Rate, errors and durations over time: how many events of each source (or source and type) lie in
//! each step, how many of them failed, and how long spans took. From columns alone: no event is
//! made.
//!
//! What a compacted segment knows of its minutes is taken from there; only minutes that the range
//! cuts are read. Steps begin at multiples of their length since the epoch, so that what is known of
//! a minute can be added up to an hour, whoever asks and from when on. Steps without events are left
//! out.

use std::rc::Rc;

use crate::column::{Field, Ints, Series, Table};
use crate::error::{Error, Result};
use crate::event::{Signal, is_error};
use crate::index::Histogram;
use crate::index::minutes::{MINUTE_NS, Minute};
use crate::limits;
use crate::query::decoded::{Columns, has_int};
use crate::query::fold::fold;
use crate::query::groups::Grouping;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::query::{By, Scanned, scan};
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
    let new = || Sums { step_ns, by, ..Sums::default() };
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
        let places = known.segments.into_iter();
        places.filter_map(|at| is_known.get_mut(at).map(|known| *known = true)).for_each(drop);
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
struct Asked<'q, 'a, S> {
    plan: &'q Plan<'a, S>,
    query: &'q Query,
    step_ns: i64,
    by: SeriesBy,
    /// Times of the minutes that are asked for as a whole.
    whole: &'q std::ops::Range<i64>,
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

/// What has been added up so far.
#[derive(Default)]
struct Sums {
    step_ns: i64,
    by: SeriesBy,
    /// Number of each series, in order of first appearance.
    numbers: hashbrown::HashMap<Series, u32, foldhash::fast::RandomState>,
    /// Each series' latest step and its point: times mostly go on from the row before.
    latest: Vec<(i64, usize)>,
    /// The points, with series and step.
    points: Vec<(u32, i64, Point)>,
    /// Where the point of a series and step stands.
    places: hashbrown::HashMap<(u32, i64), usize, foldhash::fast::FixedState>,
}

/// The columns that say what a row adds.
struct Facts {
    times: Rc<Ints>,
    status: Option<Rc<Ints>>,
    severity: Option<Rc<Ints>>,
    signals: Rc<Ints>,
    durations: Option<Rc<Ints>>,
}

impl Facts {
    fn read(columns: &mut Columns<'_>) -> Result<Facts> {
        Ok(Facts {
            times: columns.every_int(Table::Events, Field::Time)?,
            status: columns.field_ints(Table::Events, Field::Status)?,
            severity: columns.field_ints(Table::Events, Field::SeverityNumber)?,
            signals: columns.every_int(Table::Events, Field::Signal)?,
            durations: columns.field_ints(Table::Events, Field::Duration)?,
        })
    }

    fn time(&self, row: usize) -> i64 {
        self.times.values.get(row).copied().unwrap_or(0)
    }

    fn is_error(&self, row: usize) -> bool {
        let value = |ints: &Option<Rc<Ints>>| {
            ints.as_ref().and_then(|i| i.values.get(row)).copied().unwrap_or(0)
        };
        is_error(value(&self.status), value(&self.severity))
    }

    fn duration(&self, row: usize) -> Option<i64> {
        if self.signals.values.get(row) != Some(&(Signal::Span as i64)) {
            return None;
        }
        let durations = self.durations.as_ref().filter(|ints| has_int(ints, row))?;
        durations.values.get(row).copied()
    }
}

impl Sums {
    fn check(&self) -> Result<()> {
        let max = limits::COUNT_GROUPS_MAX;
        if self.points.len() <= max {
            return Ok(());
        }
        let what = format!("more than {max} points: ask for longer steps, or over less time");
        Err(Error::limit(what).in_field("step"))
    }

    /// Adds what a segment knows of whole minutes; says whether it does.
    fn add_minutes<S: Segment>(
        &mut self,
        asked: &Asked<'_, '_, S>,
        at: usize,
        guard: &mut Guard,
    ) -> Result<bool> {
        let Some(planned) = asked.plan.segments.get(at) else { return Ok(false) };
        guard.check(0)?;
        let mut sources: Vec<(String, Vec<(i64, Minute)>)> = Vec::new();
        let mut each = |source: &str, number: i64, minute: Minute| {
            let start = number.saturating_mul(MINUTE_NS);
            if !asked.whole.contains(&start) {
                return;
            }
            match sources.last_mut() {
                Some((last, minutes)) if last == source => minutes.push((start, minute)),
                _ => sources.push((source.to_owned(), vec![(start, minute)])),
            }
        };
        let read = guard.tolerate(planned.segment.minutes(&mut each))?.unwrap_or(false);
        for (source, minutes) in sources.into_iter().filter(|_| read) {
            let series = Series { source, event_type: String::new() };
            if !asked.plan.predicate.verdict(&series).0 {
                continue;
            }
            let number = self.number_of(series);
            for (start, minute) in minutes {
                let place = self.place(number, start.div_euclid(self.step_ns));
                if let Some((_, _, point)) = self.points.get_mut(place) {
                    point.count += minute.events;
                    point.errors += minute.errors;
                    point.durations.merge(minute.durations);
                }
                guard.scanned.events_matched += minute.events;
            }
            self.check()?;
        }
        Ok(read)
    }

    /// Adds the events of a frame, or those that are in no minute that is known.
    fn add_frame<S: Segment>(
        &mut self,
        asked: &Asked<'_, '_, S>,
        frame: &PlannedFrame,
        is_known: bool,
        guard: &mut Guard,
    ) -> Result<()> {
        let (plan, whole) = (asked.plan, asked.whole);
        if !is_known {
            scan::frame(plan, frame, guard, |columns, rows| self.add(columns, rows))?;
        } else if whole.contains(&frame.times.0.0) && whole.contains(&frame.times.1.0) {
            guard.scanned.frames_pruned += 1;
        } else {
            let matched = guard.scanned.events_matched;
            let cut = scan::frame(plan, frame, guard, |columns, rows| {
                let times = columns.every_int(Table::Events, Field::Time)?;
                let is_known = |row| times.values.get(row).is_some_and(|time| whole.contains(time));
                let mut cut = rows.clone();
                cut.and_not(&Selection::of(rows.rows(), is_known));
                self.add(columns, &cut)?;
                Ok(cut.count() as u64)
            })?;
            // The others are counted as what is known.
            guard.scanned.events_matched = matched + cut.map_or(0, |(.., cut)| cut);
        }
        self.check()
    }

    /// Takes over what another thread has added up.
    fn join(&mut self, other: Sums) {
        let mut numbers = vec![0; other.numbers.len()];
        for (series, number) in other.numbers {
            if let Some(own) = numbers.get_mut(number as usize) {
                *own = self.number_of(series);
            }
        }
        for (number, step, more) in other.points {
            let number = numbers.get(number as usize).copied().unwrap_or(0);
            let place = self.place(number, step);
            if let Some((_, _, point)) = self.points.get_mut(place) {
                point.count += more.count;
                point.errors += more.errors;
                point.durations.merge(more.durations);
            }
        }
    }

    /// Adds the matching events of a frame; nothing of it if it is damaged.
    fn add(&mut self, columns: &mut Columns<'_>, rows: &Selection) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let facts = Facts::read(columns)?;
        let by = By { source: true, event_type: self.by == SeriesBy::Type, minute: false };
        let grouping = Grouping::new(columns, by)?;
        let mut numbers: hashbrown::HashMap<u64, u32, foldhash::fast::FixedState> =
            hashbrown::HashMap::default();
        let mut of_rows = Vec::with_capacity(rows.count());
        for row in rows.iter() {
            let key = grouping.key(row);
            let number = match numbers.get(&key) {
                Some(number) => *number,
                None => {
                    let number = self.number(&grouping, key)?;
                    numbers.insert(key, number);
                    number
                }
            };
            of_rows.push((row, number));
        }
        for (row, number) in of_rows {
            let place = self.place(number, facts.time(row).div_euclid(self.step_ns));
            let Some((_, _, point)) = self.points.get_mut(place) else {
                continue;
            };
            point.count += 1;
            point.errors += u64::from(facts.is_error(row));
            if let Some(duration) = facts.duration(row) {
                point.durations.record(duration);
            }
        }
        Ok(())
    }

    fn number(&mut self, grouping: &Grouping, key: u64) -> Result<u32> {
        let names = grouping.names(key)?;
        let text = |name: Option<&str>| name.unwrap_or_default().to_owned();
        let series = Series { source: text(names.source), event_type: text(names.event_type) };
        Ok(self.number_of(series))
    }

    fn number_of(&mut self, series: Series) -> u32 {
        let next = self.latest.len() as u32;
        let number = *self.numbers.entry(series).or_insert(next);
        if number == next {
            self.latest.push((0, usize::MAX));
        }
        number
    }

    /// Where the point of a series and step stands; it is made if it is new.
    fn place(&mut self, number: u32, step: i64) -> usize {
        let latest = self.latest.get(number as usize).copied().unwrap_or((0, usize::MAX));
        if latest.0 == step && latest.1 < self.points.len() {
            return latest.1;
        }
        let next = self.points.len();
        let place = *self.places.entry((number, step)).or_insert(next);
        if place == next {
            let time = Timestamp(step.saturating_mul(self.step_ns));
            self.points.push((number, step, Point { time, ..Point::default() }));
        }
        if let Some(latest) = self.latest.get_mut(number as usize) {
            *latest = (step, place);
        }
        place
    }

    fn finish(self) -> Vec<PointSeries> {
        let mut series: Vec<(Series, u32)> = self.numbers.into_iter().collect();
        series.sort_unstable();
        let mut points: Vec<Vec<Point>> = series.iter().map(|_| Vec::new()).collect();
        let mut all = self.points;
        all.sort_unstable_by_key(|(number, step, _)| (*number, *step));
        for (number, _, point) in all {
            if let Some(own) = points.get_mut(number as usize) {
                own.push(point);
            }
        }
        let mut named = |(series, number): (Series, u32)| PointSeries {
            source: series.source,
            event_type: (self.by == SeriesBy::Type).then_some(series.event_type),
            points: points.get_mut(number as usize).map(std::mem::take).unwrap_or_default(),
        };
        // A damaged frame may have named a series and added nothing to it.
        series.into_iter().map(&mut named).filter(|s| !s.points.is_empty()).collect()
    }
}

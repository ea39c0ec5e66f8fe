//! Points of series while they are added up: of frames, of what segments know of their minutes, and
//! of what other threads have added up.

use std::rc::Rc;

use crate::column::{Field, Ints, Series, Table};
use crate::error::{Error, Result};
use crate::event::{Signal, is_error};
use crate::limits;
use crate::query::By;
use crate::query::decoded::{Columns, has_int};
use crate::query::groups::{Grouping, minute_start};
use crate::query::minutes::OfSource;
use crate::query::selection::Selection;
use crate::query::series::{Point, PointSeries, SeriesBy};
use crate::time::Timestamp;

/// What has been added up so far.
#[derive(Default)]
pub(super) struct Sums {
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
    /// Nothing yet, of steps of so many nanoseconds.
    pub(super) fn new(step_ns: i64, by: SeriesBy) -> Sums {
        Sums { step_ns, by, ..Sums::default() }
    }

    pub(super) fn check(&self) -> Result<()> {
        let max = limits::COUNT_GROUPS_MAX;
        if self.points.len() <= max {
            return Ok(());
        }
        let what = format!("more than {max} points: ask for longer steps, or over less time");
        Err(Error::limit(what).in_field("step"))
    }

    /// Adds what a segment knows of a source.
    pub(super) fn add_minutes(&mut self, of: OfSource) -> Result<()> {
        let series = Series { source: of.source, event_type: String::new() };
        let number = self.number_of(series);
        for (minute_number, minute) in of.minutes {
            let start = minute_start(minute_number);
            let place = self.place(number, start.0.div_euclid(self.step_ns));
            if let Some((_, _, point)) = self.points.get_mut(place) {
                point.count += minute.events;
                point.errors += minute.errors;
                point.durations.merge(minute.durations);
            }
        }
        self.check()
    }

    /// Takes over what another thread has added up.
    pub(super) fn join(&mut self, other: Sums) {
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

    /// Adds events of a frame; nothing of it if it is damaged.
    pub(super) fn add(&mut self, columns: &mut Columns<'_>, rows: &Selection) -> Result<()> {
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

    pub(super) fn finish(self) -> Vec<PointSeries> {
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

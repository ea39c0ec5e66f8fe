//! When requests come, and when the shop is unwell.

use annal::Timestamp;

use super::random::Random;

const MINUTES: usize = 1_440;
const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = MINUTES as i64 * MINUTE_NS;

/// What is wrong with the shop for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    /// The payment provider refuses connections: checkouts retry, many fail.
    PaymentDown,
    /// The catalogue's database has lost an index: everything that reads products is slow.
    CatalogSlow,
}

/// Arrival times with the shape of a day.
#[derive(Debug)]
pub(crate) struct Rhythm {
    start: i64,
    /// Share of a day's requests that have come by the end of each minute; the last is 1.
    by_minute: Vec<f64>,
    /// How much of a day one request is.
    step: f64,
    /// Days since the start, in requests.
    progress: f64,
    incidents: [(Incident, i64, i64); 2],
}

impl Rhythm {
    pub(crate) fn new(random: &mut Random, start: Timestamp, requests_per_day: f64) -> Rhythm {
        let minute_of_day = start.as_ns().rem_euclid(DAY_NS) / MINUTE_NS;
        let busy = |minute: usize| {
            let hour = (minute as i64 + minute_of_day) as f64 / 60.0;
            let bump = |peak: f64, width: f64| {
                let distance = (hour - peak).rem_euclid(24.0);
                let distance = distance.min(24.0 - distance);
                (-(distance / width) * (distance / width)).exp()
            };
            0.15 + 0.7 * bump(12.5, 3.0) + bump(20.0, 2.5)
        };
        let total: f64 = (0..MINUTES).map(busy).sum();
        let mut sum = 0.0;
        let by_minute = (0..MINUTES).map(|minute| {
            sum += busy(minute) / total;
            sum
        });
        let by_minute = by_minute.collect();
        let mut incident = |what, length_min: i64| {
            let begin = random.below((MINUTES as i64 - length_min) as u64) as i64 * MINUTE_NS;
            (what, begin, begin + length_min * MINUTE_NS)
        };
        let incidents = [incident(Incident::PaymentDown, 25), incident(Incident::CatalogSlow, 40)];
        let step = 1.0 / requests_per_day.max(1.0);
        Rhythm { start: start.as_ns(), by_minute, step, progress: 0.0, incidents }
    }

    /// When the next request comes.
    pub(crate) fn next(&mut self, random: &mut Random) -> Timestamp {
        self.progress += random.gap() * self.step;
        let day = self.progress.floor();
        let share = self.progress - day;
        let minute = self.by_minute.partition_point(|&by| by <= share).min(MINUTES - 1);
        let before = minute.checked_sub(1).and_then(|m| self.by_minute.get(m)).map_or(0.0, |&b| b);
        let by = self.by_minute.get(minute).map_or(1.0, |&b| b);
        let within = ((share - before) / (by - before)).clamp(0.0, 1.0);
        let in_day = minute as i64 * MINUTE_NS + (within * MINUTE_NS as f64) as i64;
        Timestamp(self.start.saturating_add(day as i64 * DAY_NS).saturating_add(in_day))
    }

    /// What is wrong at this instant.
    pub(crate) fn incident(&self, at: Timestamp) -> Option<Incident> {
        let in_day = at.as_ns().saturating_sub(self.start).rem_euclid(DAY_NS);
        let now = |&&(_, begin, end): &&(Incident, i64, i64)| begin <= in_day && in_day < end;
        self.incidents.iter().find(now).map(|&(what, _, _)| what)
    }
}

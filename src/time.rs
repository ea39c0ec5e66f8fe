//! Instants and ranges: integer nanoseconds since the Unix epoch, everywhere.
//!
//! Code above `storage` never asks the system for the time: it is handed a [`Clock`], so that the
//! simulator can run the same code on a virtual one.

use std::fmt;

/// Nanoseconds since 1970-01-01T00:00:00Z, signed so that differences and hostile input fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// One second in nanoseconds.
pub const SECOND_NS: i64 = 1_000_000_000;
/// One minute in nanoseconds.
pub const MINUTE_NS: i64 = 60 * SECOND_NS;

impl Timestamp {
    /// The earliest instant that can be written down.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// The latest instant that can be written down.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_ns(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `since` is inclusive, `until` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub since: Timestamp,
    /// First instant after.
    pub until: Timestamp,
}

impl TimeRange {
    /// Everything that can be stored.
    pub const ALL: TimeRange = TimeRange { since: Timestamp::MIN, until: Timestamp::MAX };

    /// Whether the instant lies inside.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.since <= time && time < self.until
    }

    /// Whether any instant between `min` and `max`, both inclusive, lies inside.
    #[must_use]
    pub fn overlaps(&self, min: Timestamp, max: Timestamp) -> bool {
        self.since <= max && min < self.until
    }
}

impl From<std::ops::Range<Timestamp>> for TimeRange {
    fn from(range: std::ops::Range<Timestamp>) -> TimeRange {
        TimeRange { since: range.start, until: range.end }
    }
}

/// Where the store gets the time from.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, for what is stored (`received`).
    fn now(&self) -> Timestamp;
    /// Nanoseconds that never go back, for time-outs and deadlines.
    fn monotonic_ns(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl SystemClock {
    /// The machine's clocks; monotonic time counts from here.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the home of the system clock")]
    pub fn new() -> SystemClock {
        SystemClock { started: std::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the home of the system clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A machine clock before 1970 reads as the epoch: `received` is informative only.
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

//! What was accepted and refused, for `/metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A number that goes up while something lasts.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// Lowers its gauge when dropped.
#[derive(Debug)]
#[must_use = "a dropped share lowers the gauge again"]
pub struct Raised(Gauge);

impl Gauge {
    /// One more, until what comes back is dropped.
    pub fn raise(&self) -> Raised {
        self.0.fetch_add(1, Ordering::Relaxed);
        Raised(self.clone())
    }

    /// How many there are.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One row of `annal_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// How it came in: `tcp`, `otlp`, `ndjson`...
    pub protocol: &'static str,
    /// Why it was refused: the name of an error kind, or a finer one of the protocol.
    pub reason: &'static str,
    /// Events refused; 1 for input whose events could not be counted.
    pub count: u64,
}

/// Counts since the process started.
#[derive(Debug, Default)]
pub struct Counters {
    accepted_events: AtomicU64,
    accepted_batches: AtomicU64,
    duplicates: AtomicU64,
    /// Few rows, written on refusals only.
    rejected: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    /// Open TCP connections of the native protocol.
    pub tcp_connections: Gauge,
}

impl Counters {
    /// Events that were acknowledged as durable, duplicates not counted.
    #[must_use]
    pub fn accepted_events(&self) -> u64 {
        self.accepted_events.load(Ordering::Relaxed)
    }

    /// Appends that were acknowledged as durable, duplicates not counted.
    #[must_use]
    pub fn accepted_batches(&self) -> u64 {
        self.accepted_batches.load(Ordering::Relaxed)
    }

    /// Appends that had been stored before.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates.load(Ordering::Relaxed)
    }

    /// Counts what was refused: events, or 1 if they could not be counted.
    pub fn reject(&self, protocol: &'static str, reason: &'static str, events: u64) {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry((protocol, reason)).or_default() += events.max(1);
    }

    /// All rows, by protocol and reason.
    #[must_use]
    pub fn rejected(&self) -> Vec<Rejected> {
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        let row =
            |(&(protocol, reason), &count): (&(_, _), &u64)| Rejected { protocol, reason, count };
        rejected.iter().map(row).collect()
    }

    pub(super) fn accept(&self, duplicate: bool, events: u64) {
        if duplicate {
            self.duplicates.fetch_add(1, Ordering::Relaxed);
        } else {
            self.accepted_events.fetch_add(events, Ordering::Relaxed);
            self.accepted_batches.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_protocol_and_reason() {
        let counters = Counters::default();
        counters.reject("tcp", "Invalid", 0);
        counters.reject("tcp", "Invalid", 5);
        counters.reject("otlp", "Limit", 2);
        let row = |protocol, reason, count| Rejected { protocol, reason, count };
        assert_eq!(counters.rejected(), [row("otlp", "Limit", 2), row("tcp", "Invalid", 6)]);
    }

    #[test]
    fn a_gauge_goes_down_with_what_it_counts() {
        let gauge = Gauge::default();
        let (one, two) = (gauge.raise(), gauge.raise());
        drop(one);
        assert_eq!(gauge.get(), 1);
        drop(two);
        assert_eq!(gauge.get(), 0);
    }
}

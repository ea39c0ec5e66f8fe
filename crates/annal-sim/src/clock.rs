//! A clock that stands still until it is moved.

use std::sync::atomic::{AtomicU64, Ordering};

use annal::time::Clock;
use annal::{Timestamp, time::SECOND_NS};

/// Where simulated time begins: 2025-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp(1_735_689_600 * SECOND_NS);

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    elapsed_ns: AtomicU64,
}

impl ManualClock {
    /// Moves both clocks forward.
    pub fn advance_ns(&self, by: u64) {
        self.elapsed_ns.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(START.0 + self.monotonic_ns() as i64)
    }

    fn monotonic_ns(&self) -> u64 {
        self.elapsed_ns.load(Ordering::Relaxed)
    }
}

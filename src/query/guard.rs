//! What a query may cost: a deadline, a number of events, and whether anybody still waits. Checked
//! at least once per frame. Also what it has cost, and what was left out as damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::query::{Query, Scanned};
use crate::time::{Clock, SystemClock};

/// Damages that an answer names.
const DAMAGE_MAX: usize = 100;

/// Limits and counters of one run of a query.
pub(super) struct Guard {
    clock: SystemClock,
    deadline_ms: u64,
    events_read_max: u64,
    cancel: Option<Arc<AtomicBool>>,
    partial: bool,
    /// What it has cost so far.
    pub(super) scanned: Scanned,
    /// What was left out.
    pub(super) damage: Vec<Error>,
}

impl Guard {
    /// The clock starts here.
    pub(super) fn new(query: &Query) -> Guard {
        Guard {
            clock: SystemClock::new(),
            deadline_ms: query.deadline_ms,
            events_read_max: query.events_read_max,
            cancel: query.cancel.clone(),
            partial: query.partial,
            scanned: Scanned::default(),
            damage: Vec::new(),
        }
    }

    /// Before a frame of this many events is read: may the query go on?
    pub(super) fn check(&self, events: u64) -> Result<()> {
        if self.cancel.as_ref().is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(Error::new(ErrorKind::Cancelled, "the query was cancelled"));
        }
        if self.clock.monotonic_ns() / 1_000_000 > self.deadline_ms {
            let ms = self.deadline_ms;
            let what = format!("not done after {ms} ms: narrow the query or allow it more time");
            return Err(Error::new(ErrorKind::Deadline, what));
        }
        if self.scanned.events_read.saturating_add(events) > self.events_read_max {
            let max = self.events_read_max;
            let what = format!("more than {max} events would be read: narrow the query");
            return Err(Error::limit(what).in_field("events_read_max"));
        }
        Ok(())
    }

    /// Damage is an error, unless the query asked for what is left.
    pub(super) fn tolerate<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        match outcome {
            Err(error) if self.partial && error.kind() == ErrorKind::Corrupt => {
                if self.damage.len() < DAMAGE_MAX {
                    self.damage.push(error);
                }
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

//! What a query may cost: a deadline, a number of events, and whether anybody still waits. Checked
//! at least once per frame. Also what it has cost, and what was left out as damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::query::{Query, Scanned};
use crate::time::{Clock, SystemClock};

/// Damages that an answer names.
const DAMAGE_MAX: usize = 100;

/// Limits and counters of one run of a query.
pub(super) struct Guard {
    clock: Arc<SystemClock>,
    deadline_ms: u64,
    events_read_max: u64,
    /// Events that all threads of the query have been allowed to read.
    events_allowed: Arc<AtomicU64>,
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
            clock: Arc::new(SystemClock::new()),
            deadline_ms: query.deadline_ms,
            events_read_max: query.events_read_max,
            events_allowed: Arc::default(),
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
        let max = self.events_read_max;
        let allow = |before: u64| before.checked_add(events).filter(|sum| *sum <= max);
        let allowed = &self.events_allowed;
        if allowed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, allow).is_err() {
            let what = format!("more than {max} events would be read: narrow the query");
            return Err(Error::limit(what).in_field("events_read_max"));
        }
        Ok(())
    }

    /// The same limits for another thread of the same query, with counters of its own.
    pub(super) fn fork(&self) -> Guard {
        Guard {
            clock: self.clock.clone(),
            events_allowed: self.events_allowed.clone(),
            cancel: self.cancel.clone(),
            scanned: Scanned::default(),
            damage: Vec::new(),
            ..*self
        }
    }

    /// Takes over what a fork has counted.
    pub(super) fn join(&mut self, fork: &mut Guard) {
        self.scanned += fork.scanned;
        self.damage.append(&mut fork.damage);
        self.damage.truncate(DAMAGE_MAX);
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

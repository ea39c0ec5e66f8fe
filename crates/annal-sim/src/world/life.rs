//! What happens between an open and the end of a life, one seeded action after another.

use annal::store::Next;
use annal::{Result, Store};

use super::{Action, World};
use crate::oracle::Violation;

/// Steps in which everything queued must be done.
const DRAIN_STEPS_MAX: usize = 2_000;
/// After so long without a batch any segment is sealed.
const SILENCE_NS: u64 = 61 * annal::time::SECOND_NS as u64;

impl World<'_> {
    /// So many random actions, or fewer if the power goes.
    pub fn live(&mut self, actions: usize) {
        for _ in 0..actions {
            if self.disk.is_off() {
                break;
            }
            let action = self.any_action();
            self.act(action);
        }
    }

    /// A run that meets every part of the engine and is the same every time: appends of all kinds,
    /// rotation, silence, maintenance, a close and a second life.
    pub fn script(&mut self, rounds: usize) {
        for round in 0..rounds {
            for step in 0..6 {
                self.act(Action::SendNext((round + step) % 3));
            }
            self.act(Action::SendUnnumbered);
            self.act(Action::StepCommitter);
            self.act(Action::Retry(round % 3));
            self.act(Action::Drain);
            self.act(Action::StepMaintenance);
            match round % 5 {
                1 => self.act(Action::AdvanceMs(150)),
                3 => self.act(Action::AdvanceMs(61_000)),
                _ => {}
            }
            for _ in 0..3 {
                self.act(Action::StepMaintenance);
                self.act(Action::StepCommitter);
                self.act(Action::StepCompactor);
                self.act(Action::StepScrub);
            }
            if round % 4 == 3 {
                self.act(Action::Compact);
            }
            if self.disk.is_off() {
                return;
            }
        }
    }

    /// Steps until nothing is left to do for now, and through the silence after which the last
    /// group's durability is put on record.
    pub fn rest(&mut self) {
        self.drain();
        for _ in 0..4 {
            self.act(Action::AdvanceMs(110));
            self.act(Action::StepCommitter);
            self.act(Action::StepMaintenance);
        }
    }

    /// Number of segments of the log.
    #[must_use]
    pub fn files_of_log(&self) -> usize {
        self.disk.files().keys().filter(|name| name.starts_with("log-")).count()
    }

    /// Leaves the disk so much room for everything together, and sends until it is used up.
    ///
    /// # Panics
    /// If the disk never gets full.
    pub fn fill(&mut self, capacity: u64) {
        self.disturbed = true;
        self.disk.set_capacity(Some(capacity));
        for _ in 0..2_000 {
            let refused = self.refused_full;
            self.send_unnumbered();
            self.drain();
            if self.refused_full > refused {
                return;
            }
        }
        panic!("the disk never gets full");
    }

    /// Commits what is queued, lets the segment fall silent, and seals it.
    pub(super) fn seal(&mut self) {
        self.drain();
        self.clock.advance_ns(SILENCE_NS);
        for step in [Store::step_committer, Store::step_maintenance, Store::step_maintenance] {
            self.step(step);
        }
    }

    /// Nothing rots by itself here: what the scrubber finds wrong is what the engine did wrong.
    pub(super) fn scrub(&mut self) {
        let store = self.store();
        store.step_scrub();
        let found = store.scrub_error();
        if let Some(error) = found.filter(|_| !self.disturbed && !self.disk.is_off()) {
            self.oracle.report(Violation::UnexpectedError, format!("scrub: {error}"));
        }
    }

    pub(super) fn step(&mut self, step: impl FnOnce(&Store) -> Result<Next>) -> Option<Next> {
        let next = step(self.store());
        next.map_err(|error| self.unless_expected(&error, "step")).ok()
    }

    /// Moves the clock to a moment that a step has named.
    pub(super) fn wait_until(&self, then: u64) {
        let now = annal::time::Clock::monotonic_ns(&*self.clock);
        self.clock.advance_ns(then.saturating_sub(now));
    }

    /// Everything that the manifest speaks for is what footers and digests say of it.
    pub fn verify(&mut self) {
        match self.store().verify(&mut |_| {}) {
            Ok(report) if report.damage.is_empty() => {}
            Ok(report) => {
                self.oracle.report(Violation::WrongBytes, format!("{:?}", report.damage));
            }
            Err(error) => self.unless_expected(&error, "verify"),
        }
    }

    /// Steps until every ticket is answered.
    pub fn drain(&mut self) {
        for _ in 0..DRAIN_STEPS_MAX {
            if self.tickets.is_empty() || self.disk.is_off() {
                return;
            }
            match self.step(Store::step_committer) {
                Some(Next::At(then)) => self.wait_until(then),
                Some(Next::Now) => {}
                Some(Next::Idle) | None => {
                    self.step(Store::step_maintenance);
                }
            }
            self.poll();
        }
        if !self.disturbed {
            let what = format!("{} tickets unanswered", self.tickets.len());
            self.oracle.report(Violation::UnexpectedError, what);
        }
    }

    /// Compares everything visible with the history.
    pub fn look(&mut self) {
        let snapshot = self.store().snapshot();
        if let Some(contents) = self.contents_of(&snapshot) {
            // Answers that have come count before what is seen.
            self.poll();
            self.oracle.observe(&contents, snapshot.next_sequence());
        }
    }

    pub(super) fn hold(&mut self) {
        let snapshot = self.store().snapshot();
        if let Some(contents) = self.contents_of(&snapshot) {
            self.held.push((snapshot, contents));
        }
    }

    /// A snapshot shows for ever what it showed first, whatever was deleted meanwhile.
    pub(super) fn look_at_held(&mut self) {
        for (snapshot, contents) in std::mem::take(&mut self.held) {
            self.seen.forget();
            let again = self.contents_of(&snapshot);
            if again.is_some_and(|again| again != contents) {
                self.oracle.report(Violation::WrongBytes, "a snapshot changed");
            }
        }
    }
}

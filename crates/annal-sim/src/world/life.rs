//! What happens between an open and the end of a life, one seeded action after another.

use annal::store::Next;
use annal::{Result, Store};

use super::World;
use crate::oracle::Violation;

/// Steps in which everything queued must be done.
const DRAIN_STEPS_MAX: usize = 2_000;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the method that it calls")]
pub enum Action {
    SendNext(usize),
    SendUnnumbered,
    Retry(usize),
    SendFenced(usize),
    SendGap(usize),
    StepCommitter,
    StepMaintenance,
    StepCompactor,
    StepScrub,
    Compact,
    AdvanceMs(u64),
    Look,
    Hold,
    LookAtHeld,
    Drain,
}

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

    /// A random action.
    pub fn any_action(&mut self) -> Action {
        let client = self.random.index(self.clients.len());
        match self.random.below(1_000) {
            0..350 => Action::SendNext(client),
            350..430 => Action::SendUnnumbered,
            430..480 => Action::Retry(client),
            480..490 => Action::SendFenced(client),
            490..500 => Action::SendGap(client),
            500..760 => Action::StepCommitter,
            760..820 => Action::StepMaintenance,
            820..840 => Action::StepCompactor,
            840..845 => Action::Compact,
            845..850 => Action::StepScrub,
            850..900 => Action::AdvanceMs(self.random.below(150)),
            900..935 => Action::AdvanceMs(1_000 + self.random.below(65_000)),
            935..955 => Action::Look,
            955..970 => Action::Hold,
            970..985 => Action::LookAtHeld,
            _ => Action::Drain,
        }
    }

    /// Does one thing and passes on the answers.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::SendNext(client) => self.send_next(client),
            Action::SendUnnumbered => self.send_unnumbered(),
            Action::Retry(client) => self.retry(client),
            Action::SendFenced(client) => self.send_fenced(client),
            Action::SendGap(client) => self.send_gap(client),
            Action::StepCommitter => drop(self.step(Store::step_committer)),
            Action::StepMaintenance => drop(self.step(Store::step_maintenance)),
            Action::StepCompactor => drop(self.step(Store::step_compactor)),
            Action::StepScrub => self.scrub(),
            Action::Compact => drop(self.step(|store| store.compact().map(|()| Next::Idle))),
            Action::AdvanceMs(ms) => self.clock.advance_ns(ms * 1_000_000),
            Action::Look => self.look(),
            Action::Hold => self.hold(),
            Action::LookAtHeld => self.look_at_held(),
            Action::Drain => self.drain(),
        }
        self.poll();
    }

    /// Nothing rots by itself here: what the scrubber finds wrong is what the engine did wrong.
    fn scrub(&mut self) {
        let store = self.store();
        store.step_scrub();
        let found = store.scrub_error();
        if let Some(error) = found.filter(|_| !self.disturbed && !self.disk.is_off()) {
            self.oracle.report(Violation::UnexpectedError, format!("scrub: {error}"));
        }
    }

    fn step(&mut self, step: impl FnOnce(&Store) -> Result<Next>) -> Option<Next> {
        let next = step(self.store());
        next.map_err(|error| self.unless_expected(&error, "step")).ok()
    }

    /// Steps until every ticket is answered.
    pub fn drain(&mut self) {
        for _ in 0..DRAIN_STEPS_MAX {
            if self.tickets.is_empty() || self.disk.is_off() {
                return;
            }
            match self.step(Store::step_committer) {
                Some(Next::At(then)) => {
                    let now = annal::time::Clock::monotonic_ns(&*self.clock);
                    self.clock.advance_ns(then.saturating_sub(now));
                }
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

    fn hold(&mut self) {
        let snapshot = self.store().snapshot();
        if let Some(contents) = self.contents_of(&snapshot) {
            self.held.push((snapshot, contents));
        }
    }

    /// A snapshot shows for ever what it showed first, whatever was deleted meanwhile.
    fn look_at_held(&mut self) {
        for (snapshot, contents) in std::mem::take(&mut self.held) {
            self.seen.clear();
            let again = self.contents_of(&snapshot);
            if again.is_some_and(|again| again != contents) {
                self.oracle.report(Violation::WrongBytes, "a snapshot changed");
            }
        }
    }
}

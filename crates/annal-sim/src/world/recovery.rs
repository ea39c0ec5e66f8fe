//! Ends of lives, and what comes after them.

use std::sync::Arc;

use annal::{OpenReport, Store};

use super::{RunReport, World, guarded};
use crate::Load;
use crate::disk::{Loss, SimStorage};
use crate::oracle::{Stored, Violation};

/// A recovery that is interrupted this often without getting through is not one.
const RECOVERIES_MAX: usize = 60;

impl World<'_> {
    /// The power goes now, if it has not yet.
    pub fn lose_power(&mut self, loss: Loss) {
        self.disk.lose_power();
        self.report.crashes += 1;
        let found = self.disk.after(loss);
        self.leave(found);
    }

    /// A loss that the seed chooses.
    pub fn any_loss(&mut self) -> Loss {
        Loss::from_seed(self.random.next_u64(), self.disk.changes())
    }

    /// The process is killed.
    pub fn kill(&mut self) {
        self.report.kills += 1;
        let found = self.disk.after_kill();
        self.leave(found);
    }

    /// A clean stop: every ticket is answered and the next open has nothing to recover. False if
    /// something came in between.
    pub fn close(&mut self) -> bool {
        let closed = self.store().close();
        // A close commits group after group: those before the sync that failed are acknowledged.
        self.pass_on();
        self.note_failed_sync();
        match closed {
            Ok(()) => {
                self.report.closes += 1;
                if !self.disturbed {
                    self.oracle.closed();
                }
                let found = self.disk.after_kill();
                self.leave(found);
                self.closed = true;
                true
            }
            Err(error) => {
                self.unless_expected(&error, "close");
                false
            }
        }
    }

    /// What would be if the power went now and this were lost: the store is opened, read, written and
    /// closed. The world itself goes on as if nothing had happened.
    #[must_use]
    pub fn imagine(&self, loss: Loss) -> RunReport {
        let mut world = World::new(1, self.settings, self.stock);
        world.oracle = self.oracle.clone();
        world.disk = self.disk.after(loss);
        world.seen = self.seen.clone();
        world.seen.forget();
        guarded(world, |world| {
            if !world.recover(0) {
                return;
            }
            world.send_unnumbered();
            world.drain();
            world.look();
            if world.close() && world.recover(0) {
                world.look();
                // Where blocks are copied footers are, too; elsewhere it would be most of the work.
                if world.settings.load == Load::Many {
                    world.verify();
                }
            }
        })
    }

    fn leave(&mut self, found: SimStorage) {
        self.poll();
        self.held.clear();
        self.tickets.clear();
        self.seen.forget();
        self.let_go();
        // What was refused for lack of space gave its sequences back.
        if !self.disturbed {
            self.oracle.given(found.sequences_given());
        }
        self.disk = found;
        (self.disturbed, self.sync_failed, self.closed) = (false, false, false);
        for client in 0..self.clients.len() {
            let new_epoch = self.random.percent(5);
            self.clients[client].restart(new_epoch);
        }
    }

    /// Nobody uses the store any more; what its compactor did goes into the report.
    pub(super) fn let_go(&mut self) {
        if let Some(store) = self.store.take() {
            self.report.blocks_copied += store.stats().compaction_blocks_copied;
        }
    }

    fn try_open(&mut self) -> annal::Result<(Store, OpenReport)> {
        let options = self.options();
        Store::open_with(Arc::new(self.disk.clone()), self.clock.clone(), options)
    }

    /// Opens the store, whatever interrupts it, and lets the oracle look. False ends the run.
    pub fn recover(&mut self, interrupt_percent: u64) -> bool {
        for _ in 0..RECOVERIES_MAX {
            if self.random.percent(interrupt_percent) {
                let after = self.random.below(24);
                self.disk.lose_power_after(after);
            }
            match self.try_open() {
                Ok((store, report)) => {
                    self.disk.lose_power_never();
                    return self.opened(store, &report);
                }
                Err(_) if self.disk.is_off() => {
                    self.report.crashes += 1;
                    let loss = self.any_loss();
                    self.disk = self.disk.after(loss);
                    self.closed = false;
                }
                Err(error) => {
                    self.oracle.report(Violation::Refused, format!("{error:?}"));
                    return false;
                }
            }
        }
        self.oracle.report(Violation::Refused, "recovery never gets through");
        false
    }

    /// One attempt to open; what an injected error or a lost power prevents is no finding.
    pub fn open_once(&mut self) {
        match self.try_open() {
            Ok((store, _)) => {
                self.store = Some(store);
                self.look();
            }
            Err(error) => self.unless_expected(&error, "open"),
        }
    }

    /// Whether a store is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.store.is_some()
    }

    fn opened(&mut self, store: Store, report: &OpenReport) -> bool {
        self.report.recovered += report.events_recovered;
        if self.closed && (!report.clean || report.torn_bytes > 0) {
            self.oracle.report(Violation::WrongAnswer, format!("after a close: {report:?}"));
        }
        let snapshot = store.snapshot();
        self.store = Some(store);
        let Some(contents) = self.contents_of(&snapshot) else { return false };
        self.oracle.observe(&contents, snapshot.next_sequence());
        self.oracle.settle();
        match self.random.below(10) {
            0 | 1 => {
                let killed = self.disk.after_kill();
                self.recovers_again(killed, &contents)
            }
            2 | 3 => {
                let lost = self.disk.after(Loss::All);
                self.recovers_again(lost, &contents)
            }
            _ => true,
        }
    }

    /// What was recovered is durable, and a second recovery gives the same (REC-1).
    fn recovers_again(&mut self, found: SimStorage, contents: &[Stored]) -> bool {
        self.leave(found);
        let (store, report) = match self.try_open() {
            Ok(opened) => opened,
            Err(error) => {
                self.oracle.report(Violation::Refused, format!("second open: {error:?}"));
                return false;
            }
        };
        let snapshot = store.snapshot();
        self.store = Some(store);
        let again = self.contents_of(&snapshot);
        if again.as_deref() != Some(contents) || report.torn_bytes != 0 {
            let what = format!("{} batches, then {again:?}, {report:?}", contents.len());
            self.oracle.report(Violation::NotIdempotent, what);
        }
        self.oracle.observe(again.as_deref().unwrap_or_default(), snapshot.next_sequence());
        true
    }
}

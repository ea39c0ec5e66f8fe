//! What waits for compaction: batches are refused while it is too much, never while compaction is
//! paused, and no longer when it is worked off. A batch that is refused has no ticket: the oracle
//! does not know it, and finds a phantom wherever it appears.

use annal::store::Next;
use annal::{Error, ErrorKind, Store};

use super::World;
use crate::oracle::{Key, Violation};

/// Steps in which any debt must be worked off.
const WORK_OFF_STEPS_MAX: usize = 5_000;

impl World<'_> {
    /// Pauses the compactor or lets it go on.
    pub(super) fn pause(&mut self, pause: bool) {
        self.store().pause_compaction(pause);
        let stats = self.store().stats();
        if stats.compaction_paused != pause || pause && stats.compaction_refuses {
            self.oracle.report(Violation::WrongAnswer, format!("pause {pause}: {stats:?}"));
        }
    }

    /// A batch was refused at once. Only too much that waits explains that it is to come later, and
    /// what is stored is never refused for it.
    pub(super) fn note_refused(&mut self, error: &Error, key: Option<Key>) {
        if error.kind() != ErrorKind::Busy {
            return;
        }
        self.report.refused_for_debt += 1;
        let stats = self.store().stats();
        let is_stored = key.is_some_and(|key| self.oracle.is_stored(&key));
        if !stats.compaction_refuses || stats.compaction_paused || is_stored {
            let what = format!("{key:?}, stored: {is_stored}: {error:?} with {stats:?}");
            self.oracle.report(Violation::WrongAnswer, what);
        }
    }

    /// Steps the compactor until nobody is refused for what waits, and sends something.
    pub(super) fn work_off(&mut self) {
        self.pause(false);
        self.step(Store::step_compactor);
        let refused = self.store().stats().compaction_refuses;
        for _ in 0..WORK_OFF_STEPS_MAX {
            if self.disk.is_off() || self.store().is_poisoned() {
                return;
            }
            if !self.store().stats().compaction_refuses {
                self.report.debts_worked_off += u64::from(refused);
                self.send_unnumbered();
                return;
            }
            if let Some(Next::At(then)) = self.step(Store::step_compactor) {
                self.wait_until(then);
            }
        }
        if !self.disturbed {
            self.oracle.report(Violation::UnexpectedError, "batches are refused for ever");
        }
    }
}

//! A store, its disk, its clock, its producers and the oracle that watches them.
//!
//! A world goes through *lives*: the store is opened, things happen to it, and the life ends by power
//! loss, by a kill, or by a close. After each end the disk is opened again, which may be interrupted
//! too, and the oracle looks.

mod actions;
mod debt;
mod life;
mod producers;
mod recovery;
mod run;

use std::sync::Arc;

use annal::options::Retention;
use annal::store::Snapshot;
use annal::{Error, Options, Store, Ticket};

use crate::clock::ManualClock;
use crate::disk::{Fault, Lie, SimStorage};
use crate::oracle::{Finding, Oracle, SendId, Stored, Violation};
use crate::random::Random;
use crate::stock::{Load, Seen, Stock};
use producers::Client;

pub use actions::Action;
pub use run::{RunReport, Summary, crash_run, guarded};

/// What kind of world.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes of a full segment.
    pub segment_bytes: u64,
    /// What is deleted.
    pub retention: Retention,
    /// How the disk lies, if it does.
    pub lie: Option<Lie>,
    /// Of 100 looks, those that compare every field of every event.
    pub deep_percent: u64,
    /// Of 100 lives, those in which one call fails.
    pub fault_percent: u64,
    /// What is sent.
    pub load: Load,
    /// Bytes of sealed log that may wait for compaction.
    pub compaction_debt_bytes_max: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            segment_bytes: annal::limits::SEGMENT_BYTES_MIN,
            retention: Retention::default(),
            lie: None,
            deep_percent: 10,
            fault_percent: 10,
            load: Load::Few,
            compaction_debt_bytes_max: annal::limits::COMPACTION_DEBT_BYTES_DEFAULT,
        }
    }
}

/// See the module's documentation.
pub struct World<'a> {
    /// What is kept outside the store.
    pub oracle: Oracle,
    /// Where the store lives.
    pub disk: SimStorage,
    /// What happened so far.
    pub report: RunReport,
    stock: &'a Stock,
    settings: Settings,
    random: Random,
    clock: Arc<ManualClock>,
    store: Option<Store>,
    clients: Vec<Client>,
    tickets: Vec<Waiting>,
    held: Vec<(Snapshot, Vec<Stored>)>,
    /// What was read: looked at again, it is not decompressed again.
    seen: Seen,
    /// An error was injected into this life: failures are not surprising.
    disturbed: bool,
    /// Batches refused because the disk was full.
    refused_full: u64,
    /// The last life ended with a close: there is nothing to recover.
    closed: bool,
    /// A sync failed in this life: nothing may be acknowledged any more.
    sync_failed: bool,
}

/// A ticket without an answer.
struct Waiting {
    ticket: Ticket,
    id: SendId,
    client: Option<usize>,
    number: u64,
    /// Only this answer is right.
    must_fail: Option<annal::ErrorKind>,
}

impl<'a> World<'a> {
    /// A world with an empty disk and no open store.
    #[must_use]
    pub fn new(seed: u64, settings: Settings, stock: &'a Stock) -> World<'a> {
        let disk = SimStorage::new();
        disk.set_lie(settings.lie);
        let deletes = settings.retention != Retention::default();
        World {
            oracle: Oracle::new(deletes),
            disk,
            report: RunReport::default(),
            stock,
            settings,
            random: Random::new(seed),
            clock: Arc::new(ManualClock::default()),
            store: None,
            clients: (0..3).map(Client::new).collect(),
            tickets: Vec::new(),
            held: Vec::new(),
            seen: Seen::default(),
            disturbed: false,
            refused_full: 0,
            closed: false,
            sync_failed: false,
        }
    }

    /// What was found wrong so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.oracle.findings()
    }

    /// The open store.
    ///
    /// # Panics
    /// If none is open.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("a store is open")
    }

    /// One call of this life will fail.
    pub fn inject(&mut self, fault: Fault) {
        self.disturbed = true;
        self.disk.set_fault(Some(fault));
    }

    fn options(&mut self) -> Options {
        Options {
            segment_bytes: self.settings.segment_bytes,
            retention: self.settings.retention,
            compaction_debt_bytes_max: self.settings.compaction_debt_bytes_max,
            manual: true,
            seed: Some(self.random.next_u64()),
            ..Options::new("simulated")
        }
    }

    /// What a store shows, as the oracle wants it; `None` if the power went meanwhile.
    fn contents_of(&mut self, snapshot: &Snapshot) -> Option<Vec<Stored>> {
        let deep = self.random.percent(self.settings.deep_percent);
        match self.stock.recognise_new(snapshot, deep, &mut self.seen) {
            Ok(contents) => Some(contents),
            Err(error) => {
                self.unless_expected(&error, "reading");
                None
            }
        }
    }

    /// An error that nothing explains is a finding.
    fn unless_expected(&mut self, error: &Error, doing: &str) {
        if !self.disk.is_off() && !self.disturbed {
            self.oracle.report(Violation::UnexpectedError, format!("{doing}: {error:?}"));
        }
    }
}

//! The store: open, append, snapshot, close. See `storage-format.md` and ARCHITECTURE.md.

use std::sync::{Arc, Mutex, PoisonError};

use crate::column::Batch;
use crate::error::Result;
use crate::event::ProducerId;
use crate::options::Options;
use crate::storage::{DiskStorage, Storage};
use crate::time::{Clock, SystemClock};

mod admission;
mod audit;
mod cache;
mod committer;
mod compaction;
mod completion;
mod driver;
mod maintenance;
mod manifest_log;
mod open;
mod producers;
mod random;
mod recovery;
mod repair;
mod retention;
mod scrub;
mod snapshot;
mod state;
mod stats;
mod ticket;
mod verify;
mod version;
mod views;
mod workers;

pub use compaction::{CompactCallback, CompactProgress};
pub use snapshot::{SegmentView, Snapshot};
pub use stats::StoreStats;
pub use ticket::{Ack, Ticket};
pub use verify::{VerifyCallback, VerifyProgress, VerifyReport};
pub use version::{SegmentAttributes, SegmentLinks};
pub(crate) use workers::Workers;

use compaction::Debt;
use driver::Threads;
use open::Opened;
use scrub::Scrubber;
use state::{Core, Mode};

/// What an open found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Frames found in segments that had to be scanned.
    pub frames_recovered: u64,
    /// Events in them.
    pub events_recovered: u64,
    /// Bytes of a torn tail that nobody was acknowledged for.
    pub torn_bytes: u64,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// How long it took.
    pub elapsed_ns: u64,
}

/// What a state machine wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Step again at once.
    Now,
    /// Step again when the monotonic clock shows this, or when woken.
    At(u64),
    /// Step again when woken.
    Idle,
}

/// An open store; clones share it. Dropping the last one without [`Store::close`] stops the threads
/// and leaves the rest to recovery, as a kill would.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    threads: Mutex<Option<Threads>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop_threads();
    }
}

impl Handle {
    fn stop_threads(&self) {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(threads) = threads {
            threads.stop(&self.core);
        }
    }
}

impl Store {
    /// Opens or creates the store in a directory and starts its threads.
    pub fn open(options: Options) -> Result<(Store, OpenReport)> {
        let storage = DiskStorage::open(&options.directory, options.read_mode)?;
        Store::open_with(Arc::new(storage), Arc::new(SystemClock::new()), options)
    }

    /// Opens a store on any storage and clock. With `options.manual` no thread is started: the
    /// caller drives [`Store::step_committer`], [`Store::step_maintenance`],
    /// [`Store::step_compactor`] and [`Store::step_scrub`].
    pub fn open_with(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<(Store, OpenReport)> {
        let manual = options.manual;
        let Opened { core, report } = open::open(storage, clock, options)?;
        let core = Arc::new(core);
        let threads = if manual { None } else { Some(Threads::start(&core)?) };
        let handle = Handle { core, threads: Mutex::new(threads) };
        Ok((Store { handle: Arc::new(handle) }, report))
    }

    /// Opens for reading only, beside no writer, and changes nothing on disk.
    pub fn open_read_only(options: Options) -> Result<Store> {
        let storage = DiskStorage::open_existing(&options.directory, options.read_mode)?;
        let clock = Arc::new(SystemClock::new());
        Store::open_read_only_with(Arc::new(storage), clock, options).map(|(store, _)| store)
    }

    /// As [`Store::open_read_only`], on any storage; the report says what an open would find.
    pub fn open_read_only_with(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<(Store, OpenReport)> {
        let Opened { core, report } = open::open_read_only(storage, clock, options)?;
        let handle = Handle { core: Arc::new(core), threads: Mutex::new(None) };
        Ok((Store { handle: Arc::new(handle) }, report))
    }

    /// A handle that numbers its batches, so that retries are stored once. A newer epoch fences the
    /// older ones off with its first batch.
    pub fn producer(&self, id: ProducerId, epoch: u32) -> Result<Producer> {
        let state = self.handle.core.state();
        state.check_open()?;
        state.producers.next_number(id, epoch)?;
        drop(state);
        Ok(Producer { store: self.clone(), id, epoch })
    }

    /// Queues a batch for the next group. Batches with a producer id are deduplicated. Fails with
    /// `Busy` at once when the queue is at its limit, or too much waits for compaction.
    pub fn append(&self, batch: Batch) -> Result<Ticket> {
        self.handle.core.append(vec![batch])
    }

    /// Queues several batches as one: all are admitted or none; the ticket completes when the last
    /// is durable, with the first sequence of the first.
    pub fn append_all(&self, batches: Vec<Batch>) -> Result<Ticket> {
        self.handle.core.append(batches)
    }

    /// The number that the producer's next batch must have, those in the queue counted; `None` if
    /// the store does not know the producer (it starts at 0 then). `Fenced` for an epoch older than
    /// the newest one seen; a newer epoch than that starts at 0.
    pub fn next_batch_number(&self, id: ProducerId, epoch: u32) -> Result<Option<u64>> {
        let state = self.handle.core.state();
        let known = state.producers.knows(id);
        state.producers.next_number(id, epoch).map(|number| known.then_some(number))
    }

    /// Everything durable at this moment, pinned.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let core = &self.handle.core;
        let state = core.state();
        let (version, active) = (state.version.clone(), state.active.clone());
        let next_sequence = state.next_sequence;
        drop(state);
        let segments = version.segments.iter().cloned().chain(active);
        let number = version.manifest_number;
        Snapshot::new(core.store_id, number, next_sequence, segments, &core.context)
    }

    /// One step of the committer: closes, writes and syncs at most one group; without one a
    /// watermark frame or the end of a silent segment. An error has poisoned the store.
    pub fn step_committer(&self) -> Result<Next> {
        self.handle.core.step_committer()
    }

    /// One step of maintenance: footers of full segments, retention, free space. An error has
    /// poisoned the store.
    pub fn step_maintenance(&self) -> Result<Next> {
        self.handle.core.step_maintenance()
    }

    /// One step of the compactor: plans a job, or writes a block of the one that runs, or makes its
    /// file part of the store. An error has poisoned the store.
    pub fn step_compactor(&self) -> Result<Next> {
        self.handle.core.step_compactor()
    }

    /// One step of the scrubber: reads a piece of a sealed or compacted file, if one is due, and
    /// holds the file against its digest behind the last. What is wrong is counted, and said by
    /// [`Store::scrub_error`].
    pub fn step_scrub(&self) -> Next {
        self.handle.core.step_scrub()
    }

    /// The first damage that the scrubber has found since the store was opened, with the file.
    /// Nothing was changed for it; [`Store::verify`] says what it is.
    #[must_use]
    pub fn scrub_error(&self) -> Option<crate::Error> {
        self.handle.core.counters.scrub_error()
    }

    /// Compacts what is sealed until nothing is left to do; appends and queries go on meanwhile.
    /// What the active segment holds stays where it is. An error that is not `Poisoned` has changed
    /// nothing but what was compacted before; after `Corrupt` all else has been compacted.
    pub fn compact(&self) -> Result<()> {
        self.compact_with(&mut |_| {})
    }

    /// As [`Store::compact`]; told about progress after each block.
    pub fn compact_with(&self, progress: CompactCallback<'_>) -> Result<()> {
        let core = &self.handle.core;
        core.compactor().run_to_end(core, progress)
    }

    /// Pauses compaction after the step it is in, or lets it go on where it stood; what a job has
    /// written takes its place meanwhile. While it is paused [`Store::compact`] still compacts, and
    /// no append is refused for what waits. A store that is opened is not paused.
    pub fn pause_compaction(&self, pause: bool) {
        let core = &self.handle.core;
        let mut state = core.state();
        state.compaction_paused = pause;
        if pause {
            state.debt = Debt::default();
        }
        drop(state);
        core.compactor_wake.wake();
    }

    /// What the last job of compaction that failed since the store was opened has met: a full disk,
    /// or an input with file and offset, which is left as it is until the store is opened anew.
    #[must_use]
    pub fn compaction_error(&self) -> Option<crate::Error> {
        self.handle.core.counters.compaction_error()
    }

    /// Reads everything and holds it against manifest and checksums; damage is in the report, with
    /// file and offset. Appends and queries go on meanwhile.
    pub fn verify(&self, progress: VerifyCallback<'_>) -> Result<VerifyReport> {
        self.handle.core.verify(progress)
    }

    /// As [`Store::verify`], for a directory that no process writes to; it need not be fit to be
    /// opened. Changes nothing.
    pub fn verify_directory(
        options: &Options,
        progress: VerifyCallback<'_>,
    ) -> Result<VerifyReport> {
        let storage = DiskStorage::open_existing(&options.directory, options.read_mode)?;
        verify::verify_directory(&storage, &options.lock_note, progress)
    }

    /// As [`Store::verify_directory`], on any storage.
    pub fn verify_with(
        storage: &dyn Storage,
        options: &Options,
        progress: VerifyCallback<'_>,
    ) -> Result<VerifyReport> {
        verify::verify_directory(storage, &options.lock_note, progress)
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.handle.core.stats()
    }

    /// Whether a sync or write failed: no more appends, reads go on; restart the process.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.handle.core.state().is_poisoned()
    }

    /// Finishes what is queued, seals, writes the manifest, stops the threads, gives the lock back.
    /// Snapshots go on reading. A second close does nothing.
    pub fn close(&self) -> Result<()> {
        let core = &self.handle.core;
        let mut state = core.state();
        let mode = std::mem::replace(&mut state.mode, Mode::Closed);
        if let Mode::Poisoned(_) = mode {
            state.mode = mode.clone();
        }
        drop(state);
        self.handle.stop_threads();
        let finished = match mode {
            Mode::Open => core.finish(),
            Mode::ReadOnly | Mode::Closed => Ok(()),
            Mode::Poisoned(_) => core.state().check_open(),
        };
        core.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        finished
    }
}

impl Core {
    fn step_committer(&self) -> Result<Next> {
        self.committer().step(self)
    }

    fn step_compactor(&self) -> Result<Next> {
        self.compactor().step(self)
    }

    fn step_maintenance(&self) -> Result<Next> {
        self.maintenance().step(self)
    }

    fn step_scrub(&self) -> Next {
        self.scrubber().step(self)
    }

    /// What a close has to do when no thread runs any more.
    fn finish(&self) -> Result<()> {
        let mut committer = self.committer();
        loop {
            committer.step(self)?;
            let state = self.state();
            if state.is_poisoned() {
                return state.check_open();
            }
            if state.queue.is_empty() && committer.is_drained() {
                break;
            }
        }
        let poison = |error: crate::Error| match error.changed_nothing() {
            true => error,
            false => self.poison(&error),
        };
        self.compactor().give_up(self).map_err(poison)?;
        // What it pins could not be removed any more.
        *self.scrubber() = Scrubber::default();
        committer.end_active(self).map_err(poison)?;
        self.maintenance().finish(self).map_err(poison)
    }

    fn stats(&self) -> StoreStats {
        let mut stats = self.counters.stats();
        let state = self.state();
        stats.queue_bytes = state.in_flight_bytes as u64;
        stats.segments =
            (state.version.segments.len() + usize::from(state.active.is_some())) as u64;
        let named = state.version.segments.iter().map(|v| v.segment.pin.length()).sum::<u64>();
        stats.log_bytes = named + state.active.iter().map(|v| v.segment.pin.length()).sum::<u64>();
        stats.active_bytes =
            state.active.as_ref().map_or(0, |v| v.summary.end_position - v.summary.base_position);
        let log = state.version.segments.iter().filter(|v| !v.segment.compacted);
        let log_bytes = log.chain(&state.active).map(|v| v.segment.pin.length()).sum();
        stats.compaction_debt_bytes = log_bytes;
        stats.compaction_refuses = state.debt.refuses;
        stats.compaction_paused = state.compaction_paused;
        stats.producers = state.producers.len() as u64;
        stats.next_sequence = state.next_sequence;
        stats.poisoned = state.is_poisoned();
        stats.full = state.space_low;
        stats
    }
}

/// A producer inside the process: its batches get the numbers that the store expects next.
pub struct Producer {
    store: Store,
    id: ProducerId,
    epoch: u32,
}

impl Producer {
    /// Validated and queued; see [`Store::append`].
    pub fn append(&mut self, batch: Batch) -> Result<Ticket> {
        let core = &self.store.handle.core;
        core.append_next(batch, self.id, self.epoch).map(|(ticket, _)| ticket)
    }

    /// The number that the next batch gets: how many were stored or are in flight. A program that
    /// reads from a source of its own goes on behind so many batches.
    pub fn next_number(&self) -> Result<u64> {
        self.store.handle.core.state().producers.next_number(self.id, self.epoch)
    }
}

#[cfg(test)]
mod tests;

//! The store: open, append, snapshot, close. See `storage-format.md` and ARCHITECTURE.md.

use std::sync::Arc;

use crate::column::Batch;
use crate::error::Result;
use crate::event::ProducerId;
use crate::options::Options;
use crate::storage::Storage;
use crate::time::Clock;

mod snapshot;
mod ticket;

pub use snapshot::{SegmentView, Snapshot};
pub use ticket::{Ack, Ticket};

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

/// An open store; clones share it.
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Opens or creates the store in a directory and starts its threads.
    pub fn open(options: Options) -> Result<(Store, OpenReport)> {
        let _ = options;
        todo!("store")
    }

    /// Opens a store on any storage and clock. With `options.manual` no thread is started: the
    /// caller drives [`Store::step_committer`] and [`Store::step_maintenance`].
    pub fn open_with(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<(Store, OpenReport)> {
        let _ = (storage, clock, options);
        todo!("store")
    }

    /// Opens for reading only, beside no writer, and changes nothing on disk.
    pub fn open_read_only(options: Options) -> Result<Store> {
        let _ = options;
        todo!("store")
    }

    /// A handle that numbers its batches, so that retries are stored once.
    pub fn producer(&self, id: ProducerId, epoch: u32) -> Result<Producer> {
        let _ = (id, epoch);
        todo!("store")
    }

    /// Queues a batch for the next group. Batches with a producer id are deduplicated. Fails with
    /// `Busy` at once when the queue is at its limit.
    pub fn append(&self, batch: Batch) -> Result<Ticket> {
        let _ = batch;
        todo!("store")
    }

    /// Queues several batches as one: all are admitted or none; the ticket completes when the last
    /// is durable, with the first sequence of the first.
    pub fn append_all(&self, batches: Vec<Batch>) -> Result<Ticket> {
        let _ = batches;
        todo!("store")
    }

    /// The number that the producer's next batch must have, those in the queue counted; `None` if
    /// the store does not know the producer (it starts at 0 then). `Fenced` for an epoch older than
    /// the newest one seen; a newer epoch than that starts at 0.
    pub fn next_batch_number(&self, id: ProducerId, epoch: u32) -> Result<Option<u64>> {
        let _ = (id, epoch);
        todo!("store")
    }

    /// Everything durable at this moment, pinned.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        todo!("store")
    }

    /// One step of the committer: closes, writes and syncs at most one group, or seals.
    pub fn step_committer(&self) -> Result<Next> {
        todo!("store")
    }

    /// One step of maintenance: footers of full segments, retention, watermark frames.
    pub fn step_maintenance(&self) -> Result<Next> {
        todo!("store")
    }

    /// Finishes what is queued, seals, writes the manifest, stops the threads.
    pub fn close(&self) -> Result<()> {
        todo!("store")
    }
}

/// A producer inside the process: numbers batches and remembers what comes next.
pub struct Producer {}

impl Producer {
    /// Validated and queued; see [`Store::append`].
    pub fn append(&mut self, batch: Batch) -> Result<Ticket> {
        let _ = batch;
        todo!("store")
    }
}

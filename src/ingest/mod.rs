//! The asynchronous way in: admission under one byte budget, validation off the reactor,
//! acknowledgements to await, and queries on their own threads. tokio begins here.
//!
//! Backpressure lives here and nowhere above: whoever takes bytes from outside asks for a
//! [`Permit`] first and gives it away with the batches, and the permit ends when they are durable.
//! What waits without a permit waits in the peer's memory, not in ours.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::column::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::event::ProducerId;
use crate::format::frame::FrameHeader;
use crate::limits;
use crate::store::{Snapshot, Store};
use crate::time::{Clock, SystemClock};

mod admission;
mod counters;
mod pending;
mod slots;

pub use crate::store::Ack;
pub use admission::Permit;
pub use counters::{Counters, Gauge, Raised, Rejected};
pub use pending::Pending;
pub use slots::Slots;

use admission::Budget;

/// Batches whose raw payload is larger are validated away from the reactor: below, the hop between
/// threads costs more than the delay that the other connections would see.
const INLINE_RAW_BYTES_MAX: u32 = 64 << 10;
/// When a caller that found the budget exhausted should come back.
const RETRY_AFTER_MS: u64 = 500;

/// How an [`Ingest`] is made.
#[derive(Clone)]
pub struct IngestOptions {
    /// Bytes admitted and not yet durable, over all connections and protocols.
    pub in_flight_bytes_max: usize,
    /// Queries that run at a time.
    pub query_threads: usize,
    /// Batches that are validated away from the reactor at a time.
    pub validation_threads: usize,
    /// What bounds the times of events.
    pub clock: Arc<dyn Clock>,
}

impl Default for IngestOptions {
    fn default() -> IngestOptions {
        IngestOptions {
            in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX,
            query_threads: limits::QUERY_THREADS,
            validation_threads: limits::VALIDATION_THREADS,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

/// The pipeline in front of a store; clones share it. Its methods need a tokio runtime.
#[derive(Clone)]
pub struct Ingest {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    budget: Budget,
    counters: Counters,
    clock: Arc<dyn Clock>,
    validations: Slots,
    queries: Slots,
    queries_waiting: Gauge,
    poisoned: watch::Sender<Option<Error>>,
}

impl Ingest {
    /// The pipeline in front of this store.
    #[must_use]
    pub fn new(store: Store, options: IngestOptions) -> Ingest {
        let shared = Shared {
            store,
            budget: Budget::new(options.in_flight_bytes_max),
            counters: Counters::default(),
            clock: options.clock,
            validations: Slots::new(options.validation_threads),
            queries: Slots::new(options.query_threads),
            queries_waiting: Gauge::default(),
            poisoned: watch::Sender::new(None),
        };
        Ingest { shared: Arc::new(shared) }
    }

    /// Waits until this many bytes fit the budget; first come, first served. `Limit` if they never
    /// can, `Closed` once the pipeline is closing.
    pub async fn admit(&self, bytes: usize) -> Result<Permit> {
        self.shared.budget.admit(bytes).await
    }

    /// Takes this many bytes of the budget, or fails with `Busy` and a time to come back at.
    pub fn try_admit(&self, bytes: usize) -> Result<Permit> {
        self.shared.budget.try_admit(bytes).map_err(|e| match e.kind() {
            ErrorKind::Busy => e.retry_after_ms(RETRY_AFTER_MS),
            _ => e,
        })
    }

    /// Validates a frame from outside completely, away from the reactor if it is large. The permit
    /// comes back with the batch; until then it stands for the frame, whoever still waits.
    pub async fn validate(
        &self,
        permit: Permit,
        header: FrameHeader,
        payload: Bytes,
    ) -> Result<(Permit, Batch)> {
        let now = self.shared.clock.now();
        let work = move || Ok((permit, Batch::from_frame(header, payload, now)?));
        match header.raw_length <= INLINE_RAW_BYTES_MAX {
            true => work(),
            false => self.shared.validations.run(work).await,
        }
    }

    /// Queues the batches as one, now: two calls in a row are committed in that order. What comes
    /// back is to be awaited; dropping it withdraws nothing.
    pub fn submit(&self, permit: Permit, mut batches: Vec<Batch>) -> Result<Pending> {
        let events = batches.iter().map(|b| b.events() as u64).sum();
        let ticket = match (batches.pop(), batches.is_empty()) {
            (Some(batch), true) => self.shared.store.append(batch),
            (Some(batch), false) => {
                batches.push(batch);
                self.shared.store.append_all(batches)
            }
            (None, _) => return Err(Error::invalid("nothing to append")),
        };
        match ticket {
            Ok(ticket) => Ok(Pending::new(self.clone(), permit, ticket, events)),
            Err(error) => {
                self.notice(&error);
                Err(error)
            }
        }
    }

    /// Queues the batches as one and waits until the last is durable.
    pub async fn append(&self, permit: Permit, batches: Vec<Batch>) -> Result<Ack> {
        self.submit(permit, batches)?.await
    }

    /// The number that the producer's next batch must have; `None` if the store does not know the
    /// producer. `Fenced` if a newer epoch has been seen.
    pub fn next_batch_number(&self, producer: ProducerId, epoch: u32) -> Result<Option<u64>> {
        self.shared.store.next_batch_number(producer, epoch)
    }

    /// Everything durable at this moment. Reading from it belongs on a query thread.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.store.snapshot()
    }

    /// Runs the work on a query thread, with a fresh snapshot, as soon as one is free. `Busy` if
    /// too many wait already.
    pub async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(Snapshot) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let waiting = self.shared.queries_waiting.raise();
        if self.shared.queries_waiting.get() > limits::QUERIES_WAITING_MAX as u64 {
            let what = "too many queries wait for a thread: come back later";
            return Err(Error::busy(what).retry_after_ms(RETRY_AFTER_MS));
        }
        let store = self.shared.store.clone();
        let work = move || {
            drop(waiting);
            work(store.snapshot())
        };
        self.shared.queries.run(work).await
    }

    /// What was accepted and refused, for metrics.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Bytes admitted and not yet durable.
    #[must_use]
    pub fn in_flight_bytes(&self) -> usize {
        self.shared.budget.in_flight()
    }

    /// Bytes that may be admitted and not yet durable.
    #[must_use]
    pub fn in_flight_bytes_max(&self) -> usize {
        self.shared.budget.bytes_max()
    }

    /// The clock that bounds the times of events.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The store, for what the pipeline does not cover (statistics, maintenance).
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Completes with the cause when an append has found the store poisoned: it takes no more
    /// writes, and the process that serves it should end.
    pub async fn poisoned(&self) -> Error {
        let mut receiver = self.shared.poisoned.subscribe();
        let found = receiver.wait_for(Option::is_some).await;
        // The sender lives as long as `self`.
        found.ok().and_then(|found| found.clone()).unwrap_or_else(closing)
    }

    /// Admits nothing more, and closes the store: what is queued becomes durable first.
    pub async fn close(&self) -> Result<()> {
        self.shared.budget.close();
        let store = self.shared.store.clone();
        blocking(move || store.close()).await
    }

    /// Remembers that the store is poisoned, if that is what the error says.
    fn notice(&self, error: &Error) {
        if error.kind() == ErrorKind::Poisoned {
            self.shared.poisoned.send_replace(Some(error.clone()));
        }
    }
}

fn closing() -> Error {
    Error::closed("the server is closing: send again later")
}

/// Runs on a thread that may block; a panic there goes on here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(closing()),
        },
    }
}

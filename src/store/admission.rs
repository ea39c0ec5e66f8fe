//! The door: what may enter the queue, decided in one place and as a whole.

use crate::column::{Batch, check_time};
use crate::error::{Error, ErrorKind, Result};
use crate::event::ProducerId;
use crate::format::frame::FrameKind;
use crate::index::TraceFilter;
use crate::store::completion::{Completion, parts};
use crate::store::producers::{Decision, RETRY_AFTER_MS};
use crate::store::state::{Core, Pending};
use crate::store::ticket::{Ack, Completer, Ticket, ticket};
use crate::time::Timestamp;

/// How long producers are asked to wait while the disk is full.
const FULL_RETRY_AFTER_MS: u64 = 5_000;
/// And while compaction has to catch up: about what a job takes.
const DEBT_RETRY_AFTER_MS: u64 = 2_000;

impl Core {
    /// All batches enter or none does.
    pub(crate) fn append(&self, batches: Vec<Batch>) -> Result<Ticket> {
        let now = self.clock.now();
        batches.iter().try_for_each(|batch| check_batch(batch, now))?;
        let (waiter, completer) = ticket();
        self.admit(batches, completer)?;
        Ok(waiter)
    }

    /// As `append` for one batch that gets the producer's next number, which is given back.
    pub(crate) fn append_next(
        &self,
        batch: Batch,
        id: ProducerId,
        epoch: u32,
    ) -> Result<(Ticket, u64)> {
        let number = self.state().producers.next_number(id, epoch)?;
        self.append(vec![batch.numbered(id, epoch, number)]).map(|ticket| (ticket, number))
    }

    fn admit(&self, batches: Vec<Batch>, completer: Completer) -> Result<()> {
        // What costs time is made before the lock is taken.
        let filters: Vec<_> =
            batches.iter().map(|b| TraceFilter::of(&b.summary.trace_hashes)).collect();
        let now = self.clock.now();
        let mut state = self.state();
        state.check_open()?;
        let decisions = state.producers.decide(&batches)?;
        let stored = || batches.iter().zip(&decisions).filter(|(_, d)| **d == Decision::Store);
        let bytes: usize = stored().map(|(b, _)| queued_bytes(b)).sum();
        if bytes > 0 && state.space_low {
            let what = "the disk is nearly full; free space or shorten the retention";
            return Err(Error::new(ErrorKind::Full, what).retry_after_ms(FULL_RETRY_AFTER_MS));
        }
        if bytes > 0 && state.debt.refuses {
            let what = "too much waits for compaction, which has to catch up: come back later";
            return Err(Error::busy(what).retry_after_ms(DEBT_RETRY_AFTER_MS));
        }
        let max = self.options.in_flight_bytes_max;
        if state.in_flight_bytes > 0 && bytes > max.saturating_sub(state.in_flight_bytes) {
            let what = format!("{} bytes are in flight already", state.in_flight_bytes);
            return Err(Error::busy(what).retry_after_ms(RETRY_AFTER_MS));
        }
        state.in_flight_bytes += bytes;
        let completions: Box<dyn Iterator<Item = Completion>> = match batches.len() {
            1 => Box::new(std::iter::once(Completion::Whole(completer))),
            count => Box::new(parts(completer, count)),
        };
        let mut duplicates = Vec::new();
        let items = batches.into_iter().zip(filters).zip(decisions).zip(completions);
        for (((batch, traces), decision), completion) in items {
            let (id, epoch) = (batch.header.producer_id, batch.header.epoch);
            let number = batch.header.batch_number;
            match decision {
                Decision::Store => {
                    state.producers.admit(id, epoch, number, now);
                    state.queue.push_back(Pending { batch, traces, completion });
                }
                Decision::Await => state.producers.wait(id, epoch, number, completion),
                Decision::Duplicate(first_sequence) => {
                    duplicates.push((completion, Ack { first_sequence, duplicate: true }));
                }
            }
        }
        drop(state);
        self.counters.add_duplicates(duplicates.len());
        for (completion, ack) in duplicates {
            completion.complete(Ok(ack));
        }
        if bytes > 0 {
            self.committer_wake.wake();
        }
        Ok(())
    }
}

/// What a queued batch counts for.
pub(crate) fn queued_bytes(batch: &Batch) -> usize {
    usize::try_from(batch.frame_bytes()).unwrap_or(usize::MAX)
}

/// A batch comes validated; this holds what only the store knows of it. Whoever built it in this
/// process had no clock to hold its times against.
fn check_batch(batch: &Batch, now: Timestamp) -> Result<()> {
    let h = &batch.header;
    if h.kind != FrameKind::Batch || h.events == 0 {
        return Err(Error::invalid("a batch without events").in_field("events"));
    }
    if h.stored_length as usize != batch.payload.len() {
        return Err(Error::invalid("the payload is not as long as its header says")
            .in_field("stored_length"));
    }
    let stamped = h.salt | h.segment_id | h.position | h.durable_position | h.first_sequence;
    if stamped != 0 || h.received.0 != 0 {
        let what = "fields that the store stamps are not zero";
        return Err(Error::invalid(what).in_field("salt..durable_position, first_sequence"));
    }
    check_time(h.min_time, now)?;
    check_time(h.max_time, now)
}

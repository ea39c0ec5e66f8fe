//! What a client has been handed and not yet been answered for: a state machine without a socket.
//!
//! 1. Batches are numbered when they are sent first, and sent in order, within credits.
//! 2. An acknowledged batch leaves. One that is refused for good leaves too, and has not consumed
//!    its number: those sent behind it come back as out of sequence, and are numbered anew.
//! 3. That happens only when nothing is in flight any more, so that no number ever stands for two
//!    batches at a time. Batches of a lost connection keep their numbers: they may be stored.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::event::ProducerId;
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::ingest::Ack;
use crate::net::envelope::Head;
use crate::net::message::{Failure, Kind, Welcome};

/// A batch on its way.
pub(super) struct Entry {
    header: FrameHeader,
    payload: Bytes,
    done: oneshot::Sender<Result<Ack>>,
    /// Bytes of the client's own budget, until it is answered.
    _permit: Option<OwnedSemaphorePermit>,
    number: Option<u64>,
    /// The request it was sent as on this connection, while that is unanswered.
    request: Option<u64>,
}

/// An append as it goes out: envelope and frame header, then the payload.
pub(super) struct Outgoing {
    pub(super) head: Vec<u8>,
    pub(super) payload: Bytes,
}

/// What an answer asks of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nothing.
    Done,
    /// Wait so many milliseconds before anything is sent again.
    Later(u64),
}

pub(super) struct Outbox {
    producer: Option<(ProducerId, u32)>,
    entries: VecDeque<Entry>,
    next_number: u64,
    next_request: u64,
    credits: u64,
    in_flight: usize,
    in_flight_max: usize,
    /// The number that the first entry gets when nothing is in flight any more.
    renumber_from: Option<u64>,
}

impl Entry {
    pub(super) fn new(
        header: FrameHeader,
        payload: Bytes,
        done: oneshot::Sender<Result<Ack>>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Entry {
        Entry { header, payload, done, _permit: permit, number: None, request: None }
    }

    fn body_bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + self.payload.len()) as u64
    }

    fn answer(self, outcome: Result<Ack>) {
        // Whoever dropped its ticket does not want to know.
        let _ = self.done.send(outcome);
    }
}

impl Outbox {
    pub(super) fn new(producer: Option<(ProducerId, u32)>) -> Outbox {
        Outbox {
            producer,
            entries: VecDeque::new(),
            next_number: 0,
            next_request: 1,
            credits: 0,
            in_flight: 0,
            in_flight_max: 0,
            renumber_from: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
    }

    /// A number for a request that is no append.
    pub(super) fn request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request - 1
    }

    /// A connection begins.
    pub(super) fn welcomed(&mut self, welcome: &Welcome) {
        self.credits = welcome.credit_bytes;
        self.in_flight_max = welcome.appends_in_flight_max.max(1) as usize;
        let expected = welcome.next_batch_number.unwrap_or(0);
        // Up to the expected number the server has stored some of what was sent, and stores it once
        // only. Beyond it, it has forgotten the producer or lost its last batches.
        match self.entries.front().and_then(|e| e.number) {
            Some(first) if first <= expected => {}
            _ => self.number_from(expected),
        }
    }

    /// The connection is gone.
    pub(super) fn lost(&mut self) {
        (self.credits, self.in_flight) = (0, 0);
        self.settle();
        if self.producer.is_some() {
            self.entries.iter_mut().for_each(|e| e.request = None);
            return;
        }
        let (sent, queued) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition::<VecDeque<_>, _>(|e| e.request.is_some());
        self.entries = queued;
        let what = "the connection was lost: the batch may or may not be stored, and has no number \
                    to send it again by";
        sent.into_iter().for_each(|e| e.answer(Err(Error::closed(what))));
    }

    /// Nothing will be sent any more.
    pub(super) fn fail(&mut self, error: &Error) {
        std::mem::take(&mut self.entries).into_iter().for_each(|e| e.answer(Err(error.clone())));
    }

    pub(super) fn granted(&mut self, bytes: u64) {
        self.credits = self.credits.saturating_add(bytes);
    }

    /// The next append to send, if one may be sent now.
    pub(super) fn next(&mut self) -> Option<Outgoing> {
        if self.renumber_from.is_some() || self.in_flight >= self.in_flight_max {
            return None;
        }
        // Those in flight are a prefix.
        let entry = self.entries.get_mut(self.in_flight)?;
        let bytes = entry.body_bytes();
        self.credits = self.credits.checked_sub(bytes)?;
        if let Some((producer, epoch)) = self.producer {
            let number = *entry.number.get_or_insert(self.next_number);
            self.next_number = self.next_number.max(number + 1);
            entry.header.producer_id = producer;
            entry.header.epoch = epoch;
            entry.header.batch_number = number;
        }
        let request = self.next_request;
        self.next_request += 1;
        entry.request = Some(request);
        self.in_flight += 1;
        let header = entry.header.encode();
        let mut head =
            Head::of(Kind::Append, request, &[&header, &entry.payload]).encode().to_vec();
        head.extend_from_slice(&header);
        Some(Outgoing { head, payload: entry.payload.clone() })
    }

    /// A batch is durable.
    pub(super) fn acknowledged(&mut self, request: u64, ack: Ack) -> Result<Answered> {
        let at = self.find(request)?;
        self.in_flight -= 1;
        if let Some(entry) = self.entries.remove(at) {
            entry.answer(Ok(ack));
        }
        self.settle();
        Ok(Answered::Done)
    }

    /// A batch was refused, for now or for good.
    pub(super) fn refused(&mut self, request: u64, failure: &Failure) -> Result<Answered> {
        let at = self.find(request)?;
        self.in_flight -= 1;
        let error = failure.to_error();
        let number = self.entries.get(at).and_then(|e| e.number).unwrap_or(0);
        let again = match (self.producer, error.kind()) {
            (_, ErrorKind::Busy | ErrorKind::Full) => true,
            (Some(_), ErrorKind::OutOfSequence) => true,
            // Without a number, what may be stored must not be sent twice.
            (producer, _) => failure.retry && producer.is_some(),
        };
        let from = error.expected().unwrap_or(number);
        self.renumber_from = Some(self.renumber_from.map_or(from, |before| before.min(from)));
        if again {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.request = None;
            }
        } else if let Some(entry) = self.entries.remove(at) {
            entry.answer(Err(error.clone()));
        }
        self.settle();
        let wait_ms = error.retry_after().unwrap_or(RETRY_MS);
        Ok(if failure.retry { Answered::Later(wait_ms) } else { Answered::Done })
    }

    fn find(&self, request: u64) -> Result<usize> {
        self.entries.iter().position(|e| e.request == Some(request)).ok_or_else(|| {
            Error::invalid(format!("the server answers request {request}, which is not open"))
        })
    }

    /// Numbers anew, if that is due and nothing is in flight.
    fn settle(&mut self) {
        if self.in_flight == 0
            && let Some(number) = self.renumber_from
        {
            self.number_from(number);
        }
    }

    /// Gives those that have numbers, which come first, these in place of them.
    fn number_from(&mut self, number: u64) {
        self.renumber_from = None;
        self.next_number = number;
        for entry in self.entries.iter_mut().filter(|e| e.number.is_some()) {
            entry.number = Some(self.next_number);
            self.next_number += 1;
        }
    }
}

/// How long to wait when a server refuses for now and does not say until when.
const RETRY_MS: u64 = 100;

#[cfg(test)]
mod tests;

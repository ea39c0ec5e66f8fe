//! Producers: they number their batches, resend what was not acknowledged, and sometimes retry what
//! was.

use annal::store::Ack;
use annal::{Error, ErrorKind, Ticket};

use super::{Waiting, World};
use crate::oracle::{Key, Violation};
use crate::random::hash;

/// Batches of one producer in flight: below what the store remembers.
const IN_FLIGHT_MAX: usize = 40;

/// A producer as it remembers itself.
pub(super) struct Client {
    id: u64,
    epoch: u32,
    /// The number of the next new batch.
    next: u64,
    /// All below are acknowledged.
    acknowledged: u64,
    in_flight: usize,
    /// A batch failed: when all are answered, go back to the first that is not acknowledged.
    disturbed: bool,
}

impl Client {
    pub(super) fn new(id: usize) -> Client {
        let id = id as u64 + 1;
        Client { id, epoch: 0, next: 0, acknowledged: 0, in_flight: 0, disturbed: false }
    }

    /// The store went away: everything unacknowledged is sent again, or given up by a new epoch.
    pub(super) fn restart(&mut self, new_epoch: bool) {
        (self.in_flight, self.disturbed) = (0, false);
        self.next = self.acknowledged;
        if new_epoch {
            self.epoch += 1;
            (self.next, self.acknowledged) = (0, 0);
        }
    }

    fn key(&self, number: u64) -> Key {
        Key { producer: self.id, epoch: self.epoch, number }
    }
}

impl World<'_> {
    /// Sends the next batch of a producer.
    pub(super) fn send_next(&mut self, which: usize) {
        let client = &mut self.clients[which];
        if client.disturbed || client.in_flight >= IN_FLIGHT_MAX {
            return;
        }
        let key = client.key(client.next);
        client.next += 1;
        self.send_numbered(which, key, None);
    }

    /// Sends a batch once more that was sent before.
    pub(super) fn retry(&mut self, which: usize) {
        let client = &self.clients[which];
        if client.disturbed || client.next == 0 || client.in_flight >= IN_FLIGHT_MAX {
            return;
        }
        let back = 1 + self.random.below(client.next.min(80));
        let key = client.key(client.next - back);
        self.send_numbered(which, key, None);
    }

    /// Sends a batch of an epoch that is over.
    pub(super) fn send_fenced(&mut self, which: usize) {
        let client = &self.clients[which];
        if client.epoch > 0 && client.acknowledged > 0 {
            let key = Key { epoch: client.epoch - 1, ..client.key(self.random.below(50)) };
            self.send_numbered(which, key, Some(ErrorKind::Fenced));
        }
    }

    /// Sends a batch whose predecessors are missing, by what the store itself expects.
    pub(super) fn send_gap(&mut self, which: usize) {
        let key = self.clients[which].key(0);
        let id = self.stock.batch(0, Some(key)).header().producer_id;
        if let Ok(expected) = self.store().next_batch_number(id, key.epoch) {
            let number = expected.unwrap_or(0) + 1 + self.random.below(5);
            self.send_numbered(which, Key { number, ..key }, Some(ErrorKind::OutOfSequence));
        }
    }

    /// Sends a batch that nobody will retry.
    pub(super) fn send_unnumbered(&mut self) {
        let content = self.stock.choose(self.settings.load, self.random.next_u64());
        let ticket = self.store().append(self.stock.batch(content, None));
        self.queued(content, None, None, None, ticket);
    }

    fn send_numbered(&mut self, which: usize, key: Key, must_fail: Option<ErrorKind>) {
        let parts = [key.producer, u64::from(key.epoch), key.number];
        let content = self.stock.choose(self.settings.load, hash(parts));
        let ticket = self.store().append(self.stock.batch(content, Some(key)));
        self.queued(content, Some(key), Some(which), must_fail, ticket);
    }

    fn queued(
        &mut self,
        content: usize,
        key: Option<Key>,
        client: Option<usize>,
        must_fail: Option<ErrorKind>,
        ticket: Result<Ticket, Error>,
    ) {
        let events = self.stock.events(content).len() as u32;
        match ticket {
            Ok(ticket) => {
                let id = self.oracle.sent(content, events, key);
                let number = key.map_or(0, |key| key.number);
                if let Some(client) = client {
                    self.clients[client].in_flight += 1;
                }
                self.tickets.push(Waiting { ticket, id, client, number, must_fail });
            }
            Err(error) => {
                self.note_refused(&error, key);
                self.failed(&error, client, must_fail);
            }
        }
    }

    /// Passes on the answers that have come of a step. One step syncs one group and answers it, so
    /// that a sync that failed in it says of all its answers that they are no acknowledgements.
    pub(super) fn poll(&mut self) {
        self.note_failed_sync();
        self.pass_on();
    }

    /// From now on nothing may be acknowledged if a sync has failed.
    pub(super) fn note_failed_sync(&mut self) {
        self.sync_failed |= self.disk.fault_met().is_some_and(|call| call.syncs());
    }

    /// Passes on the answers that have come.
    pub(super) fn pass_on(&mut self) {
        let mut waiting = std::mem::take(&mut self.tickets);
        waiting.retain(|w| match w.ticket.try_take() {
            Some(answer) => {
                self.answered(w, &answer);
                false
            }
            None => true,
        });
        self.tickets = waiting;
        for client in self.clients.iter_mut().filter(|c| c.disturbed && c.in_flight == 0) {
            client.disturbed = false;
            client.next = client.acknowledged;
        }
    }

    fn answered(&mut self, waiting: &Waiting, answer: &Result<Ack, Error>) {
        self.oracle.answered(waiting.id, answer);
        if let Some(client) = waiting.client {
            self.clients[client].in_flight -= 1;
        }
        match answer {
            Ok(ack) => {
                self.report.acknowledged += 1;
                if let Some(kind) = waiting.must_fail {
                    let what = format!("{ack:?} instead of {kind}");
                    self.oracle.report(Violation::WrongAnswer, what);
                }
                if self.sync_failed && !ack.duplicate {
                    let what = format!("{ack:?} after a failed sync");
                    self.oracle.report(Violation::WrongAnswer, what);
                }
                if let Some(client) = waiting.client {
                    let client = &mut self.clients[client];
                    client.acknowledged = client.acknowledged.max(waiting.number + 1);
                }
            }
            Err(error) => self.failed(error, waiting.client, waiting.must_fail),
        }
    }

    fn failed(&mut self, error: &Error, client: Option<usize>, must_fail: Option<ErrorKind>) {
        let kind = error.kind();
        self.refused_full += u64::from(kind == ErrorKind::Full);
        if must_fail == Some(kind) {
            return;
        }
        let follows = kind == ErrorKind::OutOfSequence
            && client.is_some_and(|client| self.clients[client].disturbed);
        if let Some(client) = client.filter(|_| must_fail.is_none()) {
            self.clients[client].disturbed = true;
        }
        if kind != ErrorKind::Busy && !follows {
            self.unless_expected(error, "append");
        }
    }
}

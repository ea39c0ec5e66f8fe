//! The producer table: a retried batch is stored once.
//!
//! Per producer (id, epoch) it knows the number that must come next, the last 64 numbers with their
//! first sequences, and the numbers that are in flight. The decision falls at admission:
//!
//! 1. the next number: new;
//! 2. a number in flight: the retry waits for the original and is answered as a duplicate then;
//! 3. a smaller number: duplicate, with its first sequence if it is remembered;
//! 4. a greater one: `OutOfSequence`; an old epoch: `Fenced`; a new epoch or producer starts at 0.
//!
//! A batch that fails gives its number back, and an epoch begins only when its first batch is
//! durable: until then a checkpoint and a restart know of the old one. The table is checkpointed in a
//! file that the manifest names; what came after it is read from frame directories and headers.
//!
//! It never holds more producers than a checkpoint may: when another one comes, live or found by
//! recovery, those idle longest go; while all of them have something in flight, it is told `Busy`.

use std::collections::{HashMap, VecDeque};

use crate::column::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::event::ProducerId;
use crate::format::producers::ProducerRecord;
use crate::limits;
use crate::store::completion::Completion;
use crate::time::{SECOND_NS, Timestamp};

/// All producers; see the module.
#[derive(Default)]
pub(crate) struct ProducerTable {
    known: HashMap<ProducerId, Known>,
    /// Producers with something in flight.
    busy: usize,
}

struct Known {
    /// The newest that has something durable.
    epoch: u32,
    next_number: u64,
    recent: VecDeque<(u64, u64)>,
    last_seen: Timestamp,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    epoch: u32,
    number: u64,
    /// Retries that wait for the original.
    retries: Vec<Completion>,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Store it. Producers without an id are not deduplicated.
    Store,
    /// It is durable already.
    Duplicate(Option<u64>),
    /// The original is in flight.
    Await,
}

/// What a request changes while it is being decided on.
struct Tentative {
    id: ProducerId,
    epoch: u32,
    first: u64,
    expected: u64,
    in_flight: usize,
}

impl ProducerTable {
    /// Decides on the batches of a request, in order, without changing anything.
    pub(crate) fn decide(&self, batches: &[Batch]) -> Result<Vec<Decision>> {
        let mut tentative: Vec<Tentative> = Vec::new();
        batches.iter().map(|batch| self.decide_one(batch, &mut tentative)).collect()
    }

    fn decide_one(&self, batch: &Batch, tentative: &mut Vec<Tentative>) -> Result<Decision> {
        let (id, epoch) = (batch.header.producer_id, batch.header.epoch);
        let number = batch.header.batch_number;
        if id.is_zero() {
            return Ok(Decision::Store);
        }
        let known = self.known.get(&id);
        let index = match tentative.iter().position(|t| t.id == id && t.epoch == epoch) {
            Some(index) => index,
            None => {
                if known.is_none() {
                    self.check_room(tentative)?;
                }
                tentative.push(self.expectation(id, epoch)?);
                tentative.len() - 1
            }
        };
        let Some(t) = tentative.get_mut(index) else { return Ok(Decision::Store) };
        if number > t.expected {
            let unknown = known.is_none_or(|k| k.newest_epoch() != epoch);
            return Err(out_of_sequence(number, t.expected, unknown));
        }
        if number == t.expected {
            if t.in_flight >= limits::PRODUCER_BATCHES_MAX {
                let max = limits::PRODUCER_BATCHES_MAX;
                let what = format!("the producer has {max} batches in flight; wait for one");
                return Err(Error::busy(what).retry_after_ms(RETRY_AFTER_MS));
            }
            t.expected += 1;
            t.in_flight += 1;
            return Ok(Decision::Store);
        }
        if number >= t.first {
            let what = format!("batch number {number} stands twice in one request");
            return Err(Error::invalid(what).in_field("batch_number"));
        }
        let Some(known) = known else { return Ok(Decision::Store) };
        if number >= known.next_of(epoch) {
            return Ok(Decision::Await);
        }
        let remembered = known.recent.iter().find(|(n, _)| *n == number);
        Ok(Decision::Duplicate(remembered.map(|(_, first_sequence)| *first_sequence)))
    }

    fn expectation(&self, id: ProducerId, epoch: u32) -> Result<Tentative> {
        let fresh = Tentative { id, epoch, first: 0, expected: 0, in_flight: 0 };
        let Some(known) = self.known.get(&id) else { return Ok(fresh) };
        let newer = known.newest_epoch();
        if epoch < newer {
            let what = format!("epoch {epoch} of the producer is over: epoch {newer} has begun");
            return Err(Error::new(ErrorKind::Fenced, what).in_field("epoch"));
        }
        let in_flight = known.in_flight.len();
        let expected = known.expected(epoch);
        Ok(Tentative { first: expected, expected, in_flight, ..fresh })
    }

    /// Whether another unknown producer finds room, beside those of the request.
    fn check_room(&self, tentative: &[Tentative]) -> Result<()> {
        let is_idle = |id: &ProducerId| self.known.get(id).is_none_or(|k| k.in_flight.is_empty());
        let mut more: Vec<_> = tentative.iter().map(|t| t.id).filter(is_idle).collect();
        more.sort_unstable();
        more.dedup();
        if self.busy + more.len() < limits::PRODUCERS_MAX {
            return Ok(());
        }
        let max = limits::PRODUCERS_MAX;
        let what = format!("{max} producers have batches in flight; wait for one");
        Err(Error::busy(what).retry_after_ms(RETRY_AFTER_MS))
    }

    /// The number that must come next from a producer.
    pub(crate) fn next_number(&self, id: ProducerId, epoch: u32) -> Result<u64> {
        Ok(self.expectation(id, epoch)?.expected)
    }

    /// Whether anything is remembered of a producer.
    pub(crate) fn knows(&self, id: ProducerId) -> bool {
        self.known.contains_key(&id)
    }

    /// Takes a batch in that [`ProducerTable::decide`] wants stored.
    pub(crate) fn admit(&mut self, id: ProducerId, epoch: u32, number: u64, now: Timestamp) {
        if id.is_zero() {
            return;
        }
        self.make_room_for(id, now);
        let known = self.known.entry(id).or_insert_with(|| Known::new(epoch, now));
        self.busy += usize::from(known.in_flight.is_empty());
        known.in_flight.push_back(InFlight { epoch, number, retries: Vec::new() });
    }

    /// Lets a retry wait for its original.
    pub(crate) fn wait(&mut self, id: ProducerId, epoch: u32, number: u64, retry: Completion) {
        let in_flight = self.known.get_mut(&id).map(|k| &mut k.in_flight);
        let original =
            in_flight.and_then(|f| f.iter_mut().find(|f| f.epoch == epoch && f.number == number));
        match original {
            Some(original) => original.retries.push(retry),
            None => retry.complete(Err(Error::busy("send the batch again"))),
        }
    }

    /// A batch is durable: remembers it and gives back the retries that waited for it.
    pub(crate) fn durable(
        &mut self,
        id: ProducerId,
        (epoch, number): (u32, u64),
        first_sequence: u64,
        received: Timestamp,
    ) -> Vec<Completion> {
        let Some(known) = self.known.get_mut(&id) else { return Vec::new() };
        let retries = match known.in_flight.front() {
            Some(f) if f.epoch == epoch && f.number == number => {
                self.busy = self.busy.saturating_sub(usize::from(known.in_flight.len() == 1));
                known.in_flight.pop_front().map(|f| f.retries).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        known.remember(epoch, number, first_sequence, received);
        retries
    }

    /// Everything in flight has failed: gives the numbers back, and the retries that waited.
    pub(crate) fn fail_all(&mut self) -> Vec<Completion> {
        let lost = self.known.values_mut().flat_map(|k| k.in_flight.drain(..));
        let retries = lost.flat_map(|f| f.retries).collect();
        self.busy = 0;
        self.known.retain(|_, k| k.next_number > 0);
        retries
    }

    /// A batch that recovery found.
    pub(crate) fn observe(
        &mut self,
        id: ProducerId,
        (epoch, number): (u32, u64),
        first_sequence: u64,
        received: Timestamp,
    ) {
        if id.is_zero() {
            return;
        }
        self.make_room_for(id, received);
        let known = self.known.entry(id).or_insert_with(|| Known::new(epoch, received));
        known.remember(epoch, number, first_sequence, received);
    }

    /// The content of a checkpoint.
    pub(crate) fn restore(&mut self, records: Vec<ProducerRecord>) {
        for r in records {
            let known = Known {
                epoch: r.epoch,
                next_number: r.next_number,
                recent: r.recent.into(),
                last_seen: r.last_seen,
                in_flight: VecDeque::new(),
            };
            self.known.insert(r.id, known);
        }
    }

    /// What a checkpoint has to hold: everything durable, in order of id. Producers that have been
    /// idle for too long are forgotten.
    pub(crate) fn records(&mut self, now: Timestamp) -> Vec<ProducerRecord> {
        self.forget_idle(now);
        let stored = self.known.iter().filter(|(_, k)| k.next_number > 0);
        let mut records: Vec<_> = stored
            .map(|(&id, k)| ProducerRecord {
                id,
                epoch: k.epoch,
                last_seen: k.last_seen,
                next_number: k.next_number,
                recent: k.recent.iter().copied().collect(),
            })
            .collect();
        // More than this could not be read again.
        records.sort_unstable_by_key(|r| std::cmp::Reverse(r.last_seen));
        records.truncate(limits::PRODUCERS_MAX);
        records.sort_unstable_by_key(|r| r.id);
        records
    }

    /// Number of producers remembered.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    fn forget_idle(&mut self, now: Timestamp) {
        let idle_ns = (limits::PRODUCER_IDLE_DAYS * 86_400) as i64 * SECOND_NS;
        let oldest = now.0.saturating_sub(idle_ns);
        self.known.retain(|_, k| !k.in_flight.is_empty() || k.last_seen.0 >= oldest);
    }

    /// Makes room for a producer that is not known: those idle for days go, else the eighth of the
    /// others without anything in flight that is idle longest.
    fn make_room_for(&mut self, id: ProducerId, now: Timestamp) {
        if self.known.len() < limits::PRODUCERS_MAX || self.known.contains_key(&id) {
            return;
        }
        self.forget_idle(now);
        if self.known.len() < limits::PRODUCERS_MAX {
            return;
        }
        let idle = self.known.iter().filter(|(_, k)| k.in_flight.is_empty());
        let mut idle: Vec<_> = idle.map(|(&id, k)| (k.last_seen, id)).collect();
        idle.sort_unstable();
        for (_, id) in idle.iter().take(idle.len().div_ceil(8)) {
            self.known.remove(id);
        }
    }
}

impl Known {
    fn new(epoch: u32, last_seen: Timestamp) -> Known {
        let (recent, in_flight) = (VecDeque::new(), VecDeque::new());
        Known { epoch, next_number: 0, recent, last_seen, in_flight }
    }

    fn begin_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
        self.next_number = 0;
        self.recent.clear();
    }

    /// The newest epoch that anything was taken in of.
    fn newest_epoch(&self) -> u32 {
        self.in_flight.back().map_or(self.epoch, |f| f.epoch.max(self.epoch))
    }

    /// The number behind the durable ones of the newest epoch or a later one.
    fn next_of(&self, epoch: u32) -> u64 {
        if epoch == self.epoch { self.next_number } else { 0 }
    }

    fn expected(&self, epoch: u32) -> u64 {
        let own = self.in_flight.iter().filter(|f| f.epoch == epoch).count();
        self.next_of(epoch) + own as u64
    }

    fn remember(&mut self, epoch: u32, number: u64, first_sequence: u64, received: Timestamp) {
        if epoch > self.epoch {
            self.begin_epoch(epoch);
        }
        if epoch != self.epoch || number < self.next_number {
            return;
        }
        self.next_number = number.saturating_add(1);
        self.last_seen = received;
        self.recent.push_back((number, first_sequence));
        if self.recent.len() > limits::PRODUCER_BATCHES_MAX {
            self.recent.pop_front();
        }
    }
}

fn out_of_sequence(number: u64, expected: u64, unknown: bool) -> Error {
    let what = if unknown {
        format!("batch number {number} of an unknown producer or epoch, which starts at 0")
    } else {
        format!("batch number {number} leaves a gap")
    };
    Error::new(ErrorKind::OutOfSequence, what).in_field("batch_number").expecting(expected)
}

/// After how long a refused append makes sense again: a few groups later.
pub(crate) const RETRY_AFTER_MS: u64 = 50;

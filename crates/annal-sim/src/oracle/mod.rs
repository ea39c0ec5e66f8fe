//! The history, kept outside the store: what was sent, what was answered, what was seen.
//!
//! [`Oracle::observe`] compares what a store shows with that history (COM-1, WM-1):
//!
//! 1. What was acknowledged, or was visible before, is there, at its sequence, with its bytes.
//! 2. The rest is a prefix of what was sent, in the order in which it was sent: no holes.
//! 3. Nothing is there twice, and nothing that was not sent or was refused.
//! 4. No sequence ever belongs to two events; the watermark never decreases.
//!
//! Retention may take whole prefixes away, if the run has it switched on.

mod found;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use annal::store::Ack;
use annal::{Error, ErrorKind};

pub use found::{Finding, Violation};

type Map<K, V> = HashMap<K, V, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>;
type Set<K> = HashSet<K, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>;

/// What a producer calls its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which producer.
    pub producer: u64,
    /// Its epoch.
    pub epoch: u32,
    /// Its batch number.
    pub number: u64,
}

/// A batch as it was found in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Sequence of its first event.
    pub first_sequence: u64,
    /// Number of its events.
    pub events: u32,
    /// Which batch of the stock it equals, byte by byte.
    pub content: usize,
    /// What its producer called it.
    pub key: Option<Key>,
    /// It stands in a block, which does not say who made it: `key` is `None` whoever did.
    pub compacted: bool,
}

/// A batch that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendId(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No answer yet.
    Open,
    /// Failed in a way that leaves it open.
    Failed,
    /// Acknowledged or seen.
    Stored(u64),
    /// Refused: it must never appear.
    Refused,
    /// Acknowledged as stored before, maybe with its sequence.
    Duplicate(Option<u64>),
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    content: usize,
    events: u32,
    key: Option<Key>,
    state: State,
    /// Stored before the life of the store that goes on now.
    settled: bool,
}

impl Sent {
    fn sequence(&self) -> Option<u64> {
        match self.state {
            State::Stored(sequence) => Some(sequence),
            _ => None,
        }
    }
}

/// The history of one store through all its lives.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// In the order of sending; those of earlier lives that proved stored come first.
    log: Vec<Sent>,
    /// First sequence and number of events of everything that was ever known to be stored.
    sequences: BTreeMap<u64, (u32, usize)>,
    keys: Map<Key, u64>,
    watermark: u64,
    /// Sequences below this may have been given to what was lost.
    given: u64,
    retention: bool,
    findings: Vec<Finding>,
    acknowledged: u64,
}

impl Oracle {
    /// An empty history; whether old segments may disappear.
    #[must_use]
    pub fn new(retention: bool) -> Oracle {
        Oracle { retention, ..Oracle::default() }
    }

    /// What was found wrong so far.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Batches that were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether anything of this name is known to be stored.
    #[must_use]
    pub fn is_stored(&self, key: &Key) -> bool {
        self.keys.contains_key(key)
    }

    /// Something that must not be, found elsewhere.
    pub fn report(&mut self, violation: Violation, what: impl Into<String>) {
        self.findings.push(Finding { violation, what: what.into() });
    }

    /// The store took a batch and gave a ticket for it.
    pub fn sent(&mut self, content: usize, events: u32, key: Option<Key>) -> SendId {
        self.log.push(Sent { content, events, key, state: State::Open, settled: false });
        SendId(self.log.len() - 1)
    }

    /// A ticket was answered.
    pub fn answered(&mut self, id: SendId, answer: &Result<Ack, Error>) {
        let sent = self.log[id.0];
        match answer {
            Ok(Ack { first_sequence: Some(first), duplicate: false }) => {
                self.acknowledged += 1;
                self.claim(*first, sent.events, sent.content);
                if *first < self.given {
                    let what = format!("{first} may have been given before the crash to others");
                    self.report(Violation::SequenceReused, what);
                }
                if let State::Stored(seen) = sent.state
                    && seen != *first
                {
                    let what = format!("seen at {seen}, acknowledged at {first}");
                    self.report(Violation::WrongAnswer, what);
                }
                if let Some(key) = sent.key
                    && let Some(before) = self.keys.insert(key, *first)
                    && before != *first
                {
                    let what = format!("{key:?} at {before} and at {first}");
                    self.report(Violation::Duplicate, what);
                }
                self.log[id.0].state = State::Stored(*first);
            }
            Ok(Ack { first_sequence, duplicate }) => {
                let known = sent.key.and_then(|key| self.keys.get(&key)).copied();
                if !duplicate
                    || first_sequence.is_some() && known.is_some_and(|k| Some(k) != *first_sequence)
                {
                    let what = format!("{:?} answered {answer:?}, known at {known:?}", sent.key);
                    self.report(Violation::WrongAnswer, what);
                }
                // Unless the first sending has proved stored by now, the next look must show it.
                self.log[id.0].state = State::Duplicate(*first_sequence);
            }
            Err(error) => {
                let open = matches!(error.kind(), ErrorKind::Poisoned | ErrorKind::Closed);
                // What was seen before its answer came is stored, whatever the answer.
                if sent.state == State::Open {
                    self.log[id.0].state = if open { State::Failed } else { State::Refused };
                } else if !open {
                    let what = format!("{sent:?} was visible and then refused: {error:?}");
                    self.report(Violation::WrongAnswer, what);
                }
            }
        }
    }

    /// Compares what the store shows with the history; what is visible must stay.
    pub fn observe(&mut self, contents: &[Stored], next_sequence: u64) {
        if next_sequence < self.watermark {
            let what = format!("from {} to {next_sequence}", self.watermark);
            self.report(Violation::WatermarkDecreased, what);
        }
        self.watermark = self.watermark.max(next_sequence);
        let end = contents.last().map_or(0, |s| s.first_sequence + u64::from(s.events));
        if end > next_sequence {
            let what = format!("events up to {end} visible, next sequence {next_sequence}");
            self.report(Violation::WatermarkDecreased, what);
        }
        let mut keys = Set::default();
        for stored in contents {
            self.claim(stored.first_sequence, stored.events, stored.content);
            if let Some(key) = stored.key
                && !keys.insert(key)
            {
                self.report(Violation::Duplicate, format!("{stored:?}"));
            }
        }
        self.walk(contents);
    }

    /// After a crash and an observation: what did not prove stored is gone for good.
    pub fn settle(&mut self) {
        self.log.retain(|s| matches!(s.state, State::Stored(_)));
        self.log.iter_mut().for_each(|s| s.settled = true);
    }

    /// Sequences below this were given before the crash: what is stored from now on has others.
    pub fn given(&mut self, next_sequence: u64) {
        self.given = self.given.max(next_sequence);
    }

    /// A stop that was no crash: nothing may be left open.
    pub fn closed(&mut self) {
        let open = self.log.iter().filter(|s| s.state == State::Open).count();
        if open > 0 {
            self.report(Violation::WrongAnswer, format!("{open} batches unanswered after close"));
        }
    }

    /// These sequences belong to this content, now and for ever.
    fn claim(&mut self, first: u64, events: u32, content: usize) {
        let end = first + u64::from(events);
        let before = self.sequences.range(..end).next_back();
        let clash = match before {
            Some((f, (n, c))) if *f == first => (*n, *c) != (events, content),
            Some((f, (n, _))) => f + u64::from(*n) > first,
            None => false,
        };
        if clash {
            let what = format!("{first} to {end} given to {content} and, as known, {before:?}");
            self.report(Violation::SequenceReused, what);
        }
        self.sequences.insert(first, (events, content));
    }

    /// Steps through the history and what is stored, side by side.
    fn walk(&mut self, contents: &[Stored]) {
        let places: Map<u64, usize> =
            contents.iter().enumerate().map(|(i, s)| (s.first_sequence, i)).collect();
        let oldest = contents.first().map_or(u64::MAX, |s| s.first_sequence);
        let mut findings = Vec::new();
        let mut find = |violation, what| findings.push(Finding { violation, what });
        let mut matched = Set::default();
        let mut next = 0;
        let taken: Set<u64> = self.log.iter().filter_map(|s| s.sequence()).collect();
        let (mut missing, mut failed) = (None, None);
        for sent in &mut self.log {
            let same = |s: &Stored| {
                (s.content, s.events) == (sent.content, sent.events)
                    && (s.compacted || s.key == sent.key)
            };
            match sent.state {
                State::Refused | State::Duplicate(_) => {}
                State::Stored(sequence) => {
                    let Some(&place) = places.get(&sequence) else {
                        if !self.retention || sequence >= oldest {
                            find(Violation::Lost, format!("{sent:?}"));
                        }
                        continue;
                    };
                    if !same(&contents[place]) {
                        find(Violation::WrongBytes, format!("{sent:?}: {:?}", contents[place]));
                    }
                    if let Some(missing) = missing.filter(|_| !sent.settled) {
                        find(Violation::Hole, format!("{missing:?} before {sent:?}"));
                    }
                    if place < next {
                        find(Violation::Hole, format!("out of order: {sent:?}"));
                    }
                    for stray in contents.get(next..place).unwrap_or_default() {
                        find(Violation::Phantom, format!("{stray:?} before {sent:?}"));
                    }
                    next = next.max(place + 1);
                    matched.extend(sent.key);
                }
                State::Open | State::Failed => {
                    if sent.key.is_some_and(|key| matched.contains(&key)) {
                        continue;
                    }
                    let candidate = contents.get(next).filter(|s| same(s));
                    let Some(stored) = candidate.filter(|s| !taken.contains(&s.first_sequence))
                    else {
                        // A failed batch may be followed by others that were sent after it failed.
                        let gap =
                            if sent.state == State::Open { &mut missing } else { &mut failed };
                        *gap = Some(*sent);
                        continue;
                    };
                    if let Some(missing) = missing.or(failed) {
                        find(Violation::Hole, format!("{missing:?} before {sent:?}"));
                    }
                    sent.state = State::Stored(stored.first_sequence);
                    next += 1;
                    matched.extend(sent.key);
                    if let Some(key) = sent.key {
                        self.keys.insert(key, stored.first_sequence);
                    }
                }
            }
        }
        for stray in contents.get(next..).unwrap_or_default() {
            find(Violation::Phantom, format!("{stray:?} at the end"));
        }
        for sent in &self.log {
            let (State::Duplicate(sequence), Some(key)) = (sent.state, sent.key) else { continue };
            let known = self.keys.get(&key);
            if known.is_none() || sequence.is_some() && known.copied() != sequence {
                let what = format!("{key:?} was called a duplicate of {sequence:?}: {known:?}");
                find(Violation::Lost, what);
            }
        }
        self.findings.extend(findings);
    }
}

//! Batches that are built once and sent over and over, and how to recognise them in a store.

mod events;
mod recognise;

use std::collections::BTreeMap;

use annal::{Batch, BatchBuilder, Event, ProducerId, SpanId, Timestamp};

use crate::oracle::Key;
use crate::random::Random;

pub use recognise::{Seen, UNKNOWN_CONTENT};

/// What kind of batches a world sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Load {
    /// Of a few events each.
    #[default]
    Few,
    /// Among them such of thousands: blocks get full.
    Many,
    /// Among them such as fill most of the smallest segment: log comes faster than it is compacted.
    Long,
}

/// Batches to send.
pub struct Stock {
    /// Those of a few events first, then those of many, then long ones.
    batches: Vec<(Batch, Vec<Event>)>,
    /// How many have a few events.
    few: usize,
    /// By checksum and length of the payload.
    by_payload: BTreeMap<(u32, u32), usize>,
    /// By time and span id of the first event.
    by_first: BTreeMap<(Timestamp, Option<SpanId>), usize>,
}

/// Events of the batches of many: some fill half a block, others do so only together.
const MANY: [u64; 6] = [300, 1_000, 2_200, 4_100, 4_300, 5_000];
/// How many long batches there are.
const LONG: usize = 6;

impl Stock {
    /// `count` batches of a few events each, all different; every eighth is large. Beside them are
    /// some of many events, and some of long ones.
    ///
    /// # Panics
    /// If events that keep all limits are refused.
    #[must_use]
    pub fn new(count: usize) -> Stock {
        let mut random = Random::new(count as u64);
        let mut stock = Stock {
            batches: Vec::new(),
            few: count,
            by_payload: BTreeMap::new(),
            by_first: BTreeMap::new(),
        };
        (0..count).for_each(|i| stock.add(events::few(&mut random, i)));
        MANY.iter().for_each(|&events| stock.add(events::many(&mut random, events)));
        (0..LONG).for_each(|_| stock.add(events::long(&mut random)));
        stock
    }

    fn add(&mut self, events: Vec<Event>) {
        let i = self.batches.len();
        let mut builder = BatchBuilder::new();
        for event in &events {
            builder.push(event).expect("events within all limits");
        }
        let batch = builder.finish().expect("a batch within all limits");
        let header = batch.header();
        let payload = (header.payload_crc, header.stored_length);
        let twin = self.by_payload.insert(payload, i);
        assert!(twin.is_none(), "batches are told apart by their payloads");
        let first = events.first().map(|e| (e.time, e.span_id)).expect("an event");
        let twin = self.by_first.insert(first, i);
        assert!(twin.is_none(), "batches are told apart by their first events");
        self.batches.push((batch, events));
    }

    /// The batch that a world of this load sends for a number that can be any.
    #[must_use]
    pub fn choose(&self, load: Load, number: u64) -> usize {
        let few = (number % self.few as u64) as usize;
        // Those of a few events come in between: blocks and segments of any size.
        let among = |first: usize, count: usize| match number >> 32 & 1 {
            0 => few,
            _ => first + (number >> 33) as usize % count,
        };
        match load {
            Load::Few => few,
            Load::Many => among(self.few, MANY.len()),
            Load::Long => among(self.few + MANY.len(), LONG),
        }
    }

    /// Number of batches of a few events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.few
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.few == 0
    }

    /// A batch, numbered if it has a key.
    #[must_use]
    pub fn batch(&self, content: usize, key: Option<Key>) -> Batch {
        let batch = self.batches[content].0.clone();
        match key {
            Some(key) => batch.numbered(producer_id(key.producer), key.epoch, key.number),
            None => batch,
        }
    }

    /// The events of a batch as they were sent.
    #[must_use]
    pub fn events(&self, content: usize) -> &[Event] {
        &self.batches[content].1
    }
}

fn producer_id(producer: u64) -> ProducerId {
    let mut id = [0xa5; 16];
    id[..8].copy_from_slice(&producer.to_le_bytes());
    ProducerId(id)
}

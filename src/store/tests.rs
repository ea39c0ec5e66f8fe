use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::ErrorKind;
use crate::codec::crc32;
use crate::column::BatchBuilder;
use crate::event::{Attribute, Event, TraceId, Value};
use crate::limits;
use crate::storage::MemoryStorage;
use crate::time::Timestamp;

mod appending;
mod compacting;
mod debt;
mod merging;
mod producer_table;
mod reading;
mod retiring;
mod retries;
mod scrubbing;
mod sealing;
mod verifying;

/// A clock that stands still until it is moved.
pub(super) struct TestClock(AtomicU64);

impl TestClock {
    pub(super) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed) as i64)
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A store whose state machines the test steps, on a disk that outlives it.
pub(super) struct Bench {
    pub(super) storage: Arc<MemoryStorage>,
    pub(super) clock: Arc<TestClock>,
    pub(super) options: Options,
}

impl Bench {
    pub(super) fn new() -> Bench {
        let options = Options {
            manual: true,
            seed: Some(7),
            segment_bytes: limits::SEGMENT_BYTES_MIN,
            ..Options::new("")
        };
        let clock = TestClock(AtomicU64::new(1_700_000_000_000_000_000));
        Bench { storage: Arc::new(MemoryStorage::new()), clock: Arc::new(clock), options }
    }

    pub(super) fn open(&self) -> (Store, OpenReport) {
        self.try_open().unwrap()
    }

    pub(super) fn try_open(&self) -> Result<(Store, OpenReport)> {
        self.clock.advance_ms(1);
        Store::open_with(self.storage.clone(), self.clock.clone(), self.options.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.storage.list().unwrap().into_iter().map(|e| e.name).collect();
        names.sort();
        names
    }

    pub(super) fn segments(&self) -> Vec<String> {
        self.names().into_iter().filter(|n| n.starts_with("log-")).collect()
    }
}

/// A batch of so many events of about so many bytes that do not compress.
pub(super) fn batch(events: u32, bytes: usize) -> Batch {
    let mut builder = BatchBuilder::new();
    let mut state = u64::from(events) << 32 | bytes as u64;
    for i in 0..events {
        let mut event = Event {
            time: Timestamp(10 + i64::from(i)),
            source: format!("source-{}", events % 3),
            event_type: "AddItem".into(),
            trace_id: Some(TraceId([1 + events as u8; 16])),
            ..Event::default()
        };
        let mut left = if i == 0 { bytes } else { 0 };
        while left > 0 {
            let length = left.min(limits::VALUE_BYTES_MAX);
            let noise = (0..length).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            });
            event.attributes.push(Attribute::new("noise", Value::Bytes(noise.collect())));
            left -= length;
        }
        builder.push(&event).unwrap();
    }
    builder.finish().unwrap()
}

pub(super) const ID: ProducerId = ProducerId([9; 16]);

pub(super) fn numbered(number: u64) -> Batch {
    batch(3, 100).numbered(ID, 0, number)
}

/// Steps until nothing is left to do at once.
pub(super) fn settle(store: &Store) {
    while store.step_committer().unwrap() == Next::Now {}
    while store.step_maintenance().unwrap() == Next::Now {}
}

pub(super) fn append(store: &Store, batch: Batch) -> Result<Ack> {
    let ticket = store.append(batch)?;
    while store.step_committer()? == Next::Now {}
    ticket.wait()
}

/// First sequence, events and payload checksum of each visible frame.
pub(super) fn frames(store: &Store) -> Vec<(u64, u32, u32)> {
    let snapshot = store.snapshot();
    let mut found = Vec::new();
    for view in snapshot.segments() {
        let directory = view.directory().unwrap();
        for entry in view.frames(&directory) {
            let (header, payload) = view.read_payload(entry).unwrap();
            assert_eq!(crc32(&payload), header.payload_crc);
            found.push((entry.first_sequence, entry.events, header.payload_crc));
        }
    }
    found
}

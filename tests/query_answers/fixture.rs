//! A store to ask and all that it was given; and a copy of it that was compacted.

use std::sync::Arc;

use annal::column::{Field, Table};
use annal::event::Event;
use annal::query::{By, Order, Query};
use annal::storage::MemoryStorage;
use annal::time::SystemClock;
use annal::{BatchBuilder, Options, Snapshot, Store};

use crate::events::{Random, random_event};
use crate::naive;

/// Batches of a compacted copy, whatever they were before, and how many of them make a segment.
const COPIED_EVENTS: usize = 37;
const COPIED_BATCHES: usize = 12;

/// A store and all that it was given, with sequences.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) events: Vec<Event>,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture { store: open(&Arc::new(MemoryStorage::new())), events: Vec::new() }
    }

    /// A store with events in several segments, the last one active.
    pub(crate) fn filled(random: &mut Random, batches: usize) -> Fixture {
        let mut fixture = Fixture::new();
        for number in 0..batches {
            let count = 1 + random.below(60);
            fixture.append(random, count, number);
        }
        fixture
    }

    pub(crate) fn append(&mut self, random: &mut Random, count: usize, number: usize) {
        self.append_all((0..count).map(|_| random_event(random, number)).collect());
    }

    pub(crate) fn append_all(&mut self, mut events: Vec<Event>) {
        let first = append(&self.store, &events);
        (events.iter_mut().zip(first..)).for_each(|(event, sequence)| event.sequence = sequence);
        self.events.extend(events);
    }

    /// Another store with the same events and sequences: most of them in compacted segments, made at
    /// different times, the last ones in the log.
    pub(crate) fn compacted(&self) -> Fixture {
        let storage = Arc::new(MemoryStorage::new());
        let mut store = open(&storage);
        for (number, events) in self.events.chunks(COPIED_EVENTS).enumerate() {
            if number > 0 && number % COPIED_BATCHES == 0 {
                // A close seals what a compaction then takes.
                store.close().unwrap();
                drop(store);
                store = open(&storage);
                store.compact().unwrap();
            }
            assert_eq!(append(&store, events), events[0].sequence);
        }
        let compacted = store.snapshot().segments().iter().filter(|s| s.is_compacted()).count();
        assert_eq!(compacted, (self.events.len().div_ceil(COPIED_EVENTS) - 1) / COPIED_BATCHES);
        assert_templates(&store.snapshot());
        Fixture { store, events: self.events.clone() }
    }

    /// Number of all events.
    pub(crate) fn count(snapshot: &Snapshot) -> u64 {
        let counts = snapshot.count(&Query::default(), By::default()).unwrap().counts;
        counts.iter().map(|c| c.count).sum()
    }

    /// What a query matches, in its order.
    pub(crate) fn expected(&self, query: &Query) -> Vec<&Event> {
        let mut events: Vec<&Event> =
            self.events.iter().filter(|e| naive::matches(query, e)).collect();
        events.sort_by_key(|e| (e.time, e.sequence));
        if query.order == Order::Newest {
            events.reverse();
        }
        events
    }
}

fn open(storage: &Arc<MemoryStorage>) -> Store {
    let options = Options { segment_bytes: 64 << 10, ..Options::new("unused") };
    Store::open_with(storage.clone(), Arc::new(SystemClock::new()), options).unwrap().0
}

/// Appends a batch and gives its first sequence.
fn append(store: &Store, events: &[Event]) -> u64 {
    let mut builder = BatchBuilder::new();
    events.iter().for_each(|e| builder.push(e).unwrap());
    let ack = store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
    ack.first_sequence.unwrap()
}

/// What is asked of compacted texts is asked of templates, too.
fn assert_templates(snapshot: &Snapshot) {
    for segment in snapshot.segments().iter().filter(|segment| segment.is_compacted()) {
        let directory = segment.directory().unwrap();
        let (_, block) = segment.read(segment.frames(&directory).next().unwrap()).unwrap();
        let messages = block.find(Table::Events, Field::StatusMessage);
        let are_templates = |at| block.encoding(at) == Some("text templates");
        assert!(messages.is_some_and(are_templates));
        assert!(block.find_attribute(Table::Events, "order").any(are_templates));
    }
}

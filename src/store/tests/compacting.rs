//! Compaction of a store: what it may take, what it leaves alone, and that no input is worth more
//! than the store.

use super::*;
use crate::column::Gather;
use crate::event::SpanId;
use crate::options::Retention;
use crate::storage::{Entry, File, Lock, LockMode};

/// Segments with so many frames each, all of them sealed.
fn sealed(store: &Store, frames: &[u32]) {
    for (number, &count) in frames.iter().enumerate() {
        for i in 0..count {
            append(store, batch(1 + number as u32 * 16 + i, 500)).unwrap();
        }
        seal(store);
    }
}

/// Seals what is open.
pub(super) fn seal(store: &Store) {
    store.handle.core.committer().end_active(&store.handle.core).unwrap();
    settle(store);
}

/// Sequences of the visible events, and how many frames hold them.
pub(super) fn sequences(store: &Store) -> (Vec<u64>, usize) {
    let (mut found, mut count) = (Vec::new(), 0);
    for view in store.snapshot().segments() {
        let directory = view.directory().unwrap();
        for entry in view.frames(&directory) {
            found.extend(entry.first_sequence..entry.first_sequence + u64::from(entry.events));
            count += 1;
        }
    }
    (found, count)
}

pub(super) fn blocks(bench: &Bench) -> Vec<String> {
    bench.names().into_iter().filter(|n| n.starts_with("blocks-")).collect()
}

/// Changes a byte in the first payload of a file.
fn damage(bench: &Bench, name: &str) {
    let file = bench.storage.open(name, true).unwrap();
    let offset = 4_096 + 128 + 20;
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 1]).unwrap();
}

#[test]
fn a_damaged_input_is_named_and_its_neighbours_are_compacted_around_it() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    sealed(&store, &[3, 3, 3, 3]);
    let before = sequences(&store).0;
    let broken = bench.segments()[1].clone();
    damage(&bench, &broken);
    let error = store.compact().unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupt, Some(broken.as_str())));
    assert_eq!(error.offset(), Some(4_096), "the frame");
    assert!(!store.is_poisoned());
    assert_eq!(bench.segments(), std::slice::from_ref(&broken), "the others became blocks");
    assert_eq!(blocks(&bench).len(), 2);
    let names = bench.names();
    assert!(!names.iter().any(|n| n.ends_with(".tmp")), "{names:?}");
    assert_eq!(store.compaction_error().unwrap().file(), Some(broken.as_str()));
    assert_eq!(store.stats().compaction_failures, 1);
    store.compact().unwrap();
    assert_eq!(store.stats().compaction_failures, 1, "it is not read again");
    // Once more after a restart, and the store still serves.
    drop(store);
    let (store, _) = bench.open();
    assert_eq!(store.compact().unwrap_err().file(), Some(broken.as_str()));
    append(&store, batch(5, 10)).unwrap();
    assert_eq!(sequences(&store).0.len(), before.len() + 5);
}

#[test]
fn in_the_background_too_a_damaged_input_is_met_once() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    sealed(&store, &[3, 3, 3, 3]);
    let broken = bench.segments()[1].clone();
    damage(&bench, &broken);
    for _ in 0..300 {
        while store.step_compactor().unwrap() == Next::Now {}
        bench.clock.advance_ms(1_000);
    }
    assert_eq!(bench.segments(), [broken]);
    assert_eq!(store.stats().compaction_failures, 1);
    assert!(!store.is_poisoned());
}

/// Storage that says how much is free.
pub(super) struct Sized {
    pub(super) inner: Arc<MemoryStorage>,
    pub(super) free: AtomicU64,
}

impl Storage for Sized {
    fn list(&self) -> Result<Vec<Entry>> {
        self.inner.list()
    }
    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.inner.create(name)
    }
    fn open(&self, name: &str, write: bool) -> Result<Arc<dyn File>> {
        self.inner.open(name, write)
    }
    fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.inner.rename(from, to, replace)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
    fn sync_dir(&self) -> Result<()> {
        self.inner.sync_dir()
    }
    fn lock(&self, mode: LockMode, note: &str) -> Result<Box<dyn Lock>> {
        self.inner.lock(mode, note)
    }
    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(Some(self.free.load(Ordering::Relaxed)))
    }
}

#[test]
fn a_job_begins_only_with_space_for_all_of_it_and_ends_when_ingest_needs_the_rest() {
    let bench = Bench::new();
    let storage = Sized { inner: bench.storage.clone(), free: AtomicU64::new(1 << 30) };
    let storage = Arc::new(storage);
    let (clock, options) = (bench.clock.clone(), bench.options.clone());
    let (store, _) = Store::open_with(storage.clone(), clock, options).unwrap();
    sealed(&store, &[3, 3]);
    let inputs: u64 = {
        let maintenance = store.handle.core.maintenance();
        maintenance.manifest().segments.iter().map(|s| s.file_length).sum()
    };
    let mark = 2 * limits::SEGMENT_BYTES_MIN;
    let names = bench.names();
    storage.free.store(mark + inputs - 1, Ordering::Relaxed);
    assert_eq!(store.compact().unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(bench.names(), names, "nothing was written");
    assert_eq!(store.stats().compaction_failures, 1);
    storage.free.store(mark + inputs, Ordering::Relaxed);
    store.step_compactor().unwrap();
    bench.clock.advance_ms(61_000);
    assert_eq!(store.step_compactor().unwrap(), Next::Now, "a job has begun");
    assert_eq!(bench.names().len(), names.len() + 1);
    // Others fill the disk.
    storage.free.store(mark - 1, Ordering::Relaxed);
    store.step_maintenance().unwrap();
    assert_ne!(store.step_compactor().unwrap(), Next::Now);
    assert_eq!(bench.names(), names, "it has given its space back");
    assert_eq!(store.compaction_error().unwrap().kind(), ErrorKind::Full);
    storage.free.store(1 << 30, Ordering::Relaxed);
    bench.clock.advance_ms(31_000);
    store.step_maintenance().unwrap();
    while store.step_compactor().unwrap() == Next::Now {}
    assert_eq!((bench.segments().len(), blocks(&bench).len()), (0, 1));
}

#[test]
fn log_segments_wait_a_minute_at_most_also_when_a_job_left_them_behind() {
    let mut bench = Bench::new();
    // A job takes a part of what is there.
    bench.options.retention = Retention { age_s_max: None, store_bytes_max: Some(160_000) };
    let (store, _) = bench.open();
    sealed(&store, &[8, 8, 8, 8]);
    // Somebody always has a segment open, so that it is never quiet.
    append(&store, batch(2, 10)).unwrap();
    while store.step_compactor().unwrap() == Next::Now {}
    let waiting = bench.segments().len();
    assert!(waiting > 1, "{waiting} segments");
    bench.clock.advance_ms(59_000);
    while store.step_compactor().unwrap() == Next::Now {}
    assert_eq!(bench.segments().len(), waiting);
    bench.clock.advance_ms(2_000);
    while store.step_compactor().unwrap() == Next::Now {}
    assert_eq!(bench.segments().len(), 1, "the open one");
    assert_eq!(store.stats().compaction_failures, 0);
}

#[test]
fn blocks_expand_to_no_more_than_a_batch_may_whatever_the_log_holds() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let long = Value::String("x".repeat(limits::VALUE_BYTES_MAX));
    for number in 0..27u64 {
        let mut builder = BatchBuilder::new();
        for i in 0..100u64 {
            let event = Event {
                time: Timestamp(1),
                source: "s".into(),
                event_type: "t".into(),
                span_id: Some(SpanId((number * 100 + i + 1).to_be_bytes())),
                attributes: vec![Attribute::new("long", long.clone())],
                ..Event::default()
            };
            builder.push(&event).unwrap();
        }
        append(&store, builder.finish().unwrap()).unwrap();
    }
    seal(&store);
    let before = sequences(&store).0;
    store.compact().unwrap();
    let (after, blocks) = sequences(&store);
    assert_eq!(after, before);
    assert!(blocks >= 3, "{blocks} blocks");
    let snapshot = store.snapshot();
    for view in snapshot.segments() {
        let directory = view.directory().unwrap();
        for entry in view.frames(&directory) {
            let (header, columns) = view.read(entry).unwrap();
            let mut gather = Gather::new();
            gather.add(&header, &columns, 0..columns.events()).unwrap();
            assert!(gather.expanded_bytes() <= limits::BATCH_EXPANDED_BYTES_MAX);
        }
    }
}

#[test]
fn a_file_ends_with_the_input_that_brings_more_series_than_are_held() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let each = limits::BATCH_SERIES_MAX;
    for number in 0..limits::SEGMENT_SERIES_MAX / each + 2 {
        let mut builder = BatchBuilder::new();
        for i in 0..each {
            let event = Event {
                time: Timestamp(1),
                source: "s".into(),
                event_type: format!("{number} {i}"),
                ..Event::default()
            };
            builder.push(&event).unwrap();
        }
        append(&store, builder.finish().unwrap()).unwrap();
        seal(&store);
    }
    let before = sequences(&store).0;
    store.compact().unwrap();
    assert_eq!(sequences(&store).0, before);
    assert_eq!((bench.segments().len(), blocks(&bench).len()), (0, 2));
    store.close().unwrap();
    let (store, _) = bench.open();
    store.compact().unwrap();
    assert_eq!(sequences(&store).0, before);
}

#[test]
fn how_long_the_next_log_segment_is_made_does_not_follow_compacted_files() {
    let mut bench = Bench::new();
    bench.options.segment_bytes = limits::SEGMENT_BYTES_DEFAULT;
    let (store, _) = bench.open();
    for i in 0..3 {
        // Of another noise each: what is alike is stored once.
        append(&store, batch(3, (900 << 10) + i)).unwrap();
        seal(&store);
    }
    store.compact().unwrap();
    store.close().unwrap();
    let entries = bench.storage.list().unwrap();
    let large = entries.iter().any(|e| e.name.starts_with("blocks-") && e.length > 2 << 20);
    assert!(large, "{entries:?}");
    let (store, _) = bench.open();
    append(&store, batch(1, 10)).unwrap();
    let log = bench.storage.list().unwrap().into_iter().find(|e| e.name.starts_with("log-"));
    assert_eq!(log.unwrap().length, 4 << 20, "as after one that was nearly full");
}

#[test]
fn a_compacted_file_of_more_series_than_are_held_is_not_written_again_for_itself() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let each = limits::BATCH_SERIES_MAX;
    for file in 0..4 {
        for number in 0..limits::SEGMENT_SERIES_MAX / each {
            let mut builder = BatchBuilder::new();
            for i in 0..each {
                let event_type = format!("{file} {number} {i}");
                let (time, source) = (Timestamp(1), "s".into());
                builder.push(&Event { time, source, event_type, ..Event::default() }).unwrap();
            }
            append(&store, builder.finish().unwrap()).unwrap();
        }
        seal(&store);
        store.compact().unwrap();
    }
    let files = blocks(&bench);
    assert_eq!(files.len(), 4, "no two of them are merged");
    store.compact().unwrap();
    assert_eq!(blocks(&bench), files);
    assert_eq!(store.stats().compaction_failures, 0);
}

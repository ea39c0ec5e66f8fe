//! When a segment ends without being full, and how long the next one is.

use super::*;

/// Noise that makes a segment worth sealing after a short silence; its frame is a little longer.
const LARGE: usize = 512 << 10;

/// A store with so long segments, and what its state machines are stepped with.
struct Sealing {
    bench: Bench,
    store: Store,
}

impl Sealing {
    fn new(segment_bytes: u64) -> Sealing {
        let mut bench = Bench::new();
        bench.options.segment_bytes = segment_bytes;
        let (store, _) = bench.open();
        Sealing { bench, store }
    }

    fn append(&self, batch: Batch) {
        let ticket = self.store.append(batch).unwrap();
        while ticket.try_take().is_none() {
            self.store.step_committer().unwrap();
        }
    }

    /// Lets so much time pass; what is due then is done.
    fn wait_ms(&self, ms: u64) {
        self.bench.clock.advance_ms(ms);
        self.settle();
    }

    fn settle(&self) {
        while self.store.step_committer().unwrap() == Next::Now {}
        while self.store.step_maintenance().unwrap() == Next::Now {}
    }

    fn sealed(&self) -> usize {
        self.store.snapshot().segments().iter().filter(|s| s.digest().is_some()).count()
    }

    /// Length of the newest segment's file: declared while it is not sealed.
    fn newest_length(&self) -> u64 {
        let name = self.bench.segments().pop().unwrap();
        self.bench.storage.open(&name, false).unwrap().length().unwrap()
    }
}

#[test]
fn a_large_segment_is_sealed_after_five_silent_seconds_and_not_before() {
    let it = Sealing::new(4 << 20);
    it.append(batch(1, LARGE));
    it.wait_ms(3_000);
    it.append(batch(2, 10));
    it.wait_ms(4_999);
    assert_eq!(it.sealed(), 0);
    it.wait_ms(1);
    assert_eq!(it.sealed(), 1);
}

#[test]
fn a_small_segment_is_sealed_after_thirty_silent_seconds_and_not_before() {
    let it = Sealing::new(4 << 20);
    it.append(batch(1, LARGE - 64_000));
    it.wait_ms(5_000);
    it.wait_ms(24_999);
    assert_eq!(it.sealed(), 0);
    it.wait_ms(1);
    assert_eq!(it.sealed(), 1);
}

#[test]
fn a_large_segment_that_is_never_silent_is_sealed_a_minute_after_its_first_frame() {
    let it = Sealing::new(4 << 20);
    it.append(batch(1, 10));
    for second in 1..=29 {
        it.wait_ms(2_000);
        it.append(batch(2, if second == 10 { LARGE } else { 10 }));
    }
    it.wait_ms(1_999);
    assert_eq!(it.sealed(), 0);
    it.wait_ms(1);
    assert_eq!(it.sealed(), 1);
    // The next batch begins another segment, whose minute is its own.
    it.append(batch(1, LARGE));
    it.wait_ms(4_999);
    assert_eq!((it.sealed(), it.bench.segments().len()), (1, 2));
}

#[test]
fn a_batch_that_comes_when_the_minute_is_over_begins_the_next_segment() {
    let it = Sealing::new(4 << 20);
    it.append(batch(1, LARGE));
    // Nobody stepped in between: the batch finds a segment that ought to have ended.
    it.bench.clock.advance_ms(60_000);
    it.append(batch(1, 10));
    it.settle();
    assert_eq!((it.sealed(), it.bench.segments().len()), (1, 2));
}

#[test]
fn a_small_segment_that_is_never_silent_is_not_sealed_for_its_age() {
    let it = Sealing::new(4 << 20);
    for _ in 0..40 {
        it.append(batch(1, 10));
        it.wait_ms(2_000);
    }
    assert_eq!(it.sealed(), 0);
    // As soon as it is worth it, its age counts.
    it.append(batch(1, LARGE));
    it.settle();
    assert_eq!(it.sealed(), 1);
}

#[test]
fn full_segments_grow_to_their_length_step_by_step_and_stay_there_after_an_open() {
    let mut it = Sealing::new(64 << 20);
    let large = batch(1, 900 << 10);
    let mut lengths = Vec::new();
    for _ in 0..64 {
        it.append(large.clone());
        it.settle();
        lengths.push(it.newest_length());
        if it.bench.segments().len() == 4 {
            break;
        }
    }
    lengths.dedup();
    assert_eq!(lengths, [1 << 20, 4 << 20, 16 << 20, 64 << 20]);
    it.store.close().unwrap();
    assert!(it.newest_length() < 2 << 20, "a clean stop cuts what is left of preallocation");
    it.store = it.bench.open().0;
    it.append(large);
    assert_eq!(it.newest_length(), 64 << 20);
}

#[test]
fn segments_that_were_sealed_for_their_silence_do_not_make_the_next_one_longer() {
    let it = Sealing::new(64 << 20);
    for segments in 1..6 {
        it.append(batch(1, 10));
        assert_eq!(it.newest_length(), 1 << 20);
        it.wait_ms(30_000);
        assert_eq!(it.sealed(), segments);
    }
}

#[test]
fn no_segment_is_longer_than_the_options_say_but_for_a_first_batch() {
    let it = Sealing::new(2 << 20);
    for _ in 0..8 {
        it.append(batch(1, 900 << 10));
        assert!(it.newest_length() <= 2 << 20);
    }
    it.append(batch(1, 3 << 20));
    assert!(it.newest_length() > 3 << 20);
}

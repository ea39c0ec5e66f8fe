//! Scrub: rot of a file that nobody reads is found, slowly, and nothing else is.

use super::compacting::{blocks, seal};
use super::*;

/// A store with a compacted and a sealed file of several pieces, and one that is written.
fn with_files(bench: &Bench) -> Store {
    let (store, _) = bench.open();
    for compacted in [true, false] {
        for i in 0..3 {
            append(&store, batch(3, (900 << 10) + i)).unwrap();
        }
        seal(&store);
        if compacted {
            store.compact().unwrap();
        }
    }
    append(&store, batch(2, 10)).unwrap();
    store
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.options.segment_bytes = limits::SEGMENT_BYTES_DEFAULT;
    bench
}

/// Steps until a round has ended.
fn round(bench: &Bench, store: &Store) {
    let first = store.step_scrub();
    assert!(matches!(first, Next::At(_)), "{first:?}");
    loop {
        let Next::At(then) = store.step_scrub() else { panic!("it sleeps for ever") };
        let wait_ms = then.saturating_sub(bench.clock.monotonic_ns()).div_ceil(1_000_000);
        if wait_ms > 86_400_000 {
            return;
        }
        bench.clock.advance_ms(wait_ms);
    }
}

fn sealed_bytes(bench: &Bench, store: &Store) -> u64 {
    let snapshot = store.snapshot();
    let names: Vec<&str> = snapshot
        .segments()
        .iter()
        .filter(|s| s.digest().is_some())
        .map(|s| s.file_name())
        .collect();
    let listed = bench.storage.list().unwrap();
    listed.iter().filter(|e| names.contains(&e.name.as_str())).map(|e| e.length).sum()
}

#[test]
fn a_flipped_bit_is_found_in_a_sealed_and_in_a_compacted_file_and_changes_nothing_else() {
    for compacted in [true, false] {
        let bench = bench();
        let store = with_files(&bench);
        let name = match compacted {
            true => blocks(&bench)[0].clone(),
            false => bench.segments()[0].clone(),
        };
        let file = bench.storage.open(&name, true).unwrap();
        let mut byte = [0];
        file.read_at(1_500_000, &mut byte).unwrap();
        file.write_at(1_500_000, &[byte[0] ^ 16]).unwrap();
        round(&bench, &store);
        assert_eq!(store.stats().scrub_errors, 1);
        let error = store.scrub_error().unwrap();
        assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupt, Some(name.as_str())));
        assert!(!store.is_poisoned());
        append(&store, batch(2, 11)).unwrap();
        // Again a week later.
        let Next::At(then) = store.step_scrub() else { panic!("it sleeps for ever") };
        bench.clock.advance_ms((then - bench.clock.monotonic_ns()).div_ceil(1_000_000));
        round(&bench, &store);
        assert_eq!(store.stats().scrub_errors, 2);
    }
}

#[test]
fn a_healthy_store_is_read_once_a_period_at_a_bounded_rate() {
    let bench = bench();
    let store = with_files(&bench);
    let all = sealed_bytes(&bench, &store);
    assert!(all > 5 << 20, "{all} bytes");
    store.step_scrub();
    bench.clock.advance_ms(59_990);
    store.step_scrub();
    assert_eq!(store.stats().scrubbed_bytes, 0, "not at once after a start");
    for tick in 1..=1_000 {
        bench.clock.advance_ms(10);
        store.step_scrub();
        let bytes = store.stats().scrubbed_bytes;
        assert!(bytes <= limits::SCRUB_BYTES_PER_S * tick / 100 + (1 << 20), "{bytes} in {tick}");
    }
    assert_eq!(store.stats().scrubbed_bytes, all);
    bench.clock.advance_ms(6 * 86_400_000);
    store.step_scrub();
    assert_eq!(store.stats().scrubbed_bytes, all, "each once a week");
    bench.clock.advance_ms(86_400_000);
    round(&bench, &store);
    assert_eq!(store.stats().scrubbed_bytes, 2 * all);
    assert!(store.stats().scrub_errors == 0 && store.scrub_error().is_none());
}

#[test]
fn a_file_that_goes_meanwhile_is_left_and_not_missed() {
    let bench = bench();
    let (store, _) = bench.open();
    for i in 0..3 {
        append(&store, batch(3, (900 << 10) + i)).unwrap();
    }
    seal(&store);
    store.step_scrub();
    bench.clock.advance_ms(60_000);
    let log = bench.segments();
    // The first one is short; a piece of the second is read.
    while store.stats().scrubbed_bytes < 3 << 19 {
        bench.clock.advance_ms(250);
        store.step_scrub();
    }
    store.compact().unwrap();
    assert_eq!(bench.segments(), log[1..2], "it is pinned while it is read");
    assert_eq!(blocks(&bench).len(), 1);
    bench.clock.advance_ms(1_000);
    store.step_scrub();
    store.step_maintenance().unwrap();
    assert!(bench.segments().is_empty(), "nobody holds it any more");
    round(&bench, &store);
    assert!(store.stats().scrub_errors == 0 && store.scrub_error().is_none());
}

#[test]
fn it_can_be_turned_off_and_ends_with_the_store() {
    let mut bench = bench();
    let store = with_files(&bench);
    store.step_scrub();
    bench.clock.advance_ms(60_000);
    for _ in 0..2 {
        store.step_scrub();
    }
    assert_eq!(store.stats().scrubbed_bytes, 1 << 20, "in the middle of a file");
    store.close().unwrap();
    assert_eq!(store.step_scrub(), Next::Idle);
    bench.options.scrub = false;
    let (store, _) = bench.open();
    assert_eq!(store.step_scrub(), Next::Idle);
}

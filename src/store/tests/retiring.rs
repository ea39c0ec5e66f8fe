//! Retention: whole segments go, pinned ones wait, and retries are still recognised.

use super::*;
use crate::options::Retention;

/// Ten segments, with numbered batches in them.
fn ten_segments(bench: &Bench) -> Store {
    let (store, _) = bench.open();
    for number in 0..60 {
        append(&store, batch(3, 9_000).numbered(ID, 0, number)).unwrap();
        settle(&store);
    }
    store
}

fn retain_bytes(bench: &mut Bench, bytes: u64) {
    bench.options.retention = Retention { age_s_max: None, store_bytes_max: Some(bytes) };
}

#[test]
fn the_oldest_segments_go_and_what_remains_is_a_suffix() {
    let mut bench = Bench::new();
    ten_segments(&bench).close().unwrap();
    let before = bench.segments();
    retain_bytes(&mut bench, 200_000);
    let (store, _) = bench.open();
    let all = frames(&store);
    settle(&store);
    let after = bench.segments();
    assert!(after.len() < before.len() && !after.is_empty());
    assert!(before.ends_with(&after));
    let kept = frames(&store);
    assert!(all.ends_with(&kept) && !kept.is_empty());
    let bytes: u64 = bench.storage.list().unwrap().iter().map(|e| e.length).sum();
    assert!(bytes < 210_000, "{bytes}");
    assert_eq!(store.stats().retired as usize, before.len() - after.len());
}

#[test]
fn a_snapshot_keeps_its_files_until_it_goes() {
    let mut bench = Bench::new();
    ten_segments(&bench).close().unwrap();
    retain_bytes(&mut bench, 0);
    let (store, _) = bench.open();
    let snapshot = store.snapshot();
    let count = bench.segments().len();
    settle(&store);
    assert_eq!(bench.segments().len(), count, "pinned (MAN-1)");
    assert!(store.snapshot().segments().is_empty());
    assert!(store.stats().pinned_bytes > 0);
    for view in snapshot.segments() {
        let directory = view.directory().unwrap();
        for frame in view.frames(&directory) {
            view.read(frame).unwrap();
        }
    }
    drop(snapshot);
    bench.clock.advance_ms(1_000);
    settle(&store);
    assert!(bench.segments().is_empty());
    assert_eq!(store.stats().pinned_bytes, 0);
}

#[test]
fn files_that_were_pinned_at_the_end_are_removed_by_the_next_open() {
    let mut bench = Bench::new();
    ten_segments(&bench).close().unwrap();
    retain_bytes(&mut bench, 0);
    let (store, _) = bench.open();
    let _pins = store.snapshot();
    settle(&store);
    store.close().unwrap();
    assert!(!bench.segments().is_empty());
    let (_store, report) = bench.open();
    assert!(report.clean);
    assert!(bench.segments().is_empty());
}

#[test]
fn retries_are_recognised_after_their_segments_are_gone_and_sequences_go_on() {
    let mut bench = Bench::new();
    ten_segments(&bench).close().unwrap();
    retain_bytes(&mut bench, 0);
    for stop in 0..3 {
        let (store, _) = bench.open();
        settle(&store);
        assert_eq!(store.snapshot().next_sequence(), 180, "stop {stop}");
        for number in 0..60 {
            let ack = append(&store, batch(3, 9_000).numbered(ID, 0, number)).unwrap();
            assert_eq!(ack, Ack { first_sequence: Some(number * 3), duplicate: true });
        }
        if stop == 1 {
            store.close().unwrap();
        }
    }
    let (store, _) = bench.open();
    let ack = append(&store, batch(3, 10).numbered(ID, 0, 60)).unwrap();
    assert_eq!(ack.first_sequence, Some(180));
}

#[test]
fn segments_go_by_the_age_of_their_newest_event() {
    let mut bench = Bench::new();
    ten_segments(&bench).close().unwrap();
    // The events of these tests happened at the beginning of 1970.
    bench.options.retention = Retention { age_s_max: Some(60), store_bytes_max: None };
    let (store, _) = bench.open();
    settle(&store);
    assert!(store.snapshot().segments().is_empty());
}

#[test]
fn a_store_that_is_closed_or_opened_for_reading_retires_nothing() {
    let mut bench = Bench::new();
    ten_segments(&bench).close().unwrap();
    let before = bench.names();
    retain_bytes(&mut bench, 0);
    let (storage, clock) = (bench.storage.clone(), bench.clock.clone());
    let (reader, _) = Store::open_read_only_with(storage, clock, bench.options.clone()).unwrap();
    settle(&reader);
    assert_eq!(bench.names(), before);
    reader.close().unwrap();
    settle(&reader);
    assert_eq!(bench.names(), before);
    // Ten seconds from now the events will be too old.
    let age_s = bench.clock.now().0 as u64 / 1_000_000_000 + 10;
    bench.options.retention = Retention { age_s_max: Some(age_s), store_bytes_max: None };
    let (store, _) = bench.open();
    store.close().unwrap();
    let before = bench.names();
    bench.clock.advance_ms(60_000);
    settle(&store);
    assert_eq!(bench.names(), before);
}

#[test]
fn stats_do_not_wait_for_maintenance() {
    let bench = Bench::new();
    let store = ten_segments(&bench);
    let (told, answer) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        // As while a segment is sealed.
        let busy = store.handle.core.maintenance();
        scope.spawn(|| told.send(store.stats()).unwrap());
        let answer = answer.recv_timeout(std::time::Duration::from_secs(10));
        drop(busy);
        assert!(answer.is_ok_and(|stats| stats.sealed > 5));
    });
}

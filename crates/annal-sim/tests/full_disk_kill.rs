//! A nearly full disk and a killed process: the next one opens the store with what is left, has
//! everything that was acknowledged, and serves as soon as there is space. What gives space back is
//! never held up by what needs some.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;

use annal::limits::{MANIFESTS_KEPT, SEGMENT_BYTES_MIN};
use annal::options::Retention;
use annal::store::Next;
use annal::{ErrorKind, Options, Store};
use annal_sim::{Call, Fault, FaultKind, ManualClock, SimStorage};
use common::STOCK;

fn open(disk: &SimStorage, clock: &Arc<ManualClock>, keep: Option<u64>) -> annal::Result<Store> {
    let retention = Retention { age_s_max: None, store_bytes_max: keep };
    let options = Options {
        manual: true,
        seed: Some(1),
        segment_bytes: SEGMENT_BYTES_MIN,
        retention,
        ..Options::new("")
    };
    Store::open_with(Arc::new(disk.clone()), clock.clone(), options).map(|(store, _)| store)
}

fn append(store: &Store, content: usize) -> annal::Result<()> {
    let ticket = store.append(STOCK.batch(content % STOCK.len(), None))?;
    while store.step_committer()? == Next::Now {}
    ticket.wait().map(drop)
}

/// Appends until the store has so many segments.
fn fill(store: &Store, segments: u64) {
    for content in 0.. {
        if store.stats().segments >= segments {
            return;
        }
        append(store, content).unwrap();
    }
}

fn batches(store: &Store) -> usize {
    STOCK.recognise(&store.snapshot(), false).unwrap().len()
}

fn used(disk: &SimStorage) -> u64 {
    disk.files().values().map(|bytes| bytes.len() as u64).sum()
}

fn count(disk: &SimStorage, prefix: &str) -> usize {
    disk.files().keys().filter(|name| name.starts_with(prefix)).count()
}

#[test]
fn a_store_that_was_killed_on_a_nearly_full_disk_opens() {
    let clock = Arc::new(ManualClock::default());
    let disk = SimStorage::new();
    let store = open(&disk, &clock, None).unwrap();
    (0..6).for_each(|content| append(&store, content).unwrap());
    let mut disk = disk.after_kill();
    let large = (0..STOCK.len()).max_by_key(|&i| STOCK.batch(i, None).header().stored_length);
    let large = large.unwrap();
    for _ in 0..3 {
        // Room for the prefix, and for none of the length that the segment declares.
        disk.set_capacity(Some(used(&disk) + 24_000));
        let store = open(&disk, &clock, None).unwrap();
        assert_eq!(batches(&store), 6);
        // Another program takes what the copy gave back.
        disk.set_capacity(Some(used(&disk) + 100));
        assert_eq!(append(&store, large).unwrap_err().kind(), ErrorKind::Full);
        assert_eq!(batches(&store), 6);
        disk = disk.after_kill();
    }
    disk.set_capacity(Some(used(&disk) + 24_000));
    let store = open(&disk, &clock, None).unwrap();
    disk.set_capacity(None);
    append(&store, 0).unwrap();
    store.close().unwrap();
    let store = open(&disk, &clock, None).unwrap();
    assert_eq!(batches(&store), 7);
    assert!(disk.misuse().is_empty(), "{:?}", disk.misuse());
}

#[test]
fn files_that_nothing_pins_any_more_go_although_the_disk_is_full() {
    let clock = Arc::new(ManualClock::default());
    let disk = SimStorage::new();
    let store = open(&disk, &clock, Some(0)).unwrap();
    fill(&store, 4);
    let pins = store.snapshot();
    while store.step_maintenance().unwrap() == Next::Now {}
    assert!(store.stats().pinned_bytes > 0 && store.stats().segments == 1);
    fill(&store, 2);
    disk.set_capacity(Some(0));
    let before = count(&disk, "log-");
    drop(pins);
    clock.advance_ns(1_000_000_000);
    store.step_maintenance().unwrap();
    assert_eq!(count(&disk, "log-"), before - 3);
    assert_eq!(store.stats().pinned_bytes, 0);
    assert!(!store.is_poisoned());
}

#[test]
fn an_old_manifest_makes_room_for_the_next_one() {
    let clock = Arc::new(ManualClock::default());
    let disk = SimStorage::new();
    let store = open(&disk, &clock, None).unwrap();
    fill(&store, 15);
    while store.stats().sealed < 10 {
        store.step_maintenance().unwrap();
    }
    assert_eq!(count(&disk, "manifest-"), MANIFESTS_KEPT);
    disk.record();
    store.step_maintenance().unwrap();
    let calls = disk.recorded();
    let create = calls.iter().position(|call| *call == Call::Create).unwrap() as u64;
    // The footer has its room already: it is the manifest that is refused.
    for at_call in [create, create + 1] {
        let sealed = store.stats().sealed;
        disk.record();
        disk.set_fault(Some(Fault { at_call, kind: FaultKind::NoSpace }));
        assert_eq!(store.step_maintenance().unwrap(), Next::Now);
        assert_eq!(disk.fault_met(), Some(calls[at_call as usize]));
        assert_eq!(store.stats().sealed, sealed + 1);
        assert!(!store.stats().full);
    }
}

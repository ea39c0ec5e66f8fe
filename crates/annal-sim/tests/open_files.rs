//! Too many open files, as a busy server meets them: what needs a file is refused and can be sent
//! again, nothing is poisoned, and service goes on as soon as a file can be opened. An error that
//! says nothing of the kind poisons, also when it comes while a segment is made.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;

use annal::limits::SEGMENT_BYTES_MIN;
use annal::options::Retention;
use annal::store::Next;
use annal::{ErrorKind, Options, Store};
use annal_sim::{Call, Fault, FaultKind, ManualClock, SimStorage};
use common::STOCK;

fn open(disk: &SimStorage, clock: &Arc<ManualClock>) -> Store {
    let retention = Retention { age_s_max: None, store_bytes_max: Some(200_000) };
    let options = Options {
        manual: true,
        seed: Some(1),
        segment_bytes: SEGMENT_BYTES_MIN,
        retention,
        ..Options::new("")
    };
    Store::open_with(Arc::new(disk.clone()), clock.clone(), options).unwrap().0
}

fn append(store: &Store, content: usize) -> annal::Result<()> {
    let ticket = store.append(STOCK.batch(content % STOCK.len(), None))?;
    while store.step_committer()? == Next::Now {}
    ticket.wait().map(drop)
}

#[test]
fn without_a_file_to_open_appends_are_refused_and_go_on_later() {
    let clock = Arc::new(ManualClock::default());
    let disk = SimStorage::new();
    let store = open(&disk, &clock);
    let (mut acknowledged, mut refused) = (0, 0);
    for i in 0..1_600 {
        disk.use_up_open_files(i % 8 > 1);
        match append(&store, i) {
            Ok(()) => acknowledged += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Busy, "{error:?}");
                refused += 1;
            }
        }
        clock.advance_ns(500_000_000);
        assert_ne!(store.step_maintenance().unwrap(), Next::Idle);
    }
    assert!(!store.is_poisoned() && !store.stats().full);
    assert!(refused > 10 && acknowledged > 100, "{refused} refused, {acknowledged} acknowledged");
    assert!(store.stats().sealed > 10 && store.stats().retired > 5, "{:?}", store.stats());
    disk.use_up_open_files(false);
    while store.step_maintenance().unwrap() == Next::Now {}
    let kept = STOCK.recognise(&store.snapshot(), false).unwrap();
    assert_eq!(kept.last().unwrap().first_sequence + u64::from(kept.last().unwrap().events), {
        store.stats().next_sequence
    });
    store.close().unwrap();
    drop(store);
    assert_eq!(STOCK.recognise(&open(&disk, &clock).snapshot(), false).unwrap(), kept);
}

#[test]
fn any_other_error_while_a_segment_is_made_poisons() {
    for call in [Call::Create, Call::Allocate, Call::Write, Call::SyncAll, Call::SyncDir] {
        let clock = Arc::new(ManualClock::default());
        let disk = SimStorage::new();
        let store = open(&disk, &clock);
        disk.record();
        append(&store.clone(), 0).unwrap();
        let nth = disk.recorded().iter().position(|c| *c == call).unwrap() as u64;
        drop(store);
        let disk = SimStorage::new();
        let store = open(&disk, &clock);
        disk.record();
        disk.set_fault(Some(Fault { at_call: nth, kind: FaultKind::Io }));
        let ticket = store.append(STOCK.batch(0, None)).unwrap();
        assert!(store.step_committer().is_err(), "{call:?}");
        assert_eq!(disk.fault_met(), Some(call));
        assert_eq!(ticket.wait().unwrap_err().kind(), ErrorKind::Poisoned, "{call:?}");
        assert!(store.is_poisoned(), "{call:?}");
    }
}

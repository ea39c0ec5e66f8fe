//! A sync that fails while a segment is sealed: the file looks sealed in the page cache, the next
//! process takes it over, and its syncs succeed without writing anything. What the manifest names
//! after that survives the power all the same.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;

use annal::limits::SEGMENT_BYTES_MIN;
use annal::store::Next;
use annal::{ErrorKind, Options, Store};
use annal_sim::{Call, Fault, FaultKind, Loss, ManualClock, SimStorage};
use common::STOCK;

fn open(disk: &SimStorage, clock: &Arc<ManualClock>) -> annal::Result<Store> {
    let options = Options {
        manual: true,
        seed: Some(1),
        segment_bytes: SEGMENT_BYTES_MIN,
        ..Options::new("")
    };
    Store::open_with(Arc::new(disk.clone()), clock.clone(), options).map(|(store, _)| store)
}

/// Appends until so many segments wait for their footers; how many batches were acknowledged.
fn fill(store: &Store, segments: u64) -> usize {
    let mut acknowledged = 0;
    while store.stats().segments < segments {
        let batch = STOCK.batch(acknowledged % STOCK.len(), None);
        let ticket = store.append(batch).unwrap();
        while store.step_committer().unwrap() == Next::Now {}
        ticket.wait().unwrap();
        acknowledged += 1;
    }
    acknowledged
}

fn batches(store: &Store) -> usize {
    STOCK.recognise(&store.snapshot(), false).unwrap().len()
}

#[test]
fn a_segment_whose_sealing_failed_is_named_only_when_it_is_durable_after_all() {
    let mut failed = Vec::new();
    for nth in 0.. {
        let clock = Arc::new(ManualClock::default());
        let disk = SimStorage::new();
        let store = open(&disk, &clock).unwrap();
        let acknowledged = fill(&store, 3);
        disk.record();
        disk.set_fault(Some(Fault { at_call: nth, kind: FaultKind::Io }));
        let stepped = store.step_maintenance();
        let Some(met) = disk.fault_met() else { break };
        if stepped.is_ok() {
            disk.set_fault(None);
            continue;
        }
        assert_eq!(stepped.unwrap_err().kind(), ErrorKind::Poisoned);
        failed.push(met);
        let found = disk.after_kill();
        drop(store);
        let store = open(&found, &clock).unwrap();
        assert_eq!(batches(&store), acknowledged, "{met:?}");
        while store.step_maintenance().unwrap() == Next::Now {}
        assert!(store.stats().sealed >= 1, "{met:?}");
        found.lose_power();
        let found = found.after(Loss::All);
        drop(store);
        let store = open(&found, &clock).unwrap_or_else(|e| panic!("{nth}, {met:?}: {e}"));
        assert_eq!(batches(&store), acknowledged, "{met:?}");
        let report = Store::verify_with(&found.after_kill(), &Options::new(""), &mut |_| {});
        assert!(report.unwrap().damage.is_empty(), "{met:?}");
    }
    for call in [Call::Write, Call::SyncData, Call::Truncate, Call::SyncAll, Call::SyncDir] {
        assert!(failed.contains(&call), "{failed:?}");
    }
}

//! Every error of the operating system at every call of a compaction: an input that cannot be read
//! costs its own compaction and nothing else, a full disk and too many open files pass, and only what
//! fails under the bytes that are written poisons. Whatever happens, each event is there.

#![allow(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;

use annal::limits::SEGMENT_BYTES_MIN;
use annal::storage::Storage;
use annal::store::Next;
use annal::{ErrorKind, Options, Store};
use annal_sim::{Call, Fault, FaultKind, ManualClock, SimStorage};
use common::STOCK;

fn open(disk: &SimStorage, clock: &Arc<ManualClock>) -> Store {
    let options = Options {
        manual: true,
        seed: Some(1),
        segment_bytes: SEGMENT_BYTES_MIN,
        ..Options::new("")
    };
    Store::open_with(Arc::new(disk.clone()), clock.clone(), options).unwrap().0
}

/// A store with some sealed segments and nothing else.
fn filled(disk: &SimStorage, clock: &Arc<ManualClock>) -> Store {
    let store = open(disk, clock);
    for i in 0..60 {
        let ticket = store.append(STOCK.batch(i % STOCK.len(), None)).unwrap();
        while store.step_committer().unwrap() == Next::Now {}
        ticket.wait().unwrap();
        clock.advance_ns(40_000_000_000);
        while store.step_committer().unwrap() == Next::Now {}
        while store.step_maintenance().unwrap() == Next::Now {}
    }
    store
}

fn events(store: &Store) -> u64 {
    store.snapshot().segments().iter().map(|segment| segment.events()).sum()
}

#[test]
fn an_error_at_any_call_of_a_compaction_costs_no_event_and_poisons_only_under_what_is_written() {
    let run = |fault: Option<Fault>| {
        let (disk, clock) = (SimStorage::new(), Arc::new(ManualClock::default()));
        let store = filled(&disk, &clock);
        let before = events(&store);
        disk.record();
        disk.set_fault(fault);
        let outcome = store.compact();
        let calls = disk.recorded();
        assert_eq!(events(&store), before, "{fault:?}");
        (store, disk, clock, outcome, calls, before)
    };
    let (_, _, _, outcome, calls, _) = run(None);
    outcome.unwrap();
    let written = calls.iter().position(|&call| call == Call::SyncAll).unwrap();
    for (at, &call) in calls.iter().enumerate() {
        for kind in FaultKind::ALL.into_iter().filter(|kind| kind.suits(call)) {
            let (store, disk, clock, outcome, _, before) =
                run(Some(Fault { at_call: at as u64, kind }));
            let when = format!("{kind:?} at call {at}, {call:?}: {outcome:?}");
            assert_eq!(disk.fault_met(), Some(call), "{when}");
            let input = at < written && matches!(call, Call::Read | Call::Open | Call::Length);
            match kind {
                FaultKind::ShortWrite => outcome.unwrap(),
                FaultKind::Io if input => {
                    let error = outcome.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{when}");
                    assert!(error.file().is_some_and(|f| f.starts_with("log-")), "{when}");
                    assert!(!store.is_poisoned(), "{when}");
                }
                FaultKind::Io => assert_eq!(store.is_poisoned(), outcome.is_err(), "{when}"),
                _ if call.syncs() || call == Call::Rename => {}
                _ => assert!(!store.is_poisoned(), "{when}"),
            }
            drop(store);
            let store = open(&disk, &clock);
            assert_eq!(events(&store), before, "{when}");
            store.compact().unwrap();
            assert_eq!(events(&store), before, "{when}");
        }
    }
}

#[test]
fn while_no_file_can_be_opened_jobs_are_given_up_and_come_again() {
    let (disk, clock) = (SimStorage::new(), Arc::new(ManualClock::default()));
    let store = filled(&disk, &clock);
    let before = events(&store);
    store.step_compactor().unwrap();
    for round in 1..=5 {
        clock.advance_ns(31_000_000_000);
        assert_eq!(store.step_compactor().unwrap(), Next::Now, "a job has made its file");
        disk.use_up_open_files(true);
        assert_ne!(store.step_compactor().unwrap(), Next::Now, "it cannot open its input");
        disk.use_up_open_files(false);
        assert_eq!(store.stats().compaction_failures, round);
        let left = disk.list().unwrap().into_iter().find(|e| e.name.ends_with(".tmp"));
        assert_eq!(left, None, "its file is gone");
    }
    assert!(!store.is_poisoned());
    store.compact().unwrap();
    assert_eq!(events(&store), before);
    assert_eq!(store.stats().compaction_debt_bytes, 0);
}

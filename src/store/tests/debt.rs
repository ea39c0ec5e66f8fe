//! Log that waits for compaction: when appends are refused for it, and when they must not be.

use super::compacting::{Sized, blocks, seal};
use super::*;
use crate::options::Retention;

/// A store that owes more than it may, in segments of a frame each, none of them looked at yet.
fn indebted(bench: &mut Bench) -> Store {
    let least = bench.options.compaction_debt_bytes_min();
    bench.options.compaction_debt_bytes_max = least;
    let (store, _) = bench.open();
    while store.stats().compaction_debt_bytes <= least {
        append(&store, batch(2, 50_000)).unwrap();
        seal(&store);
    }
    store
}

fn is_refused(store: &Store) -> bool {
    match append(store, batch(1, 10)) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy);
            assert!(error.retry_after().is_some());
            true
        }
    }
}

#[test]
fn what_waits_beyond_the_limit_refuses_appends_until_it_is_worked_off() {
    let mut bench = Bench::new();
    // A job takes a part of what is there.
    bench.options.retention = Retention { age_s_max: None, store_bytes_max: Some(1_200_000) };
    let store = indebted(&mut bench);
    append(&store, numbered(0)).unwrap();
    assert!(!is_refused(&store), "nobody has looked");
    seal(&store);
    assert_eq!(store.step_compactor().unwrap(), Next::Now, "a job, although little waits");
    assert!(is_refused(&store) && store.stats().compaction_refuses);
    assert!(append(&store, numbered(0)).unwrap().duplicate, "what is stored costs nothing");
    let max = bench.options.compaction_debt_bytes_max;
    let mut jobs = 0;
    while is_refused(&store) {
        assert!(store.stats().compaction_debt_bytes > max - max / 4);
        assert_eq!(store.step_compactor().unwrap(), Next::Now);
        jobs = store.stats().compactions;
    }
    assert!(jobs > 0 && store.stats().compaction_debt_bytes <= max - max / 4 + 65_536);
    assert!(!store.stats().compaction_refuses);
}

#[test]
fn nobody_is_refused_while_compaction_is_off_or_paused() {
    let mut bench = Bench::new();
    let store = indebted(&mut bench);
    store.pause_compaction(true);
    assert_eq!(store.step_compactor().unwrap(), Next::Idle);
    assert!(!is_refused(&store) && store.stats().compaction_paused);
    assert_eq!(blocks(&bench).len(), 0);
    store.pause_compaction(false);
    store.step_compactor().unwrap();
    assert!(is_refused(&store));
    store.step_compactor().unwrap();
    let stats = store.stats();
    assert!(stats.compaction_job_bytes > 0, "{stats:?}");
    assert!(stats.compaction_job_bytes <= stats.compaction_job_bytes_total, "{stats:?}");
    // In the middle of a job, whose file stays where it is; whether its space is needed is looked at.
    store.pause_compaction(true);
    assert!(!is_refused(&store));
    assert!(matches!(store.step_compactor().unwrap(), Next::At(_)));
    assert_eq!(store.stats().compaction_job_bytes, stats.compaction_job_bytes);
    store.pause_compaction(false);
    while store.step_compactor().unwrap() == Next::Now {}
    let stats = store.stats();
    assert_eq!((blocks(&bench).len(), stats.compactions), (1, 1));
    assert!(stats.compaction_read_bytes > bench.options.compaction_debt_bytes_max);
    let listed = bench.storage.list().unwrap();
    let written = listed.iter().find(|e| e.name == blocks(&bench)[0]).map(|e| e.length);
    assert_eq!(Some(stats.compaction_written_bytes), written);
    assert_eq!((stats.compaction_job_bytes, stats.compaction_job_bytes_total), (0, 0));
    assert!(!is_refused(&store));
    store.close().unwrap();
    bench.options.compaction = false;
    let store = indebted(&mut bench);
    store.step_compactor().unwrap();
    assert!(!is_refused(&store));
}

#[test]
fn what_cannot_be_read_is_no_debt() {
    let mut bench = Bench::new();
    let store = indebted(&mut bench);
    for name in bench.segments() {
        let file = bench.storage.open(&name, true).unwrap();
        file.write_at(4_096 + 128 + 20, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    }
    store.step_compactor().unwrap();
    assert!(is_refused(&store));
    // Each is met once, and the next one at once: ingest waits for that.
    let segments = bench.segments().len();
    for _ in 0..4 * segments {
        store.step_compactor().unwrap();
    }
    assert!(!is_refused(&store));
    assert_eq!(blocks(&bench).len(), 0);
    assert!(store.stats().compaction_debt_bytes > bench.options.compaction_debt_bytes_max);
}

#[test]
fn nobody_is_refused_for_what_a_job_has_no_space_to_work_off() {
    let mut bench = Bench::new();
    indebted(&mut bench).close().unwrap();
    let storage = Sized { inner: bench.storage.clone(), free: AtomicU64::new(200_000) };
    let (clock, options) = (bench.clock.clone(), bench.options.clone());
    let (store, _) = Store::open_with(Arc::new(storage), clock, options).unwrap();
    for _ in 0..3 {
        assert_ne!(store.step_compactor().unwrap(), Next::Now);
        assert!(!is_refused(&store));
        bench.clock.advance_ms(31_000);
    }
    assert_eq!(store.stats().compaction_failures, 2, "at once, and when the oldest has waited");
}

#[test]
fn the_limit_has_a_floor() {
    let mut bench = Bench::new();
    bench.options.compaction_debt_bytes_max = bench.options.compaction_debt_bytes_min() - 1;
    let error = bench.try_open().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.field(), Some("compaction_debt_bytes_max"));
}

#[test]
fn what_retention_takes_is_owed_no_longer() {
    let mut bench = Bench::new();
    // Events of 1970 are kept for an hour more.
    bench.options.retention = Retention { age_s_max: Some(1_700_003_600), store_bytes_max: None };
    let store = indebted(&mut bench);
    // The first look: it begins a job.
    store.step_compactor().unwrap();
    assert!(is_refused(&store));
    bench.clock.advance_ms(7_200_000);
    while store.step_maintenance().unwrap() == Next::Now {}
    for _ in 0..10 {
        store.step_compactor().unwrap();
        bench.clock.advance_ms(1_000);
    }
    assert!(!is_refused(&store), "{:?}", store.stats());
}

//! The store on a real disk: append with a sync behind it, open after a clean stop, recovery after a
//! kill. The figures depend on the disk under the temporary directory.

#![allow(clippy::disallowed_methods, reason = "measures the disk itself, by the wall clock")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annal::event::Attribute;
use annal::storage::DiskStorage;
use annal::store::Next;
use annal::time::SystemClock;
use annal::{Batch, BatchBuilder, Event, Options, Store, Timestamp, TraceId, Value};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: usize = 4_000;
/// Batches in flight, as a producer that pipelines keeps them.
const IN_FLIGHT: usize = 32;

/// Spans of a shop, a few hundred bytes each before they are encoded.
fn batch(seed: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for i in 0..EVENTS as u64 {
        let noise = (seed * EVENTS as u64 + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&((noise / 8) | 1).to_le_bytes());
        let event = Event {
            time: Timestamp(1_700_000_000_000_000_000 + (seed * EVENTS as u64 + i) as i64 * 7_919),
            source: format!("service-{}", i % 12),
            event_type: format!("operation-{}", i % 40),
            trace_id: Some(TraceId(trace)),
            duration: Some((noise >> 44) as i64),
            attributes: vec![
                Attribute::new("http.route", Value::String(format!("/shop/{}", i % 30))),
                Attribute::new("user.id", Value::String(format!("u-{}", noise >> 50))),
                Attribute::new("http.response.status_code", Value::Int(200)),
            ],
            ..Event::default()
        };
        builder.push(&event).expect("an event within the limits");
    }
    builder.finish().expect("a batch")
}

fn fill(store: &Store, batches: &[Batch], count: usize) {
    let mut waiting = std::collections::VecDeque::new();
    for i in 0..count {
        waiting.push_back(store.append(batches[i % batches.len()].clone()).expect("room"));
        if waiting.len() >= IN_FLIGHT {
            let ticket = waiting.pop_front().expect("a ticket");
            ticket.wait().expect("durable");
        }
    }
    for ticket in waiting {
        ticket.wait().expect("durable");
    }
}

fn append(c: &mut Criterion) {
    let batches: Vec<_> = (0..64).map(batch).collect();
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(Options::new(directory.path())).expect("a store");
    let mut group = c.benchmark_group("append+sync");
    group.throughput(Throughput::Elements((256 * EVENTS) as u64));
    group.sample_size(10);
    group.bench_function("encoded batches, 32 in flight", |b| {
        b.iter(|| fill(&store, &batches, 256));
    });
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("one batch at a time", |b| b.iter(|| fill(&store, &batches, 1)));
    group.finish();
    let stats = store.stats();
    eprintln!(
        "append: {} events, {:.1} B each, {} syncs of {:.2} ms",
        stats.events,
        stats.bytes as f64 / stats.events as f64,
        stats.syncs,
        stats.sync_ns as f64 / 1e6 / stats.syncs as f64
    );
    store.close().expect("closed");
}

/// A store of so many batches, closed or dropped as by a kill.
fn make(path: &Path, count: usize, clean: bool) {
    let batches: Vec<_> = (0..64).map(batch).collect();
    let (store, _) = Store::open(Options::new(path)).expect("a store");
    fill(&store, &batches, count);
    if clean {
        store.close().expect("closed");
    }
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    group.sample_size(10);
    let directory = tempfile::tempdir().expect("a directory");
    make(directory.path(), 4_000, true);
    let bytes: u64 = std::fs::read_dir(directory.path())
        .expect("a directory")
        .filter_map(|e| e.ok()?.metadata().ok())
        .map(|m| m.len())
        .sum();
    group.bench_function(format!("{} MB after a clean stop", bytes >> 20), |b| {
        b.iter(|| {
            let (store, report) = Store::open(Options::new(directory.path())).expect("a store");
            assert!(report.clean);
            black_box(store.snapshot());
        });
    });
    group.bench_function("60 MB of them in the active segment, after a kill", |b| {
        b.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                let directory = tempfile::tempdir().expect("a directory");
                make(directory.path(), 1_000, false);
                let storage =
                    DiskStorage::open(directory.path(), annal::options::ReadMode::Map).expect("it");
                let started = Instant::now();
                let opened = Store::open_with(
                    Arc::new(storage),
                    Arc::new(SystemClock::new()),
                    Options::new(directory.path()),
                );
                total += started.elapsed();
                let (_, report) = opened.expect("a store");
                assert!(!report.clean);
                eprintln!("recovered {} events", report.events_recovered);
            }
            total
        });
    });
    group.finish();
}

/// Four neighbouring files of level 1, of so many batches each, not merged yet.
fn make_files(path: &Path, batches: usize) {
    let options = || Options { manual: true, segment_bytes: 1 << 30, ..Options::new(path) };
    for file in 0..4 {
        let (store, _) = Store::open(options()).expect("a store");
        for seed in 0..batches as u64 {
            let ticket = store.append(batch(file * batches as u64 + seed)).expect("room");
            while store.step_committer().expect("a step") == Next::Now {}
            ticket.wait().expect("durable");
        }
        store.close().expect("closed");
        let (store, _) = Store::open(Options { manual: false, ..options() }).expect("a store");
        // The store is quiet; a fourth file is the last before they are merged.
        while store.stats().compactions == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        store.close().expect("closed");
    }
}

/// Nanoseconds that this thread has had of a processor; by the wall where that is not known.
fn processor_ns(since: Instant) -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let own = stat.split(' ').next().and_then(|ns| ns.parse().ok());
    own.unwrap_or_else(|| since.elapsed().as_nanos() as u64)
}

fn merge(c: &mut Criterion) {
    const BATCHES: usize = 100;
    let made = tempfile::tempdir().expect("a directory");
    make_files(made.path(), BATCHES);
    let started = Instant::now();
    let mut group = c.benchmark_group("merge");
    group.sample_size(10);
    group.throughput(Throughput::Elements((4 * BATCHES * EVENTS) as u64));
    group.bench_function("four files of level 1, time of a processor", |b| {
        b.iter_custom(|rounds| {
            let mut total = 0;
            for _ in 0..rounds {
                let directory = tempfile::tempdir().expect("a directory");
                for entry in std::fs::read_dir(made.path()).expect("a directory").flatten() {
                    let to = directory.path().join(entry.file_name());
                    std::fs::copy(entry.path(), to).expect("a copy");
                }
                let options = Options { manual: true, ..Options::new(directory.path()) };
                let (store, _) = Store::open(options).expect("a store");
                assert_eq!(store.stats().segments, 4, "files of level 1");
                let before = processor_ns(started);
                store.compact().expect("compacted");
                total += processor_ns(started) - before;
                assert_eq!(store.stats().segments, 1);
            }
            Duration::from_nanos(total)
        });
    });
    group.finish();
}

criterion_group!(benches, append, open, merge);
criterion_main!(benches);

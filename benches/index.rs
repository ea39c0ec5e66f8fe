//! What indexes cost and save: probes of a trace filter, of a sparse time index and of links, who
//! links to a trace, and how fast columns of compacted segments are scanned beside copying as many
//! bytes.

#![allow(clippy::unwrap_used, reason = "a bench that cannot run ends")]

use std::hint::black_box;
use std::sync::Arc;

use annal::codec::Cursor;
use annal::event::{Attribute, Event, Link, Signal, Value};
use annal::index::links::{LinkFilters, LinksBuilder};
use annal::index::{TraceFilter, TraceFilters, trace_hash};
use annal::query::By;
use annal::segment::time_index::encode_time_index;
use annal::segment::{Directory, FrameEntry, TimeIndex};
use annal::storage::{MemoryStorage, Region};
use annal::time::SystemClock;
use annal::{BatchBuilder, Options, ProducerId, Query, Store, TimeRange, Timestamp, TraceId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const START_NS: i64 = 1_661_169_600_000_000_000;
/// Blocks of a segment of about 256 MiB.
const FRAMES: i64 = 2_000;
const BATCHES: u64 = 100;
const EVENTS: u64 = 1_000;
/// Events of a trace; one in so many events links, to a trace of half of all events before.
const TRACE_EVENTS: u64 = 8;
const EVENTS_PER_LINK: u64 = 16;
const LINKED_LATER: u64 = BATCHES * EVENTS / 2;

fn trace(number: u64) -> TraceId {
    let half = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    TraceId([half, half.rotate_left(29)].map(u64::to_le_bytes).concat().try_into().unwrap())
}

fn probes(c: &mut Criterion) {
    let hashes: Vec<u64> = (0..1_000).map(|number| trace_hash(&trace(number))).collect();
    let mut bytes = Vec::new();
    TraceFilter::of(&hashes).encode(&mut bytes);
    let filter = TraceFilter::decode(&mut Cursor::new(&bytes)).unwrap();
    let mut group = c.benchmark_group("index");
    let (here, elsewhere) = (hashes[500], trace_hash(&trace(5_000)));
    assert!(filter.may_contain(here));
    group.bench_function("trace filter, a trace of it", |b| {
        b.iter(|| filter.may_contain(black_box(here)))
    });
    group.bench_function("trace filter, another trace", |b| {
        b.iter(|| filter.may_contain(black_box(elsewhere)));
    });
    // As many traces as blocks have; each question is another, so that nothing is foreseen.
    let of = |block: u64| {
        let traces = block * 200..block * 200 + 160 + block * 7 % 41;
        TraceFilter::of(&traces.map(|number| trace_hash(&trace(number))).collect::<Vec<_>>())
    };
    let blocks: Vec<TraceFilter> = (0..FRAMES as u64).map(of).collect();
    group.bench_function("trace filters of 2,000 blocks, turned", |b| {
        b.iter(|| TraceFilters::of(black_box(&blocks).iter()));
    });
    let filters = TraceFilters::of(blocks.iter());
    let mut asked = hashes.iter().cycle();
    group.bench_function("trace filters of 2,000 blocks, a trace", |b| {
        b.iter(|| filters.may_contain_any(black_box(&[*asked.next().unwrap()])));
    });
    let mut links = LinksBuilder::default();
    hashes.chunks(100).for_each(|targets| links.push(targets));
    let links = LinkFilters::new(links.encode().unwrap()).unwrap();
    assert_eq!(links.may_link(5, here), Some(true));
    group.bench_function("links of a block, another trace", |b| {
        b.iter(|| links.may_link(black_box(5), black_box(elsewhere)));
    });
    let frames = (0..FRAMES).map(frame).collect();
    let bytes = encode_time_index(&Directory { frames, ..Directory::default() });
    let index = TimeIndex::new(Region::from_bytes(bytes.into())).unwrap();
    let since = Timestamp(START_NS + FRAMES / 2 * 1_000_000_000);
    let minute = TimeRange { since, until: Timestamp(since.0 + 60_000_000_000) };
    assert_eq!(index.overlapping(&minute).unwrap().len(), 61);
    group.bench_function("time index, a minute of half an hour", |b| {
        b.iter(|| index.overlapping(black_box(&minute)).unwrap());
    });
    group.finish();
}

/// A block of a second and a half that begins a second after the one before.
fn frame(number: i64) -> FrameEntry {
    let min_time = Timestamp(START_NS + number * 1_000_000_000);
    FrameEntry {
        index: number as u32,
        position: number as u64 * 100_000,
        stored_length: 90_000,
        first_sequence: number as u64 * 8_192,
        events: 8_192,
        received: min_time,
        min_time,
        max_time: Timestamp(min_time.0 + 1_500_000_000),
        producer_id: ProducerId([0; 16]),
        epoch: 0,
        batch_number: 0,
        series: Arc::from([]),
        traces: TraceFilter::of(&[]),
    }
}

fn event(number: u64) -> Event {
    let noise = (number + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let user = Value::String(format!("u-{}", noise >> 16 & 0xffff));
    Event {
        time: Timestamp(START_NS + number as i64 * 431_000),
        signal: Signal::Span,
        source: format!("service-{}", noise % 12),
        event_type: format!("operation-{}", noise >> 8 & 31),
        trace_id: Some(trace(number / TRACE_EVENTS)),
        duration: Some((noise >> (24 + number % 20)) as i64),
        attributes: vec![Attribute::new("user.id", user)],
        links: link(number).into_iter().collect(),
        ..Event::default()
    }
}

fn link(number: u64) -> Option<Link> {
    let linked = number.checked_sub(LINKED_LATER)?;
    number.is_multiple_of(EVENTS_PER_LINK).then(|| Link {
        trace_id: trace(linked / TRACE_EVENTS),
        span_id: None,
        trace_state: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 0,
    })
}

/// A store whose events are all in compacted segments.
fn compacted() -> Store {
    let storage = Arc::new(MemoryStorage::new());
    let open = || {
        let clock = Arc::new(SystemClock::new());
        Store::open_with(storage.clone(), clock, Options::new("unused")).unwrap().0
    };
    let store = open();
    let mut builder = BatchBuilder::new();
    for batch in 0..BATCHES {
        (0..EVENTS).for_each(|i| builder.push(&event(batch * EVENTS + i)).unwrap());
        store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
    }
    // A close seals what a compaction then takes.
    store.close().unwrap();
    drop(store);
    let store = open();
    store.compact().unwrap();
    store
}

fn scans(c: &mut Criterion) {
    let store = compacted();
    let snapshot = store.snapshot();
    assert!(snapshot.segments().iter().all(|segment| segment.is_compacted()));
    // Eight bytes for each value of the one column that is read.
    let bytes = (BATCHES * EVENTS * 8) as usize;
    let mut group = c.benchmark_group("scan");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(bytes as u64));
    let from = vec![7u8; bytes];
    let mut to = vec![0u8; bytes];
    group.bench_function("copy of as many bytes", |b| {
        b.iter(|| black_box(&mut to).copy_from_slice(black_box(&from)));
    });
    let mut scan = |name: &str, filter: &str| {
        let query = Query::default().filter(filter).unwrap();
        group.bench_function(name, |b| b.iter(|| snapshot.count(&query, By::default()).unwrap()));
    };
    scan("integers", "duration > 100ms");
    scan("few texts", "name = \"operation-7\"");
    scan("many texts", ".user.id = \"u-77\"");
    group.finish();
    links(c, &store);
}

/// Who links to a trace, of which blocks are known that it stands in and that none of them links.
fn links(c: &mut Criterion, store: &Store) {
    let snapshot = store.snapshot();
    // Numbers of traces of early blocks: an odd one is linked to by nobody.
    let (linked, other) = (trace(100), trace(101));
    let all = Query::default();
    assert_eq!(snapshot.links_to(linked, &all).unwrap().events.len(), 1);
    let nobody = snapshot.links_to(other, &all).unwrap();
    assert_eq!((nobody.events.len(), nobody.scanned.events_read), (0, 0));
    let mut group = c.benchmark_group("links");
    group.bench_function("to a trace that one event links to", |b| {
        b.iter(|| snapshot.links_to(black_box(linked), &all).unwrap());
    });
    group.bench_function("to a trace that nobody links to", |b| {
        b.iter(|| snapshot.links_to(black_box(other), &all).unwrap());
    });
    group.finish();
}

criterion_group!(benches, probes, scans);
criterion_main!(benches);

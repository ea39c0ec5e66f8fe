//! Reading: the text of a query, a count over everything, a filtered search, a trace by its id. Over
//! a store in memory, so that the figures are those of decompression and evaluation.

use std::hint::black_box;
use std::sync::Arc;

use annal::event::{Attribute, Event, Kind, Signal, Status, Value};
use annal::query::{By, Catalog, Expr, Query, Reference, SeriesBy};
use annal::storage::MemoryStorage;
use annal::time::SystemClock;
use annal::{BatchBuilder, Options, SpanId, Store, Timestamp, TraceId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const BATCHES: u64 = 200;
const EVENTS: u64 = 1_000;
const START_NS: i64 = 1_661_169_600_000_000_000;

fn trace(number: u64) -> TraceId {
    let half = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half.to_le_bytes());
    id[8..].copy_from_slice(&half.rotate_left(29).to_le_bytes());
    TraceId(id)
}

/// A span in ten is an error, a trace has eight of them, a user one in fifty thousand.
fn event(number: u64) -> Event {
    let noise = (number + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let failed = noise >> 32 & 15 == 0;
    let text = |text: String| Value::String(text);
    Event {
        time: Timestamp(START_NS + number as i64 * 431_000),
        signal: Signal::Span,
        source: format!("service-{}", noise % 12),
        event_type: format!("operation-{}", noise >> 8 & 31),
        trace_id: Some(trace(number / 8)),
        span_id: Some(SpanId(noise.to_le_bytes())),
        duration: Some((noise >> 40) as i64),
        kind: if noise & 16 == 0 { Kind::Server } else { Kind::Client },
        status: if failed { Status::Error } else { Status::Unset },
        attributes: vec![
            Attribute::new("http.route", text(format!("/shop/{}", noise >> 20 & 63))),
            Attribute::new("user.id", text(format!("u-{}", noise >> 16 & 0xffff))),
            Attribute::new("url.full", text(format!("http://shop/item?{:x}", noise >> 12))),
            Attribute::new("http.response.status_code", Value::Int(if failed { 500 } else { 200 })),
        ],
        ..Event::default()
    }
}

fn store() -> Store {
    let storage = Arc::new(MemoryStorage::new());
    let options = Options::new("unused");
    let clock = Arc::new(SystemClock::new());
    let (store, _) = Store::open_with(storage, clock, options).expect("a store");
    let mut builder = BatchBuilder::new();
    for batch in 0..BATCHES {
        (0..EVENTS).for_each(|i| builder.push(&event(batch * EVENTS + i)).expect("an event"));
        let batch = builder.finish().expect("a batch");
        store.append(batch).expect("room").wait().expect("durable");
    }
    store
}

fn parse(c: &mut Criterion) {
    let text = "resource.service.name = \"cart\" && duration > 100ms \
                && (span.http.response.status_code >= 500 || status = error) \
                && .user.id != nil && message =~ \".*timed out.*\"";
    let mut group = c.benchmark_group("query text");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse", |b| {
        b.iter(|| black_box(text).parse::<Expr>().expect("an expression"));
    });
    group.finish();
}

fn answers(c: &mut Criterion) {
    let store = store();
    let snapshot = store.snapshot();
    let count = |query: &Query, by| snapshot.count(query, by).expect("counts");
    let filtered = |text: &str| Query::default().filter(text).expect("a filter");
    let mut group = c.benchmark_group("query");
    group.sample_size(10);
    group.throughput(Throughput::Elements(BATCHES * EVENTS));
    let nothing = filtered("observed != nil || .nowhere = 1");
    group.bench_function("open every frame, decode no column", |b| {
        b.iter(|| count(&nothing, By::default()));
    });
    let by = By { source: true, event_type: true, minute: true };
    let all = Query::default();
    group.bench_function("count by source, type and minute", |b| b.iter(|| count(&all, by)));
    let slow = filtered("duration > 16ms && kind = server");
    group.bench_function("count where duration", |b| b.iter(|| count(&slow, By::default())));
    let url = filtered("span.url.full =~ \".*item.ff.*\"");
    group.bench_function("count where regex on distinct text", |b| {
        b.iter(|| count(&url, By::default()));
    });
    group.bench_function("catalog of all series", |b| {
        b.iter(|| {
            let mut catalog = Catalog::default();
            catalog.refresh(&snapshot).expect("totals");
            catalog
        });
    });
    group.bench_function("series of points per source and minute", |b| {
        b.iter(|| snapshot.series(&all, 60_000_000_000, SeriesBy::Source).expect("points"));
    });
    let of_user = Reference::attribute("user.id");
    group.bench_function("top values of an attribute", |b| {
        b.iter(|| snapshot.top_values(&all, &of_user, 10).expect("values"));
    });
    group.bench_function("dependencies", |b| {
        b.iter(|| snapshot.dependencies(&all).expect("dependencies"));
    });
    let user = filtered(".user.id = \"u-77\"");
    group.bench_function("search a rare user, limit 100", |b| {
        b.iter(|| snapshot.query(&user).expect("events"));
    });
    group.finish();
    let mut group = c.benchmark_group("query with an early end");
    let errors = filtered("status = error").limit(20);
    group.bench_function("newest 20 errors", |b| {
        b.iter(|| snapshot.query(&errors).expect("events"));
    });
    let found = snapshot.find_traces(&errors, 20).expect("traces");
    group.bench_function("newest 20 traces with an error", |b| {
        b.iter(|| snapshot.find_traces(&errors, 20).expect("traces"));
    });
    group.bench_function("20 whole traces by id", |b| {
        b.iter(|| snapshot.traces(&found.ids, &all).expect("events"));
    });
    let id = trace(12_345);
    group.bench_function("trace by id", |b| b.iter(|| snapshot.trace(id).expect("events")));
    group.bench_function("event by sequence", |b| {
        b.iter(|| snapshot.event(123_456).expect("an event"));
    });
    group.finish();
}

criterion_group!(benches, parse, answers);
criterion_main!(benches);

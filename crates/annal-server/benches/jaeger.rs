//! Traces as Jaeger's JSON: from a store to events, to events read where they stand, and to bytes.
//!
//! 20 traces of 45 spans with a dozen attributes each: what a search for whole traces answers.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::sync::Arc;

use annal::column::EventView;
use annal::event::{Attribute, Event, Kind, Resource, Signal, Value};
use annal::storage::MemoryStorage;
use annal::time::SystemClock;
use annal::{BatchBuilder, Options, Query, SpanId, Store, Timestamp, TraceId};
use annal_server::jaeger::write_trace;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const TRACES: u64 = 20;
const SPANS: u64 = 45;
const START_NS: i64 = 1_661_169_600_000_000_000;

fn trace_id(number: u64) -> TraceId {
    TraceId(u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060).to_be_bytes())
}

fn span(number: u64) -> Event {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text = |key: &str, text: String| Attribute::new(key, Value::String(text));
    let service = format!("service-{}", number % 9);
    let resource = vec![
        text("service.name", service.clone()),
        text("service.version", "1.4.2".into()),
        text("k8s.pod.name", format!("{service}-7d9f")),
    ];
    Event {
        time: Timestamp(START_NS + number as i64 * 431_000),
        signal: Signal::Span,
        source: service,
        event_type: format!("GET /product/{}", number % 12),
        trace_id: Some(trace_id(number / SPANS)),
        span_id: Some(SpanId(mixed.to_be_bytes())),
        parent_span_id: Some(SpanId((mixed ^ 1).to_be_bytes())),
        duration: Some((mixed >> 40) as i64),
        kind: Kind::Server,
        attributes: vec![
            text("http.request.method", "GET".into()),
            text("url.path", format!("/product/{}", number % 12)),
            text("url.full", format!("http://shop.example/product/{mixed:x}?currency=EUR")),
            Attribute::new("http.response.status_code", Value::Int(200)),
            text("network.peer.address", format!("10.0.{}.{}", number % 4, number % 200)),
            Attribute::new("network.peer.port", Value::Int((mixed % 60_000) as i64)),
            text("user.id", format!("u-{}", mixed % 5_000)),
            text("session.id", format!("{mixed:016x}")),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)".into()),
            text("thread.name", "worker".into()),
            Attribute::new("thread.id", Value::Int((number % 16) as i64)),
            Attribute::new("cache.hit", Value::Bool(number.is_multiple_of(2))),
        ],
        resource: Arc::new(Resource { attributes: resource, ..Resource::default() }),
        ..Event::default()
    }
}

fn store() -> Store {
    let storage = Arc::new(MemoryStorage::new());
    let clock = Arc::new(SystemClock::new());
    let (store, _) = Store::open_with(storage, clock, Options::new("unused")).expect("a store");
    let mut builder = BatchBuilder::new();
    for number in 0..TRACES * SPANS {
        builder.push(&span(number)).expect("an event");
    }
    let batch = builder.finish().expect("a batch");
    store.append(batch).expect("room").wait().expect("durable");
    store
}

fn traces(c: &mut Criterion) {
    let store = store();
    let snapshot = store.snapshot();
    let ids: Vec<TraceId> = (0..TRACES).map(trace_id).collect();
    let query = Query::default();
    let write = |traces: &[Vec<EventView<'_>>]| {
        let mut out = Vec::new();
        ids.iter().zip(traces).for_each(|(id, events)| write_trace(&mut out, *id, events));
        out
    };
    let mut group = c.benchmark_group("jaeger");
    group.throughput(Throughput::Elements(TRACES * SPANS));
    let in_place = snapshot.with_traces(&ids, &query, |found| {
        group.bench_function("views to json", |b| b.iter(|| write(black_box(&found.traces))));
    });
    in_place.expect("events");
    group.bench_function("store to events", |b| {
        b.iter(|| snapshot.traces(&ids, &query).expect("events"));
    });
    group.bench_function("store to views", |b| {
        b.iter(|| snapshot.with_traces(&ids, &query, |found| found.traces.len()).expect("views"));
    });
    group.bench_function("store to json", |b| {
        b.iter(|| snapshot.with_traces(&ids, &query, |found| write(&found.traces)).expect("views"));
    });
    group.finish();
}

criterion_group!(benches, traces);
criterion_main!(benches);

//! Batches in memory: encode from fields and from events, validate, decode whole and by column.
//! Throughput is in events; the spans are made up and have eleven attributes each.

#![allow(clippy::unwrap_used, reason = "a bench that cannot run ends")]

use std::hint::black_box;

use annal::column::{BatchView, EventFields, Field, ResourceFields, ScopeFields, Table};
use annal::event::{Kind, Signal, Status, ValueRef};
use annal::{Batch, BatchBuilder, Event, SpanId, Timestamp, TraceId};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const EVENTS: u64 = 1_000;
const SERVICES: u64 = 12;
const START_NS: i64 = 1_700_000_000_000_000_000;

fn noise(i: u64) -> u64 {
    (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// What a span's attributes are made of, prepared so that formatting is not measured.
struct Texts {
    methods: Vec<String>,
    addresses: Vec<String>,
    users: Vec<String>,
    queries: Vec<String>,
}

impl Texts {
    fn new() -> Texts {
        let many = |count: u64, text: &dyn Fn(u64) -> String| (0..count).map(text).collect();
        Texts {
            methods: many(40, &|i| format!("shop.Service{}/Method{i}", i % SERVICES)),
            addresses: many(64, &|i| format!("10.0.0.{i}")),
            users: many(500, &|i| format!("user-{i:05}")),
            queries: many(EVENTS, &|i| {
                format!("SELECT id, name FROM orders WHERE id = {} LIMIT 50", noise(i) % 10_000)
            }),
        }
    }
}

fn of(texts: &[String], i: u64) -> &str {
    &texts[(i % texts.len() as u64) as usize]
}

/// Spans as the OTLP decoder would hand them in: a resource and a scope for each service.
fn encode(builder: &mut BatchBuilder, texts: &Texts) -> Batch {
    let per_service = EVENTS / SERVICES;
    for i in 0..per_service * SERVICES {
        let random = noise(i);
        if i % per_service == 0 {
            begin_service(builder, i / per_service);
        }
        let trace = i % per_service / 4;
        let fields = EventFields {
            time: Timestamp(START_NS + (trace * 40_000_000 + random % 20_000_000) as i64),
            signal: Signal::Span,
            event_type: of(&texts.methods, random >> 20),
            trace_id: Some(TraceId([noise(trace).to_le_bytes(); 2].concat().try_into().unwrap())),
            span_id: Some(SpanId(noise(i).to_le_bytes())),
            parent_span_id: (i % 4 != 0).then(|| SpanId(noise(i - i % 4).to_le_bytes())),
            duration: Some((random >> (24 + i % 20)) as i64),
            kind: if i % 3 == 0 { Kind::Server } else { Kind::Client },
            status: if i % 50 == 0 { Status::Error } else { Status::Unset },
            flags: 0x101,
            ..EventFields::default()
        };
        builder.begin_event(&fields).unwrap();
        let attributes = [
            ("network.peer.address", ValueRef::String(of(&texts.addresses, random >> 10))),
            ("network.peer.port", ValueRef::Int(32_768 + (random >> 40 & 0x7fff) as i64)),
            ("server.address", ValueRef::String(of(&texts.methods, i / per_service))),
            ("server.port", ValueRef::Int(8080)),
            ("thread.id", ValueRef::Int((random >> 30 & 63) as i64)),
            ("user.id", ValueRef::String(of(&texts.users, noise(trace)))),
            ("rpc.system", ValueRef::String("grpc")),
            ("rpc.method", ValueRef::String(of(&texts.methods, random >> 20))),
            ("rpc.grpc.status_code", ValueRef::Int(0)),
            ("db.query.text", ValueRef::String(of(&texts.queries, i))),
            ("sampled", ValueRef::Bool(i % 2 == 0)),
        ];
        for (key, value) in attributes {
            builder.attribute(key, value).unwrap();
        }
    }
    builder.finish().unwrap()
}

fn begin_service(builder: &mut BatchBuilder, service: u64) {
    builder.begin_resource(&ResourceFields::default()).unwrap();
    let name = format!("service-{service}");
    builder.attribute("service.name", ValueRef::String(&name)).unwrap();
    builder.attribute("host.name", ValueRef::String("host-a")).unwrap();
    let scope = ScopeFields { name: "instrumentation", version: "1.2.3", ..Default::default() };
    builder.begin_scope(&scope).unwrap();
}

fn materialise(batch: &Batch) -> Vec<Event> {
    let view = BatchView::open(batch.header(), batch.payload()).unwrap();
    let rows: Vec<u32> = (0..batch.events() as u32).collect();
    view.materialise(batch.header(), &rows).unwrap()
}

fn batches(c: &mut Criterion) {
    let (texts, mut builder) = (Texts::new(), BatchBuilder::new());
    let batch = encode(&mut builder, &texts);
    let events = materialise(&batch);
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(batch.events() as u64));
    group.bench_function("encode_fields", |b| b.iter(|| encode(&mut builder, &texts)));
    group.bench_function("encode_events", |b| {
        b.iter(|| {
            events.iter().for_each(|event| builder.push(event).unwrap());
            builder.finish().unwrap()
        });
    });
    let now = Timestamp(START_NS + 86_400_000_000_000);
    group.bench_function("validate", |b| {
        b.iter(|| Batch::from_frame(*batch.header(), batch.payload().clone(), now).unwrap());
    });
    group.bench_function("materialise", |b| b.iter(|| materialise(black_box(&batch))));
    group.bench_function("one_column", |b| {
        b.iter(|| {
            let view = BatchView::open(batch.header(), batch.payload()).unwrap();
            view.ints(view.find(Table::Events, Field::Duration).unwrap()).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, batches);
criterion_main!(benches);

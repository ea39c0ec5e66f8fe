//! The events that batches are made of: few with every kind of field, so many that a few batches
//! fill a block, and such long ones that a few batches fill a segment.

use std::sync::Arc;

use annal::event::{Attribute, Link, Resource, Signal, SpanEvent, Status};
use annal::{Event, SpanId, Timestamp, TraceId, Value};

use crate::clock::START;
use crate::random::Random;

/// A few events with every kind of field; large in every eighth batch.
pub(super) fn few(random: &mut Random, batch: usize) -> Vec<Event> {
    (0..1 + random.below(6)).map(|_| event(random, batch)).collect()
}

/// So many events of next to nothing that they cost little to write and to compare.
pub(super) fn many(random: &mut Random, count: u64) -> Vec<Event> {
    let first = event(random, 0);
    let (step, links) = (1 + random.below(1_000_000), random.percent(50));
    let events = (0..count).map(|i| {
        let trace = (i % 64 == 0).then(|| TraceId(u128::from(1 + i / 64).to_le_bytes()));
        let count = Attribute::new("count", Value::Int((i % 7) as i64));
        // Follows from the type.
        let method = Attribute::new("method", Value::String(format!("method {}", i % 5 / 2)));
        // Made from a template.
        let statement = (i % 16 == 0).then(|| format!("get {i} of {} shops", i * 7_919 % 1_000));
        let statement = statement.map(|text| Attribute::new("statement", Value::String(text)));
        let mut event = Event {
            time: Timestamp(first.time.0 - (i * step) as i64),
            signal: Signal::Log,
            source: first.source.clone(),
            event_type: format!("{} {}", first.event_type, i % 5),
            trace_id: trace,
            span_id: first.span_id.filter(|_| i == 0),
            attributes: [Some(count), Some(method), statement].into_iter().flatten().collect(),
            resource: first.resource.clone(),
            ..Event::default()
        };
        if links && i % 512 == 0 {
            event.links.push(link());
        }
        event
    });
    events.collect()
}

/// An event that is nearly as long as one may be.
pub(super) fn long(random: &mut Random) -> Vec<Event> {
    let mut events = few(random, 0);
    events.truncate(1);
    for event in &mut events {
        event.attributes = vec![Attribute::new("noise", noise(random, 50_000))];
    }
    events
}

fn noise(random: &mut Random, bytes: u64) -> Value {
    Value::Bytes((0..bytes).map(|_| random.next_u64() as u8).collect())
}

fn link() -> Link {
    Link {
        trace_id: TraceId([7; 16]),
        span_id: Some(SpanId([8; 8])),
        trace_state: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 1,
    }
}

fn event(random: &mut Random, batch: usize) -> Event {
    let trace = u128::from(1 + random.below(40)).to_le_bytes();
    let large = batch % 8 == 7;
    let source = ["cart", "checkout", "shipping"][random.index(3)];
    let name = Attribute::new("service.name", Value::String(source.to_owned()));
    let mut event = Event {
        time: Timestamp(START.0 - random.below(3_600_000_000_000) as i64),
        signal: [Signal::Span, Signal::Log, Signal::Event][random.index(3)],
        source: source.to_owned(),
        event_type: ["AddItem", "Pay", "Ship"][random.index(3)].to_owned(),
        trace_id: Some(TraceId(trace)),
        span_id: Some(SpanId((1 + random.next_u64() % 1_000_000).to_le_bytes())),
        duration: random.percent(50).then(|| random.below(1 << 30) as i64),
        status: if random.percent(10) { Status::Error } else { Status::Unset },
        body: random.percent(30).then(|| Value::String(format!("message {}", random.below(100)))),
        attributes: vec![
            Attribute::new("count", Value::Int(random.below(1_000) as i64)),
            Attribute::new("noise", if large { noise(random, 3_000) } else { noise(random, 40) }),
        ],
        resource: Arc::new(Resource { attributes: vec![name], ..Resource::default() }),
        ..Event::default()
    };
    if random.percent(10) {
        event.links.push(link());
    }
    if random.percent(10) {
        event.events.push(SpanEvent {
            time: event.time,
            name: "exception".to_owned(),
            attributes: vec![Attribute::new("exception.type", Value::String("E".to_owned()))],
            dropped_attributes: 0,
        });
    }
    event
}

//! Random events of few words, so that questions about them match now and then.

use std::sync::Arc;

use annal::event::{
    Attribute, Event, Kind, Link, Resource, Scope, Signal, SpanEvent, SpanId, Status, TraceId,
    Value,
};
use annal::{Timestamp, event::DoubleBits};

/// Splitmix64: small, seeded, the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

pub(crate) const SOURCES: [&str; 4] = ["cart", "shop", "payment", ""];
pub(crate) const TYPES: [&str; 5] = ["AddItem", "GET /cart", "log", "exception", ""];
pub(crate) const KEYS: [&str; 7] =
    ["a", "user.id", "http.status", "flag", "list", "service.name", "order"];
pub(crate) const TEXTS: [&str; 6] = ["", "x", "u-7", "timed out\nafter 5 s", "ok", "é"];
pub(crate) const INTS: [i64; 7] = [0, -1, 1, 200, 500, i64::MAX, i64::MIN];
pub(crate) const DOUBLES: [f64; 7] = [0.0, -0.0, 0.5, 200.0, f64::NAN, f64::INFINITY, 1e300];
pub(crate) const DURATIONS: [i64; 5] = [0, -5, 1_000, 2_000_000, 3_000_000_000];
pub(crate) const SCOPES: [&str; 3] = ["lib", "otel", ""];

/// First time of all events.
pub(crate) const START_NS: i64 = 1_661_169_600_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;

pub(crate) fn trace_ids() -> Vec<TraceId> {
    (1..=20u8).map(|i| TraceId([i; 16])).collect()
}

pub(crate) fn span_ids() -> Vec<SpanId> {
    (1..=30u8).map(|i| SpanId([0, 0, 0, 0, 0, 0, i / 4, i])).collect()
}

/// Arrays and maps as `AnyValue` bytes, with the elements that comparisons see.
pub(crate) fn nested() -> Vec<(Vec<u8>, Vec<Value>)> {
    let array = |elements: &[&[u8]]| {
        let inner: Vec<u8> =
            elements.iter().flat_map(|e| [&[0x0a, e.len() as u8][..], e].concat()).collect();
        [&[0x2a, inner.len() as u8][..], &inner].concat()
    };
    let text = |t: &str| [&[0x0a, t.len() as u8][..], t.as_bytes()].concat();
    vec![
        (array(&[]), vec![]),
        (
            array(&[&text("x"), &text("u-7")]),
            vec![Value::String("x".into()), Value::String("u-7".into())],
        ),
        (array(&[&[0x18, 1], &[0x18, 0]]), vec![Value::Int(1), Value::Int(0)]),
        (array(&[&text("x"), &[0x10, 1]]), vec![Value::String("x".into()), Value::Bool(true)]),
        // A map: compares with nothing.
        (vec![0x32, 0], vec![Value::Bytes(vec![])]),
    ]
}

pub(crate) fn random_value(random: &mut Random) -> Value {
    match random.below(12) {
        0..=3 => Value::String(random.pick(&TEXTS).to_owned()),
        4..=6 => Value::Int(random.pick(&INTS)),
        7 => Value::Double(DoubleBits::from(random.pick(&DOUBLES))),
        8 => Value::Bool(random.one_in(2)),
        9 => Value::Bytes(vec![1, 2]),
        10 => Value::Nested(random.pick(&nested()).0),
        _ => Value::Empty,
    }
}

/// Texts that differ in their numbers: those of a block are stored as templates.
pub(crate) fn random_statement(random: &mut Random) -> String {
    let (order, shop) = (random.below(300), random.below(3));
    format!("order {order:02} of shop {shop} is late")
}

fn random_attributes(random: &mut Random, most: usize) -> Vec<Attribute> {
    let count = random.below(most + 1);
    (0..count).map(|_| Attribute::new(random.pick(&KEYS), random_value(random))).collect()
}

/// An event; later batches are mostly later in time.
pub(crate) fn random_event(random: &mut Random, batch: usize) -> Event {
    let stray = if random.one_in(10) { random.below(30) as i64 } else { 0 };
    let minute = batch as i64 / 2 + stray;
    let time = START_NS + minute * MINUTE_NS + random.below(40) as i64 * 2_000_000_000;
    let signal = random.pick(&[Signal::Span, Signal::Span, Signal::Log, Signal::Event]);
    let span = signal == Signal::Span;
    let ids = |random: &mut Random| random.pick(&span_ids());
    let mut event = Event {
        time: Timestamp(time),
        signal,
        source: random.pick(&SOURCES).to_owned(),
        event_type: random.pick(&TYPES).to_owned(),
        trace_id: (!random.one_in(3)).then(|| random.pick(&trace_ids())),
        span_id: (!random.one_in(3)).then(|| ids(random)),
        parent_span_id: random.one_in(2).then(|| ids(random)),
        duration: span.then(|| random.pick(&DURATIONS)),
        attributes: random_attributes(random, 4),
        resource: Arc::new(Resource {
            attributes: random_attributes(random, 2),
            ..Resource::default()
        }),
        ..Event::default()
    };
    if random.one_in(2) {
        let statement = Value::String(random_statement(random));
        event.attributes.push(Attribute::new("order", statement));
    }
    if random.one_in(2) {
        event.scope = Some(Arc::new(Scope {
            name: random.pick(&SCOPES).to_owned(),
            version: random.pick(&["", "1.0"]).to_owned(),
            attributes: random_attributes(random, 1),
            ..Scope::default()
        }));
    }
    if span {
        event.kind = random.pick(&[Kind::Unspecified, Kind::Server, Kind::Client, Kind::Internal]);
        event.status = random.pick(&[Status::Unset, Status::Ok, Status::Error]);
        event.status_message = match random.below(3) {
            0 => random.pick(&TEXTS).to_owned(),
            _ => random_statement(random),
        };
        event.trace_state = random.pick(&["", "k=v"]).to_owned();
        event.links = random_links(random, batch);
        event.events = random_span_events(random, time);
    } else {
        event.severity_number = random.pick(&[0, 5, 9, 13, 16, 17, 21]);
        event.severity_text = random.pick(&["", "WARN", "ERROR"]).to_owned();
        event.observed = random.one_in(2).then_some(Timestamp(time + 5));
        event.body = random_body(random);
    }
    event
}

fn random_body(random: &mut Random) -> Option<Value> {
    match random.below(6) {
        0 => None,
        1 => Some(Value::Int(5)),
        2 => Some(Value::String(random.pick(&TEXTS).to_owned())),
        // Text that no compressor makes small, so that segments fill up.
        _ => {
            let noise: Vec<String> = (0..40).map(|_| format!("{:016x}", random.next())).collect();
            Some(Value::String(format!("{} {}", random.pick(&TEXTS), noise.concat())))
        }
    }
}

/// Early batches link to other traces than late ones, so that links tell their blocks apart.
fn random_links(random: &mut Random, batch: usize) -> Vec<Link> {
    let count = if random.one_in(4) { 1 + random.below(2) } else { 0 };
    let all = trace_ids();
    let (early, late) = all.split_at(all.len() / 2);
    let targets = if batch % 40 < 20 { early } else { late };
    let link = |random: &mut Random| Link {
        trace_id: random.pick(targets),
        span_id: random.one_in(2).then(|| random.pick(&span_ids())),
        trace_state: String::new(),
        attributes: random_attributes(random, 1),
        dropped_attributes: 0,
        flags: 0,
    };
    (0..count).map(|_| link(random)).collect()
}

fn random_span_events(random: &mut Random, start: i64) -> Vec<SpanEvent> {
    let count = if random.one_in(4) { 1 + random.below(2) } else { 0 };
    let span_event = |random: &mut Random| SpanEvent {
        time: Timestamp(start + random.pick(&DURATIONS)),
        name: random.pick(&["exception", "retry", ""]).to_owned(),
        attributes: random_attributes(random, 1),
        dropped_attributes: 0,
    };
    (0..count).map(|_| span_event(random)).collect()
}

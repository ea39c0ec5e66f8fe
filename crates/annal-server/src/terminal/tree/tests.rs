use std::sync::Arc;

use annal::event::{Attribute, Kind, Link, SpanEvent};
use annal::{SpanId, Value};

use super::*;

const TRACE: TraceId = TraceId([7; 16]);

fn span(id: u64, parent: u64, source: &str, name: &str, start: i64, took: i64) -> Event {
    Event {
        sequence: id,
        time: Timestamp(1_661_140_374_351_773_094 + start),
        signal: Signal::Span,
        source: source.into(),
        event_type: name.into(),
        trace_id: Some(TRACE),
        span_id: Some(SpanId(id.to_be_bytes())),
        parent_span_id: (parent != 0).then(|| SpanId(parent.to_be_bytes())),
        duration: Some(took),
        kind: Kind::Server,
        ..Event::default()
    }
}

fn log(span: u64, at: i64, severity: u8, text: &str) -> Event {
    Event {
        time: Timestamp(1_661_140_374_351_773_094 + at),
        signal: Signal::Log,
        source: "cart".into(),
        event_type: "log".into(),
        trace_id: Some(TRACE),
        span_id: Some(SpanId(span.to_be_bytes())),
        severity_number: severity,
        body: Some(Value::String(text.into())),
        resource: Arc::default(),
        ..Event::default()
    }
}

fn draw(events: &[Event]) -> String {
    let mut out = Vec::new();
    let canvas = Canvas { paint: Paint::PLAIN, width: 80, cut: false };
    TraceTree::new(TRACE, events).write(&mut out, canvas).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_trace_shows_who_called_whom_what_failed_and_what_was_logged() {
    let mut charge = span(4, 2, "payment", "Charge", 30_000_000, 50_000_000);
    charge.status = Status::Error;
    charge.status_message = "card declined".into();
    charge.events.push(SpanEvent {
        time: Timestamp(charge.time.as_ns() + 40_000_000),
        name: "exception".into(),
        attributes: vec![
            Attribute::new("exception.type", Value::String("CardDeclined".into())),
            Attribute::new("exception.message", Value::String("no funds".into())),
        ],
        dropped_attributes: 0,
    });
    let mut mail = span(5, 1, "email", "send", 90_000_000, 10_000_000);
    mail.links.push(Link {
        trace_id: TRACE,
        span_id: charge.span_id,
        trace_state: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 0,
    });
    mail.links.push(Link { trace_id: TraceId([9; 16]), span_id: None, ..mail.links[0].clone() });
    let events = [
        log(9, 1_000_000, 9, "of nobody"),
        log(4, 35_000_000, 13, "retrying\u{1b}[2J"),
        mail,
        charge,
        span(2, 1, "checkout", "PlaceOrder", 10_000_000, 75_000_000),
        span(1, 0, "frontend", "POST /cart/checkout", 0, 100_000_000),
        span(3, 2, "cart", "GetCart", 12_000_000, 9_500),
    ];
    let expected = "\
trace 07070707070707070707070707070707  2022-08-22T03:52:54.351Z  100 ms
5 spans, 2 logs, 5 sources, 1 error
frontend  POST /cart/checkout     100 ms  ━━━━━━━━━━━━━━━━━━━━
├─ checkout  PlaceOrder          75.0 ms    ━━━━━━━━━━━━━━━
│  ├─ cart  GetCart              9.50 µs    ━
│  └─ payment  Charge  ✗         50.0 ms        ━━━━━━━━━━
│         error  card declined
│         +5.00 ms  WARN  retrying\\u{1b}[2J
│         +40.0 ms  exception  CardDeclined: no funds
└─ email  send                   10.0 ms                    ━━
       link →  payment  Charge
       link →  trace 09090909090909090909090909090909
of no span of this trace:
    +1.00 ms  INFO  of nobody
";
    assert_eq!(draw(&events), expected, "\n{}", draw(&events));
}

#[test]
fn orphans_and_several_roots_stand_side_by_side() {
    let events = [span(2, 77, "a", "lost", 5, 10), span(1, 0, "a", "first", 0, 10)];
    let text = draw(&events);
    assert!(text.contains("2 roots"), "{text}");
    assert!(text.contains("a  lost  (parent missing)"), "{text}");
}

#[test]
fn circles_and_repeated_ids_show_each_span_once() {
    let events = [
        span(1, 0, "s", "origin", 0, 9),
        span(1, 0, "s", "twin", 1, 9),
        span(2, 1, "s", "child", 2, 9),
        span(3, 3, "s", "self", 3, 9),
        span(4, 6, "s", "round-a", 6, 9),
        span(5, 4, "s", "round-b", 5, 9),
        span(6, 5, "s", "round-c", 7, 9),
        span(7, 6, "s", "tail", 4, 9),
    ];
    let text = draw(&events);
    for name in ["origin", "twin", "child", "self", "round-a", "round-b", "round-c", "tail"] {
        assert_eq!(text.matches(name).count(), 1, "{name} in\n{text}");
    }
    assert!(text.contains("s  twin  (same span id again)"), "{text}");
    assert!(text.contains("s  round-b  (its own ancestor)"), "{text}");
}

#[test]
fn a_chain_of_fifty_thousand_spans_and_as_wide_a_fan_are_just_long() {
    let chain: Vec<Event> =
        (1..=50_000).map(|i| span(i, i - 1, "s", "deep", i as i64, 1)).collect();
    assert_eq!(draw(&chain).lines().count(), 50_002);
    let fan: Vec<Event> =
        (1..=50_000).map(|i| span(i, u64::from(i > 1), "s", "wide", i as i64, 1)).collect();
    assert_eq!(draw(&fan).lines().count(), 50_002);
    let circle: Vec<Event> =
        (1..=50_000).map(|i| span(i, i % 50_000 + 1, "s", "round", i as i64, 1)).collect();
    assert_eq!(draw(&circle).lines().count(), 50_002);
    let pairs: Vec<Event> =
        (0..50_000).map(|i| span(i + 1, (i ^ 1) + 1, "s", "pair", i as i64, 1)).collect();
    assert_eq!(draw(&pairs).lines().count(), 50_002);
}

#[test]
fn times_and_durations_at_the_edge_draw_something() {
    let mut odd = span(1, 0, "s", "odd", 0, i64::MIN);
    odd.time = Timestamp(i64::MIN);
    let mut open = span(2, 1, "s", "open", 0, 0);
    open.duration = None;
    open.time = Timestamp(i64::MAX);
    assert_eq!(draw(&[odd, open]).lines().count(), 4);
    assert!(draw(&[]).contains("0 spans"));
}

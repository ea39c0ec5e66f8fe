//! What the builder promises: every field comes back, limits are named, cancelling leaves no trace.

use std::sync::Arc;

use super::*;
use crate::column::BatchView;
use crate::event::{
    Attribute, DoubleBits, Event, Kind, Link, Resource as EventResource, Scope, Signal, SpanEvent,
    SpanId, Status, TraceId, Value,
};

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn full_event() -> Event {
    let text = |key: &str, value: &str| Attribute::new(key, Value::String(value.into()));
    let resource = EventResource {
        attributes: vec![text("service.name", "cart"), text("host.name", "a")],
        dropped_attributes: 1,
        schema_url: "https://example.com/1".into(),
    };
    let scope = Scope {
        name: "library".into(),
        version: "1.2".into(),
        attributes: vec![Attribute::new("x", Value::Bool(true))],
        dropped_attributes: 2,
        schema_url: "https://example.com/2".into(),
    };
    Event {
        time: Timestamp(NOW.0 - 5),
        time_absent: true,
        observed: Some(Timestamp(7)),
        signal: Signal::Span,
        source: "cart".into(),
        event_type: "AddItem".into(),
        type_from_event_name: true,
        trace_id: Some(TraceId([1; 16])),
        trace_id_64: true,
        span_id: Some(SpanId([2; 8])),
        parent_span_id: Some(SpanId([3; 8])),
        duration: Some(-4),
        kind: Kind::Consumer,
        status: Status::Error,
        status_message: "broken".into(),
        trace_state: "a=b".into(),
        flags: 0x301,
        shared: true,
        debug: true,
        remote: Some(Endpoint {
            service: String::new(),
            ipv4: Some([1, 2, 3, 4]),
            ipv6: Some([5; 16]),
            port: 80,
        }),
        severity_number: 17,
        severity_text: "Error".into(),
        body: Some(Value::Nested(vec![0x2a, 0])),
        attributes: vec![
            text("a", ""),
            text("a", "twice"),
            Attribute::new("a", Value::Int(i64::MIN)),
            Attribute::new("nan", Value::Double(DoubleBits(f64::NAN.to_bits()))),
            Attribute::new("zero", Value::Double((-0.0).into())),
            Attribute::new("none", Value::Empty),
            Attribute::new("bytes", Value::Bytes(vec![0xff, 0])),
        ],
        links: vec![Link {
            trace_id: TraceId([9; 16]),
            span_id: Some(SpanId([8; 8])),
            trace_state: "c=d".into(),
            attributes: vec![text("why", "retry")],
            dropped_attributes: 3,
            flags: 1,
        }],
        events: vec![SpanEvent {
            time: Timestamp(-1),
            name: "exception".into(),
            attributes: vec![text("exception.type", "E")],
            dropped_attributes: 4,
        }],
        dropped_attributes: 5,
        dropped_events: 6,
        dropped_links: 7,
        resource: Arc::new(resource),
        scope: Some(Arc::new(scope)),
        ..Event::default()
    }
}

fn sorted(mut event: Event) -> Event {
    let key = |a: &Attribute| format!("{a:?}");
    event.attributes.sort_by_key(key);
    for link in &mut event.links {
        link.attributes.sort_by_key(key);
    }
    for span_event in &mut event.events {
        span_event.attributes.sort_by_key(key);
    }
    let resource = Arc::make_mut(&mut event.resource);
    resource.attributes.sort_by_key(key);
    if let Some(scope) = &mut event.scope {
        Arc::make_mut(scope).attributes.sort_by_key(key);
    }
    event
}

#[test]
fn every_field_of_an_event_comes_back() {
    let plain = Event { source: "x".into(), time: NOW, ..Event::default() };
    let events = [full_event(), plain, full_event()];
    let mut builder = BatchBuilder::new();
    events.iter().for_each(|event| builder.push(event).unwrap());
    let batch = builder.finish().unwrap();
    let checked = Batch::from_frame(batch.header, batch.payload.clone(), NOW).unwrap();
    assert_eq!(checked.summary, batch.summary);
    let view = BatchView::open(&batch.header, &batch.payload).unwrap();
    assert_eq!(view.rows(Table::Resources), 2);
    assert_eq!(view.rows(Table::Scopes), 1);
    let read = view.materialise(&batch.header, &[0, 1, 2]).unwrap();
    for (i, (read, event)) in read.into_iter().zip(events).enumerate() {
        let event = Event { sequence: i as u64, ..event };
        assert_eq!(sorted(read), sorted(event));
    }
}

//! What the builder promises: every field comes back, limits are named, cancelling leaves no trace.

use std::sync::Arc;

use super::*;
use crate::column::BatchView;
use crate::event::{
    Attribute, DoubleBits, Event, Kind, Link, Resource as EventResource, Scope, Signal, SpanEvent,
    SpanId, Status, TraceId, Value,
};
use crate::time::Timestamp;

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

fn begun(builder: &mut BatchBuilder) {
    builder.begin_resource(&ResourceFields { source: "s", ..Default::default() }).unwrap();
    builder.begin_event(&EventFields::default()).unwrap();
}

#[test]
fn what_breaks_a_limit_is_refused_by_name_and_leaves_the_event_as_it_was() {
    let mut builder = BatchBuilder::new();
    begun(&mut builder);
    let long = "x".repeat(limits::VALUE_BYTES_MAX + 1);
    let key = "k".repeat(limits::KEY_BYTES_MAX + 1);
    // Arrays within arrays, each the only item of the one around it.
    let message = |tag: u8, inner: &[u8]| {
        let mut out = vec![tag];
        crate::codec::put_varint(&mut out, inner.len() as u64);
        out.extend_from_slice(inner);
        out
    };
    let deep = (0..100).fold(vec![0x2a, 0], |inner, _| message(0x2a, &message(0x0a, &inner)));
    let refused = [
        ("user.id", ValueRef::String(&long), "attributes.user.id"),
        ("raw", ValueRef::Bytes(long.as_bytes()), "attributes.raw"),
        ("nested", ValueRef::Nested(b"\x0a\x01x"), "attributes.nested"),
        ("deep", ValueRef::Nested(&deep), "attributes.deep"),
        (key.as_str(), ValueRef::Empty, &format!("attributes.{}", &key[..64])),
    ];
    for (key, value, field) in refused {
        let error = builder.attribute(key, value).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error:?}");
    }
    for i in 0..limits::ATTRIBUTES_MAX {
        builder.attribute("same", ValueRef::Int(i as i64)).unwrap();
    }
    let error = builder.attribute("one more", ValueRef::Empty).unwrap_err();
    assert_eq!(error.field(), Some("attributes"));
    let batch = builder.finish().unwrap();
    let checked = Batch::from_frame(batch.header, batch.payload.clone(), NOW).unwrap();
    assert_eq!(checked.summary, batch.summary);
}

#[test]
fn events_with_impossible_fields_are_refused_and_never_begun() {
    let mut builder = BatchBuilder::new();
    assert!(builder.begin_event(&EventFields::default()).is_err(), "no resource");
    begun(&mut builder);
    let name = "n".repeat(limits::NAME_BYTES_MAX + 1);
    let plain = EventFields::default();
    for (fields, field) in [
        (EventFields { event_type: &name, ..plain }, "type"),
        (EventFields { severity_number: 25, ..plain }, "severity_number"),
        (EventFields { trace_id: Some(TraceId([0; 16])), ..plain }, "trace_id"),
        (EventFields { span_id: Some(SpanId([0; 8])), ..plain }, "span_id"),
        (EventFields { parent_span_id: Some(SpanId([0; 8])), ..plain }, "parent_span_id"),
    ] {
        assert_eq!(builder.begin_event(&fields).unwrap_err().field(), Some(field));
        assert!(builder.attribute("k", ValueRef::Empty).is_err(), "nothing was begun");
        builder.cancel_event();
        assert_eq!(builder.events(), 1);
    }
    builder.finish().unwrap();
    assert!(builder.finish().is_err(), "a batch without events");
}

#[test]
fn a_full_batch_says_so_and_the_event_fits_into_the_next() {
    let mut builder = BatchBuilder::new();
    builder.begin_resource(&ResourceFields::default()).unwrap();
    for i in 0..limits::BATCH_SERIES_MAX {
        assert!(!builder.is_full());
        let event_type = format!("type {i}");
        builder
            .begin_event(&EventFields { event_type: &event_type, ..Default::default() })
            .unwrap();
    }
    assert!(builder.is_full());
    let one_more = EventFields { event_type: "one more", ..Default::default() };
    let error = builder.begin_event(&one_more).unwrap_err();
    assert_eq!((error.kind(), error.field()), (crate::ErrorKind::Limit, Some(BATCH_FIELD)));
    assert_eq!(builder.finish().unwrap().events(), limits::BATCH_SERIES_MAX);
    builder.begin_resource(&ResourceFields::default()).unwrap();
    builder.begin_event(&one_more).unwrap();
    // Bytes that no other batch could hold either: an event too large for any.
    let text = |i: usize| format!("{i:0>60000}");
    let refused = (0..1_000)
        .find_map(|i| builder.attribute(&format!("k{i}"), ValueRef::String(&text(i))).err());
    assert_eq!(refused.unwrap().field(), Some(BATCH_FIELD));
    builder.cancel_event();
    assert_eq!(builder.events(), 0);
}

#[test]
fn the_source_is_what_the_caller_says_else_service_name_else_unknown() {
    let named = |source: &str, attributes: &[&str]| {
        let mut builder = BatchBuilder::new();
        builder.begin_resource(&ResourceFields { source, ..Default::default() }).unwrap();
        for name in attributes {
            builder.attribute("service.name", ValueRef::String(name)).unwrap();
        }
        builder.begin_event(&EventFields::default()).unwrap();
        let batch = builder.finish().unwrap();
        let checked = Batch::from_frame(batch.header, batch.payload.clone(), NOW).unwrap();
        assert_eq!(checked.summary, batch.summary);
        batch.summary.series[0].source.clone()
    };
    assert_eq!(named("", &[]), UNKNOWN_SOURCE);
    assert_eq!(named("", &["", "cart", "other"]), "cart");
    assert_eq!(named("mine", &["cart"]), "mine");
}

#[test]
fn times_before_1970_or_more_than_a_day_ahead_are_refused() {
    let day = limits::TIME_AHEAD_S_MAX as i64 * crate::time::SECOND_NS;
    check_time(Timestamp(0), NOW).unwrap();
    check_time(Timestamp(NOW.0 + day), NOW).unwrap();
    assert_eq!(check_time(Timestamp(-1), NOW).unwrap_err().field(), Some("time"));
    assert!(check_time(Timestamp(NOW.0 + day + 1), NOW).is_err());
}

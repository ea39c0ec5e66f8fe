//! Any event at all, for property tests: every field, every type of value, and their order.

use std::sync::Arc;

use annal::event::{
    Attribute, DoubleBits, Endpoint, Kind, Link, Resource, Scope, Signal, SpanEvent, Status, Value,
};
use annal::{Event, SpanId, Timestamp, TraceId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// No event is later.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

fn value() -> impl Strategy<Value = Value> {
    let nested = [vec![0x2a, 0], vec![0x32, 0], vec![0x2a, 2, 0x0a, 0]];
    let numbers = [f64::NAN, -0.0, f64::INFINITY, f64::MIN_POSITIVE, 1.5];
    prop_oneof![
        Just(Value::Empty),
        "[a-c€]{0,3}".prop_map(Value::String),
        prop_oneof![any::<i64>(), 0..4i64].prop_map(Value::Int),
        select(numbers.to_vec()).prop_map(|d| Value::Double(d.into())),
        any::<u64>().prop_map(|bits| Value::Double(DoubleBits(bits))),
        any::<bool>().prop_map(Value::Bool),
        vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
        select(nested.to_vec()).prop_map(Value::Nested),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    vec(("[a-c]{0,1}", value()).prop_map(|(key, value)| Attribute { key, value }), 0..6)
}

fn trace_id() -> impl Strategy<Value = TraceId> {
    prop_oneof![(1..4u8).prop_map(|b| TraceId([b; 16])), any::<[u8; 16]>().prop_map(TraceId)]
        .prop_filter("zero", |id| !id.is_zero())
}

fn span_id() -> impl Strategy<Value = SpanId> {
    prop_oneof![(1..6u8).prop_map(|b| SpanId([b; 8])), any::<[u8; 8]>().prop_map(SpanId)]
        .prop_filter("zero", |id| !id.is_zero())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z ü]{1,12}"]
}

fn link() -> impl Strategy<Value = Link> {
    (trace_id(), option::of(span_id()), text(), attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes,
            flags,
        },
    )
}

fn span_event() -> impl Strategy<Value = SpanEvent> {
    (any::<i64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time, name, attributes, dropped_attributes)| SpanEvent {
            time: Timestamp(time),
            name,
            attributes,
            dropped_attributes,
        },
    )
}

fn resource() -> impl Strategy<Value = Arc<Resource>> {
    (attributes(), 0..2u32, text()).prop_map(|(attributes, dropped_attributes, schema_url)| {
        Arc::new(Resource { attributes, dropped_attributes, schema_url })
    })
}

fn scope() -> impl Strategy<Value = Arc<Scope>> {
    (text(), text(), attributes(), 0..2u32, text()).prop_map(
        |(name, version, attributes, dropped_attributes, schema_url)| {
            Arc::new(Scope { name, version, attributes, dropped_attributes, schema_url })
        },
    )
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (text(), option::of(any::<[u8; 4]>()), option::of(any::<[u8; 16]>()), any::<u16>())
        .prop_map(|(service, ipv4, ipv6, port)| Endpoint { service, ipv4, ipv6, port })
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let ids = (option::of(trace_id()), option::of(span_id()), option::of(span_id()));
    let times = (0..NOW.0, option::of(any::<i64>()), option::of(any::<i64>()));
    let codes = (0..3u8, 0..6u8, 0..3u8, 0..25u8, any::<[bool; 5]>());
    let texts = ("[a-c]{1,2}", text(), text(), text(), text());
    let counts = (any::<u32>(), 0..2u32, 0..2u32, 0..2u32);
    let lists = (attributes(), vec(link(), 0..3), vec(span_event(), 0..3));
    let owners = (resource(), option::of(scope()), option::of(endpoint()), option::of(value()));
    (ids, times, codes, texts, counts, lists, owners).prop_map(
        |(ids, times, codes, texts, counts, lists, owners)| Event {
            time: Timestamp(times.0),
            observed: times.1.map(Timestamp),
            duration: times.2,
            trace_id: ids.0,
            span_id: ids.1,
            parent_span_id: ids.2,
            signal: Signal::from_code(codes.0).unwrap(),
            kind: Kind::from_code(codes.1).unwrap(),
            status: Status::from_code(codes.2).unwrap(),
            severity_number: codes.3,
            time_absent: codes.4[0],
            trace_id_64: codes.4[1],
            type_from_event_name: codes.4[2],
            shared: codes.4[3],
            debug: codes.4[4],
            source: texts.0,
            event_type: texts.1,
            status_message: texts.2,
            trace_state: texts.3,
            severity_text: texts.4,
            flags: counts.0,
            dropped_attributes: counts.1,
            dropped_events: counts.2,
            dropped_links: counts.3,
            attributes: lists.0,
            links: lists.1,
            events: lists.2,
            resource: owners.0,
            scope: owners.1,
            remote: owners.2,
            body: owners.3,
            ..Event::default()
        },
    )
}

/// The order of attributes is not kept.
pub(crate) fn sorted(mut event: Event) -> Event {
    let sort = |attributes: &mut Vec<Attribute>| attributes.sort_by_key(|a| format!("{a:?}"));
    sort(&mut event.attributes);
    event.links.iter_mut().for_each(|link| sort(&mut link.attributes));
    event.events.iter_mut().for_each(|span_event| sort(&mut span_event.attributes));
    sort(&mut Arc::make_mut(&mut event.resource).attributes);
    if let Some(scope) = &mut event.scope {
        sort(&mut Arc::make_mut(scope).attributes);
    }
    event
}

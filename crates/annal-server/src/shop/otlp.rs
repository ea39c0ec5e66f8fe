//! The shop's events as OTLP protobuf: `ExportTraceServiceRequest` and `ExportLogsServiceRequest`
//! of opentelemetry-proto 1.x, as much of them as the shop says.
//!
//! Protobuf puts the length of a message before it: inner messages are written into a buffer of
//! their own first, outermost last.

use std::sync::Arc;

use annal::event::{Attribute, Link, Resource, Scope, Signal, SpanEvent, Status};
use annal::{Event, Value};

/// The requests for these events: one with the spans, one with the logs, each only if there are
/// any.
pub(crate) fn requests(events: &[Event]) -> Vec<Vec<u8>> {
    let of = |signal| events.iter().filter(move |e| e.signal == signal).collect::<Vec<_>>();
    let (spans, logs) = (of(Signal::Span), of(Signal::Log));
    let mut requests = Vec::new();
    if !spans.is_empty() {
        requests.push(request(spans, span));
    }
    if !logs.is_empty() {
        requests.push(request(logs, log));
    }
    requests
}

/// Resource spans or resource logs: the two have the same numbers down to the records themselves.
fn request(mut events: Vec<&Event>, record: fn(&Event) -> Message) -> Vec<u8> {
    let key = |e: &Event| (address(&e.resource), e.scope.as_ref().map(address));
    // Addresses only tell which events share a resource; the order must not depend on them.
    let mut order = Vec::new();
    for event in &events {
        if !order.contains(&key(event)) {
            order.push(key(event));
        }
    }
    events.sort_by_key(|e| order.iter().position(|k| *k == key(e)));
    let mut out = Message::default();
    for group in events.chunk_by(|a, b| key(a) == key(b)) {
        let Some(first) = group.first() else { continue };
        let mut records = Message::default();
        if let Some(scope) = &first.scope {
            records.message(1, &scope_message(scope));
        }
        for event in group {
            records.message(2, &record(event));
        }
        let mut resource = Message::default();
        resource.message(1, &resource_message(&first.resource));
        resource.message(2, &records);
        resource.text(3, &first.resource.schema_url);
        out.message(1, &resource);
    }
    out.0
}

fn address<T>(shared: &Arc<T>) -> usize {
    Arc::as_ptr(shared).addr()
}

/// A protobuf message in the making. Fields with default values are left out, as proto3 does.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn key(&mut self, field: u32, wire: u32) {
        annal::codec::put_varint(&mut self.0, u64::from(field << 3 | wire));
    }

    fn varint(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, 0);
            annal::codec::put_varint(&mut self.0, value);
        }
    }

    fn fixed64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.key(field, 5);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        annal::codec::put_varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn message(&mut self, field: u32, inner: &Message) {
        self.bytes(field, &inner.0);
    }

    fn attributes(&mut self, field: u32, attributes: &[Attribute]) {
        for attribute in attributes {
            let mut pair = Message::default();
            pair.text(1, &attribute.key);
            pair.bytes(2, &any_value(&attribute.value));
            self.message(field, &pair);
        }
    }
}

/// `AnyValue`: a oneof, whose member is written even if it has its default value.
fn any_value(value: &Value) -> Vec<u8> {
    let mut out = Message::default();
    match value {
        Value::Empty => {}
        Value::String(text) => out.bytes(1, text.as_bytes()),
        Value::Bool(b) => out.0.extend_from_slice(&[2 << 3, u8::from(*b)]),
        Value::Int(n) => {
            out.key(3, 0);
            annal::codec::put_varint(&mut out.0, n.cast_unsigned());
        }
        Value::Double(bits) => {
            out.key(4, 1);
            out.0.extend_from_slice(&bits.0.to_le_bytes());
        }
        Value::Bytes(bytes) => out.bytes(7, bytes),
        Value::Nested(message) => out.0.extend_from_slice(message),
    }
    out.0
}

fn resource_message(resource: &Resource) -> Message {
    let mut out = Message::default();
    out.attributes(1, &resource.attributes);
    out.varint(2, resource.dropped_attributes.into());
    out
}

fn scope_message(scope: &Scope) -> Message {
    let mut out = Message::default();
    out.text(1, &scope.name);
    out.text(2, &scope.version);
    out.attributes(3, &scope.attributes);
    out.varint(4, scope.dropped_attributes.into());
    out
}

fn span(event: &Event) -> Message {
    let start = event.time.as_ns();
    let mut out = Message::default();
    out.bytes(1, event.trace_id.as_ref().map_or(&[], |id| &id.0));
    out.bytes(2, event.span_id.as_ref().map_or(&[], |id| &id.0));
    out.text(3, &event.trace_state);
    if let Some(parent) = &event.parent_span_id {
        out.bytes(4, &parent.0);
    }
    out.text(5, &event.event_type);
    out.varint(6, event.kind as u64);
    out.fixed64(7, start.cast_unsigned());
    let end = start.saturating_add(event.duration.unwrap_or(0));
    out.fixed64(8, end.cast_unsigned());
    out.attributes(9, &event.attributes);
    out.varint(10, event.dropped_attributes.into());
    for inner in &event.events {
        out.message(11, &span_event(inner));
    }
    out.varint(12, event.dropped_events.into());
    for inner in &event.links {
        out.message(13, &link(inner));
    }
    out.varint(14, event.dropped_links.into());
    if event.status != Status::Unset {
        let mut status = Message::default();
        status.text(2, &event.status_message);
        status.varint(3, event.status as u64);
        out.message(15, &status);
    }
    out.fixed32(16, event.flags);
    out
}

fn span_event(event: &SpanEvent) -> Message {
    let mut out = Message::default();
    out.fixed64(1, event.time.as_ns().cast_unsigned());
    out.text(2, &event.name);
    out.attributes(3, &event.attributes);
    out.varint(4, event.dropped_attributes.into());
    out
}

fn link(link: &Link) -> Message {
    let mut out = Message::default();
    out.bytes(1, &link.trace_id.0);
    out.bytes(2, link.span_id.as_ref().map_or(&[], |id| &id.0));
    out.text(3, &link.trace_state);
    out.attributes(4, &link.attributes);
    out.varint(5, link.dropped_attributes.into());
    out.fixed32(6, link.flags);
    out
}

fn log(event: &Event) -> Message {
    let mut out = Message::default();
    out.fixed64(1, event.time.as_ns().cast_unsigned());
    out.varint(2, event.severity_number.into());
    out.text(3, &event.severity_text);
    if let Some(body) = &event.body {
        out.bytes(5, &any_value(body));
    }
    out.attributes(6, &event.attributes);
    out.varint(7, event.dropped_attributes.into());
    out.fixed32(8, event.flags);
    out.bytes(9, event.trace_id.as_ref().map_or(&[], |id| &id.0));
    out.bytes(10, event.span_id.as_ref().map_or(&[], |id| &id.0));
    out.fixed64(11, event.observed.map_or(0, |t| t.as_ns().cast_unsigned()));
    if event.type_from_event_name {
        out.text(12, &event.event_type);
    }
    out
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message as _;

    use super::super::Shop;
    use super::*;

    #[test]
    fn what_is_written_is_what_the_standard_reads_and_writes() {
        let mut shop = Shop::new(5, annal::Timestamp(1_767_571_200_000_000_000), 1e5);
        let events: Vec<Event> = (0..300).flat_map(|_| shop.next_request()).collect();
        let [traces, logs] = requests(&events).try_into().unwrap();
        let decoded = ExportTraceServiceRequest::decode(&*traces).unwrap();
        let spans = decoded.resource_spans.iter().flat_map(|r| &r.scope_spans);
        let spans: Vec<_> = spans.flat_map(|s| &s.spans).collect();
        let wanted = events.iter().filter(|e| e.signal == Signal::Span).count();
        assert_eq!(spans.len(), wanted);
        assert!(spans.iter().any(|s| !s.links.is_empty() && !s.events.is_empty() || s.kind == 5));
        assert_eq!(decoded.encode_to_vec(), traces);
        let decoded = ExportLogsServiceRequest::decode(&*logs).unwrap();
        let records = decoded.resource_logs.iter().flat_map(|r| &r.scope_logs);
        assert_eq!(records.map(|s| s.log_records.len()).sum::<usize>(), events.len() - wanted);
        assert_eq!(decoded.encode_to_vec(), logs);
    }
}

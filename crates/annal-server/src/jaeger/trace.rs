//! A trace as Jaeger's JSON, straight into the output.
//!
//! | of the event | becomes |
//! |---|---|
//! | parent | the first reference, `CHILD_OF` |
//! | links | references, `FOLLOWS_FROM` unless attribute `opentracing.ref_type` is `child_of` |
//! | source, resource | a process; `service.name` is its name and no tag |
//! | attributes | tags; then those for scope, kind, status and trace state, as far as there are any |
//! | span events | logs; the name is their first field, `event` |
//! | time, duration | whole microseconds |
//!
//! Events that are no spans are passed over. Ids have 16 digits where the upper half is zero.

use std::collections::HashMap;
use std::sync::Arc;

use annal::column::EventView;
use annal::event::{
    Attribute, Event, Kind, Link, Resource, Signal, SpanEvent, Status, Value, ValueRef,
};
use annal::{SpanId, TraceId};

use super::values::Tags;
use crate::json::{write_hex, write_integer, write_text, write_unsigned};

/// What stands around the texts of a tag, and around all else of a span with a parent.
const TAG_BYTES: usize = br#"{"key":"","type":"string","value":""},"#.len();
const SPAN_BYTES: usize = 512;

/// About as many bytes as [`write_trace`] appends.
#[must_use]
pub fn trace_bytes(events: &[EventView<'_>]) -> usize {
    let tag = |(key, value): (&str, ValueRef<'_>)| {
        let text = match value {
            ValueRef::String(text) => text.len(),
            ValueRef::Bytes(bytes) | ValueRef::Nested(bytes) => 2 * bytes.len(),
            _ => 8,
        };
        TAG_BYTES + key.len() + text
    };
    let span = |view: &EventView<'_>| view.attributes().map(tag).sum::<usize>() + SPAN_BYTES;
    events.iter().map(span).sum()
}

/// Appends the trace as one JSON object: the spans among its events, in their order.
pub fn write_trace(out: &mut Vec<u8>, id: TraceId, events: &[EventView<'_>]) {
    let mut id_text = Vec::with_capacity(34);
    write_trace_id(&mut id_text, id);
    out.extend_from_slice(b"{\"traceID\":");
    out.extend_from_slice(&id_text);
    out.extend_from_slice(b",\"spans\":[");
    let mut processes = Processes::default();
    let mut first = true;
    for view in events.iter().filter(|view| view.event.signal == Signal::Span) {
        if !first {
            out.push(b',');
        }
        first = false;
        write_span(out, &id_text, view, processes.number(view.event));
    }
    out.extend_from_slice(b"],\"processes\":{");
    processes.write(out);
    out.extend_from_slice(b"},\"warnings\":null}");
}

fn write_span(out: &mut Vec<u8>, trace: &[u8], view: &EventView<'_>, process: usize) {
    let span = view.event;
    out.extend_from_slice(b"{\"traceID\":");
    out.extend_from_slice(trace);
    out.extend_from_slice(b",\"spanID\":");
    write_span_id(out, span.span_id);
    // W3C's flags; OTLP's remote bits above them mean nothing to Jaeger.
    if span.flags & 0xff != 0 {
        out.extend_from_slice(b",\"flags\":");
        write_unsigned(out, u64::from(span.flags & 0xff));
    }
    out.extend_from_slice(b",\"operationName\":");
    write_text(out, &span.event_type);
    out.extend_from_slice(b",\"references\":[");
    write_references(out, trace, span);
    out.extend_from_slice(b"],\"startTime\":");
    write_integer(out, span.time.0.div_euclid(1_000));
    out.extend_from_slice(b",\"duration\":");
    // An end before the start has no place in Jaeger's unsigned durations.
    write_integer(out, span.duration.unwrap_or(0).max(0) / 1_000);
    out.extend_from_slice(b",\"tags\":[");
    write_tags(&mut Tags::new(out), view);
    out.extend_from_slice(b"],\"logs\":[");
    for (i, event) in span.events.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_log(out, event);
    }
    out.extend_from_slice(b"],\"processID\":\"p");
    write_unsigned(out, process as u64);
    out.extend_from_slice(b"\",\"warnings\":null}");
}

fn write_references(out: &mut Vec<u8>, trace: &[u8], span: &Event) {
    if let Some(parent) = span.parent_span_id {
        out.extend_from_slice(b"{\"refType\":\"CHILD_OF\",\"traceID\":");
        out.extend_from_slice(trace);
        out.extend_from_slice(b",\"spanID\":");
        write_span_id(out, Some(parent));
        out.push(b'}');
    }
    for (i, link) in span.links.iter().enumerate() {
        if i > 0 || span.parent_span_id.is_some() {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"refType\":");
        out.extend_from_slice(if is_child(link) { b"\"CHILD_OF\"" } else { b"\"FOLLOWS_FROM\"" });
        out.extend_from_slice(b",\"traceID\":");
        write_trace_id(out, link.trace_id);
        out.extend_from_slice(b",\"spanID\":");
        write_span_id(out, link.span_id);
        out.push(b'}');
    }
}

fn is_child(link: &Link) -> bool {
    let child = |a: &Attribute| matches!(&a.value, Value::String(text) if text == "child_of");
    link.attributes.iter().any(|a| a.key == "opentracing.ref_type" && child(a))
}

/// The attributes, then what else there is to say, unless an attribute has said it.
fn write_tags(tags: &mut Tags<'_>, view: &EventView<'_>) {
    let span = view.event;
    view.attributes().for_each(|(key, value)| tags.attribute(key, value));
    let said = |key: &str| view.attributes().any(|(own, _)| own == key);
    let mut text = |key: &str, text: &str| {
        if !text.is_empty() && !said(key) {
            tags.text(key, text);
        }
    };
    if let Some(scope) = &span.scope {
        text("otel.scope.name", &scope.name);
        text("otel.scope.version", &scope.version);
    }
    if span.kind != Kind::Unspecified {
        text("span.kind", span.kind.name());
    }
    match span.status {
        Status::Unset => {}
        Status::Ok => text("otel.status_code", "OK"),
        Status::Error => text("otel.status_code", "ERROR"),
    }
    text("otel.status_description", &span.status_message);
    text("w3c.tracestate", &span.trace_state);
    if span.status == Status::Error && !said("error") {
        tags.flag("error", true);
    }
}

fn write_log(out: &mut Vec<u8>, event: &SpanEvent) {
    out.extend_from_slice(b"{\"timestamp\":");
    write_integer(out, event.time.0.div_euclid(1_000));
    out.extend_from_slice(b",\"fields\":[");
    let mut fields = Tags::new(out);
    if !event.name.is_empty() && !event.attributes.iter().any(|a| a.key == "event") {
        fields.text("event", &event.name);
    }
    event.attributes.iter().for_each(|a| fields.attribute(&a.key, a.value.as_ref()));
    out.extend_from_slice(b"]}");
}

/// Who emitted the spans of a trace: equal ones are one.
#[derive(Default)]
struct Processes<'e> {
    /// Events of a frame share their resource: most are known by its address.
    known: HashMap<(*const Resource, &'e str), usize>,
    distinct: Vec<(&'e str, &'e Resource)>,
}

impl<'e> Processes<'e> {
    /// The number of the process, from 1.
    fn number(&mut self, event: &'e Event) -> usize {
        let (source, resource) = (event.source.as_str(), &event.resource);
        if let Some(number) = self.known.get(&(Arc::as_ptr(resource), source)) {
            return *number;
        }
        let equal = |(name, other): &(&str, &Resource)| {
            *name == source && other.attributes == resource.attributes
        };
        let at = self.distinct.iter().position(equal).unwrap_or_else(|| {
            self.distinct.push((source, resource));
            self.distinct.len() - 1
        });
        self.known.insert((Arc::as_ptr(resource), source), at + 1);
        at + 1
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (i, (source, resource)) in self.distinct.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"\"p");
            write_unsigned(out, i as u64 + 1);
            out.extend_from_slice(b"\":{\"serviceName\":");
            write_text(out, source);
            out.extend_from_slice(b",\"tags\":[");
            let mut tags = Tags::new(out);
            let others = resource.attributes.iter().filter(|a| a.key != "service.name");
            others.for_each(|a| tags.attribute(&a.key, a.value.as_ref()));
            out.extend_from_slice(b"]}");
        }
    }
}

fn write_trace_id(out: &mut Vec<u8>, id: TraceId) {
    let short = id.0.iter().take(8).all(|byte| *byte == 0);
    write_hex(out, if short { id.0.get(8..).unwrap_or_default() } else { &id.0 });
}

/// A link may go to a whole trace: its span is all zero then.
fn write_span_id(out: &mut Vec<u8>, id: Option<SpanId>) {
    write_hex(out, &id.unwrap_or(SpanId([0; 8])).0);
}

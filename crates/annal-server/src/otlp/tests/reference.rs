//! The plain conversion: prost's objects to events, one after another, or `None` for a refusal.

use std::sync::Arc;

use annal::Timestamp;
use annal::event::{
    Attribute, DoubleBits, Event, Kind, Link, Resource, Scope, Signal, SpanEvent, SpanId, Status,
    TraceId, Value,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{self as common, AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

const DAY_NS: i64 = 86_400_000_000_000;

pub(super) fn traces(request: &ExportTraceServiceRequest, now: Timestamp) -> (Vec<Event>, u64) {
    let mut events = Vec::new();
    let mut refused = 0;
    for group in &request.resource_spans {
        let (resource, source) = resource_of(group.resource.as_ref(), &group.schema_url);
        for scopes in &group.scope_spans {
            let scope = scope_of(scopes.scope.as_ref(), &scopes.schema_url);
            for span in &scopes.spans {
                match span_of(span, now) {
                    Some(event) => events.push(Event {
                        source: source.clone(),
                        resource: resource.clone(),
                        scope: scope.clone(),
                        ..event
                    }),
                    None => refused += 1,
                }
            }
        }
    }
    (events, refused)
}

pub(super) fn logs(request: &ExportLogsServiceRequest, now: Timestamp) -> (Vec<Event>, u64) {
    let mut events = Vec::new();
    let mut refused = 0;
    for group in &request.resource_logs {
        let (resource, source) = resource_of(group.resource.as_ref(), &group.schema_url);
        for scopes in &group.scope_logs {
            let scope = scope_of(scopes.scope.as_ref(), &scopes.schema_url);
            for log in &scopes.log_records {
                match log_of(log, now) {
                    Some(event) => events.push(Event {
                        source: source.clone(),
                        resource: resource.clone(),
                        scope: scope.clone(),
                        ..event
                    }),
                    None => refused += 1,
                }
            }
        }
    }
    (events, refused)
}

fn span_of(span: &Span, now: Timestamp) -> Option<Event> {
    let time = time_of(span.start_time_unix_nano, now)?;
    let end = i64::try_from(span.end_time_unix_nano).ok()?;
    let status = span.status.clone().unwrap_or_default();
    let mut links = Vec::new();
    for link in &span.links {
        links.push(Link {
            trace_id: trace_id(&link.trace_id)??,
            span_id: span_id(&link.span_id)?,
            trace_state: link.trace_state.clone(),
            attributes: attributes_of(&link.attributes),
            dropped_attributes: link.dropped_attributes_count,
            flags: link.flags,
        });
    }
    let mut events = Vec::new();
    for event in &span.events {
        events.push(SpanEvent {
            time: Timestamp(i64::try_from(event.time_unix_nano).ok()?),
            name: event.name.clone(),
            attributes: attributes_of(&event.attributes),
            dropped_attributes: event.dropped_attributes_count,
        });
    }
    Some(Event {
        time,
        signal: Signal::Span,
        event_type: span.name.clone(),
        trace_id: Some(trace_id(&span.trace_id)??),
        span_id: Some(span_id(&span.span_id)??),
        parent_span_id: span_id(&span.parent_span_id)?,
        duration: (end != 0).then(|| end - time.0),
        kind: Kind::from_code(u8::try_from(span.kind).ok()?)?,
        status: Status::from_code(u8::try_from(status.code).ok()?)?,
        status_message: status.message,
        trace_state: span.trace_state.clone(),
        flags: span.flags,
        attributes: attributes_of(&span.attributes),
        links,
        events,
        dropped_attributes: span.dropped_attributes_count,
        dropped_events: span.dropped_events_count,
        dropped_links: span.dropped_links_count,
        ..Event::default()
    })
}

fn log_of(log: &LogRecord, now: Timestamp) -> Option<Event> {
    let observed = match log.observed_time_unix_nano {
        0 => None,
        ns => Some(time_of(ns, now)?),
    };
    let time = match log.time_unix_nano {
        0 => observed.unwrap_or(now),
        ns => time_of(ns, now)?,
    };
    let attributes = attributes_of(&log.attributes);
    let named = attributes.iter().find_map(|attribute| match (&*attribute.key, &attribute.value) {
        ("event.name", Value::String(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    });
    let event_type = match log.event_name.as_str() {
        "" => named.unwrap_or_else(|| "log".into()),
        name => name.into(),
    };
    Some(Event {
        time,
        time_absent: log.time_unix_nano == 0,
        observed,
        signal: Signal::Log,
        event_type,
        type_from_event_name: !log.event_name.is_empty(),
        trace_id: trace_id(&log.trace_id)?,
        span_id: span_id(&log.span_id)?,
        flags: log.flags,
        severity_number: u8::try_from(log.severity_number).ok().filter(|n| *n <= 24)?,
        severity_text: log.severity_text.clone(),
        body: log.body.as_ref().map(value_of),
        attributes,
        dropped_attributes: log.dropped_attributes_count,
        ..Event::default()
    })
}

fn time_of(ns: u64, now: Timestamp) -> Option<Timestamp> {
    i64::try_from(ns).ok().filter(|ns| *ns <= now.0 + DAY_NS).map(Timestamp)
}

/// `None`: refused; `Some(None)`: absent.
fn trace_id(bytes: &[u8]) -> Option<Option<TraceId>> {
    match bytes {
        [] => Some(None),
        bytes if bytes.len() != 16 => None,
        bytes => Some(Some(TraceId(bytes.try_into().unwrap())).filter(|id| !id.is_zero())),
    }
}

fn span_id(bytes: &[u8]) -> Option<Option<SpanId>> {
    match bytes {
        [] => Some(None),
        bytes if bytes.len() != 8 => None,
        bytes => Some(Some(SpanId(bytes.try_into().unwrap())).filter(|id| !id.is_zero())),
    }
}

fn resource_of(resource: Option<&resource::Resource>, schema_url: &str) -> (Arc<Resource>, String) {
    let resource = resource.cloned().unwrap_or_default();
    let attributes = attributes_of(&resource.attributes);
    let source =
        attributes.iter().find_map(|attribute| match (&*attribute.key, &attribute.value) {
            ("service.name", Value::String(name)) if !name.is_empty() => Some(name.clone()),
            _ => None,
        });
    let resource = Resource {
        attributes,
        dropped_attributes: resource.dropped_attributes_count,
        schema_url: schema_url.into(),
    };
    (Arc::new(resource), source.unwrap_or_else(|| "unknown_service".into()))
}

fn scope_of(scope: Option<&common::InstrumentationScope>, schema_url: &str) -> Option<Arc<Scope>> {
    if scope.is_none() && schema_url.is_empty() {
        return None;
    }
    let scope = scope.cloned().unwrap_or_default();
    Some(Arc::new(Scope {
        name: scope.name,
        version: scope.version,
        attributes: attributes_of(&scope.attributes),
        dropped_attributes: scope.dropped_attributes_count,
        schema_url: schema_url.into(),
    }))
}

fn attributes_of(attributes: &[KeyValue]) -> Vec<Attribute> {
    let attribute = |entry: &KeyValue| Attribute {
        key: entry.key.clone(),
        value: entry.value.as_ref().map_or(Value::Empty, value_of),
    };
    attributes.iter().map(attribute).collect()
}

fn value_of(value: &AnyValue) -> Value {
    use any_value::Value as Kind;
    match &value.value {
        None | Some(Kind::StringValueStrindex(_)) => Value::Empty,
        Some(Kind::StringValue(text)) => Value::String(text.clone()),
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::IntValue(value)) => Value::Int(*value),
        Some(Kind::DoubleValue(value)) => Value::Double(DoubleBits(value.to_bits())),
        Some(Kind::BytesValue(bytes)) => Value::Bytes(bytes.clone()),
        Some(Kind::ArrayValue(_) | Kind::KvlistValue(_)) => Value::Nested(value.encode_to_vec()),
    }
}

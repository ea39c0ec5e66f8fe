//! Recorded OTLP/JSON as the protobuf request that it stands for: ids in hex, 64-bit integers as
//! text, bytes in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::Value as Json;

pub(crate) fn request(json: &Json) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest { resource_spans: map(&json["resourceSpans"], resource_spans) }
}

pub(crate) fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn map<T>(json: &Json, read: impl Fn(&Json) -> T) -> Vec<T> {
    list(json).iter().map(read).collect()
}

pub(crate) fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// An integer, as a number or as text.
pub(crate) fn number(json: &Json) -> i64 {
    json.as_i64().unwrap_or_else(|| json.as_str().map_or(0, |digits| digits.parse().unwrap()))
}

fn hex(json: &Json) -> Vec<u8> {
    let digits = text(json);
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn resource_spans(json: &Json) -> ResourceSpans {
    let attributes = attributes(&json["resource"]["attributes"]);
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: map(&json["scopeSpans"], scope_spans),
        ..ResourceSpans::default()
    }
}

fn scope_spans(json: &Json) -> ScopeSpans {
    let scope = &json["scope"];
    let scope = InstrumentationScope {
        name: text(&scope["name"]),
        version: text(&scope["version"]),
        attributes: attributes(&scope["attributes"]),
        ..InstrumentationScope::default()
    };
    ScopeSpans { scope: Some(scope), spans: map(&json["spans"], span), ..ScopeSpans::default() }
}

fn span(json: &Json) -> Span {
    let status = &json["status"];
    Span {
        trace_id: hex(&json["traceId"]),
        span_id: hex(&json["spanId"]),
        parent_span_id: hex(&json["parentSpanId"]),
        trace_state: text(&json["traceState"]),
        name: text(&json["name"]),
        kind: number(&json["kind"]) as i32,
        flags: number(&json["flags"]) as u32,
        start_time_unix_nano: number(&json["startTimeUnixNano"]) as u64,
        end_time_unix_nano: number(&json["endTimeUnixNano"]) as u64,
        attributes: attributes(&json["attributes"]),
        events: map(&json["events"], |event| Event {
            time_unix_nano: number(&event["timeUnixNano"]) as u64,
            name: text(&event["name"]),
            attributes: attributes(&event["attributes"]),
            ..Event::default()
        }),
        links: map(&json["links"], |link| Link {
            trace_id: hex(&link["traceId"]),
            span_id: hex(&link["spanId"]),
            trace_state: text(&link["traceState"]),
            attributes: attributes(&link["attributes"]),
            ..Link::default()
        }),
        status: Some(Status {
            code: number(&status["code"]) as i32,
            message: text(&status["message"]),
        }),
        ..Span::default()
    }
}

fn attributes(json: &Json) -> Vec<KeyValue> {
    map(json, |pair| KeyValue {
        key: text(&pair["key"]),
        value: Some(any(&pair["value"])),
        ..KeyValue::default()
    })
}

fn any(json: &Json) -> AnyValue {
    let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
    let value = match kind.as_str() {
        "stringValue" => any_value::Value::StringValue(text(value)),
        "boolValue" => any_value::Value::BoolValue(value.as_bool().unwrap()),
        "intValue" => any_value::Value::IntValue(number(value)),
        "doubleValue" => any_value::Value::DoubleValue(value.as_f64().unwrap()),
        "bytesValue" => any_value::Value::BytesValue(STANDARD.decode(text(value)).unwrap()),
        other => panic!("a fixture with {other}"),
    };
    AnyValue { value: Some(value) }
}

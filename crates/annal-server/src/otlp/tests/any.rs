//! Requests as writers may send them, at random, broken records among them.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prop::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::NOW;

/// A large one, the same in every run.
pub(super) fn sample<T: prost::Message>(strategy: impl Strategy<Value = T>) -> T {
    let mut runner = TestRunner::deterministic();
    let mut drawn: Vec<T> =
        (0..50).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    drawn.sort_by_key(prost::Message::encoded_len);
    drawn.pop().unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z.]{0,8}", 1 => "\\PC{0,12}", 1 => Just("é\u{1F600}\n\0".to_owned())]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-c]{1}",
        2 => text(),
        1 => Just("service.name".to_owned()),
        1 => Just("event.name".to_owned()),
    ]
}

fn any_value() -> impl Strategy<Value = Option<AnyValue>> {
    use any_value::Value;
    let leaf = prop_oneof![
        4 => text().prop_map(|v| Some(Value::StringValue(v))),
        1 => any::<bool>().prop_map(|v| Some(Value::BoolValue(v))),
        2 => any::<i64>().prop_map(|v| Some(Value::IntValue(v))),
        2 => any::<f64>().prop_map(|v| Some(Value::DoubleValue(v))),
        1 => vec(any::<u8>(), 0..20).prop_map(|v| Some(Value::BytesValue(v))),
        1 => Just(None),
    ]
    .prop_map(|value| AnyValue { value });
    let nested = leaf.prop_recursive(3, 12, 4, |inner| {
        let array =
            vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let map = vec((key(), prop::option::of(inner)), 0..4).prop_map(|entries| {
            let entry = |(key, value)| KeyValue { key, value, ..KeyValue::default() };
            Value::KvlistValue(KeyValueList { values: entries.into_iter().map(entry).collect() })
        });
        prop_oneof![array, map].prop_map(|value| AnyValue { value: Some(value) })
    });
    prop::option::weighted(0.95, nested)
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let entry = (key(), any_value());
    vec(entry.prop_map(|(key, value)| KeyValue { key, value, ..KeyValue::default() }), 0..6)
}

fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        12 => vec(any::<u8>(), bytes),
        1 => Just(vec![0; bytes]),
        1 => Just(vec![]),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn good_id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![40 => vec(1u8.., bytes), 1 => id(bytes)]
}

fn time() -> impl Strategy<Value = u64> {
    let now = NOW.0 as u64;
    prop_oneof![
        20 => now - 1_000_000_000..now + 1_000_000_000,
        2 => Just(0),
        1 => Just(now + 2 * 86_400_000_000_000),
        1 => any::<u64>(),
    ]
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let resource = (attributes(), prop_oneof![Just(0), any::<u32>()]);
    prop::option::weighted(
        0.9,
        resource.prop_map(|(attributes, dropped_attributes_count)| Resource {
            attributes,
            dropped_attributes_count,
            ..Resource::default()
        }),
    )
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let scope = (text(), text(), attributes(), 0u32..3);
    let make = |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
        name,
        version,
        attributes,
        dropped_attributes_count,
    };
    prop::option::weighted(0.8, scope.prop_map(make))
}

fn event() -> impl Strategy<Value = Event> {
    (time(), text(), attributes(), 0u32..3).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (good_id(16), good_id(8), text(), attributes(), 0u32..3, any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

fn span() -> impl Strategy<Value = Span> {
    let status = (text(), prop_oneof![20 => 0..3, 1 => any::<i32>()])
        .prop_map(|(message, code)| Status { message, code });
    let identity = (good_id(16), good_id(8), text(), id(8), any::<u32>());
    let core = (text(), prop_oneof![20 => 0..6, 1 => any::<i32>()], time(), time());
    let rows = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let counts = (0u32..3, prop_oneof![Just(0), any::<u32>()], 0u32..3);
    (identity, core, rows, counts, prop::option::of(status)).prop_map(
        |(identity, core, rows, counts, status)| Span {
            trace_id: identity.0,
            span_id: identity.1,
            trace_state: identity.2,
            parent_span_id: identity.3,
            flags: identity.4,
            name: core.0,
            kind: core.1,
            start_time_unix_nano: core.2,
            end_time_unix_nano: core.3,
            attributes: rows.0,
            dropped_attributes_count: counts.0,
            events: rows.1,
            dropped_events_count: counts.1,
            links: rows.2,
            dropped_links_count: counts.2,
            status,
        },
    )
}

fn log() -> impl Strategy<Value = LogRecord> {
    let severity = (prop_oneof![20 => 0..25, 1 => any::<i32>()], text());
    let rest = (attributes(), 0u32..3, any::<u32>(), id(16), id(8), text());
    (time(), time(), severity, any_value(), rest).prop_map(
        |(time, observed, severity, body, rest)| LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            severity_number: severity.0,
            severity_text: severity.1,
            body,
            attributes: rest.0,
            dropped_attributes_count: rest.1,
            flags: rest.2,
            trace_id: rest.3,
            span_id: rest.4,
            event_name: rest.5,
        },
    )
}

pub(super) fn traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scopes = (scope(), vec(span(), 0..5), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let group =
        (resource(), vec(scopes, 0..3), text()).prop_map(|(resource, scope_spans, schema_url)| {
            ResourceSpans { resource, scope_spans, schema_url }
        });
    vec(group, 0..4).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

pub(super) fn logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scopes = (scope(), vec(log(), 0..5), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let group =
        (resource(), vec(scopes, 0..3), text()).prop_map(|(resource, scope_logs, schema_url)| {
            ResourceLogs { resource, scope_logs, schema_url }
        });
    vec(group, 0..4).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

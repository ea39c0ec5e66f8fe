//! Cases that chance would not find.

use annal::limits;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::*;

fn span(number: u64) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: (number + 1).to_be_bytes().to_vec(),
        name: "work".into(),
        start_time_unix_nano: NOW.0 as u64 - 1_000,
        end_time_unix_nano: NOW.0 as u64,
        ..Span::default()
    }
}

fn request(resource: Option<Resource>, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let group = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

fn text(length: usize) -> any_value::Value {
    any_value::Value::StringValue("x".repeat(length))
}

#[test]
fn an_empty_request_is_a_success_without_batches() {
    for body in [vec![], request(None, vec![]).encode_to_vec()] {
        let (events, rejections) = decoded(decode_traces, &body).unwrap();
        assert!(events.is_empty() && rejections.is_empty());
    }
}

#[test]
fn a_request_larger_than_a_batch_becomes_several_and_keeps_every_span() {
    let count = limits::BATCH_EVENTS_MAX as u64 + 10;
    let body = request(None, (0..count).map(span).collect()).encode_to_vec();
    let (events, rejections, batches) =
        decoded_with(decode_traces, &body, &mut BatchBuilder::new()).unwrap();
    assert_eq!((events.len() as u64, batches), (count, 2));
    assert!(rejections.is_empty());
    assert!((0..count).eq(events.iter().map(|e| u64::from_be_bytes(e.span_id.unwrap().0) - 1)));
}

#[test]
fn more_types_or_bytes_than_a_batch_holds_go_on_in_the_next_one() {
    let name = |number: u64| Span { name: format!("type {number}"), ..span(number) };
    let large = |number: u64| Span {
        attributes: vec![attribute(&format!("k{number}"), text(60_000))],
        ..span(number)
    };
    let types = (0..limits::BATCH_SERIES_MAX as u64 * 2).map(name).collect::<Vec<_>>();
    let bytes = (0..300).map(large).collect::<Vec<_>>();
    for spans in [types, bytes] {
        let count = spans.len();
        let body = request(None, spans).encode_to_vec();
        let mut builder = BatchBuilder::new();
        let (events, rejections, batches) =
            decoded_with(decode_traces, &body, &mut builder).unwrap();
        assert_eq!((events.len(), rejections.events), (count, 0));
        assert!(batches >= 2);
    }
}

#[test]
fn what_a_span_breaks_is_named_and_the_others_are_stored() {
    let deep = (0..70).fold(any_value::Value::BoolValue(true), |inner, _| {
        let values = vec![AnyValue { value: Some(inner) }];
        any_value::Value::ArrayValue(ArrayValue { values })
    });
    let long_key = "k".repeat(limits::KEY_BYTES_MAX + 1);
    let many = (0..=limits::ATTRIBUTES_MAX).map(|i| attribute(&format!("a{i}"), text(1)));
    let with = |attributes| Span { attributes, ..span(0) };
    let now = NOW.0 as u64;
    let cases = [
        ("trace_id", Span { trace_id: vec![0; 16], ..span(0) }),
        ("trace_id", Span { trace_id: vec![1; 15], ..span(0) }),
        ("span_id", Span { span_id: vec![], ..span(0) }),
        ("parent_span_id", Span { parent_span_id: vec![1; 7], ..span(0) }),
        ("start_time", Span { start_time_unix_nano: now + 90_000_000_000_000, ..span(0) }),
        ("start_time", Span { start_time_unix_nano: u64::MAX, ..span(0) }),
        ("end_time", Span { end_time_unix_nano: u64::MAX, ..span(0) }),
        ("kind", Span { kind: 6, ..span(0) }),
        ("Limit", with(vec![attribute("big", text(limits::VALUE_BYTES_MAX + 1))])),
        ("Limit", with(vec![attribute(&long_key, text(1))])),
        ("Limit", with(many.collect())),
        ("Limit", with(vec![attribute("deep", deep)])),
        ("Limit", Span { name: "n".repeat(limits::NAME_BYTES_MAX + 1), ..span(0) }),
    ];
    for (reason, bad) in cases {
        let body = request(None, vec![span(1), bad, span(2)]).encode_to_vec();
        let (events, rejections) = decoded(decode_traces, &body).unwrap();
        assert_eq!(events.len(), 2, "{reason}");
        assert_eq!(rejections.reasons, [(reason, 1)]);
        assert!(rejections.messages[0].starts_with("span 1: "), "{:?}", rejections.messages);
    }
}

#[test]
fn a_resource_over_a_limit_refuses_its_spans_and_no_others() {
    let bad = Resource {
        attributes: vec![attribute("big", text(limits::VALUE_BYTES_MAX + 1))],
        ..Resource::default()
    };
    let good = Resource {
        attributes: vec![attribute("service.name", any_value::Value::StringValue("cart".into()))],
        ..Resource::default()
    };
    let mut both = request(Some(bad), vec![span(0), span(1)]);
    both.resource_spans.extend(request(Some(good), vec![span(2)]).resource_spans);
    let (events, rejections) = decoded(decode_traces, &both.encode_to_vec()).unwrap();
    assert_eq!(rejections.reasons, [("Limit", 2)]);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].source, "cart");
}

#[test]
fn text_that_is_not_utf8_refuses_the_body_even_in_a_span_that_is_refused_anyway() {
    let good = Span { trace_id: vec![], attributes: vec![attribute("kkkk", text(4))], ..span(0) };
    let mut body = request(None, vec![span(1), good]).encode_to_vec();
    let at = body.windows(4).position(|w| w == b"kkkk").unwrap();
    body[at + 2] = 0xff;
    let error = decoded(decode_traces, &body).unwrap_err();
    assert!(error.message().contains("UTF-8"), "{error}");
    assert_eq!(error.offset(), Some(at as u64 + 2));
}

#[test]
fn a_builder_goes_on_after_a_body_that_was_refused() {
    let good = request(None, vec![span(1)]).encode_to_vec();
    let mut builder = BatchBuilder::new();
    assert!(decoded_with(decode_traces, &good[..good.len() - 1], &mut builder).is_err());
    let (events, ..) = decoded_with(decode_traces, &good, &mut builder).unwrap();
    assert_eq!(events.len(), 1);
}

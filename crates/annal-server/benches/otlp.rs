//! OTLP decode: from the body of a request to encoded batches.
//!
//! `two services`: 1,000 spans of about 480 bytes with a dozen attributes each, the shape of a
//! request that a collector sends.
#![allow(missing_docs, reason = "criterion's macros")]

use annal::{BatchBuilder, Timestamp};
use annal_server::otlp;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

const NOW: Timestamp = Timestamp(1_661_169_600_000_000_000);
const SPANS: u64 = 1_000;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn span(number: u64) -> Span {
    // Distinct bits for ids, from the number alone; none is zero, which no id may be.
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let text = |key: &str, text: String| attribute(key, Value::StringValue(text));
    Span {
        trace_id: [mixed / 40, 7].map(u64::to_be_bytes).concat(),
        span_id: mixed.to_be_bytes().to_vec(),
        parent_span_id: (mixed ^ 1).to_be_bytes().to_vec(),
        name: format!("GET /product/{}", number % 12),
        kind: 1 + (number % 3) as i32,
        start_time_unix_nano: NOW.0 as u64 - 1_000_000 * (SPANS - number),
        end_time_unix_nano: NOW.0 as u64 - 1_000_000 * (SPANS - number) + mixed % 5_000_000,
        attributes: vec![
            text("http.request.method", "GET".into()),
            text("url.path", format!("/product/{}", number % 12)),
            attribute("http.response.status_code", Value::IntValue(200)),
            text("network.peer.address", format!("10.0.{}.{}", number % 4, number % 200)),
            attribute("network.peer.port", Value::IntValue((mixed % 60_000) as i64)),
            text("user.id", format!("u-{}", mixed % 5_000)),
            text("session.id", format!("{:016x}", mixed / 40)),
            text("k8s.pod.name", format!("cart-{}", number % 3)),
            text("thread.name", "worker".into()),
            attribute("thread.id", Value::IntValue((number % 16) as i64)),
            attribute("cache.hit", Value::BoolValue(number.is_multiple_of(2))),
            attribute("ratio", Value::DoubleValue(mixed as f64 / u64::MAX as f64)),
        ],
        ..Span::default()
    }
}

fn request() -> Vec<u8> {
    let group = |service: &str, from: u64| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", Value::StringValue(service.into()))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: (from..from + SPANS / 2).map(span).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let resource_spans = vec![group("cart", 0), group("checkout", SPANS / 2)];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn decode(criterion: &mut Criterion) {
    let body = request();
    let mut group = criterion.benchmark_group("otlp decode");
    group.throughput(Throughput::Elements(SPANS));
    let mut builder = BatchBuilder::new();
    group.bench_function("two services", |bencher| {
        bencher.iter(|| {
            let mut events = 0;
            let rejections = otlp::decode_traces(&body, &mut builder, NOW, &mut |batch| {
                events += batch.events();
                Ok(())
            });
            assert!(rejections.is_ok_and(|rejections| rejections.is_empty()));
            assert_eq!(events as u64, SPANS);
        });
    });
    group.bench_function("prost, objects only", |bencher| {
        bencher
            .iter(|| ExportTraceServiceRequest::decode(&body[..]).map(|r| r.resource_spans.len()));
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);

//! Jaeger's API beside the recorded fixtures: envelopes, refusals, odd ids and values, the order and
//! number of what is found, dependencies.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status};
use serde_json::{Value as Json, json};

use crate::harness::{Server, attribute, encoded, request_of};

const START_NS: u64 = 1_661_169_600_000_000_000;
/// Everything that these tests store.
const RANGE: &str = "start=1661169600000000&end=1661169700000000";

/// A span of trace `trace` that begins so many milliseconds after all began.
fn span(trace: u64, id: u64, parent: u64, after_ms: u64) -> Span {
    let start = START_NS + after_ms * 1_000_000;
    Span {
        trace_id: (1u128 << 64 | u128::from(trace)).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { vec![] } else { parent.to_be_bytes().to_vec() },
        name: format!("op-{id}"),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 2_000_000,
        ..Span::default()
    }
}

fn send(server: &Server, service: &str, spans: Vec<Span>) {
    let answer = server.traces(&request_of(service, spans));
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.words());
}

fn ids(answer: &Json) -> Vec<u64> {
    let traces = answer["data"].as_array().unwrap().iter();
    let id = |trace: &Json| u128::from_str_radix(trace["traceID"].as_str().unwrap(), 16).unwrap();
    traces.map(|trace| id(trace) as u64).collect()
}

#[test]
fn an_empty_store_has_empty_lists_and_no_nulls() {
    let server = Server::start();
    let empty = json!({"data": [], "total": 0, "limit": 0, "offset": 0, "errors": null});
    for path in [
        "services",
        "services/nobody/operations",
        "operations?service=nobody",
        "traces?service=nobody",
        "dependencies",
        "dependencies?endTs=1661169600000&lookback=604800000",
    ] {
        let answer = server.get(&format!("/jaeger/api/{path}"));
        assert_eq!((answer.status, answer.json()), (200, empty.clone()), "{path}");
    }
}

#[test]
fn refusals_come_in_the_envelope_with_their_status() {
    let server = Server::start();
    for (path, status, words) in [
        ("traces", 400, "parameter 'service' is required"),
        ("operations", 400, "parameter 'service' is required"),
        ("traces?service=a&start=x", 400, "unable to parse param 'start'"),
        ("traces?service=a&minDuration=5", 400, "unable to parse param 'minDuration'"),
        ("traces?service=a&minDuration=2s&maxDuration=1s", 400, "should be greater"),
        ("traces?service=a&tag=x", 400, "malformed 'tag' parameter, expecting key:value"),
        ("traces?service=a&tags=nothing", 400, "malformed 'tags' parameter"),
        ("traces?traceID=xyz", 400, "no trace id"),
        ("traces/xyz", 400, "no trace id"),
        ("traces/1234", 404, "trace not found"),
        ("dependencies?endTs=x", 400, "unable to parse param 'endTs'"),
    ] {
        let answer = server.get(&format!("/jaeger/api/{path}"));
        assert_eq!(answer.status, status, "{path}");
        let envelope = answer.json();
        assert_eq!(envelope["data"], Json::Null);
        let error = &envelope["errors"][0];
        assert_eq!(error["code"], status, "{path}");
        assert!(error["msg"].as_str().unwrap().contains(words), "{path}: {error}");
    }
}

#[test]
fn nothing_is_asked_before_the_store_is_open() {
    let server = Server::recovering(annal::ingest::IngestOptions::default());
    for path in ["services", "traces?service=a", "traces/12", "dependencies"] {
        let answer = server.get(&format!("/jaeger/api/{path}"));
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{path}");
        assert_eq!(answer.json()["errors"][0]["code"], 503);
    }
    server.app.set_ready(server.ingest());
}

#[test]
fn a_search_gives_whole_traces_that_of_the_newest_matching_span_first() {
    let server = Server::start();
    for trace in 1..=10 {
        send(&server, "front", vec![span(trace, 1, 0, trace * 10)]);
        send(&server, "back", vec![span(trace, 2, 1, trace * 10 + 1)]);
    }
    let ask = |more: &str| server.get(&format!("/jaeger/api/traces?{RANGE}{more}")).json();
    let answer = ask("&service=front&limit=3");
    assert_eq!(ids(&answer), [10, 9, 8]);
    assert_eq!(answer["total"], 3);
    let trace = &answer["data"][0];
    assert_eq!(trace["traceID"], "0000000000000001000000000000000a");
    let spans = trace["spans"].as_array().unwrap();
    assert_eq!((spans.len(), &spans[0]["spanID"]), (2, &json!("0000000000000001")));
    let parent = json!([{"refType": "CHILD_OF", "traceID": trace["traceID"],
        "spanID": "0000000000000001"}]);
    assert_eq!((&spans[0]["references"], &spans[1]["references"]), (&json!([]), &parent));
    let process = |span: &Json| trace["processes"][span["processID"].as_str().unwrap()].clone();
    assert_eq!(process(&spans[1]), json!({"serviceName": "back", "tags": []}));
    assert_eq!(ids(&ask("&service=back&operation=op-2")).len(), 10);
    assert_eq!(ids(&ask("&service=back&operation=op-1")).len(), 0);
    assert_eq!(ids(&ask("&service=Front")).len(), 0);
    // Both ends are inside, and it is the start that counts.
    let at = "/jaeger/api/traces?service=front&start=1661169600030000&end=1661169600040000";
    assert_eq!(ids(&server.get(at).json()), [4, 3]);
    // Without a range it is the last two days.
    assert_eq!(ids(&server.get("/jaeger/api/traces?service=front").json()).len(), 0);
}

#[test]
fn traces_asked_for_by_id_come_back_and_missing_ones_are_named() {
    let server = Server::start();
    send(&server, "a", vec![span(1, 1, 0, 0), span(2, 1, 0, 1)]);
    let (one, two) = ("10000000000000001", "00000000000000010000000000000002");
    let answer = server.get(&format!("/jaeger/api/traces?traceID={two}&traceID={one}&traceID=77"));
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(ids(&answer), [2, 1]);
    let wanted = json!([{"msg": "trace not found",
        "traceID": "00000000000000000000000000000077"}]);
    assert_eq!(answer["errors"], wanted);
    for id in [two.to_uppercase(), "AAAAAAAAAAEAAAAAAAAAAg==".to_owned()] {
        assert_eq!(ids(&server.get(&format!("/jaeger/api/traces/{id}")).json()), [2]);
    }
}

/// A span with a value of every kind, in every place.
fn odd_span() -> Span {
    let value = |value| AnyValue { value: Some(value) };
    let array = any_value::Value::ArrayValue(ArrayValue {
        values: vec![
            value(any_value::Value::StringValue("a\"b".into())),
            value(any_value::Value::IntValue(7)),
            value(any_value::Value::BoolValue(false)),
        ],
    });
    let map = any_value::Value::KvlistValue(KeyValueList {
        values: vec![attribute("k", any_value::Value::DoubleValue(0.5))],
    });
    let mut odd = span(3, 9, 4, 0);
    odd.trace_id = 0x1234u128.to_be_bytes().to_vec();
    odd.kind = 3;
    odd.flags = 0x101;
    odd.trace_state = "k=v".into();
    odd.status = Some(Status { code: 2, message: "timed out".into() });
    odd.attributes = vec![
        attribute("big", any_value::Value::IntValue(9_007_199_254_740_993)),
        attribute("bytes", any_value::Value::BytesValue(vec![0, 0, 0x30, 0x39])),
        attribute("list", array),
        attribute("map", map),
        attribute("nan", any_value::Value::DoubleValue(f64::NAN)),
        attribute("quoted", any_value::Value::StringValue("a\n\"b\"".into())),
    ];
    odd.events = vec![Event {
        time_unix_nano: START_NS + 1_999,
        name: "exception".into(),
        attributes: vec![attribute("retry", any_value::Value::IntValue(2))],
        ..Event::default()
    }];
    odd.links = vec![
        Link { trace_id: vec![5; 16], span_id: vec![6; 8], ..Link::default() },
        Link {
            trace_id: 0x1234u128.to_be_bytes().to_vec(),
            span_id: vec![7; 8],
            attributes: vec![attribute(
                "opentracing.ref_type",
                any_value::Value::StringValue("child_of".into()),
            )],
            ..Link::default()
        },
    ];
    odd
}

fn odd_request() -> ExportTraceServiceRequest {
    let mut request = request_of("a b/c", vec![]);
    let group = &mut request.resource_spans[0];
    let resource = group.resource.as_mut().unwrap();
    resource.attributes.push(attribute("host", any_value::Value::StringValue("h1".into())));
    let scope = InstrumentationScope {
        name: "lib".into(),
        version: "1.2".into(),
        ..InstrumentationScope::default()
    };
    group.scope_spans =
        vec![ScopeSpans { scope: Some(scope), spans: vec![odd_span()], ..ScopeSpans::default() }];
    request
}

fn tag(key: &str, of_type: &str, value: Json) -> Json {
    json!({"key": key, "type": of_type, "value": value})
}

fn reference(kind: &str, trace: &str, span: &str) -> Json {
    json!({"refType": kind, "traceID": trace, "spanID": span})
}

fn edge(parent: &str, child: &str, calls: u64) -> Json {
    json!({"parent": parent, "child": child, "callCount": calls})
}

#[test]
fn every_kind_of_value_has_its_form() {
    let server = Server::start();
    assert_eq!(server.traces(&odd_request()).status, 200);
    let answer = server.get("/jaeger/api/traces/1234").json();
    let trace = &answer["data"][0];
    assert_eq!(trace["traceID"], "0000000000001234");
    let span = &trace["spans"][0];
    let tags = json!([
        tag("big", "int64", json!("9007199254740993")),
        tag("bytes", "binary", json!("AAAwOQ==")),
        tag("list", "string", json!("[\"a\\\"b\",7,false]")),
        tag("map", "string", json!("{\"k\":0.5}")),
        tag("nan", "float64", json!("NaN")),
        tag("quoted", "string", json!("a\n\"b\"")),
        tag("otel.scope.name", "string", json!("lib")),
        tag("otel.scope.version", "string", json!("1.2")),
        tag("span.kind", "string", json!("client")),
        tag("otel.status_code", "string", json!("ERROR")),
        tag("otel.status_description", "string", json!("timed out")),
        tag("w3c.tracestate", "string", json!("k=v")),
        tag("error", "bool", json!(true)),
    ]);
    assert_eq!(span["tags"], tags);
    assert_eq!((&span["flags"], &span["duration"]), (&json!(1), &json!(2_000)));
    let references = json!([
        reference("CHILD_OF", "0000000000001234", "0000000000000004"),
        reference("FOLLOWS_FROM", "05050505050505050505050505050505", "0606060606060606"),
        reference("CHILD_OF", "0000000000001234", "0707070707070707"),
    ]);
    assert_eq!(span["references"], references);
    let fields =
        json!([tag("event", "string", json!("exception")), tag("retry", "int64", json!(2))]);
    let log = json!({"timestamp": START_NS / 1_000 + 1, "fields": fields});
    assert_eq!(span["logs"], json!([log]));
    let process = json!({"serviceName": "a b/c", "tags": [tag("host", "string", json!("h1"))]});
    assert_eq!(trace["processes"], json!({"p1": process}));
    // The service's name travels in a path.
    let operations = server.get("/jaeger/api/services/a%20b%2Fc/operations").json();
    assert_eq!(operations["data"], json!(["op-9"]));
}

#[test]
fn tags_match_wherever_results_show_them() {
    let server = Server::start();
    assert_eq!(server.traces(&odd_request()).status, 200);
    send(&server, "a b/c", vec![span(8, 1, 0, 1)]);
    let found = |tags: Json| {
        let tags = encoded(&tags.to_string());
        ids(&server.get(&format!("/jaeger/api/traces?{RANGE}&service=a+b%2Fc&tags={tags}")).json())
    };
    for (key, value) in [
        ("big", "9007199254740993"),
        ("quoted", "a\n\"b\""),
        ("host", "h1"),
        ("resource.host", "h1"),
        ("retry", "2"),
        ("event", "exception"),
        ("error", "true"),
        ("span.kind", "client"),
        ("span.status", "error"),
        ("otel.status_code", "ERROR"),
        ("otel.status_description", "timed out"),
        ("otel.scope.name", "lib"),
        ("scope.version", "1.2"),
        ("w3c.tracestate", "k=v"),
    ] {
        assert_eq!(found(json!({ key: value })), [0x1234], "{key}={value}");
    }
    assert_eq!(found(json!({"error": "false"})), [8]);
    assert_eq!(found(json!({"error": true, "retry": 2})), [0x1234]);
    for (key, value) in [("host", "h"), ("retry", "3"), ("span.kind", "server"), ("none", "x")] {
        assert!(found(json!({ key: value })).is_empty(), "{key}={value}");
    }
    assert!(found(json!({"host": "h1", "retry": "3"})).is_empty(), "all have to hold");
}

#[test]
fn durations_are_bounds_of_the_span_in_nanoseconds() {
    let server = Server::start();
    let spans = (1..=5).map(|trace| {
        let mut span = span(trace, 1, 0, trace);
        span.end_time_unix_nano = span.start_time_unix_nano + trace * 1_000 + 1;
        span
    });
    send(&server, "a", spans.collect());
    let found = |bounds: &str| {
        ids(&server.get(&format!("/jaeger/api/traces?{RANGE}&service=a&{bounds}")).json())
    };
    assert_eq!(found("minDuration=4us"), [5, 4]);
    assert_eq!(found("minDuration=4001ns&maxDuration=4001ns"), [4]);
    assert_eq!(found("minDuration=4.002%C2%B5s"), [5]);
    assert_eq!(found("maxDuration=0.002ms"), [1]);
}

#[test]
fn services_depend_on_those_that_they_call() {
    let server = Server::start();
    for trace in 1..=4 {
        send(&server, "back", vec![span(trace, 3, 2, 2), span(trace, 4, 3, 3)]);
        send(&server, "front", vec![span(trace, 1, 0, 0), span(trace, 2, 1, 1)]);
    }
    send(&server, "db", vec![span(4, 5, 4, 4), span(4, 6, 99, 4)]);
    let ask = |path: &str| server.get(&format!("/jaeger/api/dependencies?{path}")).json();
    let at = "endTs=1661169601000&lookback=3600000";
    let wanted = json!([edge("back", "db", 1), edge("front", "back", 4)]);
    assert_eq!(ask(at)["data"], wanted);
    assert_eq!(ask(&format!("{at}&service=front"))["data"], json!([edge("front", "back", 4)]));
    assert_eq!(ask("endTs=1661169601000&lookback=500")["data"], json!([]));
}

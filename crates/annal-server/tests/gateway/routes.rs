//! Each route, as the contract has it.

use std::io::{Read, Write};

use annal::ingest::IngestOptions;
use annal_server::http::HttpOptions;
use flate2::write::{GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message as _;

use crate::harness::{PROTOBUF, Server, encoded, now_ns, request, span};

#[test]
fn a_server_is_alive_before_it_is_ready_and_takes_nothing_until_then() {
    let server = Server::recovering(IngestOptions::default());
    assert_eq!(server.get("/health").status, 200);
    let body = request(vec![span(0)]).encode_to_vec();
    let asked = [
        server.get("/ready"),
        server.get("/api/v1/events"),
        server.get("/api/v1/count"),
        server.post("/api/v1/events", &[], b"{}"),
        server.post("/v1/traces", &[("content-type", PROTOBUF)], &body),
    ];
    for answer in asked {
        assert_eq!(answer.status, 503, "{}", answer.head);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(server.metric("annal_ready"), 0);
    server.app.set_ready(server.ingest());
    assert_eq!(server.get("/ready").status, 200);
    assert_eq!(server.metric("annal_ready"), 1);
    assert_eq!(server.count(), 0);
}

#[test]
fn spans_come_back_by_every_route_once_they_are_acknowledged() {
    let server = Server::start();
    let answer = server.traces(&request((0..50).map(span).collect()));
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.words());
    assert_eq!(answer.header("content-type"), Some(PROTOBUF));
    assert_eq!(server.metric("annal_events_total"), 50);
    assert!(server.metric("annal_compaction_debt_bytes") > 0);
    for nothing in ["compaction_refuses", "compaction_paused", "compaction_job_input_bytes"] {
        assert_eq!(server.metric(&format!("annal_{nothing}")), 0);
    }
    assert_eq!(server.metric("annal_scrub_errors_total"), 0);

    let answer = server.get("/api/v1/events?limit=3&where=span.number+%3E%3D+40&type=even").json();
    assert_eq!(answer["events"].as_array().unwrap().len(), 3);
    assert_eq!(answer["truncated"], true);
    assert!(answer["scanned"]["events_read"].as_u64().unwrap() >= 3);
    let first = &answer["events"][0];
    assert_eq!((&first["source"], &first["kind"]), (&"cart".into(), &"server".into()));
    assert_eq!(first["resource"]["service.name"], "cart");

    let explain = server.get("/api/v1/explain?type=nothing&order=oldest").json();
    assert_eq!((&explain["order"], &explain["frames_read_max"]), (&"oldest".into(), &0.into()));
    assert!(explain["text"].as_str().unwrap().contains("out by source and type"), "{explain}");

    let sequence = first["sequence"].as_str().unwrap();
    assert_eq!(&server.get(&format!("/api/v1/events/{sequence}")).json(), first);
    let trace = server.get("/api/v1/traces/07070707070707070707070707070707").json();
    assert_eq!(trace["trace_id"], "07070707070707070707070707070707");
    let times: Vec<_> =
        trace["events"].as_array().unwrap().iter().map(|e| e["time"].as_u64().unwrap()).collect();
    assert!(times.len() == 50 && times.is_sorted());

    assert_eq!(server.count(), 50);
    assert_eq!(server.get("/api/v1/count?source=nobody").json()["counts"][0]["count"], 0);
    let counts = server.get("/api/v1/count?by=type&source=cart").json();
    let expected = serde_json::json!([{"type":"even","count":25},{"type":"odd","count":25}]);
    assert_eq!(counts["counts"], expected);
    let counts = server.get("/api/v1/count?by=source,type,minute&where=status%3Derror").json();
    for count in counts["counts"].as_array().unwrap() {
        assert_eq!(count["minute"].as_u64().unwrap() % 60_000_000_000, 0);
    }
    let sources = server.get("/api/v1/sources").json();
    let cart = &sources["sources"][0];
    assert_eq!((&cart["source"], &cart["events"]), (&"cart".into(), &50.into()));
    assert_eq!(cart["errors"], 5);
    assert!(cart["first"].as_u64().unwrap() <= cart["last"].as_u64().unwrap());
    let types = server.get("/api/v1/types?source=cart").json();
    assert_eq!(types["types"].as_array().unwrap().len(), 2);
    assert_eq!(types["types"][0]["type"], "even");
    assert!(
        server.get("/api/v1/types?source=nobody").json()["types"].as_array().unwrap().is_empty()
    );
}

#[test]
fn who_links_to_a_trace_is_answered_as_events_are() {
    let server = Server::start();
    let linking = |number: u64| {
        let links = match number % 5 {
            0 => vec![Link { trace_id: vec![7; 16], span_id: vec![1; 8], ..Link::default() }],
            _ => Vec::new(),
        };
        Span { trace_id: vec![9; 16], links, ..span(number) }
    };
    server.traces(&request((0..10).map(span).chain((10..60).map(linking)).collect()));
    let path = "/api/v1/traces/07070707070707070707070707070707/links";
    let all = server.get(path).json();
    let found = all["events"].as_array().unwrap();
    assert_eq!((found.len(), &all["truncated"]), (10, &false.into()));
    assert!(found.iter().all(|event| event["trace_id"] == "09".repeat(16)));
    let text = encoded("link:traceID = \"07070707070707070707070707070707\"");
    assert_eq!(server.get(&format!("/api/v1/events?where={text}")).json()["events"], all["events"]);
    let some = format!("{path}?type=even&order=oldest&limit=3");
    let page = server.get(&some).json();
    assert_eq!(page["events"].as_array().unwrap().len(), 3);
    let next = server.get(&format!("{some}&cursor={}", page["next"].as_str().unwrap())).json();
    assert_eq!(next["events"].as_array().unwrap().len(), 2);
    let nobody = server.get(&format!("/api/v1/traces/{}/links", "09".repeat(16))).json();
    assert_eq!(nobody["events"], serde_json::json!([]));
    for (path, field) in [("/api/v1/traces/xyz/links", "trace"), (&format!("{path}?by=1"), "by")] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.json()["error"]["field"].as_str()), (400, Some(field)));
    }
}

#[test]
fn lists_that_are_known_need_no_query_thread() {
    let options = IngestOptions { query_threads: 1, ..IngestOptions::default() };
    let server = Server::with(HttpOptions::default(), options);
    server.traces(&request((0..50).map(span).collect()));
    let known = server.get("/api/v1/sources").json();
    let go_on = server.occupy_a_query_thread();
    assert_eq!(server.get("/api/v1/sources").json(), known);
    let types = server.get("/api/v1/types").json();
    assert_eq!(types["types"].as_array().unwrap().len(), 2);
    drop(go_on);
    // What is new is read.
    server.traces(&request(vec![span(0)]));
    assert_eq!(server.get("/api/v1/sources").json()["sources"][0]["events"], 51);
}

#[test]
fn pages_neither_repeat_nor_skip_while_new_spans_arrive() {
    let server = Server::start();
    for order in ["newest", "oldest"] {
        server.traces(&request((0..25).map(span).collect()));
        let total = server.count();
        let mut seen = Vec::new();
        let mut path = format!("/api/v1/events?limit=10&order={order}");
        loop {
            let page = server.get(&path).json();
            let events = page["events"].as_array().unwrap();
            seen.extend(events.iter().map(|e| e["sequence"].as_str().unwrap().to_owned()));
            assert_eq!(page["truncated"].as_bool().unwrap(), page["next"].is_string());
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/api/v1/events?limit=10&order={order}&cursor={next}");
            server.traces(&request(vec![span(99)]));
        }
        let distinct: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!((seen.len() as u64, distinct.len() as u64), (total, total));
    }
}

#[test]
fn compressed_bodies_and_the_alias_store_the_same() {
    let server = Server::start();
    let body = request((0..100).map(span).collect()).encode_to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&body).unwrap();
    let mut deflate = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&body).unwrap();
    let bodies = [
        ("identity", body.clone()),
        ("gzip", gzip.finish().unwrap()),
        ("deflate", deflate.finish().unwrap()),
        ("zstd", zstd::bulk::compress(&body, 1).unwrap()),
    ];
    for (i, (encoding, body)) in bodies.iter().enumerate() {
        let headers = [("content-type", PROTOBUF), ("content-encoding", encoding)];
        let path = if i % 2 == 0 { "/v1/traces" } else { "/otlp/v1/traces" };
        let answer = server.post(path, &headers, body);
        assert_eq!(answer.status, 200, "{encoding}: {}", answer.words());
        assert_eq!(server.count(), 100 * (i as u64 + 1));
    }
}

#[test]
fn a_body_without_a_length_is_taken_too() {
    let server = Server::start();
    let body = request((0..100).map(span).collect()).encode_to_vec();
    let mut chunked = Vec::new();
    for chunk in body.chunks(1_000) {
        write!(chunked, "{:x}\r\n", chunk.len()).unwrap();
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {PROTOBUF}; \
         charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(server.ask(&head, &chunked).status, 200);
    assert_eq!(server.count(), 100);
}

#[test]
fn logs_are_stored_with_their_type_and_without_a_time() {
    let server = Server::start();
    let body = AnyValue { value: Some(any_value::Value::StringValue("paid".into())) };
    let records = vec![
        LogRecord { time_unix_nano: now_ns(), body: Some(body), ..LogRecord::default() },
        LogRecord { event_name: "checkout".into(), ..LogRecord::default() },
    ];
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    let group = ResourceLogs { scope_logs, ..ResourceLogs::default() };
    let request = ExportLogsServiceRequest { resource_logs: vec![group] };
    let answer = server.post("/v1/logs", &[("content-type", PROTOBUF)], &request.encode_to_vec());
    assert_eq!(answer.status, 200, "{}", answer.words());
    let log = &server.get("/api/v1/events?type=log").json()["events"][0];
    assert_eq!((&log["message"], &log["signal"]), (&"paid".into(), &"log".into()));
    assert_eq!(log["source"], "unknown_service");
    let named = &server.get("/api/v1/events?type=checkout").json()["events"][0];
    assert_eq!(named["time_absent"], true);
}

#[test]
fn an_empty_request_is_a_success() {
    let server = Server::start();
    for body in [vec![], request(vec![]).encode_to_vec()] {
        let answer = server.post("/v1/traces", &[("content-type", PROTOBUF)], &body);
        assert_eq!((answer.status, answer.body.len()), (200, 0));
    }
    assert_eq!(server.count(), 0);
}

#[test]
fn good_lines_are_stored_bad_ones_named_and_all_come_back_as_they_went_in() {
    let server = Server::start();
    let lines = "{\"time\":1661169600000000000,\"source\":\"shop\",\"type\":\"sale\",\
                 \"attributes\":{\"n\":{\"int64\":\"9007199254740993\"}}}\n\
                 {\"colour\":\"red\"}\n\nnot json\n\
                 {\"signal\":\"log\",\"source\":\"shop\",\"message\":\"hello\"}\r\n";
    let answer = server.post("/api/v1/events", &[], lines.as_bytes()).json();
    assert_eq!(answer["accepted"], 2);
    let rejected = answer["rejected"].as_array().unwrap();
    assert_eq!((&rejected[0]["line"], &rejected[1]["line"]), (&2.into(), &4.into()));
    assert!(rejected[0]["error"].as_str().unwrap().contains("colour"));
    assert_eq!(server.metric("annal_rejected_total{protocol=\"ndjson\",reason=\"Invalid\"}"), 2);
    let sale = server.get("/api/v1/events?type=sale").json()["events"][0].clone();
    assert_eq!(sale["attributes"]["n"]["int64"], "9007199254740993");
    assert_eq!(sale["time"], 1_661_169_600_000_000_000u64);

    let again = server.post("/api/v1/events", &[], sale.to_string().as_bytes()).json();
    assert_eq!((&again["accepted"], &again["rejected"]), (&1.into(), &serde_json::json!([])));
    let many = "nonsense\n".repeat(150);
    let answer = server.post("/api/v1/events", &[], many.as_bytes()).json();
    assert_eq!(answer["rejected"].as_array().unwrap().len(), 100);
    assert_eq!(answer["rejected_lines"], 150);
    assert_eq!(server.count(), 3);
}

#[test]
fn refused_spans_are_a_partial_success_that_counts_and_names_them() {
    let server = Server::start();
    let mut bad = span(1);
    bad.start_time_unix_nano = now_ns() + 2 * 86_400_000_000_000;
    let answer = server.traces(&request(vec![span(0), bad, span(2)]));
    assert_eq!(answer.status, 200);
    let partial = ExportTraceServiceResponse::decode(&answer.body[..]).unwrap();
    let partial = partial.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert!(partial.error_message.contains("start_time"), "{}", partial.error_message);
    assert_eq!(server.count(), 2);
    assert_eq!(server.metric("annal_rejected_total{protocol=\"otlp\",reason=\"start_time\"}"), 1);
}

#[test]
fn a_connection_serves_many_requests() {
    let server = Server::start();
    let body = request(vec![span(0)]).encode_to_vec();
    let mut stream = server.connect();
    for _ in 0..3 {
        let length = body.len();
        write!(
            stream,
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n\
             content-length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(&body).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200"));
    }
    assert_eq!(server.count(), 3);
    // This one and the one that asks; that of the count may take a moment to end.
    while server.metric("annal_http_connections") != 2 {
        std::thread::yield_now();
    }
}

#[test]
fn a_stopping_server_finishes_what_has_begun_and_takes_nothing_new() {
    let mut server = Server::start();
    let body = request(vec![span(0)]).encode_to_vec();
    let mut begun = server.connect();
    let length = body.len();
    write!(
        begun,
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n\
         content-length: {length}\r\n\r\n"
    )
    .unwrap();
    begun.write_all(&body[..10]).unwrap();
    // Another request on another connection: by its answer the first one's head has been read.
    assert_eq!(server.get("/health").status, 200);
    let sender = std::thread::spawn(move || {
        begun.write_all(&body[10..]).unwrap();
        let mut answer = Vec::new();
        begun.read_to_end(&mut answer).unwrap();
        answer
    });
    server.stop().unwrap();
    let answer = sender.join().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    assert!(std::net::TcpStream::connect(server.address).is_err());
}

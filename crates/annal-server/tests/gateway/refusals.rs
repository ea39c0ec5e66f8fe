//! Bad input: each gets a named error and a counter, and harms nobody else.

use std::io::Write;

use annal::limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;

use crate::harness::{Answer, PROTOBUF, Server, request, span};

struct Case {
    name: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    says: &'static str,
    /// Row of `annal_rejected_total`.
    counted: (&'static str, &'static str),
}

fn otlp(name: &'static str, body: Vec<u8>, status: u16, says: &'static str) -> Case {
    let headers = vec![("content-type", PROTOBUF)];
    let reason = match status {
        413 => "Limit",
        415 => "Unsupported",
        _ => "Invalid",
    };
    Case { name, path: "/v1/traces", headers, body, status, says, counted: ("otlp", reason) }
}

fn encoded(case: Case, encoding: &'static str) -> Case {
    let mut headers = case.headers;
    headers.push(("content-encoding", encoding));
    Case { headers, ..case }
}

fn typed(case: Case, content_type: &'static str) -> Case {
    Case { headers: vec![("content-type", content_type)], ..case }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zstd frame whose header asks for a window of 128 MiB.
fn wide_window() -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![0; 1 << 20]).unwrap();
    encoder.finish().unwrap()
}

fn cases() -> Vec<Case> {
    let good = request(vec![span(0)]).encode_to_vec();
    let cut = good[..good.len() - 3].to_vec();
    let mut not_utf8 = good.clone();
    let at = not_utf8.windows(4).position(|w| w == b"even").unwrap();
    not_utf8[at] = 0xff;
    let zeroes = vec![0; limits::REQUEST_BYTES_MAX + 1];
    let zipped = gzip(&good);
    let lines = |name, body: Vec<u8>, says| Case {
        path: "/api/v1/events",
        headers: vec![],
        counted: ("ndjson", "Limit"),
        ..otlp(name, body, 413, says)
    };
    vec![
        otlp("cut", cut, 400, "length"),
        otlp("a group", vec![0x0b], 400, "groups"),
        otlp("garbage", vec![0xff; 100], 400, "protobuf"),
        otlp("not UTF-8", not_utf8, 400, "UTF-8"),
        otlp("oversized", zeroes.clone(), 413, "67108864"),
        encoded(otlp("gzip bomb", gzip(&zeroes), 413, "67108864"), "gzip"),
        encoded(
            otlp("zstd bomb", zstd::bulk::compress(&zeroes, 1).unwrap(), 413, "67108864"),
            "zstd",
        ),
        encoded(otlp("zstd window", wide_window(), 400, "decompressed"), "zstd"),
        encoded(otlp("cut gzip", zipped[..zipped.len() / 2].to_vec(), 400, "decompressed"), "gzip"),
        encoded(otlp("no gzip", good.clone(), 400, "decompressed"), "gzip"),
        encoded(otlp("no zstd", good.clone(), 400, "decompressed"), "zstd"),
        encoded(otlp("no deflate", good.clone(), 400, "decompressed"), "deflate"),
        encoded(otlp("unknown encoding", good.clone(), 415, "gzip, zstd"), "br"),
        typed(otlp("JSON", b"{}".to_vec(), 415, "not supported yet"), "application/json"),
        typed(otlp("text", good, 415, "application/x-protobuf"), "text/plain"),
        lines("oversized lines", zeroes.clone(), "67108864"),
        Case {
            headers: vec![("content-encoding", "gzip")],
            ..lines("lines that are a bomb", gzip(&zeroes), "67108864")
        },
    ]
}

#[test]
fn each_bad_request_gets_a_named_error_and_a_counter_and_the_next_one_is_served() {
    let server = Server::start();
    let mut stored = 0;
    for case in cases() {
        let (protocol, reason) = case.counted;
        let row = format!("annal_rejected_total{{protocol=\"{protocol}\",reason=\"{reason}\"}}");
        let before = server.metric(&row);
        let answer = server.post(case.path, &case.headers, &case.body);
        assert_eq!(answer.status, case.status, "{}: {}", case.name, answer.words());
        assert!(answer.words().contains(case.says), "{}: {}", case.name, answer.words());
        assert_eq!(server.metric(&row), before + 1, "{}", case.name);
        assert_eq!(server.traces(&request(vec![span(1)])).status, 200, "after {}", case.name);
        stored += 1;
        assert_eq!(server.count(), stored, "after {}", case.name);
        assert_eq!(server.metric("annal_in_flight_bytes"), 0, "after {}", case.name);
    }
}

fn kind(answer: &Answer) -> String {
    answer.json()["error"]["kind"].as_str().unwrap().to_owned()
}

#[test]
fn bad_questions_are_named_with_their_field() {
    let server = Server::start();
    for (path, field) in [
        ("/api/v1/events?colour=red", "colour"),
        ("/api/v1/events?limit=x", "limit"),
        ("/api/v1/events?since=yesterday", "since"),
        ("/api/v1/events?where=%3D%3D", "where"),
        ("/api/v1/events?cursor=1", "cursor"),
        ("/api/v1/count?by=colour", "by"),
        ("/api/v1/count?limit=5", "limit"),
        ("/api/v1/traces/xyz", "trace"),
        ("/api/v1/traces/%ff", "trace"),
        ("/api/v1/events/xyz", "sequence"),
        ("/api/v1/events/%ff", "sequence"),
        ("/api/v1/events/+5", "sequence"),
        ("/api/v1/sources?source=a", "source"),
    ] {
        let answer = server.get(path);
        assert_eq!((answer.status, kind(&answer)), (400, "Invalid".into()), "{path}");
        assert_eq!(answer.json()["error"]["field"], field, "{path}");
    }
    let answer = server.get("/api/v1/events?where=duration+%3E+%3E");
    assert!(answer.json()["error"]["offset"].is_u64(), "{}", answer.words());
}

#[test]
fn what_is_not_there_and_what_is_not_meant_are_told_apart() {
    let server = Server::start();
    for path in ["/nothing", "/api/v1/events/7", "/api/v1/traces/07070707070707070707070707070707"]
    {
        let answer = server.get(path);
        assert_eq!((answer.status, kind(&answer)), (404, "NotFound".into()), "{path}");
    }
    for path in ["/v1/traces", "/v1/logs"] {
        let answer = server.get(path);
        assert_eq!((answer.status, kind(&answer)), (405, "MethodNotAllowed".into()), "{path}");
    }
    assert_eq!(server.post("/api/v1/count", &[], b"").status, 405);
}

#[test]
fn under_pressure_a_sender_is_told_before_its_body_is_read() {
    let server = Server::with_budget(1 << 20);
    let ingest = server.ingest();
    let held = ingest.try_admit(1 << 20).unwrap();
    // The body never comes: the answer does.
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {PROTOBUF}\r\n\
         content-length: 100000\r\n\r\n"
    );
    let mut stream = server.connect();
    stream.write_all(head.as_bytes()).unwrap();
    let mut start = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 429");
    drop(stream);

    let answer = server.traces(&request(vec![span(0)]));
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("content-type"), Some(PROTOBUF));
    drop(held);
    assert_eq!(server.traces(&request(vec![span(0)])).status, 200);
    assert_eq!(server.count(), 1);
}

#[test]
fn what_has_not_arrived_takes_nothing_from_the_others() {
    let server = Server::with_budget(1 << 20);
    // Together four times the budget, and nothing of it comes.
    let mut idle: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = server.connect();
            write!(
                stream,
                "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n\
                 content-length: 65536\r\nexpect: 100-continue\r\n\r\n"
            )
            .unwrap();
            stream
        })
        .collect();
    // The server says so when it begins to wait for the body.
    for stream in &mut idle {
        let mut start = [0; 25];
        std::io::Read::read_exact(stream, &mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    assert_eq!(server.metric("annal_in_flight_bytes"), 0);
    assert_eq!(server.traces(&request(vec![span(0)])).status, 200);
    // What has arrived is held.
    for stream in &mut idle {
        stream.write_all(&[0; 100]).unwrap();
    }
    while server.metric("annal_in_flight_bytes") < 64 * 100 {
        std::thread::yield_now();
    }
    assert_eq!(server.metric("annal_in_flight_bytes"), 64 * 100);
    assert_eq!(server.traces(&request(vec![span(0)])).status, 200);
    drop(idle);
}

#[test]
fn a_full_batch_of_limits_is_refused_span_by_span_and_never_silently() {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let server = Server::start();
    let long = Value::StringValue("x".repeat(limits::VALUE_BYTES_MAX + 1));
    let mut bad = span(0);
    bad.attributes.push(crate::harness::attribute("long", long));
    let answer = server.traces(&request(vec![bad, span(1)]));
    assert_eq!(answer.status, 200);
    assert!(answer.words().contains("attributes.long"), "{}", answer.words());
    assert_eq!(server.count(), 1);
    assert_eq!(server.metric("annal_rejected_total{protocol=\"otlp\",reason=\"Limit\"}"), 1);
}

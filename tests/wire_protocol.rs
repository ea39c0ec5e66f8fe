//! `docs/wire-protocol.md` is normative: its tables and examples are held against the code here,
//! and the conformance vectors in `tests/fixtures/wire/` are what the examples and their damaged
//! relatives encode to.
#![cfg(feature = "net")]
#![allow(clippy::disallowed_methods, reason = "reads documents and fixtures, not a store")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod document;

#[path = "wire_protocol/vectors.rs"]
mod vectors;

use annal::error::{Error, ErrorKind};
use annal::event::{ProducerId, Signal, TraceId};
use annal::format::frame::FrameHeader;
use annal::limits;
use annal::net::envelope::{HEAD_BYTES, Parsed, parse};
use annal::net::message::{
    self, Duplicate, Failure, Goodbye, Hello, Kind, Message, QueryData, QueryEnd, QueryText,
    Welcome,
};
use annal::query::{Cursor, Order, Scanned};
use annal::{TimeRange, Timestamp};
use bytes::Bytes;
use document::{Document, annotate};

const CURSOR: Cursor =
    Cursor { time: Timestamp(1_661_169_600_000_000_000), sequence: 20_007, upper_sequence: 30_000 };

fn wire_document() -> Document {
    Document::read("docs/wire-protocol.md")
}

/// A frame of a payload that is no batch: enough for everything but validation.
fn frame() -> Bytes {
    let payload = b"a payload";
    let header = FrameHeader {
        stored_length: payload.len() as u32,
        raw_length: payload.len() as u32,
        min_time: CURSOR.time,
        max_time: CURSOR.time,
        events: 1,
        epoch: 1,
        producer_id: ProducerId(*b"producer id 0123"),
        batch_number: 12,
        payload_crc: annal::codec::crc32(payload),
        ..FrameHeader::default()
    };
    [&header.encode()[..], payload].concat().into()
}

/// A message of each type: name of its example, request, message.
pub fn samples() -> Vec<(&'static str, u64, Message)> {
    let refused = Error::new(ErrorKind::OutOfSequence, "batch 14, wanted 12")
        .in_field("batch_number")
        .expecting(12)
        .retry_after_ms(500);
    vec![
        (
            "hello",
            0,
            Message::Hello(Hello {
                version_oldest: 1,
                version_newest: 1,
                producer: Some((ProducerId(*b"producer id 0123"), 1)),
                name: "shop 1.0".into(),
            }),
        ),
        (
            "welcome",
            0,
            Message::Welcome(Welcome {
                version: 1,
                batch_stored_bytes_max: limits::BATCH_STORED_BYTES_MAX as u32,
                batch_raw_bytes_max: limits::BATCH_RAW_BYTES_MAX as u32,
                batch_events_max: limits::BATCH_EVENTS_MAX as u32,
                appends_in_flight_max: limits::TCP_APPENDS_IN_FLIGHT_MAX as u32,
                idle_ms_max: 60_000,
                credit_bytes: limits::TCP_CREDIT_BYTES as u64,
                next_batch_number: Some(12),
                name: "annal 0.1.0".into(),
            }),
        ),
        ("append", 1, Message::Append(frame())),
        ("ack", 1, Message::Ack(20_000)),
        ("duplicate", 1, Message::Duplicate(Duplicate { first_sequence: Some(20_000) })),
        ("credits", 0, Message::Credits(137)),
        ("error", 2, Message::Error(Failure::of(&refused, false))),
        ("ping", 3, Message::Ping(Bytes::from_static(b"now"))),
        ("pong", 3, Message::Pong(Bytes::from_static(b"now"))),
        (
            "query",
            4,
            Message::Query(QueryText {
                range: TimeRange { since: Timestamp(0), until: CURSOR.time },
                limit: 100,
                order: Order::Oldest,
                signal: Some(Signal::Log),
                trace: Some(TraceId(*b"trace id 0123456")),
                cursor: Some(CURSOR),
                sequences: Some(20_000..30_000),
                deadline_ms: 2_000,
                source: "cart".into(),
                event_type: "AddItem".into(),
                expression: "duration > 1s".into(),
            }),
        ),
        (
            "query-data",
            4,
            Message::QueryData(QueryData {
                sequences: vec![20_007],
                received: vec![CURSOR.time],
                frame: frame(),
            }),
        ),
        (
            "query-end",
            4,
            Message::QueryEnd(QueryEnd {
                truncated: true,
                next: Some(CURSOR),
                events: 100,
                scanned: Scanned {
                    segments: 3,
                    segments_pruned: 1,
                    frames: 40,
                    frames_pruned: 30,
                    events_read: 10_000,
                    events_matched: 120,
                    bytes_read: 450_000,
                },
            }),
        ),
        ("cancel", 4, Message::Cancel),
        (
            "goodbye",
            0,
            Message::Goodbye(Goodbye { retry_after_ms: 1_000, message: "stopping".into() }),
        ),
    ]
}

fn encoded(name: &str) -> Vec<u8> {
    let samples = samples();
    let (_, request, message) = samples.iter().find(|(n, ..)| *n == name).unwrap();
    let mut out = Vec::new();
    message.encode(*request, &mut out);
    out
}

/// Holds the field table of a message against its example: names, sizes and order of the fixed
/// fields, then the texts of these names; what is left is told apart by nothing.
fn check(name: &str, heading: &str, tail: &[(&str, usize)]) {
    let document = wire_document();
    let bytes = encoded(name);
    let mut expected = String::new();
    let mut at = 0;
    let mut fields: Vec<(String, usize, String)> = Vec::new();
    for heading in ["Envelope", heading].into_iter().filter(|h| !h.is_empty()) {
        let of_table = document.fields(heading);
        fields.extend(of_table.into_iter().map(|f| (f.name, f.size, f.kind)));
    }
    if name == "append" {
        let of_frame = Document::read("storage-format.md").fields("Frame header");
        fields.extend(of_frame.into_iter().map(|f| (f.name, f.size, f.kind)));
    }
    fields.extend(tail.iter().map(|(n, size)| ((*n).to_owned(), *size, "bytes".to_owned())));
    for (field, size, kind) in fields {
        annotate(&mut expected, at, &bytes[at..at + size], &field, &kind);
        at += size;
    }
    assert_eq!(at, bytes.len(), "{name}: the tables cover the message");
    assert!(
        document.hex_block(name).trim_end() == expected.trim_end(),
        "the example {name} should read\n```hex {name}\n{expected}```\n"
    );
}

#[test]
fn the_examples_are_what_their_tables_say_and_what_the_code_sends() {
    check("hello", "Hello", &[("name", 8)]);
    check("welcome", "Welcome", &[("name", 11)]);
    check("append", "", &[("payload", 9)]);
    check("ack", "Ack", &[]);
    check("duplicate", "Duplicate", &[]);
    check("credits", "Credits", &[]);
    check("error", "Error", &[("message", 19), ("field", 12)]);
    check("ping", "", &[("body", 3)]);
    check("query", "Query", &[("source", 4), ("type", 7), ("expression", 13)]);
    check("query-end", "Query end", &[]);
    check("goodbye", "Goodbye", &[("message", 8)]);
}

#[test]
fn each_field_of_each_table_holds_what_it_is_named_for() {
    let document = wire_document();
    let le = u64::to_le_bytes;
    let body = |name: &str, fixed: usize| encoded(name)[HEAD_BYTES..HEAD_BYTES + fixed].to_vec();
    document.check_fields("Ack", &body("ack", 8), &[("first_sequence", &le(20_000))]);
    document.check_fields("Credits", &body("credits", 8), &[("bytes", &le(137))]);
    document.check_fields(
        "Duplicate",
        &body("duplicate", 16),
        &[("first_sequence", &le(20_000)), ("known", &le(1))],
    );
    document.check_fields("Query data", &body("query-data", 8), &[("events", &le(1))]);
    document.check_fields(
        "Hello",
        &body("hello", 32),
        &[
            ("magic", &message::HELLO_MAGIC),
            ("version_oldest", &[1, 0]),
            ("version_newest", &[1, 0]),
            ("flags", &[1, 0]),
            ("name_length", &[8, 0]),
            ("producer_id", b"producer id 0123"),
            ("epoch", &[1, 0, 0, 0]),
        ],
    );
    document.check_fields(
        "Welcome",
        &body("welcome", 42),
        &[
            ("version", &[1, 0]),
            ("flags", &[1, 0]),
            ("batch_stored_bytes_max", &(8u32 << 20).to_le_bytes()),
            ("batch_raw_bytes_max", &(8u32 << 20).to_le_bytes()),
            ("batch_events_max", &65_536u32.to_le_bytes()),
            ("appends_in_flight_max", &64u32.to_le_bytes()),
            ("idle_ms_max", &60_000u32.to_le_bytes()),
            ("credit_bytes", &le(16 << 20)),
            ("next_batch_number", &le(12)),
            ("name_length", &[11, 0]),
        ],
    );
    document.check_fields(
        "Error",
        &body("error", 20),
        &[
            ("code", &[9, 0]),
            ("flags", &[12, 0]),
            ("retry_after_ms", &500u32.to_le_bytes()),
            ("expected", &le(12)),
            ("message_length", &[19, 0]),
            ("field_length", &[12, 0]),
        ],
    );
    document.check_fields(
        "Goodbye",
        &body("goodbye", 6),
        &[("retry_after_ms", &1_000u32.to_le_bytes()), ("message_length", &[8, 0])],
    );
}

#[test]
fn the_fields_of_queries_hold_what_they_are_named_for() {
    let document = wire_document();
    let le = u64::to_le_bytes;
    let time = CURSOR.time.0.to_le_bytes();
    let body = |name: &str, fixed: usize| encoded(name)[HEAD_BYTES..HEAD_BYTES + fixed].to_vec();
    let cursor: [(&str, &[u8]); 3] = [
        ("cursor_time", &time),
        ("cursor_sequence", &le(20_007)),
        ("cursor_upper_sequence", &le(30_000)),
    ];
    let mut query: Vec<(&str, &[u8])> = vec![
        ("since", &[0; 8]),
        ("until", &time),
        ("limit", &[100, 0, 0, 0]),
        ("deadline_ms", &[0xd0, 7, 0, 0]),
        ("flags", &[31, 0]),
        ("signal", &[1, 0]),
        ("trace_id", b"trace id 0123456"),
        ("source_length", &[4, 0]),
        ("type_length", &[7, 0]),
        ("expression_length", &[13, 0, 0, 0]),
    ];
    let (first, end) = (le(20_000), le(30_000));
    query.extend([("sequence_first", &first[..]), ("sequence_end", &end[..])]);
    query.extend(cursor);
    document.check_fields("Query", &body("query", QueryText::FIXED_BYTES), &query);
    let counts = [3, 1, 40, 30, 10_000, 120, 450_000].map(le);
    let names = [
        "segments",
        "segments_pruned",
        "frames",
        "frames_pruned",
        "events_read",
        "events_matched",
        "bytes_read",
    ];
    let mut values: Vec<(&str, &[u8])> =
        names.into_iter().zip(counts.iter().map(|c| &c[..])).collect();
    let (flags, events) = (le(3), le(100));
    values.extend([("flags", &flags[..]), ("events", &events[..])]);
    values.extend(cursor);
    document.check_fields("Query end", &body("query-end", QueryEnd::BYTES), &values);
}

#[test]
fn the_table_of_messages_is_the_code_s() {
    let rows = wire_document().table_under("Messages");
    assert_eq!(rows.len(), Kind::ALL.len());
    for (row, (kind, name)) in rows.iter().zip(Kind::ALL) {
        let told = (row[0].as_str(), row[1].as_str(), row[3].as_str());
        let code = (kind as u8).to_string();
        assert_eq!(told, (&*code, name, &*kind.body_bytes_max().to_string()));
    }
}

#[test]
fn the_table_of_errors_is_the_code_s() {
    let rows = wire_document().table_of("error code");
    assert_eq!(rows.len(), ErrorKind::POLICY.len());
    for (row, policy) in rows.iter().zip(ErrorKind::POLICY) {
        let retry = if policy.retry { "yes" } else { "no" };
        assert_eq!(row[..3], [&*policy.tcp_code.to_string(), policy.name, retry]);
    }
}

#[test]
fn the_limits_are_the_code_s_and_none_of_the_protocol_is_missing() {
    let rows = wire_document().table_of("limit");
    for row in &rows {
        let limit = limits::ALL.iter().find(|(name, ..)| *name == row[0]);
        let (_, value, _) = limit.unwrap_or_else(|| panic!("no limit {}", row[0]));
        assert_eq!(row[1], value.to_string(), "{}", row[0]);
    }
    for (name, ..) in limits::ALL.iter().filter(|(name, ..)| name.starts_with("TCP_")) {
        assert!(rows.iter().any(|row| row[0] == *name), "the document lacks {name}");
    }
    let text = wire_document().text;
    for (value, what) in [
        (message::NAME_BYTES_MAX, "bytes of the name, at most"),
        (message::TEXT_BYTES_MAX, "bytes of the message, at most"),
        (usize::from(message::EXTENSION_REQUIRED), "highest bit"),
    ] {
        assert!(text.lines().any(|l| l.contains(what) && l.contains(&value.to_string())), "{what}");
    }
}

#[test]
fn every_example_leads_back_to_its_message() {
    for (name, request, message) in samples() {
        let bytes = Bytes::from(encoded(name));
        let Parsed::Message(head, body) = parse(&bytes).unwrap() else { panic!("{name}") };
        assert_eq!(head.request, request);
        let kind = head.known_kind().unwrap();
        assert_eq!(Message::decode(kind, &bytes.slice_ref(body)).unwrap(), message, "{name}");
    }
}

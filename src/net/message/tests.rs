//! Each message leads back to itself; damage is an error, never a panic.

use super::*;
use crate::event::{ProducerId, Signal, TraceId};
use crate::net::envelope::{Parsed, parse};
use crate::query::{self, Order, Query, Scanned};
use crate::time::{TimeRange, Timestamp};

fn samples() -> Vec<Message> {
    let cursor = query::Cursor { time: Timestamp(-5), sequence: 6, upper_sequence: 7 };
    let bytes = Bytes::from_static(b"0123456789");
    vec![
        Message::Hello(Hello {
            version_oldest: 1,
            version_newest: 3,
            producer: Some((ProducerId([9; 16]), 4)),
            name: "né".into(),
        }),
        Message::Welcome(Welcome {
            version: 1,
            batch_stored_bytes_max: 2,
            batch_raw_bytes_max: 3,
            batch_events_max: 4,
            appends_in_flight_max: 5,
            idle_ms_max: 6,
            credit_bytes: 7,
            next_batch_number: Some(8),
            name: "annal".into(),
        }),
        Message::Append(bytes.clone()),
        Message::Ack(77),
        Message::Duplicate(Duplicate { first_sequence: Some(4) }),
        Message::Duplicate(Duplicate { first_sequence: None }),
        Message::Credits(1 << 40),
        Message::Error(Failure {
            code: 9,
            fatal: true,
            retry: false,
            expected: Some(3),
            retry_after_ms: Some(500),
            message: "no".into(),
            field: "batch_number".into(),
        }),
        Message::Ping(bytes.clone()),
        Message::Pong(bytes.clone()),
        Message::Query(QueryText {
            range: TimeRange::ALL,
            limit: 10,
            order: Order::Oldest,
            signal: Some(Signal::Log),
            trace: Some(TraceId([1; 16])),
            cursor: Some(cursor),
            sequences: Some(4..9),
            deadline_ms: 100,
            source: "cart".into(),
            event_type: "AddItem".into(),
            expression: "duration > 1s".into(),
        }),
        Message::QueryData(QueryData {
            sequences: vec![3, 1],
            received: vec![Timestamp(9), Timestamp(8)],
            frame: bytes,
        }),
        Message::QueryEnd(QueryEnd {
            truncated: true,
            next: Some(cursor),
            events: 2,
            scanned: Scanned { segments: 1, frames: 3, bytes_read: 9, ..Scanned::default() },
        }),
        Message::Cancel,
        Message::Goodbye(Goodbye { retry_after_ms: 5, message: "later".into() }),
    ]
}

fn body_of(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(5, &mut out);
    let Parsed::Message(head, body) = parse(&out).unwrap() else { panic!("incomplete") };
    assert_eq!((head.request, head.known_kind()), (5, Some(message.kind())));
    body.to_vec()
}

#[test]
fn every_message_leads_back_to_itself() {
    for message in samples() {
        let body = Bytes::from(body_of(&message));
        assert_eq!(Message::decode(message.kind(), &body).unwrap(), message);
    }
}

#[test]
fn no_deadline_goes_beyond_the_age_of_a_servers_snapshots() {
    let asked = |deadline_ms| {
        let query = Query { deadline_ms, ..Query::default() };
        QueryText::of(&query).unwrap().to_query().unwrap().deadline_ms
    };
    assert_eq!(asked(899_999), 899_999);
    assert_eq!(asked(900_000), 900_000);
    assert_eq!(asked(900_001), 900_000);
    assert_eq!(asked(u64::MAX), 900_000);
    assert_eq!(asked(0), Query::default().deadline_ms);
}

#[test]
fn every_type_has_a_sample_a_name_and_its_own_code() {
    for (i, (kind, _)) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(kind as usize, i + 1);
        assert_eq!(Kind::from_code(kind as u8), Some(kind));
        assert!(samples().iter().any(|m| m.kind() == kind), "{kind:?}");
    }
    assert_eq!(Kind::from_code(0), None);
    assert_eq!(Kind::from_code(15), None);
}

#[test]
fn cut_and_lengthened_bodies_are_errors_or_other_messages_never_panics() {
    for message in samples() {
        let body = Bytes::from(body_of(&message));
        for cut in 0..body.len() {
            if let Ok(other) = Message::decode(message.kind(), &body.slice(..cut)) {
                assert_ne!(other, message, "cut at {cut}");
            }
        }
        let mut longer = body.to_vec();
        longer.push(0);
        if let Ok(other) = Message::decode(message.kind(), &Bytes::from(longer)) {
            assert_ne!(other, message);
        }
    }
}

#[test]
fn extensions_that_may_be_skipped_are_and_others_are_refused() {
    let hello = &samples()[0];
    let mut body = body_of(hello);
    body.extend_from_slice(&[1, 0, 2, 0, 0xaa, 0xbb]);
    assert_eq!(Message::decode(Kind::Hello, &Bytes::from(body.clone())).unwrap(), *hello);
    body.extend_from_slice(&[1, 0x80, 0, 0]);
    let error = Message::decode(Kind::Hello, &Bytes::from(body)).unwrap_err();
    assert_eq!(error.field(), Some("extension"));
}

#[test]
fn an_error_survives_the_wire_with_what_a_caller_acts_on() {
    let error = Error::new(crate::ErrorKind::OutOfSequence, "number 9")
        .in_field("batch_number")
        .expecting(7)
        .retry_after_ms(20);
    let told = Failure::of(&error, false).to_error();
    assert_eq!(told.kind(), error.kind());
    assert_eq!(told.to_string(), error.to_string());
    assert_eq!(told.retry_after(), Some(20));
}

#[test]
fn a_text_that_is_too_long_is_cut_between_characters() {
    assert_eq!(cut("aé", 2), "a");
    assert_eq!(cut("aé", 3), "aé");
}

#[test]
fn a_frame_whose_payload_has_another_length_is_refused() {
    let header = FrameHeader { stored_length: 4, raw_length: 4, ..FrameHeader::default() };
    let mut frame = header.encode().to_vec();
    frame.extend_from_slice(b"abc");
    let error = split_frame(&Bytes::from(frame.clone())).unwrap_err();
    assert_eq!(error.field(), Some("stored_length"));
    frame.push(b'd');
    assert_eq!(&split_frame(&Bytes::from(frame)).unwrap().1[..], b"abcd");
    assert!(split_frame(&Bytes::from_static(b"short")).is_err());
}

//! Payloads: what is refused, and what comes back. Hostile and damaged ones have a named error, none
//! panics, none is answered wrongly.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "payload/any_event.rs"]
mod any_event;
#[path = "payload/round_trip.rs"]
mod round_trip;

use annal::column::{BatchBuilder, BatchView, EventFields, ResourceFields};
use annal::event::{SpanId, TraceId, ValueRef};
use annal::format::frame::{Codec, FrameHeader};
use annal::{Batch, ErrorKind, Timestamp};
use bytes::Bytes;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

/// A batch with most encodings in it.
fn batch(events: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    let random = |i: u64| i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    builder.begin_resource(&ResourceFields { source: "cart", ..Default::default() }).unwrap();
    builder.attribute("host.name", ValueRef::String("h")).unwrap();
    for i in 0..events {
        let event = EventFields {
            time: Timestamp(NOW.0 - 1_000_000 + i as i64 * 977),
            event_type: ["AddItem", "GetCart", "Pay"][i as usize % 3],
            trace_id: Some(TraceId([i as u8 / 8 + 1; 16])),
            span_id: Some(SpanId(random(i).to_le_bytes())),
            parent_span_id: (i % 8 != 0).then(|| SpanId(random(i / 8 * 8).to_le_bytes())),
            duration: Some((random(i) >> (20 + i % 40)) as i64),
            ..EventFields::default()
        };
        builder.begin_event(&event).unwrap();
        builder.attribute("n", ValueRef::Int(i as i64 % 5)).unwrap();
        if i % 3 == 0 {
            builder.attribute("url", ValueRef::String(&format!("/products/{i}"))).unwrap();
        }
        if i % 7 == 0 {
            builder.attribute("array", ValueRef::Nested(&[0x2a, 0x02, 0x0a, 0x00])).unwrap();
            builder.attribute("none", ValueRef::Empty).unwrap();
        }
    }
    builder.finish().unwrap()
}

fn raw_of(batch: &Batch) -> Vec<u8> {
    match batch.header().codec {
        Codec::None => batch.payload().to_vec(),
        Codec::Zstd => {
            let length = batch.header().raw_length as usize;
            zstd::bulk::decompress(batch.payload(), length).unwrap()
        }
    }
}

/// The header of a payload that somebody changed, made to fit.
fn header_for(batch: &Batch, codec: Codec, stored: &[u8], raw_length: usize) -> FrameHeader {
    FrameHeader {
        codec,
        stored_length: stored.len() as u32,
        raw_length: raw_length as u32,
        payload_crc: annal::codec::crc32(stored),
        ..*batch.header()
    }
}

/// Everything a reader can do with a payload; whatever it holds, it must not panic.
fn read_all(header: &FrameHeader, stored: &[u8]) -> annal::Result<usize> {
    let view = BatchView::open(header, stored)?;
    for column in 0..view.columns().len() {
        // A column is readable in one form at most; the others are errors.
        let forms = [
            view.ints(column).is_ok(),
            view.texts(column).is_ok(),
            view.ids16(column).is_ok(),
            view.ids8(column).is_ok(),
        ];
        assert!(forms.into_iter().filter(|ok| *ok).count() <= 1);
        let _ = view.presence(column)?;
        let _ = view.value(column, 0);
    }
    let _ = view.summary();
    let rows: Vec<u32> = (0..view.events() as u32).collect();
    view.materialise(header, &rows).map(|events| events.len())
}

fn check_damaged(batch: &Batch, raw: Vec<u8>, what: &str) {
    annal::column::examine(&raw);
    let header = header_for(batch, Codec::None, &raw, raw.len());
    let read = read_all(&header, &raw);
    if let Ok(checked) = Batch::from_frame(header, Bytes::from(raw), NOW) {
        assert_eq!(read.unwrap(), checked.events(), "{what}");
    }
}

#[test]
fn a_payload_with_any_bit_flipped_is_refused_or_read_without_a_panic() {
    let batch = batch(40);
    let raw = raw_of(&batch);
    check_damaged(&batch, raw.clone(), "unharmed");
    for bit in 0..raw.len() * 8 {
        let mut flipped = raw.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check_damaged(&batch, flipped, &format!("bit {bit}"));
    }
}

#[test]
fn a_payload_cut_anywhere_or_longer_is_refused() {
    let batch = batch(40);
    let raw = raw_of(&batch);
    for length in 0..raw.len() {
        let cut = raw[..length].to_vec();
        let header = header_for(&batch, Codec::None, &cut, length);
        assert!(read_all(&header, &cut).is_err(), "{length} bytes");
        assert!(Batch::from_frame(header, Bytes::from(cut), NOW).is_err(), "{length} bytes");
    }
    let longer = [raw.as_slice(), &[0]].concat();
    let header = header_for(&batch, Codec::None, &longer, longer.len());
    assert!(Batch::from_frame(header, Bytes::from(longer), NOW).is_err());
}

#[test]
fn a_compressed_payload_with_any_bit_flipped_is_refused_or_read_without_a_panic() {
    let batch = batch(40);
    assert_eq!(batch.header().codec, Codec::Zstd);
    for bit in 0..batch.payload().len() * 8 {
        let mut flipped = batch.payload().to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let header = header_for(&batch, Codec::Zstd, &flipped, batch.header().raw_length as usize);
        let read = read_all(&header, &flipped);
        if let Ok(checked) = Batch::from_frame(header, Bytes::from(flipped), NOW) {
            assert_eq!(read.unwrap(), checked.events(), "bit {bit}");
        }
    }
}

#[test]
fn what_is_not_exactly_one_zstd_frame_is_refused_by_name() {
    let batch = batch(100);
    let (stored, raw_length) = (batch.payload().to_vec(), batch.header().raw_length as usize);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9], stored.as_slice()].concat();
    let behind = [stored.as_slice(), &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]].concat();
    let twice = [stored.as_slice(), stored.as_slice()].concat();
    let trailing = [stored.as_slice(), &[0]].concat();
    let streamed = zstd::stream::encode_all(raw_of(&batch).as_slice(), 1).unwrap();
    // A frame of 10 MiB of zeroes that claims to be as long as ours: a bomb.
    let bomb = zstd::bulk::compress(&vec![0; 10 << 20], 1).unwrap();
    for (stored, message) in [
        (skippable, "skippable"),
        (behind, "behind the zstd frame"),
        (twice, "behind the zstd frame"),
        (trailing, "behind the zstd frame"),
        (streamed, "does not say its content's size"),
        (bomb, "holds 10485760 bytes"),
        (b"not zstd at all".to_vec(), "wrong magic"),
    ] {
        let header = header_for(&batch, Codec::Zstd, &stored, raw_length);
        let error = Batch::from_frame(header, Bytes::from(stored), NOW).unwrap_err();
        assert!(error.message().contains(message), "{error:?} should say {message:?}");
    }
    let header = FrameHeader { raw_length: u32::MAX, ..*batch.header() };
    let error = Batch::from_frame(header, batch.payload().clone(), NOW).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Limit, Some("raw_length")));
}

#[test]
fn claims_that_the_payload_does_not_keep_are_refused_by_name() {
    let batch = batch(100);
    let good = *batch.header();
    let refused = |header: FrameHeader, field: &str| {
        let error = Batch::from_frame(header, batch.payload().clone(), NOW).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error:?}");
    };
    Batch::from_frame(good, batch.payload().clone(), NOW).unwrap();
    refused(FrameHeader { events: good.events + 1, ..good }, "events");
    refused(FrameHeader { min_time: Timestamp(good.min_time.0 - 1), ..good }, "min_time");
    refused(FrameHeader { max_time: Timestamp(good.max_time.0 + 1), ..good }, "max_time");
    refused(FrameHeader { raw_length: good.raw_length + 1, ..good }, "raw_length");
    refused(FrameHeader { stored_length: good.stored_length + 1, ..good }, "stored_length");
    refused(FrameHeader { payload_crc: !good.payload_crc, ..good }, "payload_crc");
    refused(FrameHeader { salt: 1, ..good }, "salt");
    refused(FrameHeader { segment_id: 1, ..good }, "segment_id");
    refused(FrameHeader { position: 1, ..good }, "position");
    refused(FrameHeader { durable_position: 1, ..good }, "durable_position");
    refused(FrameHeader { first_sequence: 1, ..good }, "first_sequence");
    refused(FrameHeader { received: NOW, ..good }, "received");
    let early = Timestamp(NOW.0 - 2 * 86_400_000_000_000);
    let error = Batch::from_frame(good, batch.payload().clone(), early).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("time")));
}

/// A payload by hand: rows of each table, then columns as (entry's id bytes, encoding, body).
fn handmade(rows: [u64; 5], mut columns: Vec<(Vec<u8>, u8, Vec<u8>)>) -> (FrameHeader, Bytes) {
    let mut raw = vec![1];
    rows.iter().for_each(|&count| annal::codec::put_varint(&mut raw, count));
    raw.push(0);
    columns.sort();
    annal::codec::put_varint(&mut raw, columns.len() as u64);
    for (id, encoding, body) in &columns {
        raw.extend_from_slice(id);
        raw.extend_from_slice(&[0, *encoding]);
        annal::codec::put_varint(&mut raw, body.len() as u64);
        raw.push(0);
    }
    columns.iter().for_each(|column| raw.extend_from_slice(&column.2));
    let stored = zstd::bulk::compress(&raw, 1).unwrap();
    let header = FrameHeader {
        codec: Codec::Zstd,
        stored_length: stored.len() as u32,
        raw_length: raw.len() as u32,
        payload_crc: annal::codec::crc32(&stored),
        events: rows[2] as u32,
        ..FrameHeader::default()
    };
    (header, Bytes::from(stored))
}

/// The columns that a batch must have, as constants.
fn required() -> Vec<(Vec<u8>, u8, Vec<u8>)> {
    let integer = |field: u8| (vec![2, field, 2], 1, vec![0]);
    let text = |table: u8, field: u8| (vec![table, field, 1], 16, vec![1, 1, b'x']);
    vec![text(0, 1), integer(7), integer(9), integer(11), text(2, 12)]
}

#[test]
fn a_handful_of_bytes_that_expands_to_gigabytes_is_refused_before_it_does() {
    let (header, stored) = handmade([1, 0, 65_536, 0, 0], required());
    let batch = Batch::from_frame(header, stored, NOW).unwrap();
    assert_eq!(batch.events(), 65_536);
    // Constant integers, one long text for all rows, empties.
    let attribute = |i: u16, value_type: u8| {
        [vec![2, 0, value_type, 2], i.to_be_bytes().map(|b| b & 0x7f).to_vec(), vec![0]].concat()
    };
    let long = [&[1, 0x80, 0x80, 0x04][..], &[b'a'; 65_536]].concat();
    for (value_type, encoding, body) in [(2, 1, vec![0]), (1, 16, long), (0, 0, Vec::new())] {
        let mut columns = required();
        for i in 0..if value_type == 1 { 1 } else { 1_000 } {
            columns.push((
                attribute(((i / 100) << 8) | (i % 100), value_type),
                encoding,
                body.clone(),
            ));
        }
        let (header, stored) = handmade([1, 0, 65_536, 0, 0], columns);
        assert!(stored.len() < 20_000);
        let error = Batch::from_frame(header, stored, NOW).unwrap_err();
        assert_eq!(error.field(), Some("expanded_bytes"), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}

#[test]
fn rows_that_do_not_hang_together_are_refused_by_name() {
    let refused = |rows: [u64; 5], more: Vec<(Vec<u8>, u8, Vec<u8>)>, field: &str| {
        let (header, stored) = handmade(rows, [required(), more].concat());
        let error = Batch::from_frame(header, stored, NOW).unwrap_err();
        assert_eq!(error.field(), Some(field), "{error:?}");
    };
    let events = [1, 0, 4, 0, 0];
    refused(events, vec![(vec![2, 17, 2], 1, vec![12])], "kind");
    refused(events, vec![(vec![2, 22, 2], 1, vec![50])], "severity_number");
    refused(events, vec![(vec![2, 25, 2], 1, vec![64])], "marks");
    refused(events, vec![(vec![2, 31, 2], 1, vec![2])], "remote.port");
    refused(events, vec![(vec![2, 8, 2], 1, vec![0])], "scope");
    refused(events, vec![(vec![2, 19, 1], 16, vec![1, 1, 0xff])], "status_message");
    refused(events, vec![(vec![2, 0, 4, 1, b'k', 0], 1, vec![4])], "attributes.k");
    refused(events, vec![(vec![2, 0, 2, 1, b'k', 1], 1, vec![4])], "attributes.k");
    refused(events, vec![(vec![2, 0, 6, 1, b'k', 0], 16, vec![1, 1, 9])], "attributes.k");
    refused(events, vec![(vec![2, 0, 2, 1, b'k', 0], 99, vec![])], "attributes.k");
    refused(events, vec![(vec![1, 4, 1], 16, vec![1, 1, b'x'])], "scope.name");
    let bodies = vec![(vec![2, 24, 2], 1, vec![4]), (vec![2, 24, 4], 1, vec![2])];
    refused(events, bodies, "body");
    let links = [1, 0, 4, 2, 0];
    refused(links, vec![(vec![3, 6, 2], 1, vec![0])], "links.trace_id");
    let span_events = |owner: Vec<u8>| vec![(vec![4, 6, 2], 5, owner), (vec![4, 9, 2], 1, vec![0])];
    refused([1, 0, 4, 0, 2], span_events(vec![2, 1, 0, 1]), "events.owner");
    refused([1, 0, 4, 0, 2], span_events(vec![0, 1, 8, 1]), "events.owner");
    refused(
        [1, 0, 4, 0, 1_025],
        vec![(vec![4, 6, 2], 1, vec![0]), (vec![4, 9, 2], 1, vec![0])],
        "events.owner",
    );
    let (header, stored) = handmade(events, required()[1..].to_vec());
    let error = Batch::from_frame(header, stored, NOW).unwrap_err();
    assert_eq!(error.field(), Some("resource.source"), "{error:?}");
    let (header, stored) = handmade([1, 0, 0, 0, 0], vec![required().remove(0)]);
    assert!(Batch::from_frame(header, stored, NOW).is_err());
}

#[test]
fn more_series_than_allowed_are_refused_by_name() {
    let mut types = Vec::new();
    annal::codec::put_varint(&mut types, 5_000);
    (0..5_000).for_each(|_| types.push(4));
    (0..5_000u16).for_each(|i| types.extend_from_slice(format!("{i:04}").as_bytes()));
    (0..5_000u16).for_each(|i| types.push(i as u8));
    (0..5_000u16).for_each(|i| types.push((i >> 8) as u8));
    let mut columns = required();
    columns.pop();
    columns.push((vec![2, 12, 1], 16, types));
    let (header, stored) = handmade([1, 0, 5_000, 0, 0], columns);
    let error = Batch::from_frame(header, stored, NOW).unwrap_err();
    assert_eq!((error.kind(), error.field()), (ErrorKind::Limit, Some("series")));
}

//! `storage-format.md` is normative: its tables, codes and examples are held against the code here.

#![allow(clippy::unwrap_used, reason = "a test")]

mod document;

#[path = "storage_format/blocks.rs"]
mod blocks;
#[path = "storage_format/codes.rs"]
mod codes;
#[path = "storage_format/lists.rs"]
mod lists;
#[path = "storage_format/payload.rs"]
mod payload;
#[path = "storage_format/sections.rs"]
mod sections;

use annal::Timestamp;
use annal::event::ProducerId;
use annal::format::footer::{self, Section, Trailer, encode_footer};
use annal::format::frame::{Codec, FrameHeader, FrameKind};
use annal::format::segment::{LogEnd, SegmentHeader};
use annal::format::version;
use document::Document;

fn format_document() -> Document {
    Document::read("storage-format.md")
}

const STORE_ID: [u8; 16] = *b"store id 0123456";
const SALT: u64 = 0x5a17_5a17_0123_4567;
/// 2022-08-22T12:00:00Z.
const NOON_NS: i64 = 1_661_169_600_000_000_000;

fn segment_header() -> SegmentHeader {
    SegmentHeader {
        compacted: false,
        store_id: STORE_ID,
        segment_id: 3,
        salt: SALT,
        base_position: 5_242_880,
        base_sequence: 20_000,
        declared_length: 16 << 20,
        previous: LogEnd { segment_id: 2, salt: 0x0b5e_55ed, end_position: 5_242_880 },
    }
}

fn frame_header() -> FrameHeader {
    FrameHeader {
        kind: FrameKind::Batch,
        codec: Codec::Zstd,
        flags: 0,
        salt: SALT,
        segment_id: 3,
        position: 5_246_976,
        durable_position: 5_242_880,
        stored_length: 1_000,
        raw_length: 4_000,
        first_sequence: 20_000,
        received: Timestamp(NOON_NS + 5),
        min_time: Timestamp(NOON_NS - 1_000),
        max_time: Timestamp(NOON_NS),
        events: 77,
        epoch: 1,
        producer_id: ProducerId(*b"producer id 0123"),
        batch_number: 12,
        payload_crc: 0xfeed_beef,
    }
}

fn sections() -> Vec<Section> {
    let section = |kind, offset, stored_length| Section {
        kind,
        required: true,
        codec: Codec::Zstd,
        offset,
        stored_length,
        raw_length: 2 * stored_length,
        crc: 0xc0de,
    };
    vec![section(footer::SECTION_SUMMARY, 5_232, 96), section(footer::SECTION_DIRECTORY, 5_328, 64)]
}

fn trailer() -> Trailer {
    Trailer {
        segment_id: 3,
        salt: SALT,
        file_length: 5_392 + 64 + 64,
        footer_offset: 5_392,
        footer_length: 64,
        footer_crc: annal::codec::crc32(&encode_footer(&sections())),
    }
}

/// The crc of everything before the last four bytes.
fn closing_crc(bytes: &[u8]) -> [u8; 4] {
    annal::codec::crc32(&bytes[..bytes.len() - 4]).to_le_bytes()
}

#[test]
fn the_segment_header_is_what_its_table_says() {
    let h = segment_header();
    let bytes = h.encode();
    assert_eq!(SegmentHeader::decode(&bytes).unwrap(), h);
    format_document().check_fields(
        "Segment header",
        &bytes,
        &[
            ("magic", b"ANLlog\r\n"),
            ("version", &version::FORMAT_VERSION.to_le_bytes()),
            ("store_id", &h.store_id),
            ("segment_id", &h.segment_id.to_le_bytes()),
            ("salt", &h.salt.to_le_bytes()),
            ("base_position", &h.base_position.to_le_bytes()),
            ("base_sequence", &h.base_sequence.to_le_bytes()),
            ("declared_length", &h.declared_length.to_le_bytes()),
            ("previous_segment_id", &h.previous.segment_id.to_le_bytes()),
            ("previous_salt", &h.previous.salt.to_le_bytes()),
            ("previous_end_position", &h.previous.end_position.to_le_bytes()),
            ("crc", &closing_crc(&bytes)),
        ],
    );
    format_document().check_example("segment-header", &["Segment header"], &bytes);
}

#[test]
fn the_frame_header_is_what_its_table_says() {
    let h = frame_header();
    let bytes = h.encode();
    assert_eq!(FrameHeader::decode(&bytes).unwrap(), h);
    format_document().check_fields(
        "Frame header",
        &bytes,
        &[
            ("magic", b"ANLf"),
            ("version", &version::FORMAT_VERSION.to_le_bytes()),
            ("kind", &[h.kind as u8]),
            ("codec", &[h.codec as u8]),
            ("header_length", &128u16.to_le_bytes()),
            ("flags", &h.flags.to_le_bytes()),
            ("salt", &h.salt.to_le_bytes()),
            ("segment_id", &h.segment_id.to_le_bytes()),
            ("position", &h.position.to_le_bytes()),
            ("durable_position", &h.durable_position.to_le_bytes()),
            ("stored_length", &h.stored_length.to_le_bytes()),
            ("raw_length", &h.raw_length.to_le_bytes()),
            ("first_sequence", &h.first_sequence.to_le_bytes()),
            ("received", &h.received.0.to_le_bytes()),
            ("min_time", &h.min_time.0.to_le_bytes()),
            ("max_time", &h.max_time.0.to_le_bytes()),
            ("events", &h.events.to_le_bytes()),
            ("epoch", &h.epoch.to_le_bytes()),
            ("producer_id", &h.producer_id.0),
            ("batch_number", &h.batch_number.to_le_bytes()),
            ("payload_crc", &h.payload_crc.to_le_bytes()),
            ("crc", &closing_crc(&bytes)),
        ],
    );
    format_document().check_example("frame-header", &["Frame header"], &bytes);
}

#[test]
fn the_footer_and_the_trailer_are_what_their_tables_say() {
    let (document, list) = (format_document(), sections());
    let bytes = encode_footer(&list);
    let (first, second) = bytes.split_at(footer::SECTION_BYTES);
    for (entry, s) in [(first, &list[0]), (second, &list[1])] {
        let values: &[(&str, &[u8])] = &[
            ("kind", &s.kind.to_le_bytes()),
            ("required", &[1]),
            ("codec", &[s.codec as u8]),
            ("crc", &s.crc.to_le_bytes()),
            ("offset", &s.offset.to_le_bytes()),
            ("stored_length", &s.stored_length.to_le_bytes()),
            ("raw_length", &s.raw_length.to_le_bytes()),
        ];
        document.check_fields("Footer entry", entry, values);
    }
    let t = trailer();
    let bytes = t.encode();
    assert_eq!(Trailer::decode(&bytes).unwrap(), t);
    document.check_fields(
        "Trailer",
        &bytes,
        &[
            ("magic", b"ANLtail\n"),
            ("version", &version::FORMAT_VERSION.to_le_bytes()),
            ("footer_length", &t.footer_length.to_le_bytes()),
            ("segment_id", &t.segment_id.to_le_bytes()),
            ("salt", &t.salt.to_le_bytes()),
            ("file_length", &t.file_length.to_le_bytes()),
            ("footer_offset", &t.footer_offset.to_le_bytes()),
            ("footer_crc", &t.footer_crc.to_le_bytes()),
            ("crc", &closing_crc(&bytes)),
        ],
    );
    document.check_example("footer-entry", &["Footer entry"], first);
    document.check_example("trailer", &["Trailer"], &bytes);
}

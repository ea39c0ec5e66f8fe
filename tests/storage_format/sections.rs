//! What the sections of a sealed log segment hold.

use annal::Timestamp;
use annal::codec::Cursor;
use annal::column::Series;
use annal::event::{ProducerId, TraceId};
use annal::format::footer;
use annal::format::segment::SEGMENT_HEADER_BYTES;
use annal::index::links::LinksBuilder;
use annal::index::{TraceFilter, trace_hash};
use annal::segment::directory_codec::{decode_directory, encode_directory};
use annal::segment::time_index::{TIME_RECORD_BYTES, encode_time_index};
use annal::segment::{Directory, FrameEntry, SUMMARY_BYTES, SegmentSummary};

use crate::document::{Document, annotate};
use crate::{NOON_NS, format_document};

fn summary() -> SegmentSummary {
    SegmentSummary {
        base_position: 5_242_880,
        end_position: 5_242_880 + SEGMENT_HEADER_BYTES as u64 + 1_128 + 136,
        first_sequence: 20_000,
        next_sequence: 20_080,
        events: 80,
        frames: 2,
        min_time: Timestamp(NOON_NS - 1_000),
        max_time: Timestamp(NOON_NS + 9),
        received_last: Timestamp(NOON_NS + 60),
    }
}

fn directory() -> Directory {
    let series = |event_type: &str| Series { source: "cart".into(), event_type: event_type.into() };
    let first = FrameEntry {
        index: 0,
        position: 5_242_880 + SEGMENT_HEADER_BYTES as u64,
        stored_length: 1_000,
        first_sequence: 20_000,
        events: 77,
        received: Timestamp(NOON_NS + 5),
        min_time: Timestamp(NOON_NS - 1_000),
        max_time: Timestamp(NOON_NS),
        producer_id: ProducerId(*b"producer id 0123"),
        epoch: 1,
        batch_number: 12,
        series: [0, 1].into(),
        traces: TraceFilter::of(&[trace_hash(&TraceId([7; 16]))]),
    };
    let second = FrameEntry {
        index: 1,
        position: first.position + 1_128,
        stored_length: 7,
        first_sequence: 20_077,
        events: 3,
        received: Timestamp(NOON_NS + 60),
        min_time: Timestamp(NOON_NS - 10),
        max_time: Timestamp(NOON_NS + 9),
        batch_number: 13,
        series: [1].into(),
        traces: TraceFilter::default(),
        ..first.clone()
    };
    Directory {
        series: [series("AddItem"), series("GetCart")].into_iter().collect(),
        frames: [first, second].into_iter().collect(),
        ..Directory::default()
    }
}

#[test]
fn the_summary_is_what_its_table_says() {
    let s = summary();
    let bytes = s.encode();
    assert_eq!(bytes.len(), SUMMARY_BYTES);
    format_document().check_fields(
        "Summary section",
        &bytes,
        &[
            ("base_position", &s.base_position.to_le_bytes()),
            ("end_position", &s.end_position.to_le_bytes()),
            ("first_sequence", &s.first_sequence.to_le_bytes()),
            ("next_sequence", &s.next_sequence.to_le_bytes()),
            ("events", &s.events.to_le_bytes()),
            ("frames", &s.frames.to_le_bytes()),
            ("min_time", &s.min_time.0.to_le_bytes()),
            ("max_time", &s.max_time.0.to_le_bytes()),
            ("received_last", &s.received_last.0.to_le_bytes()),
        ],
    );
}

#[test]
fn the_time_index_is_what_its_table_says() {
    let directory = directory();
    let bytes = encode_time_index(&directory);
    assert_eq!(bytes.len(), 2 * TIME_RECORD_BYTES);
    let document = format_document();
    let mut reach = i64::MIN;
    for (record, frame) in bytes.chunks_exact(TIME_RECORD_BYTES).zip(directory.frames.iter()) {
        reach = reach.max(frame.max_time.0);
        let values: &[(&str, &[u8])] = &[
            ("min_time", &frame.min_time.0.to_le_bytes()),
            ("max_time", &frame.max_time.0.to_le_bytes()),
            ("reach", &reach.to_le_bytes()),
            ("frame", &frame.index.to_le_bytes()),
        ];
        document.check_fields("Time index record", record, values);
    }
    document.check_example("time-index", &["Time index record", "Time index record"], &bytes);
}

/// Walks a directory's bytes as the document describes them and notes each item's place.
struct Walk<'a> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
    notes: String,
}

impl Walk<'_> {
    fn varint(&mut self, name: &str) -> u64 {
        let at = self.cursor.offset();
        let value = self.cursor.varint().unwrap();
        let note = format!("{name} = {value}");
        annotate(&mut self.notes, at, &self.bytes[at..self.cursor.offset()], &note, "bytes");
        value
    }

    fn u32(&mut self, name: &str) -> u32 {
        let at = self.cursor.offset();
        let value = self.cursor.u32().unwrap();
        let note = format!("{name} = {value}");
        annotate(&mut self.notes, at, &self.bytes[at..self.cursor.offset()], &note, "bytes");
        value
    }

    fn take(&mut self, length: u64, name: &str) {
        let at = self.cursor.offset();
        let taken = self.cursor.take(length as usize).unwrap();
        annotate(&mut self.notes, at, taken, name, "bytes");
    }

    fn frame(&mut self, items: &[Vec<String>]) {
        for item in items {
            match (item[0].as_str(), item[1].as_str()) {
                ("series", "varints") => {
                    for _ in 0..self.varint("series") {
                        self.varint("series step");
                    }
                }
                ("traces", "varint, bytes") => {
                    let words = self.varint("trace words");
                    if words > 0 {
                        self.take(8 * words, "trace filter");
                    }
                }
                (name, "varint" | "zigzag varint") => drop(self.varint(name)),
                (name, form) => panic!("{name}: unknown form {form}"),
            }
        }
    }
}

#[test]
fn the_directory_is_what_the_text_says() {
    let (document, directory) = (format_document(), directory());
    let bytes = encode_directory(&directory, &summary());
    assert_eq!(decode_directory(&bytes, &summary()).unwrap(), directory);
    let mut walk = Walk { bytes: &bytes, cursor: Cursor::new(&bytes), notes: String::new() };
    for _ in 0..walk.varint("series") {
        for what in ["source", "type"] {
            let length = walk.varint("length");
            walk.take(length, what);
        }
    }
    for _ in 0..walk.varint("producers") {
        walk.take(16, "producer_id");
        walk.varint("epoch");
    }
    let items = document.table_of("directory item");
    for _ in 0..walk.varint("frames") {
        walk.frame(&items);
    }
    walk.cursor.finish().unwrap();
    check_block(&document, "directory", &walk.notes);
}

#[test]
fn the_links_are_what_the_text_says() {
    let document = format_document();
    let mut builder = LinksBuilder::default();
    builder.push(&[trace_hash(&TraceId([7; 16]))]);
    builder.push(&[]);
    let bytes = builder.encode().unwrap();
    let mut walk = Walk { bytes: &bytes, cursor: Cursor::new(&bytes), notes: String::new() };
    let ends: Vec<u32> = (0..walk.varint("blocks")).map(|_| walk.u32("end")).collect();
    assert_eq!(ends, [8, 8]);
    walk.take(8, "filter");
    walk.cursor.finish().unwrap();
    check_block(&document, "links", &walk.notes);
}

fn check_block(document: &Document, name: &str, expected: &str) {
    assert!(
        document.hex_block(name).trim_end() == expected.trim_end(),
        "the example {name} should read\n```hex {name}\n{expected}```\n"
    );
}

#[test]
fn the_codes_of_sections_are_for_ever() {
    let of_code = [
        ("SUMMARY", footer::SECTION_SUMMARY),
        ("DIRECTORY", footer::SECTION_DIRECTORY),
        ("TIME_INDEX", footer::SECTION_TIME_INDEX),
        ("SERIES", footer::SECTION_SERIES),
        ("MINUTES", footer::SECTION_MINUTES),
        ("ATTRIBUTES", footer::SECTION_ATTRIBUTES),
        ("LINKS", footer::SECTION_LINKS),
    ];
    let rows = format_document().table_of("section kind");
    let found: Vec<_> = rows.iter().map(|r| (r[0].as_str(), r[1].parse().unwrap())).collect();
    assert_eq!(found, of_code);
    assert_eq!(of_code.map(|(_, code)| code), [1, 2, 3, 4, 5, 6, 7]);
}

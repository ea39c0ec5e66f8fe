//! Codes, constants and names.

use std::collections::BTreeMap;

use annal::format::frame::{Codec, FrameKind};
use annal::format::{footer, frame, manifest, producers, segment, version};
use annal::limits;

use crate::format_document;

/// Name and value of each row of the tables with this head.
fn numbers_of(head: &str) -> Vec<(String, u64)> {
    let rows = format_document().table_of(head);
    rows.into_iter().map(|r| (r[0].clone(), r[1].parse().unwrap())).collect()
}

fn pinned(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[test]
fn the_constants_are_those_of_the_code() {
    let mut known: BTreeMap<&str, u64> =
        limits::ALL.iter().map(|(name, value, _)| (*name, *value)).collect();
    known.extend([
        ("FORMAT_VERSION", u64::from(version::FORMAT_VERSION)),
        ("FORMAT_VERSION_OLDEST", u64::from(version::FORMAT_VERSION_OLDEST)),
        ("SEGMENT_HEADER_BYTES", segment::SEGMENT_HEADER_BYTES as u64),
        ("FRAME_HEADER_BYTES", frame::FRAME_HEADER_BYTES as u64),
        ("FRAME_ALIGN", frame::FRAME_ALIGN),
        ("TRAILER_BYTES", footer::TRAILER_BYTES as u64),
        ("SECTION_BYTES", footer::SECTION_BYTES as u64),
        ("SECTIONS_MAX", footer::SECTIONS_MAX as u64),
        ("SECTION_BYTES_MAX", footer::SECTION_BYTES_MAX as u64),
    ]);
    for (name, value) in numbers_of("constant") {
        assert_eq!(known.get(name.as_str()), Some(&value), "{name}");
    }
}

/// The codes on disk, pinned here a second time: they never change and are never given again.
#[test]
fn the_codes_of_frames_sections_and_records_are_for_ever() {
    let kinds =
        [FrameKind::Batch, FrameKind::Watermark, FrameKind::Seal, FrameKind::Pad, FrameKind::Block];
    let of_code: Vec<_> = kinds.iter().map(|k| (format!("{k:?}"), *k as u64)).collect();
    assert_eq!(numbers_of("frame kind"), of_code);
    assert_eq!(
        of_code,
        pinned(&[("Batch", 1), ("Watermark", 2), ("Seal", 3), ("Pad", 4), ("Block", 5)])
    );

    let of_code: Vec<_> =
        [Codec::None, Codec::Zstd].iter().map(|c| (format!("{c:?}"), *c as u64)).collect();
    assert_eq!(numbers_of("codec"), of_code);
    assert_eq!(of_code, pinned(&[("None", 0), ("Zstd", 1)]));

    let of_code = [
        ("LOG_END", manifest::RECORD_LOG_END),
        ("SEGMENT", manifest::RECORD_SEGMENT),
        ("PRODUCERS", manifest::RECORD_PRODUCERS),
        ("TOMBSTONE", manifest::RECORD_TOMBSTONE),
        ("TENANT", manifest::RECORD_TENANT),
    ];
    let of_code: Vec<_> = of_code.iter().map(|(n, k)| ((*n).to_owned(), u64::from(*k))).collect();
    assert_eq!(numbers_of("record kind"), of_code);
    assert_eq!(
        of_code,
        pinned(&[
            ("LOG_END", 1),
            ("SEGMENT", 2),
            ("PRODUCERS", 3),
            ("TOMBSTONE", 4),
            ("TENANT", 5)
        ])
    );
}

#[test]
fn file_names_are_those_of_the_table() {
    let rows = format_document().table_of("name");
    let example = |name: &str| rows.iter().find(|r| r[0] == name).unwrap()[1].as_str();
    assert_eq!(segment::log_file_name(3), example("log file"));
    assert_eq!(segment::parse_log_file_name(example("log file")), Some(3));
    assert_eq!(segment::compacted_file_name(3, 10, 1), example("compacted file"));
    assert_eq!(segment::parse_compacted_file_name(example("compacted file")), Some((3, 10, 1)));
    assert_eq!(manifest::manifest_file_name(10), example("manifest file"));
    assert_eq!(manifest::parse_manifest_file_name(example("manifest file")), Some(10));
    assert_eq!(producers::producers_file_name(7), example("producers file"));
    assert_eq!(producers::parse_producers_file_name(example("producers file")), Some(7));
}

#[test]
fn the_document_stays_within_its_length() {
    let lines = format_document().text.lines().count();
    assert!(lines <= 900, "{lines} lines");
}

//! The files that list things: the manifest and the producer checkpoint.

use annal::Timestamp;
use annal::event::ProducerId;
use annal::format::manifest::{self, Manifest, ProducersRecord, SegmentRecord};
use annal::format::producers::{ProducerRecord, decode_producers, encode_producers};
use annal::format::segment::LogEnd;
use annal::format::version;

use crate::document::Document;
use crate::{NOON_NS, STORE_ID, closing_crc, format_document};

fn sample_manifest() -> Manifest {
    Manifest {
        store_id: STORE_ID,
        number: 10,
        log_end: LogEnd { segment_id: 2, salt: 0x0b5e_55ed, end_position: 5_242_880 },
        next_sequence: 20_000,
        segments: vec![SegmentRecord {
            segment_id: 2,
            last_segment_id: 2,
            level: 0,
            salt: 0x0b5e_55ed,
            file_length: 4_199_999,
            digest: *b"XXH3-128 of file",
            base_position: 1_048_576,
            end_position: 5_242_880,
            first_sequence: 4_000,
            next_sequence: 19_999,
            events: 15_998,
            min_time: Timestamp(NOON_NS - 7),
            max_time: Timestamp(NOON_NS - 6),
        }],
        producers: Some(ProducersRecord {
            number: 7,
            file_length: 100,
            digest: *b"XXH3-128 of prod",
            covers_position: 5_242_879,
        }),
        unknown: Vec::new(),
    }
}

/// Encoded bytes, checked against one field table after another.
struct Parts<'a> {
    document: &'a Document,
    rest: &'a [u8],
}

impl Parts<'_> {
    fn next(&mut self, heading: &str, values: &[(&str, &[u8])]) {
        let size = self.document.fields(heading).last().map_or(0, |f| f.offset + f.size);
        let (part, rest) = self.rest.split_at(size);
        self.document.check_fields(heading, part, values);
        self.rest = rest;
    }

    fn record_head(&mut self, kind: u16, length: u32) {
        let values: &[(&str, &[u8])] =
            &[("kind", &kind.to_le_bytes()), ("required", &[1]), ("length", &length.to_le_bytes())];
        self.next("Record head", values);
    }
}

#[test]
fn the_manifest_is_what_its_tables_say() {
    let (document, m) = (format_document(), sample_manifest());
    let bytes = m.encode();
    assert_eq!(Manifest::decode(&bytes).unwrap(), m);
    let mut parts = Parts { document: &document, rest: &bytes };
    parts.next(
        "Manifest head",
        &[
            ("magic", b"ANLmani\n"),
            ("version", &version::FORMAT_VERSION.to_le_bytes()),
            ("store_id", &m.store_id),
            ("number", &m.number.to_le_bytes()),
        ],
    );
    parts.record_head(manifest::RECORD_LOG_END, 32);
    parts.next(
        "Log end record",
        &[
            ("segment_id", &m.log_end.segment_id.to_le_bytes()),
            ("salt", &m.log_end.salt.to_le_bytes()),
            ("end_position", &m.log_end.end_position.to_le_bytes()),
            ("next_sequence", &m.next_sequence.to_le_bytes()),
        ],
    );
    let s = &m.segments[0];
    parts.record_head(manifest::RECORD_SEGMENT, 112);
    parts.next(
        "Segment record",
        &[
            ("segment_id", &s.segment_id.to_le_bytes()),
            ("last_segment_id", &s.last_segment_id.to_le_bytes()),
            ("level", &[s.level]),
            ("salt", &s.salt.to_le_bytes()),
            ("file_length", &s.file_length.to_le_bytes()),
            ("digest", &s.digest),
            ("base_position", &s.base_position.to_le_bytes()),
            ("end_position", &s.end_position.to_le_bytes()),
            ("first_sequence", &s.first_sequence.to_le_bytes()),
            ("next_sequence", &s.next_sequence.to_le_bytes()),
            ("events", &s.events.to_le_bytes()),
            ("min_time", &s.min_time.0.to_le_bytes()),
            ("max_time", &s.max_time.0.to_le_bytes()),
        ],
    );
    let p = m.producers.as_ref().unwrap();
    parts.record_head(manifest::RECORD_PRODUCERS, 40);
    parts.next(
        "Producers record",
        &[
            ("number", &p.number.to_le_bytes()),
            ("file_length", &p.file_length.to_le_bytes()),
            ("digest", &p.digest),
            ("covers_position", &p.covers_position.to_le_bytes()),
        ],
    );
    assert_eq!(parts.rest, closing_crc(&bytes));
    let layout = [
        "Manifest head",
        "Record head",
        "Log end record",
        "Record head",
        "Segment record",
        "Record head",
        "Producers record",
    ];
    document.check_example("manifest", &layout, &bytes);
}

#[test]
fn the_producer_checkpoint_is_what_its_tables_say() {
    let record = ProducerRecord {
        id: ProducerId(*b"producer id 0123"),
        epoch: 1,
        last_seen: Timestamp(NOON_NS),
        next_number: 12,
        recent: vec![(10, 19_800), (11, 19_900)],
    };
    let document = format_document();
    let bytes = encode_producers(STORE_ID, 5_242_879, std::slice::from_ref(&record));
    assert_eq!(decode_producers(&bytes).unwrap().2, std::slice::from_ref(&record));
    let mut parts = Parts { document: &document, rest: &bytes };
    parts.next(
        "Producers head",
        &[
            ("magic", b"ANLprod\n"),
            ("version", &version::FORMAT_VERSION.to_le_bytes()),
            ("producers", &1u32.to_le_bytes()),
            ("store_id", &STORE_ID),
            ("covers_position", &5_242_879u64.to_le_bytes()),
        ],
    );
    parts.next(
        "Producer record",
        &[
            ("producer_id", &record.id.0),
            ("epoch", &record.epoch.to_le_bytes()),
            ("pairs", &2u32.to_le_bytes()),
            ("last_seen", &record.last_seen.0.to_le_bytes()),
            ("next_number", &record.next_number.to_le_bytes()),
        ],
    );
    for (number, sequence) in &record.recent {
        let values: &[(&str, &[u8])] =
            &[("batch_number", &number.to_le_bytes()), ("first_sequence", &sequence.to_le_bytes())];
        parts.next("Producer pair", values);
    }
    assert_eq!(parts.rest, closing_crc(&bytes));
    let layout = ["Producers head", "Producer record", "Producer pair", "Producer pair"];
    document.check_example("producers", &layout, &bytes);
}

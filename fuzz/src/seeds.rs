//! Writes the seeds of every target from the real encoders: `cargo run --bin seeds` in `fuzz/`.

use std::path::Path;

use annal::Timestamp;
use annal::event::ProducerId;
use annal::format::footer::{SECTION_DIRECTORY, SECTION_SUMMARY, Section, Trailer, encode_footer};
use annal::format::frame::{Codec, FrameHeader, FrameKind};
use annal::format::manifest::{Manifest, ProducersRecord, SegmentRecord, UnknownRecord};
use annal::format::producers::{ProducerRecord, encode_producers};
use annal::format::segment::{LogEnd, SegmentHeader};
use annal::net::message::Message;
use bytes::Bytes;

fn main() {
    frames();
    footers();
    manifests();
    producer_checkpoints();
    sessions();
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    std::fs::create_dir_all(&folder).expect("the folder of the seeds");
    std::fs::write(folder.join(name), bytes).expect("a seed");
}

fn frames() {
    let batch = FrameHeader {
        codec: Codec::Zstd,
        salt: 1,
        segment_id: 1,
        position: 4_096,
        durable_position: 4_096,
        stored_length: 100,
        raw_length: 400,
        first_sequence: 7,
        received: Timestamp(1_661_169_600_000_000_000),
        min_time: Timestamp(-1),
        max_time: Timestamp(i64::MAX),
        events: 3,
        epoch: 1,
        producer_id: ProducerId([7; 16]),
        batch_number: 9,
        payload_crc: 5,
        ..FrameHeader::default()
    };
    write("frame", "batch", &batch.encode());
    let watermark = FrameHeader { kind: FrameKind::Watermark, ..FrameHeader::default() };
    write("frame", "watermark", &watermark.encode());
    let segment = SegmentHeader {
        store_id: [1; 16],
        segment_id: 1,
        salt: 2,
        base_position: 0,
        base_sequence: 1,
        declared_length: 1 << 20,
        previous: LogEnd::default(),
    };
    write("frame", "segment", &segment.encode());
}

fn footers() {
    let section = |kind, offset| Section {
        kind,
        required: kind == SECTION_SUMMARY,
        codec: Codec::Zstd,
        offset,
        stored_length: 50,
        raw_length: 90,
        crc: 3,
    };
    let footer =
        encode_footer(&[section(SECTION_SUMMARY, 5_000), section(SECTION_DIRECTORY, 5_050)]);
    let trailer = Trailer {
        segment_id: 1,
        salt: 2,
        file_length: 6_000 + footer.len() as u64 + 64,
        footer_offset: 6_000,
        footer_length: footer.len() as u32,
        footer_crc: annal::codec::crc32(&footer),
    };
    write("footer", "two", &[trailer.encode().as_slice(), &footer].concat());
}

fn manifests() {
    let empty = Manifest { number: 1, ..Manifest::default() };
    write("manifest", "empty", &empty.encode());
    let segment = SegmentRecord {
        segment_id: 1,
        level: 0,
        salt: 2,
        file_length: 6_000,
        digest: [3; 16],
        base_position: 0,
        end_position: 5_000,
        first_sequence: 1,
        next_sequence: 9,
        events: 8,
        min_time: Timestamp(4),
        max_time: Timestamp(5),
    };
    let log_end = LogEnd { segment_id: 2, salt: 3, end_position: 9_000 };
    let full = Manifest {
        store_id: [1; 16],
        number: 9,
        log_end,
        next_sequence: 17,
        segments: vec![segment, SegmentRecord { segment_id: 2, ..segment }],
        producers: Some(ProducersRecord {
            number: 1,
            file_length: 100,
            digest: [5; 16],
            covers_position: 9_000,
        }),
        unknown: vec![UnknownRecord { kind: 77, bytes: b"later".to_vec() }],
    };
    write("manifest", "full", &full.encode());
}

fn producer_checkpoints() {
    let record = |id: u8, pairs: u64| ProducerRecord {
        id: ProducerId([id; 16]),
        epoch: 1,
        last_seen: Timestamp(2),
        next_number: pairs,
        recent: (0..pairs).map(|n| (n, 10 * n)).collect(),
    };
    write("producers", "none", &encode_producers([1; 16], 0, &[]));
    write("producers", "two", &encode_producers([1; 16], 9, &[record(1, 0), record(2, 64)]));
}

fn sessions() {
    let mut pings = Vec::new();
    Message::Ping(Bytes::from_static(b"hello")).encode(1, &mut pings);
    Message::Credits(1 << 20).encode(0, &mut pings);
    Message::Cancel.encode(2, &mut pings);
    Message::Ack(17).encode(3, &mut pings);
    write("session", "small", &pings);
    let mut append = Vec::new();
    let header = FrameHeader { stored_length: 5, raw_length: 5, ..FrameHeader::default() };
    let frame = [header.encode().as_slice(), b"bytes"].concat();
    Message::Append(Bytes::from(frame)).encode(4, &mut append);
    write("session", "append", &append);
}

//! Writes the seeds of every target from the real encoders: `cargo run --example seeds` in `fuzz/`.

use std::path::Path;

use annal::column::{Encoded, Ids, Texts};
use annal::event::{
    Attribute, DoubleBits, Endpoint, Link, ProducerId, Scope, Signal, SpanEvent, SpanId, TraceId,
    Value,
};
use annal::format::footer::{SECTION_DIRECTORY, SECTION_SUMMARY, Section, Trailer, encode_footer};
use annal::format::frame::{Codec, FrameHeader, FrameKind};
use annal::format::manifest::{Manifest, ProducersRecord, SegmentRecord, UnknownRecord};
use annal::format::producers::{ProducerRecord, encode_producers};
use annal::format::segment::{LogEnd, SegmentHeader};
use annal::net::message::Message;
use annal::{BatchBuilder, Event, Timestamp};
use annal_fuzz::NOON;
use bytes::Bytes;

fn main() {
    frames();
    footers();
    manifests();
    producer_checkpoints();
    sessions();
    payloads();
    texts();
    otlp();
    write("blocks", "stored", &annal_fuzz::pack_blocks(false));
    write("blocks", "compressed", &annal_fuzz::pack_blocks(true));
    encodings();
    write("sealed", "stored", &annal_fuzz::pack_sealed(false, false));
    write("sealed", "compressed", &annal_fuzz::pack_sealed(true, false));
    write("sealed", "compacted", &annal_fuzz::pack_sealed(false, true));
    for (name, section) in annal_fuzz::pack_sections() {
        write("sections", name, &section);
    }
    write("segment", "killed", &annal_fuzz::pack_segment(&annal_fuzz::sample_store()));
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
        compacted: false,
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
        last_segment_id: 1,
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
        segments: vec![segment, SegmentRecord { segment_id: 2, last_segment_id: 2, ..segment }],
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

fn payloads() {
    let body = Value::Nested(message(6, &message(1, &text(1, "k"))));
    let event = Event {
        time: NOON,
        signal: Signal::Log,
        source: "cart".into(),
        event_type: "log".into(),
        trace_id: Some(TraceId([1; 16])),
        span_id: Some(SpanId([2; 8])),
        parent_span_id: Some(SpanId([3; 8])),
        duration: Some(-1),
        body: Some(body),
        remote: Some(Endpoint { service: "db".into(), port: 5432, ..Endpoint::default() }),
        attributes: vec![
            Attribute::new("a", Value::Int(7)),
            Attribute::new("a", Value::String("seven".into())),
            Attribute::new("b", Value::Double(DoubleBits::from(7.5))),
            Attribute::new("c", Value::Bool(true)),
            Attribute::new("d", Value::Empty),
        ],
        links: vec![Link {
            trace_id: TraceId([4; 16]),
            span_id: Some(SpanId([5; 8])),
            trace_state: "a=b".into(),
            attributes: Vec::new(),
            dropped_attributes: 1,
            flags: 1,
        }],
        events: vec![SpanEvent {
            time: NOON,
            name: "exception".into(),
            attributes: vec![Attribute::new("m", Value::Bytes(vec![1, 2]))],
            dropped_attributes: 0,
        }],
        scope: Some(Scope { name: "lib".into(), ..Scope::default() }.into()),
        ..Event::default()
    };
    for (name, count) in [("one", 1), ("many", 40)] {
        let mut builder = BatchBuilder::new();
        for i in 0..count {
            let time = Timestamp(NOON.0 - i * i);
            builder.push(&Event { time, duration: Some(i), ..event.clone() }).expect("an event");
        }
        let batch = builder.finish().expect("a batch");
        let raw = match batch.header().codec {
            Codec::None => batch.payload().to_vec(),
            Codec::Zstd => {
                let length = batch.header().raw_length;
                let stored = [&length.to_le_bytes(), batch.payload().as_ref()].concat();
                write("payload", &format!("{name}-stored"), &stored);
                zstd::bulk::decompress(batch.payload(), length as usize).expect("a payload")
            }
        };
        write("payload", name, &raw);
    }
}

fn encodings() {
    let put = |name: &str, encoded: &Encoded, count: usize| {
        write("encodings", name, &annal_fuzz::pack_encoded(encoded, count as u16));
    };
    let noise = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let wide = |i: u64| (noise(i) >> (20 + noise(i + 99) % 40)) as i64;
    let columns: [(&str, Vec<i64>); 7] = [
        ("constant", vec![-7; 300]),
        ("packed", (0..300).map(|i| (noise(i) >> 50) as i64).collect()),
        ("delta", (0..300).map(|i| 1_000_003 * i).collect()),
        ("dictionary", (0..300).map(|i| (noise(i) % 5) as i64 * 1_000).collect()),
        ("runs", (0..300).map(|i| i / 100).collect()),
        ("widths", (0..300).map(wide).collect()),
        (
            "delta-widths",
            (0..300)
                .scan(NOON.0, |t, i| {
                    Some({
                        *t += wide(i);
                        *t
                    })
                })
                .collect(),
        ),
    ];
    for (name, values) in &columns {
        put(name, &Encoded::integers(values), values.len());
    }
    let words = ["cart", "", "checkout", "shipping"];
    let ends = [0, 4, 4, 12, 20];
    let mut texts =
        Texts { bytes: words.concat().into(), offsets: ends.into(), codes: vec![0, 1, 2, 3] };
    put("text-plain", &Encoded::texts(&texts), 4);
    texts.codes.extend((0..296).map(|i| (noise(i) % 4) as u32));
    put("text-dictionary", &Encoded::texts(&texts), 300);
    let statements = (0..300).map(|i| format!("get {:04} of shop {}", i * 7, noise(i) % 100_000));
    let mut texts = Texts { bytes: Vec::new(), offsets: vec![0], codes: (0..300).collect() };
    for statement in statements {
        texts.bytes.extend_from_slice(statement.as_bytes());
        texts.offsets.push(texts.bytes.len() as u32);
    }
    put("text-templates", &Encoded::texts_in_block(&texts), 300);
    let spans = annal_fuzz::spans(300);
    let mut ids = Ids { values: spans[..9].to_vec(), codes: (0..9).collect() };
    put("id-plain", &Encoded::ids(&ids), 9);
    ids.codes.extend((0..291).map(|i| (noise(i) % 9) as u32));
    put("id-dictionary", &Encoded::ids(&ids), 300);
    let parents: Vec<[u8; 8]> =
        (0..300).map(|row| if row % 10 == 0 { [9; 8] } else { spans[row - row % 10] }).collect();
    put("id-reference", &Encoded::parents(&parents, &spans), 300);
    for (name, step) in [("presence-gaps", 50), ("presence-bitmap", 3)] {
        let rows: Vec<u16> = (0..300).step_by(step).collect();
        let body = annal::column::encode_presence(&rows, 300);
        put(name, &Encoded { encoding: u8::MAX, body, tail: Vec::new() }, 300);
    }
    let (types, rows) = annal_fuzz::types(300);
    // In order of first appearance; the length of the tail is the number of codes.
    let codes: Vec<u16> = rows.iter().map(|row| u16::from(types[usize::from(*row)] > 4)).collect();
    let first = codes.first().copied().unwrap_or(0);
    let codes: Vec<u16> = codes.iter().map(|code| code ^ first).collect();
    let body = annal::column::encode_by_type((&codes, 2), &rows, (&types, 10));
    let body = body.expect("codes that follow from types");
    put("by-type", &Encoded { encoding: u8::MAX, body, tail: vec![0; 2] }, 300);
}

fn texts() {
    let expressions = [
        r#"resource.service.name = "cart" && duration > 100ms"#,
        r#"span.http.response.status_code >= 500 || status = error"#,
        r#"span.user.id =~ ".*u-1.*" && !(kind = server)"#,
        r#"attributes.user.id != nil"#,
    ];
    for (i, expression) in expressions.iter().enumerate() {
        write("query", &format!("expression-{i}"), expression.as_bytes());
    }
    let line = br#"{"time":1661169600000000000,"signal":"span","source":"cart","type":"AddItem",
        "kind":"server","status":"error","trace_id":"0102030405060708090a0b0c0d0e0f10",
        "span_id":"0102030405060708","duration":-12,"links":[{"trace_id":
        "0102030405060708090a0b0c0d0e0f10","span_id":"0102030405060708","attributes":{}}],
        "events":[{"time":0,"name":"exception","attributes":{"a":{"bytes":"AAE="}}}],
        "resource":{"service.name":"cart"},"scope":{"name":"lib","attributes":{}},
        "attributes":{"user.id":"u-7","n":{"int64":"9007199254740993"},"x":1.5,"f":true}}"#;
    let line: Vec<u8> = line.iter().copied().filter(|&b| b != b'\n').collect();
    write("ndjson", "span", &line);
    let log = br#"{"time":"2022-08-22T12:00:00Z","signal":"log","severity":"INFO","message":"hi"}"#;
    write("ndjson", "log", log);
}

/// A protobuf field of bytes.
fn message(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    annal::codec::put_varint(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn text(number: u8, content: &str) -> Vec<u8> {
    message(number, content.as_bytes())
}

fn fixed64(number: u8, value: u64) -> Vec<u8> {
    [&[number << 3 | 1], value.to_le_bytes().as_slice()].concat()
}

fn attribute(field: u8, key: &str, value: &[u8]) -> Vec<u8> {
    message(field, &[text(1, key), message(2, value)].concat())
}

fn otlp() {
    let noon = NOON.0 as u64;
    let resource = message(1, &attribute(1, "service.name", &text(1, "cart")));
    let scope = message(1, &text(1, "lib"));
    let event = [fixed64(1, noon), text(2, "exception")].concat();
    let link = [message(1, &[1; 16]), message(2, &[2; 8])].concat();
    let span = [
        message(1, &[1; 16]),
        message(2, &[2; 8]),
        message(4, &[3; 8]),
        text(5, "AddItem"),
        vec![6 << 3, 2],
        fixed64(7, noon),
        fixed64(8, noon + 5),
        attribute(9, "user.id", &text(1, "u-7")),
        attribute(9, "n", &[3 << 3, 7]),
        message(11, &event),
        message(13, &link),
        message(15, &[3 << 3, 2]),
    ];
    let scope_spans = message(2, &[scope.clone(), message(2, &span.concat())].concat());
    write("otlp", "traces", &message(1, &[resource.clone(), scope_spans].concat()));
    let log = [
        fixed64(1, noon),
        vec![2 << 3, 9],
        text(3, "INFO"),
        message(5, &text(1, "hello")),
        attribute(6, "k", &message(6, &attribute(1, "in", &text(1, "v")))),
        message(9, &[1; 16]),
        message(10, &[2; 8]),
    ];
    let scope_logs = message(2, &[scope, message(2, &log.concat())].concat());
    write("otlp", "logs", &message(1, &[resource, scope_logs].concat()));
}

//! Events in their forms: payloads of columns, OTLP, NDJSON.

use annal::column::{BatchView, Field, Table};
use annal::event::Attribute;
use annal::format::frame::{Codec, FrameHeader};
use annal::{Batch, BatchBuilder, ErrorKind, Event, Timestamp};
use annal_server::{json, otlp};
use bytes::Bytes;

use crate::NOON;

/// A raw payload; and the same bytes as a compressed one, whose claimed length stands in front.
pub fn payload(data: &[u8]) {
    if let Some((length, stored)) = data.split_first_chunk() {
        let raw_length = u32::from_le_bytes(*length) & 0x00ff_ffff;
        let header = header_of(stored, Codec::Zstd, raw_length);
        let _ = Batch::from_frame(header, Bytes::copy_from_slice(stored), NOON);
        let _ = BatchView::open(&header, stored);
    }
    let mut header = header_of(data, Codec::None, data.len() as u32);
    let Ok(view) = BatchView::open(&header, data) else { return };
    header.events = view.rows(Table::Events) as u32;
    if let Some(times) = view.find(Table::Events, Field::Time).and_then(|c| view.ints(c).ok()) {
        header.min_time = Timestamp(times.values.iter().copied().min().unwrap_or(0));
        header.max_time = Timestamp(times.values.iter().copied().max().unwrap_or(0));
    }
    let Ok(batch) = Batch::from_frame(header, Bytes::copy_from_slice(data), NOON) else {
        // What validation refuses may still be asked for: damage is an error, never a panic.
        let all: Vec<u32> = (0..view.events() as u32).collect();
        let _ = view.materialise(&header, &all);
        return;
    };
    let events = read_back(&batch);
    let mut builder = BatchBuilder::new();
    for event in &events {
        match builder.push(event) {
            Ok(()) => {}
            // One payload may hold what the builder, which counts worst cases, splits.
            Err(error) if error.kind() == ErrorKind::Limit => return,
            Err(error) => panic!("a valid event is refused: {error}: {event:?}"),
        }
    }
    let again = builder.finish().expect("a batch of what was read");
    assert_eq!(read_back(&again), events);
}

fn header_of(stored: &[u8], codec: Codec, raw_length: u32) -> FrameHeader {
    FrameHeader {
        codec,
        stored_length: stored.len() as u32,
        raw_length,
        payload_crc: annal::codec::crc32(stored),
        ..FrameHeader::default()
    }
}

/// The batch's events; attributes, whose order is not kept, sorted.
fn read_back(batch: &Batch) -> Vec<Event> {
    let view = BatchView::open(batch.header(), batch.payload()).expect("a valid batch opens");
    let all: Vec<u32> = (0..view.events() as u32).collect();
    let mut events = view.materialise(batch.header(), &all).expect("a valid batch is readable");
    for event in &mut events {
        let mut resource = (*event.resource).clone();
        sort(&mut resource.attributes);
        event.resource = resource.into();
        event.scope = event.scope.as_ref().map(|scope| {
            let mut scope = (**scope).clone();
            sort(&mut scope.attributes);
            scope.into()
        });
        sort(&mut event.attributes);
        event.links.iter_mut().for_each(|link| sort(&mut link.attributes));
        event.events.iter_mut().for_each(|event| sort(&mut event.attributes));
    }
    events
}

fn sort(attributes: &mut [Attribute]) {
    attributes.sort_by_cached_key(|a| (a.key.clone(), format!("{:?}", a.value)));
}

/// The body of an OTLP request, as traces and as logs.
pub fn otlp(data: &[u8]) {
    let mut builder = BatchBuilder::new();
    let mut keep = |batch: Batch| {
        read_back(&batch);
        Ok(())
    };
    let _ = otlp::decode_traces(data, &mut builder, NOON, &mut keep);
    assert_eq!(builder.events(), 0, "the builder is empty afterwards");
    let _ = otlp::decode_logs(data, &mut builder, NOON, &mut keep);
    assert_eq!(builder.events(), 0, "the builder is empty afterwards");
}

/// Lines of NDJSON.
pub fn ndjson(data: &[u8]) {
    for line in data.split(|&b| b == b'\n') {
        let Ok(event) = json::read_event(line, NOON) else { continue };
        let mut out = Vec::new();
        json::write_event(&mut out, &event);
        let again = json::read_event(&out, NOON).unwrap_or_else(|error| {
            panic!("{error}: {}", String::from_utf8_lossy(&out));
        });
        let mut twice = Vec::new();
        json::write_event(&mut twice, &again);
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&twice));
        let _ = BatchBuilder::new().push(&event);
    }
}

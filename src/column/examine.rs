//! Reads bytes as a payload in every way there is: the entry for fuzzing.
//!
//! The header is made to fit the bytes, so that a fuzzer gets past length and checksum. What
//! validation takes must come back whole; what it refuses must still be read without a panic.

use bytes::Bytes;

use crate::codec::crc32;
use crate::column::{Batch, BatchView};
use crate::format::frame::{Codec, FrameHeader};
use crate::time::Timestamp;

/// Validates and reads the bytes as a raw payload.
///
/// # Panics
/// If a batch passes validation and cannot be read: our own bug.
pub fn examine(raw: &[u8]) {
    let mut header = FrameHeader {
        codec: Codec::None,
        stored_length: u32::try_from(raw.len()).unwrap_or(u32::MAX),
        raw_length: u32::try_from(raw.len()).unwrap_or(u32::MAX),
        payload_crc: crc32(raw),
        ..FrameHeader::default()
    };
    // The number of events stands behind the version and two counts; a view says it.
    let Some(events) = events_claimed(raw) else { return };
    header.events = events;
    let Ok(view) = BatchView::open(&header, raw) else { return };
    for column in 0..view.columns().len() {
        drop((view.ints(column), view.texts(column), view.ids16(column), view.ids8(column)));
        drop((view.presence(column), view.value(column, 0)));
    }
    drop(view.summary());
    let rows: Vec<u32> = (0..events).collect();
    let read = view.materialise(&header, &rows);
    if let Ok(read) = &read {
        let times = read.iter().map(|event| event.time);
        header.min_time = times.clone().min().unwrap_or_default();
        header.max_time = times.max().unwrap_or_default();
    }
    let checked = Batch::from_frame(header, Bytes::copy_from_slice(raw), Timestamp::MAX);
    assert!(checked.is_err() || read.is_ok(), "what passed validation cannot be read");
}

fn events_claimed(raw: &[u8]) -> Option<u32> {
    let mut cursor = crate::codec::Cursor::new(raw.get(1..)?);
    let counts = [cursor.varint().ok()?, cursor.varint().ok()?, cursor.varint().ok()?];
    u32::try_from(counts[2]).ok()
}

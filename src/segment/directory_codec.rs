//! The directory section: varints and differences, front to back, compressed as a whole.
//!
//! 1. The series, in order of first appearance: source, type.
//! 2. The producers, in order of first appearance: id, epoch.
//! 3. The frames, in order of position, each as differences to the frame before it.
//!
//! See `storage-format.md`, "Directory section".

use std::collections::HashMap;

use crate::codec::{Cursor, put_varint, unzigzag, zigzag};
use crate::column::Series;
use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::format::frame::frame_bytes;
use crate::index::TraceFilter;
use crate::limits;
use crate::segment::{Directory, FrameEntry, SegmentSummary};
use crate::time::Timestamp;

/// What the next frame's fields are differences to.
struct Previous {
    end_position: u64,
    next_sequence: u64,
    received: i64,
    min_time: i64,
    batch_number: u64,
}

impl Previous {
    fn new(summary: &SegmentSummary) -> Previous {
        Previous {
            end_position: summary.base_position,
            next_sequence: summary.first_sequence,
            received: 0,
            min_time: 0,
            batch_number: 0,
        }
    }

    fn follow(&mut self, f: &FrameEntry) {
        self.end_position = f.position.wrapping_add(frame_bytes(f.stored_length as usize));
        self.next_sequence = f.first_sequence.wrapping_add(u64::from(f.events));
        self.received = f.received.0;
        self.min_time = f.min_time.0;
        self.batch_number = f.batch_number;
    }
}

/// The section's bytes before compression.
#[must_use]
pub fn encode_directory(directory: &Directory, summary: &SegmentSummary) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, directory.series.len() as u64);
    for series in directory.series.iter() {
        for text in [&series.source, &series.event_type] {
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
    let mut producers: HashMap<(ProducerId, u32), u64> = HashMap::new();
    let mut in_order = Vec::new();
    for frame in directory.frames.iter() {
        let next = producers.len() as u64;
        producers.entry((frame.producer_id, frame.epoch)).or_insert_with(|| {
            in_order.push((frame.producer_id, frame.epoch));
            next
        });
    }
    put_varint(&mut out, in_order.len() as u64);
    for (id, epoch) in &in_order {
        out.extend_from_slice(&id.0);
        put_varint(&mut out, u64::from(*epoch));
    }
    put_varint(&mut out, directory.frames.len() as u64);
    let mut previous = Previous::new(summary);
    for frame in directory.frames.iter() {
        let producer = producers.get(&(frame.producer_id, frame.epoch)).copied().unwrap_or(0);
        encode_frame(&mut out, frame, producer, &previous);
        previous.follow(frame);
    }
    out
}

fn encode_frame(out: &mut Vec<u8>, f: &FrameEntry, producer: u64, previous: &Previous) {
    put_varint(out, f.position.wrapping_sub(previous.end_position));
    put_varint(out, u64::from(f.stored_length));
    put_varint(out, f.first_sequence.wrapping_sub(previous.next_sequence));
    put_varint(out, u64::from(f.events));
    put_varint(out, zigzag(f.received.0.wrapping_sub(previous.received)));
    put_varint(out, zigzag(f.min_time.0.wrapping_sub(previous.min_time)));
    put_varint(out, f.max_time.0.wrapping_sub(f.min_time.0) as u64);
    put_varint(out, producer);
    put_varint(out, zigzag(f.batch_number.wrapping_sub(previous.batch_number) as i64));
    put_varint(out, f.series.len() as u64);
    let mut next = 0;
    for &series in f.series.iter() {
        put_varint(out, u64::from(series.wrapping_sub(next)));
        next = series.wrapping_add(1);
    }
    f.traces.encode(out);
}

/// Reads a directory and holds it against the segment's summary.
pub fn decode_directory(bytes: &[u8], summary: &SegmentSummary) -> Result<Directory> {
    let mut c = Cursor::new(bytes);
    let directory = Directory::default();
    for _ in 0..c.length(bytes.len(), "number of series")? {
        let series = Series { source: text(&mut c)?, event_type: text(&mut c)? };
        directory.series.push(series);
    }
    let mut producers = Vec::new();
    for _ in 0..c.length(bytes.len(), "number of producers")? {
        let id = ProducerId(c.array()?);
        producers.push((id, narrow(c.varint()?, "epoch", &c)?));
    }
    let frames = c.length(bytes.len(), "number of frames")?;
    let mut previous = Previous::new(summary);
    let mut counted = SegmentSummary { events: 0, frames: 0, ..*summary };
    for index in 0..frames {
        let frame = decode_frame(&mut c, index, directory.series.len(), &producers, &previous)?;
        if frame.position < previous.end_position
            || frame.first_sequence < previous.next_sequence
            || frame.first_sequence.checked_add(u64::from(frame.events)).is_none()
        {
            return Err(c.error("frames are out of order"));
        }
        previous.follow(&frame);
        if previous.end_position < frame.position || previous.end_position > summary.end_position {
            return Err(c.error("a frame lies outside the segment"));
        }
        counted.add(&frame);
        directory.frames.push(frame);
    }
    c.finish()?;
    if counted != *summary {
        return Err(Error::invalid("directory and summary contradict each other").at(0));
    }
    Ok(directory)
}

fn decode_frame(
    c: &mut Cursor<'_>,
    index: usize,
    series: usize,
    producers: &[(ProducerId, u32)],
    previous: &Previous,
) -> Result<FrameEntry> {
    let position = previous.end_position.wrapping_add(c.varint()?);
    let stored_length = c.length(limits::BLOCK_STORED_BYTES_MAX, "stored length")?;
    let first_sequence = previous.next_sequence.wrapping_add(c.varint()?);
    let events = c.length(limits::BATCH_EVENTS_MAX, "events of a frame")?;
    let received = previous.received.wrapping_add(unzigzag(c.varint()?));
    let min_time = previous.min_time.wrapping_add(unzigzag(c.varint()?));
    let max_time = min_time.wrapping_add(c.varint()? as i64);
    let producer = usize::try_from(c.varint()?).ok().and_then(|p| producers.get(p));
    let &(producer_id, epoch) = producer.ok_or_else(|| c.error("no such producer"))?;
    let batch_number = previous.batch_number.wrapping_add(unzigzag(c.varint()?) as u64);
    if max_time < min_time || events == 0 {
        return Err(c.error("a frame's times or events contradict themselves"));
    }
    let mut indexes = Vec::new();
    let mut next = 0u32;
    for _ in 0..c.length(limits::BLOCK_EVENTS_MAX, "series of a frame")? {
        let step: u32 = narrow(c.varint()?, "series", c)?;
        let found = next.checked_add(step).filter(|&i| (i as usize) < series);
        let found = found.ok_or_else(|| c.error("no such series"))?;
        indexes.push(found);
        next = found + 1;
    }
    Ok(FrameEntry {
        index: narrow(index as u64, "frames", c)?,
        position,
        stored_length: narrow(stored_length as u64, "stored length", c)?,
        first_sequence,
        events: narrow(events as u64, "events", c)?,
        received: Timestamp(received),
        min_time: Timestamp(min_time),
        max_time: Timestamp(max_time),
        producer_id,
        epoch,
        batch_number,
        series: indexes.into(),
        traces: TraceFilter::decode(c)?,
    })
}

fn narrow(value: u64, what: &str, c: &Cursor<'_>) -> Result<u32> {
    u32::try_from(value).map_err(|_| c.error(format!("{what} of more than 32 bits")))
}

fn text(c: &mut Cursor<'_>) -> Result<String> {
    let length = c.length(limits::NAME_BYTES_MAX, "length of a name")?;
    let bytes = c.take(length)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| c.error("a name is not UTF-8"))
}

#[cfg(test)]
mod tests;

//! The frame header: 128 bytes before each payload, the same on the wire and in the log.
//!
//! A frame is a batch or a control message in its envelope. The producer fills in what it knows and
//! leaves the store's fields zero; the store stamps them when it closes a group, after the previous
//! sync has returned, and so each header of group N+1 proves group N (`durable_position`). The
//! payload's checksum is the producer's, end to end (FMT-1). See `storage-format.md`, "Frame".

use crate::codec::{Cursor, crc32};
use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::format::version::{FORMAT_VERSION, is_readable};
use crate::limits;
use crate::time::Timestamp;

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 128;
/// Frames start at multiples of this.
pub const FRAME_ALIGN: u64 = 8;
/// First bytes of each frame.
pub const FRAME_MAGIC: [u8; 4] = *b"ANLf";

/// What a frame carries; the discriminant is the code on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Events.
    #[default]
    Batch = 1,
    /// Nothing but the durable position, written after silence.
    Watermark = 2,
    /// The last frame of a segment.
    Seal = 3,
    /// Filler.
    Pad = 4,
    /// Events of a compacted segment: a block of chunks.
    Block = 5,
}

/// How the payload is compressed; the discriminant is the code on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    #[default]
    None = 0,
    /// One zstd frame (RFC 8878).
    Zstd = 1,
}

/// The fields of a frame header, in the order of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame carries.
    pub kind: FrameKind,
    /// How the payload is compressed.
    pub codec: Codec,
    /// No flag is defined; a set one is refused.
    pub flags: u16,
    /// The segment file's salt; zero on the wire. Stamped by the store.
    pub salt: u64,
    /// The segment; zero on the wire. Stamped by the store.
    pub segment_id: u64,
    /// Logical byte position of this header in the whole log; zero on the wire. Stamped.
    pub position: u64,
    /// Everything before this position was durable when the frame was stamped; zero on the wire.
    pub durable_position: u64,
    /// Bytes of the payload as stored.
    pub stored_length: u32,
    /// Bytes of the payload when decompressed.
    pub raw_length: u32,
    /// Sequence of the first event; event i has this + i. Zero on append. Stamped by the store.
    pub first_sequence: u64,
    /// When the store received the batch. Zero on append. Stamped by the store.
    pub received: Timestamp,
    /// Least time of its events.
    pub min_time: Timestamp,
    /// Greatest time of its events.
    pub max_time: Timestamp,
    /// Number of events.
    pub events: u32,
    /// The producer's epoch.
    pub epoch: u32,
    /// Who made the batch; all zero: nobody who will retry it by number.
    pub producer_id: ProducerId,
    /// The producer's own counter.
    pub batch_number: u64,
    /// CRC-32 of the stored payload, end to end.
    pub payload_crc: u32,
}

impl Default for FrameHeader {
    fn default() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Batch,
            codec: Codec::None,
            flags: 0,
            salt: 0,
            segment_id: 0,
            position: 0,
            durable_position: 0,
            stored_length: 0,
            raw_length: 0,
            first_sequence: 0,
            received: Timestamp(0),
            min_time: Timestamp(0),
            max_time: Timestamp(0),
            events: 0,
            epoch: 0,
            producer_id: ProducerId([0; 16]),
            batch_number: 0,
            payload_crc: 0,
        }
    }
}

impl FrameHeader {
    /// The 128 bytes, checksum included.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = Vec::with_capacity(FRAME_HEADER_BYTES);
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.push(self.kind as u8);
        out.push(self.codec as u8);
        out.extend_from_slice(&(FRAME_HEADER_BYTES as u16).to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.segment_id.to_le_bytes());
        out.extend_from_slice(&self.position.to_le_bytes());
        out.extend_from_slice(&self.durable_position.to_le_bytes());
        out.extend_from_slice(&self.stored_length.to_le_bytes());
        out.extend_from_slice(&self.raw_length.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.received.0.to_le_bytes());
        out.extend_from_slice(&self.min_time.0.to_le_bytes());
        out.extend_from_slice(&self.max_time.0.to_le_bytes());
        out.extend_from_slice(&self.events.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.producer_id.0);
        out.extend_from_slice(&self.batch_number.to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        out.extend_from_slice(&crc32(&out).to_le_bytes());
        let mut header = [0; FRAME_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Reads and checks a header: magic, version, codes, reserved bytes, limits, checksum. What the
    /// checksum covers is not trusted before it holds.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader> {
        let mut c = Cursor::new(bytes);
        if c.array()? != FRAME_MAGIC {
            return Err(Error::invalid("no frame starts here: wrong magic").in_field("magic"));
        }
        let version = c.u16()?;
        if !is_readable(version) {
            let what = format!("frame of format version {version}; this build reads 1");
            return Err(Error::unsupported(what).in_field("version"));
        }
        let (covered, checksum) = bytes.split_at(FRAME_HEADER_BYTES - 4);
        if crc32(covered).to_le_bytes() != checksum {
            return Err(Error::invalid("the frame header's checksum is wrong").in_field("crc"));
        }
        let kind = match c.u8()? {
            1 => FrameKind::Batch,
            2 => FrameKind::Watermark,
            3 => FrameKind::Seal,
            4 => FrameKind::Pad,
            5 => FrameKind::Block,
            k => return Err(Error::unsupported(format!("frame kind {k}")).in_field("kind")),
        };
        let codec = match c.u8()? {
            0 => Codec::None,
            1 => Codec::Zstd,
            k => return Err(Error::unsupported(format!("payload codec {k}")).in_field("codec")),
        };
        let header_length = c.u16()?;
        if usize::from(header_length) != FRAME_HEADER_BYTES {
            let what = format!("frame header of {header_length} bytes");
            return Err(Error::unsupported(what).in_field("header_length"));
        }
        let flags = c.u16()?;
        if flags != 0 {
            return Err(Error::unsupported(format!("frame flags {flags:#x}")).in_field("flags"));
        }
        if c.array()? != [0u8; 4] {
            return Err(Error::invalid("reserved bytes are not zero").in_field("reserved"));
        }
        let header = FrameHeader {
            kind,
            codec,
            flags,
            salt: c.u64()?,
            segment_id: c.u64()?,
            position: c.u64()?,
            durable_position: c.u64()?,
            stored_length: c.u32()?,
            raw_length: c.u32()?,
            first_sequence: c.u64()?,
            received: Timestamp(c.i64()?),
            min_time: Timestamp(c.i64()?),
            max_time: Timestamp(c.i64()?),
            events: c.u32()?,
            epoch: c.u32()?,
            producer_id: ProducerId(c.array()?),
            batch_number: c.u64()?,
            payload_crc: c.u32()?,
        };
        header.check_limits()?;
        Ok(header)
    }

    /// Whether lengths and counts stay within their limits.
    pub fn check_limits(&self) -> Result<()> {
        let bounded = |field: &str, value: u32, max: usize| {
            if value as usize <= max {
                return Ok(());
            }
            let what = format!("{field} is {value}, at most {max} is allowed");
            Err(Error::limit(what).in_field(field))
        };
        let (stored_max, events_max) = match self.kind {
            FrameKind::Block => (limits::BLOCK_STORED_BYTES_MAX, limits::BLOCK_EVENTS_MAX),
            _ => (limits::BATCH_STORED_BYTES_MAX, limits::BATCH_EVENTS_MAX),
        };
        bounded("stored_length", self.stored_length, stored_max)?;
        bounded("raw_length", self.raw_length, limits::BATCH_RAW_BYTES_MAX)?;
        bounded("events", self.events, events_max)
    }

    /// Bytes from this header to the next frame: header, payload, zeroes up to the alignment.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        frame_bytes(self.stored_length as usize)
    }
}

/// Bytes that a frame with a payload of this many stored bytes takes, padding included.
#[must_use]
pub fn frame_bytes(stored_length: usize) -> u64 {
    ((FRAME_HEADER_BYTES + stored_length) as u64).next_multiple_of(FRAME_ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> FrameHeader {
        FrameHeader {
            codec: Codec::Zstd,
            salt: 1,
            segment_id: 2,
            position: 3,
            durable_position: 4,
            stored_length: 5,
            raw_length: 6,
            first_sequence: 7,
            received: Timestamp(8),
            min_time: Timestamp(-9),
            max_time: Timestamp(10),
            events: 11,
            epoch: 12,
            producer_id: ProducerId([13; 16]),
            batch_number: 14,
            payload_crc: 15,
            ..FrameHeader::default()
        }
    }

    #[test]
    fn a_header_leads_back_to_itself() {
        assert_eq!(FrameHeader::decode(&sample().encode()).unwrap(), sample());
    }

    #[test]
    fn a_block_has_fewer_events_than_a_batch_may_have() {
        let with = |kind, events| FrameHeader { kind, events, ..sample() };
        let max = limits::BLOCK_EVENTS_MAX as u32;
        assert!(FrameHeader::decode(&with(FrameKind::Batch, max + 1).encode()).is_ok());
        assert!(FrameHeader::decode(&with(FrameKind::Block, max).encode()).is_ok());
        assert!(FrameHeader::decode(&with(FrameKind::Block, max + 1).encode()).is_err());
    }

    #[test]
    fn each_flipped_bit_of_a_header_is_noticed() {
        let bytes = sample().encode();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}

//! The segment header: the first 4,096 bytes of each log segment, synced before its first frame.
//!
//! It chains the segment to the one before it (id, salt, end position), so that recovery can tell a
//! successor from a stray file. The header counts as part of the log: offset = position - base, and
//! the first frame stands at position `base_position + 4096`. See `storage-format.md`, "Segment".

use crate::codec::{Cursor, crc32};
use crate::error::{Error, Result};
use crate::format::version::{FORMAT_VERSION, is_readable};

/// Bytes of a segment header.
pub const SEGMENT_HEADER_BYTES: usize = 4_096;
/// First bytes of each log segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"ANLlog\r\n";
/// First bytes of each compacted segment.
pub const COMPACTED_MAGIC: [u8; 8] = *b"ANLcmp\r\n";

/// Positions and sequences stay below: no sum of them overflows, whatever a file claims.
pub const NUMBER_MAX: u64 = 1 << 62;

/// End of the segment before, or of nothing: all zero for the first segment of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The last segment; 0 if there was none.
    pub segment_id: u64,
    /// Its salt.
    pub salt: u64,
    /// The position behind its last frame.
    pub end_position: u64,
}

/// The fields of a segment header, in the order of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// A compacted segment: blocks instead of batches, and no part of the chain.
    pub compacted: bool,
    /// The store that it belongs to.
    pub store_id: [u8; 16],
    /// Its id, from 1, without gaps.
    pub segment_id: u64,
    /// Random per file; in every frame header of the file, never outside the store.
    pub salt: u64,
    /// Logical position of the file's first byte: the end position of the segment before.
    pub base_position: u64,
    /// Every sequence in the segment is at least this.
    pub base_sequence: u64,
    /// Length that was preallocated; frames and footer stay within it.
    pub declared_length: u64,
    /// The segment before.
    pub previous: LogEnd,
}

impl SegmentHeader {
    /// Position of the first frame.
    #[must_use]
    pub fn first_frame_position(&self) -> u64 {
        self.base_position.saturating_add(SEGMENT_HEADER_BYTES as u64)
    }

    /// What the next segment's header says of this one, if it ends there.
    #[must_use]
    pub fn log_end(&self, end_position: u64) -> LogEnd {
        LogEnd { segment_id: self.segment_id, salt: self.salt, end_position }
    }

    /// The 4,096 bytes, checksum included.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        out.extend_from_slice(if self.compacted { &COMPACTED_MAGIC } else { &SEGMENT_MAGIC });
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.store_id);
        out.extend_from_slice(&self.segment_id.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.base_position.to_le_bytes());
        out.extend_from_slice(&self.base_sequence.to_le_bytes());
        out.extend_from_slice(&self.declared_length.to_le_bytes());
        out.extend_from_slice(&self.previous.segment_id.to_le_bytes());
        out.extend_from_slice(&self.previous.salt.to_le_bytes());
        out.extend_from_slice(&self.previous.end_position.to_le_bytes());
        out.resize(SEGMENT_HEADER_BYTES - 4, 0);
        out.extend_from_slice(&crc32(&out).to_le_bytes());
        out
    }

    /// Reads and checks a header; `bytes` may be longer.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader> {
        let bytes = Cursor::new(bytes).take(SEGMENT_HEADER_BYTES)?;
        let mut c = Cursor::new(bytes);
        let compacted = match c.array()? {
            SEGMENT_MAGIC => false,
            COMPACTED_MAGIC => true,
            _ => return Err(Error::invalid("no segment: wrong magic").at(0)),
        };
        let version = c.u16()?;
        if !is_readable(version) {
            let what = format!("segment of format version {version}; this build reads 1");
            return Err(Error::unsupported(what).at(8));
        }
        let (covered, checksum) = bytes.split_at(SEGMENT_HEADER_BYTES - 4);
        if crc32(covered).to_le_bytes() != checksum {
            return Err(Error::invalid("the segment header's checksum is wrong").at(0));
        }
        if c.array()? != [0u8; 6] {
            return Err(Error::invalid("reserved bytes are not zero").at(10));
        }
        let header = SegmentHeader {
            compacted,
            store_id: c.array()?,
            segment_id: c.u64()?,
            salt: c.u64()?,
            base_position: c.u64()?,
            base_sequence: c.u64()?,
            declared_length: c.u64()?,
            previous: LogEnd { segment_id: c.u64()?, salt: c.u64()?, end_position: c.u64()? },
        };
        let rest = c.take(c.remaining() - 4)?;
        if rest.iter().any(|&b| b != 0) {
            return Err(Error::invalid("reserved bytes are not zero").at(96));
        }
        let numbers = [header.base_position, header.base_sequence, header.declared_length];
        if numbers.iter().any(|&n| n >= NUMBER_MAX) || header.segment_id >= NUMBER_MAX {
            return Err(Error::invalid("a position, sequence or length is too large").at(32));
        }
        Ok(header)
    }
}

/// Name of a log segment's file.
#[must_use]
pub fn log_file_name(segment_id: u64) -> String {
    format!("log-{segment_id:016x}.seg")
}

/// The segment id in a log segment's file name.
#[must_use]
pub fn parse_log_file_name(name: &str) -> Option<u64> {
    crate::format::parse_numbered(name, "log-", ".seg")
}

/// Name of the file of a compacted segment that stands for these log segments.
#[must_use]
pub fn compacted_file_name(first: u64, last: u64, level: u8) -> String {
    format!("blocks-{first:016x}-{last:016x}-{level}.seg")
}

/// First and last log segment and level in the file name of a compacted segment.
#[must_use]
pub fn parse_compacted_file_name(name: &str) -> Option<(u64, u64, u8)> {
    let inner = name.strip_prefix("blocks-")?.strip_suffix(".seg")?;
    let (first, rest) = inner.split_once('-')?;
    let (last, level) = rest.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let parsed = (number(first)?, number(last)?, level.parse().ok()?);
    // Only the one way of writing it.
    (compacted_file_name(parsed.0, parsed.1, parsed.2) == name).then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            compacted: false,
            store_id: [7; 16],
            segment_id: 3,
            salt: 4,
            base_position: 5,
            base_sequence: 6,
            declared_length: 1 << 20,
            previous: LogEnd { segment_id: 2, salt: 8, end_position: 5 },
        }
    }

    #[test]
    fn a_segment_header_leads_back_and_notices_each_flipped_bit() {
        let bytes = sample().encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER_BYTES);
        assert_eq!(SegmentHeader::decode(&bytes).unwrap(), sample());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
        assert!(SegmentHeader::decode(&bytes[..4_095]).is_err());
    }

    #[test]
    fn names_of_compacted_files_lead_back_to_what_they_stand_for() {
        let name = compacted_file_name(3, 255, 1);
        assert_eq!(name, "blocks-0000000000000003-00000000000000ff-1.seg");
        assert_eq!(parse_compacted_file_name(&name), Some((3, 255, 1)));
        for bad in ["blocks-3-ff-1.seg", "blocks-0000000000000003-00000000000000FF-1.seg", "x"] {
            assert_eq!(parse_compacted_file_name(bad), None);
        }
    }

    #[test]
    fn names_of_log_files_lead_back_to_their_ids() {
        assert_eq!(parse_log_file_name(&log_file_name(255)), Some(255));
        for bad in ["log-ff.seg", "log-00000000000000FF.seg", "log-00000000000000ff.seg.tmp", ""] {
            assert_eq!(parse_log_file_name(bad), None, "{bad}");
        }
    }
}

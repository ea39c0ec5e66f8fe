//! What a segment knows of its events without reading them: a footer section of fixed size.
//!
//! See `storage-format.md`, "Summary section".

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::format::segment::SegmentHeader;
use crate::segment::FrameEntry;
use crate::time::Timestamp;

/// Bytes of the section.
pub const SUMMARY_BYTES: usize = 72;

/// Counts and bounds of a segment, or of its visible part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// Position of the file's first byte.
    pub base_position: u64,
    /// Position behind the last frame.
    pub end_position: u64,
    /// Sequence of the first event (or the base sequence, without events).
    pub first_sequence: u64,
    /// The one after the last.
    pub next_sequence: u64,
    /// Number of events.
    pub events: u64,
    /// Number of batch frames.
    pub frames: u64,
    /// Least time; 0 without events.
    pub min_time: Timestamp,
    /// Greatest time; 0 without events.
    pub max_time: Timestamp,
    /// When the last batch was received; 0 without events.
    pub received_last: Timestamp,
}

impl SegmentSummary {
    /// That of a segment without frames.
    #[must_use]
    pub fn empty(header: &SegmentHeader) -> SegmentSummary {
        SegmentSummary {
            base_position: header.base_position,
            end_position: header.first_frame_position(),
            first_sequence: header.base_sequence,
            next_sequence: header.base_sequence,
            events: 0,
            frames: 0,
            min_time: Timestamp(0),
            max_time: Timestamp(0),
            received_last: Timestamp(0),
        }
    }

    /// Counts another batch frame; its bytes are counted by whoever moves `end_position`.
    pub fn add(&mut self, frame: &FrameEntry) {
        let first = self.events == 0;
        if first {
            self.first_sequence = frame.first_sequence;
        }
        self.min_time = if first { frame.min_time } else { self.min_time.min(frame.min_time) };
        self.max_time = if first { frame.max_time } else { self.max_time.max(frame.max_time) };
        self.next_sequence = frame.first_sequence.saturating_add(u64::from(frame.events));
        self.events += u64::from(frame.events);
        self.frames += 1;
        self.received_last = frame.received;
    }

    /// The section's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SUMMARY_BYTES);
        out.extend_from_slice(&self.base_position.to_le_bytes());
        out.extend_from_slice(&self.end_position.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.next_sequence.to_le_bytes());
        out.extend_from_slice(&self.events.to_le_bytes());
        out.extend_from_slice(&self.frames.to_le_bytes());
        out.extend_from_slice(&self.min_time.0.to_le_bytes());
        out.extend_from_slice(&self.max_time.0.to_le_bytes());
        out.extend_from_slice(&self.received_last.0.to_le_bytes());
        out
    }

    /// Reads what `encode` wrote and checks that it makes sense.
    pub fn decode(bytes: &[u8]) -> Result<SegmentSummary> {
        let mut c = Cursor::new(bytes);
        let summary = SegmentSummary {
            base_position: c.u64()?,
            end_position: c.u64()?,
            first_sequence: c.u64()?,
            next_sequence: c.u64()?,
            events: c.u64()?,
            frames: c.u64()?,
            min_time: Timestamp(c.i64()?),
            max_time: Timestamp(c.i64()?),
            received_last: Timestamp(c.i64()?),
        };
        c.finish()?;
        let spans = summary.next_sequence.checked_sub(summary.first_sequence);
        if summary.end_position < summary.base_position
            || spans.is_none_or(|span| span < summary.events)
            || summary.frames > summary.events
            || summary.min_time > summary.max_time
        {
            return Err(Error::invalid("the summary contradicts itself").at(0));
        }
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_leads_back_and_contradictions_are_refused() {
        let summary = SegmentSummary {
            base_position: 1,
            end_position: 2,
            first_sequence: 3,
            next_sequence: 9,
            events: 6,
            frames: 2,
            min_time: Timestamp(-5),
            max_time: Timestamp(5),
            received_last: Timestamp(7),
        };
        let bytes = summary.encode();
        assert_eq!(bytes.len(), SUMMARY_BYTES);
        assert_eq!(SegmentSummary::decode(&bytes).unwrap(), summary);
        for wrong in [
            SegmentSummary { end_position: 0, ..summary },
            SegmentSummary { next_sequence: 8, ..summary },
            SegmentSummary { frames: 7, ..summary },
            SegmentSummary { min_time: Timestamp(6), ..summary },
        ] {
            assert!(SegmentSummary::decode(&wrong.encode()).is_err(), "{wrong:?}");
        }
        assert!(SegmentSummary::decode(&bytes[1..]).is_err());
    }
}

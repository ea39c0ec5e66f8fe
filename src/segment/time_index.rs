//! The sparse time index: which frames of a segment may hold events of a time range, found without
//! reading the directory.
//!
//! One record of fixed size per batch frame, sorted by least time, so that the section is searched
//! where it lies. Each record also has the greatest time of all records up to it: walking back from
//! the end of the range, the search stops where nothing before can reach into it.
//! See `storage-format.md`, "Time index section".

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::segment::Directory;
use crate::storage::Region;
use crate::time::{TimeRange, Timestamp};

/// Bytes of a record: least time, greatest time, greatest time so far, frame, reserved.
pub const TIME_RECORD_BYTES: usize = 32;

/// The section's bytes.
#[must_use]
pub fn encode_time_index(directory: &Directory) -> Vec<u8> {
    let mut frames: Vec<_> =
        directory.frames.iter().map(|f| (f.min_time.0, f.max_time.0, f.index)).collect();
    frames.sort_unstable();
    let mut out = Vec::with_capacity(frames.len() * TIME_RECORD_BYTES);
    let mut reach = i64::MIN;
    for (min, max, index) in frames {
        reach = reach.max(max);
        out.extend_from_slice(&min.to_le_bytes());
        out.extend_from_slice(&max.to_le_bytes());
        out.extend_from_slice(&reach.to_le_bytes());
        out.extend_from_slice(&index.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }
    out
}

/// A time index where it lies.
#[derive(Clone, Debug)]
pub struct TimeIndex {
    bytes: Region,
}

struct Record {
    min: Timestamp,
    max: Timestamp,
    reach: Timestamp,
    frame: u32,
}

impl TimeIndex {
    /// Over the section's bytes, whose checksum the caller has checked.
    pub fn new(bytes: Region) -> Result<TimeIndex> {
        if bytes.len().is_multiple_of(TIME_RECORD_BYTES) {
            return Ok(TimeIndex { bytes });
        }
        Err(Error::corrupt(format!("a time index of {} bytes", bytes.len())))
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.bytes.len() / TIME_RECORD_BYTES
    }

    /// Indexes of the frames with events that may lie in the range, ascending.
    pub fn overlapping(&self, range: &TimeRange) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        let mut end = self.first_at_or_after(range.until)?;
        while end > 0 {
            end -= 1;
            let record = self.record(end)?;
            if record.reach < range.since {
                break;
            }
            if range.overlaps(record.min, record.max) {
                found.push(record.frame);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The first record whose least time is not before `until`.
    fn first_at_or_after(&self, until: Timestamp) -> Result<usize> {
        let (mut low, mut high) = (0, self.frames());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.record(middle)?.min < until {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn record(&self, index: usize) -> Result<Record> {
        let rest = self.bytes.get(index * TIME_RECORD_BYTES..).unwrap_or_default();
        let mut c = Cursor::new(rest);
        Ok(Record {
            min: Timestamp(c.i64()?),
            max: Timestamp(c.i64()?),
            reach: Timestamp(c.i64()?),
            frame: c.u32()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::FrameEntry;

    fn directory(times: &[(i64, i64)]) -> Directory {
        let directory = Directory::default();
        for (i, &(min, max)) in times.iter().enumerate() {
            directory.frames.push(FrameEntry {
                index: i as u32,
                position: 0,
                stored_length: 0,
                first_sequence: 0,
                events: 1,
                received: Timestamp(0),
                min_time: Timestamp(min),
                max_time: Timestamp(max),
                producer_id: crate::ProducerId([0; 16]),
                epoch: 0,
                batch_number: 0,
                series: [].into(),
                traces: crate::index::TraceFilter::default(),
            });
        }
        directory
    }

    #[test]
    fn the_index_finds_exactly_the_frames_that_overlap() {
        let times = [(10, 20), (0, 100), (15, 15), (30, 40), (-5, 5), (39, 39), (i64::MIN, -90)];
        let bytes = encode_time_index(&directory(&times));
        let index = TimeIndex::new(Region::from_bytes(bytes.into())).unwrap();
        assert_eq!(index.frames(), times.len());
        for since in -100..110 {
            for length in [0, 1, 5, 40, 300] {
                let range = TimeRange { since: Timestamp(since), until: Timestamp(since + length) };
                let expected: Vec<u32> = times
                    .iter()
                    .enumerate()
                    .filter(|(_, t)| range.overlaps(Timestamp(t.0), Timestamp(t.1)))
                    .map(|(i, _)| i as u32)
                    .collect();
                assert_eq!(index.overlapping(&range).unwrap(), expected, "{range:?}");
            }
        }
    }
}

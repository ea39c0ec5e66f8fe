//! What to compact next: a pure function over the manifest.
//!
//! 1. Log segments become level 1: as soon as they make a large file together, or when nothing more
//!    has come for a while, so that a quiet store settles.
//! 2. Neighbours of level 1 and 2 that are of about the same size become one of level 2, so that
//!    each event is written about as often as the logarithm of the store's size.
//!
//! Jobs take whole neighbouring segments, so that what remains is in the order of the log, and
//! retention goes on taking the oldest.

use std::ops::Range;

use crate::format::manifest::{LEVEL_MAX, SegmentRecord};

/// Log bytes that are worth a job of their own, and the most that one takes.
const LOG_BYTES_MIN: u64 = 64 << 20;
const JOB_BYTES_MAX: u64 = 512 << 20;
/// As many neighbours of about the same size are merged.
const MERGED_MIN: usize = 4;
/// "About the same size": none is this many times as large as another.
const SIZE_RATIO_MAX: u64 = 8;
/// Files of this size are not merged any more.
const MERGED_BYTES_MAX: u64 = 256 << 20;

/// A job: which segments of the manifest, by index, and the level of what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) inputs: Range<usize>,
    pub(crate) level: u8,
}

/// The next job. `quiet`: nothing has been sealed for a while, what is there should settle.
pub(crate) fn plan(segments: &[SegmentRecord], quiet: bool) -> Option<Plan> {
    log_to_first(segments, quiet).or_else(|| merge(segments))
}

fn log_to_first(segments: &[SegmentRecord], quiet: bool) -> Option<Plan> {
    let start = segments.partition_point(|s| s.level > 0);
    let mut bytes = 0;
    let log = segments.get(start..).unwrap_or_default();
    let count = log
        .iter()
        .take_while(|s| {
            let fits = bytes == 0 || bytes + s.file_length <= JOB_BYTES_MAX;
            bytes += s.file_length;
            fits
        })
        .count();
    let due = count > 0 && (quiet || bytes >= LOG_BYTES_MIN);
    due.then_some(Plan { inputs: start..start + count, level: 1 })
}

/// The newest neighbours that are small and of about the same size.
fn merge(segments: &[SegmentRecord]) -> Option<Plan> {
    let end = segments.partition_point(|s| s.level > 0);
    let compacted = segments.get(..end).unwrap_or_default();
    let small = compacted.iter().rev().take_while(|s| s.file_length < MERGED_BYTES_MAX).count();
    let mut start = end;
    let (mut least, mut greatest, mut bytes) = (u64::MAX, 0u64, 0u64);
    for segment in compacted.iter().rev().take(small) {
        let length = segment.file_length.max(1);
        let (low, high) = (least.min(length), greatest.max(length));
        if high / low >= SIZE_RATIO_MAX || bytes + length > JOB_BYTES_MAX {
            break;
        }
        (least, greatest, bytes) = (low, high, bytes + length);
        start -= 1;
    }
    (end - start >= MERGED_MIN).then_some(Plan { inputs: start..end, level: LEVEL_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn segment(id: u64, level: u8, mib: u64) -> SegmentRecord {
        SegmentRecord {
            segment_id: id,
            last_segment_id: id,
            level,
            salt: 1,
            file_length: mib << 20,
            digest: [0; 16],
            base_position: 0,
            end_position: 0,
            first_sequence: 0,
            next_sequence: 1,
            events: 1,
            min_time: Timestamp(0),
            max_time: Timestamp(0),
        }
    }

    #[test]
    fn log_segments_wait_until_they_are_many_bytes_or_all_is_quiet() {
        let log = [segment(1, 0, 1), segment(2, 0, 4), segment(3, 0, 16)];
        assert_eq!(plan(&log, false), None);
        assert_eq!(plan(&log, true), Some(Plan { inputs: 0..3, level: 1 }));
        let more = [log.as_slice(), &[segment(4, 0, 64)]].concat();
        assert_eq!(plan(&more, false), Some(Plan { inputs: 0..4, level: 1 }));
        assert_eq!(plan(&[], true), None);
    }

    #[test]
    fn a_job_is_bounded_but_takes_one_segment_whatever_its_size() {
        let log = [segment(1, 1, 9), segment(2, 0, 1_000), segment(3, 0, 64)];
        assert_eq!(plan(&log, false), Some(Plan { inputs: 1..2, level: 1 }));
    }

    #[test]
    fn neighbours_of_about_the_same_size_become_one() {
        let few = [segment(1, 2, 200), segment(2, 1, 10), segment(3, 1, 10), segment(4, 1, 9)];
        assert_eq!(plan(&few, true), None);
        let many = [few.as_slice(), &[segment(5, 1, 10)]].concat();
        assert_eq!(plan(&many, true), Some(Plan { inputs: 1..5, level: 2 }));
        let large: Vec<_> = (1..9).map(|id| segment(id, 1, 300)).collect();
        assert_eq!(plan(&large, true), None, "files that are large enough stay as they are");
    }

    #[test]
    fn merging_again_and_again_writes_each_event_a_few_times() {
        let (mut segments, mut written) = (Vec::new(), 0u64);
        for id in 1..=256 {
            segments.push(segment(id, 1, 1));
            while let Some(Plan { inputs, .. }) = plan(&segments, true) {
                let bytes: u64 = segments[inputs.clone()].iter().map(|s| s.file_length).sum();
                written += bytes >> 20;
                let merged =
                    SegmentRecord { file_length: bytes, level: 2, ..segments[inputs.start] };
                segments.splice(inputs, [merged]);
            }
        }
        assert!(segments.len() < 32, "{} files are left", segments.len());
        assert!(written <= 256 * 5, "{written} MiB were written for 256");
    }
}

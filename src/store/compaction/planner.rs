//! What to compact next: a pure function over the manifest.
//!
//! 1. Log segments become level 1: as soon as they make a large file together, or when nothing more
//!    has come for a while, so that a quiet store settles.
//! 2. Neighbours of level 1 and 2 become one of level 2 where that makes a file several times as
//!    long as the longest of them: so each event is written about as often as the logarithm of the
//!    store's size, and small files disappear between large ones. Files of half the most that a job
//!    takes stay what they are.
//!
//! Jobs take whole neighbouring segments, so that what remains is in the order of the log, and
//! retention goes on taking the oldest. It takes whole segments, so that a file may hold only a
//! fraction of the bytes and of the time that it keeps.

use std::collections::HashSet;
use std::ops::Range;

use crate::format::manifest::{LEVEL_MAX, SegmentRecord};
use crate::options::Retention;
use crate::time::{SECOND_NS, Timestamp};

/// Log bytes that are worth a job of their own, and the most that one takes.
const LOG_BYTES_MIN: u64 = 64 << 20;
const JOB_BYTES_MAX: u64 = 512 << 20;
/// As many neighbours are merged at least.
const MERGED_MIN: usize = 4;
/// What comes out is so many times as long as the longest of them, unless it is as long as files get.
const GROWTH_MIN: u64 = 3;
/// A job takes at most this part of the bytes, and of the time, that retention keeps.
const RETAINED_PART: u64 = 8;

/// A job: which segments of the manifest, by index, and the level of what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) inputs: Range<usize>,
    pub(crate) level: u8,
}

/// What a plan depends on beside the manifest.
pub(crate) struct Rules<'a> {
    /// Nothing has been sealed for a while: what is there should settle.
    pub(crate) quiet: bool,
    /// Salts of segments that stay as they are.
    pub(crate) set_aside: &'a HashSet<u64>,
    pub(crate) retention: Retention,
}

/// Neighbours that a job would take.
#[derive(Clone, Copy)]
struct Taken {
    count: usize,
    bytes: u64,
    longest: u64,
    /// The least and the greatest of their newest times: retention goes by those.
    newest: (Timestamp, Timestamp),
}

const NOTHING: Taken =
    Taken { count: 0, bytes: 0, longest: 0, newest: (Timestamp(i64::MAX), Timestamp(i64::MIN)) };

impl Taken {
    fn and(self, segment: &SegmentRecord) -> Taken {
        let (low, high) = self.newest;
        Taken {
            count: self.count + 1,
            bytes: self.bytes + segment.file_length,
            longest: self.longest.max(segment.file_length),
            newest: (low.min(segment.max_time), high.max(segment.max_time)),
        }
    }
}

impl Rules<'_> {
    fn bytes_max(&self) -> u64 {
        let part = self.retention.store_bytes_max.map_or(u64::MAX, |max| max / RETAINED_PART);
        JOB_BYTES_MAX.min(part)
    }

    /// Whether one job may take all of them.
    fn allow(&self, taken: &Taken) -> bool {
        let (low, high) = taken.newest;
        let span_ns = u64::try_from(high.0.saturating_sub(low.0)).unwrap_or(0);
        let second = SECOND_NS as u64 / RETAINED_PART;
        let span_max = self.retention.age_s_max.map_or(u64::MAX, |s| s.saturating_mul(second));
        taken.bytes <= self.bytes_max() && span_ns <= span_max
    }

    fn is_free(&self, segment: &SegmentRecord) -> bool {
        !self.set_aside.contains(&segment.salt)
    }
}

/// The next job.
pub(crate) fn plan(segments: &[SegmentRecord], rules: &Rules<'_>) -> Option<Plan> {
    log_to_first(segments, rules).or_else(|| merge(segments, rules))
}

/// Where neighbours stand that have something in common, oldest first.
fn runs(segments: &[SegmentRecord], belongs: impl Fn(&SegmentRecord) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in segments.iter().enumerate().filter(|(_, segment)| belongs(segment)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

fn log_to_first(segments: &[SegmentRecord], rules: &Rules<'_>) -> Option<Plan> {
    runs(segments, |s| s.level == 0 && rules.is_free(s)).into_iter().find_map(|run| {
        let mut taken = NOTHING;
        let log = segments.get(run.clone()).unwrap_or_default();
        for segment in log {
            let more = taken.and(segment);
            // One is taken however long it is.
            if taken.count > 0 && !rules.allow(&more) {
                break;
            }
            taken = more;
        }
        let full = taken.count < log.len() || taken.bytes >= LOG_BYTES_MIN;
        let inputs = run.start..run.start + taken.count;
        (rules.quiet || full).then_some(Plan { inputs, level: 1 })
    })
}

/// The newest neighbours that are worth it.
fn merge(segments: &[SegmentRecord], rules: &Rules<'_>) -> Option<Plan> {
    let length_max = rules.bytes_max() / 2;
    let is_small =
        |s: &SegmentRecord| s.level > 0 && s.file_length < length_max && rules.is_free(s);
    for run in runs(segments, is_small).into_iter().rev() {
        for end in (run.start..=run.end).rev() {
            let mut found = None;
            let mut taken = NOTHING;
            for (at, segment) in segments.iter().enumerate().take(end).skip(run.start).rev() {
                // What is no longer than those found already makes it only better.
                let spoils = found.is_some() && segment.file_length > taken.longest;
                taken = taken.and(segment);
                if spoils || !rules.allow(&taken) {
                    break;
                }
                let grown = taken.bytes >= (GROWTH_MIN * taken.longest).min(length_max);
                if taken.count >= MERGED_MIN && grown {
                    found = Some(at);
                }
            }
            if let Some(start) = found {
                return Some(Plan { inputs: start..end, level: LEVEL_MAX });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn plan(segments: &[SegmentRecord], quiet: bool) -> Option<Plan> {
        let retention = Retention::default();
        super::plan(segments, &Rules { quiet, set_aside: &HashSet::new(), retention })
    }

    /// Segments of these lengths come one after the other; all that is worth it is done at once.
    /// Gives what is left, and how many bytes were written.
    fn merged(lengths: impl Iterator<Item = u64>) -> (Vec<SegmentRecord>, u64) {
        let (mut segments, mut written) = (Vec::new(), 0);
        for (id, file_length) in lengths.enumerate() {
            segments.push(SegmentRecord { file_length, ..segment(id as u64 + 1, 1, 0) });
            while let Some(Plan { inputs, .. }) = plan(&segments, true) {
                let bytes = segments[inputs.clone()].iter().map(|s| s.file_length).sum();
                written += bytes;
                let merged =
                    SegmentRecord { file_length: bytes, level: 2, ..segments[inputs.start] };
                segments.splice(inputs, [merged]);
            }
        }
        (segments, written)
    }

    fn segment(id: u64, level: u8, mib: u64) -> SegmentRecord {
        SegmentRecord {
            segment_id: id,
            last_segment_id: id,
            level,
            salt: id,
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
        let (segments, written) = merged(std::iter::repeat_n(1 << 20, 256));
        assert!(segments.len() < 32, "{} files are left", segments.len());
        assert!(written <= (256 << 20) * 5, "{} MiB were written for 256", written >> 20);
    }

    #[test]
    fn small_files_between_large_ones_disappear_in_few_writes() {
        for (large, times) in [(1 << 20, 400), (10 << 20, 60), (200 << 20, 40)] {
            let all = (large + 1_000) * times;
            let lengths = (0..2 * times).map(|i| if i % 2 == 0 { large } else { 1_000 });
            let (segments, written) = merged(lengths);
            let files = 16 + all / (128 << 20);
            assert!(segments.len() as u64 <= files, "{} of {large} are left", segments.len());
            assert!(written <= all * 5, "{} MiB were written for {}", written >> 20, all >> 20);
        }
    }

    #[test]
    fn a_segment_that_cannot_be_read_stays_and_its_neighbours_are_planned_around_it() {
        let set_aside = HashSet::from([2, 9]);
        let rules = Rules { quiet: true, set_aside: &set_aside, retention: Retention::default() };
        let log: Vec<_> = (1..=4).map(|id| segment(id, 0, 1)).collect();
        assert_eq!(super::plan(&log, &rules), Some(Plan { inputs: 0..1, level: 1 }));
        let rest = [segment(1, 1, 1), segment(2, 0, 1), segment(3, 0, 1), segment(4, 0, 1)];
        assert_eq!(super::plan(&rest, &rules), Some(Plan { inputs: 2..4, level: 1 }));
        let done = [segment(1, 1, 1), segment(2, 0, 1), segment(3, 1, 2)];
        assert_eq!(super::plan(&done, &rules), None);
        let small: Vec<_> = (5..=13).map(|id| segment(id, 1, 1)).collect();
        assert_eq!(super::plan(&small, &rules), Some(Plan { inputs: 5..9, level: 2 }));
    }

    #[test]
    fn a_job_takes_a_fraction_of_what_retention_keeps() {
        let set_aside = HashSet::new();
        let rules = |age_s_max, store_bytes_max| Rules {
            quiet: true,
            set_aside: &set_aside,
            retention: Retention { age_s_max, store_bytes_max },
        };
        let by_size = rules(None, Some(800 << 20));
        let log: Vec<_> = (1..=20).map(|id| segment(id, 0, 20)).collect();
        assert_eq!(super::plan(&log, &by_size), Some(Plan { inputs: 0..5, level: 1 }));
        let files: Vec<_> = (1..=20).map(|id| segment(id, 1, 20)).collect();
        assert_eq!(super::plan(&files, &by_size), Some(Plan { inputs: 15..20, level: 2 }));
        let files: Vec<_> = (1..=20).map(|id| segment(id, 1, 50)).collect();
        assert_eq!(super::plan(&files, &by_size), None, "large enough for such a store");
        let by_age = rules(Some(80), None);
        let at = |s: &SegmentRecord| SegmentRecord {
            max_time: Timestamp(s.segment_id as i64 * SECOND_NS),
            ..*s
        };
        let log: Vec<_> = log.iter().map(at).collect();
        assert_eq!(super::plan(&log, &by_age), Some(Plan { inputs: 0..11, level: 1 }));
        let files: Vec<_> =
            files.iter().map(at).map(|s| SegmentRecord { file_length: 9, ..s }).collect();
        assert_eq!(super::plan(&files, &by_age), Some(Plan { inputs: 9..20, level: 2 }));
    }
}

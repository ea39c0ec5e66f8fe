//! Retention: which segments may go. A pure function over the manifest; whole segments only, the
//! oldest first, so that what remains is a suffix of the log.

use crate::format::manifest::SegmentRecord;
use crate::options::Retention;
use crate::time::{SECOND_NS, Timestamp};

/// How many of the oldest segments go. `more_bytes` are those of files that no manifest names yet.
pub(crate) fn retired(
    segments: &[SegmentRecord],
    retention: &Retention,
    now: Timestamp,
    more_bytes: u64,
) -> usize {
    let by_age = retention.age_s_max.map_or(0, |age_s| {
        let age_ns = i64::try_from(age_s).unwrap_or(i64::MAX).saturating_mul(SECOND_NS);
        let oldest = now.0.saturating_sub(age_ns);
        segments.iter().take_while(|s| s.max_time.0 < oldest).count()
    });
    let by_size = retention.store_bytes_max.map_or(0, |max| {
        let mut bytes = more_bytes + segments.iter().map(|s| s.file_length).sum::<u64>();
        let leaves = |s: &&SegmentRecord| {
            let leaves = bytes > max;
            bytes -= s.file_length;
            leaves
        };
        segments.iter().take_while(leaves).count()
    });
    by_age.max(by_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<SegmentRecord> {
        let record = |id: u64, seconds: i64| SegmentRecord {
            segment_id: id,
            last_segment_id: id,
            level: 0,
            salt: 1,
            file_length: 100,
            digest: [0; 16],
            base_position: 0,
            end_position: 0,
            first_sequence: 0,
            next_sequence: 1,
            events: 1,
            min_time: Timestamp(0),
            max_time: Timestamp(seconds * SECOND_NS),
        };
        vec![record(1, 10), record(2, 20), record(3, 15), record(4, 40)]
    }

    fn after(age_s_max: Option<u64>, store_bytes_max: Option<u64>, now_s: i64) -> usize {
        let retention = Retention { age_s_max, store_bytes_max };
        retired(&segments(), &retention, Timestamp(now_s * SECOND_NS), 50)
    }

    #[test]
    fn by_default_nothing_goes() {
        assert_eq!(after(None, None, 1 << 30), 0);
    }

    #[test]
    fn segments_go_when_their_newest_event_is_too_old() {
        assert_eq!(after(Some(5), None, 15), 0);
        assert_eq!(after(Some(5), None, 16), 1);
        assert_eq!(after(Some(5), None, 25), 1);
        assert_eq!(after(Some(5), None, 26), 3);
        assert_eq!(after(Some(5), None, 1_000), 4);
    }

    #[test]
    fn the_oldest_segments_go_while_the_store_is_too_large() {
        assert_eq!(after(None, Some(450), 0), 0);
        assert_eq!(after(None, Some(449), 0), 1);
        assert_eq!(after(None, Some(250), 0), 2);
        assert_eq!(after(None, Some(0), 0), 4);
    }
}

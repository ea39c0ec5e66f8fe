//! What an answer cost, told on stderr: every index proves that it earns its bytes.

use annal::query::Scanned;

use super::super::remote::ScannedAnswer;
use crate::terminal::{bytes, count, duration};

/// The costs of all pages together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Lines that were printed.
    pub(super) given: u64,
    /// More events match than were given.
    pub(super) truncated: bool,
    scanned: Scanned,
}

impl Tally {
    pub(super) fn add(&mut self, scanned: &Scanned) {
        self.scanned += *scanned;
    }

    pub(super) fn add_remote(&mut self, scanned: &ScannedAnswer) {
        self.scanned += Scanned {
            segments: scanned.segments,
            segments_pruned: scanned.segments_pruned,
            frames: scanned.frames,
            frames_pruned: scanned.frames_pruned,
            events_read: scanned.events_read,
            events_matched: scanned.events_matched,
            bytes_read: scanned.bytes_read,
        };
    }

    pub(super) fn tell(&self, elapsed_ns: u64) {
        let s = &self.scanned;
        let more = if self.truncated { " (more match: raise --limit)" } else { "" };
        eprintln!(
            "{} given{more}, {} matched of {} read in {}; pruned {} of {} segments, {} of {} \
             frames; {}",
            count(self.given),
            count(s.events_matched),
            count(s.events_read),
            bytes(s.bytes_read),
            count(s.segments_pruned),
            count(s.segments),
            count(s.frames_pruned),
            count(s.frames),
            duration(i64::try_from(elapsed_ns).unwrap_or(i64::MAX)),
        );
    }
}

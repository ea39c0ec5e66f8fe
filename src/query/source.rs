//! Where frames come from: a snapshot's segments, or a test's. Planning and scanning see no more
//! than this.

use std::sync::Arc;

use crate::column::{BatchView, SeriesTotals};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::FrameHeader;
use crate::index::minutes::Minute;
use crate::segment::{Directory, FrameEntry};
use crate::store::{SegmentAttributes, SegmentLinks, SegmentView, Snapshot, Workers};
use crate::time::{TimeRange, Timestamp};

/// Frames that are found through one directory.
pub(super) trait Segment: Sync {
    /// Its id.
    fn id(&self) -> u64;
    /// Its file, for errors and scan units.
    fn file_name(&self) -> &str;
    /// Digest of its file; `None` while it grows.
    fn digest(&self) -> Option<[u8; 16]>;
    /// Least and greatest time; `None` without events.
    fn times(&self) -> Option<(Timestamp, Timestamp)>;
    /// First sequence and the one after the last.
    fn sequences(&self) -> (u64, u64);
    /// Whether a frame may hold events of the range; false is certain.
    fn may_overlap(&self, range: &TimeRange) -> Result<bool>;
    /// Where in the file a frame's header stands.
    fn offset(&self, entry: &FrameEntry) -> u64;
    /// Its frames, and maybe newer ones.
    fn directory(&self) -> Result<Arc<Directory>>;
    /// How many of the directory's frames may be seen.
    fn frames_visible(&self) -> usize;
    /// Totals per series, if the segment has them at hand.
    fn series_totals(&self) -> Result<Option<Vec<SeriesTotals>>> {
        Ok(None)
    }
    /// Calls back with totals per source and minute, if the segment has them; else false.
    fn minutes(&self, _each: &mut dyn FnMut(&str, i64, Minute)) -> Result<bool> {
        Ok(false)
    }
    /// Which attributes its frames have, if it knows.
    fn attributes(&self) -> Result<Option<SegmentAttributes>> {
        Ok(None)
    }
    /// Which traces its frames link to, if it knows.
    fn links(&self) -> Result<Option<SegmentLinks>> {
        Ok(None)
    }
    /// Reads a frame.
    fn read(&self, entry: &FrameEntry) -> Result<(FrameHeader, Arc<BatchView>)>;
}

/// Segments at one moment.
pub(super) struct Source<'a, S> {
    /// Identity of the store.
    pub(super) store_id: [u8; 16],
    /// Version of its manifest.
    pub(super) manifest_version: u64,
    /// First sequence that is not visible.
    pub(super) next_sequence: u64,
    /// The segments, in order of id.
    pub(super) segments: &'a [S],
    /// Who may help with a long scan.
    pub(super) workers: Option<&'a Workers>,
}

impl Snapshot {
    pub(super) fn source(&self) -> Source<'_, SegmentView> {
        Source {
            store_id: self.store_id(),
            manifest_version: self.manifest_version(),
            next_sequence: self.next_sequence(),
            segments: self.segments(),
            workers: Some(self.workers()),
        }
    }
}

impl Segment for SegmentView {
    fn id(&self) -> u64 {
        self.id()
    }

    fn file_name(&self) -> &str {
        self.file_name()
    }

    fn digest(&self) -> Option<[u8; 16]> {
        self.digest()
    }

    fn times(&self) -> Option<(Timestamp, Timestamp)> {
        self.times()
    }

    fn sequences(&self) -> (u64, u64) {
        self.sequences()
    }

    fn may_overlap(&self, range: &TimeRange) -> Result<bool> {
        match self.times() {
            None => Ok(false),
            // The sparse time index is worth a look only where a part may be left out.
            Some((min, max)) if range.contains(min) || range.contains(max) => Ok(true),
            Some(_) => Ok(!self.frames_overlapping(range)?.is_empty()),
        }
    }

    fn offset(&self, entry: &FrameEntry) -> u64 {
        self.offset(entry)
    }

    fn directory(&self) -> Result<Arc<Directory>> {
        self.directory()
    }

    fn frames_visible(&self) -> usize {
        self.frames_visible()
    }

    fn series_totals(&self) -> Result<Option<Vec<SeriesTotals>>> {
        self.series_totals()
    }

    fn minutes(&self, each: &mut dyn FnMut(&str, i64, Minute)) -> Result<bool> {
        self.minutes(each)
    }

    fn attributes(&self) -> Result<Option<SegmentAttributes>> {
        self.attributes()
    }

    fn links(&self) -> Result<Option<SegmentLinks>> {
        self.links()
    }

    fn read(&self, entry: &FrameEntry) -> Result<(FrameHeader, Arc<BatchView>)> {
        self.read(entry)
    }
}

/// An error from decoding a stored column: it passed validation once, so the bytes are damaged.
pub(super) fn damaged(error: Error, segment: &impl Segment, entry: &FrameEntry) -> Error {
    let judged = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io);
    if judged && error.file().is_some() {
        return error;
    }
    let what = format!("a column does not decode: {error}");
    Error::corrupt(what).in_file(segment.file_name()).at(segment.offset(entry))
}

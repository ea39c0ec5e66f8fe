//! A pinned view of everything durable at one moment: segments with their directories, and frames.

use std::sync::Arc;

use crate::column::BatchView;
use crate::error::Result;
use crate::event::TraceId;
use crate::format::frame::FrameHeader;
use crate::segment::{Directory, FrameEntry};
use crate::time::Timestamp;

/// Cheap to clone; pins its files.
#[derive(Clone)]
pub struct Snapshot {}

/// A segment as a snapshot sees it; frames beyond the snapshot's watermark are not shown.
#[derive(Clone)]
pub struct SegmentView {}

impl Snapshot {
    /// Log segments in order of id, the active one last.
    #[must_use]
    pub fn segments(&self) -> &[SegmentView] {
        todo!("store")
    }

    /// Version of the manifest it was taken under.
    #[must_use]
    pub fn manifest_version(&self) -> u64 {
        todo!("store")
    }

    /// Identity of the store.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        todo!("store")
    }

    /// First sequence that is not visible.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        todo!("store")
    }
}

impl SegmentView {
    /// The segment's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        todo!("store")
    }

    /// Its file's name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        todo!("store")
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> u64 {
        todo!("store")
    }

    /// Least and greatest time; `None` without events.
    #[must_use]
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        todo!("store")
    }

    /// First sequence and the one after the last.
    #[must_use]
    pub fn sequences(&self) -> (u64, u64) {
        todo!("store")
    }

    /// Its frames; from memory, the cache or the footer. That of the active segment grows: only the
    /// first [`SegmentView::frames_visible`] belong to the snapshot.
    pub fn directory(&self) -> Result<Arc<Directory>> {
        todo!("store")
    }

    /// Number of batch frames that are visible: a prefix of the directory's. No directory is read.
    #[must_use]
    pub fn frames_visible(&self) -> usize {
        todo!("store")
    }

    /// The visible frames of the segment's directory, in order of position.
    pub fn frames<'a>(
        &self,
        directory: &'a Directory,
    ) -> impl DoubleEndedIterator<Item = &'a FrameEntry> + use<'a> {
        (0..self.frames_visible()).filter_map(|index| directory.frames.get(index))
    }

    /// Whether the segment may hold events of the trace; false is certain.
    pub fn may_contain_trace(&self, id: &TraceId) -> Result<bool> {
        let _ = id;
        todo!("store")
    }

    /// Reads a frame, checks its checksum (on first use) and opens it. `Corrupt` names file and
    /// offset.
    pub fn read(&self, entry: &FrameEntry) -> Result<(FrameHeader, BatchView)> {
        let _ = entry;
        todo!("store")
    }
}

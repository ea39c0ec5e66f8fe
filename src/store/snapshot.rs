//! A pinned view of everything durable at one moment: segments with their directories, and frames.

use std::sync::Arc;

use crate::column::{BatchView, SeriesTotals};
use crate::error::Result;
use crate::event::TraceId;
use crate::format::footer::Section;
use crate::format::frame::FrameHeader;
use crate::index::minutes::Minute;
use crate::index::trace_hash;
use crate::segment::{Directory, FrameEntry};
use crate::storage::Region;
use crate::store::version::{Form, ReadContext, SegmentAttributes, SegmentLinks, Visible};
use crate::store::workers::Workers;
use crate::time::{TimeRange, Timestamp};

/// Cheap to clone; pins its files.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    store_id: [u8; 16],
    manifest_number: u64,
    next_sequence: u64,
    segments: Vec<SegmentView>,
    context: Arc<ReadContext>,
}

/// A segment as a snapshot sees it; frames beyond the snapshot's watermark are not shown.
#[derive(Clone)]
pub struct SegmentView {
    visible: Visible,
    context: Arc<ReadContext>,
}

impl Snapshot {
    pub(crate) fn new(
        store_id: [u8; 16],
        manifest_number: u64,
        next_sequence: u64,
        segments: impl Iterator<Item = Visible>,
        context: &Arc<ReadContext>,
    ) -> Snapshot {
        let view = |visible| SegmentView { visible, context: context.clone() };
        let segments = segments.map(view).collect();
        let context = context.clone();
        let inner = Inner { store_id, manifest_number, next_sequence, segments, context };
        Snapshot { inner: Arc::new(inner) }
    }

    /// Who may help with a long scan.
    pub(crate) fn workers(&self) -> &Workers {
        &self.inner.context.workers
    }

    /// Segments in the order of the log, compacted or not, the active one last.
    #[must_use]
    pub fn segments(&self) -> &[SegmentView] {
        &self.inner.segments
    }

    /// Version of the manifest it was taken under.
    #[must_use]
    pub fn manifest_version(&self) -> u64 {
        self.inner.manifest_number
    }

    /// Identity of the store.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.inner.store_id
    }

    /// First sequence that is not visible.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.inner.next_sequence
    }
}

impl SegmentView {
    /// The segment's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.visible.segment.segment_id
    }

    /// Whether it holds blocks, made by compaction, instead of batches as they came.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        self.visible.segment.compacted
    }

    /// Its file's name.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.visible.segment.pin.name
    }

    /// Digest of the file; `None` while it grows or waits for its footer.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 16]> {
        match &self.visible.segment.form {
            Form::Sealed { digest, .. } => Some(*digest),
            Form::Open { .. } => None,
        }
    }

    /// What its footer lists; `None` while it grows or waits for its footer.
    #[must_use]
    pub fn sections(&self) -> Option<&[Section]> {
        match &self.visible.segment.form {
            Form::Sealed { sections, .. } => Some(sections),
            Form::Open { .. } => None,
        }
    }

    /// Where in the file a frame's header stands.
    #[must_use]
    pub fn offset(&self, entry: &FrameEntry) -> u64 {
        entry.position.saturating_sub(self.visible.segment.base_position)
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.visible.summary.events
    }

    /// Bytes of header and frames that are visible.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.visible.summary.end_position - self.visible.summary.base_position
    }

    /// Least and greatest time; `None` without events.
    #[must_use]
    pub fn times(&self) -> Option<(Timestamp, Timestamp)> {
        let summary = &self.visible.summary;
        (summary.events > 0).then_some((summary.min_time, summary.max_time))
    }

    /// First sequence and the one after the last.
    #[must_use]
    pub fn sequences(&self) -> (u64, u64) {
        (self.visible.summary.first_sequence, self.visible.summary.next_sequence)
    }

    /// Its frames; from memory, the cache or the footer. That of the active segment grows: only the
    /// first [`SegmentView::frames_visible`] belong to the snapshot.
    pub fn directory(&self) -> Result<Arc<Directory>> {
        self.visible.segment.directory(&self.visible.summary, &self.context)
    }

    /// Number of batch frames that are visible: a prefix of the directory's. No directory is read.
    #[must_use]
    pub fn frames_visible(&self) -> usize {
        usize::try_from(self.visible.summary.frames).unwrap_or(usize::MAX)
    }

    /// The visible frames of the segment's directory, in order of position.
    pub fn frames<'a>(
        &self,
        directory: &'a Directory,
    ) -> impl DoubleEndedIterator<Item = &'a FrameEntry> + use<'a> {
        (0..self.frames_visible()).filter_map(|index| directory.frames.get(index))
    }

    /// Indexes of the frames that may hold events of the range, ascending; of a sealed segment from
    /// its sparse time index alone, without its directory.
    pub fn frames_overlapping(&self, range: &TimeRange) -> Result<Vec<u32>> {
        if self.times().is_none_or(|(min, max)| !range.overlaps(min, max)) {
            return Ok(Vec::new());
        }
        if let Some(index) = self.visible.segment.time_index(&self.context)? {
            return index.overlapping(range);
        }
        let directory = self.directory()?;
        let frames = self.frames(&directory);
        Ok(frames.filter(|f| range.overlaps(f.min_time, f.max_time)).map(|f| f.index).collect())
    }

    /// Whether the segment may hold events of the trace; false is certain.
    pub fn may_contain_trace(&self, id: &TraceId) -> Result<bool> {
        let hash = trace_hash(id);
        let directory = self.directory()?;
        Ok(self.frames(&directory).any(|f| f.traces.may_contain(hash)))
    }

    /// Totals per series of a compacted segment, without reading an event.
    pub fn series_totals(&self) -> Result<Option<Vec<SeriesTotals>>> {
        self.visible.segment.series_totals(&self.context)
    }

    /// Calls back with the totals per source and minute of a compacted segment, ascending, without
    /// reading an event: source, number of the minute since the epoch, what happened. False if it has
    /// none.
    pub fn minutes(&self, each: &mut dyn FnMut(&str, i64, Minute)) -> Result<bool> {
        self.visible.segment.minutes(&self.context, self.visible.summary.events, each)
    }

    /// Which attributes the blocks of a compacted segment have; `None` if that is not known.
    pub fn attributes(&self) -> Result<Option<SegmentAttributes>> {
        self.visible.segment.attributes(&self.context)
    }

    /// Which traces the blocks of a compacted segment link to; `None` if that is not known.
    pub fn links(&self) -> Result<Option<SegmentLinks>> {
        self.visible.segment.links(&self.context)
    }

    /// A frame's header and payload as stored, checked as by [`SegmentView::read`].
    pub fn read_payload(&self, entry: &FrameEntry) -> Result<(FrameHeader, Region)> {
        self.visible.segment.frame(entry, self.visible.summary.frames, &self.context)
    }

    /// Opens a frame, its checksum checked, unless it is open still from the last time. `Corrupt`
    /// names file and offset.
    pub fn read(&self, entry: &FrameEntry) -> Result<(FrameHeader, Arc<BatchView>)> {
        let segment = &self.visible.segment;
        let open = || segment.read(entry, self.visible.summary.frames, &self.context);
        self.context.views.get((segment.salt, entry.index), open)
    }
}

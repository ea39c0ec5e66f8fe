//! What a segment knows of its frames without reading them. In memory for the active segment, in
//! the footer of a sealed one: the same thing twice.

use std::sync::{Arc, OnceLock};

use crate::column::Series;
use crate::event::ProducerId;
use crate::index::{TraceFilter, TraceFilters};
use crate::segment::AppendVec;
use crate::time::Timestamp;

/// One batch frame of a segment.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameEntry {
    /// Its place among the batch frames of the segment, from 0.
    pub index: u32,
    /// Logical position of the frame's header.
    pub position: u64,
    /// Bytes of the payload as stored.
    pub stored_length: u32,
    /// Sequence of its first event.
    pub first_sequence: u64,
    /// Number of events.
    pub events: u32,
    /// When the store received it.
    pub received: Timestamp,
    /// Least time of its events.
    pub min_time: Timestamp,
    /// Greatest time of its events.
    pub max_time: Timestamp,
    /// Who made it; all zero if nobody retries it.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub epoch: u32,
    /// The producer's counter.
    pub batch_number: u64,
    /// Indexes into [`Directory::series`], ascending.
    pub series: Arc<[u32]>,
    /// Traces, own and linked.
    pub traces: TraceFilter,
}

/// All batch frames of a segment, in order of position. That of the active segment grows while it
/// is read: a snapshot knows how many frames of it are visible.
#[derive(Debug, Default)]
pub struct Directory {
    /// Distinct series of the segment, in order of first appearance.
    pub series: AppendVec<Series>,
    /// The frames.
    pub frames: AppendVec<FrameEntry>,
    /// See [`Directory::trace_filters`].
    pub filters: OnceLock<TraceFilters>,
}

impl Directory {
    /// The trace filters of all frames, to be asked at once. Only of a segment that grows no more.
    pub fn trace_filters(&self) -> &TraceFilters {
        self.filters.get_or_init(|| TraceFilters::of(self.frames.iter().map(|frame| &frame.traces)))
    }
}

impl PartialEq for Directory {
    fn eq(&self, other: &Directory) -> bool {
        // The filters are those of the frames.
        self.series == other.series && self.frames == other.frames
    }
}

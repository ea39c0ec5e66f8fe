//! Questions over a snapshot: what happened between these instants, of this type, from this source,
//! in this trace. Sees snapshots, never storage.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Result;
use crate::event::{Event, Signal, TraceId};
use crate::store::Snapshot;
use crate::time::TimeRange;

/// In which order events come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Descending (time, sequence).
    #[default]
    Newest,
    /// Ascending (time, sequence).
    Oldest,
}

/// Where a page ended: the next page goes on behind it, among the events that were visible then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the last event given.
    pub time: crate::Timestamp,
    /// Its sequence.
    pub sequence: u64,
    /// First sequence that the first page did not see.
    pub upper_sequence: u64,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    /// Events of these times.
    pub range: TimeRange,
    /// Of this source.
    pub source: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this signal.
    pub signal: Option<Signal>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// Most events to give.
    pub limit: usize,
    /// In this order.
    pub order: Order,
    /// Behind this event.
    pub cursor: Option<Cursor>,
    /// Stop with `Deadline` after this many milliseconds.
    pub deadline_ms: u64,
    /// Stop (and say so) when the events given exceed this many bytes.
    pub bytes_max: usize,
    /// Stop with `Cancelled` when this turns true.
    pub cancel: Option<Arc<AtomicBool>>,
}

/// What was read and what was pruned: every index proves that it earns its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Segments of the snapshot.
    pub segments: u64,
    /// Segments left out by their times or summaries.
    pub segments_pruned: u64,
    /// Frames of the segments that were looked at.
    pub frames: u64,
    /// Frames left out by times, series or trace filter.
    pub frames_pruned: u64,
    /// Events in the frames that were read.
    pub events_read: u64,
    /// Events that matched.
    pub events_matched: u64,
    /// Stored bytes read.
    pub bytes_read: u64,
}

/// Events and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The events, in the order asked for (QRY-1).
    pub events: Vec<Event>,
    /// Where the next page begins, if there may be one.
    pub next: Option<Cursor>,
    /// More events match than were given.
    pub truncated: bool,
    /// What it cost.
    pub scanned: Scanned,
}

impl Snapshot {
    /// Answers with events.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        let _ = query;
        todo!("query")
    }

    /// All events of a trace, by (time, sequence).
    pub fn trace(&self, id: TraceId) -> Result<Answer> {
        let _ = id;
        todo!("query")
    }

    /// The event with this sequence, while it is kept.
    pub fn event(&self, sequence: u64) -> Result<Option<Event>> {
        let _ = sequence;
        todo!("query")
    }
}

//! A batch that is fit to be appended: its payload was validated completely, or was built here.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::event::ProducerId;
use crate::format::frame::FrameHeader;
use crate::time::Timestamp;

/// A (source, type) pair.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// Where events came from.
    pub source: String,
    /// What kind of events.
    pub event_type: String,
}

/// What the frame directory needs to know of a batch without reading it again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchSummary {
    /// Distinct series, sorted.
    pub series: Vec<Series>,
    /// `index::trace_hash` of each distinct trace id, own and linked, sorted.
    pub trace_hashes: Vec<u64>,
    /// Sum of the bytes of all values over all events.
    pub expanded_bytes: u64,
}

/// Events submitted together, encoded and checked.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) header: FrameHeader,
    pub(crate) payload: Bytes,
    pub(crate) summary: Arc<BatchSummary>,
}

impl Batch {
    /// Validates a frame from outside completely: each column is decoded once, and what the header
    /// claims must be what was found. The store's fields must be zero. `now` bounds the times.
    pub fn from_frame(header: FrameHeader, payload: Bytes, now: Timestamp) -> Result<Batch> {
        let _ = (header, payload, now);
        todo!("column")
    }

    /// The header as the producer would send it.
    #[must_use]
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The payload as stored.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// What the frame directory keeps.
    #[must_use]
    pub fn summary(&self) -> &BatchSummary {
        &self.summary
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> usize {
        self.header.events as usize
    }

    /// Bytes of the whole frame in the log.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        self.header.frame_bytes()
    }

    /// Says who made the batch, so that a retry is recognised.
    #[must_use]
    pub fn numbered(mut self, producer: ProducerId, epoch: u32, number: u64) -> Batch {
        self.header.producer_id = producer;
        self.header.epoch = epoch;
        self.header.batch_number = number;
        self
    }
}

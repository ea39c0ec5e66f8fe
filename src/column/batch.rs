//! A batch that is fit to be appended: its payload was validated completely, or was built here.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::crc32;
use crate::column::builder::check_time;
use crate::column::payload::Directory;
use crate::column::{compress, validate};
use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::format::frame::{FrameHeader, FrameKind};
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
        check_wire_header(&header)?;
        if payload.len() != header.stored_length as usize {
            let what = format!("{} bytes, stored_length {}", payload.len(), header.stored_length);
            return Err(Error::invalid(what).in_field("stored_length"));
        }
        if crc32(&payload) != header.payload_crc {
            return Err(Error::invalid("the payload's checksum is wrong").in_field("payload_crc"));
        }
        let raw = compress::decompress(header.codec, &payload, header.raw_length as usize)?;
        let found = validate::validate(&raw, &Directory::decode(&raw)?)?;
        let claims = [
            ("events", i64::from(header.events), found.events as i64),
            ("min_time", header.min_time.0, found.min_time.0),
            ("max_time", header.max_time.0, found.max_time.0),
        ];
        for (field, claimed, found) in claims {
            if claimed != found {
                let what = format!("the header claims {claimed}, the payload has {found}");
                return Err(Error::invalid(what).in_field(field));
            }
        }
        check_time(found.min_time, now)?;
        check_time(found.max_time, now)?;
        Ok(Batch { header, payload, summary: Arc::new(found.summary) })
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

/// What a producer may say in a header: the store's fields are the store's.
fn check_wire_header(header: &FrameHeader) -> Result<()> {
    if header.kind != FrameKind::Batch {
        return Err(Error::invalid("the frame is no batch").in_field("kind"));
    }
    let stamped = [
        ("salt", header.salt),
        ("segment_id", header.segment_id),
        ("position", header.position),
        ("durable_position", header.durable_position),
        ("first_sequence", header.first_sequence),
        ("received", header.received.0 as u64),
        ("flags", u64::from(header.flags)),
    ];
    for (field, value) in stamped {
        if value != 0 {
            return Err(Error::invalid(format!("{value}; a producer sends 0")).in_field(field));
        }
    }
    header.check_limits()
}

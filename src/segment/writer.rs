//! Writes the active segment: a header, then groups of frames, all within the declared length.
//!
//! A group is stamped, written and synced here, and only then counted: until [`LogWriter::sync`]
//! has returned, the writer stands where the last durable group ended and can be set back.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::column::{Batch, Series};
use crate::error::Result;
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, frame_bytes};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::index::TraceFilter;
use crate::segment::scan::{DirectoryBuilder, Scan};
use crate::segment::tail::TailBound;
use crate::segment::{Directory, FrameEntry, SegmentSummary};
use crate::storage::{File, write_all_at};
use crate::time::Timestamp;

/// Bytes collected before they are handed to the kernel: few calls, and they stay in the cache.
const WRITE_BYTES: usize = 1 << 20;

/// The active segment's end; see the module.
pub(crate) struct LogWriter {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn File>,
    pub(crate) summary: SegmentSummary,
    pub(crate) digest: Xxh3,
    pub(crate) ends_with_watermark: bool,
    builder: DirectoryBuilder,
    buffer: Vec<u8>,
    group: Group,
}

/// What has been written since the last sync.
#[derive(Default)]
struct Group {
    position: u64,
    next_sequence: u64,
    digest: Option<Xxh3>,
    entries: Vec<FrameEntry>,
    watermark: bool,
}

impl LogWriter {
    /// Begins a segment in a new file: allocates it and writes the header.
    pub(crate) fn begin_file(file: Arc<dyn File>, header: SegmentHeader) -> Result<LogWriter> {
        file.allocate(header.declared_length)?;
        let bytes = header.encode();
        write_all_at(&*file, 0, &bytes)?;
        let mut digest = Xxh3::new();
        digest.update(&bytes);
        Ok(LogWriter {
            summary: SegmentSummary::empty(&header),
            header,
            file,
            digest,
            ends_with_watermark: false,
            builder: DirectoryBuilder::new(),
            buffer: Vec::new(),
            group: Group::default(),
        })
    }

    /// Goes on behind what a scan found in a file that was copied and synced.
    pub(crate) fn resume(header: SegmentHeader, file: Arc<dyn File>, scan: Scan) -> LogWriter {
        LogWriter {
            header,
            file,
            summary: scan.summary,
            digest: scan.digest,
            ends_with_watermark: scan.ends_with_watermark,
            builder: scan.builder,
            buffer: Vec::new(),
            group: Group::default(),
        }
    }

    /// The frames so far, shared with readers.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.builder.directory
    }

    /// Room for another group.
    pub(crate) fn room(&self) -> Room {
        Room {
            used: self.summary.end_position - self.header.base_position,
            tail: self.builder.bound,
            length: self.header.declared_length,
        }
    }

    /// Whether the directory has the series already.
    pub(crate) fn knows(&self, series: &Series) -> bool {
        self.builder.knows(series)
    }

    /// Starts a group behind the last durable one: everything before it is durable.
    pub(crate) fn begin(&mut self, next_sequence: u64) {
        self.buffer.clear();
        self.group = Group {
            position: self.summary.end_position,
            next_sequence,
            digest: Some(self.digest.clone()),
            entries: Vec::new(),
            watermark: false,
        };
    }

    /// Stamps a batch and adds it to the group; says its first sequence.
    pub(crate) fn put(
        &mut self,
        batch: &Batch,
        traces: TraceFilter,
        received: Timestamp,
    ) -> Result<u64> {
        let mut header = batch.header;
        header.received = received;
        let first_sequence = self.stamp(&mut header, &batch.payload)?;
        let entry = self.builder.entry(&header, &batch.summary.series, traces);
        self.group.entries.push(entry);
        Ok(first_sequence)
    }

    /// Adds a watermark frame, so that the durability of what is before it is on record.
    pub(crate) fn put_watermark(&mut self, received: Timestamp) -> Result<()> {
        let mut header =
            FrameHeader { kind: FrameKind::Watermark, received, ..FrameHeader::default() };
        self.group.watermark = true;
        self.stamp(&mut header, &[]).map(drop)
    }

    fn stamp(&mut self, header: &mut FrameHeader, payload: &[u8]) -> Result<u64> {
        header.salt = self.header.salt;
        header.segment_id = self.header.segment_id;
        header.position = self.group.position;
        header.durable_position = self.summary.end_position;
        header.first_sequence = self.group.next_sequence;
        self.buffer.extend_from_slice(&header.encode());
        let padding = header.frame_bytes() as usize - FRAME_HEADER_BYTES - payload.len();
        self.buffer.extend_from_slice(payload);
        self.buffer.resize(self.buffer.len() + padding, 0);
        self.group.position += header.frame_bytes();
        self.group.next_sequence += u64::from(header.events);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(header.first_sequence)
    }

    fn flush(&mut self) -> Result<()> {
        let start = self.group.position - self.buffer.len() as u64;
        write_all_at(&*self.file, start - self.header.base_position, &self.buffer)?;
        if let Some(digest) = &mut self.group.digest {
            digest.update(&self.buffer);
        }
        self.buffer.clear();
        Ok(())
    }

    /// Hands the rest of the group to the kernel. An error leaves the writer where it was.
    pub(crate) fn write(&mut self) -> Result<()> {
        let result = self.flush();
        self.buffer.shrink_to(2 * WRITE_BYTES);
        result
    }

    /// Makes the group durable and counts it: from here on it belongs to the segment.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.sync_data()?;
        for entry in std::mem::take(&mut self.group.entries) {
            self.summary.add(&entry);
            self.builder.push(entry);
        }
        self.summary.end_position = self.group.position;
        if let Some(digest) = self.group.digest.take() {
            self.digest = digest;
        }
        self.ends_with_watermark = self.group.watermark;
        Ok(())
    }

    /// After a failed write: makes sure that no frame of the lost group can ever be read as part of
    /// the log, by putting zeroes where the first of them may stand.
    pub(crate) fn void_group(&mut self) -> Result<()> {
        self.group = Group::default();
        self.buffer.clear();
        let offset = self.summary.end_position - self.header.base_position;
        write_all_at(&*self.file, offset, &[0; FRAME_HEADER_BYTES])?;
        self.file.sync_data()
    }
}

/// How much still fits into a segment, the footer and a last watermark frame included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    used: u64,
    tail: TailBound,
    length: u64,
}

impl Room {
    /// In a new segment of this length.
    pub(crate) fn of_new(length: u64) -> Room {
        Room { used: SEGMENT_HEADER_BYTES as u64, tail: TailBound::default(), length }
    }

    /// Takes room for a batch, without looking whether there is any.
    pub(crate) fn take(
        &mut self,
        batch: &Batch,
        filter_bytes: usize,
        known: impl Fn(&Series) -> bool,
    ) {
        self.used += batch.frame_bytes();
        self.tail.add_frame(batch.summary.series.len(), filter_bytes);
        for series in batch.summary.series.iter().filter(|s| !known(s)) {
            self.tail.add_series(&series.source, &series.event_type);
        }
    }

    /// Bytes that all of it needs, with the tail and one watermark frame to come.
    pub(crate) fn needed(&self) -> u64 {
        self.used + frame_bytes(0) + self.tail.bytes()
    }

    /// Whether all of it fits.
    pub(crate) fn fits(&self) -> bool {
        self.needed() <= self.length
    }
}

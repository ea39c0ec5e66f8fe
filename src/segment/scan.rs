//! Walks the frames of a segment that has no footer to trust: recovery's eyes (REC-1).
//!
//! 1. From the first frame on, each frame whose header and payload are valid belongs to the prefix.
//! 2. The first invalid position ends it. What stands behind is searched for later valid headers of
//!    this very file (salt, segment and position make a false one negligible): what they record as
//!    durable tells a torn tail from corruption.
//!
//! Nothing is decided here and nothing is changed. See `storage-format.md`, "Verdicts at open".

use std::collections::HashMap;

use xxhash_rust::xxh3::Xxh3;

use crate::codec::crc32;
use crate::column::{BatchSummary, BatchView, Series};
use crate::error::Result;
use crate::format::frame::{FRAME_ALIGN, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, FrameKind};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::index::TraceFilter;
use crate::segment::tail::{TailBound, damaged};
use crate::segment::window::Window;
use crate::segment::{Directory, FrameEntry, SegmentSummary};
use crate::storage::File;

/// Collects directory, summary and bounds of a segment, frame by frame.
#[derive(Debug)]
pub(crate) struct DirectoryBuilder {
    pub(crate) directory: std::sync::Arc<Directory>,
    pub(crate) bound: TailBound,
    series: HashMap<Series, u32>,
}

impl DirectoryBuilder {
    pub(crate) fn new() -> DirectoryBuilder {
        DirectoryBuilder {
            directory: std::sync::Arc::default(),
            bound: TailBound::default(),
            series: HashMap::new(),
        }
    }

    /// Whether the series is in the directory already.
    pub(crate) fn knows(&self, series: &Series) -> bool {
        self.series.contains_key(series)
    }

    /// The entry of a stamped frame, to be pushed once it is durable; its series are added at once.
    pub(crate) fn entry(
        &mut self,
        header: &FrameHeader,
        series: &[Series],
        traces: TraceFilter,
    ) -> FrameEntry {
        let mut indexes: Vec<u32> = series.iter().map(|s| self.intern(s)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        FrameEntry {
            index: 0,
            position: header.position,
            stored_length: header.stored_length,
            first_sequence: header.first_sequence,
            events: header.events,
            received: header.received,
            min_time: header.min_time,
            max_time: header.max_time,
            producer_id: header.producer_id,
            epoch: header.epoch,
            batch_number: header.batch_number,
            series: indexes.into(),
            traces,
        }
    }

    /// Appends an entry.
    pub(crate) fn push(&mut self, mut entry: FrameEntry) {
        entry.index = u32::try_from(self.directory.frames.len()).unwrap_or(u32::MAX);
        self.bound.add_entry(&entry);
        self.directory.frames.push(entry);
    }

    fn intern(&mut self, series: &Series) -> u32 {
        if let Some(&index) = self.series.get(series) {
            return index;
        }
        self.bound.add_series(&series.source, &series.event_type);
        let index = self.directory.series.push(series.clone());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        self.series.insert(series.clone(), index);
        index
    }
}

/// What a scan found.
pub(crate) struct Scan {
    pub(crate) builder: DirectoryBuilder,
    /// Of the valid prefix; `end_position` is the first invalid position.
    pub(crate) summary: SegmentSummary,
    /// Digest of header and prefix.
    pub(crate) digest: Xxh3,
    /// Greatest durable position that any valid header records, behind the prefix too.
    pub(crate) durable_position: u64,
    /// Behind the greatest sequence in any valid header.
    pub(crate) next_sequence: u64,
    /// Behind the last frame of which a valid header was found; at least the prefix's end.
    pub(crate) torn_end: u64,
    /// Whether the last frame of the prefix is a watermark frame.
    pub(crate) ends_with_watermark: bool,
}

/// Walks a segment up to `until` (an offset; the file's end if none), which ends the prefix too.
pub(crate) fn scan(file: &dyn File, header: &SegmentHeader, until: u64) -> Result<Scan> {
    let mut window = Window::new(file, until);
    let mut found = Scan {
        builder: DirectoryBuilder::new(),
        summary: SegmentSummary::empty(header),
        digest: Xxh3::new(),
        durable_position: 0,
        next_sequence: header.base_sequence,
        torn_end: header.first_frame_position(),
        ends_with_watermark: false,
    };
    if let Some(bytes) = window.get(0, SEGMENT_HEADER_BYTES)? {
        found.digest.update(bytes);
    }
    let mut offset = SEGMENT_HEADER_BYTES as u64;
    while let Some(frame) = frame_at(&mut window, header, offset)? {
        if frame.first_sequence < found.summary.next_sequence {
            break;
        }
        found.note(&frame);
        let length = usize::try_from(frame.frame_bytes()).unwrap_or(usize::MAX);
        let Some(bytes) = window.get(offset, length)? else { break };
        found.digest.update(bytes);
        found.ends_with_watermark = frame.kind == FrameKind::Watermark;
        if frame.kind == FrameKind::Batch {
            let payload = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
            let payload = payload.get(..frame.stored_length as usize).unwrap_or_default();
            let batch = summarise(&frame, payload).map_err(|e| damaged(e, offset))?;
            let filter = TraceFilter::of(&batch.trace_hashes);
            let entry = found.builder.entry(&frame, &batch.series, filter);
            found.summary.add(&entry);
            found.builder.push(entry);
        }
        offset += frame.frame_bytes();
        found.summary.end_position = header.base_position + offset;
    }
    // These are only noted, never kept.
    each_header(&mut window, header, offset, |frame| {
        found.note(frame);
        true
    })?;
    Ok(found)
}

impl Scan {
    fn note(&mut self, frame: &FrameHeader) {
        self.durable_position = self.durable_position.max(frame.durable_position);
        let next = frame.first_sequence.saturating_add(u64::from(frame.events));
        self.next_sequence = self.next_sequence.max(next);
        self.torn_end = self.torn_end.max(frame.position.saturating_add(frame.frame_bytes()));
    }
}

/// The header of the frame at an offset, if header, place and payload are what was written.
pub(crate) fn frame_at(
    window: &mut Window<'_>,
    header: &SegmentHeader,
    offset: u64,
) -> Result<Option<FrameHeader>> {
    let Some(bytes) = window.get(offset, FRAME_HEADER_BYTES)? else { return Ok(None) };
    let Some(frame) = own_header(bytes, header, offset) else { return Ok(None) };
    let has_events = matches!(frame.kind, FrameKind::Batch | FrameKind::Block);
    if !has_events && (frame.stored_length != 0 || frame.events != 0)
        || frame.kind == FrameKind::Batch && frame.events == 0
    {
        return Ok(None);
    }
    // Blocks stand in compacted segments, and nothing else does.
    if (frame.kind == FrameKind::Block) != header.compacted {
        return Ok(None);
    }
    let length = usize::try_from(frame.frame_bytes()).unwrap_or(usize::MAX);
    let Some(bytes) = window.get(offset, length)? else { return Ok(None) };
    if frame.kind == FrameKind::Block {
        // Its parts have checksums of their own.
        return Ok((frame.events > 0).then_some(frame));
    }
    let payload = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
    let payload = payload.get(..frame.stored_length as usize).unwrap_or_default();
    Ok((crc32(payload) == frame.payload_crc).then_some(frame))
}

/// A valid header that was stamped for this file and this place.
fn own_header(bytes: &[u8], header: &SegmentHeader, offset: u64) -> Option<FrameHeader> {
    if !bytes.starts_with(&FRAME_MAGIC) {
        return None;
    }
    let frame = FrameHeader::decode(bytes.first_chunk()?).ok()?;
    let own = frame.salt == header.salt
        && frame.segment_id == header.segment_id
        && header.base_position.checked_add(offset) == Some(frame.position)
        && frame.durable_position <= frame.position;
    own.then_some(frame)
}

/// Whether any valid header of this file stands behind its segment header.
pub(crate) fn any_header(window: &mut Window<'_>, header: &SegmentHeader) -> Result<bool> {
    let mut any = false;
    each_header(window, header, SEGMENT_HEADER_BYTES as u64, |_| {
        any = true;
        false
    })?;
    Ok(any)
}

/// Looks for valid headers from an offset on, wherever a frame could start; `visit` says whether to
/// go on.
fn each_header(
    window: &mut Window<'_>,
    header: &SegmentHeader,
    from: u64,
    mut visit: impl FnMut(&FrameHeader) -> bool,
) -> Result<()> {
    let mut offset = from;
    while offset < window.length() {
        let chunk = window.chunk(offset)?;
        let mut step = 0;
        let mut candidates = Vec::new();
        while let Some(start) = chunk.get(step..step + FRAME_MAGIC.len()) {
            if start == FRAME_MAGIC {
                candidates.push(offset + step as u64);
            }
            step += FRAME_ALIGN as usize;
        }
        for candidate in candidates {
            let bytes = window.get(candidate, FRAME_HEADER_BYTES)?.unwrap_or_default();
            if let Some(frame) = own_header(bytes, header, candidate)
                && !visit(&frame)
            {
                return Ok(());
            }
        }
        offset += step.max(FRAME_ALIGN as usize) as u64;
    }
    Ok(())
}

/// What the directory needs to know of a payload whose checksum holds.
pub(crate) fn summarise(header: &FrameHeader, payload: &[u8]) -> Result<BatchSummary> {
    BatchView::open(header, payload)?.summary()
}

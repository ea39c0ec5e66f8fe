//! Where a job's events come from: the frames of its inputs, front to back by `pread`, each checked
//! on the way.
//!
//! Whatever is wrong with an input is `Corrupt`, with file and offset, also where the disk does not
//! give its bytes: it concerns the job, which is given up, and nothing that was written.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::crc32;
use crate::column::{BatchView, Gather, SeriesTotals, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::format::manifest::SegmentRecord;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::index::minutes::Minutes;
use crate::segment::blocks::{BlockWriter, Copied};
use crate::segment::tail::{damaged, read_tail};
use crate::segment::{Directory, FrameEntry};
use crate::storage::{File, read_exact_at};
use crate::store::compaction::known::Known;
use crate::store::recovery::read_directory;
use crate::store::state::Core;

/// Consecutive rows of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    pub(super) segment: usize,
    pub(super) frame: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Source {
    opened: Option<Opened>,
    pub(super) held: Option<Held>,
    /// The first event that is in no block yet.
    pub(super) next: Piece,
    /// The input that was read last, or was to be.
    pub(super) reading: usize,
    /// Read what the footers of inputs say of their blocks, so that blocks can be copied.
    copies: bool,
}

/// The frame read last.
pub(super) struct Held {
    pub(super) segment: usize,
    pub(super) frame: usize,
    pub(super) header: FrameHeader,
    pub(super) view: BatchView,
    offset: u64,
}

/// An input that is being read.
struct Opened {
    segment: usize,
    name: String,
    base_position: u64,
    salt: u64,
    file: Arc<dyn File>,
    directory: Directory,
    known: Option<Known>,
}

impl Source {
    pub(super) fn new(copies: bool) -> Source {
        Source { copies, ..Source::default() }
    }

    /// Holds the frame of the next event; false behind the last one.
    pub(super) fn settle(&mut self, core: &Core, inputs: &[SegmentRecord]) -> Result<bool> {
        loop {
            let Piece { segment, frame, start, .. } = self.next;
            if segment >= inputs.len() {
                return Ok(false);
            }
            if !self.read(core, inputs, (segment, frame))? {
                self.next = Piece { segment: segment + 1, ..Piece::default() };
            } else if self.held.as_ref().is_some_and(|held| start < held.view.events()) {
                return Ok(true);
            } else {
                self.next = Piece { segment, frame: frame + 1, ..Piece::default() };
            }
        }
    }

    /// Reads a frame unless it is held; false if the segment has no such frame.
    fn read(
        &mut self,
        core: &Core,
        inputs: &[SegmentRecord],
        (segment, frame): (usize, usize),
    ) -> Result<bool> {
        if self.held.as_ref().is_some_and(|h| (h.segment, h.frame) == (segment, frame)) {
            return Ok(true);
        }
        self.reading = segment;
        if self.opened.as_ref().is_none_or(|o| o.segment != segment) {
            let Some(record) = inputs.get(segment) else { return Ok(false) };
            self.opened = Some(Opened::open(core, record, segment, self.copies)?);
        }
        let Some(opened) = &self.opened else { return Ok(false) };
        let Some(entry) = opened.directory.frames.get(frame) else { return Ok(false) };
        let offset = entry.position.saturating_sub(opened.base_position);
        let read = opened.read(entry, offset);
        let (header, view) = read.map_err(|e| of_input(&e, &opened.name, offset))?;
        self.held = Some(Held { segment, frame, header, view, offset });
        Ok(true)
    }

    /// Gathers rows of a frame.
    pub(super) fn gather(
        &mut self,
        core: &Core,
        inputs: &[SegmentRecord],
        piece: Piece,
        into: &mut Gather,
    ) -> Result<()> {
        self.read(core, inputs, (piece.segment, piece.frame))?;
        let (Some(held), Some(opened)) = (&self.held, &self.opened) else { return Ok(()) };
        let rows: Range<usize> = piece.start..piece.end;
        into.add(&held.header, &held.view, rows)
            .map_err(|e| of_input(&e, &opened.name, held.offset))
    }

    /// Of the input whose frame is held, totals and minutes of all its blocks; given once.
    pub(super) fn take_totals(&mut self) -> Option<(Vec<SeriesTotals>, Minutes)> {
        let known = self.opened.as_mut()?.known.as_mut()?;
        Some((std::mem::take(&mut known.totals), std::mem::take(&mut known.minutes)))
    }

    /// Whether all is known of the block that is held: one that links somewhere needs to be said so.
    pub(super) fn knows_links(&self) -> bool {
        let links_nowhere = |held: &Held| held.view.rows(Table::Links) == 0;
        let known = self.opened.as_ref().and_then(|opened| opened.known.as_ref());
        known.is_some_and(|known| known.links.is_some())
            || self.held.as_ref().is_some_and(links_nowhere)
    }

    /// Copies the block that is held as it is stored, its checksums found right.
    pub(super) fn copy(&self, to: &mut BlockWriter) -> Result<()> {
        let (Some(held), Some(opened)) = (&self.held, &self.opened) else { return Ok(()) };
        let (Some(known), Some(entry)) = (&opened.known, opened.directory.frames.get(held.frame))
        else {
            return Ok(());
        };
        let in_input = |e: Error| of_input(&e, &opened.name, held.offset);
        let series = entry.series.iter();
        let series = series.filter_map(|&at| opened.directory.series.get(at as usize).cloned());
        let mut series: Vec<_> = series.collect();
        series.sort_unstable();
        to.copy(Copied {
            header: &held.header,
            bytes: held.view.checked_block().map_err(in_input)?,
            series,
            traces: entry.traces.clone(),
            attributes: &known.attributes,
            links: known.links.as_ref(),
            index: held.frame,
        })
    }

    /// How far the input of the next event has been read.
    pub(super) fn offset(&self) -> u64 {
        let held = self.held.as_ref().filter(|held| held.segment == self.next.segment);
        held.map_or(0, |held| held.offset)
    }
}

/// See the module; what may be better the next time stays what it is.
fn of_input(error: &Error, name: &str, offset: u64) -> Error {
    let kind = if error.changed_nothing() { error.kind() } else { ErrorKind::Corrupt };
    let named = Error::new(kind, error.message()).in_file(name).at(offset);
    match error.field() {
        Some(field) => named.in_field(field),
        None => named,
    }
}

impl Opened {
    fn open(core: &Core, record: &SegmentRecord, segment: usize, copies: bool) -> Result<Opened> {
        let name = record.file_name();
        let open = || {
            let file = core.storage.open(&name, false)?;
            let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
            read_exact_at(&*file, 0, &mut bytes)?;
            let header = SegmentHeader::decode(&bytes).map_err(|e| damaged(e, 0))?;
            let tail = read_tail(&*file, record.file_length, &header)?;
            let directory = read_directory(&*file, &tail)?;
            let known = if copies { Some(Known::read(&*file, &tail)?) } else { None };
            Ok::<_, Error>((file, directory, known))
        };
        let (file, directory, known) =
            open().map_err(|e| of_input(&e, &name, e.offset().unwrap_or(0)))?;
        let (base_position, salt) = (record.base_position, record.salt);
        Ok(Opened { segment, name, base_position, salt, file, directory, known })
    }

    /// A frame's columns, all of it checked but for chunks, which are when they are gathered.
    fn read(&self, entry: &FrameEntry, offset: u64) -> Result<(FrameHeader, BatchView)> {
        let mut bytes = vec![0; FRAME_HEADER_BYTES + entry.stored_length as usize];
        read_exact_at(&*self.file, offset, &mut bytes)?;
        let short = || Error::corrupt("a frame cut short");
        let header = FrameHeader::decode(bytes.first_chunk().ok_or_else(short)?)?;
        if header.salt != self.salt || header.position != entry.position {
            return Err(Error::corrupt("the frame belongs elsewhere"));
        }
        // What the directory says beside this is taken for true of blocks that are copied.
        if (header.first_sequence, header.events) != (entry.first_sequence, entry.events)
            || header.stored_length != entry.stored_length
        {
            return Err(Error::corrupt("frame header and directory contradict each other"));
        }
        let payload = Bytes::from(bytes).slice(FRAME_HEADER_BYTES..);
        let view = match header.kind {
            FrameKind::Block => BatchView::open_block(&header, payload)?,
            _ if crc32(&payload) != header.payload_crc => {
                return Err(Error::corrupt("the payload's checksum is wrong"));
            }
            _ => BatchView::open(&header, &payload)?,
        };
        Ok((header, view))
    }
}

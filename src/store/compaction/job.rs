//! One job: the inputs are read front to back by `pread`, their events gathered block by block, and
//! the blocks written to a file that nobody knows yet.
//!
//! Events keep the order of their sequences: a block holds consecutive ones, and begins anew where
//! the log has a gap. Every frame's checksum is checked on the way.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::crc32;
use crate::column::{BatchView, Gather};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::Section;
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::format::manifest::SegmentRecord;
use crate::format::segment::{LogEnd, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::limits;
use crate::segment::blocks::BlockWriter;
use crate::segment::tail::{damaged, read_tail};
use crate::segment::{Directory, FrameEntry, SegmentSummary};
use crate::storage::{File, read_exact_at};
use crate::store::manifest_log::unknown;
use crate::store::random::Random;
use crate::store::recovery::read_directory;
use crate::store::state::Core;
use crate::store::version::Pin;

/// Whether a job has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Done,
}

/// A finished file that the manifest can name.
pub(crate) struct Output {
    pub(crate) record: SegmentRecord,
    pub(crate) summary: SegmentSummary,
    pub(crate) sections: Vec<Section>,
}

/// See the module.
pub(crate) struct Job {
    pub(crate) inputs: Vec<SegmentRecord>,
    /// Retention may let an input go meanwhile; its file stays until the job is done (MAN-1).
    _pins: Vec<Arc<Pin>>,
    level: u8,
    name: String,
    writer: BlockWriter,
    gather: Gather,
    source: Source,
}

/// Consecutive rows of a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    segment: usize,
    frame: usize,
    start: usize,
    end: usize,
}

/// Where the events come from.
#[derive(Default)]
struct Source {
    opened: Option<Opened>,
    /// The frame read last.
    held: Option<(usize, usize, FrameHeader, BatchView)>,
    /// The first event that is in no block yet.
    next: Piece,
}

/// An input that is being read.
struct Opened {
    segment: usize,
    name: String,
    base_position: u64,
    salt: u64,
    file: Arc<dyn File>,
    directory: Directory,
}

impl Job {
    /// Makes the job's file. `None` if an input is not there any more.
    pub(crate) fn begin(
        core: &Core,
        inputs: &[SegmentRecord],
        level: u8,
        random: &mut Random,
    ) -> Result<Option<Job>> {
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(None) };
        let pins: Vec<Arc<Pin>> = {
            let state = core.state();
            let held = state.version.segments.iter().map(|v| &v.segment);
            let is_input = |salt: u64| inputs.iter().any(|input| input.salt == salt);
            held.filter(|s| is_input(s.salt)).map(|s| s.pin.clone()).collect()
        };
        if pins.len() != inputs.len() {
            return Ok(None);
        }
        let record = SegmentRecord { last_segment_id: last.last_segment_id, level, ..*first };
        let name = record.file_name();
        let temporary = temporary(&name);
        if core.storage.list()?.iter().any(|e| e.name == temporary) {
            core.storage.remove(&temporary)?;
        }
        let header = SegmentHeader {
            compacted: true,
            store_id: core.store_id,
            segment_id: first.segment_id,
            salt: random.draw(core.clock.now()),
            base_position: first.base_position,
            base_sequence: first.first_sequence,
            declared_length: 0,
            previous: LogEnd::default(),
        };
        let file = core.storage.create(&temporary)?;
        Ok(Some(Job {
            inputs: inputs.to_vec(),
            _pins: pins,
            level,
            name,
            writer: BlockWriter::new(file, header),
            gather: Gather::new(),
            source: Source::default(),
        }))
    }

    /// Writes the next block.
    pub(crate) fn step(&mut self, core: &Core) -> Result<Progress> {
        let pieces = self.gather_block(core)?;
        if pieces.is_empty() {
            return Ok(Progress::Done);
        }
        match self.gather.finish() {
            Ok(block) => self.writer.put(&block)?,
            // Dictionaries of many frames together can outgrow a block: fewer events, then.
            Err(error) if error.kind() == ErrorKind::Limit => self.halve(core, &pieces, error)?,
            Err(error) => return Err(error),
        }
        Ok(Progress::More)
    }

    /// Gathers the events of the next block; says where they stand.
    fn gather_block(&mut self, core: &Core) -> Result<Vec<Piece>> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut raw = 0;
        let mut next_sequence = None;
        loop {
            let left = limits::BLOCK_EVENTS_MAX - self.gather.events();
            if left == 0 || !self.source.settle(core, &self.inputs)? {
                return Ok(pieces);
            }
            let Some((segment, frame, header, view)) = &self.source.held else { return Ok(pieces) };
            let start = self.source.next.start;
            let end = view.events().min(start + left);
            let sequence = header.first_sequence + start as u64;
            raw += view.raw_bytes() * (end - start) / view.events().max(1);
            let goes_on = next_sequence.is_none_or(|next| next == sequence);
            let fits = self.gather.fits(view) && raw <= limits::BATCH_RAW_BYTES_MAX;
            let may_follow = goes_on && fits;
            if !pieces.is_empty() && !may_follow {
                return Ok(pieces);
            }
            self.gather.add(header, view, start..end)?;
            pieces.push(Piece { segment: *segment, frame: *frame, start, end });
            next_sequence = Some(sequence + (end - start) as u64);
            self.source.next.start = end;
        }
    }

    /// Two blocks instead of one that is too large, or more.
    fn halve(&mut self, core: &Core, pieces: &[Piece], error: Error) -> Result<()> {
        let events: usize = pieces.iter().map(|p| p.end - p.start).sum();
        if events < 2 {
            return Err(error);
        }
        let (mut first, mut second, mut left) = (Vec::new(), Vec::new(), events / 2);
        for piece in pieces {
            let taken = left.min(piece.end - piece.start);
            left -= taken;
            let middle = piece.start + taken;
            if taken > 0 {
                first.push(Piece { end: middle, ..*piece });
            }
            if middle < piece.end {
                second.push(Piece { start: middle, ..*piece });
            }
        }
        for half in [first, second] {
            for piece in &half {
                self.source.read(core, &self.inputs, piece.segment, piece.frame)?;
                if let Some((_, _, header, view)) = &self.source.held {
                    self.gather.add(header, view, piece.start..piece.end)?;
                }
            }
            match self.gather.finish() {
                Ok(block) => self.writer.put(&block)?,
                Err(error) if error.kind() == ErrorKind::Limit => self.halve(core, &half, error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes of the inputs that were read, whole files only, and all of them.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let length = |inputs: &[SegmentRecord]| inputs.iter().map(|r| r.file_length).sum();
        let read = self.inputs.get(..self.source.next.segment).unwrap_or_default();
        (length(read), length(&self.inputs))
    }

    /// Makes the file durable and gives it its name; both are durable on return.
    pub(crate) fn finish(&mut self, core: &Core) -> Result<Output> {
        self.writer.end()?;
        self.writer.sync().map_err(unknown)?;
        let finished = self.writer.finish()?;
        core.storage.rename(&temporary(&self.name), &self.name, false).map_err(unknown)?;
        core.storage.sync_dir().map_err(unknown)?;
        let (first, last) = (self.inputs.first(), self.inputs.last());
        let (Some(first), Some(last)) = (first, last) else {
            return Err(Error::closed("a job without inputs"));
        };
        let s = self.writer.summary;
        let record = SegmentRecord {
            segment_id: first.segment_id,
            last_segment_id: last.last_segment_id,
            level: self.level,
            salt: self.writer.header.salt,
            file_length: finished.file_length,
            digest: finished.digest,
            base_position: first.base_position,
            end_position: last.end_position,
            first_sequence: s.first_sequence,
            next_sequence: s.next_sequence,
            events: s.events,
            min_time: s.min_time,
            max_time: s.max_time,
        };
        let expected: u64 = self.inputs.iter().map(|r| r.events).sum();
        if record.events != expected {
            let what = format!("{} events of {expected} came out of a compaction", record.events);
            return Err(Error::corrupt(what).in_file(&self.name));
        }
        Ok(Output { record, summary: s, sections: finished.sections })
    }

    /// Removes the job's file, under whatever name.
    pub(crate) fn give_up(self, core: &Core) -> Result<()> {
        let names = [temporary(&self.name), self.name];
        drop((self.writer, self.source));
        for entry in core.storage.list()? {
            if names.contains(&entry.name) {
                core.storage.remove(&entry.name)?;
            }
        }
        Ok(())
    }
}

fn temporary(name: &str) -> String {
    format!("{name}.tmp")
}

impl Source {
    /// Holds the frame of the next event; false behind the last one.
    fn settle(&mut self, core: &Core, inputs: &[SegmentRecord]) -> Result<bool> {
        loop {
            let Piece { segment, frame, start, .. } = self.next;
            if segment >= inputs.len() {
                return Ok(false);
            }
            if !self.read(core, inputs, segment, frame)? {
                self.next = Piece { segment: segment + 1, ..Piece::default() };
                continue;
            }
            match &self.held {
                Some((.., view)) if start < view.events() => return Ok(true),
                _ => self.next = Piece { segment, frame: frame + 1, ..Piece::default() },
            }
        }
    }

    /// Reads a frame unless it is held; false if the segment has no such frame.
    fn read(
        &mut self,
        core: &Core,
        inputs: &[SegmentRecord],
        segment: usize,
        frame: usize,
    ) -> Result<bool> {
        if self.held.as_ref().is_some_and(|h| (h.0, h.1) == (segment, frame)) {
            return Ok(true);
        }
        if self.opened.as_ref().is_none_or(|o| o.segment != segment) {
            let Some(record) = inputs.get(segment) else { return Ok(false) };
            self.opened = Some(Opened::open(core, record, segment)?);
        }
        let Some(opened) = &self.opened else { return Ok(false) };
        let Some(entry) = opened.directory.frames.get(frame) else { return Ok(false) };
        let (header, view) = opened.read(entry).map_err(|e| e.in_file(&opened.name))?;
        self.held = Some((segment, frame, header, view));
        Ok(true)
    }
}

impl Opened {
    fn open(core: &Core, record: &SegmentRecord, segment: usize) -> Result<Opened> {
        let name = record.file_name();
        let open = || {
            let file = core.storage.open(&name, false)?;
            let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
            read_exact_at(&*file, 0, &mut bytes)?;
            let header = SegmentHeader::decode(&bytes).map_err(|e| damaged(e, 0))?;
            let tail = read_tail(&*file, record.file_length, &header)?;
            let directory = read_directory(&*file, &tail)?;
            Ok::<_, Error>((file, directory))
        };
        let (file, directory) = open().map_err(|e| e.in_file(&name))?;
        let (base_position, salt) = (record.base_position, record.salt);
        Ok(Opened { segment, name, base_position, salt, file, directory })
    }

    /// A frame's columns, all of it checked but for chunks, which are when they are read.
    fn read(&self, entry: &FrameEntry) -> Result<(FrameHeader, BatchView)> {
        let offset = entry.position.saturating_sub(self.base_position);
        let mut bytes = vec![0; FRAME_HEADER_BYTES + entry.stored_length as usize];
        read_exact_at(&*self.file, offset, &mut bytes)?;
        let open = || {
            let short = || Error::corrupt("a frame cut short");
            let header = FrameHeader::decode(bytes.first_chunk().ok_or_else(short)?)?;
            if header.salt != self.salt || header.position != entry.position {
                return Err(Error::corrupt("the frame belongs elsewhere"));
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
        };
        open().map_err(|e| damaged(e, offset))
    }
}

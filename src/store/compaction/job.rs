//! One job: the inputs are read front to back by `pread`, their events gathered block by block, and
//! the blocks written to a file that nobody knows yet.
//!
//! Events keep the order of their sequences: a block holds consecutive ones, and begins anew where
//! the log has a gap. Every frame's checksum is checked on the way.
//!
//! Where compacted segments are merged, blocks that are full enough are copied as they are stored:
//! nothing of them is decoded, and the footers of the inputs say what that of the output has to
//! (`known`). Smaller ones next to each other are gathered into full ones, so that at least every
//! other block is half full where the log has no gap.

use std::sync::Arc;

use crate::column::Gather;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::Section;
use crate::format::manifest::SegmentRecord;
use crate::format::segment::{LogEnd, SegmentHeader};
use crate::limits;
use crate::segment::SegmentSummary;
use crate::segment::blocks::BlockWriter;
use crate::store::compaction::known::is_known;
use crate::store::compaction::source::{Held, Piece, Source};
use crate::store::manifest_log::unknown;
use crate::store::random::Random;
use crate::store::state::Core;
use crate::store::version::{Form, Pin};

/// Events of a full block. A trace of some dozens is read from one or two blocks, and who reads them
/// for the first time decompresses them whole: half of the events that a block may have make the
/// store 4 % larger, and such a trace hardly slower than one whose blocks are open (ADR 12).
const BLOCK_EVENTS: usize = 4_096;
const _: () = assert!(BLOCK_EVENTS <= limits::BLOCK_EVENTS_MAX);
/// A block of so many events is copied as it is: others come to lie beside it, not in it.
const COPIED_EVENTS_MIN: usize = BLOCK_EVENTS / 2;
/// So is one of few long events: as much again does not fit in a block.
const COPIED_RAW_BYTES_MIN: usize = limits::BATCH_RAW_BYTES_MAX / 2;

/// Whether a job has more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Done,
    /// It would only write one compacted input again.
    Pointless,
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
    /// The file's name until it is finished.
    pub(crate) temporary: String,
    writer: BlockWriter,
    gather: Gather,
    source: Source,
    /// Blocks are copied where that is worth it.
    copies: bool,
    /// So many blocks were copied.
    pub(crate) copied: u64,
    /// Of so many inputs the totals are in the output's.
    counted: usize,
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
        let held: Vec<_> = {
            let state = core.state();
            let held = state.version.segments.iter().map(|v| &v.segment);
            let is_input = |salt: u64| inputs.iter().any(|input| input.salt == salt);
            held.filter(|s| is_input(s.salt)).cloned().collect()
        };
        if held.len() != inputs.len() {
            return Ok(None);
        }
        let copies = held.iter().all(|segment| match &segment.form {
            Form::Sealed { sections, .. } => segment.compacted && is_known(sections),
            Form::Open { .. } => false,
        });
        let record = SegmentRecord { last_segment_id: last.last_segment_id, level, ..*first };
        let temporary = format!("{}.tmp", record.file_name());
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
            _pins: held.iter().map(|segment| segment.pin.clone()).collect(),
            level,
            temporary,
            writer: BlockWriter::new(file, header, copies),
            gather: Gather::new(),
            source: Source::new(copies),
            copies,
            copied: 0,
            counted: 0,
        }))
    }

    /// Writes the next block.
    pub(crate) fn step(&mut self, core: &Core) -> Result<Progress> {
        if !self.arrive(core)? {
            let alone = matches!(self.inputs.as_slice(), [input] if input.level > 0);
            return Ok(if alone { Progress::Pointless } else { Progress::Done });
        }
        if self.is_copied_next() {
            self.source.copy(&mut self.writer)?;
            self.copied += 1;
            self.source.next.frame += 1;
            return Ok(Progress::More);
        }
        let pieces = self.gather_block(core)?;
        match self.gather.finish() {
            Ok(block) => self.writer.put(&block)?,
            // Dictionaries of many frames together can outgrow a block: fewer events, then.
            Err(error) if error.kind() == ErrorKind::Limit => self.halve(core, &pieces, error)?,
            Err(error) => return Err(error),
        }
        Ok(Progress::More)
    }

    /// Holds the frame of the next event; false if the job takes no more.
    fn arrive(&mut self, core: &Core) -> Result<bool> {
        if !self.source.settle(core, &self.inputs)? || self.ends_early() {
            return Ok(false);
        }
        // An input is taken whole or not at all.
        let segment = self.source.next.segment;
        if self.counted <= segment
            && let Some((totals, minutes)) = self.source.take_totals()
        {
            self.writer.add_totals(&totals, &minutes);
            self.counted = segment + 1;
        }
        Ok(true)
    }

    /// Whether the next event begins a block that is copied without a look at its neighbours.
    fn is_copied_next(&self) -> bool {
        let is_full = |held: &Held| {
            held.view.events() >= COPIED_EVENTS_MIN || held.view.raw_bytes() >= COPIED_RAW_BYTES_MIN
        };
        self.copies
            && self.source.next.start == 0
            && self.source.held.as_ref().is_some_and(is_full)
            && self.source.knows_links()
    }

    /// Gathers the events of the next block; says where they stand.
    fn gather_block(&mut self, core: &Core) -> Result<Vec<Piece>> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut raw = 0;
        let mut next_sequence = None;
        loop {
            let left = BLOCK_EVENTS.saturating_sub(self.gather.events());
            if left == 0 {
                return Ok(pieces);
            }
            if !self.arrive(core)? || !pieces.is_empty() && self.is_copied_next() {
                return Ok(pieces);
            }
            let Some(Held { segment, frame, header, view, .. }) = &self.source.held else {
                return Ok(pieces);
            };
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
            let piece = Piece { segment: *segment, frame: *frame, start, end };
            self.source.gather(core, &self.inputs, piece, &mut self.gather)?;
            pieces.push(piece);
            next_sequence = Some(sequence + (end - start) as u64);
            self.source.next.start = end;
            // What follows may expand to as much again.
            if self.gather.expanded_bytes() > limits::BATCH_EXPANDED_BYTES_MAX / 2 {
                return Ok(pieces);
            }
        }
    }

    /// Whether the inputs read whole so far have so many series that no further one is taken.
    fn ends_early(&mut self) -> bool {
        let Piece { segment: whole, frame, start, .. } = self.source.next;
        let few = self.writer.series() < limits::SEGMENT_SERIES_MAX;
        // Its totals are in the output's already: then it is taken.
        let is_counted = self.counted > whole;
        if whole == 0 || (frame, start) != (0, 0) || few || is_counted {
            return false;
        }
        self.inputs.truncate(whole);
        true
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
                self.source.gather(core, &self.inputs, *piece, &mut self.gather)?;
            }
            match self.gather.finish() {
                Ok(block) => self.writer.put(&block)?,
                Err(error) if error.kind() == ErrorKind::Limit => self.halve(core, &half, error)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The input that an error of this job is about, as far as it is about one.
    pub(crate) fn reading(&self) -> Option<&SegmentRecord> {
        self.inputs.get(self.source.reading.min(self.inputs.len().saturating_sub(1)))
    }

    /// Bytes of the inputs that were read, about, and all of them.
    pub(crate) fn progress(&self) -> (u64, u64) {
        let length = |inputs: &[SegmentRecord]| inputs.iter().map(|r| r.file_length).sum::<u64>();
        let read = self.inputs.get(..self.source.next.segment).unwrap_or_default();
        (length(read) + self.source.offset(), length(&self.inputs))
    }

    /// Makes the file durable and gives it its name; both are durable on return.
    pub(crate) fn finish(&mut self, core: &Core) -> Result<Output> {
        let (first, last) = (self.inputs.first(), self.inputs.last());
        let (Some(first), Some(last)) = (first, last) else {
            return Err(Error::closed("a job without inputs"));
        };
        let (events, counted) = (self.writer.summary.events, self.writer.counted_events());
        if events != counted {
            let what = format!("totals of {counted} events beside blocks of {events}");
            return Err(Error::corrupt(what).in_file(&self.temporary));
        }
        self.writer.end()?;
        self.writer.sync().map_err(unknown)?;
        let finished = self.writer.finish()?;
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
            return Err(Error::corrupt(what).in_file(&self.temporary));
        }
        core.storage.rename(&self.temporary, &record.file_name(), false).map_err(unknown)?;
        core.storage.sync_dir().map_err(unknown)?;
        Ok(Output { record, summary: s, sections: finished.sections })
    }
}

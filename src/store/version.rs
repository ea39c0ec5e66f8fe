//! Segments as readers hold them, and the list of them that a manifest version stands for.
//!
//! MAN-1: a [`Pin`] is shared by every form in which a file appears; the file is unlinked only
//! when the pin has no holder left but the one that unlinks it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::codec::crc32;
use crate::column::{BatchView, SeriesTotals};
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{
    SECTION_ATTRIBUTES, SECTION_DIRECTORY, SECTION_LINKS, SECTION_MINUTES, SECTION_SERIES,
    SECTION_TIME_INDEX, Section, section_name,
};
use crate::format::frame::{Codec, FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::index::attributes::AttributeFilters;
use crate::index::links::LinkFilters;
use crate::index::minutes::{Minute, decode_minutes};
use crate::segment::series::decode_series;
use crate::segment::tail::{check_crc, damaged, find_section, open_directory, open_section};
use crate::segment::{Directory, FrameEntry, SegmentSummary, TimeIndex};
use crate::storage::{File, Region, Storage, read_exact_at};
use crate::store::cache::DirectoryCache;
use crate::store::views::ViewCache;
use crate::store::workers::Workers;

/// A file's name; whoever holds it keeps the file from being removed.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) name: String,
    /// The segment's, by which caches know it.
    pub(crate) salt: u64,
    length: AtomicU64,
}

impl Pin {
    pub(crate) fn new(name: String, salt: u64, length: u64) -> Arc<Pin> {
        Arc::new(Pin { name, salt, length: AtomicU64::new(length) })
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    pub(crate) fn set_length(&self, length: u64) {
        self.length.store(length, Ordering::Relaxed);
    }
}

/// Which attributes the blocks of a segment have.
pub type SegmentAttributes = AttributeFilters<Region>;
/// Which traces the blocks of a segment link to.
pub type SegmentLinks = LinkFilters<Region>;

/// What readers need beside a segment.
pub(crate) struct ReadContext {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) directories: DirectoryCache,
    pub(crate) views: ViewCache,
    pub(crate) workers: Workers,
}

/// One segment, in one of its forms.
pub(crate) struct Segment {
    pub(crate) pin: Arc<Pin>,
    /// Its id; of a compacted segment that of the first log segment that it stands for.
    pub(crate) segment_id: u64,
    /// Blocks instead of batches.
    pub(crate) compacted: bool,
    pub(crate) salt: u64,
    pub(crate) base_position: u64,
    pub(crate) form: Form,
}

/// How a segment is read.
pub(crate) enum Form {
    /// It grows, or waits for its footer: `pread` and a directory in memory.
    Open {
        /// The writer's handle.
        file: Arc<dyn File>,
        /// The growing directory.
        directory: Arc<Directory>,
    },
    /// It never changes again (SEG-1): regions of the file, its directory in the footer.
    Sealed {
        /// Of the whole file, as the manifest has it.
        digest: [u8; 16],
        /// Of its footer.
        sections: Vec<Section>,
        /// Opened on first use.
        file: OnceLock<Arc<dyn File>>,
        /// One bit per frame whose checksum was found right in a mapping.
        checked: OnceLock<Box<[AtomicU64]>>,
    },
}

/// The segments of a manifest version and those that wait to be named by one, in order of id.
#[derive(Clone, Default)]
pub(crate) struct Version {
    pub(crate) manifest_number: u64,
    pub(crate) segments: Vec<Visible>,
}

/// A segment and how much of it is visible.
#[derive(Clone)]
pub(crate) struct Visible {
    pub(crate) segment: Arc<Segment>,
    pub(crate) summary: SegmentSummary,
}

impl Segment {
    /// The frames; for a sealed segment from the cache or the footer.
    pub(crate) fn directory(
        &self,
        summary: &SegmentSummary,
        context: &ReadContext,
    ) -> Result<Arc<Directory>> {
        match &self.form {
            Form::Open { directory, .. } => Ok(directory.clone()),
            Form::Sealed { sections, .. } => context.directories.get(self.salt, || {
                let missing = || Error::corrupt("the footer lists no directory");
                find_section(sections, SECTION_DIRECTORY)
                    .ok_or_else(missing)
                    .and_then(|section| {
                        let stored = self.section(section, context)?;
                        open_directory(section, stored, summary)
                    })
                    .map_err(|e| e.in_file(&self.pin.name))
            }),
        }
    }

    /// The sparse time index of a sealed segment.
    pub(crate) fn time_index(&self, context: &ReadContext) -> Result<Option<TimeIndex>> {
        let Form::Sealed { sections, .. } = &self.form else { return Ok(None) };
        let Some(section) = find_section(sections, SECTION_TIME_INDEX) else { return Ok(None) };
        let stored = self.section(section, context)?;
        check_crc(section, &stored)
            .and_then(|()| TimeIndex::new(stored))
            .map(Some)
            .map_err(|e| e.in_file(&self.pin.name).at(section.offset))
    }

    /// The totals per series of a compacted segment.
    pub(crate) fn series_totals(&self, context: &ReadContext) -> Result<Option<Vec<SeriesTotals>>> {
        self.read_section(SECTION_SERIES, context, |bytes| decode_series(&bytes))
    }

    /// Calls back with the totals per source and minute of a compacted segment; false if it has none.
    pub(crate) fn minutes(
        &self,
        context: &ReadContext,
        events: u64,
        each: &mut dyn FnMut(&str, i64, Minute),
    ) -> Result<bool> {
        let read = |bytes: Region| decode_minutes(&bytes, events, each);
        self.read_section(SECTION_MINUTES, context, read).map(|read| read.is_some())
    }

    /// Which attributes the blocks of a compacted segment have.
    pub(crate) fn attributes(&self, context: &ReadContext) -> Result<Option<SegmentAttributes>> {
        self.read_in_place(SECTION_ATTRIBUTES, context, AttributeFilters::new)
    }

    /// Which traces the blocks of a compacted segment link to.
    pub(crate) fn links(&self, context: &ReadContext) -> Result<Option<SegmentLinks>> {
        self.read_in_place(SECTION_LINKS, context, LinkFilters::new)
    }

    /// As [`Segment::read_section`], of one that is never read as a whole.
    fn read_in_place<T>(
        &self,
        kind: u16,
        context: &ReadContext,
        decode: impl FnOnce(Region) -> Result<T>,
    ) -> Result<Option<T>> {
        let Form::Sealed { sections, .. } = &self.form else { return Ok(None) };
        let compressed = |section: &&Section| section.codec != Codec::None;
        if let Some(section) = find_section(sections, kind).filter(compressed) {
            let name = section_name(kind).unwrap_or("section");
            let what = format!("the footer's {name} are compressed, and cannot be read in place");
            return Err(Error::corrupt(what).in_file(&self.pin.name).at(section.offset));
        }
        self.read_section(kind, context, decode)
    }

    /// What a section of the footer says; `None` if there is none of the kind.
    fn read_section<T>(
        &self,
        kind: u16,
        context: &ReadContext,
        decode: impl FnOnce(Region) -> Result<T>,
    ) -> Result<Option<T>> {
        let Form::Sealed { sections, .. } = &self.form else { return Ok(None) };
        let Some(section) = find_section(sections, kind) else { return Ok(None) };
        let stored = self.section(section, context)?;
        open_section(section, stored)
            .and_then(|raw| decode(raw).map_err(|e| damaged(e, section.offset)))
            .map(Some)
            .map_err(|e| e.in_file(&self.pin.name))
    }

    fn section(&self, section: &Section, context: &ReadContext) -> Result<Region> {
        self.region(section.offset, section.stored_length as usize, context)
    }

    fn region(&self, offset: u64, length: usize, context: &ReadContext) -> Result<Region> {
        let name = &self.pin.name;
        let region = match &self.form {
            Form::Open { file, .. } => {
                let mut bytes = vec![0; length];
                read_exact_at(&**file, offset, &mut bytes)
                    .map(|()| Region::from_bytes(Bytes::from(bytes)))
            }
            Form::Sealed { file, .. } => match file.get() {
                Some(file) => file.region(offset, length),
                None => {
                    let opened = context.storage.open(name, false)?;
                    file.get_or_init(|| opened).region(offset, length)
                }
            },
        };
        region.map_err(|e| e.in_file(name).at(offset))
    }

    /// A frame's header and payload, its place and checksums right.
    pub(crate) fn frame(
        &self,
        entry: &FrameEntry,
        frames: u64,
        context: &ReadContext,
    ) -> Result<(FrameHeader, Region)> {
        let damage = |what: &str, offset: u64| {
            Error::corrupt(what.to_owned()).in_file(&self.pin.name).at(offset)
        };
        let offset = entry
            .position
            .checked_sub(self.base_position)
            .ok_or_else(|| damage("a frame before its segment", 0))?;
        let length = FRAME_HEADER_BYTES + entry.stored_length as usize;
        let region = self.region(offset, length, context)?;
        let bytes = region
            .first_chunk::<FRAME_HEADER_BYTES>()
            .ok_or_else(|| damage("a frame cut short", offset))?;
        let header = FrameHeader::decode(bytes).map_err(|e| match e.kind() {
            ErrorKind::Unsupported => e.in_file(&self.pin.name).at(offset),
            _ => damage(e.message(), offset),
        })?;
        let kind = if self.compacted { FrameKind::Block } else { FrameKind::Batch };
        if header.kind != kind
            || header.salt != self.salt
            || header.segment_id != self.segment_id
            || header.position != entry.position
            || header.stored_length != entry.stored_length
            || header.first_sequence != entry.first_sequence
            || header.events != entry.events
        {
            return Err(damage("frame header and directory contradict each other", offset));
        }
        let payload = region
            .slice(FRAME_HEADER_BYTES, entry.stored_length as usize)
            .ok_or_else(|| damage("a frame cut short", offset))?;
        // Of a block the head is checked when it is opened, and chunks when they are asked for.
        if !self.compacted && !self.is_checked(entry.index, frames) {
            if crc32(&payload) != header.payload_crc {
                return Err(damage("the payload's checksum is wrong", offset));
            }
            // What is read into memory anew has to be checked anew; a mapping only once.
            if region.is_mapped() {
                self.set_checked(entry.index);
            }
        }
        Ok((header, payload))
    }

    /// Opens a frame for reading its columns; says how many bytes that were read it keeps.
    pub(crate) fn read(
        &self,
        entry: &FrameEntry,
        frames: u64,
        context: &ReadContext,
    ) -> Result<(FrameHeader, BatchView, usize)> {
        let (header, payload) = self.frame(entry, frames, context)?;
        let kept = self.compacted && !payload.is_mapped();
        let own_bytes = if kept { payload.len() } else { 0 };
        let opened = match self.compacted {
            true => BatchView::open_block(&header, Bytes::from_owner(payload)),
            false => BatchView::open(&header, &payload),
        };
        let view = opened.map_err(|e| {
            let offset = entry.position.saturating_sub(self.base_position);
            let what = format!("a frame does not decode: {e}");
            Error::corrupt(what).in_file(&self.pin.name).at(offset)
        })?;
        Ok((header, view, own_bytes))
    }

    fn is_checked(&self, index: u32, frames: u64) -> bool {
        let Form::Sealed { checked, .. } = &self.form else { return false };
        let words = usize::try_from(frames.div_ceil(64)).unwrap_or(0);
        let bits = checked.get_or_init(|| (0..words).map(|_| AtomicU64::new(0)).collect());
        let word = bits.get(index as usize / 64);
        word.is_some_and(|w| w.load(Ordering::Relaxed) >> (index % 64) & 1 == 1)
    }

    fn set_checked(&self, index: u32) {
        if let Form::Sealed { checked, .. } = &self.form
            && let Some(word) = checked.get().and_then(|bits| bits.get(index as usize / 64))
        {
            word.fetch_or(1 << (index % 64), Ordering::Relaxed);
        }
    }
}

//! Writes a compacted segment: a header, blocks, and the tail of a sealed file. The file has another
//! name until all of it is durable, so it needs no chain and no salt that recovery could look for;
//! it has a salt all the same, so that a block of another file is never taken for one of its own.
//!
//! Positions are those of the file: the segment's base and the offset.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::column::{Block, Series, SeriesTotals};
use crate::error::{Error, Result};
use crate::format::footer::Section;
use crate::format::frame::FrameHeader;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::index::TraceFilter;
use crate::index::attributes::AttributeFilters;
use crate::index::links::LinkFilters;
use crate::index::minutes::Minutes;
use crate::segment::SegmentSummary;
use crate::segment::overview::Overview;
use crate::segment::scan::DirectoryBuilder;
use crate::segment::tail::{encode_tail_with, read_tail};
use crate::storage::{File, Region, write_all_at};

/// Bytes collected before they are handed to the kernel.
const WRITE_BYTES: usize = 1 << 20;

/// A compacted segment being written.
pub(crate) struct BlockWriter {
    pub(crate) header: SegmentHeader,
    pub(crate) summary: SegmentSummary,
    file: Arc<dyn File>,
    builder: DirectoryBuilder,
    overview: Overview,
    /// Totals come for whole segments, not with their blocks.
    known_whole: bool,
    digest: Xxh3,
    buffer: Vec<u8>,
    /// Bytes of the file that were handed over.
    written: u64,
}

/// A block of another segment, and what that knows of it.
pub(crate) struct Copied<'a> {
    pub(crate) header: &'a FrameHeader,
    /// Behind the header.
    pub(crate) bytes: &'a [u8],
    /// In their order.
    pub(crate) series: Vec<Series>,
    pub(crate) traces: TraceFilter,
    pub(crate) attributes: &'a AttributeFilters<Region>,
    /// `None`: no event of it links anywhere.
    pub(crate) links: Option<&'a LinkFilters<Region>>,
    /// Which block of the segment it is.
    pub(crate) index: usize,
}

/// A finished file, durable but for its name.
pub(crate) struct Finished {
    pub(crate) file_length: u64,
    pub(crate) digest: [u8; 16],
    pub(crate) sections: Vec<Section>,
}

impl BlockWriter {
    /// Begins with the header in an empty file. `known_whole`: the totals of what comes are handed
    /// over for whole segments ([`BlockWriter::add_totals`]).
    pub(crate) fn new(
        file: Arc<dyn File>,
        header: SegmentHeader,
        known_whole: bool,
    ) -> BlockWriter {
        BlockWriter {
            summary: SegmentSummary::empty(&header),
            file,
            builder: DirectoryBuilder::new(),
            overview: Overview::default(),
            known_whole,
            digest: Xxh3::new(),
            buffer: header.encode(),
            written: 0,
            header,
        }
    }

    /// Appends a block.
    pub(crate) fn put(&mut self, block: &Block) -> Result<()> {
        if !self.known_whole {
            self.overview.add_totals(&block.totals, &block.minutes);
        }
        self.overview.attributes.push(&block.attributes);
        self.overview.links.push(&block.links);
        let traces = TraceFilter::of(&block.summary.trace_hashes);
        self.append(&block.header, &block.bytes, &block.summary.series, traces)
    }

    /// Appends a block of another segment as it is stored there.
    pub(crate) fn copy(&mut self, block: Copied<'_>) -> Result<()> {
        if !self.overview.attributes.copy(block.attributes, block.index) {
            return Err(Error::corrupt("the footer says nothing of the attributes of a block"));
        }
        if !self.overview.links.copy(block.links, block.index) {
            return Err(Error::corrupt("the footer says nothing of the links of a block"));
        }
        self.append(block.header, block.bytes, &block.series, block.traces)
    }

    /// Adds the totals of all events of another segment, which come block by block.
    pub(crate) fn add_totals(&mut self, totals: &[SeriesTotals], minutes: &Minutes) {
        self.overview.add_totals(totals, minutes);
    }

    /// Events of the totals so far: in the end those of the blocks.
    pub(crate) fn counted_events(&self) -> u64 {
        self.overview.events()
    }

    /// Stamps a header for its new place; the bytes behind it stay what they are.
    fn append(
        &mut self,
        header: &FrameHeader,
        bytes: &[u8],
        series: &[Series],
        traces: TraceFilter,
    ) -> Result<()> {
        let header = FrameHeader {
            salt: self.header.salt,
            segment_id: self.header.segment_id,
            position: self.summary.end_position,
            ..*header
        };
        let entry = self.builder.entry(&header, series, traces);
        self.summary.add(&entry);
        self.builder.push(entry);
        self.buffer.extend_from_slice(&header.encode());
        self.buffer.extend_from_slice(bytes);
        self.summary.end_position += header.frame_bytes();
        let end = self.summary.end_position - self.header.base_position - self.written;
        self.buffer.resize(usize::try_from(end).unwrap_or(usize::MAX), 0);
        if self.buffer.len() >= WRITE_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// How many series the blocks have so far.
    pub(crate) fn series(&self) -> usize {
        self.overview.series()
    }

    fn flush(&mut self) -> Result<()> {
        write_all_at(&*self.file, self.written, &self.buffer)?;
        self.digest.update(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the tail. What is left is to make all of it durable ([`BlockWriter::sync`]).
    pub(crate) fn end(&mut self) -> Result<()> {
        let more = std::mem::take(&mut self.overview).into_sections();
        let tail = encode_tail_with(&self.header, &self.summary, &self.builder.directory, &more)?;
        self.buffer.extend_from_slice(&tail);
        self.flush()
    }

    /// Makes the file durable. After a failure nobody knows what is on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all()
    }

    /// Reads the tail back: what a manifest may say of the file.
    pub(crate) fn finish(&self) -> Result<Finished> {
        let read = read_tail(&*self.file, self.written, &self.header)?;
        if read.summary != self.summary {
            return Err(Error::corrupt("a compacted segment reads back otherwise than written"));
        }
        let digest = self.digest.digest128().to_be_bytes();
        Ok(Finished { file_length: self.written, digest, sections: read.sections })
    }
}

const _: () = assert!(SEGMENT_HEADER_BYTES.is_multiple_of(8));

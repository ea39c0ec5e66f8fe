//! The end of a sealed segment: sections, footer, trailer; how they are made and how they are read.
//!
//! Reading trusts nothing: trailer, footer and each section have a checksum, and what they say must
//! fit the file and each other. See `storage-format.md`, "Footer".

use crate::codec::crc32;
use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{
    SECTION_BYTES, SECTION_DIRECTORY, SECTION_SUMMARY, SECTION_TIME_INDEX, SECTIONS_MAX, Section,
    TRAILER_BYTES, Trailer, decode_footer, encode_footer,
};
use crate::format::frame::Codec;
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::segment::directory_codec::{decode_directory, encode_directory};
use crate::segment::time_index::{TIME_RECORD_BYTES, encode_time_index};
use crate::segment::{Directory, FrameEntry, SUMMARY_BYTES, SegmentSummary};
use crate::storage::{File, Region, read_exact_at};

/// Compression level of sections: they are small and written once.
const SECTION_LEVEL: i32 = 3;
/// Bytes read at once from the end of a file: usually all of footer and summary.
const TAIL_READ_BYTES: u64 = 4_096;
/// Sections of a log segment.
const LOG_SECTIONS: usize = 3;

/// The checked end of a sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The file's last bytes.
    pub trailer: Trailer,
    /// What the footer lists.
    pub sections: Vec<Section>,
    /// The content of the summary section.
    pub summary: SegmentSummary,
}

/// The bytes that follow the last frame: sections, footer, trailer.
pub fn encode_tail(
    header: &SegmentHeader,
    summary: &SegmentSummary,
    directory: &Directory,
) -> Result<Vec<u8>> {
    encode_tail_with(header, summary, directory, &[])
}

/// A section that a reader can do without.
pub(crate) struct Optional {
    pub(crate) kind: u16,
    /// Worth compressing: it is read as a whole, and rarely.
    pub(crate) compressed: bool,
    pub(crate) bytes: Vec<u8>,
}

/// As [`encode_tail`], with the further sections of a compacted segment.
pub(crate) fn encode_tail_with(
    header: &SegmentHeader,
    summary: &SegmentSummary,
    directory: &Directory,
    more: &[Optional],
) -> Result<Vec<u8>> {
    let start = summary.end_position - summary.base_position;
    let mut out = Vec::new();
    let mut sections = Vec::with_capacity(LOG_SECTIONS);
    let mut put = |kind, required, compress, raw: &[u8]| {
        let compressed = match compress {
            true => zstd::bulk::compress(raw, SECTION_LEVEL)
                .map_err(|e| Error::io("compress a footer section", e))?,
            false => Vec::new(),
        };
        let smaller = compress && compressed.len() < raw.len();
        let (codec, stored) =
            if smaller { (Codec::Zstd, compressed.as_slice()) } else { (Codec::None, raw) };
        let too_large = |_| Error::limit("a footer section has more than 4 GiB");
        sections.push(Section {
            kind,
            required,
            codec,
            offset: start + out.len() as u64,
            stored_length: u32::try_from(stored.len()).map_err(too_large)?,
            raw_length: u32::try_from(raw.len()).map_err(too_large)?,
            crc: crc32(stored),
        });
        out.extend_from_slice(stored);
        Ok::<(), Error>(())
    };
    put(SECTION_DIRECTORY, true, true, &encode_directory(directory, summary))?;
    put(SECTION_TIME_INDEX, false, false, &encode_time_index(directory))?;
    for section in more {
        put(section.kind, false, section.compressed, &section.bytes)?;
    }
    put(SECTION_SUMMARY, true, false, &summary.encode())?;

    let footer = encode_footer(&sections);
    let footer_offset = start + out.len() as u64;
    let trailer = Trailer {
        segment_id: header.segment_id,
        salt: header.salt,
        file_length: footer_offset + (footer.len() + TRAILER_BYTES) as u64,
        footer_offset,
        footer_length: u32::try_from(footer.len()).unwrap_or(u32::MAX),
        footer_crc: crc32(&footer),
    };
    out.extend_from_slice(&footer);
    out.extend_from_slice(&trailer.encode());
    Ok(out)
}

/// Reads and checks trailer, footer and summary of a file that is `length` bytes long. `Corrupt`
/// names the offset; the caller names the file.
pub fn read_tail(file: &dyn File, length: u64, header: &SegmentHeader) -> Result<Tail> {
    let start = length.saturating_sub(TAIL_READ_BYTES);
    let mut end = vec![0; (length - start) as usize];
    read_exact_at(file, start, &mut end)?;
    let trailer_offset = length.saturating_sub(TRAILER_BYTES as u64);
    let bytes = end.last_chunk::<TRAILER_BYTES>();
    let bytes = bytes.ok_or_else(|| Error::corrupt("the file is too short for a trailer").at(0))?;
    let trailer = Trailer::decode(bytes).map_err(|e| damaged(e, trailer_offset))?;
    if trailer.file_length != length
        || trailer.segment_id != header.segment_id
        || trailer.salt != header.salt
    {
        return Err(Error::corrupt("the trailer belongs to another file").at(trailer_offset));
    }
    if trailer.footer_length as usize > SECTIONS_MAX * SECTION_BYTES {
        return Err(Error::corrupt("the footer is too long").at(trailer_offset));
    }
    let footer = part(file, start, &end, trailer.footer_offset, trailer.footer_length as usize)?;
    let sections =
        decode_footer(&trailer, &footer).map_err(|e| damaged(e, trailer.footer_offset))?;
    let known = [SECTION_SUMMARY, SECTION_DIRECTORY, SECTION_TIME_INDEX];
    if let Some(s) = sections.iter().find(|s| s.required && !known.contains(&s.kind)) {
        let what = format!("a required section of kind {}; use a newer annal", s.kind);
        return Err(Error::unsupported(what).at(trailer.footer_offset));
    }
    let missing = || Error::corrupt("the footer lists no summary").at(trailer.footer_offset);
    let section = *find_section(&sections, SECTION_SUMMARY).ok_or_else(missing)?;
    if section.stored_length as usize != SUMMARY_BYTES || section.codec != Codec::None {
        return Err(Error::corrupt("a malformed summary section").at(trailer.footer_offset));
    }
    let bytes = part(file, start, &end, section.offset, SUMMARY_BYTES)?;
    check_crc(&section, &bytes)?;
    let summary = SegmentSummary::decode(&bytes).map_err(|e| damaged(e, section.offset))?;
    let end_offset = summary.end_position - summary.base_position;
    let first = sections.first().map_or(trailer.footer_offset, |s| s.offset);
    if summary.base_position != header.base_position
        || end_offset < SEGMENT_HEADER_BYTES as u64
        || end_offset > first
    {
        return Err(Error::corrupt("the summary contradicts the file").at(section.offset));
    }
    Ok(Tail { trailer, sections, summary })
}

/// The section of a kind.
#[must_use]
pub fn find_section(sections: &[Section], kind: u16) -> Option<&Section> {
    sections.iter().find(|s| s.kind == kind)
}

/// Checks a section's stored bytes.
pub fn check_crc(section: &Section, stored: &[u8]) -> Result<()> {
    if crc32(stored) == section.crc {
        return Ok(());
    }
    let what = format!("the checksum of the footer section of kind {} is wrong", section.kind);
    Err(Error::corrupt(what).at(section.offset))
}

/// Checks a section's stored bytes and decompresses them.
pub fn open_section(section: &Section, stored: Region) -> Result<Region> {
    check_crc(section, &stored)?;
    let raw = match section.codec {
        Codec::None => stored,
        Codec::Zstd => {
            let raw = zstd::bulk::decompress(&stored, section.raw_length as usize)
                .map_err(|e| Error::corrupt(format!("a footer section: {e}")).at(section.offset))?;
            Region::from_bytes(raw.into())
        }
    };
    if raw.len() != section.raw_length as usize {
        return Err(Error::corrupt("a footer section has a wrong length").at(section.offset));
    }
    Ok(raw)
}

/// Checks and decodes the directory section from its stored bytes.
pub fn open_directory(
    section: &Section,
    stored: Region,
    summary: &SegmentSummary,
) -> Result<Directory> {
    let raw = open_section(section, stored)?;
    decode_directory(&raw, summary).map_err(|e| damaged(e, section.offset))
}

/// Turns a decoder's complaint into damage of a file; the offset becomes one in the file.
pub fn damaged(error: Error, base: u64) -> Error {
    if error.kind() == ErrorKind::Unsupported || error.kind() == ErrorKind::Io {
        return error;
    }
    let within = error.offset().unwrap_or(0);
    Error::corrupt(error.message()).at(base.saturating_add(within))
}

/// Bytes from what was read of the end already, else from the file.
fn part(file: &dyn File, start: u64, end: &[u8], offset: u64, length: usize) -> Result<Vec<u8>> {
    let within = offset.checked_sub(start).and_then(|o| usize::try_from(o).ok());
    let found = within.and_then(|o| end.get(o..)?.get(..length));
    if let Some(bytes) = found {
        return Ok(bytes.to_vec());
    }
    let mut bytes = vec![0; length];
    read_exact_at(file, offset, &mut bytes)?;
    Ok(bytes)
}

/// An upper bound of the tail's bytes, kept while frames come in, so that the room that is reserved
/// for it inside the segment's declared length always suffices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TailBound {
    bytes: u64,
}

impl TailBound {
    /// The bytes of a tail without frames, generously.
    const FIXED: u64 = (SUMMARY_BYTES + LOG_SECTIONS * SECTION_BYTES + TRAILER_BYTES + 64) as u64;
    /// Nine varints of 10 bytes, a producer (16 + 5), its index (5), counts (5 + 3), time record.
    const PER_FRAME: u64 = 9 * 10 + 21 + 5 + 8 + TIME_RECORD_BYTES as u64;

    /// Counts a series that the directory does not have yet.
    pub fn add_series(&mut self, source: &str, event_type: &str) {
        self.bytes += (source.len() + event_type.len() + 2 * 5) as u64;
    }

    /// Counts a frame with so many series and so many bytes of trace filter.
    pub fn add_frame(&mut self, series: usize, filter_bytes: usize) {
        self.bytes += TailBound::PER_FRAME + 5 * series as u64 + filter_bytes as u64;
    }

    /// Counts a frame of a directory; its series are counted on their own.
    pub fn add_entry(&mut self, entry: &FrameEntry) {
        self.add_frame(entry.series.len(), entry.traces.memory_bytes());
    }

    /// No tail of these frames has more bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        TailBound::FIXED + self.bytes
    }
}

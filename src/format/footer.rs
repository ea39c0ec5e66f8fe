//! Footer and trailer: the end of each sealed file, and the sections they point at.
//!
//! ```text
//! header | frames ... | section ... | footer (list of sections) | trailer (64 bytes)
//! ```
//!
//! The trailer stands at the very end and gives the footer; the footer lists sections. A reader may
//! skip a section of a kind it does not know unless the section is marked as required. Whoever adds
//! an index adds a section. See `storage-format.md`, "Footer".

use crate::codec::{Cursor, crc32};
use crate::error::{Error, Result};
use crate::format::frame::Codec;
use crate::format::version::{FORMAT_VERSION, is_readable};

/// Bytes of a trailer.
pub const TRAILER_BYTES: usize = 64;
/// First bytes of each trailer.
pub const TRAILER_MAGIC: [u8; 8] = *b"ANLtail\n";
/// Bytes of one section in the footer.
pub const SECTION_BYTES: usize = 32;
/// Most sections of a footer.
pub const SECTIONS_MAX: usize = 1_024;
/// Largest section, stored or raw.
pub const SECTION_BYTES_MAX: usize = 256 << 20;

/// Kind of the section with the segment's summary: required.
pub const SECTION_SUMMARY: u16 = 1;
/// Kind of the section with the directory of frames, which are blocks if compacted: required.
pub const SECTION_DIRECTORY: u16 = 2;
/// Kind of the section with the sparse time index: optional.
pub const SECTION_TIME_INDEX: u16 = 3;
/// Kind of the section with the totals per series of a compacted segment: optional.
pub const SECTION_SERIES: u16 = 4;
/// Totals per source and minute of a compacted segment: optional.
pub const SECTION_MINUTES: u16 = 5;
/// Attributes of a compacted segment, block by block: optional.
pub const SECTION_ATTRIBUTES: u16 = 6;
/// Which traces a compacted segment links to, block by block: optional.
pub const SECTION_LINKS: u16 = 7;

/// How inspection names what a section holds; `None` for a kind that this build does not know.
#[must_use]
pub fn section_name(kind: u16) -> Option<&'static str> {
    Some(match kind {
        SECTION_SUMMARY => "summary",
        SECTION_DIRECTORY => "directory with trace filters",
        SECTION_TIME_INDEX => "time index",
        SECTION_SERIES => "totals per series",
        SECTION_MINUTES => "minutes per source",
        SECTION_ATTRIBUTES => "attributes",
        SECTION_LINKS => "targets of links",
        _ => return None,
    })
}

/// Where a section stands and how to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub kind: u16,
    /// A reader that does not know the kind must refuse the file.
    pub required: bool,
    /// How it is compressed.
    pub codec: Codec,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes as stored.
    pub stored_length: u32,
    /// Bytes when decompressed.
    pub raw_length: u32,
    /// CRC-32 of the stored bytes.
    pub crc: u32,
}

/// The fixed end of a sealed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The file's segment.
    pub segment_id: u64,
    /// The file's salt.
    pub salt: u64,
    /// Length of the whole file, this trailer included.
    pub file_length: u64,
    /// Offset of the footer.
    pub footer_offset: u64,
    /// Bytes of the footer: 32 per section.
    pub footer_length: u32,
    /// CRC-32 of the footer.
    pub footer_crc: u32,
}

impl Trailer {
    /// The 64 bytes, checksum included.
    #[must_use]
    pub fn encode(&self) -> [u8; TRAILER_BYTES] {
        let mut out = Vec::with_capacity(TRAILER_BYTES);
        out.extend_from_slice(&TRAILER_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.footer_length.to_le_bytes());
        out.extend_from_slice(&self.segment_id.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.file_length.to_le_bytes());
        out.extend_from_slice(&self.footer_offset.to_le_bytes());
        out.extend_from_slice(&self.footer_crc.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&crc32(&out).to_le_bytes());
        let mut trailer = [0; TRAILER_BYTES];
        trailer.copy_from_slice(&out);
        trailer
    }

    /// Reads and checks a trailer.
    pub fn decode(bytes: &[u8; TRAILER_BYTES]) -> Result<Trailer> {
        let mut c = Cursor::new(bytes);
        if c.array()? != TRAILER_MAGIC {
            return Err(Error::invalid("no trailer here: wrong magic").at(0));
        }
        let version = c.u16()?;
        if !is_readable(version) {
            let what = format!("trailer of format version {version}; this build reads 1");
            return Err(Error::unsupported(what).at(8));
        }
        let (covered, checksum) = bytes.split_at(TRAILER_BYTES - 4);
        if crc32(covered).to_le_bytes() != checksum {
            return Err(Error::invalid("the trailer's checksum is wrong").at(0));
        }
        let reserved = c.u16()?;
        let footer_length = c.u32()?;
        let trailer = Trailer {
            segment_id: c.u64()?,
            salt: c.u64()?,
            file_length: c.u64()?,
            footer_offset: c.u64()?,
            footer_length,
            footer_crc: c.u32()?,
        };
        if reserved != 0 || c.u64()? != 0 {
            return Err(Error::invalid("reserved bytes are not zero").at(10));
        }
        let end = trailer
            .footer_offset
            .checked_add(u64::from(footer_length))
            .and_then(|end| end.checked_add(TRAILER_BYTES as u64));
        if end != Some(trailer.file_length) {
            return Err(Error::invalid("footer, trailer and file length do not add up").at(12));
        }
        Ok(trailer)
    }
}

/// The footer's bytes.
#[must_use]
pub fn encode_footer(sections: &[Section]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sections.len() * SECTION_BYTES);
    for s in sections {
        out.extend_from_slice(&s.kind.to_le_bytes());
        out.push(u8::from(s.required));
        out.push(s.codec as u8);
        out.extend_from_slice(&s.crc.to_le_bytes());
        out.extend_from_slice(&s.offset.to_le_bytes());
        out.extend_from_slice(&s.stored_length.to_le_bytes());
        out.extend_from_slice(&s.raw_length.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
    }
    out
}

/// Reads a footer and checks it against its trailer; sections lie before it, in order, apart.
pub fn decode_footer(trailer: &Trailer, bytes: &[u8]) -> Result<Vec<Section>> {
    if bytes.len() != trailer.footer_length as usize || !bytes.len().is_multiple_of(SECTION_BYTES) {
        return Err(Error::invalid("the footer has a wrong length").at(0));
    }
    if bytes.len() / SECTION_BYTES > SECTIONS_MAX {
        return Err(Error::limit(format!("more than {SECTIONS_MAX} sections")).at(0));
    }
    if crc32(bytes) != trailer.footer_crc {
        return Err(Error::invalid("the footer's checksum is wrong").at(0));
    }
    let mut c = Cursor::new(bytes);
    let mut sections = Vec::with_capacity(bytes.len() / SECTION_BYTES);
    let mut end = 0u64;
    while c.remaining() > 0 {
        let kind = c.u16()?;
        let required = match c.u8()? {
            0 => false,
            1 => true,
            _ => return Err(c.error("a section is neither required nor optional")),
        };
        let codec = match c.u8()? {
            0 => Codec::None,
            1 => Codec::Zstd,
            k => return Err(Error::unsupported(format!("section codec {k}"))),
        };
        let (crc, offset) = (c.u32()?, c.u64()?);
        let (stored_length, raw_length) = (c.u32()?, c.u32()?);
        if c.u64()? != 0 {
            return Err(c.error("reserved bytes are not zero"));
        }
        if stored_length.max(raw_length) as usize > SECTION_BYTES_MAX {
            return Err(Error::limit(format!("a section of more than {SECTION_BYTES_MAX} bytes")));
        }
        let section_end = offset.checked_add(u64::from(stored_length));
        if offset < end || section_end.is_none_or(|e| e > trailer.footer_offset) {
            return Err(c.error("a section lies outside its place"));
        }
        end = section_end.unwrap_or(u64::MAX);
        sections.push(Section { kind, required, codec, offset, stored_length, raw_length, crc });
    }
    Ok(sections)
}

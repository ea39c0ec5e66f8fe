//! The outer coat of payloads, and of each chunk of a block: one zstd frame (RFC 8878), or none when
//! that is smaller.
//!
//! What a reader accepts is narrow on purpose: exactly one frame that says its content's size, a
//! window of at most 8 MiB, no dictionary, no skippable frame, nothing behind it. All of that is
//! read off the frame's header before anything is decompressed or allocated.

use std::cell::RefCell;

use zstd::zstd_safe;

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::format::frame::Codec;
use crate::limits;

/// zstd level: 1 compresses columns at about 1 GB/s a core, and higher ones gain a few percent.
const LEVEL: i32 = 1;
/// For chunks of compacted segments: written once, read often.
const CHUNK_LEVEL: i32 = 6;
/// The shortest matches that zstd looks for: those of its level.
const MATCH_BYTES_MIN: u32 = 0;
/// Of numbers, and of words that vary, short matches are chance: they save next to nothing, and each
/// costs a reader as much as a long one. Of ids that return they are most of what is saved. No cheap
/// statistic tells the two apart, so a chunk is compressed both ways.
const LONG_MATCH_BYTES_MIN: u32 = 6;
/// What is read faster is taken if it is at most this part larger.
const LARGER_PART: usize = 64;
/// A block of fewer bytes costs more than its own literal codes save.
const PART_BYTES_MIN: usize = 512;
/// More than a block's header and checksum.
const BLOCK_OVERHEAD_BYTES: usize = 32;
const ZSTD_MAGIC: u32 = 0xFD2F_B528;

/// Compresses payloads; keeps its tables from one to the next.
pub(super) struct Compressor {
    context: zstd_safe::CCtx<'static>,
    with_short: Vec<u8>,
    with_long: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Compressor {
        let context = zstd_safe::CCtx::create();
        Compressor { context, with_short: Vec::new(), with_long: Vec::new() }
    }

    /// The stored form of a chunk's body or of a block's head, if it is smaller than the bytes
    /// themselves.
    pub(super) fn compress_chunk(&mut self, body: &[u8]) -> Result<Option<&[u8]>> {
        let Compressor { context, with_short, with_long } = self;
        compress_with(context, MATCH_BYTES_MIN, body, with_short)?;
        compress_with(context, LONG_MATCH_BYTES_MIN, body, with_long)?;
        let saved = with_long.len().saturating_sub(with_short.len());
        let stored = if saved > with_short.len() / LARGER_PART { with_short } else { with_long };
        Ok((stored.len() < body.len()).then_some(stored.as_slice()))
    }

    /// The stored form of a raw payload. zstd begins a new block, with its own literal codes, at each
    /// of the `cuts`, which ascend; parts too small to repay a block are joined to the next.
    pub(super) fn compress(&mut self, raw: &[u8], cuts: &[usize]) -> Result<(Codec, Vec<u8>)> {
        let context = &mut self.context;
        context.reset(zstd_safe::ResetDirective::SessionAndParameters).map_err(failed)?;
        context.set_parameter(zstd_safe::CParameter::CompressionLevel(LEVEL)).map_err(failed)?;
        context.set_pledged_src_size(Some(raw.len() as u64)).map_err(failed)?;
        let room = zstd_safe::compress_bound(raw.len()) + (cuts.len() + 1) * BLOCK_OVERHEAD_BYTES;
        let mut stored = Vec::with_capacity(room);
        let mut output = zstd_safe::OutBuffer::around(&mut stored);
        let mut start = 0;
        for &cut in cuts {
            if cut < start + PART_BYTES_MIN || raw.len() < cut + PART_BYTES_MIN {
                continue;
            }
            let mut input = zstd_safe::InBuffer::around(raw.get(start..cut).unwrap_or_default());
            context.compress_stream(&mut output, &mut input).map_err(failed)?;
            let left = context.flush_stream(&mut output).map_err(failed)?;
            assert!(left == 0 && input.pos == cut - start, "zstd wants more room than its bound");
            start = cut;
        }
        let mut input = zstd_safe::InBuffer::around(raw.get(start..).unwrap_or_default());
        context.compress_stream(&mut output, &mut input).map_err(failed)?;
        let left = context.end_stream(&mut output).map_err(failed)?;
        assert!(left == 0 && input.pos == raw.len() - start, "zstd wants more room than its bound");
        if stored.len() < raw.len() {
            stored.shrink_to_fit();
            return Ok((Codec::Zstd, stored));
        }
        Ok((Codec::None, raw.to_vec()))
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressor")
    }
}

thread_local! {
    /// Making a context asks the processor for its features, which under a hypervisor costs more
    /// than to decompress a small payload: each thread keeps one.
    static CONTEXT: RefCell<zstd_safe::DCtx<'static>> = RefCell::new(zstd_safe::DCtx::create());
}

/// Compresses a chunk's body; zstd looks for no matches of fewer bytes.
fn compress_with(
    context: &mut zstd_safe::CCtx<'_>,
    match_bytes_min: u32,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    use zstd_safe::CParameter::{CompressionLevel, MinMatch};
    out.clear();
    out.reserve(zstd_safe::compress_bound(body.len()));
    for parameter in [CompressionLevel(CHUNK_LEVEL), MinMatch(match_bytes_min)] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    context.compress2(out, body).map_err(failed)?;
    Ok(())
}

/// What zstd says went wrong.
fn failed(code: usize) -> Error {
    Error::invalid(format!("zstd: {}", zstd_safe::get_error_name(code)))
}

/// Brings a stored payload back into exactly `raw_length` bytes.
pub(super) fn decompress(codec: Codec, stored: &[u8], raw_length: usize) -> Result<Vec<u8>> {
    if codec == Codec::None {
        check_raw_length(raw_length)?;
        if stored.len() != raw_length {
            let what = format!("{} bytes stored plain, raw_length {raw_length}", stored.len());
            return Err(Error::invalid(what).in_field("raw_length"));
        }
        return Ok(stored.to_vec());
    }
    check(stored, raw_length)?;
    let mut raw = Vec::new();
    decompress_checked(&mut raw, stored, raw_length)?;
    Ok(raw)
}

/// Whether these bytes are one zstd frame of so many, within our limits.
pub(super) fn check(stored: &[u8], raw_length: usize) -> Result<()> {
    check_raw_length(raw_length)?;
    check_frame(stored, raw_length as u64)
}

/// Brings a frame that [`check`] has passed back into exactly `raw_length` bytes of a buffer, which
/// is empty.
pub(super) fn decompress_checked(
    raw: &mut Vec<u8>,
    stored: &[u8],
    raw_length: usize,
) -> Result<()> {
    raw.reserve_exact(raw_length);
    let decompressed = CONTEXT.with_borrow_mut(|context| context.decompress(raw, stored));
    decompressed.map_err(|code| failed(code).in_field("payload"))?;
    if raw.len() != raw_length {
        let what = format!("{} bytes decompressed, raw_length {raw_length}", raw.len());
        return Err(Error::invalid(what).in_field("raw_length"));
    }
    Ok(())
}

fn check_raw_length(raw_length: usize) -> Result<()> {
    if raw_length <= limits::BATCH_RAW_BYTES_MAX {
        return Ok(());
    }
    let max = limits::BATCH_RAW_BYTES_MAX;
    let what = format!("raw_length is {raw_length}, at most {max} is allowed");
    Err(Error::limit(what).in_field("raw_length"))
}

/// RFC 8878, 3.1.1.1: the header of exactly one frame, within our limits.
fn check_frame(stored: &[u8], raw_length: u64) -> Result<()> {
    let invalid = |what: String| Err(Error::invalid(what).in_field("payload"));
    let mut c = Cursor::new(stored);
    let magic = c.u32()?;
    if magic & 0xFFFF_FFF0 == 0x184D_2A50 {
        return invalid("a skippable zstd frame".into());
    }
    if magic != ZSTD_MAGIC {
        return invalid("no zstd frame: wrong magic".into());
    }
    let descriptor = c.u8()?;
    let single_segment = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return invalid("a reserved bit of the zstd frame header is set".into());
    }
    let mut window = None;
    if !single_segment {
        let byte = c.u8()?;
        let base = 1u64 << (10 + (byte >> 3));
        window = Some(base + base / 8 * u64::from(byte & 7));
    }
    if descriptor & 3 != 0 {
        return invalid("the zstd frame wants a dictionary".into());
    }
    let content = match (descriptor >> 6, single_segment) {
        (0, false) => return invalid("the zstd frame does not say its content's size".into()),
        (0, true) => u64::from(c.u8()?),
        (1, _) => u64::from(c.u16()?) + 256,
        (2, _) => u64::from(c.u32()?),
        _ => c.u64()?,
    };
    if content != raw_length {
        let what = format!("the zstd frame holds {content} bytes, raw_length {raw_length}");
        return Err(Error::invalid(what).in_field("raw_length"));
    }
    if window.unwrap_or(content) > limits::ZSTD_WINDOW_BYTES_MAX as u64 {
        let what = format!("a zstd window of more than {} bytes", limits::ZSTD_WINDOW_BYTES_MAX);
        return Err(Error::limit(what).in_field("payload"));
    }
    match zstd_safe::find_frame_compressed_size(stored) {
        Ok(length) if length == stored.len() => Ok(()),
        Ok(length) => {
            invalid(format!("{} bytes stand behind the zstd frame", stored.len() - length))
        }
        Err(code) => Err(failed(code).in_field("payload")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes())
    }

    /// The body compressed with short matches, with long ones only, and what is chosen.
    fn ways(body: &[u8]) -> (Vec<u8>, Vec<u8>, Option<Vec<u8>>) {
        let mut compressor = Compressor::new();
        let (mut short, mut long) = (Vec::new(), Vec::new());
        compress_with(&mut compressor.context, MATCH_BYTES_MIN, body, &mut short).unwrap();
        compress_with(&mut compressor.context, LONG_MATCH_BYTES_MIN, body, &mut long).unwrap();
        (short, long, compressor.compress_chunk(body).unwrap().map(<[u8]>::to_vec))
    }

    #[test]
    fn words_of_four_bytes_that_return_are_matched_and_numbers_are_not() {
        let word = |i: u64| (noise(noise(i) % 300) as u32).to_le_bytes();
        let (short, long, chosen) = ways(&(0..2_000).flat_map(word).collect::<Vec<u8>>());
        assert!(short.len() * 2 < long.len());
        assert_eq!(chosen, Some(short));
        let width = |i: u64| (20 + noise(i) % 8 + noise(i + 10_000) % 8) as u8;
        let (short, long, chosen) = ways(&(0..8_000).map(width).collect::<Vec<u8>>());
        assert_ne!(short, long);
        assert_eq!(chosen, Some(long));
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        let (_, _, chosen) = ways(&(0..4_000).map(|i| noise(i) as u8).collect::<Vec<u8>>());
        assert_eq!(chosen, None);
    }

    #[test]
    fn payloads_are_the_same_whatever_was_compressed_before() {
        // So short that level 1 looks for shorter matches than those of chunks.
        let raw: Vec<u8> = (0..12_000).map(|i| (noise(i) % 7) as u8).collect();
        let fresh = Compressor::new().compress(&raw, &[6_000]).unwrap();
        let mut used = Compressor::new();
        used.compress_chunk(&raw).unwrap();
        assert_eq!(used.compress(&raw, &[6_000]).unwrap(), fresh);
    }
}

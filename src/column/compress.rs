//! The payload's outer coat: one zstd frame (RFC 8878), or none when that is smaller.
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
/// The shortest repetition that zstd looks for: its level's own choice.
const MATCH_BYTES_MIN: u32 = 0;
/// Of numbers, and of words that vary, short repetitions are chance: they save next to nothing, and
/// each costs a reader as much as a long one. Of ids that return they are most of what is saved. No
/// cheap statistic tells the two apart, so a chunk is compressed with both.
const LONG_MATCH_BYTES_MIN: u32 = 6;
/// What is read faster is taken if that costs at most one in so many bytes.
const WORTH: usize = 64;
/// A block of fewer bytes costs more than its own literal codes save.
const PART_BYTES_MIN: usize = 512;
/// More than a block's header and checksum.
const BLOCK_OVERHEAD_BYTES: usize = 32;
const ZSTD_MAGIC: u32 = 0xFD2F_B528;

/// Compresses payloads; keeps its tables from one to the next.
pub(super) struct Compressor {
    context: zstd_safe::CCtx<'static>,
    chunk: Vec<u8>,
    other_chunk: Vec<u8>,
}

impl Compressor {
    pub(super) fn new() -> Compressor {
        let context = zstd_safe::CCtx::create();
        Compressor { context, chunk: Vec::new(), other_chunk: Vec::new() }
    }

    /// The stored form of a chunk's body, if it is smaller enough than the body itself: whoever
    /// reads it decompresses all of it for a few values.
    pub(super) fn compress_chunk(&mut self, body: &[u8]) -> Result<Option<&[u8]>> {
        let Compressor { context, chunk, other_chunk } = self;
        compress_matches(context, body, MATCH_BYTES_MIN, chunk)?;
        compress_matches(context, body, LONG_MATCH_BYTES_MIN, other_chunk)?;
        let is_worth = |bytes: usize, saves: usize| saves > bytes / WORTH;
        let of_short = chunk.len();
        let of_long = other_chunk.len();
        let best = match is_worth(of_short, of_long.saturating_sub(of_short)) {
            true => chunk,
            false => other_chunk,
        };
        let saves = body.len().saturating_sub(best.len());
        Ok(is_worth(body.len(), saves).then_some(best.as_slice()))
    }

    /// The stored form of a raw payload. zstd begins a new block, with its own literal codes, at each
    /// of the `cuts`, which ascend; parts too small to repay a block are joined to the next.
    pub(super) fn compress(&mut self, raw: &[u8], cuts: &[usize]) -> Result<(Codec, Vec<u8>)> {
        let failed = |code| Error::invalid(format!("zstd: {}", zstd_safe::get_error_name(code)));
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

/// Compresses a chunk's body, with no repetitions shorter than `match_bytes_min`.
fn compress_matches(
    context: &mut zstd_safe::CCtx<'_>,
    body: &[u8],
    match_bytes_min: u32,
    out: &mut Vec<u8>,
) -> Result<()> {
    use zstd_safe::CParameter::{CompressionLevel, MinMatch};
    let failed = |code| Error::invalid(format!("zstd: {}", zstd_safe::get_error_name(code)));
    out.clear();
    out.reserve(zstd_safe::compress_bound(body.len()));
    for parameter in [CompressionLevel(CHUNK_LEVEL), MinMatch(match_bytes_min)] {
        context.set_parameter(parameter).map_err(failed)?;
    }
    context.compress2(out, body).map_err(failed)?;
    Ok(())
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
    decompressed.map_err(|code| {
        Error::invalid(format!("zstd: {}", zstd_safe::get_error_name(code))).in_field("payload")
    })?;
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
        Err(code) => invalid(format!("zstd: {}", zstd_safe::get_error_name(code))),
    }
}

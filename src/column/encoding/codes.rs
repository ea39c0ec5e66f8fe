//! Codes into a dictionary: one byte each up to 256 entries, else two; none for a single entry.
//!
//! Whole bytes rather than exact bits, so that zstd sees repeats and correlated columns. Codes are
//! given in order of first appearance: code c first appears after c - 1, and every entry is used.
//! Two-byte codes are stored as all low bytes, then all high bytes.

use crate::codec::Cursor;
use crate::error::Result;

/// Bytes per code.
pub(super) fn code_bytes(entries: usize) -> usize {
    match entries {
        0..=1 => 0,
        2..=256 => 1,
        _ => 2,
    }
}

/// Appends the codes.
pub(super) fn encode(codes: &[u16], entries: usize, out: &mut Vec<u8>) {
    match code_bytes(entries) {
        0 => {}
        1 => out.extend(codes.iter().map(|&c| c as u8)),
        _ => {
            out.extend(codes.iter().map(|&c| c as u8));
            out.extend(codes.iter().map(|&c| (c >> 8) as u8));
        }
    }
}

/// Reads `count` codes below `entries`, appending them.
pub(super) fn decode(
    cursor: &mut Cursor<'_>,
    count: usize,
    entries: usize,
    out: &mut Vec<u32>,
) -> Result<()> {
    let start = out.len();
    match code_bytes(entries) {
        0 => out.resize(start + count, 0),
        1 => out.extend(cursor.take(count)?.iter().map(|&c| u32::from(c))),
        _ => {
            let low = cursor.take(count)?;
            let high = cursor.take(count)?;
            out.extend(low.iter().zip(high).map(|(&l, &h)| u32::from(l) | u32::from(h) << 8));
        }
    }
    let mut next = 0;
    for &code in out.get(start..).unwrap_or_default() {
        if code > next {
            return Err(cursor.error(format!("code {code} appears before code {next}")));
        }
        next += u32::from(code == next);
    }
    if next as usize != entries {
        return Err(cursor.error(format!("{next} of {entries} entries are used")));
    }
    Ok(())
}

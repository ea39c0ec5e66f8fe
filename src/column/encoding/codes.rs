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

/// Codes where they stand.
pub(crate) struct Bytes<'a> {
    low: &'a [u8],
    high: &'a [u8],
}

impl Bytes<'_> {
    /// The code at a rank.
    pub(crate) fn get(&self, rank: u32) -> u32 {
        let byte = |of: &[u8]| of.get(rank as usize).map_or(0, |&byte| u32::from(byte));
        byte(self.low) | byte(self.high) << 8
    }
}

/// Takes `count` codes as they are.
pub(super) fn bytes<'a>(
    cursor: &mut Cursor<'a>,
    count: usize,
    entries: usize,
) -> Result<Bytes<'a>> {
    let bytes = code_bytes(entries);
    let low = cursor.take(if bytes > 0 { count } else { 0 })?;
    let high = cursor.take(if bytes > 1 { count } else { 0 })?;
    Ok(Bytes { low, high })
}

/// Takes `count` codes of one byte each, all of which are below `entries`; `None` if there is a
/// single entry, or none, and so no codes.
pub(super) fn single_bytes<'a>(
    cursor: &mut Cursor<'a>,
    count: usize,
    entries: usize,
) -> Result<Option<&'a [u8]>> {
    let low = bytes(cursor, count, entries)?.low;
    match low.iter().max() {
        Some(code) if usize::from(*code) >= entries => {
            Err(cursor.error(format!("code {code} of {entries} entries")))
        }
        Some(_) => Ok(Some(low)),
        None => Ok(None),
    }
}

/// Reads the codes at these ranks only, of `count`.
pub(super) fn pick(
    cursor: &mut Cursor<'_>,
    count: usize,
    entries: usize,
    ranks: &[u32],
) -> Result<Vec<u32>> {
    let all = bytes(cursor, count, entries)?;
    let codes: Vec<u32> = ranks.iter().map(|&rank| all.get(rank)).collect();
    match codes.iter().find(|&&code| code as usize >= entries) {
        Some(code) => Err(cursor.error(format!("code {code} of {entries} entries"))),
        None => Ok(codes),
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
    let codes = out.get(start..).unwrap_or_default();
    check_order(cursor, codes.iter().copied(), entries)
}

/// Whether codes are in order of first appearance and every entry is used.
pub(super) fn check_order(
    cursor: &Cursor<'_>,
    codes: impl Iterator<Item = u32>,
    entries: usize,
) -> Result<()> {
    let mut next = 0;
    for code in codes {
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

//! Which rows of a table have a value in a column: a bitmap, or the gaps between the rows.
//!
//! Columns that are present in the same rows share one. A presence names at least one row and not
//! all of them (columns of all rows name none).

use crate::codec::{Cursor, put_varint};
use crate::column::Bitmap;
use crate::error::Result;

const BITMAP: u8 = 0;
const GAPS: u8 = 1;

/// Most bytes of the presence of one more row, however sparse.
pub(crate) const ROW_BYTES_MAX: usize = 3;
/// Most bytes of a presence beside its rows.
pub(crate) const HEAD_BYTES_MAX: usize = 5;

/// Appends the presence of these rows, which ascend, in a table of `rows_all` rows.
pub(crate) fn encode(rows: &[u16], rows_all: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(GAPS);
    put_varint(out, rows.len() as u64);
    let mut next = 0;
    for &row in rows {
        put_varint(out, u64::from(row) - next);
        next = u64::from(row) + 1;
    }
    let bitmap_bytes = rows_all.div_ceil(8);
    if out.len() - start < 1 + bitmap_bytes {
        return;
    }
    out.truncate(start);
    out.push(BITMAP);
    let first = out.len();
    out.resize(first + bitmap_bytes, 0);
    for &row in rows {
        if let Some(byte) = out.get_mut(first + usize::from(row) / 8) {
            *byte |= 1 << (row % 8);
        }
    }
}

/// Reads one, and how many rows it names.
pub(crate) fn decode(cursor: &mut Cursor<'_>, rows_all: usize) -> Result<(Bitmap, usize)> {
    let mut bitmap = Bitmap { words: vec![0; rows_all.div_ceil(64)], rows: rows_all };
    match cursor.u8()? {
        BITMAP => {
            let bytes = cursor.take(rows_all.div_ceil(8))?;
            for (word, chunk) in bitmap.words.iter_mut().zip(bytes.chunks(8)) {
                let mut padded = [0; 8];
                padded.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
                *word = u64::from_le_bytes(padded);
            }
            let last = rows_all % 64;
            if last != 0 && bitmap.words.last().is_some_and(|word| word >> last != 0) {
                return Err(cursor.error("a presence names rows beyond the table"));
            }
        }
        GAPS => {
            let count = cursor.length(rows_all, "rows of a presence")?;
            let mut next = 0;
            for _ in 0..count {
                let row = next + cursor.length(rows_all, "gap of a presence")?;
                if row >= rows_all {
                    return Err(cursor.error("a presence names rows beyond the table"));
                }
                if let Some(word) = bitmap.words.get_mut(row / 64) {
                    *word |= 1 << (row % 64);
                }
                next = row + 1;
            }
        }
        form => return Err(cursor.error(format!("presence of unknown form {form}"))),
    }
    let count = bitmap.words.iter().map(|word| word.count_ones() as usize).sum();
    if count == 0 || count == rows_all {
        return Err(cursor.error("a presence that names no row or all of them"));
    }
    Ok((bitmap, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_rows_lead_back_in_the_smaller_form() {
        let dense: Vec<u16> = (0..1000).filter(|r| r % 7 != 3).collect();
        for (rows, all, bytes_max) in
            [(dense, 1000, 126), (vec![0, 999], 1000, 5), (vec![65_535], 65_536, 5)]
        {
            let mut out = Vec::new();
            encode(&rows, all, &mut out);
            assert!(out.len() <= bytes_max, "{} bytes", out.len());
            assert!(out.len() <= HEAD_BYTES_MAX + rows.len() * ROW_BYTES_MAX);
            let mut cursor = Cursor::new(&out);
            let (bitmap, count) = decode(&mut cursor, all).unwrap();
            cursor.finish().unwrap();
            assert_eq!(count, rows.len());
            let named: Vec<u16> = (0..=u16::MAX).filter(|&r| bitmap.get(usize::from(r))).collect();
            assert_eq!(named, rows);
        }
    }

    #[test]
    fn rows_beyond_the_table_and_empty_presences_are_refused() {
        for bytes in [&[BITMAP, 0x80][..], &[BITMAP, 0], &[BITMAP, 0x7f], &[GAPS, 0]] {
            assert!(decode(&mut Cursor::new(bytes), 7).is_err(), "{bytes:?}");
        }
        for bytes in [&[GAPS, 1, 7][..], &[GAPS, 2, 6, 0], &[GAPS, 2, 6], &[2, 1], &[]] {
            assert!(decode(&mut Cursor::new(bytes), 7).is_err(), "{bytes:?}");
        }
        assert!(decode(&mut Cursor::new(&[GAPS, 2, 5, 0]), 7).is_ok());
    }
}

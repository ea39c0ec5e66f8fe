//! Ids of 8 and 16 bytes: random, so their bytes cannot shrink, but their repeats can.
//!
//! | encoding | body |
//! |---|---|
//! | dictionary | number of entries (varint), entries, codes |
//! | plain | the id of each row |

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::{Encoding, codes};
use crate::error::{Error, Result};

/// Most bytes that one more row can add beside a new entry.
pub(crate) const ROW_BYTES_MAX: usize = 2;
/// Most bytes that one more reference to a row can add.
pub(crate) const REFERENCE_BYTES_MAX: usize = 9;

/// Appends a body for distinct ids, in order of first appearance, and a code per row.
pub(crate) fn encode<const N: usize>(
    entries: &[[u8; N]],
    row_codes: &[u16],
    out: &mut Vec<u8>,
) -> Encoding {
    if entries.len() == row_codes.len() {
        return encode_plain(entries, out);
    }
    put_varint(out, entries.len() as u64);
    out.extend_from_slice(entries.as_flattened());
    codes::encode(row_codes, entries.len(), out);
    Encoding::IdDictionary
}

/// Appends an id per row.
pub(crate) fn encode_plain<const N: usize>(ids: &[[u8; N]], out: &mut Vec<u8>) -> Encoding {
    out.extend_from_slice(ids.as_flattened());
    Encoding::IdPlain
}

/// Reads a body of `count` rows: values, and a code per row.
pub(crate) fn decode<const N: usize>(
    encoding: Encoding,
    body: &[u8],
    count: usize,
    values: &mut Vec<[u8; N]>,
    row_codes: &mut Vec<u32>,
) -> Result<()> {
    values.clear();
    row_codes.clear();
    let mut cursor = Cursor::new(body);
    let entries = match encoding {
        Encoding::IdDictionary => cursor.length(count, "entries of a dictionary")?,
        Encoding::IdPlain => count,
        other => return Err(Error::invalid(format!("ids in encoding {other:?}"))),
    };
    let (ids, _) = cursor.take(entries * N)?.as_chunks::<N>();
    if let Some(zero) = ids.iter().position(|id| *id == [0; N]) {
        return Err(Error::invalid(format!("id {zero} is all zero")));
    }
    values.extend_from_slice(ids);
    if encoding == Encoding::IdPlain {
        row_codes.extend(0..count as u32);
    } else {
        codes::decode(&mut cursor, count, entries, row_codes)?;
    }
    cursor.finish()
}

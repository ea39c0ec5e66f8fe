//! Text, bytes and nested values.
//!
//! | encoding | body |
//! |---|---|
//! | dictionary | number of entries (varint), their lengths (varints), their bytes, codes |
//! | plain | the length of each row (varints), their bytes |
//! | by type | number of entries, their lengths, their bytes as in a dictionary, codes by type |

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::by_type::{self, TypesOf};
use crate::column::encoding::{Encoding, Stored, codes};
use crate::error::{Error, Result};
use crate::limits;

/// Most bytes that one more row can add beside the bytes of a new entry.
pub(crate) const ROW_BYTES_MAX: usize = 2;
/// Most bytes that one more entry can add beside its bytes.
pub(crate) const ENTRY_BYTES_MAX: usize = 3;

/// Distinct values, in order of first appearance, and a code per row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// All values, one after another.
    pub(crate) bytes: &'a [u8],
    /// Where each ends.
    pub(crate) ends: &'a [u32],
    /// One per row.
    pub(crate) codes: &'a [u16],
}

/// What was read: value c is `bytes[offsets[c]..offsets[c + 1]]`.
#[derive(Debug, Default)]
pub(crate) struct Decoded<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offsets: Vec<u32>,
    pub(crate) codes: Vec<u32>,
}

/// Appends a body and says in which encoding; `types` if codes may be stored by type.
pub(crate) fn encode(
    source: Source<'_>,
    types: Option<TypesOf<'_>>,
    out: &mut Vec<u8>,
) -> Encoding {
    let plain = source.ends.len() == source.codes.len() && source.ends.len() > 1;
    if !plain {
        put_varint(out, source.ends.len() as u64);
    }
    let mut start = 0;
    for &end in source.ends {
        put_varint(out, u64::from(end - start));
        start = end;
    }
    out.extend_from_slice(source.bytes);
    if plain {
        return Encoding::TextPlain;
    }
    let entries = source.ends.len();
    if types.is_some_and(|types| by_type::encode(source.codes, entries, types, out)) {
        return Encoding::TextByType;
    }
    codes::encode(source.codes, entries, out);
    Encoding::TextDictionary
}

/// Reads a body of `count` rows that stands for itself.
pub(crate) fn decode<'a>(stored: Stored<'a>, count: usize, out: &mut Decoded<'a>) -> Result<()> {
    out.codes.clear();
    let (mut cursor, entries) = decode_entries(stored, count, out)?;
    match stored.encoding {
        Encoding::TextPlain => out.codes.extend(0..count as u32),
        Encoding::TextDictionary => codes::decode(&mut cursor, count, entries, &mut out.codes)?,
        other => return Err(Error::invalid(format!("text in encoding {}", other.name()))),
    }
    cursor.finish()
}

/// The codes of all `count` rows where they stand, and the number of entries.
pub(crate) fn stored_codes<'a>(
    stored: Stored<'a>,
    count: usize,
) -> Result<(codes::Bytes<'a>, usize)> {
    if stored.encoding != Encoding::TextDictionary {
        let name = stored.encoding.name();
        return Err(Error::invalid(format!("codes refer to text in encoding {name}")));
    }
    let (mut cursor, entries) = decode_entries(stored, count, &mut Decoded::default())?;
    Ok((codes::bytes(&mut cursor, count, entries)?, entries))
}

/// Reads the entries; gives what stands behind them, and their number.
pub(crate) fn decode_entries<'a>(
    stored: Stored<'a>,
    count: usize,
    out: &mut Decoded<'a>,
) -> Result<(Cursor<'a>, usize)> {
    let mut cursor = Cursor::new(stored.body);
    out.offsets.clear();
    let entries = match stored.encoding {
        Encoding::TextDictionary | Encoding::TextByType => {
            cursor.length(count, "entries of a dictionary")?
        }
        Encoding::TextPlain => count,
        other => return Err(Error::invalid(format!("text in encoding {}", other.name()))),
    };
    if !stored.tail.is_empty() {
        return Err(Error::invalid("text has no tail"));
    }
    out.offsets.reserve(entries + 1);
    out.offsets.push(0);
    let mut end = 0usize;
    for _ in 0..entries {
        end += cursor.length(limits::VALUE_BYTES_MAX, "length of a value")?;
        out.offsets.push(end as u32);
    }
    out.bytes = cursor.take(end)?;
    Ok((cursor, entries))
}

impl<'a> Decoded<'a> {
    /// The value behind a code.
    pub(crate) fn value(&self, code: u32) -> Option<&'a [u8]> {
        let start = *self.offsets.get(code as usize)? as usize;
        let end = *self.offsets.get(code as usize + 1)? as usize;
        self.bytes.get(start..end)
    }

    /// The value of a row.
    pub(crate) fn row(&self, row: usize) -> Option<&'a [u8]> {
        self.value(*self.codes.get(row)?)
    }
}

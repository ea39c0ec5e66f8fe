//! Text, bytes and nested values.
//!
//! | encoding | body |
//! |---|---|
//! | dictionary | number of entries (varint), their lengths (varints), their bytes, codes |
//! | plain | the length of each row (varints), their bytes |
//! | by type | number of entries, their lengths, their bytes as in a dictionary, codes by type |
//! | templates | entries as templates and numbers, codes unless each row has an entry of its own |

use std::borrow::Cow;
use std::ops::Range;

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::by_type::{self, TypesOf};
use crate::column::encoding::templates::{self, Templates};
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
    pub(crate) bytes: Cow<'a, [u8]>,
    pub(crate) offsets: Vec<u32>,
    pub(crate) codes: Vec<u32>,
}

/// What more a block may do to store a text column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InBlock<'a> {
    /// If codes may be stored by type.
    pub(crate) types: Option<TypesOf<'a>>,
    /// If values may be split into templates and numbers.
    pub(crate) templates: bool,
}

/// Appends body and tail and says in which encoding.
pub(crate) fn encode(
    source: Source<'_>,
    in_block: Option<InBlock<'_>>,
    out: &mut Vec<u8>,
    tail: &mut Vec<u8>,
) -> Encoding {
    let entries = source.ends.len();
    let plain = entries == source.codes.len() && entries > 1;
    let types = in_block.and_then(|block| block.types).filter(|_| !plain);
    let mut by_type = Vec::new();
    if types.is_some_and(|types| by_type::encode(source.codes, entries, types, &mut by_type)) {
        put_varint(out, entries as u64);
        put_entries(source, out);
        out.extend_from_slice(&by_type);
        return Encoding::TextByType;
    }
    if in_block.is_some_and(|block| block.templates) && templates::encode(source, out, tail) {
        if !plain {
            codes::encode(source.codes, entries, out);
        }
        return Encoding::TextTemplates;
    }
    if plain {
        put_entries(source, out);
        return Encoding::TextPlain;
    }
    put_varint(out, entries as u64);
    put_entries(source, out);
    codes::encode(source.codes, entries, out);
    Encoding::TextDictionary
}

fn put_entries(source: Source<'_>, out: &mut Vec<u8>) {
    let mut start = 0;
    for &end in source.ends {
        put_varint(out, u64::from(end - start));
        start = end;
    }
    out.extend_from_slice(source.bytes);
}

/// Reads a body of `count` rows that stands for itself.
pub(crate) fn decode<'a>(stored: Stored<'a>, count: usize, out: &mut Decoded<'a>) -> Result<()> {
    out.codes.clear();
    if stored.encoding == Encoding::TextTemplates {
        let (templates, mut cursor) = Templates::read(stored, count)?;
        templates.all(&cursor, out)?;
        if templates.texts() == count && count > 1 {
            out.codes.extend(0..count as u32);
        } else {
            codes::decode(&mut cursor, count, templates.texts(), &mut out.codes)?;
        }
        return cursor.finish();
    }
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
    out.bytes = Cow::Borrowed(cursor.take(end)?);
    Ok((cursor, entries))
}

/// Texts in templates at these ranks, of `count`: those only, and the code of each rank.
pub(crate) fn pick_templates<'a>(
    stored: Stored<'a>,
    count: usize,
    ranks: &[u32],
) -> Result<Decoded<'a>> {
    let (templates, mut cursor) = Templates::read(stored, count)?;
    let mut codes = match templates.texts() {
        texts if texts == count && count > 1 => ranks.to_vec(),
        texts => codes::pick(&mut cursor, count, texts, ranks)?,
    };
    let mut wanted = codes.clone();
    wanted.sort_unstable();
    wanted.dedup();
    let mut decoded = Decoded::default();
    templates.some(&wanted, &mut decoded)?;
    // Each is there: that is where it was taken from.
    codes.iter_mut().for_each(|code| *code = wanted.partition_point(|other| other < code) as u32);
    decoded.codes = codes;
    Ok(decoded)
}

impl<'a> Decoded<'a> {
    /// The value behind a code.
    pub(crate) fn value(&self, code: u32) -> Option<&[u8]> {
        self.bytes.get(self.range(code)?)
    }

    /// The value of a row.
    pub(crate) fn row(&self, row: usize) -> Option<&[u8]> {
        self.value(*self.codes.get(row)?)
    }

    /// The value of a row, if it stands in the body as it is.
    pub(crate) fn standing(&self, row: usize) -> Option<&'a [u8]> {
        match self.bytes {
            Cow::Borrowed(bytes) => bytes.get(self.range(*self.codes.get(row)?)?),
            Cow::Owned(_) => None,
        }
    }

    /// Where the value behind a code is among the bytes.
    pub(crate) fn range(&self, code: u32) -> Option<Range<usize>> {
        let start = *self.offsets.get(code as usize)? as usize;
        Some(start..*self.offsets.get(code as usize + 1)? as usize)
    }
}

//! The values of one column in their encoding, without a payload around them: what fuzzing and
//! benches take the encodings by.
//!
//! Batches and blocks hold the same bytes and read them with the same functions; there the directory
//! says how many values a column has, here the caller does. What picks takes ranks that ascend and
//! are below the number of values, as readers of rows do.

use crate::codec::Cursor;
use crate::column::encoding::by_type::{self, ByType, TypesOf};
use crate::column::encoding::{Encoding, Stored, ids, integers, pick, presence, select, texts};
use crate::column::kernels::Kernels;
use crate::column::view::{Bitmap, Ids, Texts};
use crate::error::{Error, Result};

/// Body and tail of a column as they are before compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Code of the encoding, see `storage-format.md`, "Payload".
    pub encoding: u8,
    /// What compresses.
    pub body: Vec<u8>,
    /// What looks like noise.
    pub tail: Vec<u8>,
}

impl Encoded {
    fn with(write: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> Encoding) -> Encoded {
        let (mut body, mut tail) = (Vec::new(), Vec::new());
        Encoded { encoding: write(&mut body, &mut tail) as u8, body, tail }
    }

    /// Integers, at least one.
    #[must_use]
    pub fn integers(values: &[i64]) -> Encoded {
        Encoded::with(|body, tail| integers::encode(values, None, body, tail))
    }

    /// Texts of which every row has one; codes in order of first appearance.
    #[must_use]
    pub fn texts(texts: &Texts) -> Encoded {
        let ends = texts.offsets.get(1..).unwrap_or_default();
        let source = texts::Source { bytes: &texts.bytes, ends, codes: &narrow(&texts.codes) };
        Encoded::with(|body, tail| texts::encode(source, None, body, tail))
    }

    /// As [`Encoded::texts`], with what only blocks may do: texts, which are UTF-8, as templates.
    #[must_use]
    pub fn texts_in_block(texts: &Texts) -> Encoded {
        let ends = texts.offsets.get(1..).unwrap_or_default();
        let source = texts::Source { bytes: &texts.bytes, ends, codes: &narrow(&texts.codes) };
        let in_block = texts::InBlock { types: None, templates: true };
        Encoded::with(|body, tail| texts::encode(source, Some(in_block), body, tail))
    }

    /// Ids of which every row has one; codes in order of first appearance.
    #[must_use]
    pub fn ids<const N: usize>(ids: &Ids<N>) -> Encoded {
        Encoded::with(|body, tail| ids::encode(&ids.values, &narrow(&ids.codes), body, tail))
    }

    /// The parent of each row, as a reference to the row with that span id if there is one.
    #[must_use]
    pub fn parents(parents: &[[u8; 8]], spans: &[[u8; 8]]) -> Encoded {
        let rows: Vec<u16> = (0..=u16::MAX).take(parents.len().max(spans.len())).collect();
        let by_row = |ids| ids::IdsByRow { ids, rows: &rows };
        let mut scratch = ids::ReferenceScratch::default();
        Encoded::with(|body, tail| {
            ids::encode_references(by_row(parents), by_row(spans), &mut scratch, body, tail)
        })
    }

    fn stored(&self) -> Result<Stored<'_>> {
        let encoding = Encoding::from_code(self.encoding)
            .ok_or_else(|| Error::unsupported(format!("column encoding {}", self.encoding)))?;
        Ok(Stored { encoding, body: &self.body, tail: &self.tail })
    }

    /// Reads integers.
    pub fn read_integers(&self, count: usize) -> Result<Vec<i64>> {
        let mut values = Vec::new();
        integers::decode(self.stored()?, count, &mut values)?;
        Ok(values)
    }

    /// Which integers lie between `low` and `high`, both inside: bit i of word w for value
    /// 64 w + i.
    pub fn integers_between(
        &self,
        count: usize,
        (low, high): (i64, i64),
        kernels: Kernels,
    ) -> Result<Vec<u64>> {
        select::between(self.stored()?, count, select::Range { low, high }, kernels)
    }

    /// Reads texts.
    pub fn read_texts(&self, count: usize) -> Result<Texts> {
        let mut decoded = texts::Decoded::default();
        texts::decode(self.stored()?, count, &mut decoded)?;
        let texts::Decoded { bytes, offsets, codes } = decoded;
        Ok(Texts { bytes: bytes.into_owned(), offsets, codes })
    }

    /// Reads ids.
    pub fn read_ids<const N: usize>(&self, count: usize) -> Result<Ids<N>> {
        let (mut values, mut codes) = (Vec::new(), Vec::new());
        ids::decode(self.stored()?, count, &mut values, &mut codes)?;
        Ok(Ids { values, codes })
    }

    /// Reads parents, plain or as references to the rows with these span ids.
    pub fn read_parents(&self, count: usize, spans: &[[u8; 8]]) -> Result<Vec<[u8; 8]>> {
        let stored = self.stored()?;
        if stored.encoding != Encoding::IdReference {
            let ids = self.read_ids::<8>(count)?;
            let row = |row| ids.row(row).ok_or_else(|| Error::invalid("a row without an id"));
            return (0..count).map(row).collect();
        }
        let mut values = Vec::new();
        let span_of = |row: usize| spans.get(row).copied();
        ids::decode_references(stored, 0..count, count, span_of, &mut values)?;
        Ok(values)
    }

    /// Of [`Encoded::read_integers`] the values at these ranks.
    pub fn pick_integers(&self, count: usize, ranks: &[u32]) -> Result<Vec<i64>> {
        pick::integers(self.stored()?, count, ranks)
    }

    /// Of [`Encoded::read_texts`] the values at these ranks.
    pub fn pick_texts(&self, count: usize, ranks: &[u32]) -> Result<Texts> {
        let texts::Decoded { bytes, offsets, codes } = pick::texts(self.stored()?, count, ranks)?;
        Ok(Texts { bytes: bytes.into_owned(), offsets, codes })
    }

    /// Of [`Encoded::read_ids`] the values at these ranks.
    pub fn pick_ids<const N: usize>(&self, count: usize, ranks: &[u32]) -> Result<Vec<[u8; N]>> {
        pick::ids(self.stored()?, count, ranks)
    }

    /// Of [`Encoded::read_parents`] the values at these ranks.
    pub fn pick_parents(
        &self,
        count: usize,
        ranks: &[u32],
        spans: &[[u8; 8]],
    ) -> Result<Vec<[u8; 8]>> {
        let stored = self.stored()?;
        if stored.encoding != Encoding::IdReference {
            return pick::ids(stored, count, ranks);
        }
        let span_of = |row: usize| spans.get(row).copied();
        pick::references(stored, count, ranks, |index| ranks.get(index).copied(), span_of)
    }
}

fn narrow(codes: &[u32]) -> Vec<u16> {
    codes.iter().map(|&code| code as u16).collect()
}

/// Which rows of a table of `rows_all` have a value, at least one and not all: its bytes.
#[must_use]
pub fn encode_presence(rows: &[u16], rows_all: usize) -> Vec<u8> {
    let mut out = Vec::new();
    presence::encode(rows, rows_all, &mut out);
    out
}

/// The rows that a presence names, which is all of the bytes.
pub fn decode_presence(bytes: &[u8], rows_all: usize) -> Result<Bitmap> {
    let mut cursor = Cursor::new(bytes);
    let (bitmap, _) = presence::decode(&mut cursor, rows_all)?;
    cursor.finish()?;
    Ok(bitmap)
}

/// Codes of the values of `rows`, in order of first appearance, as they follow from the types of all
/// events, each a code below `entries_of_types`: their bytes, or `None` if they do not follow.
#[must_use]
pub fn encode_by_type(
    (codes, entries): (&[u16], usize),
    rows: &[u16],
    (types, entries_of_types): (&[u16], usize),
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let of = TypesOf { types, entries: entries_of_types, rows };
    by_type::encode(codes, entries, of, &mut out).then_some(out)
}

/// The codes again, from all of the bytes; `types` are those of the rows with a value.
pub fn decode_by_type(
    bytes: &[u8],
    entries: usize,
    (types, entries_of_types): (&[u16], usize),
) -> Result<Vec<u32>> {
    let mut cursor = Cursor::new(bytes);
    let by_type = ByType::read(&mut cursor, entries_of_types, entries, types.len())?;
    cursor.finish()?;
    by_type.all_codes(&cursor, entries, types.iter().map(|code| u32::from(*code)))
}

/// Of [`decode_by_type`] the codes at these ranks, which ascend.
pub fn pick_by_type(
    bytes: &[u8],
    entries: usize,
    (types, entries_of_types): (&[u16], usize),
    ranks: &[u32],
) -> Result<Vec<u32>> {
    let mut cursor = Cursor::new(bytes);
    let by_type = ByType::read(&mut cursor, entries_of_types, entries, types.len())?;
    let type_of = |rank: &u32| types.get(*rank as usize).map_or(u32::MAX, |code| u32::from(*code));
    by_type.codes(&cursor, ranks.iter().map(|rank| (*rank, type_of(rank))))
}

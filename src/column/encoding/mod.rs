//! How the values of a column become bytes; one file per encoding.
//!
//! Each encoding has `encode`, which appends to a body and a tail, and `decode`, which reads a whole
//! body and tail of a known number of values and nothing else. The tail takes what looks like noise
//! (bits of numbers, ids) and the body what zstd can make smaller: all tails stand together at the
//! payload's end, where they do not spoil the literal codes of the rest.
//!
//! A decoder trusts neither lengths nor codes, and refuses bytes that its encoder would not have
//! written where that is cheap to see (bits left over, unused codes), so that equal columns have
//! equal bytes. The discriminants of [`Encoding`] are the codes on disk, for ever. See
//! `storage-format.md`, "Payload".

pub(crate) mod by_type;
pub(crate) mod ids;
pub(crate) mod integers;
pub(crate) mod pick;
pub(crate) mod presence;
pub(crate) mod select;
pub(crate) mod texts;

mod codes;
mod templates;

/// How a body is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Encoding {
    /// Empties: which rows have one says all.
    Nothing = 0,
    /// Integers: one value for all rows.
    Constant = 1,
    /// Integers: bit-packed above the minimum of each miniblock.
    Packed = 2,
    /// Integers: the first, then packed differences.
    Delta = 3,
    /// Integers: few distinct ones and a code per row.
    Dictionary = 4,
    /// Integers: pairs of value and length.
    Runs = 5,
    /// Integers: how many bits each has, and the bits.
    Widths = 6,
    /// Integers: the first, then differences as widths.
    DeltaWidths = 7,
    /// Integers, in blocks: few distinct ones and a code per type.
    DictionaryByType = 8,
    /// Text: distinct values and a code per row.
    TextDictionary = 16,
    /// Text: lengths and bytes of each row.
    TextPlain = 17,
    /// Text, in blocks: distinct values and a code per type.
    TextByType = 18,
    /// Text, in blocks: distinct values as templates and numbers.
    TextTemplates = 19,
    /// Ids: distinct ones and a code per row.
    IdDictionary = 24,
    /// Ids: one after another.
    IdPlain = 25,
    /// Parent span ids: the row of a span with that id, else the id.
    IdReference = 26,
}

impl Encoding {
    /// The encoding behind a code.
    pub(crate) fn from_code(code: u8) -> Option<Encoding> {
        Some(match code {
            0 => Encoding::Nothing,
            1 => Encoding::Constant,
            2 => Encoding::Packed,
            3 => Encoding::Delta,
            4 => Encoding::Dictionary,
            5 => Encoding::Runs,
            6 => Encoding::Widths,
            7 => Encoding::DeltaWidths,
            8 => Encoding::DictionaryByType,
            16 => Encoding::TextDictionary,
            17 => Encoding::TextPlain,
            18 => Encoding::TextByType,
            19 => Encoding::TextTemplates,
            24 => Encoding::IdDictionary,
            25 => Encoding::IdPlain,
            26 => Encoding::IdReference,
            _ => return None,
        })
    }

    /// How `inspect` shows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Encoding::Nothing => "nothing",
            Encoding::Constant => "constant",
            Encoding::Packed => "packed",
            Encoding::Delta => "delta",
            Encoding::Dictionary => "dictionary",
            Encoding::Runs => "runs",
            Encoding::Widths => "widths",
            Encoding::DeltaWidths => "delta widths",
            Encoding::DictionaryByType => "dictionary by type",
            Encoding::TextDictionary => "text dictionary",
            Encoding::TextPlain => "text plain",
            Encoding::TextByType => "text by type",
            Encoding::TextTemplates => "text templates",
            Encoding::IdDictionary => "id dictionary",
            Encoding::IdPlain => "id plain",
            Encoding::IdReference => "id reference",
        }
    }

    /// Whether only blocks may have it: finding out costs time that producers do not have.
    pub(crate) fn is_of_blocks(self) -> bool {
        use Encoding::{DictionaryByType, TextByType, TextTemplates};
        matches!(self, DictionaryByType | TextByType | TextTemplates)
    }

    /// Where in the payload its bodies stand: those that are mostly small numbers without order stand
    /// together, because zstd chooses its literal codes per block of the whole.
    pub(crate) fn place(self) -> usize {
        match self {
            Encoding::Dictionary
            | Encoding::Widths
            | Encoding::DeltaWidths
            | Encoding::IdDictionary
            | Encoding::IdReference => 1,
            _ => 0,
        }
    }

    /// Number of places.
    pub(crate) const PLACES: usize = 2;
}

/// What a column's values are read from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) encoding: Encoding,
    pub(crate) body: &'a [u8],
    pub(crate) tail: &'a [u8],
}

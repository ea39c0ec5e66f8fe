//! How the values of a column become bytes; one file per encoding.
//!
//! Each encoding has `encode`, which appends a body, and `decode`, which reads a whole body of a
//! known number of values and nothing else. A decoder trusts neither lengths nor codes, and refuses
//! bytes that its encoder would not have written where that is cheap to see (bits left over, unused
//! codes), so that equal columns have equal bytes. The discriminants of [`Encoding`] are the codes
//! on disk, for ever. See `storage-format.md`, "Payload".

pub(crate) mod ids;
pub(crate) mod integers;
pub(crate) mod presence;
pub(crate) mod texts;

mod codes;

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
    /// Text: distinct values and a code per row.
    TextDictionary = 16,
    /// Text: lengths and bytes of each row.
    TextPlain = 17,
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
            16 => Encoding::TextDictionary,
            17 => Encoding::TextPlain,
            24 => Encoding::IdDictionary,
            25 => Encoding::IdPlain,
            26 => Encoding::IdReference,
            _ => return None,
        })
    }

    /// Where in the payload its bodies stand: bodies of a like entropy stand together, because
    /// zstd chooses its literal codes per block of the whole.
    pub(crate) fn place(self) -> usize {
        match self {
            Encoding::Nothing
            | Encoding::Constant
            | Encoding::Runs
            | Encoding::TextDictionary
            | Encoding::TextPlain => 0,
            Encoding::Dictionary => 1,
            Encoding::IdReference => 2,
            Encoding::Packed | Encoding::Delta => 3,
            Encoding::IdDictionary | Encoding::IdPlain => 4,
        }
    }

    /// Number of places.
    pub(crate) const PLACES: usize = 5;
}

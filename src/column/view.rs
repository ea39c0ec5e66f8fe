//! Reads the columns of a payload: only those that are asked for are decoded.
//!
//! A view checks the payload's directory on opening and each column when it is decoded; damage is
//! an error, never a panic and never an answer. The caller has checked the frame's checksum.

use crate::column::{ColumnId, Field, Table};
use crate::error::Result;
use crate::event::{Event, Value};
use crate::format::frame::FrameHeader;

/// One bit per row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Row r is bit `r % 64` of word `r / 64`; bits beyond the last row are 0.
    pub words: Vec<u64>,
    /// Number of rows.
    pub rows: usize,
}

/// A decoded column of integers (booleans are 0 and 1, doubles their bits).
#[derive(Clone, Debug)]
pub struct Ints {
    /// One value per row; 0 where the row has none.
    pub values: Vec<i64>,
    /// Which rows have a value; `None`: all.
    pub present: Option<Bitmap>,
}

/// A decoded column of text or bytes: distinct values, and a code per row.
#[derive(Clone, Debug)]
pub struct Texts {
    /// All distinct values, one after another.
    pub bytes: Vec<u8>,
    /// Value c is `bytes[offsets[c]..offsets[c + 1]]`.
    pub offsets: Vec<u32>,
    /// One code per row; [`Texts::ABSENT`] where the row has none.
    pub codes: Vec<u32>,
}

/// A decoded column of ids of `N` bytes: values by code, a code per row, as [`Texts`].
#[derive(Clone, Debug)]
pub struct Ids<const N: usize> {
    /// Values by code; not necessarily distinct.
    pub values: Vec<[u8; N]>,
    /// One code per row; [`Texts::ABSENT`] where the row has none.
    pub codes: Vec<u32>,
}

impl Texts {
    /// The code of a row without a value.
    pub const ABSENT: u32 = u32::MAX;

    /// The value behind a code.
    #[must_use]
    pub fn value(&self, code: u32) -> Option<&[u8]> {
        let start = *self.offsets.get(code as usize)? as usize;
        let end = *self.offsets.get(code as usize + 1)? as usize;
        self.bytes.get(start..end)
    }

    /// The value of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<&[u8]> {
        self.value(*self.codes.get(row)?)
    }
}

impl<const N: usize> Ids<N> {
    /// The value of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> Option<[u8; N]> {
        self.values.get(*self.codes.get(row)? as usize).copied()
    }
}

/// A decompressed payload and its directory of columns.
#[derive(Debug)]
pub struct BatchView {}

impl BatchView {
    /// Decompresses the payload and checks its directory.
    pub fn open(header: &FrameHeader, payload: &[u8]) -> Result<BatchView> {
        let _ = (header, payload);
        todo!("column")
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> usize {
        todo!("column")
    }

    /// Number of rows of a table.
    #[must_use]
    pub fn rows(&self, table: Table) -> usize {
        let _ = table;
        todo!("column")
    }

    /// All columns; an index into this is what the readers below take.
    #[must_use]
    pub fn columns(&self) -> &[ColumnId] {
        todo!("column")
    }

    /// The column of a field that is no attribute and no body.
    #[must_use]
    pub fn find(&self, table: Table, field: Field) -> Option<usize> {
        let _ = (table, field);
        todo!("column")
    }

    /// Columns of an attribute in a table, of whatever type and occurrence.
    pub fn find_attribute<'a>(
        &'a self,
        table: Table,
        key: &'a str,
    ) -> impl Iterator<Item = usize> + 'a {
        let _ = (table, key);
        std::iter::empty()
    }

    /// Decodes a column of integers, booleans or doubles.
    pub fn ints(&self, column: usize) -> Result<Ints> {
        let _ = column;
        todo!("column")
    }

    /// Decodes a column of text, bytes or nested values.
    pub fn texts(&self, column: usize) -> Result<Texts> {
        let _ = column;
        todo!("column")
    }

    /// Decodes a column of 16-byte ids.
    pub fn ids16(&self, column: usize) -> Result<Ids<16>> {
        let _ = column;
        todo!("column")
    }

    /// Decodes a column of 8-byte ids.
    pub fn ids8(&self, column: usize) -> Result<Ids<8>> {
        let _ = column;
        todo!("column")
    }

    /// Which rows of a column have a value; `None`: all. The only reader for columns of empties.
    pub fn presence(&self, column: usize) -> Result<Option<Bitmap>> {
        let _ = column;
        todo!("column")
    }

    /// Whole events, in the order of `rows`, which is ascending. Sequence and received time come
    /// from the header.
    pub fn materialise(&self, header: &FrameHeader, rows: &[u32]) -> Result<Vec<Event>> {
        let _ = (header, rows);
        todo!("column")
    }

    /// The value of one row of any column, for answers and tests.
    pub fn value(&self, column: usize, row: usize) -> Result<Option<Value>> {
        let _ = (column, row);
        todo!("column")
    }
}

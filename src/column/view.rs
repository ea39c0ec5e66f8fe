//! Reads the columns of a payload: only those that are asked for are decoded.
//!
//! A view checks the payload's directory on opening and each column when it is decoded; damage is
//! an error, never a panic and never an answer. The caller has checked the frame's checksum.

use std::sync::Arc;

use bytes::Bytes;

use crate::column::batch::BatchSummary;
use crate::column::chunk::{self, Chunks};
use crate::column::decode::{Bodies, Columns, Dense, check_built};
use crate::column::encoding::select::Range;
use crate::column::encoding::{pick, texts};
use crate::column::kernels::Kernels;
use crate::column::meter::{Meter, Metered};
use crate::column::payload::Directory;
use crate::column::schema::Form;
use crate::column::{ColumnId, EventViews, Field, Table, compress, materialise, validate};
use crate::error::{Error, Result};
use crate::event::{Event, Value, ValueRef};
use crate::format::frame::FrameHeader;
use crate::time::Timestamp;

/// One bit per row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    /// Row r is bit `r % 64` of word `r / 64`; bits beyond the last row are 0.
    pub words: Vec<u64>,
    /// Number of rows.
    pub rows: usize,
}

impl Bitmap {
    /// Whether a row is in it.
    #[must_use]
    pub fn get(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// The rows in it, ascending.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let next = |&word: &u64| Some(word & word.wrapping_sub(1)).filter(|&word| word != 0);
            std::iter::successors(Some(word).filter(|&word| word != 0), next)
                .map(move |word| at * 64 + word.trailing_zeros() as usize)
        })
    }
}

/// A decoded column of integers (booleans are 0 and 1, doubles their bits).
#[derive(Clone, Debug)]
pub struct Ints {
    /// One value per row; 0 where the row has none.
    pub values: Vec<i64>,
    /// Which rows have a value; `None`: all.
    pub present: Option<Bitmap>,
}

/// A decoded column of text or bytes: values by code, mostly distinct, and a code per row.
#[derive(Clone, Debug)]
pub struct Texts {
    /// All values, one after another.
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

/// The columns of a batch: a decompressed payload, or a block whose chunks are fetched when they are
/// first asked for.
#[derive(Debug)]
pub struct BatchView {
    held: Held,
    directory: Directory,
    metered: Metered,
}

#[derive(Debug)]
enum Held {
    Raw(Vec<u8>),
    Chunks(Chunks),
}

impl BatchView {
    /// Decompresses the payload and checks its directory.
    pub fn open(header: &FrameHeader, payload: &[u8]) -> Result<BatchView> {
        let raw = compress::decompress(header.codec, payload, header.raw_length as usize)?;
        let directory = Directory::decode(&raw)?;
        let held = Held::Raw(raw);
        BatchView { held, directory, metered: Metered::default() }.checked(header)
    }

    /// Opens a block of a compacted segment: its head is checked and read, its chunks are when they
    /// are asked for.
    pub fn open_block(header: &FrameHeader, block: Bytes) -> Result<BatchView> {
        let (directory, chunks) = chunk::open(header, block)?;
        let held = Held::Chunks(chunks);
        BatchView { held, directory, metered: Metered::default() }.checked(header)
    }

    /// Puts what it holds, now and later, on a meter; of the file's bytes `own_bytes` are held, too.
    pub(crate) fn metered(mut self, meter: &Arc<Meter>, own_bytes: usize) -> BatchView {
        self.metered = Metered::new(meter.clone(), self.memory_bytes() + own_bytes);
        if let Held::Chunks(chunks) = &mut self.held {
            chunks.meter(meter);
        }
        self
    }

    fn checked(self, header: &FrameHeader) -> Result<BatchView> {
        if self.events() == header.events as usize {
            return Ok(self);
        }
        let what = format!("{} events, the header says {}", self.events(), header.events);
        Err(Error::invalid(what).in_field("events"))
    }

    /// Number of events.
    #[must_use]
    pub fn events(&self) -> usize {
        self.rows(Table::Events)
    }

    /// Number of rows of a table.
    #[must_use]
    pub fn rows(&self, table: Table) -> usize {
        self.directory.rows.get(table as usize).copied().unwrap_or(0)
    }

    /// All columns, ascending; an index into this is what the readers below take.
    #[must_use]
    pub fn columns(&self) -> &[ColumnId] {
        &self.directory.ids
    }

    /// The column of a field that is no attribute and no body.
    #[must_use]
    pub fn find(&self, table: Table, field: Field) -> Option<usize> {
        self.directory.find(table, field)
    }

    /// Columns of an attribute in a table, of whatever type and occurrence.
    pub fn find_attribute<'a>(
        &'a self,
        table: Table,
        key: &'a str,
    ) -> impl Iterator<Item = usize> + 'a {
        let ids = &self.directory.ids;
        let wanted = (table, Field::Attribute, key);
        let start = ids.partition_point(|id| (id.table, id.field, id.key.as_str()) < wanted);
        let end = ids.partition_point(|id| (id.table, id.field, id.key.as_str()) <= wanted);
        start..end
    }

    /// The columns of the body, one for each type that occurs.
    #[must_use]
    pub fn bodies(&self) -> std::ops::Range<usize> {
        self.directory.range(Table::Events, Field::Body)
    }

    /// The name of a column's encoding; its values are not looked at.
    #[must_use]
    pub fn encoding(&self, column: usize) -> Option<&'static str> {
        self.directory.entries.get(column).map(|entry| entry.encoding.name())
    }

    /// How a column is stored, for inspection: the name of its encoding, its body and its tail.
    pub fn stored(&self, column: usize) -> Result<(&'static str, &[u8], &[u8])> {
        let (_, _, stored) = self.reader().column(column)?;
        Ok((stored.encoding.name(), stored.body, stored.tail))
    }

    /// The bytes of a block, to be copied: checksums are right, and nothing is decompressed.
    pub fn checked_block(&self) -> Result<&[u8]> {
        match &self.held {
            Held::Chunks(chunks) => chunks.checked(),
            Held::Raw(_) => Err(Error::invalid("the columns of a batch stand in no block")),
        }
    }

    /// Bytes of all columns before compression.
    #[must_use]
    pub fn raw_bytes(&self) -> usize {
        match &self.held {
            Held::Raw(raw) => raw.len(),
            Held::Chunks(chunks) => chunks.raw_bytes(),
        }
    }

    /// Bytes that a column takes where it is stored; those of a batch are compressed together, and
    /// what counts there is the payload.
    #[must_use]
    pub fn stored_bytes(&self, column: usize) -> usize {
        match (&self.held, self.directory.entries.get(column)) {
            (Held::Chunks(chunks), _) => chunks.stored_bytes(column),
            (Held::Raw(_), Some(entry)) => entry.body.len() + entry.tail.len(),
            (Held::Raw(_), None) => 0,
        }
    }

    /// Bytes that the view holds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let directory = &self.directory;
        let bitmaps: usize = directory.presences.iter().map(|p| p.1.words.len() * 8).sum();
        let held = match &self.held {
            Held::Raw(raw) => raw.len(),
            Held::Chunks(chunks) => chunks.memory_bytes(),
        };
        held + directory.ids.len() * 128 + bitmaps
    }

    /// Decodes a column of integers, booleans or doubles.
    pub fn ints(&self, column: usize) -> Result<Ints> {
        let mut values = Vec::new();
        self.reader().integers(column, &mut values)?;
        let present = self.reader().presence(column).cloned();
        if let Some(rows) = &present {
            scatter(&mut values, rows, 0);
        }
        Ok(Ints { values, present })
    }

    /// The rows of a column of integers, booleans or doubles whose value lies between `low` and
    /// `high`, both inside: bit i of word w for row 64 w + i. Rows without a value count as
    /// `absent` says. Values that their encoding decides are not decoded.
    pub fn rows_between(
        &self,
        column: usize,
        (low, high): (i64, i64),
        absent: bool,
        kernels: Kernels,
    ) -> Result<Vec<u64>> {
        let words = self.reader().between(column, Range { low, high }, kernels)?;
        let Some(present) = self.reader().presence(column) else {
            return Ok(words);
        };
        let mut all = vec![if absent { u64::MAX } else { 0 }; present.rows.div_ceil(64)];
        for (rank, row) in present.ones().enumerate() {
            let bit = words.get(rank / 64).is_some_and(|word| word >> (rank % 64) & 1 == 1);
            if let Some(word) = all.get_mut(row / 64).filter(|_| bit != absent) {
                *word ^= 1 << (row % 64);
            }
        }
        if let (Some(last), true) = (all.last_mut(), !present.rows.is_multiple_of(64)) {
            *last &= (1 << (present.rows % 64)) - 1;
        }
        Ok(all)
    }

    /// Decodes a column of text, bytes or nested values.
    pub fn texts(&self, column: usize) -> Result<Texts> {
        let mut decoded = texts::Decoded::default();
        self.reader().texts(column, &mut decoded)?;
        let texts::Decoded { bytes, offsets, mut codes } = decoded;
        if let Some(rows) = self.reader().presence(column) {
            scatter(&mut codes, rows, Texts::ABSENT);
        }
        Ok(Texts { bytes: bytes.into_owned(), offsets, codes })
    }

    /// Decodes a column of 16-byte ids.
    pub fn ids16(&self, column: usize) -> Result<Ids<16>> {
        let Dense::Ids16 { values, mut codes } = self.reader().dense(column)? else {
            return Err(self.wrong_form(column, "ids of 16 bytes"));
        };
        if let Some(rows) = self.reader().presence(column) {
            scatter(&mut codes, rows, Texts::ABSENT);
        }
        Ok(Ids { values, codes })
    }

    /// Decodes a column of 8-byte ids.
    pub fn ids8(&self, column: usize) -> Result<Ids<8>> {
        let Dense::Ids8 { values, mut codes } = self.reader().dense(column)? else {
            return Err(self.wrong_form(column, "ids of 8 bytes"));
        };
        if let Some(rows) = self.reader().presence(column) {
            scatter(&mut codes, rows, Texts::ABSENT);
        }
        Ok(Ids { values, codes })
    }

    /// Which rows of a column have a value; `None`: all. The only reader for columns of empties.
    pub fn presence(&self, column: usize) -> Result<Option<Bitmap>> {
        self.reader().column(column)?;
        Ok(self.reader().presence(column).cloned())
    }

    /// Decodes every column, for verification; says the least and greatest time.
    pub fn check(&self) -> Result<(Timestamp, Timestamp)> {
        let mut built_bytes = 0;
        for (at, id) in self.columns().iter().enumerate() {
            built_bytes += self.reader().dense(at)?.built_bytes();
            check_built(built_bytes, id)?;
        }
        let missing = || Error::invalid("events without times").in_field("time");
        let times = self.ints(self.find(Table::Events, Field::Time).ok_or_else(missing)?)?;
        let bound = |time: Option<&i64>| Timestamp(time.copied().unwrap_or(0));
        Ok((bound(times.values.iter().min()), bound(times.values.iter().max())))
    }

    /// Series and traces, as validation would find them, from the columns that say them only: for
    /// the directory of a segment that was validated when it was written.
    pub fn summary(&self) -> Result<BatchSummary> {
        validate::summarise(self.reader())
    }

    /// The rows of a column of 16-byte ids whose id is wanted, ascending, each with what `wanted`
    /// says of the id.
    pub fn rows_of_ids<T: Copy>(
        &self,
        column: usize,
        wanted: impl Fn(&[u8; 16]) -> Option<T>,
    ) -> Result<Vec<(u32, T)>> {
        let (id, entry, stored) = self.reader().column(column)?;
        if id.form() != Form::Ids16 {
            return Err(self.wrong_form(column, "ids of 16 bytes"));
        }
        let found = pick::ranks_of(stored, entry.count, wanted);
        let mut found = found.map_err(|error| error.in_field(id.path()))?;
        if let (Some(present), false) = (self.reader().presence(column), found.is_empty()) {
            let mut rows = present.ones().zip(0..);
            for (rank, _) in &mut found {
                let row = rows.find(|(_, other)| other == rank).map_or(0, |(row, _)| row);
                *rank = row as u32;
            }
        }
        Ok(found)
    }

    /// Whole events, in the order of `rows`, which is ascending. Sequence and received time come
    /// from the header.
    pub fn materialise(&self, header: &FrameHeader, rows: &[u32]) -> Result<Vec<Event>> {
        Ok(self.event_views(header, rows)?.into_events())
    }

    /// As [`BatchView::materialise`], but attributes stay where they stand.
    pub fn event_views(&self, header: &FrameHeader, rows: &[u32]) -> Result<EventViews<'_>> {
        materialise::views(self.reader(), header, rows)
    }

    /// Columns of events that are not decompressed yet, each with the bytes it will take: what
    /// [`BatchView::open_column`] may do ahead, on other threads.
    pub fn unopened(&self) -> impl Iterator<Item = (usize, usize)> {
        let unopened = |at: usize| match &self.held {
            Held::Chunks(chunks) => Some((at, chunks.unopened_bytes(at)?)),
            Held::Raw(_) => None,
        };
        self.directory.table(Table::Events).filter_map(unopened)
    }

    /// Whether a column has a value in every row of its table.
    #[must_use]
    pub fn is_everywhere(&self, column: usize) -> bool {
        self.reader().presence(column).is_none()
    }

    /// Whether one of these rows has a value in a column.
    #[must_use]
    pub fn has_any(&self, column: usize, rows: &[u32]) -> bool {
        match self.reader().presence(column) {
            None => true,
            Some(present) => rows.iter().any(|&row| present.get(row as usize)),
        }
    }

    /// Decompresses a column. Damage is told by whoever reads it.
    pub fn open_column(&self, column: usize) {
        if let Held::Chunks(chunks) = &self.held {
            let _told_later = chunks.get(column);
        }
    }

    /// The value of one row of any column, for answers and tests.
    pub fn value(&self, column: usize, row: usize) -> Result<Option<Value>> {
        let (id, _, _) = self.reader().column(column)?;
        if row >= self.rows(id.table) {
            return Err(Error::invalid(format!("the table has no row {row}")).in_field(id.path()));
        }
        let at = match self.reader().presence(column) {
            None => row,
            Some(rows) if !rows.get(row) => return Ok(None),
            Some(rows) => rows.ones().take_while(|&other| other < row).count(),
        };
        let dense = self.reader().dense(column)?;
        Ok(dense.value(id.value_type, at).map(ValueRef::to_value))
    }

    pub(super) fn reader(&self) -> Columns<'_> {
        let bodies = match &self.held {
            Held::Raw(raw) => Bodies::Raw(raw),
            Held::Chunks(chunks) => Bodies::Chunks(chunks),
        };
        Columns { bodies, directory: &self.directory }
    }

    fn wrong_form(&self, column: usize, wanted: &str) -> Error {
        let error = Error::invalid(format!("the column does not hold {wanted}"));
        match self.directory.ids.get(column) {
            Some(id) => error.in_field(id.path()),
            None => error,
        }
    }
}

/// Spreads the values of the rows that have one over all rows.
pub(super) fn scatter<T: Copy>(values: &mut Vec<T>, rows: &Bitmap, absent: T) {
    let mut all = vec![absent; rows.rows];
    for (row, value) in rows.ones().zip(values.iter()) {
        if let Some(cell) = all.get_mut(row) {
            *cell = *value;
        }
    }
    *values = all;
}

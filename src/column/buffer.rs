//! The values of one column while a batch is built.
//!
//! Everything that is added can be taken back in reverse order, exactly ([`ColumnBuffer::pop`]),
//! and everything is kept for the next batch but for the values.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

use crate::column::ColumnId;
use crate::column::encoding::texts::InBlock;
use crate::column::encoding::{Encoding, ids, integers, presence, texts};
use crate::column::schema::{EXPANDED_VALUE_BYTES, Form};
use crate::event::{DoubleBits, ValueRef};

/// No column.
pub(super) const NONE: u32 = u32::MAX;
/// Most bytes that a column takes beside its key and its values: entry in the directory, head of
/// its presence, head of its body.
const COLUMN_BYTES_MAX: usize = 20 + presence::HEAD_BYTES_MAX + integers::HEAD_BYTES_MAX;

/// A column being filled.
#[derive(Debug)]
pub(super) struct ColumnBuffer {
    pub(super) id: ColumnId,
    /// Rows with a value, ascending.
    pub(super) rows: Vec<u16>,
    pub(super) values: Values,
    /// The attribute that followed last time: a guess.
    pub(super) next: u32,
    /// The column of the next occurrence.
    pub(super) again: u32,
}

/// The values of the rows that have one.
#[derive(Debug)]
pub(super) enum Values {
    Empties,
    Integers(Vec<i64>),
    Texts(Texts),
    Ids16(Ids16),
    Ids8(Vec<[u8; 8]>),
}

/// Distinct texts in order of first appearance and a code per value.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<u32>,
    pub(super) codes: Vec<u16>,
    table: HashTable<u16>,
    hasher: RandomState,
}

/// Distinct trace ids in order of first appearance and a code per value.
#[derive(Debug, Default)]
pub(super) struct Ids16 {
    pub(super) entries: Vec<[u8; 16]>,
    pub(super) codes: Vec<u16>,
    table: HashTable<u16>,
    hasher: RandomState,
}

/// What a value added to the batch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    /// At most so many raw bytes, in whatever encoding.
    pub(super) raw: usize,
    /// Bytes of the value for whoever expands it.
    pub(super) expanded: usize,
}

/// One value of any form.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Empty,
    Integer(i64),
    Text(&'a [u8]),
    Id16([u8; 16]),
    Id8([u8; 8]),
}

impl<'a> From<ValueRef<'a>> for Cell<'a> {
    fn from(value: ValueRef<'a>) -> Cell<'a> {
        match value {
            ValueRef::Empty => Cell::Empty,
            ValueRef::String(text) => Cell::Text(text.as_bytes()),
            ValueRef::Int(number) => Cell::Integer(number),
            ValueRef::Double(DoubleBits(bits)) => Cell::Integer(bits as i64),
            ValueRef::Bool(flag) => Cell::Integer(i64::from(flag)),
            ValueRef::Bytes(bytes) | ValueRef::Nested(bytes) => Cell::Text(bytes),
        }
    }
}

impl Cell<'_> {
    /// At most what [`ColumnBuffer::push`] would say of it.
    #[inline]
    pub(super) fn added(self) -> Added {
        let (raw, expanded) = match self {
            Cell::Empty => (0, 0),
            Cell::Integer(_) => (integers::VALUE_BYTES_MAX, 0),
            Cell::Text(text) => {
                (texts::ROW_BYTES_MAX + texts::ENTRY_BYTES_MAX + text.len(), text.len())
            }
            Cell::Id16(_) => (ids::ROW_BYTES_MAX + 16, 8),
            Cell::Id8(_) => (ids::REFERENCE_BYTES_MAX + 8, 0),
        };
        Added { raw: raw + presence::ROW_BYTES_MAX, expanded: expanded + EXPANDED_VALUE_BYTES }
    }
}

impl ColumnBuffer {
    pub(super) fn new(id: ColumnId) -> ColumnBuffer {
        let values = match id.form() {
            Form::Empties => Values::Empties,
            Form::Integers => Values::Integers(Vec::new()),
            Form::Texts => Values::Texts(Texts::default()),
            Form::Ids16 => Values::Ids16(Ids16::default()),
            Form::Ids8 => Values::Ids8(Vec::new()),
        };
        ColumnBuffer { id, rows: Vec::new(), values, next: NONE, again: NONE }
    }

    /// Whether the row has a value already; it is the last one begun in its table.
    #[inline]
    pub(super) fn has(&self, row: u16) -> bool {
        self.rows.last() == Some(&row)
    }

    /// What a value would add.
    #[inline]
    pub(super) fn cost(&self, cell: Cell<'_>) -> Added {
        let mut added = cell.added();
        if self.rows.is_empty() {
            added.raw += COLUMN_BYTES_MAX + self.id.key.len();
        }
        added
    }

    /// Adds the value of a row behind all rows so far. Says how many entries the dictionary had,
    /// for [`ColumnBuffer::pop`].
    #[inline]
    pub(super) fn push(&mut self, row: u16, cell: Cell<'_>) -> u32 {
        self.rows.push(row);
        match (&mut self.values, cell) {
            (Values::Integers(values), Cell::Integer(value)) => values.push(value),
            (Values::Texts(texts), Cell::Text(text)) => return texts.push(text),
            (Values::Ids16(ids), Cell::Id16(id)) => return ids.push(id),
            (Values::Ids8(ids), Cell::Id8(id)) => ids.push(id),
            (Values::Empties, Cell::Empty) => {}
            (values, cell) => unreachable!("{cell:?} is no value for {values:?}"),
        }
        0
    }

    /// Takes the last value back. `entries` is what its push returned.
    pub(super) fn pop(&mut self, entries: u32) {
        self.rows.pop();
        match &mut self.values {
            Values::Empties => {}
            Values::Integers(values) => drop(values.pop()),
            Values::Texts(texts) => texts.pop(entries),
            Values::Ids16(ids) => ids.pop(entries),
            Values::Ids8(ids) => drop(ids.pop()),
        }
    }

    /// Appends body and tail; `in_block` if a block's encodings may be used. Parent span ids are
    /// encoded elsewhere: they need the span ids.
    pub(super) fn encode(
        &self,
        in_block: Option<InBlock<'_>>,
        body: &mut Vec<u8>,
        tail: &mut Vec<u8>,
    ) -> Encoding {
        match &self.values {
            Values::Empties => Encoding::Nothing,
            Values::Integers(values) => {
                integers::encode(values, in_block.and_then(|block| block.types), body, tail)
            }
            Values::Texts(t) => {
                let source = texts::Source { bytes: &t.bytes, ends: &t.ends, codes: &t.codes };
                texts::encode(source, in_block, body, tail)
            }
            Values::Ids16(ids) => ids::encode(&ids.entries, &ids.codes, body, tail),
            Values::Ids8(ids) => {
                tail.extend_from_slice(ids.as_flattened());
                Encoding::IdPlain
            }
        }
    }

    /// 8-byte ids and their rows.
    pub(super) fn ids_by_row(&self) -> Option<ids::IdsByRow<'_>> {
        match &self.values {
            Values::Ids8(ids) => Some(ids::IdsByRow { ids, rows: &self.rows }),
            _ => None,
        }
    }

    /// Forgets the values and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        match &mut self.values {
            Values::Empties => {}
            Values::Integers(values) => values.clear(),
            Values::Texts(t) => {
                t.bytes.clear();
                t.ends.clear();
                t.codes.clear();
                t.table.clear();
            }
            Values::Ids16(ids) => {
                ids.entries.clear();
                ids.codes.clear();
                ids.table.clear();
            }
            Values::Ids8(ids) => ids.clear(),
        }
    }

    /// Bytes held, about.
    pub(super) fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Empties => 0,
            Values::Integers(values) => values.capacity() * 8,
            Values::Texts(t) => {
                t.bytes.capacity()
                    + t.ends.capacity() * 4
                    + (t.codes.capacity() + t.table.capacity()) * 2
            }
            Values::Ids16(ids) => {
                ids.entries.capacity() * 16 + (ids.codes.capacity() + ids.table.capacity()) * 2
            }
            Values::Ids8(ids) => ids.capacity() * 8,
        };
        self.rows.capacity() * 2 + values
    }
}

impl Texts {
    /// The value behind a code.
    pub(super) fn entry(&self, code: u16) -> &[u8] {
        entry(&self.bytes, &self.ends, code)
    }

    fn push(&mut self, text: &[u8]) -> u32 {
        let Texts { bytes, ends, codes, .. } = self;
        let entries = ends.len() as u32;
        if let Some(&last) = codes.last()
            && entry(bytes, ends, last) == text
        {
            codes.push(last);
            return entries;
        }
        let code = self.intern(text);
        self.codes.push(code);
        entries
    }

    /// The code of a value, which becomes an entry if it is none yet. The caller pushes the code.
    pub(super) fn intern(&mut self, text: &[u8]) -> u16 {
        let Texts { bytes, ends, table, hasher, .. } = self;
        let hash = hash(hasher, text);
        if let Some(&code) = table.find(hash, |&code| entry(bytes, ends, code) == text) {
            return code;
        }
        // There are no more entries than rows, and rows fit 16 bits.
        let code = ends.len() as u16;
        bytes.extend_from_slice(text);
        ends.push(bytes.len() as u32);
        table.insert_unique(hash, code, |&code| self::hash(hasher, entry(bytes, ends, code)));
        code
    }

    fn pop(&mut self, entries: u32) {
        self.codes.pop();
        if self.ends.len() as u32 <= entries {
            return;
        }
        let code = entries as u16;
        let hash = hash(&self.hasher, self.entry(code));
        if let Ok(found) = self.table.find_entry(hash, |&other| other == code) {
            found.remove();
        }
        self.ends.pop();
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0) as usize);
    }
}

impl Ids16 {
    fn push(&mut self, id: [u8; 16]) -> u32 {
        let before = self.entries.len() as u32;
        if let Some(&last) = self.codes.last()
            && self.entries.get(usize::from(last)) == Some(&id)
        {
            self.codes.push(last);
            return before;
        }
        let code = self.intern(id);
        self.codes.push(code);
        before
    }

    /// The code of an id, which becomes an entry if it is none yet. The caller pushes the code.
    pub(super) fn intern(&mut self, id: [u8; 16]) -> u16 {
        let Ids16 { entries, table, hasher, .. } = self;
        let hash = hash(hasher, &id);
        let is = |&code: &u16| entries.get(usize::from(code)) == Some(&id);
        if let Some(&code) = table.find(hash, is) {
            return code;
        }
        let code = entries.len() as u16;
        entries.push(id);
        table.insert_unique(hash, code, |&code| {
            self::hash(hasher, entries.get(usize::from(code)).unwrap_or(&[0; 16]))
        });
        code
    }

    fn pop(&mut self, entries: u32) {
        self.codes.pop();
        if self.entries.len() as u32 <= entries {
            return;
        }
        if let Some(id) = self.entries.pop() {
            let hash = hash(&self.hasher, &id);
            if let Ok(found) = self.table.find_entry(hash, |&code| u32::from(code) == entries) {
                found.remove();
            }
        }
    }
}

/// The number of a column's presence: that of an earlier column with the same rows, else `next`.
pub(super) fn find_presence(
    known: &mut HashTable<(u32, usize)>,
    columns: &[ColumnBuffer],
    at: u32,
    next: usize,
) -> usize {
    let rows_of = |at: u32| columns.get(at as usize).map(|c| (c.id.table, c.rows.as_slice()));
    // A sample tells most apart; equality is checked in full.
    let hash = |at: u32| {
        let Some((table, rows)) = rows_of(at) else { return 0 };
        let sample = [0, rows.len() / 4, rows.len() / 2, rows.len() / 4 * 3, rows.len() - 1];
        let row = |i: usize| rows.get(i).copied().map_or(0, u64::from);
        sample
            .into_iter()
            .map(row)
            .chain([rows.len() as u64, table as u64])
            .fold(0, |hash: u64, v| (hash.rotate_left(23) ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    };
    if let Some(found) = known.find(hash(at), |&(other, _)| rows_of(other) == rows_of(at)) {
        return found.1;
    }
    known.insert_unique(hash(at), (at, next), |&(other, _)| hash(other));
    next
}

fn entry<'a>(bytes: &'a [u8], ends: &[u32], code: u16) -> &'a [u8] {
    let code = usize::from(code);
    let start = if code == 0 { 0 } else { ends.get(code - 1).copied().unwrap_or(0) as usize };
    let end = ends.get(code).copied().unwrap_or(0) as usize;
    bytes.get(start..end).unwrap_or_default()
}

#[inline]
pub(super) fn hash(hasher: &RandomState, bytes: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.finish()
}

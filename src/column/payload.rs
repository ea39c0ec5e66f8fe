//! The raw payload: a directory of columns, then their bodies. `storage-format.md`, "Payload".
//!
//! The directory is sorted, so that equal batches have equal bytes and a repeated column is seen at
//! once. Bodies stand in the order of [`Encoding::place`], then of the directory; then all tails.

use std::ops::Range;

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::{Encoding, presence};
use crate::column::schema::{self, ColumnId, Field, Table};
use crate::column::{Bitmap, Series};
use crate::error::{Error, Result};
use crate::event::ValueType;
use crate::limits;

/// Version of the payload's layout.
pub(super) const PAYLOAD_VERSION: u8 = 1;
/// Most bytes before the presences and columns.
pub(super) const HEAD_BYTES_MAX: usize = 32;

/// What a column's entry says.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) presence: Option<usize>,
    pub(super) encoding: Encoding,
    /// Rows with a value.
    pub(super) count: usize,
    pub(super) body: Range<usize>,
    pub(super) tail: Range<usize>,
}

/// A payload's head.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) rows: [usize; 5],
    pub(super) presences: Vec<(Table, Bitmap, usize)>,
    /// What each column is, strictly ascending.
    pub(super) ids: Vec<ColumnId>,
    /// Where it is; as many as `ids`.
    pub(super) entries: Vec<Entry>,
}

/// Appends one column's entry.
pub(super) fn put_entry(
    out: &mut Vec<u8>,
    id: &ColumnId,
    presence: usize,
    encoding: Encoding,
    (body_length, tail_length): (usize, usize),
) {
    put_entry_head(out, id, presence, encoding);
    put_varint(out, body_length as u64);
    put_varint(out, tail_length as u64);
}

/// What a column is, which rows have it, and how it is encoded.
pub(super) fn put_entry_head(
    out: &mut Vec<u8>,
    id: &ColumnId,
    presence: usize,
    encoding: Encoding,
) {
    out.extend_from_slice(&[id.table as u8, id.field as u8, id.value_type as u8]);
    if id.field == Field::Attribute {
        put_varint(out, id.key.len() as u64);
        out.extend_from_slice(id.key.as_bytes());
        put_varint(out, u64::from(id.occurrence));
    }
    put_varint(out, presence as u64);
    out.push(encoding as u8);
}

impl Directory {
    /// Reads and checks the directory; bodies are not looked at.
    pub(super) fn decode(raw: &[u8]) -> Result<Directory> {
        let mut c = Cursor::new(raw);
        let version = c.u8()?;
        if version != PAYLOAD_VERSION {
            let what = format!("payload of version {version}; this build reads 1");
            return Err(Error::unsupported(what).in_field("payload"));
        }
        let mut rows = [0; 5];
        for count in &mut rows {
            *count = c.length(limits::BATCH_ROWS_MAX, "rows of a table")?;
        }
        let presences = decode_presences(&mut c, &rows)?;
        let columns = c.length(limits::BATCH_COLUMNS_MAX, "columns of a batch")?;
        // Each column takes seven bytes at least; what is not there is not allocated for.
        let capacity = columns.min(c.remaining() / 7);
        let mut ids: Vec<ColumnId> = Vec::with_capacity(capacity);
        let mut entries = Vec::with_capacity(capacity);
        let mut lengths = Vec::with_capacity(capacity);
        for _ in 0..columns {
            let id = decode_id(&mut c)?;
            if id.field == Field::Received {
                let what = "events of a batch are received together: the frame's header says when";
                return Err(c.error(what).in_field(id.path()));
            }
            if ids.last().is_some_and(|before| before.sort_key() >= id.sort_key()) {
                return Err(c.error("columns out of order or twice").in_field(id.path()));
            }
            let (entry, length) = decode_entry(&mut c, &id, &rows, &presences)?;
            if entry.encoding.is_of_blocks() {
                let what = format!("encoding {} outside a block", entry.encoding.name());
                return Err(c.error(what).in_field(id.path()));
            }
            ids.push(id);
            entries.push(entry);
            lengths.push(length);
        }
        place(&mut c, &mut entries, &lengths)?;
        let directory = Directory { rows, presences, ids, entries };
        directory.check_required()?;
        Ok(directory)
    }

    /// A directory whose columns stand elsewhere than in one payload, see `chunk`.
    pub(super) fn of_parts(
        rows: [usize; 5],
        presences: Vec<(Table, Bitmap, usize)>,
        ids: Vec<ColumnId>,
        entries: Vec<Entry>,
    ) -> Result<Directory> {
        let directory = Directory { rows, presences, ids, entries };
        directory.check_required()?;
        Ok(directory)
    }

    /// The column of a field that is no attribute.
    pub(super) fn find(&self, table: Table, field: Field) -> Option<usize> {
        let at = self.ids.partition_point(|id| (id.table, id.field) < (table, field));
        self.ids.get(at).is_some_and(|id| (id.table, id.field) == (table, field)).then_some(at)
    }

    /// The columns of a table; they stand together.
    pub(super) fn table(&self, table: Table) -> Range<usize> {
        let start = self.ids.partition_point(|id| id.table < table);
        start..self.ids.partition_point(|id| id.table <= table)
    }

    /// The columns of a field in a table; they stand together.
    pub(super) fn range(&self, table: Table, field: Field) -> Range<usize> {
        let start = self.ids.partition_point(|id| (id.table, id.field) < (table, field));
        let end = self.ids.partition_point(|id| (id.table, id.field) <= (table, field));
        start..end
    }

    fn check_required(&self) -> Result<()> {
        for table in Table::ALL {
            let rows = self.rows.get(table as usize).copied().unwrap_or(0);
            for field in Field::all_required_in(table).filter(|_| rows > 0) {
                let column = self.find(table, field).and_then(|at| self.entries.get(at));
                if column.is_none_or(|entry| entry.presence.is_some()) {
                    let what = "a column is missing that every row must have a value in";
                    let field = format!("{}{}", table.prefix(), field.name());
                    return Err(Error::invalid(what).in_field(field));
                }
            }
        }
        Ok(())
    }
}

pub(super) fn decode_presences(
    c: &mut Cursor<'_>,
    rows: &[usize; 5],
) -> Result<Vec<(Table, Bitmap, usize)>> {
    let count = c.length(limits::BATCH_COLUMNS_MAX, "presences of a batch")?;
    let mut presences = Vec::new();
    let mut bytes = 0;
    for _ in 0..count {
        let code = c.u8()?;
        let table = Table::from_code(code)
            .ok_or_else(|| c.error(format!("presence in unknown table {code}")))?;
        let rows = rows.get(table as usize).copied().unwrap_or(0);
        // A sparse presence expands: what all of them take is bounded like other values.
        bytes += rows.div_ceil(8);
        if bytes > limits::BATCH_EXPANDED_BYTES_MAX {
            return Err(Error::limit("presences expand beyond the limit").in_field("presence"));
        }
        let (bitmap, count) = presence::decode(c, rows)?;
        presences.push((table, bitmap, count));
    }
    Ok(presences)
}

pub(super) fn decode_id(c: &mut Cursor<'_>) -> Result<ColumnId> {
    let (table, field, value_type) = (c.u8()?, c.u8()?, c.u8()?);
    let known = Table::from_code(table)
        .zip(Field::from_code(field))
        .zip(schema::value_type_from_code(value_type));
    let Some(((table, field), value_type)) = known else {
        let what = format!("column of unknown table {table}, field {field} or type {value_type}");
        return Err(Error::unsupported(what).at(c.offset() as u64).in_field("columns"));
    };
    let mut id = ColumnId::fixed(table, field, value_type);
    if field == Field::Attribute {
        let length = c.length(limits::KEY_BYTES_MAX, "length of a key")?;
        let key = std::str::from_utf8(c.take(length)?)
            .map_err(|_| c.error("a key is not UTF-8").in_field("columns"))?;
        id.key.push_str(key);
        id.occurrence = c.length(limits::ATTRIBUTES_MAX - 1, "occurrence of a key")? as u16;
    }
    let fits = field.required_in(table).is_some()
        && field.value_type().is_none_or(|due| due == value_type);
    if !fits {
        return Err(c
            .error("no such field in this table, or not of this type")
            .in_field(id.path()));
    }
    Ok(id)
}

fn decode_entry(
    c: &mut Cursor<'_>,
    id: &ColumnId,
    rows: &[usize; 5],
    presences: &[(Table, Bitmap, usize)],
) -> Result<(Entry, (usize, usize))> {
    let entry = decode_entry_head(c, id, rows, presences)?;
    let body = c.length(limits::BATCH_RAW_BYTES_MAX, "bytes of a body")?;
    let tail = c.length(limits::BATCH_RAW_BYTES_MAX, "bytes of a tail")?;
    Ok((entry, (body, tail)))
}

/// Presence and encoding of a column; where its bytes stand follows.
pub(super) fn decode_entry_head(
    c: &mut Cursor<'_>,
    id: &ColumnId,
    rows: &[usize; 5],
    presences: &[(Table, Bitmap, usize)],
) -> Result<Entry> {
    let presence = c.length(presences.len(), "presence of a column")?.checked_sub(1);
    let count = match presence.and_then(|index| presences.get(index)) {
        None => rows.get(id.table as usize).copied().unwrap_or(0),
        Some((table, _, count)) if *table == id.table => *count,
        Some(_) => return Err(c.error("a presence of another table").in_field(id.path())),
    };
    if count == 0 {
        return Err(c.error("a column of a table without rows").in_field(id.path()));
    }
    let code = c.u8()?;
    let encoding = Encoding::from_code(code).ok_or_else(|| {
        let what = format!("column encoding {code} is unknown to this build");
        Error::unsupported(what).at(c.offset() as u64).in_field(id.path())
    })?;
    let is_string = id.value_type == ValueType::String && id.field != Field::Type;
    if encoding == Encoding::TextTemplates && !is_string {
        return Err(c.error("templates of types, or of what is no string").in_field(id.path()));
    }
    Ok(Entry { presence, encoding, count, body: 0..0, tail: 0..0 })
}

/// Finds the bodies and tails, which must fill the rest of the payload.
fn place(c: &mut Cursor<'_>, entries: &mut [Entry], lengths: &[(usize, usize)]) -> Result<()> {
    let mut next = |length: usize| {
        let start = c.offset();
        c.take(length).map(|_| start..start + length)
    };
    for place in 0..Encoding::PLACES {
        for (entry, &(body, _)) in entries.iter_mut().zip(lengths) {
            if entry.encoding.place() == place {
                entry.body = next(body)?;
            }
        }
    }
    for (entry, &(_, tail)) in entries.iter_mut().zip(lengths) {
        entry.tail = next(tail)?;
    }
    c.finish()
}

/// Orders and names series for summaries.
pub(super) fn sorted_series(pairs: impl Iterator<Item = (String, String)>) -> Vec<Series> {
    let mut series: Vec<Series> =
        pairs.map(|(source, event_type)| Series { source, event_type }).collect();
    series.sort_unstable();
    series.dedup();
    series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_of_strings_that_are_no_types() {
        let read = |id: &ColumnId| {
            let mut bytes = Vec::new();
            put_entry_head(&mut bytes, id, 0, Encoding::TextTemplates);
            let mut cursor = Cursor::new(&bytes);
            decode_id(&mut cursor)?;
            decode_entry_head(&mut cursor, id, &[1; 5], &[])
        };
        let of = |field, value_type| read(&ColumnId::fixed(Table::Events, field, value_type));
        of(Field::StatusMessage, ValueType::String).unwrap();
        of(Field::Body, ValueType::String).unwrap();
        for (field, value_type) in [
            (Field::Type, ValueType::String),
            (Field::Body, ValueType::Bytes),
            (Field::Body, ValueType::Nested),
            (Field::Body, ValueType::Int),
        ] {
            let error = of(field, value_type).unwrap_err().to_string();
            assert!(error.contains("templates of types"), "{error}");
        }
    }
}

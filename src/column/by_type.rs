//! Reads columns of a block whose codes follow from the types of its events: of few rows only their
//! types are looked at, and a code per type is all that there is to decompress.

use crate::codec::Cursor;
use crate::column::decode::Columns;
use crate::column::encoding::by_type::ByType;
use crate::column::encoding::{integers, texts};
use crate::column::{Field, Table};
use crate::error::{Error, Result};

/// Ranks and rows of some values; `None`: all.
type Picked<'r> = Option<(&'r [u32], &'r [u32])>;

impl<'a> Columns<'a> {
    /// The values at these ranks and rows, or all.
    pub(super) fn texts_by_type(
        &self,
        at: usize,
        picked: Picked<'_>,
    ) -> Result<texts::Decoded<'a>> {
        let (_, entry, stored) = self.column(at)?;
        let mut decoded = texts::Decoded::default();
        let (cursor, entries) = texts::decode_entries(stored, entry.count, &mut decoded)?;
        decoded.codes = self.codes_by_type(at, cursor, entries, picked)?;
        Ok(decoded)
    }

    pub(super) fn integers_by_type(&self, at: usize, picked: Picked<'_>) -> Result<Vec<i64>> {
        let (_, entry, stored) = self.column(at)?;
        if !stored.tail.is_empty() {
            return Err(Error::invalid("a dictionary by type has no tail"));
        }
        let mut cursor = Cursor::new(stored.body);
        let values = integers::take_entries(&mut cursor, entry.count)?;
        let codes = self.codes_by_type(at, cursor, values.len(), picked)?;
        Ok(codes.iter().filter_map(|&code| values.get(code as usize).copied()).collect())
    }

    /// What follows from the types behind the entries of a column.
    fn codes_by_type(
        &self,
        at: usize,
        mut cursor: Cursor<'_>,
        entries: usize,
        picked: Picked<'_>,
    ) -> Result<Vec<u32>> {
        let (id, entry, _) = self.column(at)?;
        let types = self.directory.find(Table::Events, Field::Type);
        let types = types.filter(|_| id.table == Table::Events).ok_or_else(|| {
            Error::invalid(format!("a column of {} that follows types", id.table.prefix()))
        })?;
        let (_, types_entry, types) = self.column(types)?;
        // These stand for themselves: this goes one level deep.
        let (types, types_entries) = texts::stored_codes(types, types_entry.count)?;
        let by_type = ByType::read(&mut cursor, types_entries, entries, entry.count)?;
        let type_of = |row: u32| types.get(row);
        if let Some((ranks, rows)) = picked {
            let values = ranks.iter().zip(rows).map(|(rank, row)| (*rank, type_of(*row)));
            return by_type.codes(&cursor, values);
        }
        let codes = match self.presence(at) {
            None => by_type.all_codes(&cursor, entries, (0..entry.count as u32).map(type_of)),
            Some(rows) => {
                let types = rows.ones().map(|row| type_of(row as u32));
                by_type.all_codes(&cursor, entries, types)
            }
        }?;
        cursor.finish()?;
        Ok(codes)
    }
}

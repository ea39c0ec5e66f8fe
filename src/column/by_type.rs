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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::decode::Bodies;
    use crate::column::encoding::Encoding;
    use crate::column::payload::Directory;
    use crate::column::{BatchBuilder, ColumnId};
    use crate::event::{Attribute, Event, Value};
    use crate::time::Timestamp;

    /// A batch of forty events of four types, each with a text attribute, as its payload.
    fn payload() -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for row in 0..40 {
            let value = Value::String(format!("method {}", row % 4));
            let event = Event {
                time: Timestamp(row),
                source: "cart".into(),
                event_type: format!("type {}", row % 4),
                attributes: vec![Attribute::new("method", value)],
                ..Event::default()
            };
            builder.push(&event).unwrap();
        }
        let batch = builder.finish().unwrap();
        let length = batch.header().raw_length as usize;
        crate::column::compress::decompress(batch.header().codec, batch.payload(), length).unwrap()
    }

    /// What comes of reading a column after the directory was changed: whole, and a few of it.
    fn read(
        raw: &[u8],
        is_column: impl Fn(&ColumnId) -> bool,
        change: impl Fn(&ColumnId, &mut Encoding),
    ) -> [String; 2] {
        let mut directory = Directory::decode(raw).unwrap();
        for (id, entry) in directory.ids.iter().zip(&mut directory.entries) {
            change(id, &mut entry.encoding);
        }
        let at = directory.ids.iter().position(is_column).unwrap();
        let columns = Columns { bodies: Bodies::Raw(raw), directory: &directory };
        let outcomes = [columns.dense(at).map(drop), columns.picked(at, &[0], &[0]).map(drop)];
        outcomes.map(|outcome| outcome.unwrap_err().to_string())
    }

    #[test]
    fn a_batch_may_not_have_encodings_of_blocks() {
        let mut raw = payload();
        let key = raw.windows(6).position(|bytes| bytes == b"method").unwrap();
        // Behind the key: the occurrence and the presence.
        let encoding = key + "method".len() + 2;
        assert_eq!(raw[encoding], Encoding::TextDictionary as u8);
        let of_blocks = [Encoding::TextByType, Encoding::DictionaryByType, Encoding::TextTemplates];
        for code in of_blocks {
            raw[encoding] = code as u8;
            let error = Directory::decode(&raw).unwrap_err().to_string();
            assert!(error.contains("outside a block"), "{error}");
        }
    }

    #[test]
    fn codes_refer_to_types_that_stand_for_themselves_and_only_those_of_events_do() {
        let raw = payload();
        let is_method = |id: &ColumnId| id.key == "method";
        let plain = |id: &ColumnId, encoding: &mut Encoding| match id.field {
            Field::Type => *encoding = Encoding::TextPlain,
            _ if is_method(id) => *encoding = Encoding::TextByType,
            _ => {}
        };
        for error in read(&raw, is_method, plain) {
            assert!(error.contains("codes refer to text in encoding text plain"), "{error}");
        }
        let of_itself = |id: &ColumnId, encoding: &mut Encoding| {
            if id.field == Field::Type || is_method(id) {
                *encoding = Encoding::TextByType;
            }
        };
        for error in read(&raw, |id| id.field == Field::Type, of_itself) {
            assert!(error.contains("codes refer to text in encoding text by type"), "{error}");
        }
        let elsewhere = |id: &ColumnId, encoding: &mut Encoding| {
            if id.field == Field::Source {
                *encoding = Encoding::TextByType;
            }
        };
        for error in read(&raw, |id| id.field == Field::Source, elsewhere) {
            assert!(error.contains("that follows types"), "{error}");
        }
    }
}

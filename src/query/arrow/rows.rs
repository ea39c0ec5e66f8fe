//! Fields of some rows of a table as Arrow arrays. A field that the frame lacks is null everywhere.

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int32Builder, StringBuilder, StringViewBuilder, UInt32Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, Int64Array, StringArray, TimestampNanosecondArray,
};

use crate::column::{BatchView, Field, Ids, Table, Texts};
use crate::error::{Error, Result};
use crate::query::arrow::built;
use crate::query::decoded::has_int;

/// Rows of a table, in the order of what is made of them; `None` where there is no row.
pub(super) struct Rows<'a> {
    pub(super) view: &'a BatchView,
    pub(super) table: Table,
    pub(super) rows: Vec<Option<u32>>,
}

impl Rows<'_> {
    /// The rows as places of a column's values.
    pub(super) fn places(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        self.rows.iter().map(|row| row.map(|row| row as usize))
    }

    pub(super) fn find(&self, field: Field) -> Option<usize> {
        self.view.find(self.table, field)
    }

    /// The integers of a field.
    pub(super) fn ints(&self, field: Field) -> Result<Vec<Option<i64>>> {
        match self.find(field) {
            Some(column) => self.ints_of(column),
            None => Ok(vec![None; self.rows.len()]),
        }
    }

    pub(super) fn ints_of(&self, column: usize) -> Result<Vec<Option<i64>>> {
        let ints = self.view.ints(column)?;
        let value = |row: usize| ints.values.get(row).copied().filter(|_| has_int(&ints, row));
        Ok(self.places().map(|row| row.and_then(value)).collect())
    }

    pub(super) fn int64(&self, field: Field) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(self.ints(field)?)))
    }

    pub(super) fn times(&self, field: Field) -> Result<ArrayRef> {
        let times = TimestampNanosecondArray::from(self.ints(field)?);
        Ok(Arc::new(times.with_timezone("UTC")))
    }

    /// Counts and flags: 0 where nothing is said.
    pub(super) fn counts(&self, field: Field) -> Result<ArrayRef> {
        let mut counts = UInt32Builder::with_capacity(self.rows.len());
        for count in self.ints(field)? {
            counts.append_value(narrow(count.unwrap_or(0), field)?);
        }
        Ok(Arc::new(counts.finish()))
    }

    /// Numbers of which 0 is none.
    pub(super) fn numbers<T: TryFrom<i64>>(&self, field: Field) -> Result<Vec<Option<T>>> {
        let numbers = self.ints(field)?.into_iter().map(|number| number.filter(|n| *n != 0));
        numbers.map(|number| number.map(|n| narrow(n, field)).transpose()).collect()
    }

    /// Names of codes; no code is code 0.
    pub(super) fn codes(
        &self,
        field: Field,
        name: impl Fn(u8) -> Option<&'static str>,
    ) -> Result<ArrayRef> {
        let names: Vec<&str> = (0..=u8::MAX).map_while(name).collect();
        let mut keys = Int32Builder::with_capacity(self.rows.len());
        for code in self.ints(field)? {
            let code: i32 = narrow(code.unwrap_or(0), field)?;
            if usize::try_from(code).ok().is_none_or(|code| code >= names.len()) {
                return Err(strange(field));
            }
            keys.append_value(code);
        }
        dictionary(keys.finish(), StringArray::from(names))
    }

    /// Texts that come often; the empty text is a value.
    pub(super) fn dictionary(&self, field: Field) -> Result<ArrayRef> {
        self.dictionary_of(self.find(field))
    }

    pub(super) fn dictionary_of(&self, column: Option<usize>) -> Result<ArrayRef> {
        let texts = match column {
            Some(column) => self.view.texts(column)?,
            None => Texts { bytes: Vec::new(), offsets: Vec::new(), codes: Vec::new() },
        };
        let mut keys = Int32Builder::with_capacity(self.rows.len());
        let mut values = StringBuilder::new();
        // Only what the rows have comes along.
        let mut key_of: Vec<Option<i32>> = vec![None; texts.offsets.len().saturating_sub(1)];
        let mut next = 0;
        for row in self.places() {
            let code = row.and_then(|row| texts.codes.get(row)).filter(|c| **c != Texts::ABSENT);
            let Some(code) = code else {
                keys.append_null();
                continue;
            };
            let key = key_of.get_mut(*code as usize).ok_or_else(|| unreadable("a text"))?;
            if key.is_none() {
                values.append_value(text(texts.value(*code))?);
                *key = Some(next);
                next += 1;
            }
            keys.append_option(*key);
        }
        dictionary(keys.finish(), values.finish())
    }

    /// Texts that differ mostly; the empty text is none.
    pub(super) fn texts(&self, field: Field) -> Result<ArrayRef> {
        self.texts_of(self.find(field), false)
    }

    pub(super) fn texts_of(&self, column: Option<usize>, empty_too: bool) -> Result<ArrayRef> {
        let texts = column.map(|column| self.view.texts(column)).transpose()?;
        let mut out = StringViewBuilder::with_capacity(self.rows.len()).with_deduplicate_strings();
        for row in self.places() {
            let value = row.zip(texts.as_ref()).and_then(|(row, texts)| texts.row(row));
            match value.filter(|value| empty_too || !value.is_empty()) {
                Some(value) => out.try_append_value(text(Some(value))?).map_err(built)?,
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }

    pub(super) fn ids16(&self, field: Field) -> Result<ArrayRef> {
        let ids = self.find(field).map(|column| self.view.ids16(column)).transpose()?;
        self.fixed::<16>(|row| ids.as_ref().and_then(|ids: &Ids<16>| ids.row(row)))
    }

    pub(super) fn ids8(&self, field: Field) -> Result<ArrayRef> {
        let ids = self.find(field).map(|column| self.view.ids8(column)).transpose()?;
        self.fixed::<8>(|row| ids.as_ref().and_then(|ids: &Ids<8>| ids.row(row)))
    }

    /// Bytes of one length.
    pub(super) fn bytes<const N: usize>(&self, field: Field) -> Result<ArrayRef> {
        let texts = self.find(field).map(|column| self.view.texts(column)).transpose()?;
        self.fixed::<N>(|row| texts.as_ref()?.row(row)?.try_into().ok())
    }

    fn fixed<const N: usize>(&self, value: impl Fn(usize) -> Option<[u8; N]>) -> Result<ArrayRef> {
        let mut out = FixedSizeBinaryBuilder::with_capacity(self.rows.len(), N as i32);
        for row in self.places() {
            match row.and_then(&value) {
                Some(id) => out.append_value(id).map_err(built)?,
                None => out.append_null(),
            }
        }
        Ok(Arc::new(out.finish()))
    }
}

fn dictionary(keys: Int32Array, values: StringArray) -> Result<ArrayRef> {
    let array = DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values)).map_err(built)?;
    Ok(Arc::new(array))
}

/// A stored text.
pub(super) fn text(bytes: Option<&[u8]>) -> Result<&str> {
    bytes.and_then(|b| std::str::from_utf8(b).ok()).ok_or_else(|| unreadable("a text"))
}

pub(super) fn unreadable(what: &str) -> Error {
    Error::corrupt(format!("{what} is missing or cannot be read"))
}

fn narrow<T: TryFrom<i64>>(value: i64, field: Field) -> Result<T> {
    T::try_from(value).map_err(|_| strange(field))
}

fn strange(field: Field) -> Error {
    Error::corrupt(format!("a value of column {field:?} means nothing"))
}

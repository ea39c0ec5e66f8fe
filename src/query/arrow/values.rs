//! Attributes and bodies: values whose type differs from row to row.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryViewBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringViewBuilder,
};
use arrow_array::{ArrayRef, MapArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};

use crate::column::{BatchView, Bitmap, Field, Ints, Texts};
use crate::error::{Error, Result};
use crate::event::{DoubleBits, ValueRef, ValueType};
use crate::query::arrow::rows::{Rows, text};
use crate::query::arrow::{built, schema};
use crate::query::decoded::has_int;

/// A decoded column of values.
pub(super) struct Cells {
    values: Values,
    value_type: ValueType,
}

enum Values {
    Empties(Option<Bitmap>),
    Ints(Ints),
    Texts(Texts),
}

impl Cells {
    pub(super) fn decode(view: &BatchView, column: usize) -> Result<Cells> {
        let id = view.columns().get(column);
        let value_type = id.map_or(ValueType::Empty, |id| id.value_type);
        let values = match value_type {
            ValueType::Empty => Values::Empties(view.presence(column)?),
            ValueType::Int | ValueType::Double | ValueType::Bool => {
                Values::Ints(view.ints(column)?)
            }
            ValueType::String | ValueType::Bytes | ValueType::Nested => {
                Values::Texts(view.texts(column)?)
            }
        };
        Ok(Cells { values, value_type })
    }

    pub(super) fn get(&self, row: usize) -> Result<Option<ValueRef<'_>>> {
        Ok(match &self.values {
            Values::Empties(present) => {
                present.as_ref().is_none_or(|p| p.get(row)).then_some(ValueRef::Empty)
            }
            Values::Ints(ints) if !has_int(ints, row) => None,
            Values::Ints(ints) => ints.values.get(row).map(|value| match self.value_type {
                ValueType::Double => ValueRef::Double(DoubleBits(*value as u64)),
                ValueType::Bool => ValueRef::Bool(*value != 0),
                _ => ValueRef::Int(*value),
            }),
            Values::Texts(texts) => match (texts.row(row), self.value_type) {
                (None, _) => None,
                (value, ValueType::String) => Some(ValueRef::String(text(value)?)),
                (Some(value), ValueType::Bytes) => Some(ValueRef::Bytes(value)),
                (Some(value), _) => Some(ValueRef::Nested(value)),
            },
        })
    }
}

/// Builds an array of values of any type.
pub(super) struct ValuesBuilder {
    strings: StringViewBuilder,
    ints: Int64Builder,
    doubles: Float64Builder,
    bools: BooleanBuilder,
    bytes: BinaryViewBuilder,
    nested: BinaryViewBuilder,
}

impl ValuesBuilder {
    pub(super) fn new() -> ValuesBuilder {
        ValuesBuilder {
            // What many rows share, above all of their resource, is there once.
            strings: StringViewBuilder::new().with_deduplicate_strings(),
            ints: Int64Builder::new(),
            doubles: Float64Builder::new(),
            bools: BooleanBuilder::new(),
            bytes: BinaryViewBuilder::new().with_deduplicate_strings(),
            nested: BinaryViewBuilder::new().with_deduplicate_strings(),
        }
    }

    /// Adds a value; none is as the empty one.
    pub(super) fn push(&mut self, value: Option<ValueRef<'_>>) -> Result<()> {
        let value = value.unwrap_or(ValueRef::Empty);
        match value {
            ValueRef::String(v) => self.strings.try_append_value(v).map_err(built)?,
            _ => self.strings.append_null(),
        }
        self.ints.append_option(if let ValueRef::Int(v) = value { Some(v) } else { None });
        self.doubles.append_option(match value {
            ValueRef::Double(v) => Some(v.get()),
            _ => None,
        });
        self.bools.append_option(if let ValueRef::Bool(v) = value { Some(v) } else { None });
        match value {
            ValueRef::Bytes(v) => self.bytes.try_append_value(v).map_err(built)?,
            _ => self.bytes.append_null(),
        }
        match value {
            ValueRef::Nested(v) => self.nested.try_append_value(v).map_err(built)?,
            _ => self.nested.append_null(),
        }
        Ok(())
    }

    pub(super) fn finish(mut self, nulls: Option<NullBuffer>) -> Result<StructArray> {
        let members: Vec<ArrayRef> = vec![
            Arc::new(self.strings.finish()),
            Arc::new(self.ints.finish()),
            Arc::new(self.doubles.finish()),
            Arc::new(self.bools.finish()),
            Arc::new(self.bytes.finish()),
            Arc::new(self.nested.finish()),
        ];
        StructArray::try_new(schema::value(), members, nulls).map_err(built)
    }
}

/// The attributes of rows by key, but for the columns that stand elsewhere.
pub(super) fn attributes(rows: &Rows<'_>, elsewhere: &[usize]) -> Result<ArrayRef> {
    let mut columns = Vec::new();
    for (column, id) in rows.view.columns().iter().enumerate() {
        let is_attribute = id.table == rows.table && id.field == Field::Attribute;
        if is_attribute && !elsewhere.contains(&column) {
            columns.push((id.key.as_str(), Cells::decode(rows.view, column)?));
        }
    }
    let mut keys = StringViewBuilder::new().with_deduplicate_strings();
    let mut values = ValuesBuilder::new();
    let (mut offsets, mut count) = (vec![0], 0_i32);
    for row in rows.places() {
        for (key, cells) in &columns {
            let value = row.map(|row| cells.get(row)).transpose()?.flatten();
            if value.is_some() {
                keys.try_append_value(key).map_err(built)?;
                values.push(value)?;
                count = count.checked_add(1).ok_or_else(too_many)?;
            }
        }
        offsets.push(count);
    }
    let members: Vec<ArrayRef> = vec![Arc::new(keys.finish()), Arc::new(values.finish(None)?)];
    let entries = StructArray::try_new(schema::entry(), members, None).map_err(built)?;
    let offsets = OffsetBuffer::new(offsets.into());
    let map = MapArray::try_new(schema::entries(), offsets, entries, None, false);
    Ok(Arc::new(map.map_err(built)?))
}

/// More than a list of Arrow's can have.
pub(super) fn too_many() -> Error {
    Error::limit("a batch of more attributes, links or span events than Arrow can number")
}

/// Bodies that are text, and all others.
pub(super) fn bodies(rows: &Rows<'_>) -> Result<(ArrayRef, ArrayRef)> {
    let is_message = |column: &usize| {
        rows.view.columns().get(*column).is_some_and(|id| id.value_type == ValueType::String)
    };
    let message = rows.view.bodies().find(is_message);
    let others = rows.view.bodies().filter(|column| !is_message(column));
    let others = others.map(|c| Cells::decode(rows.view, c)).collect::<Result<Vec<_>>>()?;
    let mut values = ValuesBuilder::new();
    let mut present = Vec::with_capacity(rows.rows.len());
    for row in rows.places() {
        let mut found = None;
        for cells in &others {
            found = found.or(row.map(|row| cells.get(row)).transpose()?.flatten());
        }
        present.push(found.is_some());
        values.push(found)?;
    }
    let values = values.finish(Some(NullBuffer::from(present)))?;
    Ok((rows.texts_of(message, true)?, Arc::new(values)))
}

/// A column for the values of one attribute and type.
pub(super) fn typed(
    rows: &Rows<'_>,
    column: Option<usize>,
    value_type: ValueType,
) -> Result<ArrayRef> {
    if value_type == ValueType::String {
        return rows.dictionary_of(column);
    }
    let cells = column.map(|column| Cells::decode(rows.view, column)).transpose()?;
    let mut values = ValuesBuilder::new();
    for row in rows.places() {
        let value = row.zip(cells.as_ref()).map(|(row, cells)| cells.get(row));
        values.push(value.transpose()?.flatten())?;
    }
    let member = match value_type {
        ValueType::Int => "int",
        ValueType::Double => "double",
        ValueType::Bool => "bool",
        ValueType::Bytes => "bytes",
        ValueType::Empty | ValueType::String | ValueType::Nested => "nested",
    };
    let array = values.finish(None)?.column_by_name(member).cloned();
    array.ok_or_else(|| Error::invalid("a column of no type"))
}

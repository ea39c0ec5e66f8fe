//! Values into columns: the column of a field or attribute is found or made, its cell is pushed,
//! and the journal remembers it, so that a step can be taken back.

use crate::column::buffer::{Cell, ColumnBuffer, NONE, hash};
use crate::column::builder::BatchBuilder;
use crate::column::builder::checks::check_attribute;
use crate::column::schema::{ColumnId, Field, Table};
use crate::error::{Error, Result};
use crate::event::{ValueRef, ValueType};
use crate::limits;

impl BatchBuilder {
    pub(super) fn put_text(
        &mut self,
        table: Table,
        field: Field,
        row: u16,
        text: &str,
    ) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.put(table, field, ValueType::String, row, Cell::Text(text.as_bytes())).map(|_| ())
    }

    pub(super) fn put_nonzero(
        &mut self,
        table: Table,
        field: Field,
        row: u16,
        value: i64,
    ) -> Result<()> {
        if value == 0 {
            return Ok(());
        }
        self.put_int(table, field, row, value)
    }

    #[inline]
    pub(super) fn put_int(
        &mut self,
        table: Table,
        field: Field,
        row: u16,
        value: i64,
    ) -> Result<()> {
        self.put(table, field, ValueType::Int, row, Cell::Integer(value)).map(|_| ())
    }

    /// Adds a value to a field that is no attribute; says in which column.
    #[inline]
    pub(super) fn put(
        &mut self,
        table: Table,
        field: Field,
        value_type: ValueType,
        row: u16,
        cell: Cell<'_>,
    ) -> Result<u32> {
        let slot = match field {
            Field::Body => &mut self.bodies[value_type as usize],
            _ => &mut self.fixed[table as usize][field as usize],
        };
        if *slot == NONE {
            *slot = self.columns.len() as u32;
            self.columns.push(ColumnBuffer::new(ColumnId::fixed(table, field, value_type)));
        }
        let column = *slot;
        self.push_cell(column, row, cell)?;
        Ok(column)
    }

    #[inline]
    pub(super) fn push_cell(&mut self, at: u32, row: u16, cell: Cell<'_>) -> Result<()> {
        let Some(column) = self.columns.get_mut(at as usize) else { return Ok(()) };
        let first = usize::from(column.rows.is_empty());
        self.state.charge(column.cost(cell), first)?;
        let entries = column.push(row, cell);
        self.journal.push((at, entries));
        Ok(())
    }

    #[inline]
    pub(super) fn put_attribute(
        &mut self,
        table: Table,
        row: u16,
        key: &str,
        value: ValueRef<'_>,
    ) -> Result<()> {
        if self.state.attributes[table as usize] as usize >= limits::ATTRIBUTES_MAX {
            let what = format!("more than {} attributes", limits::ATTRIBUTES_MAX);
            return Err(Error::limit(what).in_field(format!("{}attributes", table.prefix())));
        }
        check_attribute(table, key, value)?;
        self.push_attribute(table, row, key, value)?;
        if table == Table::Resources && key == "service.name" {
            return self.name_source(value);
        }
        Ok(())
    }

    /// The first `service.name` that says something is the source, unless the caller gave one.
    pub(super) fn name_source(&mut self, value: ValueRef<'_>) -> Result<()> {
        let provisional = self.state.resource.and_then(|resource| resource.provisional);
        match (provisional, value) {
            (Some(at), ValueRef::String(source)) if !source.is_empty() => {
                self.replace_source(at, source)
            }
            _ => Ok(()),
        }
    }

    #[inline]
    pub(super) fn push_attribute(
        &mut self,
        table: Table,
        row: u16,
        key: &str,
        value: ValueRef<'_>,
    ) -> Result<()> {
        let first = self.attribute_column(table, key, value.value_type());
        let mut column = first;
        while self.columns.get(column as usize).is_some_and(|c| c.has(row)) {
            column = self.next_occurrence(column);
        }
        self.push_cell(column, row, value.into())?;
        self.last[table as usize] = first;
        self.state.attributes[table as usize] += 1;
        Ok(())
    }

    /// The column of an attribute's first occurrence. Attributes come in the same order in row
    /// after row, so the successor of the last time is tried before the hash table.
    #[inline]
    pub(super) fn attribute_column(
        &mut self,
        table: Table,
        key: &str,
        value_type: ValueType,
    ) -> u32 {
        let last = self.last[table as usize];
        let guess = match self.columns.get(last as usize) {
            Some(column) => column.next,
            None => self.first[table as usize],
        };
        if let Some(column) = self.columns.get(guess as usize)
            && column.id.value_type == value_type
            && column.id.key == key
            && column.id.table == table
        {
            return guess;
        }
        let found = self.find_or_add_attribute(table, key, value_type);
        match self.columns.get_mut(last as usize) {
            Some(column) => column.next = found,
            None => self.first[table as usize] = found,
        }
        found
    }

    pub(super) fn find_or_add_attribute(
        &mut self,
        table: Table,
        key: &str,
        value_type: ValueType,
    ) -> u32 {
        let BatchBuilder { columns, lookup, hasher, .. } = self;
        let mix = |table: Table, value_type: ValueType, key: &str| {
            let salt =
                (table as u64 * 8 + value_type as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash(hasher, key.as_bytes()) ^ salt
        };
        let hash = mix(table, value_type, key);
        let is = |at: &u32| {
            columns.get(*at as usize).is_some_and(|c| {
                c.id.table == table && c.id.value_type == value_type && c.id.key == key
            })
        };
        if let Some(&found) = lookup.find(hash, is) {
            return found;
        }
        let at = columns.len() as u32;
        let mut id = ColumnId::fixed(table, Field::Attribute, value_type);
        id.key.push_str(key);
        columns.push(ColumnBuffer::new(id));
        lookup.insert_unique(hash, at, |&at| {
            let id = columns.get(at as usize).map(|column| &column.id);
            id.map_or(0, |id| mix(id.table, id.value_type, &id.key))
        });
        at
    }

    pub(super) fn next_occurrence(&mut self, column: u32) -> u32 {
        let at = self.columns.len() as u32;
        let Some(before) = self.columns.get_mut(column as usize) else { return column };
        if before.again != NONE {
            return before.again;
        }
        before.again = at;
        let id = ColumnId { occurrence: before.id.occurrence + 1, ..before.id.clone() };
        self.columns.push(ColumnBuffer::new(id));
        at
    }
}

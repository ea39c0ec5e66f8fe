//! Reads the values of one column out of a raw payload, checked: lengths, codes, ranges, UTF-8.
//!
//! Validation and views use the same functions, so what passed validation can be read, and damage
//! that came later is an error and never an answer.

use std::borrow::Cow;
use std::ops::Range;

use crate::codec::any_value;
use crate::column::Bitmap;
use crate::column::chunk::Chunks;
use crate::column::encoding::select::{self, Range as ValueRange};
use crate::column::encoding::{Encoding, Stored, ids, integers, pick, texts};
use crate::column::kernels::Kernels;
use crate::column::payload::{Directory, Entry};
use crate::column::schema::{ColumnId, Field, Form, Table, marks};
use crate::error::{Error, Result};
use crate::event::{DoubleBits, ValueRef, ValueType};
use crate::limits;

/// The values of the rows that have one, in order.
#[derive(Debug)]
pub(super) enum Dense<'a> {
    Empties,
    Integers(Vec<i64>),
    Texts(texts::Decoded<'a>),
    Ids16 { values: Vec<[u8; 16]>, codes: Vec<u32> },
    Ids8 { values: Vec<[u8; 8]>, codes: Vec<u32> },
}

/// Where the stored bytes of columns are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bodies<'a> {
    /// In one raw payload; their entries say where.
    Raw(&'a [u8]),
    /// Each in a chunk of its own.
    Chunks(&'a Chunks),
}

/// The columns of a batch or block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns<'a> {
    pub(super) bodies: Bodies<'a>,
    pub(super) directory: &'a Directory,
}

impl<'a> Columns<'a> {
    /// What a column is and what its values are read from.
    pub(super) fn column(&self, at: usize) -> Result<(&'a ColumnId, &'a Entry, Stored<'a>)> {
        let directory = self.directory;
        let (Some(id), Some(entry)) = (directory.ids.get(at), directory.entries.get(at)) else {
            return Err(Error::invalid(format!("the payload has no column {at}")));
        };
        let (body, tail) = match self.bodies {
            Bodies::Raw(raw) => {
                let bytes = |range: &Range<usize>| raw.get(range.clone()).unwrap_or_default();
                (bytes(&entry.body), bytes(&entry.tail))
            }
            Bodies::Chunks(chunks) => chunks.get(at).map_err(|error| error.in_field(id.path()))?,
        };
        Ok((id, entry, Stored { encoding: entry.encoding, body, tail }))
    }

    /// Which rows have a value; `None`: all.
    pub(super) fn presence(&self, at: usize) -> Option<&'a Bitmap> {
        let index = self.directory.entries.get(at)?.presence?;
        self.directory.presences.get(index).map(|presence| &presence.1)
    }

    /// Decodes a column of whatever form.
    pub(super) fn dense(&self, at: usize) -> Result<Dense<'a>> {
        let (id, entry, stored) = self.column(at)?;
        Ok(match id.form() {
            Form::Empties => {
                self.empties(at)?;
                Dense::Empties
            }
            Form::Integers => {
                let mut values = Vec::new();
                self.integers(at, &mut values)?;
                Dense::Integers(values)
            }
            Form::Texts => {
                let mut decoded = texts::Decoded::default();
                self.texts(at, &mut decoded)?;
                Dense::Texts(decoded)
            }
            Form::Ids16 => {
                let (mut values, mut codes) = (Vec::new(), Vec::new());
                ids::decode(stored, entry.count, &mut values, &mut codes)
                    .map_err(|error| error.in_field(id.path()))?;
                Dense::Ids16 { values, codes }
            }
            Form::Ids8 => {
                let (mut values, mut codes) = (Vec::new(), Vec::new());
                self.ids8(at, &mut values, &mut codes)?;
                Dense::Ids8 { values, codes }
            }
        })
    }

    /// As [`Columns::dense`], but of the values at these ranks only, which ascend: value i is that of
    /// rank i, which is row i of `rows`. What is checked is what is read.
    pub(super) fn picked(&self, at: usize, ranks: &[u32], rows: &[u32]) -> Result<Dense<'a>> {
        let (id, entry, stored) = self.column(at)?;
        let in_field = |error: Error| error.in_field(id.path());
        if ranks.last().is_some_and(|&last| last as usize >= entry.count) {
            return Err(in_field(Error::invalid("a column has fewer values than rows")));
        }
        let codes = || (0..ranks.len() as u32).collect();
        Ok(match id.form() {
            Form::Empties => return self.dense(at),
            Form::Integers => {
                let values = match stored.encoding {
                    Encoding::DictionaryByType => self.integers_by_type(at, Some((ranks, rows))),
                    _ => pick::integers(stored, entry.count, ranks),
                };
                let values = values.map_err(in_field)?;
                self.check_range(id, &values)?;
                Dense::Integers(values)
            }
            Form::Texts => {
                let decoded = match stored.encoding {
                    Encoding::TextByType => self.texts_by_type(at, Some((ranks, rows))),
                    _ => pick::texts(stored, entry.count, ranks),
                };
                let decoded = decoded.map_err(in_field)?;
                decoded.codes.iter().try_for_each(|&code| {
                    let value = decoded.value(code).unwrap_or_default();
                    check_entry(id, value).map_err(in_field)
                })?;
                Dense::Texts(decoded)
            }
            Form::Ids16 => {
                let values = pick::ids(stored, entry.count, ranks).map_err(in_field)?;
                Dense::Ids16 { values, codes: codes() }
            }
            Form::Ids8 if stored.encoding == Encoding::IdReference => {
                let values = self.picked_parents(at, stored, ranks, rows).map_err(in_field)?;
                Dense::Ids8 { values, codes: codes() }
            }
            Form::Ids8 => {
                let values = pick::ids(stored, entry.count, ranks).map_err(in_field)?;
                Dense::Ids8 { values, codes: codes() }
            }
        })
    }

    fn picked_parents(
        &self,
        at: usize,
        stored: Stored<'_>,
        ranks: &[u32],
        rows: &[u32],
    ) -> Result<Vec<[u8; 8]>> {
        let spans = self.directory.find(Table::Events, Field::SpanId);
        let plain = |at: usize| {
            let (_, entry, stored) = self.column(at)?;
            let every = entry.presence.is_none() && entry.encoding == Encoding::IdPlain;
            Ok::<_, Error>(every.then_some((stored.tail.as_chunks::<8>().0, entry.count)))
        };
        // Mostly each event is a span with an id of its own: then the row says where it stands.
        if let Some((ids, count)) = spans.map(plain).transpose()?.flatten()
            && let Some(entry) = self.directory.entries.get(at)
        {
            let span_of = |row: usize| ids.get(row).filter(|_| row < count).copied();
            let row_of = |index: usize| rows.get(index).copied();
            return pick::references(stored, entry.count, ranks, row_of, span_of);
        }
        let (mut values, mut codes) = (Vec::new(), Vec::new());
        self.ids8(at, &mut values, &mut codes)?;
        Ok(ranks.iter().filter_map(|&rank| values.get(rank as usize).copied()).collect())
    }

    /// A column of empties has no body.
    pub(super) fn empties(&self, at: usize) -> Result<()> {
        let (id, entry, stored) = self.column(at)?;
        let empty = stored.body.is_empty() && stored.tail.is_empty();
        if entry.encoding != Encoding::Nothing || !empty {
            return Err(Error::invalid("a column of empties with a body").in_field(id.path()));
        }
        Ok(())
    }

    /// Decodes a column of integers and checks their range.
    pub(super) fn integers(&self, at: usize, out: &mut Vec<i64>) -> Result<()> {
        let (id, entry, stored) = self.column(at)?;
        if id.form() != Form::Integers {
            return Err(wrong_form(id, "integers"));
        }
        let decoded = match stored.encoding {
            Encoding::DictionaryByType => self.integers_by_type(at, None).map(|all| *out = all),
            _ => integers::decode(stored, entry.count, out),
        };
        decoded.map_err(|error| error.in_field(id.path()))?;
        self.check_range(id, out)
    }

    /// Which values of a column of integers lie in a range, a bit for each that it has.
    pub(super) fn between(
        &self,
        at: usize,
        range: ValueRange,
        kernels: Kernels,
    ) -> Result<Vec<u64>> {
        let (id, entry, stored) = self.column(at)?;
        if id.form() != Form::Integers {
            return Err(wrong_form(id, "integers"));
        }
        let words = match stored.encoding {
            Encoding::DictionaryByType => {
                let all = self.integers_by_type(at, None);
                all.map(|values| kernels.between(&values, range.low, range.high))
            }
            _ => select::between(stored, entry.count, range, kernels),
        };
        words.map_err(|error| error.in_field(id.path()))
    }

    fn check_range(&self, id: &ColumnId, values: &[i64]) -> Result<()> {
        let Some((least, greatest)) = self.range(id) else { return Ok(()) };
        if values.is_empty() {
            return Ok(());
        }
        let (min, max) =
            values.iter().fold((i64::MAX, i64::MIN), |(min, max), &v| (min.min(v), max.max(v)));
        if min < least || max > greatest {
            let wrong = if min < least { min } else { max };
            let what = format!("{wrong} where {least} to {greatest} are allowed");
            return Err(Error::invalid(what).in_field(id.path()));
        }
        Ok(())
    }

    /// Decodes a column of text, bytes or nested values and checks each distinct one.
    pub(super) fn texts(&self, at: usize, out: &mut texts::Decoded<'a>) -> Result<()> {
        let (id, entry, stored) = self.column(at)?;
        if id.form() != Form::Texts {
            return Err(wrong_form(id, "text"));
        }
        let decoded = match stored.encoding {
            Encoding::TextByType => self.texts_by_type(at, None).map(|all| *out = all),
            _ => texts::decode(stored, entry.count, out),
        };
        decoded.and_then(|()| check_entries(id, out)).map_err(|error| error.in_field(id.path()))
    }

    /// Decodes a column of 8-byte ids.
    pub(super) fn ids8(
        &self,
        at: usize,
        values: &mut Vec<[u8; 8]>,
        codes: &mut Vec<u32>,
    ) -> Result<()> {
        let (id, entry, stored) = self.column(at)?;
        if id.form() != Form::Ids8 {
            return Err(wrong_form(id, "ids of 8 bytes"));
        }
        if entry.encoding == Encoding::IdReference && id.field == Field::ParentSpanId {
            codes.clear();
            codes.extend(0..entry.count as u32);
            return self
                .references(at, stored, entry.count, values)
                .map_err(|error| error.in_field(id.path()));
        }
        ids::decode(stored, entry.count, values, codes).map_err(|error| error.in_field(id.path()))
    }

    /// Decodes parents that refer to the spans of this batch.
    fn references(
        &self,
        at: usize,
        stored: Stored<'_>,
        count: usize,
        values: &mut Vec<[u8; 8]>,
    ) -> Result<()> {
        let spans = self
            .directory
            .find(Table::Events, Field::SpanId)
            .ok_or_else(|| Error::invalid("parents refer to spans, and there are none"))?;
        let (mut ids, mut codes) = (Vec::new(), Vec::new());
        // A span id is no reference itself: this goes one level deep.
        self.ids8(spans, &mut ids, &mut codes)?;
        if let Some(rows) = self.presence(spans) {
            super::view::scatter(&mut codes, rows, u32::MAX);
        }
        let span_of = |row: usize| codes.get(row).and_then(|&code| ids.get(code as usize)).copied();
        match self.presence(at) {
            Some(rows) => ids::decode_references(stored, rows.ones(), count, span_of, values),
            None => ids::decode_references(stored, 0..count, count, span_of, values),
        }
    }

    /// Least and greatest value allowed; `None`: all 64 bits.
    fn range(&self, id: &ColumnId) -> Option<(i64, i64)> {
        let rows = |table: Table| {
            (0, self.directory.rows.get(table as usize).map_or(0, |&rows| rows as i64) - 1)
        };
        Some(match id.field {
            Field::Owner => rows(Table::Events),
            Field::Resource => rows(Table::Resources),
            Field::Scope => rows(Table::Scopes),
            Field::Signal | Field::Status => (0, 2),
            Field::Kind => (0, 5),
            Field::SeverityNumber => (0, 24),
            Field::Marks => (0, marks::ALL),
            Field::RemotePort => (0, i64::from(u16::MAX)),
            Field::Flags
            | Field::DroppedAttributes
            | Field::DroppedEvents
            | Field::DroppedLinks => (0, i64::from(u32::MAX)),
            _ if id.value_type == ValueType::Bool => (0, 1),
            _ => return None,
        })
    }
}

impl<'a> Dense<'a> {
    /// One value of whatever type.
    pub(super) fn value(&self, value_type: ValueType, at: usize) -> Option<ValueRef<'_>> {
        match self {
            Dense::Ids16 { values, codes } => {
                Some(ValueRef::Bytes(values.get(*codes.get(at)? as usize)?))
            }
            Dense::Ids8 { values, codes } => {
                Some(ValueRef::Bytes(values.get(*codes.get(at)? as usize)?))
            }
            _ => self.attribute(value_type, at),
        }
    }

    /// One value as an attribute or body of a type; ids are none.
    pub(super) fn attribute(&self, value_type: ValueType, at: usize) -> Option<ValueRef<'_>> {
        match self {
            Dense::Texts(texts) => of_bytes(value_type, texts.row(at)?),
            _ => self.standing(value_type, at),
        }
    }

    /// As [`Dense::attribute`], if the value stands in the column as it is.
    pub(super) fn standing(&self, value_type: ValueType, at: usize) -> Option<ValueRef<'a>> {
        Some(match (self, value_type) {
            (Dense::Empties, _) => ValueRef::Empty,
            (Dense::Integers(values), ValueType::Double) => {
                ValueRef::Double(DoubleBits(*values.get(at)? as u64))
            }
            (Dense::Integers(values), ValueType::Bool) => ValueRef::Bool(*values.get(at)? != 0),
            (Dense::Integers(values), _) => ValueRef::Int(*values.get(at)?),
            (Dense::Texts(texts), _) => return of_bytes(value_type, texts.standing(at)?),
            (Dense::Ids16 { .. } | Dense::Ids8 { .. }, _) => return None,
        })
    }

    /// Bytes that were put together for it.
    pub(super) fn built_bytes(&self) -> usize {
        match self {
            Dense::Texts(texts) if matches!(texts.bytes, Cow::Owned(_)) => texts.bytes.len(),
            _ => 0,
        }
    }

    /// The texts of the column, if it is one of texts.
    pub(super) fn texts(&self) -> Option<&texts::Decoded<'a>> {
        match self {
            Dense::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    pub(super) fn integer(&self, at: usize) -> Option<i64> {
        match self {
            Dense::Integers(values) => values.get(at).copied(),
            _ => None,
        }
    }

    pub(super) fn text(&self, at: usize) -> Option<&str> {
        match self {
            // UTF-8 was checked when the column was decoded; here it is a slice of it.
            Dense::Texts(texts) => std::str::from_utf8(texts.row(at)?).ok(),
            _ => None,
        }
    }

    pub(super) fn bytes(&self, at: usize) -> Option<&[u8]> {
        match self {
            Dense::Texts(texts) => texts.row(at),
            _ => None,
        }
    }

    pub(super) fn id16(&self, at: usize) -> Option<[u8; 16]> {
        match self {
            Dense::Ids16 { values, codes } => values.get(*codes.get(at)? as usize).copied(),
            _ => None,
        }
    }

    pub(super) fn id8(&self, at: usize) -> Option<[u8; 8]> {
        match self {
            Dense::Ids8 { values, codes } => values.get(*codes.get(at)? as usize).copied(),
            _ => None,
        }
    }
}

/// Whether texts that were put together, `bytes` so far, can be those of one block: a writer counts
/// them as expanded.
pub(super) fn check_built(bytes: usize, id: &ColumnId) -> Result<()> {
    let max = limits::BATCH_EXPANDED_BYTES_MAX;
    if bytes > max {
        let what = format!("the texts of a block have more than {max} bytes");
        return Err(Error::limit(what).in_field(id.path()));
    }
    Ok(())
}

fn of_bytes(value_type: ValueType, bytes: &[u8]) -> Option<ValueRef<'_>> {
    Some(match value_type {
        // UTF-8 was checked when the column was decoded; this is a slice of it.
        ValueType::String => ValueRef::String(std::str::from_utf8(bytes).ok()?),
        ValueType::Bytes => ValueRef::Bytes(bytes),
        _ => ValueRef::Nested(bytes),
    })
}

fn wrong_form(id: &ColumnId, wanted: &str) -> Error {
    Error::invalid(format!("the column does not hold {wanted}")).in_field(id.path())
}

/// How long a value must be, or may be at most.
fn lengths_allowed(id: &ColumnId) -> (Option<usize>, usize) {
    match id.field {
        Field::RemoteIpv4 => (Some(4), 4),
        Field::RemoteIpv6 => (Some(16), 16),
        Field::Source | Field::Type => (None, limits::NAME_BYTES_MAX),
        _ => (None, limits::VALUE_BYTES_MAX),
    }
}

fn check_length(length: usize, (exact, max): (Option<usize>, usize)) -> Result<()> {
    if length > max || exact.is_some_and(|exact| exact != length) {
        let what = format!("a value of {length} bytes, {} are allowed", exact.unwrap_or(max));
        return Err(Error::limit(what));
    }
    Ok(())
}

/// Checks one value as [`check_entries`] checks all of them.
fn check_entry(id: &ColumnId, value: &[u8]) -> Result<()> {
    check_length(value.len(), lengths_allowed(id))?;
    match id.value_type {
        ValueType::String => std::str::from_utf8(value)
            .map(drop)
            .map_err(|error| Error::invalid(format!("text is not UTF-8: {error}"))),
        ValueType::Nested => any_value::check(value),
        _ => Ok(()),
    }
}

/// Checks each distinct value: lengths of names and addresses, UTF-8, nesting.
fn check_entries(id: &ColumnId, texts: &texts::Decoded<'_>) -> Result<()> {
    let allowed = lengths_allowed(id);
    let lengths = texts.offsets.windows(2).map(|pair| match pair {
        [start, end] => (end - start) as usize,
        _ => 0,
    });
    for length in lengths {
        check_length(length, allowed)?;
    }
    match id.value_type {
        ValueType::String => {
            // Valid as a whole and cut at boundaries only: valid each.
            let whole = std::str::from_utf8(&texts.bytes)
                .map_err(|error| Error::invalid(format!("text is not UTF-8: {error}")))?;
            match texts.offsets.iter().find(|&&at| !whole.is_char_boundary(at as usize)) {
                Some(at) => Err(Error::invalid(format!("text is not UTF-8: cut at byte {at}"))),
                None => Ok(()),
            }
        }
        ValueType::Nested => (0..texts.offsets.len() - 1)
            .try_for_each(|code| any_value::check(texts.value(code as u32).unwrap_or_default())),
        _ => Ok(()),
    }
}

//! Complete validation of a payload: each column is decoded once, in the order of the directory.
//!
//! Beside the checks of each column (see `decode`) the rows must hang together: owners ascend, an
//! event has at most one body, addresses only where there is another end, a second value of a key
//! only beside a first. What the batch expands to is counted before anything is expanded.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::column::Bitmap;
use crate::column::batch::BatchSummary;
use crate::column::decode::{Bodies, Columns, Dense};
use crate::column::encoding::{ids, texts};
use crate::column::payload::{self, Directory};
use crate::column::schema::{ColumnId, EXPANDED_VALUE_BYTES, Field, Form, Table};
use crate::error::{Error, Result};
use crate::event::TraceId;
use crate::index::trace_hash;
use crate::limits;
use crate::time::Timestamp;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) events: usize,
    pub(super) min_time: Timestamp,
    pub(super) max_time: Timestamp,
    pub(super) summary: BatchSummary,
}

/// Buffers for one column after another.
#[derive(Default)]
struct Scratch<'a> {
    integers: Vec<i64>,
    texts: texts::Decoded<'a>,
    ids16: Vec<[u8; 16]>,
    ids8: Vec<[u8; 8]>,
    codes: Vec<u32>,
}

struct Validator<'a> {
    columns: Columns<'a>,
    scratch: Scratch<'a>,
    expanded: usize,
    min_time: i64,
    max_time: i64,
    trace_hashes: Vec<u64>,
    /// Row of the resource of each event.
    resources: Vec<i64>,
    sources: texts::Decoded<'a>,
    types: texts::Decoded<'a>,
}

/// Decodes everything once.
pub(super) fn validate(raw: &[u8], directory: &Directory) -> Result<Found> {
    let mut validator = Validator {
        columns: Columns { bodies: Bodies::Raw(raw), directory },
        scratch: Scratch::default(),
        expanded: 0,
        min_time: i64::MAX,
        max_time: i64::MIN,
        trace_hashes: Vec::new(),
        resources: Vec::new(),
        sources: texts::Decoded::default(),
        types: texts::Decoded::default(),
    };
    let events = directory.rows.get(Table::Events as usize).copied().unwrap_or(0);
    if events == 0 {
        return Err(Error::invalid("a batch without events").in_field("events"));
    }
    for (at, id) in directory.ids.iter().enumerate() {
        validator.column(at, id)?;
    }
    check_rows(directory)?;
    let series = validator.series()?;
    let Validator { mut trace_hashes, expanded, min_time, max_time, .. } = validator;
    trace_hashes.sort_unstable();
    trace_hashes.dedup();
    let summary = BatchSummary { series, trace_hashes, expanded_bytes: expanded as u64 };
    Ok(Found { events, min_time: Timestamp(min_time), max_time: Timestamp(max_time), summary })
}

impl<'a> Validator<'a> {
    fn column(&mut self, at: usize, id: &ColumnId) -> Result<()> {
        let count = self.columns.column(at)?.1.count;
        // Counted before it is decoded: a constant of 65,536 rows is a few bytes.
        let each = if id.form() == Form::Ids16 { 2 } else { 1 } * EXPANDED_VALUE_BYTES;
        self.expand(count * each)?;
        match id.form() {
            Form::Empties => self.columns.empties(at),
            Form::Integers => self.integers(at, id),
            Form::Texts => self.texts(at, id),
            Form::Ids16 => self.ids16(at, id),
            Form::Ids8 => {
                let Scratch { ids8, codes, .. } = &mut self.scratch;
                self.columns.ids8(at, ids8, codes)
            }
        }
    }

    fn expand(&mut self, bytes: usize) -> Result<()> {
        self.expanded = self.expanded.saturating_add(bytes);
        if self.expanded <= limits::BATCH_EXPANDED_BYTES_MAX {
            return Ok(());
        }
        let max = limits::BATCH_EXPANDED_BYTES_MAX;
        let what = format!("the batch expands to more than {max} bytes");
        Err(Error::limit(what).in_field("expanded_bytes"))
    }

    fn integers(&mut self, at: usize, id: &ColumnId) -> Result<()> {
        let values = &mut self.scratch.integers;
        self.columns.integers(at, values)?;
        match (id.table, id.field) {
            (Table::Events, Field::Time) => {
                for &time in values.iter() {
                    self.min_time = self.min_time.min(time);
                    self.max_time = self.max_time.max(time);
                }
            }
            (Table::Events, Field::Resource) => std::mem::swap(&mut self.resources, values),
            (table, Field::Owner) => {
                let max = match table {
                    Table::Links => limits::LINKS_MAX,
                    _ => limits::SPAN_EVENTS_MAX,
                };
                check_owners(values, max).map_err(|error| error.in_field(id.path()))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn texts(&mut self, at: usize, id: &ColumnId) -> Result<()> {
        let texts = match id.field {
            Field::Source => &mut self.sources,
            Field::Type => &mut self.types,
            _ => &mut self.scratch.texts,
        };
        self.columns.texts(at, texts)?;
        let bytes = if texts.codes.len() + 1 == texts.offsets.len() {
            // As many values as rows, each used: they expand to themselves.
            texts.bytes.len()
        } else {
            let length = |&code: &u32| texts.value(code).map_or(0, <[u8]>::len);
            texts.codes.iter().map(length).sum()
        };
        self.expand(bytes)
    }

    fn ids16(&mut self, at: usize, id: &ColumnId) -> Result<()> {
        let (_, entry, stored) = self.columns.column(at)?;
        let Scratch { ids16, codes, .. } = &mut self.scratch;
        ids::decode(stored, entry.count, ids16, codes)
            .map_err(|error| error.in_field(id.path()))?;
        self.trace_hashes.extend(ids16.iter().map(|id| trace_hash(&TraceId(*id))));
        Ok(())
    }

    fn series(&self) -> Result<Vec<crate::column::Series>> {
        series(&self.resources, &self.sources, &self.types)
    }
}

/// Series and traces only; `expanded_bytes` stays 0.
pub(super) fn summarise(columns: Columns<'_>) -> Result<BatchSummary> {
    let required = |table, field: Field| {
        columns
            .directory
            .find(table, field)
            .ok_or_else(|| Error::invalid("a column is missing").in_field(field.name()))
    };
    let (mut sources, mut types) = (texts::Decoded::default(), texts::Decoded::default());
    let mut resources = Vec::new();
    columns.integers(required(Table::Events, Field::Resource)?, &mut resources)?;
    columns.texts(required(Table::Resources, Field::Source)?, &mut sources)?;
    columns.texts(required(Table::Events, Field::Type)?, &mut types)?;
    let mut trace_hashes = Vec::new();
    for table in [Table::Events, Table::Links] {
        let Some(at) = columns.directory.find(table, Field::TraceId) else { continue };
        if let Dense::Ids16 { values, .. } = columns.dense(at)? {
            trace_hashes.extend(values.iter().map(|id| trace_hash(&TraceId(*id))));
        }
    }
    trace_hashes.sort_unstable();
    trace_hashes.dedup();
    Ok(BatchSummary {
        series: series(&resources, &sources, &types)?,
        trace_hashes,
        expanded_bytes: 0,
    })
}

/// Distinct pairs of source and type.
fn series(
    resources: &[i64],
    sources: &texts::Decoded<'_>,
    types: &texts::Decoded<'_>,
) -> Result<Vec<crate::column::Series>> {
    let (source_numbers, type_numbers) = (distinct(sources), distinct(types));
    let mut pairs: HashMap<(u32, u32), (), RandomState> = HashMap::default();
    let (mut last, mut last_codes) = (None, None);
    for (&resource, &type_code) in resources.iter().zip(&types.codes) {
        if last_codes.replace((resource, type_code)) == Some((resource, type_code)) {
            continue;
        }
        let source_code = sources.codes.get(resource as usize).copied().unwrap_or(0);
        let number = |numbers: &[u32], code: u32| numbers.get(code as usize).copied().unwrap_or(0);
        let pair = (number(&source_numbers, source_code), number(&type_numbers, type_code));
        if last.replace(pair) != Some(pair) {
            pairs.insert(pair, ());
        }
        if pairs.len() > limits::BATCH_SERIES_MAX {
            let what = format!("more than {} series in one batch", limits::BATCH_SERIES_MAX);
            return Err(Error::limit(what).in_field("series"));
        }
    }
    let name = |texts: &texts::Decoded<'_>, code: u32| {
        String::from_utf8_lossy(texts.value(code).unwrap_or_default()).into_owned()
    };
    let names = pairs.into_keys().map(|(s, t)| (name(sources, s), name(types, t)));
    Ok(payload::sorted_series(names))
}

/// For each code the first one with the same value: a producer need not send distinct ones.
fn distinct(texts: &texts::Decoded<'_>) -> Vec<u32> {
    let mut numbers: HashMap<&[u8], u32, RandomState> = HashMap::default();
    (0..texts.offsets.len().saturating_sub(1) as u32)
        .map(|code| *numbers.entry(texts.value(code).unwrap_or_default()).or_insert(code))
        .collect()
}

fn check_owners(owners: &[i64], max: usize) -> Result<()> {
    if !owners.is_sorted() {
        return Err(Error::invalid("owners are not in order"));
    }
    if let Some(many) = owners.chunk_by(|a, b| a == b).find(|chunk| chunk.len() > max) {
        let what = format!("{} of one event, at most {max} are allowed", many.len());
        return Err(Error::limit(what));
    }
    Ok(())
}

/// What must hold between the columns of a row.
fn check_rows(directory: &Directory) -> Result<()> {
    let bitmap = |at: usize| {
        let index = directory.entries.get(at).and_then(|entry| entry.presence)?;
        directory.presences.get(index).map(|presence| &presence.1)
    };
    for (at, id) in directory.ids.iter().enumerate() {
        let before = match id.field {
            _ if id.occurrence > 0 => at.checked_sub(1).filter(|&before| {
                let first = directory.ids.get(before);
                first.is_some_and(|first| {
                    first.sort_key()
                        == ColumnId { occurrence: id.occurrence - 1, ..id.clone() }.sort_key()
                })
            }),
            Field::RemoteIpv4 | Field::RemoteIpv6 | Field::RemotePort => {
                directory.find(Table::Events, Field::RemoteService)
            }
            _ => continue,
        };
        if !before.is_some_and(|before| is_subset(bitmap(at), bitmap(before))) {
            let what = "a value in a row that lacks the one that it belongs to";
            return Err(Error::invalid(what).in_field(id.path()));
        }
    }
    let bodies = directory.range(Table::Events, Field::Body);
    let mut seen: Option<Bitmap> = None;
    for at in bodies {
        let disjoint = match (&mut seen, bitmap(at)) {
            (None, Some(rows)) => {
                seen = Some(rows.clone());
                true
            }
            // All rows: it must be the only one.
            (seen @ None, None) => {
                let rows = directory.rows.get(Table::Events as usize).copied().unwrap_or(0);
                *seen = Some(Bitmap { words: vec![u64::MAX; rows.div_ceil(64)], rows });
                true
            }
            (Some(seen), Some(rows)) => {
                seen.words.iter_mut().zip(&rows.words).all(|(seen, new)| {
                    *seen & new == 0 && {
                        *seen |= new;
                        true
                    }
                })
            }
            (Some(_), None) => false,
        };
        if !disjoint {
            return Err(Error::invalid("an event with two bodies").in_field("body"));
        }
    }
    Table::ALL.into_iter().try_for_each(|table| check_attributes(directory, table))
}

/// Rows have at most so many attributes; counted only where there are enough columns for more.
fn check_attributes(directory: &Directory, table: Table) -> Result<()> {
    let columns = directory.range(table, Field::Attribute);
    if columns.len() <= limits::ATTRIBUTES_MAX {
        return Ok(());
    }
    let rows = directory.rows.get(table as usize).copied().unwrap_or(0);
    let mut counts = vec![0u32; rows];
    let mut everywhere = 0u32;
    let entries = directory.entries.get(columns).unwrap_or_default();
    for entry in entries {
        match entry.presence.and_then(|index| directory.presences.get(index)) {
            None => everywhere += 1,
            Some((_, bitmap, _)) => {
                bitmap.ones().for_each(|row| {
                    if let Some(count) = counts.get_mut(row) {
                        *count += 1;
                    }
                });
            }
        }
    }
    if counts.iter().any(|&count| (count + everywhere) as usize > limits::ATTRIBUTES_MAX) {
        let what = format!("more than {} attributes", limits::ATTRIBUTES_MAX);
        return Err(Error::limit(what).in_field(format!("{}attributes", table.prefix())));
    }
    Ok(())
}

fn is_subset(inner: Option<&Bitmap>, outer: Option<&Bitmap>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => {
            inner.words.iter().zip(&outer.words).all(|(inner, outer)| inner & !outer == 0)
        }
    }
}

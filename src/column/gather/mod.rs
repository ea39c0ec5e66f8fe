//! Gathers the events of several frames into one block, column by column: no event is made, and a
//! distinct value is looked up once per frame, not once per event.
//!
//! 1. Resources and scopes that the events refer to are recognised by their content and stored once.
//! 2. Each column of the events is copied row by row behind what was gathered before; codes of
//!    dictionaries are translated.
//! 3. Links and span events follow their events.
//! 4. `finish` encodes each column anew into a chunk, in the encoding that fits all of it (CMP-1:
//!    every value comes out as it went in).

mod attributes;
mod links;
mod minutes;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::column::Bitmap;
use crate::column::batch::BatchSummary;
use crate::column::buffer::{Cell, ColumnBuffer, Values, find_presence};
use crate::column::chunk::ChunkWriter;
use crate::column::compress::Compressor;
use crate::column::decode::{Columns, Dense};
use crate::column::encoding::by_type::TypesOf;
use crate::column::encoding::texts::InBlock;
use crate::column::encoding::{ids, presence};
use crate::column::payload;
use crate::column::schema::{ColumnId, EXPANDED_VALUE_BYTES, Field, Form, Table};
use crate::column::view::BatchView;
use crate::error::{Error, Result};
use crate::event::ValueType;
use crate::format::frame::{FrameHeader, FrameKind};
use crate::index::attributes::BlockAttributes;
use crate::index::minutes::Minutes;
use crate::limits;
use crate::time::Timestamp;

pub use totals::SeriesTotals;

/// A finished block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its frame's header; place and salt are the segment's to stamp.
    pub header: FrameHeader,
    /// Its bytes behind the header.
    pub bytes: Vec<u8>,
    /// Series and traces.
    pub summary: BatchSummary,
    /// Per series, in the order of the summary.
    pub totals: Vec<SeriesTotals>,
    /// Per source and minute.
    pub minutes: Minutes,
    /// Which attributes occur, with which values.
    pub attributes: BlockAttributes,
    /// Hashes of the traces that its events link to, each once.
    pub links: Vec<u64>,
}

/// Kept from one block to the next; more is given back to the allocator.
const COLUMNS_KEPT_MAX: usize = 1_024;
const MEMORY_KEPT_BYTES_MAX: usize = 64 << 20;

/// See the module.
#[derive(Default)]
pub struct Gather {
    columns: Vec<ColumnBuffer>,
    by_id: HashMap<ColumnId, usize, RandomState>,
    rows: [u32; 5],
    /// Rows of resources and scopes by content.
    shared: [HashMap<Vec<u8>, u16, RandomState>; 2],
    first_sequence: u64,
    /// What the values take when they are expanded, as validation counts those of a batch.
    expanded: usize,
    chunks: ChunkWriter,
    compressor: Option<Compressor>,
    references: ids::ReferenceScratch,
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gather({:?} rows)", self.rows)
    }
}

/// Rows with a value, and how many come before each word of 64.
struct Ranks<'a> {
    present: Option<&'a Bitmap>,
    before: Vec<u32>,
}

impl<'a> Ranks<'a> {
    fn new(present: Option<&'a Bitmap>) -> Ranks<'a> {
        let mut sum = 0;
        let words = present.map(|p| p.words.as_slice()).unwrap_or_default();
        let before = words.iter().map(|word| {
            let before = sum;
            sum += word.count_ones();
            before
        });
        Ranks { before: before.collect(), present }
    }

    /// Rows with a value before this one.
    fn rank(&self, row: usize) -> usize {
        let Some(present) = self.present else { return row };
        let below = |word: u64| (word & ((1 << (row % 64)) - 1)).count_ones() as usize;
        match (self.before.get(row / 64), present.words.get(row / 64)) {
            (Some(&before), Some(&word)) => before as usize + below(word),
            // Behind the last word.
            _ => present.words.iter().map(|word| word.count_ones() as usize).sum(),
        }
    }

    fn has(&self, row: usize) -> bool {
        self.present.is_none_or(|present| present.get(row))
    }
}

impl Gather {
    /// Nothing gathered.
    #[must_use]
    pub fn new() -> Gather {
        Gather::default()
    }

    /// Events gathered.
    #[must_use]
    pub fn events(&self) -> usize {
        self.rows[Table::Events as usize] as usize
    }

    /// What the values gathered so far take when they are expanded. [`Gather::finish`] refuses more
    /// than [`limits::BATCH_EXPANDED_BYTES_MAX`]; no single event of a batch has more.
    #[must_use]
    pub fn expanded_bytes(&self) -> usize {
        self.expanded
    }

    /// Whether so many rows and columns more surely fit.
    #[must_use]
    pub fn fits(&self, view: &BatchView) -> bool {
        let tables = [Table::Resources, Table::Scopes, Table::Links, Table::SpanEvents];
        let rows = tables.map(|table| self.rows[table as usize] as usize + view.rows(table));
        let rows = rows.into_iter().max().unwrap_or(0);
        // One more may come: when each event was received.
        let columns = self.columns_used() + view.columns().len() + 1;
        let bitmap = rows.max(limits::BLOCK_EVENTS_MAX).div_ceil(8);
        rows <= limits::BATCH_ROWS_MAX
            && columns <= limits::BLOCK_COLUMNS_MAX
            && columns * bitmap <= limits::BATCH_EXPANDED_BYTES_MAX
    }

    fn columns_used(&self) -> usize {
        self.columns.iter().filter(|column| !column.rows.is_empty()).count()
    }

    /// Gathers consecutive events of a frame or block behind those before, which end with the
    /// sequence before theirs.
    pub fn add(
        &mut self,
        header: &FrameHeader,
        view: &BatchView,
        rows: Range<usize>,
    ) -> Result<()> {
        let columns = view.reader();
        let first = self.events();
        if first == 0 {
            self.first_sequence = header.first_sequence + rows.start as u64;
        }
        if first + rows.len() > limits::BLOCK_EVENTS_MAX {
            return Err(Error::limit("more events than a block takes"));
        }
        let resources = self.share(columns, Table::Resources, Field::Resource, &rows)?;
        let scopes = self.share(columns, Table::Scopes, Field::Scope, &rows)?;
        let range = columns.directory.table(Table::Events);
        for at in range {
            let to_first = first as u32;
            match columns.directory.ids.get(at).map(|id| id.field) {
                Some(Field::Resource) => {
                    self.copy(columns, at, &rows, to_first, |v| map(&resources, v))?
                }
                Some(Field::Scope) => {
                    self.copy(columns, at, &rows, to_first, |v| map(&scopes, v))?
                }
                _ => self.copy(columns, at, &rows, to_first, Some)?,
            }
        }
        if columns.directory.find(Table::Events, Field::Received).is_none() {
            let column =
                self.column(&ColumnId::fixed(Table::Events, Field::Received, ValueType::Int));
            for row in first..first + rows.len() {
                column.push(row as u16, Cell::Integer(header.received.0));
            }
        }
        for table in [Table::Links, Table::SpanEvents] {
            self.copy_owned(columns, table, &rows, first)?;
        }
        self.rows[Table::Events as usize] += rows.len() as u32;
        Ok(())
    }

    /// The rows of a table that belong to the events.
    fn copy_owned(
        &mut self,
        columns: Columns<'_>,
        table: Table,
        events: &Range<usize>,
        first: usize,
    ) -> Result<()> {
        let Some(at) = columns.directory.find(table, Field::Owner) else { return Ok(()) };
        let mut owners = Vec::new();
        columns.integers(at, &mut owners)?;
        let place = |event: usize| owners.partition_point(|&owner| owner < event as i64);
        let rows = place(events.start)..place(events.end);
        if rows.is_empty() {
            return Ok(());
        }
        let to_first = self.rows[table as usize];
        for at in columns.directory.table(table) {
            if columns.directory.ids.get(at).is_some_and(|id| id.field == Field::Owner) {
                let moved = |owner: i64| Some(owner - events.start as i64 + first as i64);
                self.copy(columns, at, &rows, to_first, moved)?;
            } else {
                self.copy(columns, at, &rows, to_first, Some)?;
            }
        }
        self.rows[table as usize] += rows.len() as u32;
        Ok(())
    }

    /// Copies the values of consecutive rows of a column; integers go through `moved`.
    fn copy(
        &mut self,
        columns: Columns<'_>,
        at: usize,
        rows: &Range<usize>,
        to_first: u32,
        moved: impl Fn(i64) -> Option<i64>,
    ) -> Result<()> {
        let Some(id) = columns.directory.ids.get(at) else { return Ok(()) };
        let ranks = Ranks::new(columns.presence(at));
        let values = ranks.rank(rows.start)..ranks.rank(rows.end);
        if values.is_empty() {
            return Ok(());
        }
        let dense = columns.dense(at)?;
        let damaged = || Error::corrupt("a column has fewer values than rows").in_field(id.path());
        let mut expanded = values.len()
            * match (id.form(), id.field) {
                // Producers do not send it and are not charged for it.
                (_, Field::Received) => 0,
                (Form::Ids16, _) => 2 * EXPANDED_VALUE_BYTES,
                _ => EXPANDED_VALUE_BYTES,
            };
        let column = self.column(id);
        let to = |row: usize| (to_first as usize + row - rows.start) as u16;
        column.rows.extend(rows.clone().filter(|&row| ranks.has(row)).map(to));
        match (&mut column.values, &dense) {
            (Values::Empties, Dense::Empties) => {}
            (Values::Integers(into), Dense::Integers(from)) => {
                for &value in from.get(values).ok_or_else(damaged)? {
                    into.push(moved(value).ok_or_else(damaged)?);
                }
            }
            (Values::Texts(into), Dense::Texts(from)) => {
                let mut codes = vec![None; from.offsets.len()];
                for &code in from.codes.get(values).ok_or_else(damaged)? {
                    let known = codes.get_mut(code as usize).ok_or_else(damaged)?;
                    let (to, length) = match *known {
                        Some(known) => known,
                        None => {
                            let text = from.value(code).ok_or_else(damaged)?;
                            *known.insert((into.intern(text), text.len()))
                        }
                    };
                    into.codes.push(to);
                    expanded += length;
                }
            }
            (Values::Ids16(into), Dense::Ids16 { values: ids, codes: from }) => {
                let mut codes = vec![None; ids.len()];
                for &code in from.get(values).ok_or_else(damaged)? {
                    let known = codes.get_mut(code as usize).ok_or_else(damaged)?;
                    let to = match *known {
                        Some(to) => to,
                        None => {
                            *known.insert(into.intern(*ids.get(code as usize).ok_or_else(damaged)?))
                        }
                    };
                    into.codes.push(to);
                }
            }
            (Values::Ids8(into), Dense::Ids8 { values: ids, codes }) => {
                for &code in codes.get(values).ok_or_else(damaged)? {
                    into.push(*ids.get(code as usize).ok_or_else(damaged)?);
                }
            }
            _ => return Err(damaged()),
        }
        self.expanded += expanded;
        Ok(())
    }

    /// Rows here of the resources or scopes that the events refer to, by their rows there.
    fn share(
        &mut self,
        columns: Columns<'_>,
        table: Table,
        field: Field,
        events: &Range<usize>,
    ) -> Result<Vec<Option<i64>>> {
        let mut rows_here =
            vec![None; columns.directory.rows.get(table as usize).copied().unwrap_or(0)];
        let Some(at) = columns.directory.find(Table::Events, field) else { return Ok(rows_here) };
        let mut referred = Vec::new();
        columns.integers(at, &mut referred)?;
        let ranks = Ranks::new(columns.presence(at));
        let values = ranks.rank(events.start)..ranks.rank(events.end);
        let mut wanted: Vec<i64> = referred.get(values).unwrap_or_default().to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let parts = columns
            .directory
            .table(table)
            .map(|at| Ok((at, Ranks::new(columns.presence(at)), columns.dense(at)?)))
            .collect::<Result<Vec<_>>>()?;
        for row in wanted.into_iter().filter_map(|row| usize::try_from(row).ok()) {
            let mut content = Vec::new();
            for (at, ranks, dense) in parts.iter().filter(|part| part.1.has(row)) {
                let cell = cell(dense, ranks.rank(row));
                let Some(id) = columns.directory.ids.get(*at) else { continue };
                // What a column is, then its value: no two rows of other content are alike.
                payload::put_entry_head(
                    &mut content,
                    id,
                    0,
                    crate::column::encoding::Encoding::Nothing,
                );
                put_cell(&mut content, cell);
            }
            let known = &mut self.shared[usize::from(table == Table::Scopes)];
            let here = match known.get(&content) {
                Some(&here) => here,
                None => {
                    let here = self.rows[table as usize] as u16;
                    known.insert(content, here);
                    self.rows[table as usize] += 1;
                    for (at, ranks, dense) in parts.iter().filter(|part| part.1.has(row)) {
                        if let Some(id) = columns.directory.ids.get(*at) {
                            let cell = cell(dense, ranks.rank(row));
                            self.expanded += cell.added().expanded;
                            self.column(id).push(here, cell);
                        }
                    }
                    here
                }
            };
            if let Some(slot) = rows_here.get_mut(row) {
                *slot = Some(i64::from(here));
            }
        }
        Ok(rows_here)
    }

    fn column(&mut self, id: &ColumnId) -> &mut ColumnBuffer {
        let at = match self.by_id.get(id) {
            Some(&at) => at,
            None => {
                let at = self.columns.len();
                self.by_id.insert(id.clone(), at);
                self.columns.push(ColumnBuffer::new(id.clone()));
                at
            }
        };
        &mut self.columns[at]
    }

    fn find(&self, table: Table, field: Field) -> Option<&ColumnBuffer> {
        let column = |c: &&ColumnBuffer| c.id.table == table && c.id.field == field;
        self.columns.iter().filter(|c| !c.rows.is_empty()).find(column)
    }

    /// Encodes what was gathered and forgets it. `Limit` if the block grew beyond what one may be:
    /// gather fewer events.
    pub fn finish(&mut self) -> Result<Block> {
        let block = self.encode();
        self.clear();
        block
    }

    /// Forgets what was gathered and keeps the memory, within bounds.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(ColumnBuffer::clear);
        let memory: usize = self.columns.iter().map(ColumnBuffer::memory_bytes).sum();
        if memory > MEMORY_KEPT_BYTES_MAX || self.columns.len() > COLUMNS_KEPT_MAX {
            *self = Gather { compressor: self.compressor.take(), ..Gather::default() };
            return;
        }
        self.rows = [0; 5];
        self.shared.iter_mut().for_each(HashMap::clear);
        self.expanded = 0;
        self.chunks.clear();
    }

    /// The columns that have a value, in the order of a block's directory.
    fn order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.columns.len() as u32).collect();
        order.retain(|&at| self.columns.get(at as usize).is_some_and(|c| !c.rows.is_empty()));
        order.sort_unstable_by_key(|&at| self.columns.get(at as usize).map(|c| c.id.sort_key()));
        order
    }

    fn encode(&mut self) -> Result<Block> {
        if self.events() == 0 {
            return Err(Error::invalid("a block without events"));
        }
        if self.expanded > limits::BATCH_EXPANDED_BYTES_MAX {
            let max = limits::BATCH_EXPANDED_BYTES_MAX;
            return Err(Error::limit(format!("a block that expands to more than {max} bytes")));
        }
        let order = self.order();
        let (summary, totals) = self.summary();
        let (minutes, attributes, links) = (self.minutes(), self.attributes(), self.links());
        let (min_time, max_time) = self.bounds(Field::Time);
        let (_, received) = self.bounds(Field::Received);
        let mut header = FrameHeader {
            kind: FrameKind::Block,
            first_sequence: self.first_sequence,
            received,
            min_time,
            max_time,
            events: self.rows[Table::Events as usize],
            ..FrameHeader::default()
        };
        let spans = self.columns.iter().position(|c| {
            (c.id.table, c.id.field) == (Table::Events, Field::SpanId) && !c.rows.is_empty()
        });
        let types = self.columns.iter().position(|c| {
            (c.id.table, c.id.field) == (Table::Events, Field::Type) && !c.rows.is_empty()
        });
        let Gather { columns, rows, chunks, compressor, references, .. } = self;
        let compressor = compressor.get_or_insert_with(Compressor::new);
        let (mut known, mut distinct, mut presences) = (HashTable::new(), 0, Vec::new());
        let (mut body, mut tail) = (Vec::new(), Vec::new());
        let types = types.and_then(|at| columns.get(at));
        for at in order {
            let Some(column) = columns.get(at as usize) else { continue };
            let rows_all = rows[column.id.table as usize] as usize;
            let presence = if column.rows.len() == rows_all {
                0
            } else {
                let found = find_presence(&mut known, columns, at, distinct + 1);
                if found > distinct {
                    distinct = found;
                    presences.push(column.id.table as u8);
                    presence::encode(&column.rows, rows_all, &mut presences);
                }
                found
            };
            body.clear();
            tail.clear();
            let spans = spans
                .and_then(|at| columns.get(at))
                .filter(|_| column.id.field == Field::ParentSpanId);
            let encoding = match (column.ids_by_row(), spans.and_then(ColumnBuffer::ids_by_row)) {
                (Some(parents), Some(spans)) => {
                    ids::encode_references(parents, spans, references, &mut body, &mut tail)
                }
                _ => column.encode(Some(in_block(types, column)), &mut body, &mut tail),
            };
            chunks.put(&column.id, presence, encoding, (&body, &tail), compressor)?;
        }
        let bytes = chunks.finish(rows, (distinct, &presences), compressor, &mut header)?;
        let bytes = readable(&header, bytes)?;
        Ok(Block { header, bytes, summary, totals, minutes, attributes, links })
    }

    fn integers(&self, table: Table, field: Field) -> Option<(&[i64], &[u16])> {
        let column = self.find(table, field)?;
        match &column.values {
            Values::Integers(values) => Some((values, &column.rows)),
            _ => None,
        }
    }

    /// The least and the greatest of a kind of times of the events.
    fn bounds(&self, field: Field) -> (Timestamp, Timestamp) {
        let times = self.integers(Table::Events, field).map(|t| t.0).unwrap_or_default();
        let bound = |time: Option<&i64>| Timestamp(time.copied().unwrap_or(0));
        (bound(times.iter().min()), bound(times.iter().max()))
    }
}

/// The block's bytes again, if readers open them. What a block was made of goes away when it is
/// named: whatever a reader would refuse of it must be refused before (CMP-1).
fn readable(header: &FrameHeader, bytes: Vec<u8>) -> Result<Vec<u8>> {
    let bytes = Bytes::from(bytes);
    BatchView::open_block(header, bytes.clone())
        .map_err(|error| Error::limit(format!("a block that no reader would open: {error}")))?;
    // Nobody else holds them any more, so that nothing is copied.
    Ok(bytes.into())
}

/// What a block may do with a column. Types stay as they are: codes of others refer to theirs.
fn in_block<'c>(types: Option<&'c ColumnBuffer>, column: &'c ColumnBuffer) -> InBlock<'c> {
    let is_string = column.id.value_type == ValueType::String;
    let templates = is_string && column.id.field != Field::Type;
    InBlock { types: types_of(types, column), templates }
}

/// The types of all events, for a column of theirs whose codes may follow from them.
fn types_of<'c>(types: Option<&'c ColumnBuffer>, column: &'c ColumnBuffer) -> Option<TypesOf<'c>> {
    let Values::Texts(types) = &types?.values else { return None };
    let of_events = column.id.table == Table::Events && column.id.field != Field::Type;
    // Where each event is of a type of its own there are no codes to refer to.
    (of_events && types.ends.len() < types.codes.len()).then_some(TypesOf {
        types: &types.codes,
        entries: types.ends.len(),
        rows: &column.rows,
    })
}

fn map(rows: &[Option<i64>], value: i64) -> Option<i64> {
    rows.get(usize::try_from(value).ok()?).copied().flatten()
}

/// One value of whatever form.
fn cell<'a>(dense: &'a Dense<'_>, at: usize) -> Cell<'a> {
    match dense {
        Dense::Empties => Cell::Empty,
        Dense::Integers(values) => Cell::Integer(values.get(at).copied().unwrap_or(0)),
        Dense::Texts(texts) => Cell::Text(texts.row(at).unwrap_or_default()),
        Dense::Ids16 { .. } => Cell::Id16(dense.id16(at).unwrap_or_default()),
        Dense::Ids8 { .. } => Cell::Id8(dense.id8(at).unwrap_or_default()),
    }
}

fn put_cell(out: &mut Vec<u8>, cell: Cell<'_>) {
    match cell {
        Cell::Empty => {}
        Cell::Integer(value) => out.extend_from_slice(&value.to_le_bytes()),
        Cell::Text(text) => {
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text);
        }
        Cell::Id16(id) => out.extend_from_slice(&id),
        Cell::Id8(id) => out.extend_from_slice(&id),
    }
}

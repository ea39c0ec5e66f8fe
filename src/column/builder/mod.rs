//! Encodes events into columns as they are added, without an allocation per event.
//!
//! Callers in a hurry (the OTLP decoder) call `begin_*` and `attribute`; others hand in whole
//! [`Event`](crate::Event)s. `begin_resource` and `begin_scope` start rows that the events after
//! them refer to; `begin_link` and `begin_span_event` start rows that belong to the event begun
//! last; `attribute` belongs to the row begun last. An event that breaks a limit is taken back as a
//! whole by `cancel_event`, and the builder goes on as if it had never begun.
//!
//! What holds at any moment:
//! - A call that fails has changed nothing, except that a failed `begin_*` leaves no current row of
//!   its kind: attributes after it are refused until the next `begin_*`.
//! - An error in field [`BATCH_FIELD`] (kind `Limit`) says that the *batch* has no room: cancel the
//!   event, `finish`, and add it again to the empty builder. Any other error, and any error in a
//!   builder without events, is about the event itself, which then can never be stored.
//! - Bytes are counted as if each value took the worst encoding, so `finish` cannot break a limit.
//!
//! Times are checked against the clock by the caller, who has one: see [`check_time`].

mod cells;
mod checks;
mod fields;
mod finish;
mod push;
#[cfg(test)]
mod tests;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};

use crate::column::buffer::{Added, Cell, ColumnBuffer, NONE, Values};
use crate::column::compress::Compressor;
use crate::column::schema::{Field, Table};
use crate::column::{Batch, payload};
use crate::error::{Error, Result};
use crate::event::{Endpoint, UNKNOWN_SOURCE, ValueRef, ValueType};
use crate::limits;
use crate::time::{SECOND_NS, Timestamp};

use checks::{batch_full, check_count, check_event, check_id, check_length, check_text, marks_of};
pub use fields::{EventFields, LinkFields, ResourceFields, ScopeFields, SpanEventFields};

/// The field of errors that say: the batch is full, not the event too large.
pub const BATCH_FIELD: &str = "batch";

/// Kept from one batch to the next; more is given back to the allocator.
const MEMORY_KEPT_BYTES_MAX: usize = 8 << 20;
/// Columns kept from one batch to the next, most of them empty in each.
const COLUMNS_KEPT_MAX: usize = 1_024;
/// [`BatchBuilder::is_full`] leaves room for events up to these sizes.
const HEADROOM_RAW_BYTES: usize = 256 << 10;
const HEADROOM_EXPANDED_BYTES: usize = 1 << 20;

/// Refuses a time before 1970 or more than a day after `now`: a broken clock made it.
pub fn check_time(time: Timestamp, now: Timestamp) -> Result<()> {
    let latest = now.0.saturating_add(limits::TIME_AHEAD_S_MAX as i64 * SECOND_NS);
    if (0..=latest).contains(&time.0) {
        return Ok(());
    }
    let what = format!("time {time} lies before 1970 or more than a day after now ({now})");
    Err(Error::invalid(what).in_field("time"))
}

/// Collects events and encodes them as a [`Batch`]. Reusable: `finish` empties it and keeps its
/// memory.
#[derive(Debug)]
pub struct BatchBuilder {
    columns: Vec<ColumnBuffer>,
    /// First occurrences of attributes, by table, type and key.
    lookup: HashTable<u32>,
    hasher: RandomState,
    /// Columns of the other fields, by table, field and type.
    fixed: [[u32; Field::COUNT]; 5],
    bodies: [u32; 7],
    /// Per table: which attribute came first in the last row, and which was the last one.
    first: [u32; 5],
    last: [u32; 5],
    /// Order of the columns in a directory; as long as `columns` unless some were added.
    sorted: Vec<u32>,
    state: State,
    /// Pushes that cancelling the current event takes back: column, entries before.
    journal: Vec<(u32, u32)>,
    /// What cancelling goes back to.
    mark: Option<State>,
    /// (code of the source, code of the type) of all events.
    series: HashMap<(u16, u16), (), RandomState>,
    pushed: push::Known,
    scratch: finish::Scratch,
    compressor: Option<Compressor>,
}

/// All counters: what a mark must bring back.
#[derive(Clone, Copy, Debug)]
struct State {
    rows: [u32; 5],
    raw: usize,
    expanded: usize,
    columns_used: usize,
    /// Series that the current event brought.
    series_added: Option<(u16, u16)>,
    resource: Option<Resource>,
    scope: Option<u16>,
    event: Option<u16>,
    /// The row that attributes belong to.
    row: Option<(Table, u16)>,
    /// Attributes of the current row of each table.
    attributes: [u32; 5],
    links: u32,
    span_events: u32,
    last_series: Option<(u16, u16)>,
}

/// The resource that events now belong to.
#[derive(Clone, Copy, Debug)]
struct Resource {
    row: u16,
    /// Code of its source.
    source: u16,
    /// Where the journal has a source that `service.name` may still replace.
    provisional: Option<usize>,
}

const EMPTY: State = State {
    rows: [0; 5],
    raw: payload::HEAD_BYTES_MAX,
    expanded: 0,
    columns_used: 0,
    series_added: None,
    resource: None,
    scope: None,
    event: None,
    row: None,
    attributes: [0; 5],
    links: 0,
    span_events: 0,
    last_series: None,
};

impl State {
    /// Counts what a value adds, if there is room for it.
    #[inline]
    fn charge(&mut self, added: Added, columns: usize) -> Result<()> {
        let (raw, expanded) = (self.raw + added.raw, self.expanded + added.expanded);
        if raw > limits::BATCH_RAW_BYTES_MAX {
            return Err(batch_full("raw bytes", limits::BATCH_RAW_BYTES_MAX));
        }
        if expanded > limits::BATCH_EXPANDED_BYTES_MAX {
            return Err(batch_full("expanded bytes", limits::BATCH_EXPANDED_BYTES_MAX));
        }
        if self.columns_used + columns > limits::BATCH_COLUMNS_MAX {
            return Err(batch_full("columns", limits::BATCH_COLUMNS_MAX));
        }
        (self.raw, self.expanded) = (raw, expanded);
        self.columns_used += columns;
        Ok(())
    }
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            columns: Vec::new(),
            lookup: HashTable::new(),
            hasher: RandomState::default(),
            fixed: [[NONE; Field::COUNT]; 5],
            bodies: [NONE; 7],
            first: [NONE; 5],
            last: [NONE; 5],
            sorted: Vec::new(),
            state: EMPTY,
            journal: Vec::new(),
            mark: None,
            series: HashMap::default(),
            pushed: push::Known::default(),
            scratch: finish::Scratch::default(),
            compressor: None,
        }
    }

    /// Starts a resource; events begun from here on belong to it, and to no scope.
    pub fn begin_resource(&mut self, fields: &ResourceFields<'_>) -> Result<()> {
        self.commit();
        (self.state.resource, self.state.scope) = (None, None);
        self.put_resource(fields).map(|_| ())
    }

    fn put_resource(&mut self, fields: &ResourceFields<'_>) -> Result<Resource> {
        let table = Table::Resources;
        check_length(fields.source, limits::NAME_BYTES_MAX, table, Field::Source)?;
        check_text(fields.schema_url, table, Field::SchemaUrl)?;
        self.atomic(|builder| {
            let row = builder.begin_row(table)?;
            let provisional = fields.source.is_empty().then_some(builder.journal.len());
            let source = if fields.source.is_empty() { UNKNOWN_SOURCE } else { fields.source };
            let text = Cell::Text(source.as_bytes());
            let column = builder.put(table, Field::Source, ValueType::String, row, text)?;
            builder.put_text(table, Field::SchemaUrl, row, fields.schema_url)?;
            let dropped = i64::from(fields.dropped_attributes);
            builder.put_nonzero(table, Field::DroppedAttributes, row, dropped)?;
            let resource = Resource { row, source: builder.last_code(column), provisional };
            (builder.state.resource, builder.state.scope) = (Some(resource), None);
            Ok(resource)
        })
    }

    /// Starts a scope; events begun from here on belong to it.
    pub fn begin_scope(&mut self, fields: &ScopeFields<'_>) -> Result<()> {
        self.commit();
        self.state.scope = None;
        self.put_scope(fields).map(|_| ())
    }

    fn put_scope(&mut self, fields: &ScopeFields<'_>) -> Result<u16> {
        let table = Table::Scopes;
        let texts = [
            (Field::Name, fields.name),
            (Field::Version, fields.version),
            (Field::SchemaUrl, fields.schema_url),
        ];
        for (field, text) in texts {
            check_text(text, table, field)?;
        }
        self.atomic(|builder| {
            let row = builder.begin_row(table)?;
            for (field, text) in texts {
                builder.put_text(table, field, row, text)?;
            }
            let dropped = i64::from(fields.dropped_attributes);
            builder.put_nonzero(table, Field::DroppedAttributes, row, dropped)?;
            builder.state.scope = Some(row);
            Ok(row)
        })
    }

    /// Starts an event of the current resource (one must have been begun) and scope.
    pub fn begin_event(&mut self, fields: &EventFields<'_>) -> Result<()> {
        self.commit();
        self.mark = Some(self.state);
        let begun = self.put_event(fields);
        if begun.is_err() {
            self.cancel_event();
        }
        begun
    }

    /// [`BatchBuilder::begin_event`] behind a mark; on failure its caller cancels.
    fn put_event(&mut self, fields: &EventFields<'_>) -> Result<()> {
        check_event(fields)?;
        let resource = self.state.resource.ok_or_else(|| {
            Error::invalid("an event without a resource: begin one before").in_field("resource")
        })?;
        let row = self.begin_row(Table::Events)?;
        self.state.event = Some(row);
        (self.state.links, self.state.span_events) = (0, 0);
        let table = Table::Events;
        self.put_int(table, Field::Resource, row, i64::from(resource.row))?;
        if let Some(scope) = self.state.scope {
            self.put_int(table, Field::Scope, row, i64::from(scope))?;
        }
        self.put_int(table, Field::Time, row, fields.time.0)?;
        self.put_int(table, Field::Signal, row, fields.signal as i64)?;
        let text = Cell::Text(fields.event_type.as_bytes());
        let column = self.put(table, Field::Type, ValueType::String, row, text)?;
        self.add_series(resource.source, column)?;
        if let Some(id) = fields.trace_id {
            self.put(table, Field::TraceId, ValueType::Bytes, row, Cell::Id16(id.0))?;
        }
        let ids = [(Field::SpanId, fields.span_id), (Field::ParentSpanId, fields.parent_span_id)];
        for (field, id) in ids {
            if let Some(id) = id {
                self.put(table, field, ValueType::Bytes, row, Cell::Id8(id.0))?;
            }
        }
        if let Some(duration) = fields.duration {
            self.put_int(table, Field::Duration, row, duration)?;
        }
        for (field, value) in [
            (Field::Kind, fields.kind as i64),
            (Field::Status, fields.status as i64),
            (Field::Flags, i64::from(fields.flags)),
            (Field::SeverityNumber, i64::from(fields.severity_number)),
            (Field::Marks, marks_of(fields)),
            (Field::DroppedAttributes, i64::from(fields.dropped_attributes)),
            (Field::DroppedEvents, i64::from(fields.dropped_events)),
            (Field::DroppedLinks, i64::from(fields.dropped_links)),
        ] {
            self.put_nonzero(table, field, row, value)?;
        }
        self.put_text(table, Field::StatusMessage, row, fields.status_message)?;
        self.put_text(table, Field::TraceState, row, fields.trace_state)?;
        self.put_text(table, Field::SeverityText, row, fields.severity_text)?;
        if let Some(observed) = fields.observed {
            self.put_int(table, Field::Observed, row, observed.0)?;
        }
        if let Some(body) = fields.body {
            self.put(table, Field::Body, body.value_type(), row, body.into())?;
        }
        fields.remote.map_or(Ok(()), |remote| self.put_remote(row, remote))
    }

    fn put_remote(&mut self, row: u16, remote: &Endpoint) -> Result<()> {
        let table = Table::Events;
        let service = Cell::Text(remote.service.as_bytes());
        self.put(table, Field::RemoteService, ValueType::String, row, service)?;
        if let Some(address) = &remote.ipv4 {
            self.put(table, Field::RemoteIpv4, ValueType::Bytes, row, Cell::Text(address))?;
        }
        if let Some(address) = &remote.ipv6 {
            self.put(table, Field::RemoteIpv6, ValueType::Bytes, row, Cell::Text(address))?;
        }
        self.put_nonzero(table, Field::RemotePort, row, i64::from(remote.port))
    }

    /// Starts a link of the current event.
    pub fn begin_link(&mut self, fields: &LinkFields<'_>) -> Result<()> {
        let table = Table::Links;
        self.state.row = None;
        let owner = self.current_event()?;
        check_count(self.state.links, limits::LINKS_MAX, "links")?;
        check_text(fields.trace_state, table, Field::TraceState)?;
        check_id(fields.trace_id.is_zero(), table, Field::TraceId)?;
        check_id(fields.span_id.is_some_and(|id| id.is_zero()), table, Field::SpanId)?;
        self.atomic(|builder| {
            let row = builder.begin_row(table)?;
            builder.state.links += 1;
            builder.put_int(table, Field::Owner, row, i64::from(owner))?;
            let trace = Cell::Id16(fields.trace_id.0);
            builder.put(table, Field::TraceId, ValueType::Bytes, row, trace)?;
            if let Some(id) = fields.span_id {
                builder.put(table, Field::SpanId, ValueType::Bytes, row, Cell::Id8(id.0))?;
            }
            builder.put_text(table, Field::TraceState, row, fields.trace_state)?;
            builder.put_nonzero(table, Field::Flags, row, i64::from(fields.flags))?;
            let dropped = i64::from(fields.dropped_attributes);
            builder.put_nonzero(table, Field::DroppedAttributes, row, dropped)
        })
    }

    /// Starts a span event of the current event.
    pub fn begin_span_event(&mut self, fields: &SpanEventFields<'_>) -> Result<()> {
        let table = Table::SpanEvents;
        self.state.row = None;
        let owner = self.current_event()?;
        check_count(self.state.span_events, limits::SPAN_EVENTS_MAX, "events")?;
        check_text(fields.name, table, Field::Name)?;
        self.atomic(|builder| {
            let row = builder.begin_row(table)?;
            builder.state.span_events += 1;
            builder.put_int(table, Field::Owner, row, i64::from(owner))?;
            builder.put_int(table, Field::Time, row, fields.time.0)?;
            builder.put_text(table, Field::Name, row, fields.name)?;
            let dropped = i64::from(fields.dropped_attributes);
            builder.put_nonzero(table, Field::DroppedAttributes, row, dropped)
        })
    }

    /// Adds an attribute to the row begun last.
    pub fn attribute(&mut self, key: &str, value: ValueRef<'_>) -> Result<()> {
        let Some((table, row)) = self.state.row else {
            return Err(Error::invalid("an attribute without a row: begin one before"));
        };
        self.put_attribute(table, row, key, value)
    }

    /// Adds an attribute to the current event, whatever was begun after it.
    pub fn event_attribute(&mut self, key: &str, value: ValueRef<'_>) -> Result<()> {
        let row = self.current_event()?;
        self.put_attribute(Table::Events, row, key, value)
    }

    /// Takes the current event back, with its attributes, links and span events. Without a current
    /// event (its `begin_event` failed, or it was cancelled) nothing happens.
    pub fn cancel_event(&mut self) {
        let Some(mark) = self.mark.take() else { return };
        self.undo_journal(0);
        if let Some(series) = self.state.series_added {
            self.series.remove(&series);
        }
        self.pushed.forget_rows_from(&mark.rows);
        self.state = State { event: None, row: None, ..mark };
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> usize {
        self.state.rows[Table::Events as usize] as usize
    }

    /// Whether the next event may not fit any more: time to `finish`. While this is false, events
    /// of up to 256 KiB, with a few links and span events, will fit; a larger one may still be
    /// refused in field [`BATCH_FIELD`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        let rows = |table: Table| self.state.rows[table as usize] as usize;
        self.events() >= limits::BATCH_EVENTS_MAX
            || self.state.raw + HEADROOM_RAW_BYTES > limits::BATCH_RAW_BYTES_MAX
            || self.state.expanded + HEADROOM_EXPANDED_BYTES > limits::BATCH_EXPANDED_BYTES_MAX
            || self.series.len() >= limits::BATCH_SERIES_MAX
            || self.state.columns_used + limits::ATTRIBUTES_MAX > limits::BATCH_COLUMNS_MAX
            || rows(Table::Resources) >= limits::BATCH_ROWS_MAX
            || rows(Table::Scopes) >= limits::BATCH_ROWS_MAX
            || rows(Table::Links) + limits::LINKS_MAX > limits::BATCH_ROWS_MAX
            || rows(Table::SpanEvents) + limits::SPAN_EVENTS_MAX > limits::BATCH_ROWS_MAX
    }

    /// Encodes what was collected and empties the builder: resource and scope have to be begun
    /// again. A batch without events is `Invalid`.
    pub fn finish(&mut self) -> Result<Batch> {
        let batch = self.encode();
        self.clear();
        batch
    }

    /// Empties the builder and keeps its memory, within bounds.
    pub fn clear(&mut self) {
        self.columns.iter_mut().for_each(ColumnBuffer::clear);
        let memory: usize = self.columns.iter().map(ColumnBuffer::memory_bytes).sum();
        if memory > MEMORY_KEPT_BYTES_MAX || self.columns.len() > COLUMNS_KEPT_MAX {
            *self = BatchBuilder { compressor: self.compressor.take(), ..BatchBuilder::new() };
            return;
        }
        (self.state, self.mark) = (EMPTY, None);
        self.journal.clear();
        self.series.clear();
        self.pushed.clear();
    }

    /// What was added so far stays, whatever happens to the next event.
    fn commit(&mut self) {
        self.journal.clear();
        self.mark = None;
        (self.state.event, self.state.row, self.state.series_added) = (None, None, None);
        if let Some(resource) = &mut self.state.resource {
            resource.provisional = None;
        }
    }

    fn current_event(&self) -> Result<u16> {
        self.state.event.ok_or_else(|| Error::invalid("no event has been begun"))
    }

    /// Runs a step that adds several values: all of them or none.
    fn atomic<T>(&mut self, step: impl FnOnce(&mut BatchBuilder) -> Result<T>) -> Result<T> {
        let (before, journal) = (self.state, self.journal.len());
        let done = step(self);
        if done.is_err() {
            self.undo_journal(journal);
            self.state = before;
        }
        done
    }

    fn undo_journal(&mut self, to: usize) {
        for (column, entries) in self.journal.drain(to..).rev() {
            if let Some(column) = self.columns.get_mut(column as usize) {
                column.pop(entries);
            }
        }
    }

    fn begin_row(&mut self, table: Table) -> Result<u16> {
        let rows = &mut self.state.rows[table as usize];
        if *rows as usize >= limits::BATCH_ROWS_MAX {
            return Err(batch_full("rows of one table", limits::BATCH_ROWS_MAX));
        }
        let row = *rows as u16;
        *rows += 1;
        self.state.row = Some((table, row));
        self.state.attributes[table as usize] = 0;
        self.last[table as usize] = NONE;
        Ok(row)
    }

    /// Puts the source that an attribute names in the place of the provisional one.
    fn replace_source(&mut self, at: usize, source: &str) -> Result<()> {
        check_length(source, limits::NAME_BYTES_MAX, Table::Resources, Field::Source)?;
        let Some(&(at_column, entries)) = self.journal.get(at) else { return Ok(()) };
        let Some(column) = self.columns.get_mut(at_column as usize) else { return Ok(()) };
        let (Some(&row), cell) = (column.rows.last(), Cell::Text(source.as_bytes())) else {
            return Ok(());
        };
        self.state.charge(column.cost(cell), 0)?;
        // Raw bytes are an upper bound and may stay charged twice; expanded bytes are exact.
        self.state.expanded -= Cell::Text(UNKNOWN_SOURCE.as_bytes()).added().expanded;
        column.pop(entries);
        self.journal[at].1 = column.push(row, cell);
        let code = self.last_code(at_column);
        if let Some(resource) = &mut self.state.resource {
            (resource.source, resource.provisional) = (code, None);
        }
        Ok(())
    }

    fn last_code(&self, column: u32) -> u16 {
        match self.columns.get(column as usize).map(|column| &column.values) {
            Some(Values::Texts(texts)) => texts.codes.last().copied().unwrap_or(0),
            _ => 0,
        }
    }

    fn add_series(&mut self, source: u16, type_column: u32) -> Result<()> {
        let series = (source, self.last_code(type_column));
        if self.state.last_series == Some(series) {
            return Ok(());
        }
        if !self.series.contains_key(&series) {
            if self.series.len() >= limits::BATCH_SERIES_MAX {
                return Err(batch_full("series", limits::BATCH_SERIES_MAX));
            }
            self.series.insert(series, ());
            self.state.series_added = Some(series);
        }
        self.state.last_series = Some(series);
        Ok(())
    }
}

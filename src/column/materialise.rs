//! Columns back into whole events: each column is decoded once and poured into the rows asked for.
//! Of few rows among many only their values are decoded. Attributes, of which there are the most,
//! stay where they stand ([`EventViews`]) until somebody wants events of their own.

use std::sync::Arc;

use crate::column::Bitmap;
use crate::column::decode::{Columns, Dense};
use crate::column::event_views::{Built, EventViews, Placed};
use crate::column::schema::{ColumnId, Field, Table, marks};
use crate::error::{Error, Result};
use crate::event::{
    Attribute, Event, Kind, Link, Resource, Scope, Signal, SpanEvent, SpanId, Status, TraceId,
    ValueRef,
};
use crate::format::frame::FrameHeader;
use crate::time::Timestamp;

/// The events of `rows`, in their order, which must ascend.
pub(super) fn views<'a>(
    columns: Columns<'a>,
    header: &FrameHeader,
    rows: &[u32],
) -> Result<EventViews<'a>> {
    let total = columns.directory.rows.get(Table::Events as usize).copied().unwrap_or(0);
    let ascending = rows.is_sorted_by(|a, b| a < b);
    if !ascending || rows.last().is_some_and(|&row| row as usize >= total) {
        return Err(Error::invalid("rows asked for out of order or beyond the batch"));
    }
    let resource = Arc::new(Resource::default());
    let mut events: Vec<Event> = rows
        .iter()
        .map(|&row| Event {
            sequence: header.first_sequence.saturating_add(u64::from(row)),
            received: header.received,
            resource: Arc::clone(&resource),
            ..Event::default()
        })
        .collect();
    let usual =
        columns.directory.range(Table::Events, Field::Attribute).len().min(ATTRIBUTES_USUAL);
    let mut attributes = Vec::with_capacity(rows.len() * usual);
    let mut built = Built::default();
    let mut owners = Owners { resources: vec![0; rows.len()], scopes: vec![None; rows.len()] };
    pour(columns, Table::Events, rows, |id, item, dense, at| {
        if id.field == Field::Attribute {
            let value = built.value(id, dense, at)?;
            attributes.extend(value.map(|value| Placed { item, key: &id.key, value }));
        } else if let Some(event) = events.get_mut(item) {
            set_event(event, &mut owners, item, id, dense, at);
        }
        Ok(())
    })?;
    attach_resources(columns, &mut events, &owners.resources)?;
    attach_scopes(columns, &mut events, &owners.scopes)?;
    for (owner, link) in owned(columns, Table::Links, rows, empty_link(), set_link)? {
        if let Some(event) = events.get_mut(owner) {
            event.links.push(link);
        }
    }
    for (owner, span_event) in
        owned(columns, Table::SpanEvents, rows, empty_span_event(), set_span_event)?
    {
        if let Some(event) = events.get_mut(owner) {
            event.events.push(span_event);
        }
    }
    Ok(EventViews::new(events, &attributes, built))
}

/// Which resource and scope each event belongs to.
struct Owners {
    resources: Vec<u32>,
    scopes: Vec<Option<u32>>,
}

/// Most events have no more attributes than this; room for them is made at once.
const ATTRIBUTES_USUAL: usize = 14;
/// Rows are few if there are so many times more: then picking beats decoding.
const FEW: usize = 4;

/// Calls back for each value of the rows, column by column: (column, index into `rows`, values,
/// index into the values).
fn pour<'a>(
    columns: Columns<'a>,
    table: Table,
    rows: &[u32],
    mut set: impl FnMut(&'a ColumnId, usize, &Dense<'a>, usize) -> Result<()>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let all = columns.directory.rows.get(table as usize).copied().unwrap_or(0);
    let few = rows.len() * FEW <= all;
    for (at, id) in columns.directory.ids.iter().enumerate().filter(|(_, id)| id.table == table) {
        let chosen;
        let (items, ranks, own) = match columns.presence(at) {
            None => (None, rows, rows),
            Some(present) => {
                chosen = ranked(present, rows);
                (Some(&chosen.items), chosen.ranks.as_slice(), chosen.rows.as_slice())
            }
        };
        if ranks.is_empty() {
            continue;
        }
        let dense = if few { columns.picked(at, ranks, own)? } else { columns.dense(at)? };
        for (index, &rank) in ranks.iter().enumerate() {
            let item =
                items.and_then(|items| items.get(index)).map_or(index, |&item| item as usize);
            set(id, item, &dense, if few { index } else { rank as usize })?;
        }
    }
    Ok(())
}

/// Which of some rows have a value.
struct Ranked {
    /// As indexes into those asked for.
    items: Vec<u32>,
    rows: Vec<u32>,
    /// How many rows with a value come before each.
    ranks: Vec<u32>,
}

fn ranked(present: &Bitmap, rows: &[u32]) -> Ranked {
    let empty = || Vec::with_capacity(rows.len());
    let mut ranked = Ranked { items: empty(), rows: empty(), ranks: empty() };
    // Rows ascend, so the rank of each goes on from the one before.
    let (mut word_at, mut rank) = (0, 0);
    for (item, &row) in rows.iter().enumerate() {
        while word_at < row as usize / 64 {
            rank += present.words.get(word_at).map_or(0, |word| word.count_ones());
            word_at += 1;
        }
        let word = present.words.get(word_at).copied().unwrap_or(0);
        if word >> (row % 64) & 1 == 1 {
            let below = word & ((1 << (row % 64)) - 1);
            ranked.items.push(item as u32);
            ranked.rows.push(row);
            ranked.ranks.push(rank + below.count_ones());
        }
    }
    ranked
}

fn attribute(id: &ColumnId, dense: &Dense<'_>, at: usize) -> Option<Attribute> {
    let value = dense.attribute(id.value_type, at)?;
    Some(Attribute { key: id.key.clone(), value: value.to_value() })
}

fn set_text(to: &mut String, dense: &Dense<'_>, at: usize) {
    to.push_str(dense.text(at).unwrap_or_default());
}

fn count(dense: &Dense<'_>, at: usize) -> u32 {
    dense.integer(at).and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

fn code(dense: &Dense<'_>, at: usize) -> u8 {
    dense.integer(at).and_then(|value| u8::try_from(value).ok()).unwrap_or(0)
}

fn set_event(
    event: &mut Event,
    owners: &mut Owners,
    item: usize,
    id: &ColumnId,
    dense: &Dense<'_>,
    at: usize,
) {
    match id.field {
        Field::Resource => owners.resources[item] = count(dense, at),
        Field::Scope => owners.scopes[item] = Some(count(dense, at)),
        Field::Time => event.time = Timestamp(dense.integer(at).unwrap_or(0)),
        Field::Observed => event.observed = dense.integer(at).map(Timestamp),
        Field::Signal => event.signal = Signal::from_code(code(dense, at)).unwrap_or_default(),
        Field::Type => set_text(&mut event.event_type, dense, at),
        Field::TraceId => event.trace_id = dense.id16(at).map(TraceId),
        Field::SpanId => event.span_id = dense.id8(at).map(SpanId),
        Field::ParentSpanId => event.parent_span_id = dense.id8(at).map(SpanId),
        Field::Duration => event.duration = dense.integer(at),
        Field::Kind => event.kind = Kind::from_code(code(dense, at)).unwrap_or_default(),
        Field::Status => event.status = Status::from_code(code(dense, at)).unwrap_or_default(),
        Field::StatusMessage => set_text(&mut event.status_message, dense, at),
        Field::TraceState => set_text(&mut event.trace_state, dense, at),
        Field::Flags => event.flags = count(dense, at),
        Field::SeverityNumber => event.severity_number = code(dense, at),
        Field::SeverityText => set_text(&mut event.severity_text, dense, at),
        Field::Body => event.body = dense.value(id.value_type, at).map(ValueRef::to_value),
        Field::Marks => set_marks(event, dense.integer(at).unwrap_or(0)),
        Field::DroppedAttributes => event.dropped_attributes = count(dense, at),
        Field::DroppedEvents => event.dropped_events = count(dense, at),
        Field::DroppedLinks => event.dropped_links = count(dense, at),
        Field::RemoteService => {
            set_text(&mut event.remote.get_or_insert_default().service, dense, at);
        }
        Field::RemoteIpv4 => {
            event.remote.get_or_insert_default().ipv4 =
                dense.bytes(at).and_then(|bytes| bytes.try_into().ok());
        }
        Field::RemoteIpv6 => {
            event.remote.get_or_insert_default().ipv6 =
                dense.bytes(at).and_then(|bytes| bytes.try_into().ok());
        }
        Field::RemotePort => {
            event.remote.get_or_insert_default().port =
                u16::try_from(count(dense, at)).unwrap_or(0);
        }
        Field::Received => event.received = Timestamp(dense.integer(at).unwrap_or(0)),
        Field::Attribute
        | Field::Source
        | Field::SchemaUrl
        | Field::Name
        | Field::Version
        | Field::Owner => {}
    }
}

fn set_marks(event: &mut Event, bits: i64) {
    event.time_absent = bits & marks::TIME_ABSENT != 0;
    event.trace_id_64 = bits & marks::TRACE_ID_64 != 0;
    event.type_from_event_name = bits & marks::TYPE_FROM_EVENT_NAME != 0;
    event.shared = bits & marks::SHARED != 0;
    event.debug = bits & marks::DEBUG != 0;
}

fn attach_resources(columns: Columns<'_>, events: &mut [Event], owners: &[u32]) -> Result<()> {
    let rows = sorted(owners.iter().copied());
    let mut resources = vec![(Resource::default(), String::new()); rows.len()];
    pour(columns, Table::Resources, &rows, |id, item, dense, at| {
        let Some((resource, source)) = resources.get_mut(item) else { return Ok(()) };
        match id.field {
            Field::Attribute => resource.attributes.extend(attribute(id, dense, at)),
            Field::Source => set_text(source, dense, at),
            Field::SchemaUrl => set_text(&mut resource.schema_url, dense, at),
            Field::DroppedAttributes => resource.dropped_attributes = count(dense, at),
            _ => {}
        }
        Ok(())
    })?;
    let resources: Vec<_> =
        resources.into_iter().map(|(r, source)| (Arc::new(r), source)).collect();
    for (event, owner) in events.iter_mut().zip(owners) {
        let found = rows.binary_search(owner).ok().and_then(|item| resources.get(item));
        if let Some((resource, source)) = found {
            event.resource = Arc::clone(resource);
            event.source.push_str(source);
        }
    }
    Ok(())
}

fn attach_scopes(columns: Columns<'_>, events: &mut [Event], owners: &[Option<u32>]) -> Result<()> {
    let rows = sorted(owners.iter().copied().flatten());
    let mut scopes = vec![Scope::default(); rows.len()];
    pour(columns, Table::Scopes, &rows, |id, item, dense, at| {
        let Some(scope) = scopes.get_mut(item) else { return Ok(()) };
        match id.field {
            Field::Attribute => scope.attributes.extend(attribute(id, dense, at)),
            Field::Name => set_text(&mut scope.name, dense, at),
            Field::Version => set_text(&mut scope.version, dense, at),
            Field::SchemaUrl => set_text(&mut scope.schema_url, dense, at),
            Field::DroppedAttributes => scope.dropped_attributes = count(dense, at),
            _ => {}
        }
        Ok(())
    })?;
    let scopes: Vec<_> = scopes.into_iter().map(Arc::new).collect();
    for (event, owner) in events.iter_mut().zip(owners) {
        let item = owner.and_then(|owner| rows.binary_search(&owner).ok());
        event.scope = item.and_then(|item| scopes.get(item)).map(Arc::clone);
    }
    Ok(())
}

fn sorted(rows: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut rows: Vec<u32> = rows.collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The links or span events of the events in `rows`, each with the index of its event in `rows`.
fn owned<T: Clone>(
    columns: Columns<'_>,
    table: Table,
    rows: &[u32],
    empty: T,
    set: impl Fn(&mut T, &ColumnId, &Dense<'_>, usize),
) -> Result<Vec<(usize, T)>> {
    let Some(at) = columns.directory.find(table, Field::Owner) else { return Ok(Vec::new()) };
    let mut owners = Vec::new();
    columns.integers(at, &mut owners)?;
    if !owners.is_sorted() {
        return Err(Error::invalid("owners are not in order").in_field(table.prefix()));
    }
    let (mut wanted, mut items) = (Vec::new(), Vec::new());
    for (item, &row) in rows.iter().enumerate() {
        let first = owners.partition_point(|&owner| owner < i64::from(row));
        let count = owners.iter().skip(first).take_while(|&&owner| owner == i64::from(row)).count();
        wanted.extend(first as u32..(first + count) as u32);
        items.resize(items.len() + count, (item, empty.clone()));
    }
    pour(columns, table, &wanted, |id, item, dense, at| {
        if let Some((_, value)) = items.get_mut(item) {
            set(value, id, dense, at);
        }
        Ok(())
    })?;
    Ok(items)
}

fn empty_link() -> Link {
    Link {
        trace_id: TraceId([0; 16]),
        span_id: None,
        trace_state: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 0,
    }
}

fn set_link(link: &mut Link, id: &ColumnId, dense: &Dense<'_>, at: usize) {
    match id.field {
        Field::Attribute => link.attributes.extend(attribute(id, dense, at)),
        Field::TraceId => link.trace_id = TraceId(dense.id16(at).unwrap_or_default()),
        Field::SpanId => link.span_id = dense.id8(at).map(SpanId),
        Field::TraceState => set_text(&mut link.trace_state, dense, at),
        Field::Flags => link.flags = count(dense, at),
        Field::DroppedAttributes => link.dropped_attributes = count(dense, at),
        _ => {}
    }
}

fn empty_span_event() -> SpanEvent {
    SpanEvent {
        time: Timestamp(0),
        name: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
    }
}

fn set_span_event(event: &mut SpanEvent, id: &ColumnId, dense: &Dense<'_>, at: usize) {
    match id.field {
        Field::Attribute => event.attributes.extend(attribute(id, dense, at)),
        Field::Time => event.time = Timestamp(dense.integer(at).unwrap_or(0)),
        Field::Name => set_text(&mut event.name, dense, at),
        Field::DroppedAttributes => event.dropped_attributes = count(dense, at),
        _ => {}
    }
}

//! The matching rows of one frame as a record batch, column by column; no event is made.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, ListArray, RecordBatch, StructArray, TimestampNanosecondArray,
    UInt8Array, UInt16Array, UInt64Array,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::Fields;

use crate::column::{Field, Table, marks};
use crate::error::{Error, Result};
use crate::event::{Kind, Signal, Status};
use crate::query::arrow::rows::{Rows, unreadable};
use crate::query::arrow::values::{self, attributes, bodies, too_many};
use crate::query::arrow::{ArrowLayout, AttributeColumn, built, schema};
use crate::query::ast::AttributeScope;
use crate::query::attributes::table_of;
use crate::query::scan::Selected;

/// The rows of a frame's tables that belong to the selected events.
struct Frame<'a> {
    events: Rows<'a>,
    resources: Rows<'a>,
    scopes: Rows<'a>,
    /// Columns of attributes that have a column of their own.
    elsewhere: Vec<usize>,
}

pub(super) fn batch(layout: &ArrowLayout, selected: &Selected) -> Result<RecordBatch> {
    let view = selected.view();
    let rows = selected.rows().iter().map(|row| Some(*row)).collect();
    let events = Rows { view, table: Table::Events, rows };
    let owner = |table, field| -> Result<Rows<'_>> {
        let owners = events.ints(field)?.into_iter();
        let row = |owner: i64| u32::try_from(owner).map_err(|_| unreadable("an owner"));
        let rows = owners.map(|owner| owner.map(row).transpose()).collect::<Result<_>>()?;
        Ok(Rows { view, table, rows })
    };
    let resources = owner(Table::Resources, Field::Resource)?;
    let scopes = owner(Table::Scopes, Field::Scope)?;
    let mut frame = Frame { events, resources, scopes, elsewhere: Vec::new() };
    let mut asked = Vec::with_capacity(layout.attributes().len());
    for attribute in layout.attributes() {
        let rows = frame.of(attribute.scope);
        let column = find(rows, attribute);
        asked.push(values::typed(rows, column, attribute.value_type)?);
        frame.elsewhere.extend(column);
    }
    let mut arrays = Vec::new();
    when_and_what(&mut arrays, selected, &frame)?;
    how(&mut arrays, &frame)?;
    around(&mut arrays, &frame)?;
    arrays.extend(asked);
    RecordBatch::try_new(layout.schema(), arrays).map_err(built)
}

impl<'a> Frame<'a> {
    fn of(&self, scope: AttributeScope) -> &Rows<'a> {
        match table_of(scope) {
            Table::Resources => &self.resources,
            Table::Scopes => &self.scopes,
            _ => &self.events,
        }
    }
}

/// The first values of an attribute, in the type asked for.
fn find(rows: &Rows<'_>, wanted: &AttributeColumn) -> Option<usize> {
    rows.view.find_attribute(rows.table, &wanted.key).find(|column| {
        let id = rows.view.columns().get(*column);
        id.is_some_and(|id| id.value_type == wanted.value_type && id.occurrence == 0)
    })
}

/// From `sequence` to `duration_ns`.
fn when_and_what(arrays: &mut Vec<ArrayRef>, selected: &Selected, frame: &Frame<'_>) -> Result<()> {
    let events = &frame.events;
    let marks = events.ints(Field::Marks)?;
    let mark = |bit: i64| -> ArrayRef {
        let set: Vec<bool> = marks.iter().map(|bits| bits.unwrap_or(0) & bit != 0).collect();
        Arc::new(BooleanArray::from(set))
    };
    let received = match events.find(Field::Received) {
        Some(_) => events.times(Field::Received)?,
        None => times_of(selected.header().received.0, events.rows.len()),
    };
    arrays.extend([
        Arc::new(UInt64Array::from_iter_values(selected.sequences())) as ArrayRef,
        events.times(Field::Time)?,
        mark(marks::TIME_ABSENT),
        received,
        events.times(Field::Observed)?,
        events.codes(Field::Signal, |code| Signal::from_code(code).map(Signal::name))?,
        frame.resources.dictionary(Field::Source)?,
        events.dictionary(Field::Type)?,
        mark(marks::TYPE_FROM_EVENT_NAME),
        events.ids16(Field::TraceId)?,
        mark(marks::TRACE_ID_64),
        events.ids8(Field::SpanId)?,
        events.ids8(Field::ParentSpanId)?,
        events.int64(Field::Duration)?,
        events.codes(Field::Kind, |code| Kind::from_code(code).map(Kind::name))?,
        events.codes(Field::Status, |code| Status::from_code(code).map(Status::name))?,
        events.texts(Field::StatusMessage)?,
        events.texts(Field::TraceState)?,
        events.counts(Field::Flags)?,
        mark(marks::SHARED),
        mark(marks::DEBUG),
    ]);
    Ok(())
}

fn times_of(time: i64, rows: usize) -> ArrayRef {
    let times = TimestampNanosecondArray::from(vec![time; rows]);
    Arc::new(times.with_timezone("UTC"))
}

/// From `remote` to `dropped_links`.
fn how(arrays: &mut Vec<ArrayRef>, frame: &Frame<'_>) -> Result<()> {
    let events = &frame.events;
    let (message, body) = bodies(events)?;
    arrays.extend([
        remote(events)?,
        Arc::new(UInt8Array::from(events.numbers::<u8>(Field::SeverityNumber)?)),
        events.texts(Field::SeverityText)?,
        message,
        body,
        events.counts(Field::DroppedAttributes)?,
        events.counts(Field::DroppedEvents)?,
        events.counts(Field::DroppedLinks)?,
    ]);
    Ok(())
}

/// The other end, there as soon as anything is known of it.
fn remote(events: &Rows<'_>) -> Result<ArrayRef> {
    let members = vec![
        events.texts(Field::RemoteService)?,
        events.bytes::<4>(Field::RemoteIpv4)?,
        events.bytes::<16>(Field::RemoteIpv6)?,
        Arc::new(UInt16Array::from(events.numbers::<u16>(Field::RemotePort)?)),
    ];
    let mut present = vec![false; events.rows.len()];
    let fields = [Field::RemoteService, Field::RemoteIpv4, Field::RemoteIpv6, Field::RemotePort];
    for column in fields.into_iter().filter_map(|field| events.find(field)) {
        let rows = events.view.presence(column)?;
        for (present, row) in present.iter_mut().zip(events.places()) {
            *present |= row.is_some_and(|row| rows.as_ref().is_none_or(|rows| rows.get(row)));
        }
    }
    structure(schema::remote(), members, Some(NullBuffer::from(present)))
}

/// From `resource` to `span_events`.
fn around(arrays: &mut Vec<ArrayRef>, frame: &Frame<'_>) -> Result<()> {
    let (resources, scopes) = (&frame.resources, &frame.scopes);
    let resource = vec![
        resources.texts(Field::SchemaUrl)?,
        resources.counts(Field::DroppedAttributes)?,
        attributes(resources, &frame.elsewhere)?,
    ];
    let scope = vec![
        scopes.texts(Field::Name)?,
        scopes.texts(Field::Version)?,
        scopes.texts(Field::SchemaUrl)?,
        scopes.counts(Field::DroppedAttributes)?,
        attributes(scopes, &frame.elsewhere)?,
    ];
    let scoped: Vec<bool> = scopes.rows.iter().map(Option::is_some).collect();
    arrays.extend([
        structure(schema::resource(), resource, None)?,
        structure(schema::scope(), scope, Some(NullBuffer::from(scoped)))?,
        attributes(&frame.events, &frame.elsewhere)?,
        owned(&frame.events, Table::Links, schema::link(), |links| {
            Ok(vec![
                links.ids16(Field::TraceId)?,
                links.ids8(Field::SpanId)?,
                links.texts(Field::TraceState)?,
                links.counts(Field::Flags)?,
                links.counts(Field::DroppedAttributes)?,
                attributes(links, &[])?,
            ])
        })?,
        owned(&frame.events, Table::SpanEvents, schema::span_event(), |events| {
            Ok(vec![
                events.times(Field::Time)?,
                events.texts(Field::Name)?,
                events.counts(Field::DroppedAttributes)?,
                attributes(events, &[])?,
            ])
        })?,
    ]);
    Ok(())
}

fn structure(
    fields: Fields,
    members: Vec<ArrayRef>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    Ok(Arc::new(StructArray::try_new(fields, members, nulls).map_err(built)?))
}

/// The links or span events of each event.
fn owned(
    events: &Rows<'_>,
    table: Table,
    fields: Fields,
    members: impl Fn(&Rows<'_>) -> Result<Vec<ArrayRef>>,
) -> Result<ArrayRef> {
    let owners = match events.view.find(table, Field::Owner) {
        Some(column) => events.view.ints(column)?.values,
        None => Vec::new(),
    };
    if !owners.is_sorted() {
        return Err(Error::invalid("owners are not in order").in_field(table.prefix()));
    }
    let (mut rows, mut offsets) = (Vec::new(), vec![0]);
    for event in events.rows.iter().flatten() {
        let first = owners.partition_point(|owner| *owner < i64::from(*event));
        let end = owners.partition_point(|owner| *owner <= i64::from(*event));
        rows.extend((first as u32..end as u32).map(Some));
        offsets.push(i32::try_from(rows.len()).map_err(|_| too_many())?);
    }
    let members = members(&Rows { view: events.view, table, rows })?;
    let values = structure(fields.clone(), members, None)?;
    let offsets = OffsetBuffer::new(offsets.into());
    let list = ListArray::try_new(schema::item(fields), offsets, values, None);
    Ok(Arc::new(list.map_err(built)?))
}

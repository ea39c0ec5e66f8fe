//! What an event may be: limits and absent ids, each refusal naming its field.

use crate::codec::any_value;
use crate::column::builder::{BATCH_FIELD, EventFields};
use crate::column::schema::{Field, Table, marks};
use crate::error::{Error, Result};
use crate::event::ValueRef;
use crate::limits;

pub(super) fn batch_full(what: &str, max: usize) -> Error {
    let what = format!("the batch has no room: more than {max} {what}; finish it and try again");
    Error::limit(what).in_field(BATCH_FIELD)
}

pub(super) fn marks_of(fields: &EventFields<'_>) -> i64 {
    let bit = |set: bool, mark: i64| if set { mark } else { 0 };
    bit(fields.time_absent, marks::TIME_ABSENT)
        | bit(fields.trace_id_64, marks::TRACE_ID_64)
        | bit(fields.type_from_event_name, marks::TYPE_FROM_EVENT_NAME)
        | bit(fields.shared, marks::SHARED)
        | bit(fields.debug, marks::DEBUG)
}

pub(super) fn check_event(fields: &EventFields<'_>) -> Result<()> {
    let table = Table::Events;
    check_length(fields.event_type, limits::NAME_BYTES_MAX, table, Field::Type)?;
    check_text(fields.status_message, table, Field::StatusMessage)?;
    check_text(fields.trace_state, table, Field::TraceState)?;
    check_text(fields.severity_text, table, Field::SeverityText)?;
    check_id(fields.trace_id.is_some_and(|id| id.is_zero()), table, Field::TraceId)?;
    check_id(fields.span_id.is_some_and(|id| id.is_zero()), table, Field::SpanId)?;
    check_id(fields.parent_span_id.is_some_and(|id| id.is_zero()), table, Field::ParentSpanId)?;
    if fields.severity_number > 24 {
        let what = format!("severity {}; 1 to 24 exist", fields.severity_number);
        return Err(Error::invalid(what).in_field(Field::SeverityNumber.name()));
    }
    if let Some(remote) = fields.remote {
        check_text(&remote.service, table, Field::RemoteService)?;
    }
    fields.body.map_or(Ok(()), |body| check_value(body).map_err(|e| e.in_field("body")))
}

pub(super) fn check_text(text: &str, table: Table, field: Field) -> Result<()> {
    check_length(text, limits::VALUE_BYTES_MAX, table, field)
}

pub(super) fn check_length(text: &str, max: usize, table: Table, field: Field) -> Result<()> {
    if text.len() <= max {
        return Ok(());
    }
    let what = format!("{} bytes, at most {max} are allowed", text.len());
    Err(Error::limit(what).in_field(format!("{}{}", table.prefix(), field.name())))
}

pub(super) fn check_id(zero: bool, table: Table, field: Field) -> Result<()> {
    if zero {
        let field = format!("{}{}", table.prefix(), field.name());
        return Err(Error::invalid("an id of zeroes; leave it out").in_field(field));
    }
    Ok(())
}

pub(super) fn check_count(count: u32, max: usize, what: &str) -> Result<()> {
    if (count as usize) < max {
        return Ok(());
    }
    Err(Error::limit(format!("more than {max} {what} of one event")).in_field(what))
}

#[inline]
pub(super) fn check_attribute(table: Table, key: &str, value: ValueRef<'_>) -> Result<()> {
    if key.len() > limits::KEY_BYTES_MAX {
        let start: String = key.chars().take(64).collect();
        let what = format!("a key of {} bytes, at most {}", key.len(), limits::KEY_BYTES_MAX);
        return Err(Error::limit(what).in_field(format!("{}attributes.{start}", table.prefix())));
    }
    check_value(value)
        .map_err(|error| error.in_field(format!("{}attributes.{key}", table.prefix())))
}

#[inline]
pub(super) fn check_value(value: ValueRef<'_>) -> Result<()> {
    let length = match value {
        ValueRef::String(text) => text.len(),
        ValueRef::Bytes(bytes) | ValueRef::Nested(bytes) => bytes.len(),
        _ => return Ok(()),
    };
    if length > limits::VALUE_BYTES_MAX {
        let what = format!("a value of {length} bytes, at most {}", limits::VALUE_BYTES_MAX);
        return Err(Error::limit(what));
    }
    match value {
        ValueRef::Nested(bytes) => any_value::check(bytes),
        _ => Ok(()),
    }
}

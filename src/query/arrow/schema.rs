//! Names and types of the columns, which are the same for every batch of a layout.
//!
//! What a query calls `nil` is null: absent times, ids, numbers and texts, empty texts of fields
//! that may be left out, severity 0. Codes always have a name (`unset`), counts and flags are 0.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

use crate::event::ValueType;

/// Nanoseconds since the epoch, UTC.
pub(super) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// Texts that come often.
pub(super) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The type of a column for an attribute's values of one type.
pub(super) fn of_values(value_type: ValueType) -> Option<DataType> {
    Some(match value_type {
        ValueType::Empty => return None,
        ValueType::String => dictionary(),
        ValueType::Int => DataType::Int64,
        ValueType::Double => DataType::Float64,
        ValueType::Bool => DataType::Boolean,
        ValueType::Bytes | ValueType::Nested => DataType::BinaryView,
    })
}

/// A value of whatever type: the member of its type is set, and none if it is empty.
pub(super) fn value() -> Fields {
    Fields::from(vec![
        Field::new("string", DataType::Utf8View, true),
        Field::new("int", DataType::Int64, true),
        Field::new("double", DataType::Float64, true),
        Field::new("bool", DataType::Boolean, true),
        Field::new("bytes", DataType::BinaryView, true),
        Field::new("nested", DataType::BinaryView, true),
    ])
}

/// Key and value of an attribute.
pub(super) fn entry() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8View, false),
        Field::new("value", DataType::Struct(value()), false),
    ])
}

/// The field inside a map of attributes.
pub(super) fn entries() -> Arc<Field> {
    Arc::new(Field::new("entries", DataType::Struct(entry()), false))
}

/// Attributes by key; a key may come several times.
pub(super) fn attributes() -> Field {
    Field::new("attributes", DataType::Map(entries(), false), false)
}

fn dropped_attributes() -> Field {
    Field::new("dropped_attributes", DataType::UInt32, false)
}

pub(super) fn resource() -> Fields {
    let schema_url = Field::new("schema_url", DataType::Utf8View, true);
    Fields::from(vec![schema_url, dropped_attributes(), attributes()])
}

pub(super) fn scope() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8View, true);
    let texts = [text("name"), text("version"), text("schema_url")];
    texts.into_iter().chain([dropped_attributes(), attributes()]).collect()
}

pub(super) fn remote() -> Fields {
    Fields::from(vec![
        Field::new("service", DataType::Utf8View, true),
        Field::new("ipv4", DataType::FixedSizeBinary(4), true),
        Field::new("ipv6", DataType::FixedSizeBinary(16), true),
        Field::new("port", DataType::UInt16, true),
    ])
}

pub(super) fn link() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::FixedSizeBinary(16), false),
        Field::new("span_id", DataType::FixedSizeBinary(8), true),
        Field::new("trace_state", DataType::Utf8View, true),
        Field::new("flags", DataType::UInt32, false),
        dropped_attributes(),
        attributes(),
    ])
}

pub(super) fn span_event() -> Fields {
    Fields::from(vec![
        Field::new("time", time(), false),
        Field::new("name", DataType::Utf8View, true),
        dropped_attributes(),
        attributes(),
    ])
}

/// The field inside a list.
pub(super) fn item(fields: Fields) -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(fields), false))
}

/// All columns but those of attributes that were asked for, which come last.
pub(super) fn fixed() -> Vec<Field> {
    let every = |name: &str, of| Field::new(name, of, false);
    let some = |name: &str, of| Field::new(name, of, true);
    vec![
        every("sequence", DataType::UInt64),
        every("time", time()),
        every("time_absent", DataType::Boolean),
        every("received", time()),
        some("observed", time()),
        every("signal", dictionary()),
        every("source", dictionary()),
        every("type", dictionary()),
        every("type_from_event_name", DataType::Boolean),
        some("trace_id", DataType::FixedSizeBinary(16)),
        every("trace_id_64", DataType::Boolean),
        some("span_id", DataType::FixedSizeBinary(8)),
        some("parent_span_id", DataType::FixedSizeBinary(8)),
        some("duration_ns", DataType::Int64),
        every("kind", dictionary()),
        every("status", dictionary()),
        some("status_message", DataType::Utf8View),
        some("trace_state", DataType::Utf8View),
        every("flags", DataType::UInt32),
        every("shared", DataType::Boolean),
        every("debug", DataType::Boolean),
        some("remote", DataType::Struct(remote())),
        some("severity_number", DataType::UInt8),
        some("severity_text", DataType::Utf8View),
        some("message", DataType::Utf8View),
        some("body", DataType::Struct(value())),
        every("dropped_attributes", DataType::UInt32),
        every("dropped_events", DataType::UInt32),
        every("dropped_links", DataType::UInt32),
        every("resource", DataType::Struct(resource())),
        some("scope", DataType::Struct(scope())),
        attributes(),
        every("links", DataType::List(item(link()))),
        every("span_events", DataType::List(item(span_event()))),
    ]
}

//! Which tables and fields a payload can have. The discriminants are the codes on disk, for ever.

use crate::event::ValueType;

/// One of the five tables of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Who emitted the events.
    Resources = 0,
    /// What recorded the events.
    Scopes = 1,
    /// The events.
    Events = 2,
    /// Links, each of one event.
    Links = 3,
    /// Span events, each of one event.
    SpanEvents = 4,
}

/// What a column means inside its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// An attribute; the column's key, type and occurrence say which.
    Attribute = 0,
    /// Resources: the source. Text, every row.
    Source = 1,
    /// Resources, scopes: URL of the schema. Text.
    SchemaUrl = 2,
    /// All tables: attributes the producer dropped. Integer.
    DroppedAttributes = 3,
    /// Scopes, span events: the name. Text.
    Name = 4,
    /// Scopes: the version. Text.
    Version = 5,
    /// Links, span events: row of the event they belong to, ascending. Integer, every row.
    Owner = 6,
    /// Events: row of the resource. Integer, every row.
    Resource = 7,
    /// Events: row of the scope. Integer.
    Scope = 8,
    /// Events, span events: nanoseconds since the epoch. Integer, every row.
    Time = 9,
    /// Events: nanoseconds since the epoch. Integer.
    Observed = 10,
    /// Events: code of `event::Signal`. Integer, every row.
    Signal = 11,
    /// Events: the type. Text, every row.
    Type = 12,
    /// Events, links: 16 bytes.
    TraceId = 13,
    /// Events, links: 8 bytes.
    SpanId = 14,
    /// Events: 8 bytes.
    ParentSpanId = 15,
    /// Events: signed nanoseconds. Integer.
    Duration = 16,
    /// Events: code of `event::Kind`. Integer; absent is 0.
    Kind = 17,
    /// Events: code of `event::Status`. Integer; absent is 0.
    Status = 18,
    /// Events: text.
    StatusMessage = 19,
    /// Events, links: text.
    TraceState = 20,
    /// Events, links: integer.
    Flags = 21,
    /// Events: 1 to 24. Integer; absent is 0.
    SeverityNumber = 22,
    /// Events: text.
    SeverityText = 23,
    /// Events: the body; the column's type says of which type.
    Body = 24,
    /// Events: bits of `Marks`. Integer; absent is 0.
    Marks = 25,
    /// Events: integer.
    DroppedEvents = 26,
    /// Events: integer.
    DroppedLinks = 27,
    /// Events: Zipkin's other end: its service name. Text, present (maybe empty) if there is one.
    RemoteService = 28,
    /// Events: 4 bytes.
    RemoteIpv4 = 29,
    /// Events: 16 bytes.
    RemoteIpv6 = 30,
    /// Events: integer.
    RemotePort = 31,
    /// Events of blocks: when the store received it. Integer, every row. Producers do not send it: a
    /// batch has one time of receipt, in its frame's header.
    Received = 32,
}

/// Bits of [`Field::Marks`].
pub mod marks {
    /// The producer gave no time.
    pub const TIME_ABSENT: i64 = 1;
    /// The trace id came as 64 bits.
    pub const TRACE_ID_64: i64 = 2;
    /// The type stood in OTLP's `event_name`.
    pub const TYPE_FROM_EVENT_NAME: i64 = 4;
    /// Zipkin's `shared`.
    pub const SHARED: i64 = 8;
    /// Zipkin's `debug`.
    pub const DEBUG: i64 = 16;
    /// All bits that mean something; others are refused.
    pub const ALL: i64 = 31;
}

/// How a column's values are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// No values: presence says all.
    Empties,
    /// 64-bit integers.
    Integers,
    /// Text or bytes.
    Texts,
    /// 16 bytes.
    Ids16,
    /// 8 bytes.
    Ids8,
}

/// Bytes that each value counts for when a batch is expanded, beside the bytes of text; ids of 16
/// bytes count twice that.
pub(crate) const EXPANDED_VALUE_BYTES: usize = 8;

impl Table {
    /// All tables, in the order of their codes.
    pub(crate) const ALL: [Table; 5] =
        [Table::Resources, Table::Scopes, Table::Events, Table::Links, Table::SpanEvents];

    /// The table behind a code.
    pub(crate) fn from_code(code: u8) -> Option<Table> {
        Table::ALL.get(usize::from(code)).copied()
    }

    /// How errors name it, with the dot; events are what everything is about and have none.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Table::Resources => "resource.",
            Table::Scopes => "scope.",
            Table::Events => "",
            Table::Links => "links.",
            Table::SpanEvents => "events.",
        }
    }
}

/// What the schema says of each field: code, name, type (`None`: any), and the tables that have it;
/// in those marked so every row has a value.
type FieldRow = (Field, &'static str, Option<ValueType>, &'static [(Table, bool)]);

const FIELDS: [FieldRow; 33] = {
    use Field as F;
    use Table::{Events, Links, Resources, Scopes, SpanEvents};
    const TEXT: Option<ValueType> = Some(ValueType::String);
    const INT: Option<ValueType> = Some(ValueType::Int);
    const BYTES: Option<ValueType> = Some(ValueType::Bytes);
    const EVERYWHERE: &[(Table, bool)] = &[
        (Resources, false),
        (Scopes, false),
        (Events, false),
        (Links, false),
        (SpanEvents, false),
    ];
    [
        (F::Attribute, "attributes", None, EVERYWHERE),
        (F::Source, "source", TEXT, &[(Resources, true)]),
        (F::SchemaUrl, "schema_url", TEXT, &[(Resources, false), (Scopes, false)]),
        (F::DroppedAttributes, "dropped_attributes", INT, EVERYWHERE),
        (F::Name, "name", TEXT, &[(Scopes, false), (SpanEvents, false)]),
        (F::Version, "version", TEXT, &[(Scopes, false)]),
        (F::Owner, "owner", INT, &[(Links, true), (SpanEvents, true)]),
        (F::Resource, "resource", INT, &[(Events, true)]),
        (F::Scope, "scope", INT, &[(Events, false)]),
        (F::Time, "time", INT, &[(Events, true), (SpanEvents, true)]),
        (F::Observed, "observed", INT, &[(Events, false)]),
        (F::Signal, "signal", INT, &[(Events, true)]),
        (F::Type, "type", TEXT, &[(Events, true)]),
        (F::TraceId, "trace_id", BYTES, &[(Events, false), (Links, true)]),
        (F::SpanId, "span_id", BYTES, &[(Events, false), (Links, false)]),
        (F::ParentSpanId, "parent_span_id", BYTES, &[(Events, false)]),
        (F::Duration, "duration", INT, &[(Events, false)]),
        (F::Kind, "kind", INT, &[(Events, false)]),
        (F::Status, "status", INT, &[(Events, false)]),
        (F::StatusMessage, "status_message", TEXT, &[(Events, false)]),
        (F::TraceState, "trace_state", TEXT, &[(Events, false), (Links, false)]),
        (F::Flags, "flags", INT, &[(Events, false), (Links, false)]),
        (F::SeverityNumber, "severity_number", INT, &[(Events, false)]),
        (F::SeverityText, "severity_text", TEXT, &[(Events, false)]),
        (F::Body, "body", None, &[(Events, false)]),
        (F::Marks, "marks", INT, &[(Events, false)]),
        (F::DroppedEvents, "dropped_events", INT, &[(Events, false)]),
        (F::DroppedLinks, "dropped_links", INT, &[(Events, false)]),
        (F::RemoteService, "remote.service", TEXT, &[(Events, false)]),
        (F::RemoteIpv4, "remote.ipv4", BYTES, &[(Events, false)]),
        (F::RemoteIpv6, "remote.ipv6", BYTES, &[(Events, false)]),
        (F::RemotePort, "remote.port", INT, &[(Events, false)]),
        (F::Received, "received", INT, &[(Events, false)]),
    ]
};

impl Field {
    /// Number of fields.
    pub(crate) const COUNT: usize = FIELDS.len();

    fn row(self) -> &'static FieldRow {
        &FIELDS[self as usize]
    }

    /// The field behind a code.
    pub(crate) fn from_code(code: u8) -> Option<Field> {
        FIELDS.get(usize::from(code)).map(|row| row.0)
    }

    /// How errors name it.
    pub(crate) fn name(self) -> &'static str {
        self.row().1
    }

    /// The type of its values; `None`: any.
    pub(crate) fn value_type(self) -> Option<ValueType> {
        self.row().2
    }

    /// Whether a table has it, and then whether every row must have a value.
    pub(crate) fn required_in(self, table: Table) -> Option<bool> {
        self.row().3.iter().find(|entry| entry.0 == table).map(|entry| entry.1)
    }

    /// The fields that every row of a table has.
    pub(crate) fn all_required_in(table: Table) -> impl Iterator<Item = Field> {
        FIELDS.iter().map(|row| row.0).filter(move |f| f.required_in(table) == Some(true))
    }
}

/// The type behind a code.
pub(crate) fn value_type_from_code(code: u8) -> Option<ValueType> {
    use ValueType as T;
    [T::Empty, T::String, T::Int, T::Double, T::Bool, T::Bytes, T::Nested]
        .get(usize::from(code))
        .copied()
}

impl ColumnId {
    /// A column that is no attribute.
    pub(crate) fn fixed(table: Table, field: Field, value_type: ValueType) -> ColumnId {
        ColumnId { table, field, value_type, key: String::new(), occurrence: 0 }
    }

    /// How its values are held.
    pub(crate) fn form(&self) -> Form {
        match (self.field, self.value_type) {
            (Field::TraceId, _) => Form::Ids16,
            (Field::SpanId | Field::ParentSpanId, _) => Form::Ids8,
            (_, ValueType::Empty) => Form::Empties,
            (_, ValueType::Int | ValueType::Double | ValueType::Bool) => Form::Integers,
            (_, ValueType::String | ValueType::Bytes | ValueType::Nested) => Form::Texts,
        }
    }

    /// The order of columns in a directory.
    pub(crate) fn sort_key(&self) -> (Table, Field, &str, ValueType, u16) {
        (self.table, self.field, &self.key, self.value_type, self.occurrence)
    }

    /// How errors and inspection name it.
    #[must_use]
    pub fn path(&self) -> String {
        let (prefix, name) = (self.table.prefix(), self.field.name());
        if self.field == Field::Attribute {
            return format!("{prefix}{name}.{}", self.key);
        }
        format!("{prefix}{name}")
    }
}

/// What a column is: no two columns of a payload have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ColumnId {
    /// Its table.
    pub table: Table,
    /// Its meaning.
    pub field: Field,
    /// Type of its values; follows from the field except for attributes and bodies.
    pub value_type: ValueType,
    /// The attribute's key, else empty.
    pub key: String,
    /// 0, or n for the (n+1)th value of the same key and type in one row.
    pub occurrence: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_tables_fields_and_types_lead_back() {
        for code in 0..=u8::MAX {
            assert!(Table::from_code(code).is_none_or(|table| table as u8 == code));
            assert!(Field::from_code(code).is_none_or(|field| field as u8 == code));
            assert!(value_type_from_code(code).is_none_or(|value| value as u8 == code));
        }
        assert_eq!(Field::from_code(32), Some(Field::Received));
        assert_eq!(Field::COUNT, 33);
    }
}

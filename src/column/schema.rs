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

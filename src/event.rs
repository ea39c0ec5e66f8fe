//! The event model: spans, logs and plain events in one shape.
//!
//! [`Event`] is the convenient form for programs, tests and answers; ingest paths that are in a
//! hurry write columns directly (see `column::BatchBuilder`). Every field survives a round trip
//! through the store; the order of attributes does not, duplicate keys do.

use std::fmt;
use std::sync::Arc;

use crate::time::Timestamp;

/// Source of events whose producer named none.
pub const UNKNOWN_SOURCE: &str = "unknown_service";
/// Type of log events that name none.
pub const LOG_TYPE: &str = "log";

/// Which of OpenTelemetry's signals an event is; plain events have one of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Signal {
    /// An operation with a start and usually a duration.
    Span = 0,
    /// A log record.
    Log = 1,
    /// Anything else that happened.
    #[default]
    Event = 2,
}

/// 16 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub [u8; 16]);

/// 8 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

/// A producer's identity, chosen by it at random or from what it reads (a file's identity).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub [u8; 16]);

macro_rules! hex_id {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// Reads exactly twice as many hex digits as the id has bytes, in either case.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<$name> {
                let digits = text.as_bytes();
                if digits.len() != 2 * $bytes {
                    return None;
                }
                let mut id = [0; $bytes];
                for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
                    let high = char::from(pair[0]).to_digit(16)?;
                    let low = char::from(pair[1]).to_digit(16)?;
                    *byte = u8::try_from(high << 4 | low).ok()?;
                }
                Some($name(id))
            }

            /// Whether every byte is zero, which the standards read as absent.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                self.0 == [0; $bytes]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}
hex_id!(TraceId, 16);
hex_id!(SpanId, 8);
hex_id!(ProducerId, 16);

/// A typed attribute value. Doubles are compared by their bits so that NaN and -0 survive.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A key without a value.
    Empty,
    /// UTF-8 text.
    String(String),
    /// A signed integer.
    Int(i64),
    /// A double, as its IEEE 754 bits.
    Double(DoubleBits),
    /// True or false.
    Bool(bool),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// An array or map: the bytes of its OTLP `AnyValue` message.
    Nested(Vec<u8>),
}

/// A double that equals itself whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DoubleBits(pub u64);

impl From<f64> for DoubleBits {
    fn from(value: f64) -> DoubleBits {
        DoubleBits(value.to_bits())
    }
}

impl DoubleBits {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// What kind of value, as a column knows it; the discriminant is the code on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ValueType {
    /// [`Value::Empty`]
    Empty = 0,
    /// [`Value::String`]
    String = 1,
    /// [`Value::Int`]
    Int = 2,
    /// [`Value::Double`]
    Double = 3,
    /// [`Value::Bool`]
    Bool = 4,
    /// [`Value::Bytes`]
    Bytes = 5,
    /// [`Value::Nested`]
    Nested = 6,
}

/// A value that borrows: what builders take and column readers give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// [`Value::Empty`]
    Empty,
    /// [`Value::String`]
    String(&'a str),
    /// [`Value::Int`]
    Int(i64),
    /// [`Value::Double`]
    Double(DoubleBits),
    /// [`Value::Bool`]
    Bool(bool),
    /// [`Value::Bytes`]
    Bytes(&'a [u8]),
    /// [`Value::Nested`]
    Nested(&'a [u8]),
}

impl Value {
    /// The borrowing form.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::Empty => ValueRef::Empty,
            Value::String(v) => ValueRef::String(v),
            Value::Int(v) => ValueRef::Int(*v),
            Value::Double(v) => ValueRef::Double(*v),
            Value::Bool(v) => ValueRef::Bool(*v),
            Value::Bytes(v) => ValueRef::Bytes(v),
            Value::Nested(v) => ValueRef::Nested(v),
        }
    }
}

impl ValueRef<'_> {
    /// The column type that holds it.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            ValueRef::Empty => ValueType::Empty,
            ValueRef::String(_) => ValueType::String,
            ValueRef::Int(_) => ValueType::Int,
            ValueRef::Double(_) => ValueType::Double,
            ValueRef::Bool(_) => ValueType::Bool,
            ValueRef::Bytes(_) => ValueType::Bytes,
            ValueRef::Nested(_) => ValueType::Nested,
        }
    }

    /// The owning form.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            ValueRef::Empty => Value::Empty,
            ValueRef::String(v) => Value::String(v.to_owned()),
            ValueRef::Int(v) => Value::Int(v),
            ValueRef::Double(v) => Value::Double(v),
            ValueRef::Bool(v) => Value::Bool(v),
            ValueRef::Bytes(v) => Value::Bytes(v.to_vec()),
            ValueRef::Nested(v) => Value::Nested(v.to_vec()),
        }
    }
}

/// A key with a typed value.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// The key, at most `limits::KEY_BYTES_MAX` bytes.
    pub key: String,
    /// The value, at most `limits::VALUE_BYTES_MAX` bytes.
    pub value: Value,
}

impl Attribute {
    /// A key with its value.
    pub fn new(key: impl Into<String>, value: Value) -> Attribute {
        Attribute { key: key.into(), value }
    }
}

/// Who emitted events: shared by many of them, stored once per batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    /// The attributes; `service.name` among them becomes the event's source.
    pub attributes: Vec<Attribute>,
    /// Attributes the producer had to drop.
    pub dropped_attributes: u32,
    /// URL of the schema that the attributes follow; empty if none.
    pub schema_url: String,
}

/// The instrumentation that recorded events: shared by many of them, stored once per batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Its name; empty if none.
    pub name: String,
    /// Its version; empty if none.
    pub version: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Attributes the producer had to drop.
    pub dropped_attributes: u32,
    /// URL of the schema that the events follow; empty if none.
    pub schema_url: String,
}

/// A cause in this or another trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span; plain events may link to a whole trace.
    pub span_id: Option<SpanId>,
    /// W3C trace state; empty if none.
    pub trace_state: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Attributes the producer had to drop.
    pub dropped_attributes: u32,
    /// W3C trace flags and OTLP's remote bits.
    pub flags: u32,
}

/// Something that happened inside a span; exceptions are these.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When.
    pub time: Timestamp,
    /// What.
    pub name: String,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
    /// Attributes the producer had to drop.
    pub dropped_attributes: u32,
}

/// OTLP span kinds; the discriminant is OTLP's number and the code on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Inside one process.
    Internal = 1,
    /// Handles a request from elsewhere.
    Server = 2,
    /// Asks elsewhere and waits.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Receives a message.
    Consumer = 5,
}

/// OTLP status codes; the discriminant is OTLP's number and the code on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Status {
    /// Not said.
    #[default]
    Unset = 0,
    /// Said to be fine.
    Ok = 1,
    /// Failed.
    Error = 2,
}

/// Severities from here on are errors (OpenTelemetry's ERROR).
const SEVERITY_ERROR: i64 = 17;

/// Whether an event with these codes, 0 where it has none, counts as an error wherever errors are
/// counted.
pub(crate) fn is_error(status: i64, severity: i64) -> bool {
    status == Status::Error as i64 || severity >= SEVERITY_ERROR
}

macro_rules! named_codes {
    ($name:ident { $($code:literal $variant:ident $text:literal),* $(,)? }) => {
        impl $name {
            /// The value behind a code, if there is one.
            #[must_use]
            pub fn from_code(code: u8) -> Option<$name> {
                match code { $($code => Some($name::$variant),)* _ => None }
            }
            /// The value behind a name, if there is one.
            #[must_use]
            pub fn from_name(name: &str) -> Option<$name> {
                match name { $($text => Some($name::$variant),)* _ => None }
            }
            /// The name used in JSON and queries.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
    };
}
named_codes!(Signal { 0 Span "span", 1 Log "log", 2 Event "event" });
named_codes!(Kind {
    0 Unspecified "unspecified", 1 Internal "internal", 2 Server "server",
    3 Client "client", 4 Producer "producer", 5 Consumer "consumer",
});
named_codes!(Status { 0 Unset "unset", 1 Ok "ok", 2 Error "error" });

/// The other end of a call, as Zipkin records it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoint {
    /// Its service name; empty if unknown.
    pub service: String,
    /// Its IPv4 address.
    pub ipv4: Option<[u8; 4]>,
    /// Its IPv6 address.
    pub ipv6: Option<[u8; 16]>,
    /// Its port; 0 if unknown.
    pub port: u16,
}

/// One thing that happened. Absent text is the empty string, absent counts and flags are 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// The unique id, given at commit; 0 before that.
    pub sequence: u64,
    /// When. If `time_absent`, the observed or received time stands in for it.
    pub time: Timestamp,
    /// The producer gave no time (logs only).
    pub time_absent: bool,
    /// When the store received it; set on reading only.
    pub received: Timestamp,
    /// When the collection system observed it (logs).
    pub observed: Option<Timestamp>,
    /// Span, log or event.
    pub signal: Signal,
    /// Where it came from; empty means: the resource's `service.name`, else [`UNKNOWN_SOURCE`].
    pub source: String,
    /// What kind of event: span name, event name, [`LOG_TYPE`].
    pub event_type: String,
    /// The type stood in OTLP's `event_name` field and not in an attribute or nowhere (logs).
    pub type_from_event_name: bool,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The trace id came as 64 bits.
    pub trace_id_64: bool,
    /// The span that it is, or that it belongs to (logs).
    pub span_id: Option<SpanId>,
    /// The span that caused it.
    pub parent_span_id: Option<SpanId>,
    /// Nanoseconds, negative if the end stands before the start; absent and 0 differ.
    pub duration: Option<i64>,
    /// The span's role.
    pub kind: Kind,
    /// Whether it failed.
    pub status: Status,
    /// Why it failed.
    pub status_message: String,
    /// W3C trace state.
    pub trace_state: String,
    /// W3C trace flags and OTLP's remote bits.
    pub flags: u32,
    /// Zipkin: client and server share the span id.
    pub shared: bool,
    /// Zipkin: must be kept whatever sampling says.
    pub debug: bool,
    /// Zipkin: the other end.
    pub remote: Option<Endpoint>,
    /// OpenTelemetry's 1 to 24; 0 if not said.
    pub severity_number: u8,
    /// The severity as the producer wrote it.
    pub severity_text: String,
    /// The message, if it is a string, else any value.
    pub body: Option<Value>,
    /// Its own attributes.
    pub attributes: Vec<Attribute>,
    /// Causes beside the parent.
    pub links: Vec<Link>,
    /// What happened inside it.
    pub events: Vec<SpanEvent>,
    /// Attributes the producer had to drop.
    pub dropped_attributes: u32,
    /// Span events the producer had to drop.
    pub dropped_events: u32,
    /// Links the producer had to drop.
    pub dropped_links: u32,
    /// Who emitted it.
    pub resource: Arc<Resource>,
    /// What recorded it.
    pub scope: Option<Arc<Scope>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_hex_in_either_case_and_nothing_else() {
        let id = SpanId::from_hex("00f067AA0ba902b7").unwrap();
        assert_eq!(id.to_string(), "00f067aa0ba902b7");
        for bad in ["", "00f067aa0ba902b", "00f067aa0ba902b7a", "00f067aa0ba902bx", "ééééécé"]
        {
            assert_eq!(SpanId::from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_codes_of_enums_lead_back() {
        for code in 0..=u8::MAX {
            if let Some(kind) = Kind::from_code(code) {
                assert_eq!(kind as u8, code);
                assert_eq!(Kind::from_name(kind.name()), Some(kind));
            }
        }
        assert_eq!(Status::from_name("error"), Some(Status::Error));
        assert_eq!(Signal::from_code(3), None);
    }
}

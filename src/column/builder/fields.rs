//! What a caller says when it begins a row: the row's fields without attributes.

use crate::event::{Endpoint, Kind, Signal, SpanId, Status, TraceId, ValueRef};
use crate::time::Timestamp;

/// A resource without its attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceFields<'a> {
    /// The source of its events; empty: taken from its attribute `service.name`, else unknown.
    pub source: &'a str,
    /// As `event::Resource`.
    pub schema_url: &'a str,
    /// As `event::Resource`.
    pub dropped_attributes: u32,
}

/// A scope without its attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeFields<'a> {
    /// As `event::Scope`.
    pub name: &'a str,
    /// As `event::Scope`.
    pub version: &'a str,
    /// As `event::Scope`.
    pub schema_url: &'a str,
    /// As `event::Scope`.
    pub dropped_attributes: u32,
}

/// An event without attributes, links and span events; see `event::Event` for the meaning.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "each field is the field of the same name of `event::Event`")]
pub struct EventFields<'a> {
    pub time: Timestamp,
    pub time_absent: bool,
    pub observed: Option<Timestamp>,
    pub signal: Signal,
    pub event_type: &'a str,
    pub type_from_event_name: bool,
    pub trace_id: Option<TraceId>,
    pub trace_id_64: bool,
    pub span_id: Option<SpanId>,
    pub parent_span_id: Option<SpanId>,
    pub duration: Option<i64>,
    pub kind: Kind,
    pub status: Status,
    pub status_message: &'a str,
    pub trace_state: &'a str,
    pub flags: u32,
    pub shared: bool,
    pub debug: bool,
    pub remote: Option<&'a Endpoint>,
    pub severity_number: u8,
    pub severity_text: &'a str,
    pub body: Option<ValueRef<'a>>,
    pub dropped_attributes: u32,
    pub dropped_events: u32,
    pub dropped_links: u32,
}

/// A link without its attributes; see `event::Link`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each field is the field of the same name of `event::Link`")]
pub struct LinkFields<'a> {
    pub trace_id: TraceId,
    pub span_id: Option<SpanId>,
    pub trace_state: &'a str,
    pub dropped_attributes: u32,
    pub flags: u32,
}

/// A span event without its attributes; see `event::SpanEvent`.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "each field is the field of the same name of `event::SpanEvent`")]
pub struct SpanEventFields<'a> {
    pub time: Timestamp,
    pub name: &'a str,
    pub dropped_attributes: u32,
}

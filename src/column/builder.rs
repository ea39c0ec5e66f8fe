//! Encodes events into columns as they are added, without an allocation per event.
//!
//! Callers in a hurry (the OTLP decoder) call `begin_*` and `attribute`; others hand in whole
//! [`Event`]s. `begin_resource` and `begin_scope` start rows that the events after them refer to;
//! `begin_link` and `begin_span_event` start rows that belong to the event begun last; `attribute`
//! belongs to the row begun last. An event that breaks a limit is taken back as a whole by
//! `cancel_event`, and the builder goes on as if it had never begun.

use crate::column::Batch;
use crate::error::Result;
use crate::event::{Endpoint, Event, Kind, Signal, SpanId, Status, TraceId, ValueRef};
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

/// Collects events and encodes them as a [`Batch`]. Reusable: `finish` empties it and keeps its
/// memory.
#[derive(Debug, Default)]
pub struct BatchBuilder {}

impl BatchBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> BatchBuilder {
        BatchBuilder::default()
    }

    /// Adds a whole event with its resource and scope (recognised if they are those of an earlier
    /// event). `Limit` or `Invalid` name the field; the builder is as before then.
    pub fn push(&mut self, event: &Event) -> Result<()> {
        let _ = event;
        todo!("column")
    }

    /// Starts a resource; events begun from here on belong to it, and to no scope.
    pub fn begin_resource(&mut self, fields: &ResourceFields<'_>) -> Result<()> {
        let _ = fields;
        todo!("column")
    }

    /// Starts a scope; events begun from here on belong to it.
    pub fn begin_scope(&mut self, fields: &ScopeFields<'_>) -> Result<()> {
        let _ = fields;
        todo!("column")
    }

    /// Starts an event of the current resource (one must have been begun) and scope.
    pub fn begin_event(&mut self, fields: &EventFields<'_>) -> Result<()> {
        let _ = fields;
        todo!("column")
    }

    /// Starts a link of the current event.
    pub fn begin_link(&mut self, fields: &LinkFields<'_>) -> Result<()> {
        let _ = fields;
        todo!("column")
    }

    /// Starts a span event of the current event.
    pub fn begin_span_event(&mut self, fields: &SpanEventFields<'_>) -> Result<()> {
        let _ = fields;
        todo!("column")
    }

    /// Adds an attribute to the row begun last.
    pub fn attribute(&mut self, key: &str, value: ValueRef<'_>) -> Result<()> {
        let _ = (key, value);
        todo!("column")
    }

    /// Adds an attribute to the current event, whatever was begun after it.
    pub fn event_attribute(&mut self, key: &str, value: ValueRef<'_>) -> Result<()> {
        let _ = (key, value);
        todo!("column")
    }

    /// Takes the current event back, with its attributes, links and span events.
    pub fn cancel_event(&mut self) {
        todo!("column")
    }

    /// Events so far.
    #[must_use]
    pub fn events(&self) -> usize {
        todo!("column")
    }

    /// Whether the next event may not fit any more: time to `finish`.
    #[must_use]
    pub fn is_full(&self) -> bool {
        todo!("column")
    }

    /// Encodes what was collected and empties the builder: resource and scope have to be begun
    /// again. A batch without events is `Invalid`.
    pub fn finish(&mut self) -> Result<Batch> {
        todo!("column")
    }
}

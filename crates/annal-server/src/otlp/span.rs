//! One span, from its bytes into the builder.
//!
//! An end of 0 means that the span has none: its duration is absent, which differs from 0. An end
//! before the start is a negative duration.

use annal::column::{EventFields, LinkFields, SpanEventFields};
use annal::event::{Kind, Signal, Status};
use annal::{BatchBuilder, Timestamp};

use super::fields::{any_time, event_time, span_id, trace_id, wanted};
use super::request::Refusal;
use super::value::key_value;
use super::wire::{Broken, Fields};

const WRONG: &str = "a field of Span has a wrong wire type";

/// The fields of a span as they came; `rows` is where attributes, events and links stand.
#[derive(Default)]
struct Scan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a str,
    name: &'a str,
    kind: u64,
    start: u64,
    end: u64,
    flags: u32,
    status_message: &'a str,
    status: u64,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    rows: &'a [u8],
}

/// Adds the span to the builder, or says why it is refused and leaves the builder as it was. A
/// record that is refused from the start is still read to its end, so that what breaks a body does
/// not depend on what else is in it.
pub(super) fn store(
    bytes: &[u8],
    begun: Result<(), Refusal>,
    builder: &mut BatchBuilder,
    now: Timestamp,
) -> Result<Result<(), Refusal>, Broken> {
    let scan = scan(bytes)?;
    let event = begun.and_then(|()| {
        let fields = event_fields(&scan, now)?;
        builder.begin_event(&fields).map_err(Refusal::from)
    });
    let event_begun = event.is_ok();
    let mut rows = Rows { builder, outcome: event };
    let mut fields = Fields::new(scan.rows);
    while let Some((number, content)) = fields.next()? {
        match number {
            9 => {
                let (key, value) = key_value(content.bytes(WRONG)?)?;
                rows.add(|builder| Ok(builder.event_attribute(key, value)?));
            }
            11 => span_event(content.bytes(WRONG)?, &mut rows)?,
            13 => link(content.bytes(WRONG)?, &mut rows)?,
            _ => {}
        }
    }
    let outcome = rows.outcome;
    if event_begun && outcome.is_err() {
        builder.cancel_event();
    }
    Ok(outcome)
}

/// Adds to the builder until something is refused.
struct Rows<'b> {
    builder: &'b mut BatchBuilder,
    outcome: Result<(), Refusal>,
}

impl Rows<'_> {
    #[inline]
    fn add(&mut self, step: impl FnOnce(&mut BatchBuilder) -> Result<(), Refusal>) {
        if self.outcome.is_ok() {
            self.outcome = step(self.builder);
        }
    }
}

fn scan(bytes: &[u8]) -> Result<Scan<'_>, Broken> {
    let mut scan = Scan::default();
    let mut fields = Fields::new(bytes);
    let (mut rows_begin, mut rows_end) = (usize::MAX, 0);
    let mut at = 0;
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => scan.trace_id = content.bytes(WRONG)?,
            2 => scan.span_id = content.bytes(WRONG)?,
            3 => scan.trace_state = content.text(WRONG)?,
            4 => scan.parent_span_id = content.bytes(WRONG)?,
            5 => scan.name = content.text(WRONG)?,
            6 => scan.kind = content.varint(WRONG)?,
            7 => scan.start = content.fixed64(WRONG)?,
            8 => scan.end = content.fixed64(WRONG)?,
            9 | 11 | 13 => (rows_begin, rows_end) = (rows_begin.min(at), fields.at()),
            10 => scan.dropped_attributes = content.varint(WRONG)? as u32,
            12 => scan.dropped_events = content.varint(WRONG)? as u32,
            14 => scan.dropped_links = content.varint(WRONG)? as u32,
            15 => status(content.bytes(WRONG)?, &mut scan)?,
            16 => scan.flags = content.fixed32(WRONG)?,
            _ => {}
        }
        at = fields.at();
    }
    scan.rows = bytes.get(rows_begin..rows_end).unwrap_or_default();
    Ok(scan)
}

fn status<'a>(bytes: &'a [u8], scan: &mut Scan<'a>) -> Result<(), Broken> {
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        match number {
            2 => scan.status_message = content.text(WRONG)?,
            3 => scan.status = content.varint(WRONG)?,
            _ => {}
        }
    }
    Ok(())
}

#[inline]
fn event_fields<'a>(scan: &Scan<'a>, now: Timestamp) -> Result<EventFields<'a>, Refusal> {
    let time = event_time("start_time", scan.start, now)?;
    let code = |code: u64| u8::try_from(code).ok();
    Ok(EventFields {
        time,
        signal: Signal::Span,
        event_type: scan.name,
        trace_id: Some(wanted("trace_id", trace_id(scan.trace_id)?)?),
        span_id: Some(wanted("span_id", span_id("span_id", scan.span_id)?)?),
        parent_span_id: span_id("parent_span_id", scan.parent_span_id)?,
        duration: duration(time, scan.end)?,
        kind: code(scan.kind)
            .and_then(Kind::from_code)
            .ok_or_else(|| Refusal::of("kind", format!("span kind {} is unknown", scan.kind)))?,
        status: code(scan.status).and_then(Status::from_code).ok_or_else(|| {
            Refusal::of("status", format!("status code {} is unknown", scan.status))
        })?,
        status_message: scan.status_message,
        trace_state: scan.trace_state,
        flags: scan.flags,
        dropped_attributes: scan.dropped_attributes,
        dropped_events: scan.dropped_events,
        dropped_links: scan.dropped_links,
        ..EventFields::default()
    })
}

#[inline]
fn duration(start: Timestamp, end: u64) -> Result<Option<i64>, Refusal> {
    match end {
        0 => Ok(None),
        // Both are positive: the difference fits.
        end => Ok(Some(any_time("end_time", end)?.0 - start.0)),
    }
}

fn span_event(bytes: &[u8], rows: &mut Rows<'_>) -> Result<(), Broken> {
    const WRONG: &str = "a field of Span.Event has a wrong wire type";
    let (mut time, mut name, mut dropped_attributes) = (0, "", 0);
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => time = content.fixed64(WRONG)?,
            2 => name = content.text(WRONG)?,
            4 => dropped_attributes = content.varint(WRONG)? as u32,
            _ => {}
        }
    }
    rows.add(|builder| {
        let time = any_time("event_time", time)?;
        Ok(builder.begin_span_event(&SpanEventFields { time, name, dropped_attributes })?)
    });
    attributes(bytes, 3, rows)
}

fn link(bytes: &[u8], rows: &mut Rows<'_>) -> Result<(), Broken> {
    const WRONG: &str = "a field of Span.Link has a wrong wire type";
    let (mut trace, mut span, mut trace_state): (&[u8], &[u8], &str) = (&[], &[], "");
    let (mut dropped_attributes, mut flags) = (0, 0);
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => trace = content.bytes(WRONG)?,
            2 => span = content.bytes(WRONG)?,
            3 => trace_state = content.text(WRONG)?,
            5 => dropped_attributes = content.varint(WRONG)? as u32,
            6 => flags = content.fixed32(WRONG)?,
            _ => {}
        }
    }
    rows.add(|builder| {
        let trace_id = wanted("link_trace_id", trace_id(trace)?)?;
        let span_id = span_id("link_span_id", span)?;
        let link = LinkFields { trace_id, span_id, trace_state, dropped_attributes, flags };
        Ok(builder.begin_link(&link)?)
    });
    attributes(bytes, 4, rows)
}

/// Adds the attributes of a link or span event, which are field `number` of it.
fn attributes(bytes: &[u8], number: u64, rows: &mut Rows<'_>) -> Result<(), Broken> {
    let mut fields = Fields::new(bytes);
    while let Some((found, content)) = fields.next()? {
        if found == number {
            let (key, value) = key_value(content.bytes("attributes have a wrong wire type")?)?;
            rows.add(|builder| Ok(builder.attribute(key, value)?));
        }
    }
    Ok(())
}

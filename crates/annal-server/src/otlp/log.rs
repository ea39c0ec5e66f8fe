//! One log record, from its bytes into the builder.
//!
//! Without a time the observed time stands in for it, and without that the time of arrival; the
//! event says so. The type is `event_name`, else the attribute `event.name`, else `log`.

use annal::column::EventFields;
use annal::event::{LOG_TYPE, Signal, ValueRef};
use annal::{BatchBuilder, Timestamp};

use super::fields::{event_time, span_id, trace_id};
use super::request::Refusal;
use super::value::{any, key_value};
use super::wire::{Broken, Fields};

const WRONG: &str = "a field of LogRecord has a wrong wire type";

#[derive(Default)]
struct Scan<'a> {
    time: u64,
    observed: u64,
    severity_number: u64,
    severity_text: &'a str,
    body: Option<ValueRef<'a>>,
    event_name: &'a str,
    /// The attribute `event.name`.
    named: &'a str,
    flags: u32,
    trace_id: &'a [u8],
    span_id: &'a [u8],
    dropped_attributes: u32,
}

/// Adds the record to the builder, or says why it is refused and leaves the builder as it was.
pub(super) fn store(
    bytes: &[u8],
    begun: Result<(), Refusal>,
    builder: &mut BatchBuilder,
    now: Timestamp,
) -> Result<Result<(), Refusal>, Broken> {
    let scan = scan(bytes)?;
    let mut outcome = begun.and_then(|()| {
        let fields = event_fields(&scan, now)?;
        builder.begin_event(&fields).map_err(Refusal::from)
    });
    let event_begun = outcome.is_ok();
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        if number == 6 && outcome.is_ok() {
            let (key, value) = key_value(content.bytes(WRONG)?)?;
            outcome = builder.event_attribute(key, value).map_err(Refusal::from);
        }
    }
    if event_begun && outcome.is_err() {
        builder.cancel_event();
    }
    Ok(outcome)
}

/// Reads every field; the attributes are checked here and added later.
fn scan(bytes: &[u8]) -> Result<Scan<'_>, Broken> {
    let mut scan = Scan::default();
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => scan.time = content.fixed64(WRONG)?,
            2 => scan.severity_number = content.varint(WRONG)?,
            3 => scan.severity_text = content.text(WRONG)?,
            5 => scan.body = Some(any(content.bytes(WRONG)?)?),
            6 => {
                let (key, value) = key_value(content.bytes(WRONG)?)?;
                if let ("event.name", ValueRef::String(name), "") = (key, value, scan.named) {
                    scan.named = name;
                }
            }
            7 => scan.dropped_attributes = content.varint(WRONG)? as u32,
            8 => scan.flags = content.fixed32(WRONG)?,
            9 => scan.trace_id = content.bytes(WRONG)?,
            10 => scan.span_id = content.bytes(WRONG)?,
            11 => scan.observed = content.fixed64(WRONG)?,
            12 => scan.event_name = content.text(WRONG)?,
            _ => {}
        }
    }
    Ok(scan)
}

fn event_fields<'a>(scan: &Scan<'a>, now: Timestamp) -> Result<EventFields<'a>, Refusal> {
    let observed = match scan.observed {
        0 => None,
        ns => Some(event_time("observed_time", ns, now)?),
    };
    let time = match scan.time {
        0 => observed.unwrap_or(now),
        ns => event_time("time", ns, now)?,
    };
    let event_type = [scan.event_name, scan.named].into_iter().find(|name| !name.is_empty());
    let severity_number = u8::try_from(scan.severity_number).ok().filter(|n| *n <= 24);
    Ok(EventFields {
        time,
        time_absent: scan.time == 0,
        observed,
        signal: Signal::Log,
        event_type: event_type.unwrap_or(LOG_TYPE),
        type_from_event_name: !scan.event_name.is_empty(),
        trace_id: trace_id(scan.trace_id)?,
        span_id: span_id("span_id", scan.span_id)?,
        flags: scan.flags,
        severity_number: severity_number.ok_or_else(|| {
            let what = format!("severity {}; 1 to 24 exist", scan.severity_number);
            Refusal::of("severity_number", what)
        })?,
        severity_text: scan.severity_text,
        body: scan.body,
        dropped_attributes: scan.dropped_attributes,
        ..EventFields::default()
    })
}

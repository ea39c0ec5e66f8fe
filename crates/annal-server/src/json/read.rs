//! Reads events from JSON, one object at a time, and says what is wrong with it and where.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use annal::event::{
    Attribute, Endpoint, Event, Kind, LOG_TYPE, Link, Resource, Scope, Signal, SpanEvent, SpanId,
    Status, TraceId, Value,
};
use annal::{Error, Result, Timestamp, column};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::nested::{read_any, read_value};
use super::time::parse_time;

/// Reads an event from one line of NDJSON. `now` stands in for an absent time of a log and bounds
/// the others.
pub fn read_event(line: &[u8], now: Timestamp) -> Result<Event> {
    let object: Object = serde_json::from_slice(line).map_err(|error| syntax(&error))?;
    object.into_event(now)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    #[serde(rename = "sequence")]
    _sequence: Option<IgnoredAny>,
    #[serde(rename = "received")]
    _received: Option<IgnoredAny>,
    time: Option<Time>,
    time_absent: Option<bool>,
    observed: Option<Time>,
    signal: Option<String>,
    source: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    type_from_event_name: Option<bool>,
    trace_id: Option<String>,
    trace_id_64: Option<bool>,
    span_id: Option<String>,
    parent_span_id: Option<String>,
    duration: Option<i64>,
    kind: Option<String>,
    status: Option<String>,
    status_message: Option<String>,
    trace_state: Option<String>,
    flags: Option<u32>,
    shared: Option<bool>,
    debug: Option<bool>,
    remote: Option<RemoteObject>,
    severity: Option<String>,
    severity_number: Option<u8>,
    message: Option<String>,
    body: Option<Json>,
    attributes: Option<Attributes>,
    links: Option<Vec<LinkObject>>,
    events: Option<Vec<SpanEventObject>>,
    dropped_attributes: Option<u32>,
    dropped_events: Option<u32>,
    dropped_links: Option<u32>,
    resource: Option<Attributes>,
    resource_dropped_attributes: Option<u32>,
    resource_schema_url: Option<String>,
    scope: Option<ScopeObject>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoteObject {
    service: Option<String>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkObject {
    trace_id: String,
    span_id: Option<String>,
    trace_state: Option<String>,
    flags: Option<u32>,
    dropped_attributes: Option<u32>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpanEventObject {
    time: Time,
    name: Option<String>,
    dropped_attributes: Option<u32>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeObject {
    name: Option<String>,
    version: Option<String>,
    schema_url: Option<String>,
    dropped_attributes: Option<u32>,
    attributes: Option<Attributes>,
}

impl Object {
    fn into_event(self, now: Timestamp) -> Result<Event> {
        let signal = named("signal", self.signal.as_deref(), Signal::from_name)?;
        let observed = self.observed.map(|time| time.read("observed", now)).transpose()?;
        let given = self.time.map(|time| time.read("time", now)).transpose()?;
        let (time, time_absent) = match given {
            Some(time) => (time, self.time_absent.unwrap_or(false)),
            None if signal == Signal::Log => (observed.unwrap_or(now), true),
            None => return Err(Error::invalid("missing; only logs may lack it").in_field("time")),
        };
        for (field, time) in [("time", Some(time)), ("observed", observed)] {
            if let Some(time) = time {
                column::check_time(time, now).map_err(|e| renamed(&e, field))?;
            }
        }
        let event_type = match self.event_type {
            Some(event_type) => event_type,
            None if signal == Signal::Log => LOG_TYPE.into(),
            None => return Err(Error::invalid("missing; only logs may lack it").in_field("type")),
        };
        let links = self.links.unwrap_or_default().into_iter().map(LinkObject::into_link);
        let events = self.events.unwrap_or_default().into_iter();
        Ok(Event {
            time,
            time_absent,
            observed,
            signal,
            source: self.source.unwrap_or_default(),
            event_type,
            type_from_event_name: self.type_from_event_name.unwrap_or(false),
            trace_id: id("trace_id", self.trace_id, TraceId::from_hex)?,
            trace_id_64: self.trace_id_64.unwrap_or(false),
            span_id: id("span_id", self.span_id, SpanId::from_hex)?,
            parent_span_id: id("parent_span_id", self.parent_span_id, SpanId::from_hex)?,
            duration: self.duration,
            kind: named("kind", self.kind.as_deref(), Kind::from_name)?,
            status: named("status", self.status.as_deref(), Status::from_name)?,
            status_message: self.status_message.unwrap_or_default(),
            trace_state: self.trace_state.unwrap_or_default(),
            flags: self.flags.unwrap_or(0),
            shared: self.shared.unwrap_or(false),
            debug: self.debug.unwrap_or(false),
            remote: self.remote.map(RemoteObject::into_endpoint),
            severity_number: self.severity_number.unwrap_or(0),
            severity_text: self.severity.unwrap_or_default(),
            body: body(self.message, self.body.as_ref())?,
            attributes: read_attributes("attributes", self.attributes)?,
            links: links.collect::<Result<_>>()?,
            events: events.map(|event| event.into_span_event(now)).collect::<Result<_>>()?,
            dropped_attributes: self.dropped_attributes.unwrap_or(0),
            dropped_events: self.dropped_events.unwrap_or(0),
            dropped_links: self.dropped_links.unwrap_or(0),
            resource: Arc::new(Resource {
                attributes: read_attributes("resource", self.resource)?,
                dropped_attributes: self.resource_dropped_attributes.unwrap_or(0),
                schema_url: self.resource_schema_url.unwrap_or_default(),
            }),
            scope: self.scope.map(ScopeObject::into_scope).transpose()?.map(Arc::new),
            ..Event::default()
        })
    }
}

impl LinkObject {
    fn into_link(self) -> Result<Link> {
        let trace_id = id("links.trace_id", Some(self.trace_id), TraceId::from_hex)?;
        Ok(Link {
            trace_id: trace_id
                .ok_or_else(|| Error::invalid("missing").in_field("links.trace_id"))?,
            span_id: id("links.span_id", self.span_id, SpanId::from_hex)?,
            trace_state: self.trace_state.unwrap_or_default(),
            attributes: read_attributes("links.attributes", self.attributes)?,
            dropped_attributes: self.dropped_attributes.unwrap_or(0),
            flags: self.flags.unwrap_or(0),
        })
    }
}

impl SpanEventObject {
    fn into_span_event(self, now: Timestamp) -> Result<SpanEvent> {
        Ok(SpanEvent {
            time: self.time.read("events.time", now)?,
            name: self.name.unwrap_or_default(),
            attributes: read_attributes("events.attributes", self.attributes)?,
            dropped_attributes: self.dropped_attributes.unwrap_or(0),
        })
    }
}

impl ScopeObject {
    fn into_scope(self) -> Result<Scope> {
        Ok(Scope {
            name: self.name.unwrap_or_default(),
            version: self.version.unwrap_or_default(),
            attributes: read_attributes("scope.attributes", self.attributes)?,
            dropped_attributes: self.dropped_attributes.unwrap_or(0),
            schema_url: self.schema_url.unwrap_or_default(),
        })
    }
}

impl RemoteObject {
    fn into_endpoint(self) -> Endpoint {
        Endpoint {
            service: self.service.unwrap_or_default(),
            ipv4: self.ipv4.map(|address| address.octets()),
            ipv6: self.ipv6.map(|address| address.octets()),
            port: self.port.unwrap_or(0),
        }
    }
}

fn body(message: Option<String>, body: Option<&Json>) -> Result<Option<Value>> {
    match (message, body) {
        (Some(_), Some(_)) => {
            Err(Error::invalid("message and body are the same field: give one").in_field("body"))
        }
        (Some(message), None) => Ok(Some(Value::String(message))),
        (None, Some(body)) => read_any(body).map(Some).map_err(|e| e.in_field("body")),
        (None, None) => Ok(None),
    }
}

fn named<T: Default>(
    field: &str,
    name: Option<&str>,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<T> {
    let Some(name) = name else { return Ok(T::default()) };
    from_name(name)
        .ok_or_else(|| Error::invalid(format!("{name:?} is not one of its names")).in_field(field))
}

fn id<T>(
    field: &str,
    hex: Option<String>,
    from_hex: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let Some(hex) = hex else { return Ok(None) };
    match from_hex(&hex) {
        Some(id) => Ok(Some(id)),
        None => Err(Error::invalid(format!("{hex:?} is not an id in hex")).in_field(field)),
    }
}

fn read_attributes(field: &str, attributes: Option<Attributes>) -> Result<Vec<Attribute>> {
    let read = |(key, value): (String, Json)| match read_value(value) {
        Ok(value) => Ok(Attribute { key, value }),
        Err(error) => Err(error.in_field(format!("{field}.{key}"))),
    };
    attributes.map_or(Ok(Vec::new()), |attributes| attributes.0.into_iter().map(read).collect())
}

fn renamed(error: &Error, field: &str) -> Error {
    Error::new(error.kind(), error.message()).in_field(field)
}

/// The parser's words without its list of all fields, which would fill a screen.
fn syntax(error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let end = text.find(", expected one of").or_else(|| text.find(" at line "));
    let what = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    Error::invalid(what).at(error.column().saturating_sub(1) as u64)
}

/// Keys and values in their order, repeated keys included.
struct Attributes(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Attributes(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Nanoseconds, or text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Ns(i64),
    Text(String),
}

impl Time {
    fn read(self, field: &str, now: Timestamp) -> Result<Timestamp> {
        match self {
            Time::Ns(ns) => Ok(Timestamp(ns)),
            Time::Text(text) => parse_time(&text, now).map_err(|e| e.in_field(field)),
        }
    }
}

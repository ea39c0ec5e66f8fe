//! Writes events as JSON, straight into the output.

use annal::event::{
    Attribute, Endpoint, Event, Kind, Link, Scope, SpanEvent, Status, Value, ValueRef,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{EXACT_INTEGER_MAX, nested};

/// Appends the event as one JSON object, without a line end.
pub fn write_event(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(b"{\"sequence\":\"");
    write_unsigned(out, event.sequence);
    out.push(b'"');
    let mut object = Object { out };
    object.integer("time", event.time.0);
    object.flag("time_absent", event.time_absent);
    if event.received.0 != 0 {
        object.integer("received", event.received.0);
    }
    if let Some(observed) = event.observed {
        object.integer("observed", observed.0);
    }
    object.name("signal", event.signal.name());
    object.name("source", &event.source);
    object.name("type", &event.event_type);
    object.flag("type_from_event_name", event.type_from_event_name);
    span_fields(&mut object, event);
    object.text("severity", &event.severity_text);
    object.count("severity_number", u32::from(event.severity_number));
    match &event.body {
        Some(Value::String(message)) => object.name("message", message),
        Some(body) => nested::write_any(object.key("body"), body.as_ref()),
        None => {}
    }
    identity(&mut object, event);
    if !event.links.is_empty() {
        write_list(object.key("links"), &event.links, write_link);
    }
    if !event.events.is_empty() {
        write_list(object.key("events"), &event.events, write_span_event);
    }
    object.attributes("resource", &event.resource.attributes);
    object.count("resource_dropped_attributes", event.resource.dropped_attributes);
    object.text("resource_schema_url", &event.resource.schema_url);
    if let Some(scope) = &event.scope {
        write_scope(object.key("scope"), scope);
    }
    object.attributes("attributes", &event.attributes);
    object.count("dropped_attributes", event.dropped_attributes);
    object.count("dropped_events", event.dropped_events);
    object.count("dropped_links", event.dropped_links);
    out.push(b'}');
}

fn span_fields(object: &mut Object<'_>, event: &Event) {
    if event.kind != Kind::Unspecified {
        object.name("kind", event.kind.name());
    }
    if event.status != Status::Unset {
        object.name("status", event.status.name());
    }
    object.text("status_message", &event.status_message);
    if let Some(duration) = event.duration {
        object.integer("duration", duration);
    }
    object.flag("shared", event.shared);
    object.flag("debug", event.debug);
    if let Some(remote) = &event.remote {
        write_endpoint(object.key("remote"), remote);
    }
}

fn identity(object: &mut Object<'_>, event: &Event) {
    if let Some(id) = event.trace_id {
        object.hex("trace_id", &id.0);
    }
    object.flag("trace_id_64", event.trace_id_64);
    if let Some(id) = event.span_id {
        object.hex("span_id", &id.0);
    }
    if let Some(id) = event.parent_span_id {
        object.hex("parent_span_id", &id.0);
    }
    object.text("trace_state", &event.trace_state);
    object.count("flags", event.flags);
}

fn write_link(out: &mut Vec<u8>, link: &Link) {
    let mut object = Object::begin(out);
    object.hex("trace_id", &link.trace_id.0);
    if let Some(id) = link.span_id {
        object.hex("span_id", &id.0);
    }
    object.text("trace_state", &link.trace_state);
    object.count("flags", link.flags);
    object.count("dropped_attributes", link.dropped_attributes);
    object.attributes("attributes", &link.attributes);
    out.push(b'}');
}

fn write_span_event(out: &mut Vec<u8>, event: &SpanEvent) {
    let mut object = Object::begin(out);
    object.integer("time", event.time.0);
    object.name("name", &event.name);
    object.count("dropped_attributes", event.dropped_attributes);
    object.attributes("attributes", &event.attributes);
    out.push(b'}');
}

fn write_scope(out: &mut Vec<u8>, scope: &Scope) {
    let mut object = Object::begin(out);
    object.text("name", &scope.name);
    object.text("version", &scope.version);
    object.text("schema_url", &scope.schema_url);
    object.count("dropped_attributes", scope.dropped_attributes);
    object.attributes("attributes", &scope.attributes);
    out.push(b'}');
}

fn write_endpoint(out: &mut Vec<u8>, remote: &Endpoint) {
    let mut object = Object::begin(out);
    object.text("service", &remote.service);
    if let Some(address) = remote.ipv4 {
        object.name("ipv4", &std::net::Ipv4Addr::from(address).to_string());
    }
    if let Some(address) = remote.ipv6 {
        object.name("ipv6", &std::net::Ipv6Addr::from(address).to_string());
    }
    object.count("port", u32::from(remote.port));
    out.push(b'}');
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// An object that is being written; its owner writes the closing brace.
struct Object<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Object<'o> {
        out.push(b'{');
        Object { out }
    }

    /// Writes the key; the value is up to the caller.
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        write_text(self.out, key);
        self.out.push(b':');
        self.out
    }

    fn integer(&mut self, key: &str, value: i64) {
        write_integer(self.key(key), value);
    }

    fn count(&mut self, key: &str, count: u32) {
        if count != 0 {
            write_unsigned(self.key(key), u64::from(count));
        }
    }

    fn flag(&mut self, key: &str, set: bool) {
        if set {
            self.key(key).extend_from_slice(b"true");
        }
    }

    fn name(&mut self, key: &str, text: &str) {
        write_text(self.key(key), text);
    }

    /// Absent text is the empty string.
    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.name(key, text);
        }
    }

    fn hex(&mut self, key: &str, bytes: &[u8]) {
        let out = self.key(key);
        out.push(b'"');
        for byte in bytes {
            out.extend([byte >> 4, byte & 15].map(|d| HEX.get(d as usize).copied().unwrap_or(0)));
        }
        out.push(b'"');
    }

    fn attributes(&mut self, key: &str, attributes: &[Attribute]) {
        if attributes.is_empty() {
            return;
        }
        let out = self.key(key);
        let mut object = Object::begin(out);
        for attribute in attributes {
            write_value(object.key(&attribute.key), attribute.value.as_ref());
        }
        out.push(b'}');
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends an attribute's value.
fn write_value(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Empty => out.extend_from_slice(b"null"),
        ValueRef::String(text) => write_text(out, text),
        ValueRef::Int(value) if value.unsigned_abs() > EXACT_INTEGER_MAX => {
            out.extend_from_slice(b"{\"int64\":\"");
            write_integer(out, value);
            out.extend_from_slice(b"\"}");
        }
        ValueRef::Int(value) => write_integer(out, value),
        ValueRef::Double(bits) if bits.get().is_finite() => write_finite(out, bits.get()),
        ValueRef::Double(bits) => {
            out.extend_from_slice(b"{\"double\":");
            write_text(out, name_of_double(bits.get()));
            out.push(b'}');
        }
        ValueRef::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ValueRef::Bytes(bytes) => {
            out.extend_from_slice(b"{\"bytes\":");
            write_base64(out, bytes);
            out.push(b'}');
        }
        ValueRef::Nested(_) => nested::write_any(out, value),
    }
}

/// A finite double, with a point or an exponent: it is read as a double again.
pub(crate) fn write_finite(out: &mut Vec<u8>, value: f64) {
    // The shortest digits that lead back to the same double.
    out.extend_from_slice(format!("{value:?}").as_bytes());
}

/// What JSON has no number for.
pub(crate) fn name_of_double(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Appends a signed integer.
pub(crate) fn write_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_unsigned(out, value.unsigned_abs());
}

/// Appends an unsigned integer.
pub(crate) fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (value % 10) as u8);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// Appends text in quotes, escaped.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    // Nearly all text is as it is: asked of all bytes at once, which a compiler makes wide.
    let plain = !rest.iter().fold(false, |any, byte| any | is_escaped(*byte));
    while let Some(at) = rest.iter().position(|byte| !plain && is_escaped(*byte)) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((&byte, tail)) = tail.split_first() {
            write_escape(out, byte);
            rest = tail;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
}

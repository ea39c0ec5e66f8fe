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
        write_hex(self.key(key), bytes);
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
    // Filled from its end; as many digits as the greatest has.
    let mut digits = [b'0'; 20];
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// Appends bytes as hex digits in quotes.
pub(crate) fn write_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(2 * bytes.len() + 2);
    out.push(b'"');
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| HEX_PAIRS.get(usize::from(*byte)).copied().unwrap_or_default()),
    );
    out.push(b'"');
}

/// Each byte as its two digits.
const HEX_PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Appends text in quotes, escaped.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    // Nearly all text is as it is.
    if any_escaped(rest) {
        while let Some(at) = rest.iter().position(|byte| is_escaped(*byte)) {
            let (plain, tail) = rest.split_at(at);
            out.extend_from_slice(plain);
            if let Some((&byte, tail)) = tail.split_first() {
                write_escape(out, byte);
                rest = tail;
            }
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Whether any byte must be escaped, eight at a time.
fn any_escaped(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut found = words.iter().fold(0, |found, word| found | escaped_in(*word));
    if !rest.is_empty() {
        let last = bytes.last_chunk().copied().unwrap_or_else(|| {
            let mut padded = [b' '; 8];
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            padded
        });
        found |= escaped_in(last);
    }
    found != 0
}

/// Not zero if one of the bytes must be escaped: "Determine if a word has a byte less than n" and
/// "has a byte equal to n" of S. E. Anderson's Bit Twiddling Hacks.
fn escaped_in(bytes: [u8; 8]) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(bytes);
    let below = |word: u64, n: u8| word.wrapping_sub(EACH * u64::from(n)) & !word;
    let equal = |n: u8| below(word ^ (EACH * u64::from(n)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (EACH * 0x80)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_json_escapes_is_found_wherever_it_stands() {
        for length in 1..40 {
            for at in 0..length {
                for byte in 0..=0x7f {
                    let mut text = vec![b'~'; length];
                    text[at] = byte;
                    assert_eq!(
                        any_escaped(&text),
                        is_escaped(byte),
                        "{byte:#x} at {at} of {length}"
                    );
                }
            }
        }
        let mut out = Vec::new();
        write_text(&mut out, "größer: \"\\\n\u{1}\" – ü");
        assert_eq!(out, "\"größer: \\\"\\\\\\n\\u0001\\\" – ü\"".as_bytes());
    }
}

//! Tags: a key with a typed value, as `{"key":..,"type":..,"value":..}`.
//!
//! Types are Jaeger's: string, bool, int64, float64, binary. Integers that readers of doubles would
//! round come as text; arrays and maps as a string that holds their JSON.

use annal::codec::any_value::AnyValue;
use annal::event::ValueRef;
use annal::{Result, limits};

use crate::json::{
    EXACT_INTEGER_MAX, name_of_double, write_base64, write_finite, write_integer, write_text,
};

/// A list of tags that is being written; its owner opens and closes it.
pub(super) struct Tags<'o> {
    pub(super) out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Tags<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Tags<'o> {
        Tags { out, first: true }
    }

    fn begin(&mut self, key: &str, head: &[u8]) {
        self.out.extend_from_slice(if self.first { b"{\"key\":" } else { b",{\"key\":" });
        self.first = false;
        write_text(self.out, key);
        self.out.extend_from_slice(head);
    }

    /// A tag of text.
    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.begin(key, b",\"type\":\"string\",\"value\":");
        write_text(self.out, text);
        self.out.push(b'}');
    }

    /// A tag that is true or false.
    pub(super) fn flag(&mut self, key: &str, flag: bool) {
        self.begin(key, b",\"type\":\"bool\",\"value\":");
        self.out.extend_from_slice(if flag { b"true}" } else { b"false}" });
    }

    fn integer(&mut self, key: &str, value: i64) {
        self.begin(key, b",\"type\":\"int64\",\"value\":");
        if value.unsigned_abs() < EXACT_INTEGER_MAX {
            write_integer(self.out, value);
        } else {
            self.out.push(b'"');
            write_integer(self.out, value);
            self.out.push(b'"');
        }
        self.out.push(b'}');
    }

    /// A tag for an attribute.
    pub(super) fn attribute(&mut self, key: &str, value: ValueRef<'_>) {
        match value {
            ValueRef::String(text) => self.text(key, text),
            ValueRef::Empty => self.text(key, ""),
            ValueRef::Bool(flag) => self.flag(key, flag),
            ValueRef::Int(value) => self.integer(key, value),
            ValueRef::Double(bits) => {
                self.begin(key, b",\"type\":\"float64\",\"value\":");
                write_double(self.out, bits.get());
                self.out.push(b'}');
            }
            ValueRef::Bytes(bytes) => {
                self.begin(key, b",\"type\":\"binary\",\"value\":");
                write_base64(self.out, bytes);
                self.out.push(b'}');
            }
            ValueRef::Nested(bytes) => {
                let mut json = Vec::new();
                let walked = AnyValue::parse(bytes).and_then(|value| plain(&mut json, value, 0));
                // Values were checked before they were stored.
                let text = walked.ok().and_then(|()| String::from_utf8(json).ok());
                self.text(key, &text.unwrap_or_default());
            }
        }
    }
}

/// JSON has no word for what is not finite: that comes as text.
fn write_double(out: &mut Vec<u8>, value: f64) {
    match value.is_finite() {
        true => write_finite(out, value),
        false => write_text(out, name_of_double(value)),
    }
}

/// A nested value as plain JSON.
fn plain(out: &mut Vec<u8>, value: AnyValue<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        return Err(annal::Error::limit("nested too deep"));
    }
    match value {
        AnyValue::Empty => out.extend_from_slice(b"null"),
        AnyValue::String(text) => write_text(out, text),
        AnyValue::Bool(flag) => out.extend_from_slice(if flag { b"true" } else { b"false" }),
        AnyValue::Int(value) => write_integer(out, value),
        AnyValue::Double(value) => write_double(out, value),
        AnyValue::Bytes(bytes) => write_base64(out, bytes),
        AnyValue::Array(mut items) => {
            out.push(b'[');
            let start = out.len();
            while let Some(item) = items.next()? {
                if out.len() > start {
                    out.push(b',');
                }
                plain(out, item, depth + 1)?;
            }
            out.push(b']');
        }
        AnyValue::Map(mut entries) => {
            out.push(b'{');
            let start = out.len();
            while let Some((key, item)) = entries.next()? {
                if out.len() > start {
                    out.push(b',');
                }
                write_text(out, key);
                out.push(b':');
                plain(out, item, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

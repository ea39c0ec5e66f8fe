//! Nested values and bodies: OTLP's `AnyValue`, between its JSON and its protobuf form.

use annal::codec::any_value::AnyValue;
use annal::codec::put_varint;
use annal::event::{DoubleBits, Value, ValueRef};
use annal::{Error, Result, limits};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::write::{name_of_double, write_base64, write_finite, write_integer, write_text};

/// Appends any value as OTLP JSON.
pub(super) fn write_any(out: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Empty => write_walked(out, AnyValue::Empty),
        ValueRef::String(text) => write_walked(out, AnyValue::String(text)),
        ValueRef::Int(value) => write_walked(out, AnyValue::Int(value)),
        ValueRef::Double(bits) => write_walked(out, AnyValue::Double(bits.get())),
        ValueRef::Bool(value) => write_walked(out, AnyValue::Bool(value)),
        ValueRef::Bytes(bytes) => write_walked(out, AnyValue::Bytes(bytes)),
        ValueRef::Nested(bytes) => {
            let start = out.len();
            let walked = AnyValue::parse(bytes).and_then(|value| write_nested(out, value, 0));
            if walked.is_err() {
                // Values are checked before they are stored; an event made by hand may hold others.
                out.truncate(start);
                write_walked(out, AnyValue::Bytes(bytes));
            }
        }
    }
}

/// A value without inner ones.
fn write_walked(out: &mut Vec<u8>, value: AnyValue<'_>) {
    match value {
        AnyValue::Empty | AnyValue::Array(_) | AnyValue::Map(_) => out.extend_from_slice(b"{}"),
        AnyValue::String(text) => {
            out.extend_from_slice(b"{\"stringValue\":");
            write_text(out, text);
            out.push(b'}');
        }
        AnyValue::Bool(true) => out.extend_from_slice(b"{\"boolValue\":true}"),
        AnyValue::Bool(false) => out.extend_from_slice(b"{\"boolValue\":false}"),
        AnyValue::Int(value) => {
            out.extend_from_slice(b"{\"intValue\":\"");
            write_integer(out, value);
            out.extend_from_slice(b"\"}");
        }
        AnyValue::Double(value) => {
            out.extend_from_slice(b"{\"doubleValue\":");
            match value.is_finite() {
                true => write_finite(out, value),
                false => write_text(out, name_of_double(value)),
            }
            out.push(b'}');
        }
        AnyValue::Bytes(bytes) => {
            out.extend_from_slice(b"{\"bytesValue\":");
            write_base64(out, bytes);
            out.push(b'}');
        }
    }
}

fn write_nested(out: &mut Vec<u8>, value: AnyValue<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        return Err(Error::limit("nested too deep"));
    }
    match value {
        AnyValue::Array(mut items) => {
            out.extend_from_slice(b"{\"arrayValue\":{\"values\":[");
            let start = out.len();
            while let Some(item) = items.next()? {
                if out.len() > start {
                    out.push(b',');
                }
                write_nested(out, item, depth + 1)?;
            }
            out.extend_from_slice(b"]}}");
        }
        AnyValue::Map(mut entries) => {
            out.extend_from_slice(b"{\"kvlistValue\":{\"values\":[");
            let start = out.len();
            while let Some((key, item)) = entries.next()? {
                if out.len() > start {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"key\":");
                write_text(out, key);
                out.extend_from_slice(b",\"value\":");
                write_nested(out, item, depth + 1)?;
                out.push(b'}');
            }
            out.extend_from_slice(b"]}}");
        }
        plain => write_walked(out, plain),
    }
    Ok(())
}

/// Reads an attribute's value: the short forms, the typed objects, or anything nested.
pub(super) fn read_value(json: Json) -> Result<Value> {
    match json {
        Json::Null => Ok(Value::Empty),
        Json::Bool(value) => Ok(Value::Bool(value)),
        Json::Number(number) => read_number(&number),
        Json::String(text) => Ok(Value::String(text)),
        Json::Object(object) if is_typed(&object) => read_typed(object),
        nested => {
            let mut bytes = Vec::new();
            put_plain(&mut bytes, &nested)?;
            Ok(Value::Nested(bytes))
        }
    }
}

/// Reads OTLP JSON, as bodies are written.
pub(super) fn read_any(json: &Json) -> Result<Value> {
    let mut bytes = Vec::new();
    put_any(&mut bytes, json)?;
    Ok(match AnyValue::parse(&bytes)? {
        AnyValue::Empty => Value::Empty,
        AnyValue::String(text) => Value::String(text.to_owned()),
        AnyValue::Bool(value) => Value::Bool(value),
        AnyValue::Int(value) => Value::Int(value),
        AnyValue::Double(value) => Value::Double(DoubleBits(value.to_bits())),
        AnyValue::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        AnyValue::Array(_) | AnyValue::Map(_) => Value::Nested(bytes),
    })
}

fn is_typed(object: &Map<String, Json>) -> bool {
    const NAMES: [&str; 5] = ["int64", "double", "bytes", "arrayValue", "kvlistValue"];
    object.len() == 1 && object.keys().all(|key| NAMES.contains(&key.as_str()))
}

fn read_typed(object: Map<String, Json>) -> Result<Value> {
    match object.iter().next() {
        Some((name, value)) if name == "int64" => read_int64(value).map(Value::Int),
        Some((name, value)) if name == "double" => {
            read_double(value).map(|value| Value::Double(value.into()))
        }
        Some((name, value)) if name == "bytes" => read_bytes(value).map(Value::Bytes),
        _ => read_any(&Json::Object(object)),
    }
}

fn read_number(number: &serde_json::Number) -> Result<Value> {
    if let Some(value) = number.as_i64() {
        return Ok(Value::Int(value));
    }
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(value) => Ok(Value::Double(value.into())),
        None => Err(Error::invalid(format!("{number} does not fit a signed 64-bit integer"))),
    }
}

fn read_int64(json: &Json) -> Result<i64> {
    let value = match json {
        Json::String(text) => text.parse().ok(),
        other => other.as_i64(),
    };
    value.ok_or_else(|| Error::invalid(format!("{json} is no 64-bit integer")))
}

fn read_double(json: &Json) -> Result<f64> {
    let value = match json {
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    };
    value.ok_or_else(|| Error::invalid(format!("{json} is no double: NaN, Infinity, -Infinity")))
}

fn read_bytes(json: &Json) -> Result<Vec<u8>> {
    let text = json.as_str().ok_or_else(|| Error::invalid("bytes are base64 in a string"))?;
    STANDARD.decode(text).map_err(|e| Error::invalid(format!("bytes are not base64: {e}")))
}

/// Appends the fields of an `AnyValue` from OTLP JSON.
fn put_any(out: &mut Vec<u8>, json: &Json) -> Result<()> {
    let object = match json {
        Json::Null => return Ok(()),
        Json::Object(object) => object,
        _ => return Err(Error::invalid("an OTLP value is an object such as {\"intValue\":\"5\"}")),
    };
    let mut fields = object.iter();
    let Some((name, value)) = fields.next() else { return Ok(()) };
    if fields.next().is_some() {
        return Err(Error::invalid("an OTLP value has one field"));
    }
    match name.as_str() {
        "stringValue" => put_text(out, 1, value.as_str().ok_or_else(|| wrong(name))?),
        "boolValue" => put_number(out, 2, value.as_bool().ok_or_else(|| wrong(name))?.into()),
        "intValue" => put_number(out, 3, read_int64(value)? as u64),
        "doubleValue" => put_double(out, read_double(value)?),
        "bytesValue" => put_message(out, 7, &read_bytes(value)?),
        "arrayValue" => {
            let mut items = Vec::new();
            for item in values_of(value, name)? {
                let mut bytes = Vec::new();
                put_any(&mut bytes, item)?;
                put_message(&mut items, 1, &bytes);
            }
            put_message(out, 5, &items);
        }
        "kvlistValue" => {
            let mut entries = Vec::new();
            for entry in values_of(value, name)? {
                let key = entry.get("key").and_then(Json::as_str).ok_or_else(|| wrong(name))?;
                let mut bytes = Vec::new();
                put_any(&mut bytes, entry.get("value").unwrap_or(&Json::Null))?;
                put_entry(&mut entries, key, &bytes);
            }
            put_message(out, 6, &entries);
        }
        _ => return Err(Error::invalid(format!("{name:?} is no kind of OTLP value"))),
    }
    Ok(())
}

/// Appends the fields of an `AnyValue` from plain JSON.
fn put_plain(out: &mut Vec<u8>, json: &Json) -> Result<()> {
    match json {
        Json::Null => {}
        Json::Bool(value) => put_number(out, 2, (*value).into()),
        Json::Number(number) => match read_number(number)? {
            Value::Int(value) => put_number(out, 3, value as u64),
            _ => put_double(out, number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => put_text(out, 1, text),
        Json::Array(values) => {
            let mut items = Vec::new();
            for value in values {
                let mut bytes = Vec::new();
                put_plain(&mut bytes, value)?;
                put_message(&mut items, 1, &bytes);
            }
            put_message(out, 5, &items);
        }
        Json::Object(object) => {
            let mut entries = Vec::new();
            for (key, value) in object {
                let mut bytes = Vec::new();
                put_plain(&mut bytes, value)?;
                put_entry(&mut entries, key, &bytes);
            }
            put_message(out, 6, &entries);
        }
    }
    Ok(())
}

fn values_of<'j>(json: &'j Json, name: &str) -> Result<&'j [Json]> {
    match json.get("values") {
        Some(Json::Array(values)) => Ok(values),
        None if json.is_object() => Ok(&[]),
        _ => Err(wrong(name)),
    }
}

fn wrong(name: &str) -> Error {
    Error::invalid(format!("the content of {name} is not what OTLP's JSON has there"))
}

fn put_entry(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let mut entry = Vec::new();
    put_text(&mut entry, 1, key);
    put_message(&mut entry, 2, value);
    put_message(out, 1, &entry);
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    put_message(out, field, text.as_bytes());
}

fn put_message(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    put_varint(out, value);
}

fn put_double(out: &mut Vec<u8>, value: f64) {
    out.push(4 << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

//! OTLP's `KeyValue` and `AnyValue`.

use annal::ErrorKind;
use annal::codec::any_value;
use annal::event::{DoubleBits, ValueRef};

use super::wire::{Broken, Fields};

/// A key and its value; an absent value is empty.
#[inline]
pub(super) fn key_value(bytes: &[u8]) -> Result<(&str, ValueRef<'_>), Broken> {
    let (mut key, mut value) = ("", ValueRef::Empty);
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        match number {
            1 => key = content.text("KeyValue.key has the wrong wire type")?,
            2 => value = any(content.bytes("KeyValue.value has the wrong wire type")?)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A value. Arrays and maps stay the bytes that they are; if several kinds are set, the last one
/// counts, as protobuf has it.
#[inline]
pub(super) fn any(bytes: &[u8]) -> Result<ValueRef<'_>, Broken> {
    const WRONG: &str = "AnyValue has a wrong wire type";
    let mut value = ValueRef::Empty;
    let mut fields = Fields::new(bytes);
    while let Some((number, content)) = fields.next()? {
        value = match number {
            1 => ValueRef::String(content.text(WRONG)?),
            2 => ValueRef::Bool(content.varint(WRONG)? != 0),
            3 => ValueRef::Int(content.varint(WRONG)? as i64),
            4 => ValueRef::Double(DoubleBits(content.fixed64(WRONG)?)),
            5 | 6 => content.bytes(WRONG).map(|_| ValueRef::Nested(bytes))?,
            7 => ValueRef::Bytes(content.bytes(WRONG)?),
            _ => continue,
        };
    }
    match value {
        ValueRef::Nested(bytes) => nested(bytes),
        value => Ok(value),
    }
}

/// Malformed ones break the request; those nested too deep are for the builder to refuse by name.
fn nested(bytes: &[u8]) -> Result<ValueRef<'_>, Broken> {
    match any_value::check(bytes) {
        Err(error) if error.kind() == ErrorKind::Invalid => {
            let what = "a malformed array or map in an attribute or body";
            Err(Broken { what, address: bytes.as_ptr().addr() })
        }
        _ => Ok(ValueRef::Nested(bytes)),
    }
}

//! Arrays inside attributes: OTLP `AnyValue` bytes into the values that a test sees one by one.
//! Maps, and arrays in arrays, compare with nothing.

use crate::codec::Cursor;
use crate::query::value::{Number, Scalar};

/// Calls `each` with every element if the bytes are an array, else once with [`Scalar::Other`].
/// Bytes that are no such message count as something that compares with nothing.
pub(super) fn elements<'a>(any_value: &'a [u8], mut each: impl FnMut(Scalar<'a>)) {
    // AnyValue.array_value is field 5, ArrayValue.values field 1.
    let array = kind(any_value).filter(|(field, _)| *field == 5);
    let Some((_, Payload::Bytes(array))) = array else {
        return each(Scalar::Other);
    };
    for (field, payload) in fields(array) {
        if let (1, Payload::Bytes(element)) = (field, payload) {
            each(scalar(element));
        }
    }
}

fn scalar(any_value: &[u8]) -> Scalar<'_> {
    match kind(any_value) {
        Some((1, Payload::Bytes(text))) => Scalar::Text(text),
        Some((2, Payload::Varint(value))) => Scalar::Bool(value != 0),
        Some((3, Payload::Varint(value))) => Scalar::Number(Number::Int(value as i64)),
        Some((4, Payload::Fixed64(bits))) => Scalar::Number(Number::Float(f64::from_bits(bits))),
        _ => Scalar::Other,
    }
}

/// What an `AnyValue` holds: of several kinds the last one counts. Fields that this build does not
/// know are skipped, as by [`crate::codec::any_value::AnyValue::parse`].
fn kind(any_value: &[u8]) -> Option<(u64, Payload<'_>)> {
    fields(any_value).filter(|(field, _)| (1..=7).contains(field)).last()
}

enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message with their numbers; ends at the first that is malformed.
fn fields(message: &[u8]) -> impl Iterator<Item = (u64, Payload<'_>)> {
    let mut cursor = Cursor::new(message);
    std::iter::from_fn(move || {
        let key = cursor.varint().ok()?;
        let payload = match key & 7 {
            0 => Payload::Varint(cursor.varint().ok()?),
            1 => Payload::Fixed64(cursor.u64().ok()?),
            2 => {
                let length = usize::try_from(cursor.varint().ok()?).ok()?;
                Payload::Bytes(cursor.take(length).ok()?)
            }
            5 => {
                cursor.u32().ok()?;
                Payload::Fixed32
            }
            _ => return None,
        };
        Some((key >> 3, payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: &[u8]) -> Vec<Scalar<'_>> {
        let mut all = Vec::new();
        elements(bytes, |s| all.push(s));
        all
    }

    #[test]
    fn arrays_give_their_elements_and_everything_else_compares_with_nothing() {
        // [ "a", 7, true ]
        let array = [0x2a, 13, 0x0a, 3, 0x0a, 1, b'a', 0x0a, 2, 0x18, 7, 0x0a, 2, 0x10, 1];
        let wanted = [Scalar::Text(b"a"), Scalar::Number(Number::Int(7)), Scalar::Bool(true)];
        assert_eq!(list(&array), wanted);
        assert_eq!(list(&[0x2a, 0]), []);
        assert_eq!(list(&[0x32, 0]), [Scalar::Other]);
        assert_eq!(list(&[]), [Scalar::Other]);
        assert_eq!(list(&[0x2a, 200]), [Scalar::Other]);
    }

    #[test]
    fn fields_of_a_later_protocol_are_skipped() {
        // Field 8 behind the array and behind its element.
        let array = [0x2a, 6, 0x0a, 4, 0x18, 7, 0x40, 1, 0x42, 1, b'x'];
        assert_eq!(list(&array), [Scalar::Number(Number::Int(7))]);
        // Of two known kinds the last one counts.
        assert_eq!(list(&[0x2a, 6, 0x0a, 4, 0x18, 7, 0x10, 1]), [Scalar::Bool(true)]);
        assert_eq!(list(&[0x2a, 0, 0x32, 0]), [Scalar::Other]);
    }
}

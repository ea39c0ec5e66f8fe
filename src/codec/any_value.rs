//! OTLP's `AnyValue`: how nested attribute values are kept, and how to walk them.
//!
//! Arrays and maps stay in the protobuf bytes in which they came (opentelemetry-proto,
//! `common/v1/common.proto`); [`check`] is run once before they are stored, so that later readers
//! meet well-formed ones only. Fields that this build does not know are skipped, as protobuf asks.

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::limits;

/// One value; arrays and maps are read as they are walked.
#[derive(Clone, Copy, Debug)]
pub enum AnyValue<'a> {
    /// None of the known kinds is set.
    Empty,
    /// Text.
    String(&'a str),
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Raw bytes.
    Bytes(&'a [u8]),
    /// An array.
    Array(Items<'a>),
    /// A map; keys may repeat.
    Map(Entries<'a>),
}

/// Walks the values of an array.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a>(Cursor<'a>);

/// Walks the entries of a map.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'a>(Cursor<'a>);

/// A protobuf field's content.
enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    /// Reads the outermost value. If a message sets several kinds, the last one counts.
    pub fn parse(bytes: &'a [u8]) -> Result<AnyValue<'a>> {
        let mut cursor = Cursor::new(bytes);
        let mut value = AnyValue::Empty;
        while cursor.remaining() > 0 {
            let at = cursor.offset() as u64;
            value = match next_field(&mut cursor)? {
                (1, Content::Bytes(text)) => AnyValue::String(utf8(text, at)?),
                (2, Content::Varint(number)) => AnyValue::Bool(number != 0),
                (3, Content::Varint(number)) => AnyValue::Int(number as i64),
                (4, Content::Fixed64(number)) => AnyValue::Double(f64::from_bits(number)),
                (5, Content::Bytes(items)) => AnyValue::Array(Items(Cursor::new(items))),
                (6, Content::Bytes(entries)) => AnyValue::Map(Entries(Cursor::new(entries))),
                (7, Content::Bytes(bytes)) => AnyValue::Bytes(bytes),
                (1..=7, _) => return Err(Error::invalid("AnyValue: wrong wire type").at(at)),
                _ => continue,
            };
        }
        Ok(value)
    }
}

impl<'a> Items<'a> {
    /// The next value.
    #[allow(clippy::should_implement_trait, reason = "fallible")]
    pub fn next(&mut self) -> Result<Option<AnyValue<'a>>> {
        while self.0.remaining() > 0 {
            if let (1, Content::Bytes(value)) = next_field(&mut self.0)? {
                return AnyValue::parse(value).map(Some);
            }
        }
        Ok(None)
    }
}

impl<'a> Entries<'a> {
    /// The next key and value.
    #[allow(clippy::should_implement_trait, reason = "fallible")]
    pub fn next(&mut self) -> Result<Option<(&'a str, AnyValue<'a>)>> {
        while self.0.remaining() > 0 {
            if let (1, Content::Bytes(entry)) = next_field(&mut self.0)? {
                return parse_entry(entry).map(Some);
            }
        }
        Ok(None)
    }
}

/// Whether these bytes are a well-formed array or map, nested no deeper than the limit.
pub fn check(bytes: &[u8]) -> Result<()> {
    match AnyValue::parse(bytes)? {
        value @ (AnyValue::Array(_) | AnyValue::Map(_)) => check_value(value, 1),
        _ => Err(Error::invalid("a nested value that is neither array nor map")),
    }
}

fn check_value(value: AnyValue<'_>, depth: usize) -> Result<()> {
    if depth > limits::NESTING_MAX {
        let what = format!("a value nested deeper than {} levels", limits::NESTING_MAX);
        return Err(Error::limit(what));
    }
    match value {
        AnyValue::Array(mut items) => {
            while let Some(item) = items.next()? {
                check_value(item, depth + 1)?;
            }
        }
        AnyValue::Map(mut entries) => {
            while let Some((_, item)) = entries.next()? {
                check_value(item, depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn parse_entry(bytes: &[u8]) -> Result<(&str, AnyValue<'_>)> {
    let mut cursor = Cursor::new(bytes);
    let (mut key, mut value) = ("", AnyValue::Empty);
    while cursor.remaining() > 0 {
        let at = cursor.offset() as u64;
        match next_field(&mut cursor)? {
            (1, Content::Bytes(text)) => key = utf8(text, at)?,
            (2, Content::Bytes(bytes)) => value = AnyValue::parse(bytes)?,
            (1 | 2, _) => return Err(Error::invalid("KeyValue: wrong wire type").at(at)),
            _ => {}
        }
    }
    Ok((key, value))
}

fn next_field<'a>(cursor: &mut Cursor<'a>) -> Result<(u64, Content<'a>)> {
    let tag = cursor.varint()?;
    let content = match tag & 7 {
        0 => Content::Varint(cursor.varint()?),
        1 => Content::Fixed64(cursor.u64()?),
        2 => {
            let length = cursor.length(limits::REQUEST_BYTES_MAX, "length of a field")?;
            Content::Bytes(cursor.take(length)?)
        }
        5 => {
            cursor.u32()?;
            Content::Fixed32
        }
        wire => return Err(cursor.error(format!("protobuf wire type {wire}"))),
    };
    match tag >> 3 {
        0 => Err(cursor.error("protobuf field number 0")),
        number => Ok((number, content)),
    }
}

fn utf8(bytes: &[u8], at: u64) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::invalid("text is not UTF-8").at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        crate::codec::put_varint(&mut out, content.len() as u64);
        out.extend_from_slice(content);
        out
    }

    #[test]
    fn a_map_of_each_kind_is_walked() {
        let entry = |key: &str, value: &[u8]| {
            field(1, &[field(1, key.as_bytes()), field(2, value)].concat())
        };
        let entries = [
            entry("s", &field(1, b"text")),
            entry("i", &[3 << 3, 7]),
            entry("a", &field(5, &field(1, &[2 << 3, 1]))),
            entry("none", &[]),
        ];
        let bytes = field(6, &entries.concat());
        check(&bytes).unwrap();
        let AnyValue::Map(mut map) = AnyValue::parse(&bytes).unwrap() else { panic!("no map") };
        assert!(matches!(map.next().unwrap(), Some(("s", AnyValue::String("text")))));
        assert!(matches!(map.next().unwrap(), Some(("i", AnyValue::Int(7)))));
        let Some(("a", AnyValue::Array(mut items))) = map.next().unwrap() else {
            panic!("no array")
        };
        assert!(matches!(items.next().unwrap(), Some(AnyValue::Bool(true))));
        assert!(items.next().unwrap().is_none());
        assert!(matches!(map.next().unwrap(), Some(("none", AnyValue::Empty))));
        assert!(map.next().unwrap().is_none());
    }

    #[test]
    fn nesting_beyond_the_limit_is_refused_by_name() {
        let nested = |depth: usize| {
            let mut bytes = field(5, &[]);
            (1..depth).for_each(|_| bytes = field(5, &field(1, &bytes)));
            bytes
        };
        check(&nested(limits::NESTING_MAX)).unwrap();
        let error = check(&nested(limits::NESTING_MAX + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(check(&nested(10_000)).is_err());
    }

    #[test]
    fn malformed_bytes_are_refused_wherever_they_are_cut() {
        let bytes = field(6, &field(1, &[field(1, b"key"), field(2, &field(1, b"v"))].concat()));
        check(&bytes).unwrap();
        for length in 0..bytes.len() {
            assert!(check(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(check(&field(1, b"a string is not nested")).is_err());
        assert!(check(&field(5, &field(1, &field(1, &[0xff])))).is_err());
        assert!(check(&[5 << 3 | 3]).is_err());
    }
}

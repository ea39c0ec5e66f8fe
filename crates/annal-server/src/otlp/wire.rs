//! The protobuf wire format, walked without copying: a message is a sequence of numbered fields.
//!
//! Field order is not guaranteed and unknown fields are skipped, as protobuf asks of a reader;
//! groups, which proto3 does not have, are refused. Every length is checked against the bytes that
//! are there before anything is taken.

/// Why a body cannot be decoded at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// What was wrong.
    pub(super) what: &'static str,
    /// Where, as the address of a byte of the body: its offset is told at the end.
    pub(super) address: usize,
}

/// The content of one field.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes or a message.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// The fields of a message, front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields { bytes, at: 0 }
    }

    /// Where the next field begins.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Number and content of the next field; `None` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u64, Content<'a>)>, Broken> {
        if self.at >= self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let content = match tag & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                Content::Bytes(self.take(length)?)
            }
            5 => Content::Fixed32(u32::from_le_bytes(self.array()?)),
            3 | 4 => return Err(self.broken("protobuf groups are not supported")),
            _ => return Err(self.broken("unknown protobuf wire type")),
        };
        match tag >> 3 {
            0 => Err(self.broken("protobuf field number 0")),
            number => Ok(Some((number, content))),
        }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, Broken> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(self.broken("the body ends inside a varint"));
            };
            if shift == 63 && byte > 1 {
                return Err(self.broken("a varint of more than 64 bits"));
            }
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.broken("a varint of more than 64 bits"))
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], Broken> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.broken("a length reaches beyond the end of its message")),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        match self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(taken) => {
                self.at += N;
                Ok(*taken)
            }
            None => Err(self.broken("the body ends inside a number")),
        }
    }

    #[cold]
    fn broken(&self, what: &'static str) -> Broken {
        Broken { what, address: self.bytes.as_ptr().addr() + self.at }
    }
}

impl<'a> Content<'a> {
    /// Bytes or a message.
    #[inline]
    pub(super) fn bytes(self, field: &'static str) -> Result<&'a [u8], Broken> {
        match self {
            Content::Bytes(bytes) => Ok(bytes),
            _ => Err(wrong_type(field)),
        }
    }

    /// Text, checked to be UTF-8.
    #[inline]
    pub(super) fn text(self, field: &'static str) -> Result<&'a str, Broken> {
        let bytes = self.bytes(field)?;
        std::str::from_utf8(bytes).map_err(|error| Broken {
            what: "text that is not UTF-8",
            address: bytes.as_ptr().addr() + error.valid_up_to(),
        })
    }

    /// An integer of any width, or an enum.
    #[inline]
    pub(super) fn varint(self, field: &'static str) -> Result<u64, Broken> {
        match self {
            Content::Varint(value) => Ok(value),
            _ => Err(wrong_type(field)),
        }
    }

    /// Eight bytes.
    #[inline]
    pub(super) fn fixed64(self, field: &'static str) -> Result<u64, Broken> {
        match self {
            Content::Fixed64(value) => Ok(value),
            _ => Err(wrong_type(field)),
        }
    }

    /// Four bytes.
    #[inline]
    pub(super) fn fixed32(self, field: &'static str) -> Result<u32, Broken> {
        match self {
            Content::Fixed32(value) => Ok(value),
            _ => Err(wrong_type(field)),
        }
    }
}

/// The field's name says where; there may be no byte to point at.
#[cold]
fn wrong_type(field: &'static str) -> Broken {
    Broken { what: field, address: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<usize, Broken> {
        let mut fields = Fields::new(bytes);
        let mut count = 0;
        while fields.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    #[test]
    fn fields_of_every_wire_type_are_walked() {
        let bytes = [
            &[0x08, 0x96, 0x01][..],
            &[0x11, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0x1a, 2, b'h', b'i'],
            &[0x85, 0x01, 1, 0, 0, 0],
        ]
        .concat();
        let mut fields = Fields::new(&bytes);
        assert!(matches!(fields.next(), Ok(Some((1, Content::Varint(150))))));
        assert!(matches!(fields.next(), Ok(Some((2, Content::Fixed64(0x0807_0605_0403_0201))))));
        assert!(matches!(fields.next(), Ok(Some((3, Content::Bytes(b"hi"))))));
        assert!(matches!(fields.next(), Ok(Some((16, Content::Fixed32(1))))));
        assert!(matches!(fields.next(), Ok(None)));
    }

    #[test]
    fn what_no_writer_makes_is_refused_with_its_place() {
        for (bytes, what) in [
            (&[0x0b][..], "groups"),
            (&[0x0c], "groups"),
            (&[0x0e], "wire type"),
            (&[0x02, 0], "field number 0"),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "length"),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "64 bits"),
            (&[0x0a, 3, 1, 2], "length"),
            (&[0x08], "varint"),
            (&[0x08, 0x80], "varint"),
            (&[0x09, 1, 2], "number"),
            (&[0x0d, 1, 2], "number"),
        ] {
            let broken = all(bytes).unwrap_err();
            assert!(broken.what.contains(what), "{bytes:?}: {}", broken.what);
            let offset = broken.address - bytes.as_ptr().addr();
            assert!(offset <= bytes.len());
        }
    }
}

//! The envelope of a message: 20 bytes before each body. See `docs/wire-protocol.md`, "Envelope".
//!
//! Parsing is pure: bytes in; a message, a number of bytes to wait for, or an error out. The length
//! is checked against the limit of the message's type before anything is allocated for it, and the
//! checksum covers head and body (FMT-1), so nothing in a body is looked at before it holds.

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::net::message::Kind;

/// Bytes of an envelope.
pub const HEAD_BYTES: usize = 20;
/// Bytes of an envelope that its checksum covers.
const COVERED_BYTES: usize = 16;

/// A receiver that does not know the type skips the message.
pub const FLAG_OPTIONAL: u8 = 1;
const FLAGS_ALL: u8 = FLAG_OPTIONAL;

/// The request that a message is about when it is about the whole connection.
pub const NO_REQUEST: u64 = 0;

/// The fields of an envelope, in the order of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the body.
    pub length: u32,
    /// Code of the message's type; see [`Kind`].
    pub kind: u8,
    /// Bits of `FLAG_*`.
    pub flags: u8,
    /// Chosen by whoever asks, repeated in what answers.
    pub request: u64,
    /// CRC-32 of the envelope before it, and the body.
    pub crc: u32,
}

/// What stands at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// So many bytes are needed, from the first one on, before more can be said.
    Needs(usize),
    /// A message of this type and body.
    Message(Head, &'a [u8]),
}

impl Head {
    /// The type, if it is known.
    #[must_use]
    pub fn known_kind(&self) -> Option<Kind> {
        Kind::from_code(self.kind)
    }

    /// Bytes of the whole message.
    #[must_use]
    pub fn message_bytes(&self) -> usize {
        HEAD_BYTES + self.length as usize
    }

    /// Reads an envelope and checks flags, type and length; the checksum needs the body.
    pub fn decode(bytes: &[u8; HEAD_BYTES]) -> Result<Head> {
        let mut c = Cursor::new(bytes);
        let (length, kind, flags, reserved) = (c.u32()?, c.u8()?, c.u8()?, c.u16()?);
        let head = Head { length, kind, flags, request: c.u64()?, crc: c.u32()? };
        if flags & !FLAGS_ALL != 0 {
            let what = format!("message flags {flags:#x}; this build knows {FLAGS_ALL:#x}");
            return Err(Error::unsupported(what).in_field("flags"));
        }
        if reserved != 0 {
            return Err(Error::invalid("reserved bytes are not zero").in_field("reserved"));
        }
        let max = match head.known_kind() {
            Some(kind) => kind.body_bytes_max(),
            None if flags & FLAG_OPTIONAL != 0 => Kind::UNKNOWN_BODY_BYTES_MAX,
            None => {
                let what = format!("message type {kind}; annal's protocol is spoken here");
                return Err(Error::unsupported(what).in_field("type"));
            }
        };
        if length as usize > max {
            let what = format!("a message of type {kind} has {length} bytes, at most {max} may be");
            return Err(Error::limit(what).in_field("length"));
        }
        Ok(head)
    }

    /// Holds the checksum against head and body.
    pub fn check(&self, body: &[u8]) -> Result<()> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.covered());
        crc.update(body);
        if body.len() == self.length as usize && crc.finalize() == self.crc {
            return Ok(());
        }
        Err(Error::invalid("the message's checksum is wrong: the stream is damaged")
            .in_field("crc"))
    }

    /// The envelope of a body that comes in parts.
    #[must_use]
    pub fn of(kind: Kind, request: u64, parts: &[&[u8]]) -> Head {
        let length: usize = parts.iter().map(|p| p.len()).sum();
        assert!(length <= kind.body_bytes_max(), "{kind:?} of {length} bytes");
        let mut head = Head { length: length as u32, kind: kind as u8, flags: 0, request, crc: 0 };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head.covered());
        parts.iter().for_each(|part| crc.update(part));
        head.crc = crc.finalize();
        head
    }

    /// The 20 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        let (covered, crc) = out.split_at_mut(COVERED_BYTES);
        covered.copy_from_slice(&self.covered());
        crc.copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    fn covered(&self) -> [u8; COVERED_BYTES] {
        let mut out = [0; COVERED_BYTES];
        let (front, request) = out.split_at_mut(8);
        front.copy_from_slice(&u64::from(self.length).to_le_bytes());
        front[4] = self.kind;
        front[5] = self.flags;
        request.copy_from_slice(&self.request.to_le_bytes());
        out
    }
}

/// What stands at the beginning of the bytes.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>> {
    let Some(head) = bytes.first_chunk() else { return Ok(Parsed::Needs(HEAD_BYTES)) };
    let head = Head::decode(head)?;
    match bytes.get(HEAD_BYTES..head.message_bytes()) {
        None => Ok(Parsed::Needs(head.message_bytes())),
        Some(body) => {
            head.check(body)?;
            Ok(Parsed::Message(head, body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn ping(body: &[u8]) -> Vec<u8> {
        let mut bytes = Head::of(Kind::Ping, 7, &[body]).encode().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_message_is_told_from_its_beginning_at_every_length() {
        let bytes = ping(b"hello");
        for cut in 0..bytes.len() {
            let wanted = if cut < HEAD_BYTES { HEAD_BYTES } else { bytes.len() };
            assert_eq!(parse(&bytes[..cut]).unwrap(), Parsed::Needs(wanted));
        }
        let Parsed::Message(head, body) = parse(&bytes).unwrap() else { panic!("incomplete") };
        assert_eq!((head.request, head.known_kind(), body), (7, Some(Kind::Ping), &b"hello"[..]));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let bytes = ping(b"hello");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(parse(&flipped), Ok(Parsed::Message(..))), "bit {bit}");
        }
    }

    #[test]
    fn a_length_over_the_limit_of_its_type_is_refused_before_the_body_comes() {
        let mut head = Head::of(Kind::Ping, 1, &[]);
        head.length = u32::MAX;
        let error = parse(&head.encode()).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Limit, Some("length")));
    }

    #[test]
    fn an_unknown_type_is_refused_unless_it_says_that_it_may_be_skipped() {
        let mut head = Head { length: 0, kind: 200, flags: 0, request: 1, crc: 0 };
        let error = parse(&head.encode()).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, Some("type")));
        head.flags = FLAG_OPTIONAL;
        head.crc = crc32fast::hash(&head.covered());
        assert!(matches!(parse(&head.encode()), Ok(Parsed::Message(..))));
    }
}

//! The bodies of messages: bytes in, a message or an error out. See `docs/wire-protocol.md`.
//!
//! One file per group of messages; `encode` and `decode` of each stand side by side. A body must be
//! used up: bytes left over are an error, so that a later version can only add what it announces.

use bytes::Bytes;

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::limits;
use crate::net::envelope::Head;

mod answer;
mod handshake;
mod query;

pub use answer::{Duplicate, Failure, Goodbye, TEXT_BYTES_MAX};
pub use handshake::{EXTENSION_REQUIRED, HELLO_MAGIC, Hello, NAME_BYTES_MAX, Welcome};
pub use query::{QueryData, QueryEnd, QueryText};

/// The type of a message; the discriminant is the code on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The client's first message.
    Hello = 1,
    /// The server's answer to it.
    Welcome = 2,
    /// A batch to be stored.
    Append = 3,
    /// It is durable.
    Ack = 4,
    /// It had been stored before, and is durable.
    Duplicate = 5,
    /// So many more bytes of appends may be sent.
    Credits = 6,
    /// A request or the connection failed.
    Error = 7,
    /// Are you there?
    Ping = 8,
    /// Yes.
    Pong = 9,
    /// A question.
    Query = 10,
    /// Some of its events.
    QueryData = 11,
    /// All of them were given.
    QueryEnd = 12,
    /// The question need not be answered any more.
    Cancel = 13,
    /// The server drains: nothing more is taken here.
    Goodbye = 14,
}

impl Kind {
    /// All types with their names in the documents, in the order of their codes.
    pub const ALL: [(Kind, &'static str); 14] = [
        (Kind::Hello, "hello"),
        (Kind::Welcome, "welcome"),
        (Kind::Append, "append"),
        (Kind::Ack, "ack"),
        (Kind::Duplicate, "duplicate"),
        (Kind::Credits, "credits"),
        (Kind::Error, "error"),
        (Kind::Ping, "ping"),
        (Kind::Pong, "pong"),
        (Kind::Query, "query"),
        (Kind::QueryData, "query data"),
        (Kind::QueryEnd, "query end"),
        (Kind::Cancel, "cancel"),
        (Kind::Goodbye, "goodbye"),
    ];

    /// Bytes of the body of a message whose type is unknown and that may be skipped.
    pub const UNKNOWN_BODY_BYTES_MAX: usize = 64 << 10;

    /// The type behind a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code).checked_sub(1)?).map(|(kind, _)| *kind)
    }

    /// Bytes of the longest body.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Kind::Hello | Kind::Welcome | Kind::Error | Kind::Goodbye => 4 << 10,
            Kind::Append => FRAME_HEADER_BYTES + limits::BATCH_STORED_BYTES_MAX,
            Kind::Ack | Kind::Credits => 8,
            Kind::Duplicate => 16,
            Kind::Ping | Kind::Pong => 64,
            Kind::Query => {
                QueryText::FIXED_BYTES + (2 * limits::NAME_BYTES_MAX) + limits::QUERY_TEXT_BYTES_MAX
            }
            Kind::QueryData => QueryData::BYTES_MAX,
            Kind::QueryEnd => QueryEnd::BYTES,
            Kind::Cancel => 0,
        }
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// A frame, see [`split_frame`]: what is wrong inside is the batch's fault, not the stream's.
    Append(Bytes),
    /// Sequence of the batch's first event.
    Ack(u64),
    /// See [`Duplicate`].
    Duplicate(Duplicate),
    /// Bytes of appends that may be sent beyond those granted before.
    Credits(u64),
    /// See [`Failure`].
    Error(Failure),
    /// Bytes to send back.
    Ping(Bytes),
    /// The bytes of the ping.
    Pong(Bytes),
    /// See [`QueryText`].
    Query(QueryText),
    /// See [`QueryData`].
    QueryData(QueryData),
    /// See [`QueryEnd`].
    QueryEnd(QueryEnd),
    /// The request names the query.
    Cancel,
    /// See [`Goodbye`].
    Goodbye(Goodbye),
}

impl Message {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Message::Hello(_) => Kind::Hello,
            Message::Welcome(_) => Kind::Welcome,
            Message::Append(_) => Kind::Append,
            Message::Ack(_) => Kind::Ack,
            Message::Duplicate(_) => Kind::Duplicate,
            Message::Credits(_) => Kind::Credits,
            Message::Error(_) => Kind::Error,
            Message::Ping(_) => Kind::Ping,
            Message::Pong(_) => Kind::Pong,
            Message::Query(_) => Kind::Query,
            Message::QueryData(_) => Kind::QueryData,
            Message::QueryEnd(_) => Kind::QueryEnd,
            Message::Cancel => Kind::Cancel,
            Message::Goodbye(_) => Kind::Goodbye,
        }
    }

    /// Reads a body whose checksum has been held; payloads stay slices of it.
    pub fn decode(kind: Kind, body: &Bytes) -> Result<Message> {
        let mut c = Cursor::new(body);
        let message = match kind {
            Kind::Hello => Message::Hello(Hello::decode(&mut c)?),
            Kind::Welcome => Message::Welcome(Welcome::decode(&mut c)?),
            Kind::Append => return Ok(Message::Append(body.clone())),
            Kind::Ack => Message::Ack(c.u64()?),
            Kind::Duplicate => Message::Duplicate(Duplicate::decode(&mut c)?),
            Kind::Credits => Message::Credits(c.u64()?),
            Kind::Error => Message::Error(Failure::decode(&mut c)?),
            Kind::Ping => return Ok(Message::Ping(body.clone())),
            Kind::Pong => return Ok(Message::Pong(body.clone())),
            Kind::Query => Message::Query(QueryText::decode(&mut c)?),
            Kind::QueryData => return Ok(Message::QueryData(QueryData::decode(body)?)),
            Kind::QueryEnd => Message::QueryEnd(QueryEnd::decode(&mut c)?),
            Kind::Cancel => Message::Cancel,
            Kind::Goodbye => Message::Goodbye(Goodbye::decode(&mut c)?),
        };
        c.finish()?;
        Ok(message)
    }

    /// Appends the whole message, envelope included.
    pub fn encode(&self, request: u64, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        match self {
            Message::Hello(m) => m.encode(&mut body),
            Message::Welcome(m) => m.encode(&mut body),
            Message::Append(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => {
                return put(self.kind(), request, bytes, out);
            }
            Message::Ack(number) | Message::Credits(number) => {
                return put(self.kind(), request, &number.to_le_bytes(), out);
            }
            Message::Duplicate(m) => m.encode(&mut body),
            Message::Error(m) => m.encode(&mut body),
            Message::Query(m) => m.encode(&mut body),
            Message::QueryData(m) => m.encode(&mut body),
            Message::QueryEnd(m) => m.encode(&mut body),
            Message::Cancel => {}
            Message::Goodbye(m) => m.encode(&mut body),
        }
        put(self.kind(), request, &body, out);
    }
}

fn put(kind: Kind, request: u64, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&Head::of(kind, request, &[body]).encode());
    out.extend_from_slice(body);
}

/// Splits the body of an append (or the end of a query's data) into header and payload. The payload
/// has exactly the length that the header claims.
pub fn split_frame(frame: &Bytes) -> Result<(FrameHeader, Bytes)> {
    let Some(head) = frame.first_chunk() else {
        let what = format!("a frame of {} bytes has no whole header", frame.len());
        return Err(Error::invalid(what).in_field("length"));
    };
    let header = FrameHeader::decode(head)?;
    let payload = frame.slice(FRAME_HEADER_BYTES..);
    if payload.len() != header.stored_length as usize {
        let (claimed, found) = (header.stored_length, payload.len());
        let what = format!("the frame claims a payload of {claimed} bytes, {found} came");
        return Err(Error::invalid(what).in_field("stored_length"));
    }
    Ok((header, payload))
}

/// Cuts a text to at most this many bytes, at a border of characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}

/// The next bytes as UTF-8.
fn text(c: &mut Cursor<'_>, length: usize, field: &str) -> Result<String> {
    let bytes = c.take(length)?;
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_| c.error("text is not UTF-8").in_field(field))
}

/// Flags of which no other than the known ones may be set.
fn known_flags(flags: u16, known: u16) -> Result<u16> {
    if flags & !known == 0 {
        return Ok(flags);
    }
    Err(Error::unsupported(format!("flags {flags:#x} of a message; this build knows {known:#x}"))
        .in_field("flags"))
}

#[cfg(test)]
mod tests;

//! Hello and welcome: who speaks, which version, under which limits.

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::net::message::{cut, known_flags, text};

/// First bytes of a hello's body, in every version.
pub const HELLO_MAGIC: [u8; 4] = *b"ANLp";
/// Bytes of a client's or server's name.
pub const NAME_BYTES_MAX: usize = 256;
/// An extension whose kind has this bit must be understood.
pub const EXTENSION_REQUIRED: u16 = 1 << 15;

const HAS_PRODUCER: u16 = 1;
const KNOWS_NEXT: u16 = 1;

/// The client's first message. Its layout never changes: later versions add extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest version of the protocol that the client speaks.
    pub version_oldest: u16,
    /// Newest version that it speaks.
    pub version_newest: u16,
    /// Who numbers the batches of this connection, and the epoch; `None`: they have no numbers.
    pub producer: Option<(ProducerId, u32)>,
    /// Program and version, for people.
    pub name: String,
}

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u16,
    /// Stored bytes of the largest batch.
    pub batch_stored_bytes_max: u32,
    /// Raw bytes of the largest batch.
    pub batch_raw_bytes_max: u32,
    /// Events of the largest batch.
    pub batch_events_max: u32,
    /// Appends that may be unanswered; beyond it the server does not read on.
    pub appends_in_flight_max: u32,
    /// The connection is closed when nothing comes from the client for so long.
    pub idle_ms_max: u32,
    /// Bytes of appends that may be sent at first.
    pub credit_bytes: u64,
    /// The number that the producer's next batch must have; `None`: the producer is not known, or
    /// the hello named none.
    pub next_batch_number: Option<u64>,
    /// Program and version, for people.
    pub name: String,
}

impl Hello {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name = cut(&self.name, NAME_BYTES_MAX);
        let (id, epoch) = self.producer.unwrap_or((ProducerId([0; 16]), 0));
        let flags = if self.producer.is_some() { HAS_PRODUCER } else { 0 };
        out.extend_from_slice(&HELLO_MAGIC);
        out.extend_from_slice(&self.version_oldest.to_le_bytes());
        out.extend_from_slice(&self.version_newest.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(&id.0);
        out.extend_from_slice(&epoch.to_le_bytes());
        out.extend_from_slice(name.as_bytes());
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Hello> {
        if c.array()? != HELLO_MAGIC {
            return Err(Error::invalid("no hello of annal's protocol").in_field("magic"));
        }
        let (version_oldest, version_newest) = (c.u16()?, c.u16()?);
        let flags = known_flags(c.u16()?, HAS_PRODUCER)?;
        let name_length = usize::from(c.u16()?);
        let (id, epoch) = (ProducerId(c.array()?), c.u32()?);
        let name = name(c, name_length)?;
        extensions(c)?;
        let named = flags & HAS_PRODUCER != 0;
        if named == id.is_zero() || (!named && epoch != 0) {
            let what = "a producer has an id that is not zero, no producer has id and epoch zero";
            return Err(Error::invalid(what).in_field("producer_id"));
        }
        let producer = named.then_some((id, epoch));
        Ok(Hello { version_oldest, version_newest, producer, name })
    }
}

impl Welcome {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let name = cut(&self.name, NAME_BYTES_MAX);
        let flags = if self.next_batch_number.is_some() { KNOWS_NEXT } else { 0 };
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.batch_stored_bytes_max.to_le_bytes());
        out.extend_from_slice(&self.batch_raw_bytes_max.to_le_bytes());
        out.extend_from_slice(&self.batch_events_max.to_le_bytes());
        out.extend_from_slice(&self.appends_in_flight_max.to_le_bytes());
        out.extend_from_slice(&self.idle_ms_max.to_le_bytes());
        out.extend_from_slice(&self.credit_bytes.to_le_bytes());
        out.extend_from_slice(&self.next_batch_number.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name.as_bytes());
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Welcome> {
        let version = c.u16()?;
        let flags = known_flags(c.u16()?, KNOWS_NEXT)?;
        let mut welcome = Welcome {
            version,
            batch_stored_bytes_max: c.u32()?,
            batch_raw_bytes_max: c.u32()?,
            batch_events_max: c.u32()?,
            appends_in_flight_max: c.u32()?,
            idle_ms_max: c.u32()?,
            credit_bytes: c.u64()?,
            next_batch_number: Some(c.u64()?).filter(|_| flags & KNOWS_NEXT != 0),
            name: String::new(),
        };
        let name_length = usize::from(c.u16()?);
        welcome.name = name(c, name_length)?;
        extensions(c)?;
        Ok(welcome)
    }
}

fn name(c: &mut Cursor<'_>, length: usize) -> Result<String> {
    if length > NAME_BYTES_MAX {
        let what = format!("a name of {length} bytes, at most {NAME_BYTES_MAX} are allowed");
        return Err(Error::limit(what).in_field("name"));
    }
    text(c, length, "name")
}

/// Version 1 knows no extension: skips those that may be, refuses those that must not.
fn extensions(c: &mut Cursor<'_>) -> Result<()> {
    while c.remaining() > 0 {
        let (kind, length) = (c.u16()?, usize::from(c.u16()?));
        c.take(length)?;
        if kind & EXTENSION_REQUIRED != 0 {
            let what = format!("extension {kind:#x} of the handshake must be understood");
            return Err(Error::unsupported(what).in_field("extension"));
        }
    }
    Ok(())
}

//! Duplicate, error and goodbye: what a sender is told.

use crate::codec::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::net::message::{cut, known_flags, text};

/// Bytes of the text of an error or a goodbye.
pub const TEXT_BYTES_MAX: usize = 2_048;

const FATAL: u16 = 1;
const RETRY: u16 = 2;
const EXPECTED: u16 = 4;
const RETRY_AFTER: u16 = 8;

/// The batch had been stored before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Sequence of its first event, if it is still remembered.
    pub first_sequence: Option<u64>,
}

/// A request failed, or the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Code of the error's kind; codes of later versions are kept as they are.
    pub code: u16,
    /// The sender closes the connection behind this message.
    pub fatal: bool,
    /// Sending the same again later can succeed.
    pub retry: bool,
    /// The batch number that was expected.
    pub expected: Option<u64>,
    /// When a retry makes sense.
    pub retry_after_ms: Option<u32>,
    /// What was wrong and what to do, for people.
    pub message: String,
    /// The field that it is about; empty if none.
    pub field: String,
}

/// The server drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// When to come back.
    pub retry_after_ms: u32,
    /// Why, for people.
    pub message: String,
}

impl Duplicate {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first_sequence.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&u64::from(self.first_sequence.is_some()).to_le_bytes());
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Duplicate> {
        let sequence = c.u64()?;
        match c.u64()? {
            0 => Ok(Duplicate { first_sequence: None }),
            1 => Ok(Duplicate { first_sequence: Some(sequence) }),
            known => Err(Error::invalid(format!("{known} is neither 0 nor 1")).in_field("known")),
        }
    }
}

impl Failure {
    /// What a peer is told about an error.
    #[must_use]
    pub fn of(error: &Error, fatal: bool) -> Failure {
        let policy = error.kind().policy();
        Failure {
            code: policy.tcp_code,
            fatal,
            retry: policy.retry,
            expected: error.expected(),
            retry_after_ms: error.retry_after().map(|ms| ms.min(u64::from(u32::MAX)) as u32),
            message: error.message().to_owned(),
            field: error.field().unwrap_or_default().to_owned(),
        }
    }

    /// The error that the peer told. A code that this build does not know is `Io` if a retry can
    /// help, else `Unsupported`.
    #[must_use]
    pub fn to_error(&self) -> Error {
        let unknown = if self.retry { ErrorKind::Io } else { ErrorKind::Unsupported };
        let kind = ErrorKind::from_tcp_code(self.code).unwrap_or(unknown);
        let mut error = Error::new(kind, self.message.clone());
        if !self.field.is_empty() {
            error = error.in_field(self.field.clone());
        }
        if let Some(expected) = self.expected {
            error = error.expecting(expected);
        }
        match self.retry_after_ms {
            Some(ms) => error.retry_after_ms(u64::from(ms)),
            None => error,
        }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let message = cut(&self.message, TEXT_BYTES_MAX);
        let field = cut(&self.field, TEXT_BYTES_MAX / 2);
        let flags = if self.fatal { FATAL } else { 0 }
            | if self.retry { RETRY } else { 0 }
            | self.expected.map_or(0, |_| EXPECTED)
            | self.retry_after_ms.map_or(0, |_| RETRY_AFTER);
        out.extend_from_slice(&self.code.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.retry_after_ms.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&self.expected.unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&(message.len() as u16).to_le_bytes());
        out.extend_from_slice(&(field.len() as u16).to_le_bytes());
        out.extend_from_slice(message.as_bytes());
        out.extend_from_slice(field.as_bytes());
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Failure> {
        let code = c.u16()?;
        let flags = known_flags(c.u16()?, FATAL | RETRY | EXPECTED | RETRY_AFTER)?;
        let retry_after_ms = Some(c.u32()?).filter(|_| flags & RETRY_AFTER != 0);
        let expected = Some(c.u64()?).filter(|_| flags & EXPECTED != 0);
        let (message_length, field_length) = (usize::from(c.u16()?), usize::from(c.u16()?));
        Ok(Failure {
            code,
            fatal: flags & FATAL != 0,
            retry: flags & RETRY != 0,
            expected,
            retry_after_ms,
            message: text(c, message_length, "message")?,
            field: text(c, field_length, "field")?,
        })
    }
}

impl Goodbye {
    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let message = cut(&self.message, TEXT_BYTES_MAX);
        out.extend_from_slice(&self.retry_after_ms.to_le_bytes());
        out.extend_from_slice(&(message.len() as u16).to_le_bytes());
        out.extend_from_slice(message.as_bytes());
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<Goodbye> {
        let (retry_after_ms, length) = (c.u32()?, usize::from(c.u16()?));
        Ok(Goodbye { retry_after_ms, message: text(c, length, "message")? })
    }
}

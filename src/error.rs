//! The one error type: what was wrong, where, and what the caller can do about it.
//!
//! A kind exists only if a caller would act differently on it; [`ErrorKind::POLICY`] says for each
//! what the HTTP gateway, the TCP protocol and the command line answer, and whether a retry helps.
//! The same table stands in `docs/operations.md`, held equal by a test.

use std::fmt;

/// A result with annal's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. The detail is boxed so that results stay small.
pub struct Error {
    detail: Box<Detail>,
}

struct Detail {
    kind: ErrorKind,
    message: String,
    file: Option<String>,
    offset: Option<u64>,
    field: Option<String>,
    expected: Option<u64>,
    retry_after_ms: Option<u64>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller has to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Stored bytes are not what was written: wrong checksum, impossible length, missing file.
    Corrupt,
    /// The operating system refused an operation on storage or network.
    Io,
    /// The input is malformed or contradicts itself.
    Invalid,
    /// The input is well-formed but larger than a named limit.
    Limit,
    /// A version, codec or feature that this build does not know.
    Unsupported,
    /// No space is left; nothing was stored; reads and retention go on.
    Full,
    /// Too much is in flight, or too many files are open; nothing was stored.
    Busy,
    /// Another process holds the store.
    Locked,
    /// A producer's batch number is not the next one; `expected` says which is.
    OutOfSequence,
    /// A newer epoch of the same producer has appeared.
    Fenced,
    /// The deadline passed before the answer was complete.
    Deadline,
    /// The caller cancelled.
    Cancelled,
    /// The store, connection or server is closing or gone.
    Closed,
    /// A sync failed earlier; the store takes no more writes, and what was in flight may or may not
    /// be stored.
    Poisoned,
}

/// What each interface answers for a kind: one row of [`ErrorKind::POLICY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The kind.
    pub kind: ErrorKind,
    /// Its name in JSON answers, metrics and documents.
    pub name: &'static str,
    /// HTTP status of the gateway.
    pub http_status: u16,
    /// Code in the TCP protocol's error message.
    pub tcp_code: u16,
    /// Exit code of the command line.
    pub exit_code: u8,
    /// Whether sending the same again later can succeed.
    pub retry: bool,
}

const fn policy(
    kind: ErrorKind,
    name: &'static str,
    http_status: u16,
    tcp_code: u16,
    exit_code: u8,
    retry: bool,
) -> Policy {
    Policy { kind, name, http_status, tcp_code, exit_code, retry }
}

impl ErrorKind {
    /// One row per kind, in the order of the TCP codes.
    pub const POLICY: [Policy; 14] = [
        policy(ErrorKind::Corrupt, "Corrupt", 500, 1, 4, false),
        policy(ErrorKind::Io, "Io", 503, 2, 5, true),
        policy(ErrorKind::Invalid, "Invalid", 400, 3, 2, false),
        policy(ErrorKind::Limit, "Limit", 413, 4, 2, false),
        policy(ErrorKind::Unsupported, "Unsupported", 415, 5, 2, false),
        policy(ErrorKind::Full, "Full", 503, 6, 5, true),
        policy(ErrorKind::Busy, "Busy", 429, 7, 3, true),
        policy(ErrorKind::Locked, "Locked", 503, 8, 3, true),
        policy(ErrorKind::OutOfSequence, "OutOfSequence", 409, 9, 1, false),
        policy(ErrorKind::Fenced, "Fenced", 409, 10, 1, false),
        policy(ErrorKind::Deadline, "Deadline", 504, 11, 1, true),
        policy(ErrorKind::Cancelled, "Cancelled", 499, 12, 130, true),
        policy(ErrorKind::Closed, "Closed", 503, 13, 3, true),
        policy(ErrorKind::Poisoned, "Poisoned", 503, 14, 5, false),
    ];

    /// The row of this kind.
    #[must_use]
    pub fn policy(self) -> &'static Policy {
        &Self::POLICY[self as usize]
    }

    /// The kind that a TCP error code names.
    #[must_use]
    pub fn from_tcp_code(code: u16) -> Option<ErrorKind> {
        Self::POLICY.iter().find(|p| p.tcp_code == code).map(|p| p.kind)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.policy().name)
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident $kind:ident;)*) => {
        $($(#[$doc])* #[must_use]
        pub fn $name(message: impl Into<String>) -> Error {
            Error::new(ErrorKind::$kind, message)
        })*
    };
}

impl Error {
    /// An error of this kind; the message says what was wrong and what to do next.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        let detail = Detail {
            kind,
            message: message.into(),
            file: None,
            offset: None,
            field: None,
            expected: None,
            retry_after_ms: None,
            cause: None,
        };
        Error { detail: Box::new(detail) }
    }

    constructors! {
        /// Stored bytes are damaged.
        corrupt Corrupt;
        /// Malformed input.
        invalid Invalid;
        /// A named limit was passed.
        limit Limit;
        /// Unknown version, codec or feature.
        unsupported Unsupported;
        /// Too much in flight.
        busy Busy;
        /// Closing or gone.
        closed Closed;
    }

    /// An operating-system error, with what was attempted. Full disks become [`ErrorKind::Full`], and
    /// what failed because too many files are open becomes [`ErrorKind::Busy`].
    #[must_use]
    pub fn io(attempted: impl Into<String>, cause: std::io::Error) -> Error {
        let full = matches!(
            cause.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        let too_many = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
        let kind = match cause.raw_os_error() {
            _ if full => ErrorKind::Full,
            Some(code) if too_many.iter().any(|e| e.raw_os_error() == code) => ErrorKind::Busy,
            _ => ErrorKind::Io,
        };
        let mut error = Error::new(kind, format!("{}: {cause}", attempted.into()));
        error.detail.cause = Some(Box::new(cause));
        error
    }

    /// Names the file the error is about.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Error {
        self.detail.file.get_or_insert(file.into());
        self
    }

    /// Names the byte offset in the file or input.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Error {
        self.detail.offset.get_or_insert(offset);
        self
    }

    /// Names the field of the input.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Error {
        self.detail.field.get_or_insert(field.into());
        self
    }

    /// Says which batch number was expected.
    #[must_use]
    pub fn expecting(mut self, number: u64) -> Error {
        self.detail.expected = Some(number);
        self
    }

    /// Says when a retry makes sense.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Error {
        self.detail.retry_after_ms = Some(ms);
        self
    }

    /// Whether a call to storage that failed with this has changed nothing and may succeed later:
    /// the disk was full, or a file could not be opened because too many are.
    pub(crate) fn changed_nothing(&self) -> bool {
        matches!(self.detail.kind, ErrorKind::Full | ErrorKind::Busy)
    }

    /// Whether the operating system knows no file of the name.
    pub(crate) fn is_missing(&self) -> bool {
        let cause = self.detail.cause.as_ref().and_then(|c| c.downcast_ref::<std::io::Error>());
        cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::NotFound)
    }

    /// What the caller has to tell apart.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.detail.kind
    }

    /// The message without kind and place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.detail.message
    }

    /// The file, if one is meant.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.detail.file.as_deref()
    }

    /// The byte offset, if one is known.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        self.detail.offset
    }

    /// The field, if one is meant.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.detail.field.as_deref()
    }

    /// The expected batch number of [`ErrorKind::OutOfSequence`].
    #[must_use]
    pub fn expected(&self) -> Option<u64> {
        self.detail.expected
    }

    /// When a retry makes sense, in milliseconds from now.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        self.detail.retry_after_ms
    }
}

impl Clone for Error {
    /// The cause cannot be cloned; its text is part of the message already.
    fn clone(&self) -> Error {
        let d = &self.detail;
        let detail = Detail {
            kind: d.kind,
            message: d.message.clone(),
            file: d.file.clone(),
            offset: d.offset,
            field: d.field.clone(),
            expected: d.expected,
            retry_after_ms: d.retry_after_ms,
            cause: None,
        };
        Error { detail: Box::new(detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = &self.detail;
        f.write_str(&d.message)?;
        if let Some(field) = &d.field {
            write!(f, ", in field {field}")?;
        }
        if let Some(file) = &d.file {
            write!(f, ", in {file}")?;
        }
        if let Some(offset) = d.offset {
            write!(f, ", at offset {offset}")?;
        }
        if let Some(expected) = d.expected {
            write!(f, ", expected {expected}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.detail.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.detail.cause.as_deref().map(|c| c as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_own_policy_row() {
        for (i, row) in ErrorKind::POLICY.iter().enumerate() {
            assert_eq!(row.kind as usize, i);
            assert_eq!(row.kind.policy().kind, row.kind);
            assert_eq!(ErrorKind::from_tcp_code(row.tcp_code), Some(row.kind));
        }
    }

    #[test]
    fn a_full_disk_is_told_apart_from_other_errors() {
        let full = Error::io("write x", std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(full.kind(), ErrorKind::Full);
        let gone = Error::io("open x", std::io::Error::from(std::io::ErrorKind::NotFound));
        assert_eq!(gone.kind(), ErrorKind::Io);
    }
}

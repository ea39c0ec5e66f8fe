//! Reads messages from a socket: each body is one buffer, so that payloads need not be copied.
//!
//! A connection that has nothing to say holds no buffer. A message that is longer than a small read
//! gets a buffer of exactly its length, once the caller has admitted that many bytes; small ones
//! are read into the common buffer, which is there anyway, and cut from it.

use std::future::Future;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::tcp::OwnedReadHalf;

use crate::error::{Error, ErrorKind, Result};
use crate::net::envelope::{HEAD_BYTES, Head};

/// Bytes that are read before anything is known of what comes.
pub(super) const READ_BYTES: usize = 16 << 10;

pub(super) struct Reader {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

impl Reader {
    pub(super) fn new(half: OwnedReadHalf) -> Reader {
        Reader { half, buffer: BytesMut::new() }
    }

    /// The next envelope, which stays in the buffer; `None` if the peer has ended between messages.
    /// It may take `idle` to begin and `message` to be complete from then on.
    pub(super) async fn head(&mut self, idle: Duration, message: Duration) -> Result<Option<Head>> {
        let began = self.buffer.is_empty();
        if began && !within(idle, "nothing came for too long", self.fill(1)).await? {
            return Ok(None);
        }
        if !within(message, UNFINISHED, self.fill(HEAD_BYTES)).await? {
            return Err(Error::invalid("the connection ended inside a message"));
        }
        match self.buffer.first_chunk() {
            Some(head) => Head::decode(head).map(Some),
            None => Err(Error::invalid("the connection ended inside a message")),
        }
    }

    /// Reads on if the message of this envelope fits a small read, which needs no more memory than
    /// its envelope did; says whether the whole of it is there now.
    pub(super) async fn is_here(&mut self, head: &Head, message: Duration) -> Result<bool> {
        if head.message_bytes() > READ_BYTES.max(self.buffer.len()) {
            return Ok(false);
        }
        match within(message, UNFINISHED, self.fill(head.message_bytes())).await? {
            true => Ok(true),
            false => Err(Error::invalid("the connection ended inside a message")),
        }
    }

    /// The body behind the envelope that `head` gave, its checksum held.
    pub(super) async fn body(&mut self, head: &Head, message: Duration) -> Result<Bytes> {
        if !within(message, UNFINISHED, self.fill(head.message_bytes())).await? {
            return Err(Error::invalid("the connection ended inside a message"));
        }
        let body = self.buffer.split_to(head.message_bytes()).freeze().slice(HEAD_BYTES..);
        head.check(&body)?;
        Ok(body)
    }

    /// Reads and drops what still comes, so that closing does not make the kernel take back what
    /// the peer has not read yet.
    pub(super) async fn linger(&mut self, at_most: Duration) {
        let drain = async {
            loop {
                self.buffer.clear();
                match self.fill(1).await {
                    Ok(true) => {}
                    Ok(false) | Err(_) => break,
                }
            }
        };
        // The peer has been told everything already; what it still sends is of no interest.
        let _ = tokio::time::timeout(at_most, drain).await;
    }

    /// Reads until the buffer holds this many bytes; false if the peer ended before.
    async fn fill(&mut self, wanted: usize) -> Result<bool> {
        while self.buffer.len() < wanted {
            self.half.readable().await.map_err(|e| Error::io("wait for bytes", e))?;
            let room = READ_BYTES.max(wanted).saturating_sub(self.buffer.len()).max(1);
            self.buffer.reserve(room);
            match self.half.try_read_buf(&mut (&mut self.buffer).limit(room)) {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    if self.buffer.is_empty() {
                        self.buffer = BytesMut::new();
                    }
                }
                Err(e) => return Err(Error::io("read from the connection", e)),
            }
        }
        Ok(true)
    }
}

const UNFINISHED: &str = "a message was begun and not finished in time";

/// The outcome, or `Deadline` with what did not happen in time.
pub(super) async fn within<T>(
    at_most: Duration,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(at_most, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(ErrorKind::Deadline, format!("{what} ({at_most:?})"))),
    }
}

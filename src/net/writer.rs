//! Tells a client what became of its requests.
//!
//! 1. Appends are answered in the order in which they came; whoever waits for the next one takes
//!    all that are done with it, so that one write carries many answers.
//! 2. Each answered append gives its bytes back as credits, summed up per write.
//! 3. A client that cannot be written to any more stops the connection; what it has sent becomes
//!    durable all the same, and its permits are held until then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot};

use crate::error::ErrorKind::Deadline;
use crate::error::{Error, Result};
use crate::ingest::{Ack, Ingest, Pending};
use crate::net::PROTOCOL;
use crate::net::envelope::NO_REQUEST;
use crate::net::message::{Duplicate, Failure, Message};

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 64 << 10;

/// What became of an append, or will.
pub(super) struct Answer {
    pub(super) request: u64,
    /// Bytes of credit that it took.
    pub(super) bytes: u64,
    pub(super) outcome: Outcome,
}

pub(super) enum Outcome {
    Pending(Pending),
    Refused(Error),
}

/// What the writer is fed from.
pub(super) struct Feed {
    pub(super) answers: mpsc::Receiver<Answer>,
    /// Whole messages beside the answers to appends.
    pub(super) messages: mpsc::Receiver<Vec<u8>>,
    /// The last words, when both others have ended.
    pub(super) last: oneshot::Receiver<Vec<u8>>,
    /// Bytes of credit given back so far.
    pub(super) given_back: Arc<AtomicU64>,
}

pub(super) struct Writer {
    half: OwnedWriteHalf,
    feed: Feed,
    ingest: Ingest,
    write_timeout: Duration,
    /// Dropped when nothing can be written any more.
    broken: Option<oneshot::Sender<()>>,
    waiting: Option<Answer>,
    out: Vec<u8>,
    credits: u64,
}

enum Next {
    Answered,
    Message(Vec<u8>),
    End,
}

impl Writer {
    pub(super) fn new(
        half: OwnedWriteHalf,
        feed: Feed,
        ingest: Ingest,
        write_timeout: Duration,
        broken: oneshot::Sender<()>,
    ) -> Writer {
        let broken = Some(broken);
        let (waiting, out, credits) = (None, Vec::new(), 0);
        Writer { half, feed, ingest, write_timeout, broken, waiting, out, credits }
    }

    /// Until both feeds have ended and the last words are said.
    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Answered => {}
                Next::Message(bytes) => self.out.extend_from_slice(&bytes),
                Next::End => break,
            }
            self.collect_ready().await;
            self.flush().await;
        }
        if let Ok(last) = (&mut self.feed.last).await {
            self.out.extend_from_slice(&last);
            self.flush().await;
        }
        if self.broken.is_some() {
            // A peer that is gone cannot be told the end.
            let _ = self.half.shutdown().await;
        }
    }

    /// The next answer or message; may be dropped while it waits.
    async fn next(&mut self) -> Next {
        let (mut answers_ended, mut messages_ended) = (false, false);
        loop {
            if answers_ended && messages_ended {
                return Next::End;
            }
            let answered = answer(&mut self.waiting, &mut self.feed.answers, &self.ingest);
            tokio::select! {
                biased;
                answered = answered, if !answers_ended => match answered {
                    Some((request, bytes, outcome)) => {
                        self.put(request, bytes, outcome);
                        return Next::Answered;
                    }
                    None => answers_ended = true,
                },
                message = self.feed.messages.recv(), if !messages_ended => match message {
                    Some(bytes) => return Next::Message(bytes),
                    None => messages_ended = true,
                },
            }
        }
    }

    /// Takes along whatever else is ready now.
    async fn collect_ready(&mut self) {
        while self.out.len() < WRITE_BYTES {
            let next = tokio::select! {
                biased;
                next = self.next() => next,
                () = std::future::ready(()) => return,
            };
            match next {
                Next::Answered => {}
                Next::Message(bytes) => self.out.extend_from_slice(&bytes),
                Next::End => return,
            }
        }
    }

    fn put(&mut self, request: u64, bytes: u64, outcome: Result<Ack>) {
        let message = match outcome {
            Ok(Ack { first_sequence: Some(sequence), duplicate: false }) => Message::Ack(sequence),
            Ok(Ack { first_sequence, .. }) => Message::Duplicate(Duplicate { first_sequence }),
            Err(error) => Message::Error(Failure::of(&error, false)),
        };
        message.encode(request, &mut self.out);
        self.credits += bytes;
    }

    async fn flush(&mut self) {
        if self.credits > 0 {
            let credits = std::mem::take(&mut self.credits);
            // Before the client can know: it must not be taken for one that sends too much.
            self.feed.given_back.fetch_add(credits, Ordering::Relaxed);
            Message::Credits(credits).encode(NO_REQUEST, &mut self.out);
        }
        if self.broken.is_some() {
            let written = tokio::time::timeout(self.write_timeout, self.half.write_all(&self.out));
            match written.await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => self.broken = None,
                Err(_elapsed) => {
                    self.ingest.counters().reject(PROTOCOL, Deadline.policy().name, 1);
                    self.broken = None;
                }
            }
        }
        self.out.clear();
        self.out.shrink_to(WRITE_BYTES);
    }
}

/// The outcome of the oldest append without one; may be dropped while it waits.
async fn answer(
    waiting: &mut Option<Answer>,
    answers: &mut mpsc::Receiver<Answer>,
    ingest: &Ingest,
) -> Option<(u64, u64, Result<Ack>)> {
    if waiting.is_none() {
        *waiting = Some(answers.recv().await?);
    }
    let Answer { request, bytes, outcome } = waiting.as_mut()?;
    let outcome = match outcome {
        Outcome::Pending(pending) => {
            let outcome = (&mut *pending).await;
            if let Err(error) = &outcome {
                let reason = error.kind().policy().name;
                ingest.counters().reject(PROTOCOL, reason, pending.events());
            }
            outcome
        }
        Outcome::Refused(error) => Err(error.clone()),
    };
    let told = (*request, *bytes, outcome);
    *waiting = None;
    Some(told)
}

//! What a welcomed client asks for, message by message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::format::frame::FrameHeader;
use crate::ingest::{Pending, Permit};
use crate::net::PROTOCOL;
use crate::net::connection::Context;
use crate::net::envelope::Head;
use crate::net::message::{Kind, Message, split_frame};
use crate::net::queries::Queries;
use crate::net::reader::Reader;
use crate::net::writer::{Answer, Outcome};

/// What a queued batch takes beside its bytes: its summary, its ticket, its place in queues.
const BATCH_OVERHEAD_BYTES: usize = 1 << 10;

pub(super) struct Session<'a> {
    context: &'a Context,
    producer: Option<(ProducerId, u32)>,
    answers: mpsc::Sender<Answer>,
    messages: mpsc::Sender<Vec<u8>>,
    queries: Queries,
    /// Bytes of appends so far.
    taken: u64,
    /// Those that have been answered: the difference never exceeds the credits of the welcome.
    given_back: Arc<AtomicU64>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        context: &'a Context,
        producer: Option<(ProducerId, u32)>,
        answers: mpsc::Sender<Answer>,
        messages: mpsc::Sender<Vec<u8>>,
        given_back: Arc<AtomicU64>,
    ) -> Session<'a> {
        let queries = Queries::new(context.ingest.clone(), messages.clone());
        Session { context, producer, answers, messages, queries, taken: 0, given_back }
    }

    /// Until the client has closed its side; an error ends the connection.
    pub(super) async fn run(&mut self, reader: &mut Reader) -> Result<()> {
        let options = &self.context.options;
        let (idle, message) = (options.idle_timeout, options.message_timeout);
        while let Some(head) = reader.head(idle, message).await? {
            match head.known_kind() {
                Some(Kind::Append) => self.append(head, reader).await?,
                Some(kind) => {
                    let body = reader.body(&head, message).await?;
                    self.other(head.request, Message::decode(kind, &body)?).await?;
                }
                // It says of itself that it may be skipped.
                None => drop(reader.body(&head, message).await?),
            }
        }
        Ok(())
    }

    async fn other(&mut self, request: u64, message: Message) -> Result<()> {
        match message {
            Message::Ping(bytes) => {
                let mut pong = Vec::new();
                Message::Pong(bytes).encode(request, &mut pong);
                self.messages.send(pong).await.map_err(|_| gone())
            }
            Message::Query(query) => {
                named(request)?;
                self.queries.start(request, query).await
            }
            Message::Cancel => {
                self.queries.cancel(request);
                Ok(())
            }
            other => {
                let what = format!("a client sends no message of type {:?}", other.kind());
                Err(Error::invalid(what).in_field("type"))
            }
        }
    }

    /// Reads a batch and queues it; only what is wrong with the stream is an error here.
    async fn append(&mut self, head: Head, reader: &mut Reader) -> Result<()> {
        named(head.request)?;
        let bytes = u64::from(head.length);
        self.charge(bytes)?;
        // Reading stops here while as many appends are unanswered as may be.
        let answers = self.answers.clone();
        let slot = answers.reserve().await.map_err(|_| gone())?;
        let length = head.message_bytes();
        let timeout = self.context.options.message_timeout;
        // What has not come takes nothing of the budget unless `arriving` has room for it.
        let arriving = match reader.is_here(&head, timeout).await? {
            true => None,
            false => Some(self.context.arriving.acquire_many(length as u32).await),
        };
        let permit = self.context.ingest.admit(length + BATCH_OVERHEAD_BYTES).await?;
        let body = reader.body(&head, timeout).await?;
        drop(arriving);
        let outcome = match split_frame(&body) {
            Ok((header, payload)) => match self.queue(header, payload, permit).await {
                Ok(pending) => Outcome::Pending(pending),
                Err(error) => self.refused(error, u64::from(header.events)),
            },
            Err(error) => self.refused(error, 1),
        };
        slot.send(Answer { request: head.request, bytes, outcome });
        Ok(())
    }

    async fn queue(&self, header: FrameHeader, payload: Bytes, permit: Permit) -> Result<Pending> {
        let (id, epoch) = self.producer.unwrap_or((ProducerId([0; 16]), 0));
        if (header.producer_id, header.epoch) != (id, epoch) {
            let what = "the batch names another producer or epoch than the hello did";
            return Err(Error::invalid(what).in_field("producer_id"));
        }
        let (permit, batch) = self.context.ingest.validate(permit, header, payload).await?;
        self.context.ingest.submit(permit, vec![batch])
    }

    fn refused(&self, error: Error, events: u64) -> Outcome {
        self.context.ingest.counters().reject(PROTOCOL, error.kind().policy().name, events);
        Outcome::Refused(error)
    }

    /// Takes credit for an append.
    fn charge(&mut self, bytes: u64) -> Result<()> {
        self.taken += bytes;
        let unanswered = self.taken - self.given_back.load(Ordering::Relaxed);
        let granted = self.context.options.credit_bytes;
        if unanswered <= granted {
            return Ok(());
        }
        let what = format!("{unanswered} bytes of appends are unanswered, {granted} were granted");
        Err(Error::limit(what).in_field("credits"))
    }
}

/// A request that is to be answered has a number.
fn named(request: u64) -> Result<()> {
    if request != 0 {
        return Ok(());
    }
    Err(Error::invalid("request 0 stands for the connection: number requests from 1")
        .in_field("request"))
}

fn gone() -> Error {
    Error::new(crate::ErrorKind::Io, "the client is gone")
}

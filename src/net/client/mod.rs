//! The asynchronous client: appends in order, told once they are durable, across reconnects.
//!
//! A client with a producer id numbers its batches. When the connection is lost it comes back and
//! sends again, under the same numbers, what was not answered; the server recognises what it has
//! stored already, so nothing is lost and nothing stored twice (COM-1). Without a producer id what
//! was unanswered fails with `Closed`: it may or may not be stored.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::column::Batch;
use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::ingest::Ack;
use crate::limits;
use crate::query::Query;

mod driver;
mod link;
mod outbox;
mod stream;

pub use stream::QueryStream;

use driver::{Command, Driver};
use link::Link;
use outbox::{Entry, Outbox};

/// How a client connects.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Program and version, for the people on the other side.
    pub name: String,
    /// Who numbers the batches, and the epoch. The id is the caller's: random for a producer that
    /// starts anew, derived from what is read for one that resumes. One connection speaks for it at
    /// a time, the newest.
    pub producer: Option<(ProducerId, u32)>,
    /// Bytes handed in and not yet acknowledged before [`Client::append`] waits.
    pub unacknowledged_bytes_max: usize,
    /// For connecting and the handshake, each.
    pub connect_timeout: Duration,
    /// Attempts to reconnect, without an acknowledgement in between, before the client gives up.
    pub attempts_max: u32,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            name: concat!("annal-rust ", env!("CARGO_PKG_VERSION")).to_owned(),
            producer: None,
            unacknowledged_bytes_max: 4 * limits::BATCH_STORED_BYTES_MAX,
            connect_timeout: Duration::from_secs(5),
            attempts_max: 40,
        }
    }
}

/// A connection that mends itself; clones share it. When the last clone is dropped, what was handed
/// in is still sent.
#[derive(Clone)]
pub struct Client {
    address: Arc<str>,
    options: Arc<ClientOptions>,
    commands: mpsc::UnboundedSender<Command>,
    unacknowledged: Arc<Semaphore>,
    next_batch_number: Option<u64>,
}

/// An acknowledgement to come: await it, or wait for it on a thread.
#[must_use = "an append that is not waited for may fail unseen"]
pub struct Ticket {
    outcome: oneshot::Receiver<Result<Ack>>,
}

impl Client {
    /// Connects to `host:port`. Errors of this first attempt are the caller's.
    pub async fn connect(address: &str, options: ClientOptions) -> Result<Client> {
        let link = Link::connect(address, &options, options.producer).await?;
        let next_batch_number = link.welcome.next_batch_number;
        let (commands, received) = mpsc::unbounded_channel();
        let bytes_max = options.unacknowledged_bytes_max.min(Semaphore::MAX_PERMITS);
        let client = Client {
            address: address.into(),
            options: Arc::new(options),
            commands,
            unacknowledged: Arc::new(Semaphore::new(bytes_max)),
            next_batch_number,
        };
        let outbox = Outbox::new(client.options.producer);
        let (address, options) = (client.address.clone(), client.options.clone());
        tokio::spawn(Driver::new(address, options, received, outbox).run(link));
        Ok(client)
    }

    /// The number that the first batch handed in gets, as the server told on connecting; `None` if
    /// it did not know the producer. A producer that resumes skips as many.
    #[must_use]
    pub fn next_batch_number(&self) -> Option<u64> {
        self.next_batch_number
    }

    /// Hands a batch in; it is numbered and sent in the order of the calls. Waits while too many
    /// bytes are unacknowledged.
    pub async fn append(&self, batch: Batch) -> Result<Ticket> {
        let bytes = batch.payload().len().min(self.options.unacknowledged_bytes_max).max(1);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let permit = self.unacknowledged.clone().acquire_many_owned(bytes).await;
        let permit = permit.map_err(|_| gone())?;
        let (done, outcome) = oneshot::channel();
        let entry = Entry::new(*batch.header(), batch.payload().clone(), done, Some(permit));
        self.commands.send(Command::Append(entry)).map_err(|_| gone())?;
        Ok(Ticket { outcome })
    }

    /// Asks on a connection of its own; dropping the stream cancels the query.
    pub async fn query(&self, query: &Query) -> Result<QueryStream> {
        QueryStream::ask(&self.address, &self.options, query).await
    }

    /// Whether the server answers.
    pub async fn ping(&self) -> Result<()> {
        let (done, outcome) = oneshot::channel();
        self.commands.send(Command::Ping(done)).map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())
    }

    /// Waits until all that was handed in is answered, and ends the connection.
    pub async fn close(self) {
        let (done, outcome) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            // A client that has given up already is closed.
            let _ = outcome.await;
        }
    }
}

impl Ticket {
    /// Blocks until the batch is durable or failed. Not for threads that run asynchronous tasks.
    pub fn wait(self) -> Result<Ack> {
        self.outcome.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }
}

impl Future for Ticket {
    type Output = Result<Ack>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Ack>> {
        Pin::new(&mut self.outcome).poll(context).map(|told| told.unwrap_or_else(|_| Err(gone())))
    }
}

fn gone() -> Error {
    Error::closed("the client has given up or was closed; unanswered batches may be stored")
}

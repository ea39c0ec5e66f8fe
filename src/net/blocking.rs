//! The client for programs without an asynchronous runtime: one thread of its own does the rest.

use crate::column::Batch;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::net::client::{Client, ClientOptions, QueryStream, Ticket};
use crate::net::message::QueryEnd;
use crate::query::Query;

/// [`Client`], blocking. Not for threads that run asynchronous tasks.
pub struct BlockingClient {
    client: Option<Client>,
    /// Its thread keeps the connection alive and reads acknowledgements between calls.
    runtime: Option<tokio::runtime::Runtime>,
}

impl BlockingClient {
    /// See [`Client::connect`].
    pub fn connect(address: &str, options: ClientOptions) -> Result<BlockingClient> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("annal-client")
            .enable_all()
            .build()
            .map_err(|e| Error::io("start the client's thread", e))?;
        let client = runtime.block_on(Client::connect(address, options))?;
        Ok(BlockingClient { client: Some(client), runtime: Some(runtime) })
    }

    /// See [`Client::next_batch_number`].
    #[must_use]
    pub fn next_batch_number(&self) -> Option<u64> {
        self.client.as_ref().and_then(Client::next_batch_number)
    }

    /// See [`Client::append`]; the ticket's `wait` blocks.
    pub fn append(&self, batch: Batch) -> Result<Ticket> {
        let (client, runtime) = self.parts()?;
        runtime.block_on(client.append(batch))
    }

    /// See [`Client::ping`].
    pub fn ping(&self) -> Result<()> {
        let (client, runtime) = self.parts()?;
        runtime.block_on(client.ping())
    }

    /// Asks; the events come batch by batch.
    pub fn query(&self, query: &Query) -> Result<BlockingQuery<'_>> {
        let (client, runtime) = self.parts()?;
        Ok(BlockingQuery { stream: runtime.block_on(client.query(query))?, runtime })
    }

    /// Waits until all that was handed in is answered, and ends the connection.
    pub fn close(mut self) {
        if let (Some(client), Some(runtime)) = (self.client.take(), self.runtime.as_ref()) {
            runtime.block_on(client.close());
        }
    }

    fn parts(&self) -> Result<(&Client, &tokio::runtime::Runtime)> {
        // Both are there until `close` or `drop`, which take the client itself.
        self.client.as_ref().zip(self.runtime.as_ref()).ok_or_else(|| Error::closed("closed"))
    }
}

impl Drop for BlockingClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Unlike an ordinary drop this may happen anywhere.
            runtime.shutdown_background();
        }
    }
}

/// [`QueryStream`], blocking.
pub struct BlockingQuery<'a> {
    stream: QueryStream,
    runtime: &'a tokio::runtime::Runtime,
}

impl BlockingQuery<'_> {
    /// What it cost and whether there is more, once the iterator has ended.
    #[must_use]
    pub fn end(&self) -> Option<&QueryEnd> {
        self.stream.end()
    }
}

impl Iterator for BlockingQuery<'_> {
    type Item = Result<Vec<Event>>;

    fn next(&mut self) -> Option<Result<Vec<Event>>> {
        self.runtime.block_on(self.stream.next()).transpose()
    }
}

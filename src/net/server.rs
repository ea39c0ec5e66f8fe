//! The server: takes connections, and ends them in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Error, Result};
use crate::ingest::{Ingest, Raised};
use crate::limits;
use crate::net::PROTOCOL;
use crate::net::connection::{Context, serve, told};
use crate::net::envelope::NO_REQUEST;
use crate::net::message::{Failure, Message};
use crate::net::producers::Producers;

/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How a server treats its clients.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// A permit for each connection at a time. Listeners that share descriptors share it.
    pub connections: Arc<Semaphore>,
    /// Bytes of unanswered appends per connection; at least one batch fits.
    pub credit_bytes: u64,
    /// From connecting to a complete hello.
    pub hello_timeout: Duration,
    /// Without a byte from a client.
    pub idle_timeout: Duration,
    /// From a message's first byte to its last.
    pub message_timeout: Duration,
    /// For a client to read what it is told.
    pub write_timeout: Duration,
    /// For the connections to finish when the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            connections: Arc::new(Semaphore::new(limits::CONNECTIONS_MAX)),
            credit_bytes: limits::TCP_CREDIT_BYTES as u64,
            hello_timeout: Duration::from_secs(limits::TCP_HELLO_S_MAX),
            idle_timeout: Duration::from_secs(limits::TCP_IDLE_S_MAX),
            message_timeout: Duration::from_secs(limits::TCP_MESSAGE_S_MAX),
            write_timeout: Duration::from_secs(limits::TCP_WRITE_S_MAX),
            drain_timeout: Duration::from_secs(limits::TCP_DRAIN_S_MAX),
        }
    }
}

/// A listening server; dropped without [`Server::shutdown`] it stops in the middle of things.
#[must_use = "a dropped server stops"]
pub struct Server {
    address: SocketAddr,
    drain: watch::Sender<bool>,
    accepting: JoinHandle<JoinSet<()>>,
    drain_timeout: Duration,
}

impl Server {
    /// Listens on the address (port 0: any free one) and serves the pipeline.
    pub async fn bind(
        address: impl tokio::net::ToSocketAddrs + std::fmt::Display + Clone,
        ingest: Ingest,
        options: ServerOptions,
    ) -> Result<Server> {
        let listener = TcpListener::bind(address.clone()).await;
        let listener = listener.map_err(|e| Error::io(format!("listen on {address}"), e))?;
        Server::serve(listener, ingest, options)
    }

    /// Serves the pipeline on a listener that is there already: who has to know that the address is
    /// free before a store is opened takes it first.
    pub fn serve(listener: TcpListener, ingest: Ingest, options: ServerOptions) -> Result<Server> {
        let address = listener.local_addr().map_err(|e| Error::io("learn the address", e))?;
        let (drain, draining) = watch::channel(false);
        let drain_timeout = options.drain_timeout;
        // What may be incomplete at a time: half the budget, and a longest message in any case.
        let arriving = (ingest.in_flight_bytes_max() / 2).max(limits::BATCH_STORED_BYTES_MAX * 2);
        let context = Arc::new(Context {
            ingest,
            options,
            producers: Arc::new(Producers::default()),
            arriving: Semaphore::new(arriving),
            draining,
        });
        let accepting = tokio::spawn(accept(listener, context));
        Ok(Server { address, drain, accepting, drain_timeout })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections and no more appends, answers what is queued, says goodbye. False
    /// if some connections had to be cut when the time was over.
    pub async fn shutdown(mut self) -> bool {
        self.drain.send_replace(true);
        let Ok(mut connections) = (&mut self.accepting).await else { return false };
        let all = async { while connections.join_next().await.is_some() {} };
        tokio::time::timeout(self.drain_timeout, all).await.is_ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Until the server drains; gives the connections that are left.
async fn accept(listener: TcpListener, context: Arc<Context>) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut draining = context.draining.clone();
    loop {
        tokio::select! {
            biased;
            () = told(&mut draining) => return connections,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => take(stream, &context, &mut connections),
                // Out of descriptors, or a client that left at once: the next one may work.
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            },
        }
    }
}

fn take(stream: TcpStream, context: &Arc<Context>, connections: &mut JoinSet<()>) {
    let Ok(permit) = context.options.connections.clone().try_acquire_owned() else {
        return refuse(&stream, context);
    };
    let open: Raised = context.ingest.counters().tcp_connections.raise();
    let context = context.clone();
    connections.spawn(async move {
        serve(stream, context).await;
        drop((open, permit));
    });
}

fn refuse(stream: &TcpStream, context: &Context) {
    let error = Error::busy("the server has as many connections as it takes");
    context.ingest.counters().reject(PROTOCOL, error.kind().policy().name, 1);
    let mut out = Vec::new();
    Message::Error(Failure::of(&error.retry_after_ms(1_000), true)).encode(NO_REQUEST, &mut out);
    // A fresh socket takes so few bytes; if not, the client sees the connection end.
    let _ = stream.try_write(&out);
}

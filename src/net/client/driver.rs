//! The task behind a client: keeps a connection and moves batches over it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::Ack;
use crate::net::client::ClientOptions;
use crate::net::client::link::{Link, Out, message};
use crate::net::client::outbox::{Answered, Entry, Outbox};
use crate::net::message::Message;

const BACKOFF_MS_MIN: u64 = 20;
const BACKOFF_MS_MAX: u64 = 2_000;
/// A connection is pinged this often within the server's idle time, and given up when so many pings
/// have brought nothing.
const PINGS_PER_IDLE: u32 = 4;
const PING_MS_MIN: u64 = 20;

pub(super) enum Command {
    Append(Entry),
    Ping(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Driver {
    address: Arc<str>,
    options: Arc<ClientOptions>,
    commands: mpsc::UnboundedReceiver<Command>,
    outbox: Outbox,
    /// No command will come any more.
    closing: bool,
    closed: Vec<oneshot::Sender<()>>,
    pings: Vec<oneshot::Sender<()>>,
    /// Attempts to connect since something was acknowledged.
    attempts: u32,
}

/// Why a connection has ended.
enum End {
    /// All is answered and nobody wants more.
    Done,
    /// Lost; worth another attempt after so many milliseconds.
    Lost(Error, Option<u64>),
    /// Another attempt would fail alike.
    Refused(Error),
}

impl Driver {
    pub(super) fn new(
        address: Arc<str>,
        options: Arc<ClientOptions>,
        commands: mpsc::UnboundedReceiver<Command>,
        outbox: Outbox,
    ) -> Driver {
        let (closed, pings) = (Vec::new(), Vec::new());
        Driver { address, options, commands, outbox, closing: false, closed, pings, attempts: 0 }
    }

    pub(super) async fn run(mut self, first: Link) {
        let mut link = first;
        let error = loop {
            let end = self.connected(link).await;
            self.outbox.lost();
            let (error, wait_ms) = match end {
                End::Done => break gone(),
                End::Refused(error) => break error,
                End::Lost(error, wait_ms) => (error, wait_ms),
            };
            if self.closing && self.outbox.is_empty() {
                break error;
            }
            match self.reconnect(error, wait_ms).await {
                Ok(new) => link = new,
                Err(error) => break error,
            }
        };
        self.outbox.fail(&error);
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            self.take(command);
        }
        self.outbox.fail(&error);
        self.closed.into_iter().for_each(|done| {
            // Whoever waited for the end may have stopped waiting.
            let _ = done.send(());
        });
    }

    async fn reconnect(&mut self, mut error: Error, mut wait_ms: Option<u64>) -> Result<Link> {
        loop {
            self.attempts += 1;
            if self.attempts > self.options.attempts_max {
                return Err(error);
            }
            let wait_ms = wait_ms.take().unwrap_or_else(|| self.backoff_ms());
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            match Link::connect(&self.address, &self.options, self.options.producer).await {
                Ok(link) => return Ok(link),
                Err(e) if is_final(&e) => return Err(e),
                Err(e) => error = e,
            }
        }
    }

    /// Doubles with each attempt; spread by the attempt's hash, so that the producers of a fleet do
    /// not come back all at once.
    fn backoff_ms(&self) -> u64 {
        let doublings = self.attempts.saturating_sub(1).min(16);
        let ms = (BACKOFF_MS_MIN << doublings).min(BACKOFF_MS_MAX);
        let id = self.options.producer.map_or([0; 16], |(id, _)| id.0);
        let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&id, u64::from(self.attempts));
        ms * 3 / 4 + (hash % ms) / 2
    }

    async fn connected(&mut self, link: Link) -> End {
        self.outbox.welcomed(&link.welcome);
        let ping_ms = u64::from(link.welcome.idle_ms_max / PINGS_PER_IDLE).max(PING_MS_MIN);
        let mut ticks = tokio::time::interval(Duration::from_millis(ping_ms));
        let (mut reader, out) = link.split();
        let (mut silent, mut goodbye) = (0, None);
        let mut later: Option<std::pin::Pin<Box<tokio::time::Sleep>>> = None;
        loop {
            if self.closing && self.outbox.is_empty() {
                return End::Done;
            }
            if later.is_none() && goodbye.is_none() && !self.send(&out) {
                let what = "the connection cannot be written to any more";
                return End::Lost(Error::closed(what), None);
            }
            tokio::select! {
                biased;
                read = message(&mut reader) => {
                    silent = 0;
                    let told = match read {
                        Ok(Some((request, message))) => self.told(request, message),
                        Ok(None) => {
                            let what = "the server has ended the connection";
                            return End::Lost(Error::closed(what), goodbye);
                        }
                        Err(error) => Err(End::Lost(error, goodbye)),
                    };
                    match told {
                        Ok(Told::Nothing) => {}
                        Ok(Told::Later(ms)) => later = Some(Box::pin(sleep(ms))),
                        Ok(Told::Goodbye(ms)) => goodbye = Some(ms),
                        Err(end) => return end,
                    }
                }
                command = self.commands.recv(), if !self.closing => match command {
                    Some(Command::Ping(done)) => {
                        self.pings.push(done);
                        out.message(self.outbox.request(), &Message::Ping(Bytes::new()));
                    }
                    Some(command) => self.take(command),
                    None => self.closing = true,
                },
                () = async { later.as_mut().expect("polled only if there").await },
                    if later.is_some() => later = None,
                _ = ticks.tick() => {
                    silent += 1;
                    if silent > PINGS_PER_IDLE {
                        let what = "the server does not answer any more";
                        return End::Lost(Error::closed(what), None);
                    }
                    out.message(self.outbox.request(), &Message::Ping(Bytes::new()));
                }
            }
        }
    }

    fn send(&mut self, out: &Out) -> bool {
        while let Some(outgoing) = self.outbox.next() {
            if !out.send(outgoing) {
                return false;
            }
        }
        true
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(entry) => self.outbox.push(entry),
            Command::Ping(done) => self.pings.push(done),
            Command::Close(done) => {
                self.closed.push(done);
                self.closing = true;
            }
        }
    }

    fn told(&mut self, request: u64, message: Message) -> Result<Told, End> {
        let answered = match message {
            Message::Ack(sequence) => {
                self.attempts = 0;
                let ack = Ack { first_sequence: Some(sequence), duplicate: false };
                self.outbox.acknowledged(request, ack)
            }
            Message::Duplicate(duplicate) => {
                self.attempts = 0;
                let first_sequence = duplicate.first_sequence;
                self.outbox.acknowledged(request, Ack { first_sequence, duplicate: true })
            }
            Message::Error(failure) if failure.fatal => {
                let error = failure.to_error();
                let wait_ms = error.retry_after();
                return Err(match is_final(&error) {
                    true => End::Refused(error),
                    false => End::Lost(error, wait_ms),
                });
            }
            Message::Error(failure) => self.outbox.refused(request, &failure),
            Message::Credits(bytes) => {
                self.outbox.granted(bytes);
                return Ok(Told::Nothing);
            }
            Message::Pong(_) => {
                for done in self.pings.drain(..) {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                return Ok(Told::Nothing);
            }
            Message::Goodbye(goodbye) => {
                return Ok(Told::Goodbye(u64::from(goodbye.retry_after_ms)));
            }
            other => Err(Error::invalid(format!("a server sends no {:?} here", other.kind()))),
        };
        match answered {
            Ok(Answered::Done) => Ok(Told::Nothing),
            Ok(Answered::Later(ms)) => Ok(Told::Later(ms)),
            Err(error) => Err(End::Lost(error, None)),
        }
    }
}

enum Told {
    Nothing,
    Later(u64),
    Goodbye(u64),
}

/// Whether a new connection would be refused for the same reason.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Unsupported)
}

fn gone() -> Error {
    super::gone()
}

fn sleep(ms: u64) -> tokio::time::Sleep {
    tokio::time::sleep(Duration::from_millis(ms))
}

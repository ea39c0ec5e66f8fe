//! One connection, from hello to the last word.
//!
//! 1. Hello and welcome; the connection takes over from an older one of the same producer.
//! 2. Appends are read, admitted, validated and queued; reading goes on while earlier ones wait for
//!    their sync. What is wrong with a batch is told to its sender and ends nothing.
//! 3. What is wrong with the stream (checksum, length, type, credits) ends the connection, after
//!    what was queued before has been answered and the error told.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::Ingest;
use crate::limits;
use crate::net::envelope::NO_REQUEST;
use crate::net::message::{Failure, Goodbye, Hello, Kind, Message, Welcome};
use crate::net::producers::{Held, Producers};
use crate::net::reader::{Reader, within};
use crate::net::server::ServerOptions;
use crate::net::session::Session;
use crate::net::writer::{Answer, Feed, Writer};
use crate::net::{PROTOCOL, PROTOCOL_VERSION};

/// Appends that wait for their answer behind the one whose answer is awaited; one more is being
/// read. Together they are those that may be in flight.
const ANSWERS_WAITING: usize = limits::TCP_APPENDS_IN_FLIGHT_MAX - 2;
/// Messages beside the answers to appends that wait for the writer.
const MESSAGES_WAITING: usize = 8;
/// When clients should try a server again that goes away.
const COME_BACK_MS: u32 = 1_000;

/// What the connections of a server share.
pub(super) struct Context {
    pub(super) ingest: Ingest,
    pub(super) options: ServerOptions,
    pub(super) producers: Arc<Producers>,
    /// Bounds what unfinished long messages hold of the byte budget: slow senders cannot take all
    /// of it.
    pub(super) arriving: tokio::sync::Semaphore,
    pub(super) draining: watch::Receiver<bool>,
}

/// Why a connection ends.
enum End {
    /// The client has closed its side, or is gone.
    Client,
    /// The server stops.
    Drain,
    /// The stream cannot go on, and the client is told why.
    Failed(Error),
}

pub(super) async fn serve(stream: TcpStream, context: Arc<Context>) {
    // Without it small answers wait for the peer's delayed acknowledgements; slower, not wrong.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let mut reader = Reader::new(read);
    let (answers, answers_out) = mpsc::channel(ANSWERS_WAITING);
    let (messages, messages_out) = mpsc::channel(MESSAGES_WAITING);
    let (last, last_out) = oneshot::channel();
    let (broken, is_broken) = oneshot::channel();
    let given_back = Arc::new(AtomicU64::new(0));
    let feed = Feed {
        answers: answers_out,
        messages: messages_out,
        last: last_out,
        given_back: given_back.clone(),
    };
    let timeout = context.options.write_timeout;
    let writer = Writer::new(write, feed, context.ingest.clone(), timeout, broken);
    let writer = tokio::spawn(writer.run());

    let mut draining = context.draining.clone();
    let end = tokio::select! {
        end = talk(&mut reader, &context, answers, messages.clone(), given_back) => end,
        _ = is_broken => End::Client,
        () = told(&mut draining) => End::Drain,
    };
    let mut words = Vec::new();
    match end {
        End::Client => {}
        End::Drain => {
            let message = "the server stops: send again later".to_owned();
            let goodbye = Goodbye { retry_after_ms: COME_BACK_MS, message };
            Message::Goodbye(goodbye).encode(NO_REQUEST, &mut words);
            // At once, so that the client stops sending; if the queue is full, the end will tell.
            let _ = messages.try_send(std::mem::take(&mut words));
        }
        End::Failed(error) => {
            context.ingest.counters().reject(PROTOCOL, error.kind().policy().name, 1);
            Message::Error(Failure::of(&error, true)).encode(NO_REQUEST, &mut words);
        }
    }
    drop(messages);
    // A writer that is gone has nobody to tell.
    let _ = last.send(words);
    let _ = writer.await;
    reader.linger(Duration::from_secs(limits::TCP_LINGER_S_MAX)).await;
}

/// Until the server drains.
pub(super) async fn told(draining: &mut watch::Receiver<bool>) {
    // A server that is gone without a word drains no less.
    let _ = draining.wait_for(|drains| *drains).await;
}

/// Until the connection ends; dropped at any await it leaves nothing half done.
async fn talk(
    reader: &mut Reader,
    context: &Context,
    answers: mpsc::Sender<Answer>,
    messages: mpsc::Sender<Vec<u8>>,
    given_back: Arc<AtomicU64>,
) -> End {
    let timeout = context.options.hello_timeout;
    let hello = match within(timeout, "no hello came", hello(reader, timeout)).await {
        Ok(Some(hello)) => hello,
        Ok(None) => return End::Client,
        Err(error) => return ended(error),
    };
    let (held, next) = match introduce(context, &hello).await {
        Ok(introduced) => introduced,
        Err(error) => return End::Failed(error),
    };
    let mut welcome = Vec::new();
    Message::Welcome(welcome_to(context, next)).encode(NO_REQUEST, &mut welcome);
    if messages.send(welcome).await.is_err() {
        return End::Client;
    }
    let mut session = Session::new(context, hello.producer, answers, messages, given_back);
    tokio::select! {
        outcome = session.run(reader) => match outcome {
            Ok(()) => End::Client,
            Err(error) => ended(error),
        },
        () = revoked(held.as_ref()) => {
            let what = "a newer connection speaks for this producer";
            End::Failed(Error::new(ErrorKind::Fenced, what))
        }
    }
}

fn ended(error: Error) -> End {
    match error.kind() {
        ErrorKind::Io => End::Client,
        _ => End::Failed(error),
    }
}

async fn revoked(held: Option<&Held>) {
    match held {
        Some(held) => held.revoked().await,
        None => std::future::pending().await,
    }
}

async fn hello(reader: &mut Reader, timeout: Duration) -> Result<Option<Hello>> {
    let Some(head) = reader.head(timeout, timeout).await? else { return Ok(None) };
    if head.known_kind() != Some(Kind::Hello) {
        return Err(Error::invalid("a connection begins with a hello").in_field("type"));
    }
    match Message::decode(Kind::Hello, &reader.body(&head, timeout).await?)? {
        Message::Hello(hello) => Ok(Some(hello)),
        other => unreachable!("decoded as {:?}", other.kind()),
    }
}

/// Checks the version, and takes over the producer: who speaks for it, and its next number.
async fn introduce(context: &Context, hello: &Hello) -> Result<(Option<Held>, Option<u64>)> {
    if !(hello.version_oldest..=hello.version_newest).contains(&PROTOCOL_VERSION) {
        let (oldest, newest) = (hello.version_oldest, hello.version_newest);
        let what = format!(
            "the client speaks versions {oldest} to {newest} of the protocol, this server \
             {PROTOCOL_VERSION}"
        );
        return Err(Error::unsupported(what).in_field("version"));
    }
    let Some((id, epoch)) = hello.producer else { return Ok((None, None)) };
    // Who is fenced itself must not end the connection of a newer epoch.
    context.ingest.next_batch_number(id, epoch)?;
    let held = context.producers.claim(id).await;
    Ok((Some(held), context.ingest.next_batch_number(id, epoch)?))
}

fn welcome_to(context: &Context, next_batch_number: Option<u64>) -> Welcome {
    let idle_ms = context.options.idle_timeout.as_millis();
    Welcome {
        version: PROTOCOL_VERSION,
        batch_stored_bytes_max: limits::BATCH_STORED_BYTES_MAX as u32,
        batch_raw_bytes_max: limits::BATCH_RAW_BYTES_MAX as u32,
        batch_events_max: limits::BATCH_EVENTS_MAX as u32,
        appends_in_flight_max: limits::TCP_APPENDS_IN_FLIGHT_MAX as u32,
        idle_ms_max: u32::try_from(idle_ms).unwrap_or(u32::MAX),
        credit_bytes: context.options.credit_bytes,
        next_batch_number,
        name: concat!("annal ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

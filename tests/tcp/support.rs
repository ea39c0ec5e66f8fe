//! A store in a temporary directory behind a server, and events that can be told apart.
#![allow(dead_code, unreachable_pub, reason = "each test and bench uses its part")]

use std::sync::Arc;

use annal::column::{Field, Table};
use annal::event::{Attribute, Kind, Resource, Signal, Value};
use annal::ingest::{Ingest, IngestOptions};
use annal::net::envelope::{HEAD_BYTES, Parsed, parse};
use annal::net::message::{Failure, Hello, Message, Welcome};
use annal::net::{ClientOptions, Server, ServerOptions};
use annal::{Batch, BatchBuilder, Event, Options, ProducerId, SpanId, Store, Timestamp, TraceId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const PRODUCER: ProducerId = ProducerId([7; 16]);
/// 2022-08-22T12:00:00Z.
pub const NOON_NS: i64 = 1_661_169_600_000_000_000;

/// A server on a free port, and what is behind it.
pub struct Served {
    pub address: String,
    pub ingest: Ingest,
    pub store: Store,
    pub server: Server,
    pub directory: tempfile::TempDir,
}

impl Served {
    pub async fn start() -> Served {
        Served::start_with(ServerOptions::default()).await
    }

    pub async fn start_with(options: ServerOptions) -> Served {
        Served::start_in(tempfile::tempdir().unwrap(), options, IngestOptions::default()).await
    }

    pub async fn start_in(
        directory: tempfile::TempDir,
        options: ServerOptions,
        ingest: IngestOptions,
    ) -> Served {
        let (store, _) = Store::open(Options::new(directory.path())).unwrap();
        let ingest = Ingest::new(store.clone(), ingest);
        let server = Server::bind("127.0.0.1:0", ingest.clone(), options).await.unwrap();
        let address = server.local_address().to_string();
        Served { address, ingest, store, server, directory }
    }

    /// The numbers of all stored events, in ascending order; repeated if stored twice.
    pub fn events(&self) -> Vec<u64> {
        numbers_in(&self.store)
    }

    /// What was refused over TCP for this reason.
    pub fn rejected(&self, reason: &str) -> u64 {
        let rows = self.ingest.counters().rejected();
        let row = rows.iter().find(|r| r.protocol == "tcp" && r.reason == reason);
        row.map_or(0, |r| r.count)
    }

    /// Stops in good order.
    pub async fn stop(self) -> tempfile::TempDir {
        assert!(self.server.shutdown().await, "no connection had to be cut");
        self.ingest.close().await.unwrap();
        self.directory
    }
}

/// The numbers of all visible events, read frame by frame.
pub fn numbers_in(store: &Store) -> Vec<u64> {
    let mut numbers = Vec::new();
    for segment in store.snapshot().segments() {
        let directory = segment.directory().unwrap();
        for entry in segment.frames(&directory) {
            let (_, view) = segment.read(entry).unwrap();
            let times = view.ints(view.find(Table::Events, Field::Time).unwrap()).unwrap();
            numbers.extend(times.values.iter().map(|t| (t - NOON_NS) as u64));
        }
    }
    numbers.sort_unstable();
    numbers
}

pub fn options() -> ClientOptions {
    ClientOptions { producer: Some((PRODUCER, 1)), ..ClientOptions::default() }
}

/// The event of this number; its time tells it.
pub fn event(number: u64) -> Event {
    let text = |key: &str, value: &str| Attribute::new(key, Value::String(value.to_owned()));
    Event {
        time: Timestamp(NOON_NS + number as i64),
        signal: Signal::Span,
        source: "cart".into(),
        event_type: format!("operation {}", number % 7),
        trace_id: Some(TraceId(u128::from(number / 10 + 1).to_be_bytes())),
        span_id: Some(SpanId((number + 1).to_be_bytes())),
        duration: Some(number as i64 * 31 % 1_000_000),
        kind: Kind::Server,
        attributes: vec![
            text("http.request.method", "GET"),
            text("user.id", &format!("u-{}", number % 1_000)),
        ],
        resource: Arc::new(Resource {
            attributes: vec![text("service.name", "cart")],
            ..Resource::default()
        }),
        ..Event::default()
    }
}

/// Events of consecutive numbers.
pub fn batch(first: u64, events: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for number in first..first + events {
        builder.push(&event(number)).unwrap();
    }
    builder.finish().unwrap()
}

/// The body of an append.
pub fn frame(batch: &Batch) -> Vec<u8> {
    [&batch.header().encode()[..], batch.payload()].concat()
}

/// The batch that a producer would send under this number.
pub fn numbered(first: u64, events: u64, number: u64) -> Batch {
    batch(first, events).numbered(PRODUCER, 1, number)
}

pub fn hello() -> Message {
    Message::Hello(Hello {
        version_oldest: 1,
        version_newest: 1,
        producer: Some((PRODUCER, 1)),
        name: "raw".into(),
    })
}

/// A client without manners: sends any bytes, reads message by message.
pub struct Raw {
    pub stream: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: &str) -> Raw {
        Raw { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// Connected and welcomed.
    pub async fn welcomed(address: &str) -> (Raw, Welcome) {
        let mut raw = Raw::connect(address).await;
        raw.send(0, &hello()).await;
        match raw.next().await.unwrap().1 {
            Message::Welcome(welcome) => (raw, welcome),
            other => panic!("{other:?}"),
        }
    }

    pub async fn send(&mut self, request: u64, message: &Message) {
        let mut out = Vec::new();
        message.encode(request, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    pub async fn append(&mut self, request: u64, frame: Vec<u8>) {
        self.send(request, &Message::Append(frame.into())).await;
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<(u64, Message)> {
        loop {
            if let Parsed::Message(head, body) = parse(&self.read).unwrap() {
                let body = bytes::Bytes::copy_from_slice(body);
                let message = Message::decode(head.known_kind().unwrap(), &body).unwrap();
                self.read.drain(..HEAD_BYTES + body.len());
                return Some((head.request, message));
            }
            let read = self.stream.read_buf(&mut self.read).await.unwrap_or(0);
            if read == 0 {
                return None;
            }
        }
    }

    /// The next message that is neither credits nor a pong.
    pub async fn answer(&mut self) -> Option<(u64, Message)> {
        loop {
            match self.next().await {
                Some((_, Message::Credits(_) | Message::Pong(_))) => {}
                other => return other,
            }
        }
    }

    /// The error that comes next.
    pub async fn failure(&mut self) -> (u64, Failure) {
        match self.answer().await {
            Some((request, Message::Error(failure))) => (request, failure),
            other => panic!("{other:?}"),
        }
    }
}

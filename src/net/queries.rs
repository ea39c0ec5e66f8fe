//! Questions of one connection, answered beside its appends.
//!
//! An answer is made page by page: a query thread finds and encodes a page, then the connection
//! sends it, so that a client that reads slowly holds a page in memory and no thread. The cursor
//! makes pages neither repeat nor skip while new events arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::HashMap;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::column::{Batch, BatchBuilder};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ingest::Ingest;
use crate::limits;
use crate::net::message::{Failure, Message, QueryData, QueryEnd, QueryText};
use crate::query::{Query, Scanned};
use crate::time::Timestamp;

/// Events that are found and encoded at a time.
const PAGE_EVENTS: usize = 8_192;
/// Bytes of events that are found and encoded at a time.
const PAGE_BYTES: usize = 8 << 20;

/// The questions of a connection; dropped, it cancels them.
pub(super) struct Queries {
    ingest: Ingest,
    messages: mpsc::Sender<Vec<u8>>,
    running: HashMap<u64, Running, foldhash::fast::FixedState>,
}

struct Running {
    cancel: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.task.abort();
    }
}

impl Queries {
    pub(super) fn new(ingest: Ingest, messages: mpsc::Sender<Vec<u8>>) -> Queries {
        Queries { ingest, messages, running: HashMap::default() }
    }

    /// Begins to answer; what is wrong with the question is told to the client.
    pub(super) async fn start(&mut self, request: u64, text: QueryText) -> Result<()> {
        self.running.retain(|_, running| !running.task.is_finished());
        if self.running.contains_key(&request) {
            let what = format!("query {request} is being answered already");
            return Err(Error::invalid(what).in_field("request"));
        }
        let cancel = Arc::new(AtomicBool::new(false));
        let query = match self.running.len() < limits::TCP_QUERIES_MAX {
            true => query_of(&text, cancel.clone()),
            false => Err(Error::busy("too many queries at a time on one connection")),
        };
        let answer = match query {
            Ok(query) => Asked {
                request,
                query,
                cancel: cancel.clone(),
                ingest: self.ingest.clone(),
                messages: self.messages.clone(),
            },
            Err(error) => {
                // A writer that is gone ends the connection elsewhere.
                let _ = self.messages.send(failure(&error, request)).await;
                return Ok(());
            }
        };
        let task = tokio::spawn(answer.run()).abort_handle();
        self.running.insert(request, Running { cancel, task });
        Ok(())
    }

    /// Stops answering, if it is still being answered: the query ends with `Cancelled`.
    pub(super) fn cancel(&mut self, request: u64) {
        if let Some(running) = self.running.get(&request) {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }
}

struct Asked {
    request: u64,
    query: Query,
    cancel: Arc<AtomicBool>,
    ingest: Ingest,
    messages: mpsc::Sender<Vec<u8>>,
}

/// Tells the client if a query thread has panicked: it would wait for ever.
struct Unfinished {
    request: u64,
    messages: Option<mpsc::Sender<Vec<u8>>>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(messages) = self.messages.take().filter(|_| std::thread::panicking()) {
            let error = Error::new(crate::ErrorKind::Io, "the query failed by a fault of annal's");
            // A connection whose queue is full gets its end by the deadline instead.
            let _ = messages.try_send(failure(&error, self.request));
        }
    }
}

/// A page, encoded.
struct Page {
    data: Vec<Vec<u8>>,
    end: QueryEnd,
}

impl Asked {
    async fn run(self) {
        let mut unfinished =
            Unfinished { request: self.request, messages: Some(self.messages.clone()) };
        let outcome = self.pages().await;
        unfinished.messages = None;
        let last = match outcome {
            Ok(Some(end)) => {
                let mut out = Vec::new();
                Message::QueryEnd(end).encode(self.request, &mut out);
                out
            }
            Ok(None) => return,
            Err(error) => failure(&error, self.request),
        };
        // A connection that has ended waits for nothing.
        let _ = self.messages.send(last).await;
    }

    /// Sends page after page; `None` if the connection has ended.
    async fn pages(&self) -> Result<Option<QueryEnd>> {
        let clock = self.ingest.clock().clone();
        let started_ns = clock.monotonic_ns();
        let mut total = QueryEnd::default();
        let mut query = self.query.clone();
        let mut wanted = query.limit;
        loop {
            let spent_ms = (clock.monotonic_ns() - started_ns) / 1_000_000;
            query.deadline_ms = self.query.deadline_ms.saturating_sub(spent_ms);
            query.limit = wanted.min(PAGE_EVENTS);
            let (page, request) = (query.clone(), self.request);
            let Page { data, end } =
                self.ingest.query(move |snapshot| find(&snapshot, &page, request)).await?;
            for message in data {
                if self.cancel.load(Ordering::Relaxed) {
                    return Err(Error::new(crate::ErrorKind::Cancelled, "the query was cancelled"));
                }
                if self.messages.send(message).await.is_err() {
                    return Ok(None);
                }
            }
            wanted = wanted.saturating_sub(usize::try_from(end.events).unwrap_or(usize::MAX));
            total.events += end.events;
            (total.truncated, total.next) = (end.truncated, end.next);
            add(&mut total.scanned, &end.scanned);
            if wanted == 0 || end.events == 0 || end.next.is_none() || !end.truncated {
                return Ok(Some(total));
            }
            query.cursor = end.next;
        }
    }
}

/// Finds a page and encodes it; runs on a query thread.
fn find(snapshot: &crate::Snapshot, query: &Query, request: u64) -> Result<Page> {
    let answer = snapshot.query(query)?;
    let end = QueryEnd {
        truncated: answer.truncated,
        next: answer.next,
        events: answer.events.len() as u64,
        scanned: answer.scanned,
    };
    Ok(Page { data: encode(&answer.events, request)?, end })
}

/// As many messages as the events need, in their order.
fn encode(events: &[Event], request: u64) -> Result<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    let mut builder = BatchBuilder::new();
    let mut first = 0;
    for (at, event) in events.iter().enumerate() {
        // An event that does not fit beside those before it fits a batch of its own: it has once.
        if builder.is_full() || (builder.push(event).is_err() && at > first) {
            put(&mut builder, events.get(first..at).unwrap_or_default(), request, &mut messages)?;
            first = at;
            builder.push(event)?;
        }
    }
    if first < events.len() {
        put(&mut builder, events.get(first..).unwrap_or_default(), request, &mut messages)?;
    }
    Ok(messages)
}

fn put(
    builder: &mut BatchBuilder,
    events: &[Event],
    request: u64,
    messages: &mut Vec<Vec<u8>>,
) -> Result<()> {
    let data = QueryData {
        sequences: events.iter().map(|e| e.sequence).collect(),
        received: events.iter().map(|e| e.received).collect::<Vec<Timestamp>>(),
        frame: frame_of(&builder.finish()?),
    };
    let mut out = Vec::new();
    Message::QueryData(data).encode(request, &mut out);
    messages.push(out);
    Ok(())
}

fn frame_of(batch: &Batch) -> Bytes {
    let header = batch.header().encode();
    let mut frame = BytesMut::with_capacity(header.len() + batch.payload().len());
    frame.put_slice(&header);
    frame.put_slice(batch.payload());
    frame.freeze()
}

fn failure(error: &Error, request: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Message::Error(Failure::of(error, false)).encode(request, &mut out);
    out
}

fn query_of(text: &QueryText, cancel: Arc<AtomicBool>) -> Result<Query> {
    let mut query = text.to_query()?;
    query.bytes_max = PAGE_BYTES;
    query.cancel = Some(cancel);
    Ok(query)
}

fn add(total: &mut Scanned, page: &Scanned) {
    total.segments = total.segments.max(page.segments);
    total.segments_pruned = total.segments_pruned.max(page.segments_pruned);
    total.frames = total.frames.max(page.frames);
    total.frames_pruned = total.frames_pruned.max(page.frames_pruned);
    total.events_read += page.events_read;
    total.events_matched += page.events_matched;
    total.bytes_read += page.bytes_read;
}

//! Where batches go: a store in this process, or a server over TCP. Both take many before the first
//! is acknowledged, and both store a numbered batch once however often it is sent.

use std::collections::VecDeque;
use std::path::PathBuf;

use annal::{Batch, ErrorKind, Options, ProducerId, Store, Ticket, limits};

use super::target::TCP_DEFAULT;
use crate::exit::{Failure, Outcome};

/// `--data DIR` or `--url URL`; neither: the server at the default address.
#[derive(Clone, Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Destination {
    /// Write into this store's directory; no server may be writing it.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Send to this server: tcp://HOST:PORT [default: tcp://127.0.0.1:7071]
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

impl Destination {
    /// Opens the store or connects to the server.
    pub(crate) fn open(&self) -> Outcome<Box<dyn Sink>> {
        if let Some(directory) = &self.data {
            return Ok(Box::new(StoreSink::open(Options::new(directory))?));
        }
        let default = format!("tcp://{TCP_DEFAULT}");
        let url = self.url.as_ref().unwrap_or(&default);
        Err(Failure::usage(format!("{url}: sending is not built in")))
    }
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Events stored now.
    pub(crate) events: u64,
    /// Batches stored now.
    pub(crate) batches: u64,
    /// Batches that had been stored before.
    pub(crate) duplicates: u64,
    /// Events in them.
    pub(crate) events_before: u64,
}

impl Totals {
    fn add(&mut self, events: u64, duplicate: bool) {
        if duplicate {
            self.duplicates += 1;
            self.events_before += events;
        } else {
            self.batches += 1;
            self.events += events;
        }
    }
}

/// Takes batches and sees to it that they become durable.
pub(crate) trait Sink {
    /// From here on batches are numbered from 0 for this producer.
    fn begin(&mut self, producer: ProducerId) -> Outcome<()>;
    /// Queues a batch; waits while too much is in flight.
    fn send(&mut self, batch: Batch) -> Outcome<()>;
    /// Waits until everything sent is durable.
    fn flush(&mut self) -> Outcome<Totals>;
    /// Flushes and ends the connection or closes the store.
    fn close(self: Box<Self>) -> Outcome<Totals>;
}

/// A store in this process.
pub(crate) struct StoreSink {
    store: Store,
    producer: ProducerId,
    next: u64,
    in_flight: VecDeque<(Ticket, u64)>,
    totals: Totals,
}

impl StoreSink {
    /// Opens the store for writing.
    pub(crate) fn open(options: Options) -> Outcome<StoreSink> {
        let (store, _) = Store::open(options)?;
        Ok(StoreSink {
            store,
            producer: ProducerId([0; 16]),
            next: 0,
            in_flight: VecDeque::new(),
            totals: Totals::default(),
        })
    }

    /// Waits for the oldest batch; `false` if there is none.
    fn wait_for_one(&mut self) -> Outcome<bool> {
        let Some((ticket, events)) = self.in_flight.pop_front() else { return Ok(false) };
        let ack = ticket.wait()?;
        self.totals.add(events, ack.duplicate);
        Ok(true)
    }
}

impl Sink for StoreSink {
    fn begin(&mut self, producer: ProducerId) -> Outcome<()> {
        self.flush()?;
        self.producer = producer;
        self.next = 0;
        Ok(())
    }

    fn send(&mut self, batch: Batch) -> Outcome<()> {
        let events = batch.events() as u64;
        let batch = batch.numbered(self.producer, 0, self.next);
        while self.in_flight.len() >= limits::PRODUCER_BATCHES_MAX {
            self.wait_for_one()?;
        }
        loop {
            match self.store.append(batch.clone()) {
                Ok(ticket) => {
                    self.in_flight.push_back((ticket, events));
                    self.next += 1;
                    return Ok(());
                }
                // What is in flight makes room; if nothing is, the store itself is busy.
                Err(error) if error.kind() == ErrorKind::Busy && self.wait_for_one()? => {}
                Err(error) => return Err(Failure::from(error)),
            }
        }
    }

    fn flush(&mut self) -> Outcome<Totals> {
        while self.wait_for_one()? {}
        Ok(self.totals)
    }

    fn close(mut self: Box<Self>) -> Outcome<Totals> {
        let flushed = self.flush();
        let closed = self.store.close();
        let totals = flushed?;
        closed?;
        Ok(totals)
    }
}

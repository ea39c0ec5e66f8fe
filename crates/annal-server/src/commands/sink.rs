//! Where batches go: a store in this process, or a server over TCP. Both take many before the first
//! is acknowledged, and both store a numbered batch once however often it is sent.

use std::collections::VecDeque;
use std::path::PathBuf;

use annal::net::{BlockingClient, ClientOptions};
use annal::store::Ack;
use annal::{Batch, ErrorKind, Options, ProducerId, Store, limits};

use super::target::TCP_DEFAULT;
use crate::exit::{self, Failure, Outcome};

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
    /// Opens the store, or gets ready to connect to the server.
    pub(crate) fn open(&self) -> Outcome<Sink> {
        if let Some(directory) = &self.data {
            // Nobody else sends: what waits for compaction holds up no one.
            let options =
                Options { compaction_debt_bytes_max: u64::MAX, ..Options::new(directory) };
            let (store, _) = Store::open(options)?;
            return Ok(Sink::new(To::Store { store, producer: NOBODY, next: 0 }));
        }
        let url = self.url.clone().unwrap_or_else(|| format!("tcp://{TCP_DEFAULT}"));
        let Some(address) = url.strip_prefix("tcp://") else {
            return Err(Failure::usage(format!("--url {url}: sending goes over tcp://HOST:PORT")));
        };
        let address = address.trim_end_matches('/').to_owned();
        Ok(Sink::new(To::Server { address, client: None }))
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
pub(crate) struct Sink {
    to: To,
    /// Batches that the other side has already, of those to come.
    skip: u64,
    in_flight: VecDeque<(Waiting, u64)>,
    totals: Totals,
}

enum To {
    Store { store: Store, producer: ProducerId, next: u64 },
    Server { address: String, client: Option<BlockingClient> },
}

enum Waiting {
    Store(annal::Ticket),
    Server(annal::net::Ticket),
}

impl Waiting {
    fn wait(self) -> annal::Result<Ack> {
        match self {
            Waiting::Store(ticket) => ticket.wait(),
            Waiting::Server(ticket) => ticket.wait(),
        }
    }
}

const NOBODY: ProducerId = ProducerId([0; 16]);

impl Sink {
    fn new(to: To) -> Sink {
        Sink { to, skip: 0, in_flight: VecDeque::new(), totals: Totals::default() }
    }

    /// From here on batches are numbered from 0 for this producer. Those that it has had stored are
    /// passed over: as many of the first as the other side knows.
    pub(crate) fn begin(&mut self, id: ProducerId) -> Outcome<()> {
        self.flush()?;
        let known = match &mut self.to {
            To::Store { store, producer, next } => {
                *producer = id;
                *next = store.next_batch_number(id, 0)?.unwrap_or(0);
                *next
            }
            To::Server { address, client } => {
                if let Some(before) = client.take() {
                    before.close();
                }
                let name = concat!("annal ", env!("CARGO_PKG_VERSION")).to_owned();
                let options =
                    ClientOptions { name, producer: Some((id, 0)), ..ClientOptions::default() };
                let connected = BlockingClient::connect(address, options)
                    .map_err(|e| unreachable(address, &e))?;
                client.insert(connected).next_batch_number().unwrap_or(0)
            }
        };
        self.skip = known;
        Ok(())
    }

    /// Queues a batch; waits while too much is in flight.
    pub(crate) fn send(&mut self, batch: Batch) -> Outcome<()> {
        let events = batch.events() as u64;
        if self.skip > 0 {
            self.skip -= 1;
            self.totals.add(events, true);
            return Ok(());
        }
        while self.in_flight.len() >= limits::PRODUCER_BATCHES_MAX {
            self.wait_for_one()?;
        }
        let waiting = self.hand_over(batch)?;
        self.in_flight.push_back((waiting, events));
        Ok(())
    }

    fn hand_over(&mut self, batch: Batch) -> Outcome<Waiting> {
        loop {
            let taken = match &mut self.to {
                To::Store { store, producer, next } => {
                    let taken = store.append(batch.clone().numbered(*producer, 0, *next));
                    *next += u64::from(taken.is_ok());
                    taken.map(Waiting::Store)
                }
                To::Server { client: Some(client), .. } => {
                    client.append(batch.clone()).map(Waiting::Server)
                }
                To::Server { client: None, .. } => {
                    return Err(Failure::new(exit::UNREACHABLE, "not connected"));
                }
            };
            match taken {
                Ok(waiting) => return Ok(waiting),
                // What is in flight makes room; if nothing is, the store itself is busy.
                Err(error) if error.kind() == ErrorKind::Busy && self.wait_for_one()? => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Waits for the oldest batch; `false` if there is none.
    fn wait_for_one(&mut self) -> Outcome<bool> {
        let Some((waiting, events)) = self.in_flight.pop_front() else { return Ok(false) };
        let ack = waiting.wait().map_err(|e| self.failure(&e))?;
        self.totals.add(events, ack.duplicate);
        Ok(true)
    }

    /// Waits until everything sent is durable.
    pub(crate) fn flush(&mut self) -> Outcome<Totals> {
        while self.wait_for_one()? {}
        Ok(self.totals)
    }

    /// Flushes and ends the connection or closes the store.
    pub(crate) fn close(mut self) -> Outcome<Totals> {
        let flushed = self.flush();
        match self.to {
            To::Store { store, .. } => store.close()?,
            To::Server { client, .. } => client.into_iter().for_each(BlockingClient::close),
        }
        flushed
    }

    fn failure(&self, error: &annal::Error) -> Failure {
        match &self.to {
            To::Server { address, .. } if is_network(error.kind()) => unreachable(address, error),
            _ => Failure::from(error.clone()),
        }
    }
}

/// On the way to a server these mean the way, not the disk.
fn is_network(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Io | ErrorKind::Closed)
}

fn unreachable(address: &str, error: &annal::Error) -> Failure {
    if !is_network(error.kind()) {
        return Failure::from(error.clone()).during(format!("tcp://{address}"));
    }
    let what =
        format!("tcp://{address} cannot be reached: {error}; is `annal serve` running there?");
    Failure::new(exit::UNREACHABLE, what)
}

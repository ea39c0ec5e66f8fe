//! SIGKILL, over and over, under load: what was acknowledged is there, nothing is there twice, and
//! verify finds no damage.
//!
//! One client lives through all kills: it reconnects and sends again what was not answered.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annal::event::Signal;
use annal::net::{BlockingClient, ClientOptions, Ticket};
use annal::query::By;
use annal::{Batch, BatchBuilder, Event, Options, ProducerId, Query, Store, TimeRange, Timestamp};
use support::{Server, expect, text};

/// Kills in CI; `ANNAL_KILLS` asks for more.
const KILLS: u64 = 50;
const BATCH_EVENTS: u64 = 40;
const IN_FLIGHT: usize = 48;

fn type_of(number: u64) -> String {
    format!("batch-{number}")
}

fn batch(number: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for i in 0..BATCH_EVENTS {
        let time = Timestamp(1_661_169_600_000_000_000 + (number * BATCH_EVENTS + i) as i64);
        let event = Event {
            time,
            signal: Signal::Event,
            source: "producer".into(),
            event_type: type_of(number),
            ..Event::default()
        };
        builder.push(&event).unwrap();
    }
    builder.finish().unwrap()
}

/// Sends batches until told to stop; gives how many were sent, all of them acknowledged.
fn produce(address: &str, stop: &AtomicBool) -> u64 {
    let options = ClientOptions {
        producer: Some((ProducerId([9; 16]), 0)),
        attempts_max: 10_000,
        ..ClientOptions::default()
    };
    // The first connection may meet a kill, too, and is the caller's to repeat.
    let client = loop {
        if let Ok(client) = BlockingClient::connect(address, options.clone()) {
            break client;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut in_flight: VecDeque<Ticket> = VecDeque::new();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        in_flight.push_back(client.append(batch(sent)).unwrap());
        sent += 1;
        if in_flight.len() >= IN_FLIGHT {
            in_flight.pop_front().unwrap().wait().unwrap();
        }
    }
    for ticket in in_flight {
        ticket.wait().unwrap();
    }
    client.close();
    sent
}

/// Events per batch, as the store has them.
fn stored(data: &Path) -> BTreeMap<String, u64> {
    let store = Store::open_read_only(Options::new(data)).unwrap();
    let by = By { event_type: true, ..By::default() };
    let counts = store.snapshot().count(&Query::new(TimeRange::ALL), by).unwrap().counts;
    counts.into_iter().map(|c| (c.event_type.unwrap(), c.count)).collect()
}

#[test]
fn killed_under_load_again_and_again_nothing_acknowledged_is_lost_and_nothing_is_doubled() {
    let kills = std::env::var("ANNAL_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let first = Server::start(&data);
    let address = first.tcp.replace("tcp://", "");
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&address, &stop));
        let mut server = Some(first);
        for kill in 0..kills {
            std::thread::sleep(Duration::from_millis(kill * 37 % 90));
            server.take().unwrap().kill();
            if kill % 10 == 9 {
                assert!(expect(0, &["verify", "--data", text(&data)]).is_empty());
                for (name, events) in stored(&data) {
                    assert_eq!(events, BATCH_EVENTS, "{name} after kill {kill}");
                }
            }
            server = Some(Server::start_at(&data, &address, &["--segment-bytes", "256KiB"]));
        }
        stop.store(true, Ordering::Relaxed);
        let sent = producer.join().unwrap();
        assert_eq!(server.unwrap().terminate().0, Some(0));
        sent
    });
    let found = stored(&data);
    assert_eq!(found.len() as u64, sent);
    for number in 0..sent {
        assert_eq!(found.get(&type_of(number)), Some(&BATCH_EVENTS), "{}", type_of(number));
    }
    assert!(expect(0, &["verify", "--data", text(&data)]).is_empty());
    println!("{kills} kills, {sent} batches");
    assert!(sent > IN_FLIGHT as u64 + kills, "{sent} batches: hardly any load to kill under");
}

//! Sends events to a running server and asks for them again:
//! `cargo run --example tcp_producer -- 127.0.0.1:7071`.
//!
//! Batches are sent in a pipeline; each ticket says when its batch is durable. If the connection is
//! lost in between, the client comes back and nothing is stored twice.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use annal::event::{Attribute, Signal, Value};
use annal::net::{BlockingClient, ClientOptions};
use annal::time::{Clock, SystemClock};
use annal::{BatchBuilder, Event, ProducerId, Query, TimeRange, Timestamp};

fn main() -> annal::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7071".to_owned());
    let now = SystemClock::new().now();
    // Unique enough for an example; a real producer draws 128 random bits.
    let producer = ProducerId((u128::from(std::process::id()) << 64 | now.0 as u128).to_be_bytes());
    let options = ClientOptions { producer: Some((producer, 0)), ..ClientOptions::default() };
    let client = BlockingClient::connect(&address, options)?;

    let mut builder = BatchBuilder::new();
    let mut tickets = Vec::new();
    for batch in 0..10 {
        for at in 0..1_000 {
            builder.push(&Event {
                time: Timestamp(now.0 + batch * 1_000 + at),
                signal: Signal::Event,
                source: "example".into(),
                event_type: "tick".into(),
                attributes: vec![Attribute::new("batch", Value::Int(batch))],
                ..Event::default()
            })?;
        }
        tickets.push(client.append(builder.finish()?)?);
    }
    for ticket in tickets {
        let ack = ticket.wait()?;
        println!("durable from sequence {:?}", ack.first_sequence);
    }

    let query = Query::new(TimeRange::ALL).source("example").filter(".batch = 9")?.limit(5);
    let mut answer = client.query(&query)?;
    for event in answer.by_ref().collect::<annal::Result<Vec<_>>>()?.concat() {
        println!("{} {} {}", event.time, event.source, event.event_type);
    }
    if let Some(end) = answer.end() {
        println!("{} events read for {} given", end.scanned.events_read, end.events);
    }
    drop(answer);
    client.close();
    Ok(())
}

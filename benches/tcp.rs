//! Ingest over TCP end to end: client, server, validation, log, fdatasync, acknowledgement.
//!
//! Client and server share this machine's cores. One iteration sends all batches in a pipeline and
//! waits until the last is durable; `encoded` has them made before, `encoding` makes them from
//! events on the way.
#![allow(clippy::unwrap_used, reason = "a bench that cannot run ends")]
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

#[path = "../tests/tcp/support.rs"]
mod support;

use annal::net::{BlockingClient, ClientOptions};
use annal::{Batch, Event};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::{Served, batch, event};

const BATCHES: u64 = 32;
const EVENTS: u64 = 2_000;

fn send(client: &BlockingClient, batches: impl Iterator<Item = Batch>) {
    let tickets: Vec<_> = batches.map(|b| client.append(b).unwrap()).collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
}

fn ingest(c: &mut Criterion) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let served = runtime.block_on(Served::start());
    let client = BlockingClient::connect(&served.address, ClientOptions::default()).unwrap();
    let batches: Vec<Batch> = (0..BATCHES).map(|i| batch(i * EVENTS, EVENTS)).collect();
    let events: Vec<Event> = (0..EVENTS).map(event).collect();
    let mut group = c.benchmark_group("tcp");
    group.throughput(Throughput::Elements(BATCHES * EVENTS)).sample_size(20);
    group.bench_function("encoded", |b| {
        b.iter(|| send(&client, batches.iter().cloned()));
    });
    group.bench_function("encoding", |b| {
        let mut builder = annal::BatchBuilder::new();
        b.iter(|| {
            let encode = |_| {
                events.iter().for_each(|e| builder.push(e).unwrap());
                builder.finish().unwrap()
            };
            send(&client, (0..BATCHES).map(encode));
        });
    });
    group.finish();
    client.close();
    runtime.block_on(served.stop());
}

criterion_group!(benches, ingest);
criterion_main!(benches);

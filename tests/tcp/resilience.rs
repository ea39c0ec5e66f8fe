//! Lost connections and stopping servers: nothing acknowledged is lost, nothing is stored twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use annal::ingest::IngestOptions;
use annal::net::message::{Duplicate, Message};
use annal::net::{Client, ServerOptions};
use annal::{Options, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Raw, Served, batch, frame, numbered, numbers_in, options};

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_lost_ack_is_answered_duplicate_and_stored_once() {
    let served = Served::start().await;
    let (mut raw, _) = Raw::welcomed(&served.address).await;
    raw.append(1, frame(&numbered(0, 10, 0))).await;
    let Some((1, Message::Ack(sequence))) = raw.answer().await else { panic!("no ack") };
    drop(raw);
    let (mut raw, welcome) = Raw::welcomed(&served.address).await;
    assert_eq!(welcome.next_batch_number, Some(1));
    raw.append(9, frame(&numbered(0, 10, 0))).await;
    let duplicate = Duplicate { first_sequence: Some(sequence) };
    assert_eq!(raw.answer().await, Some((9, Message::Duplicate(duplicate))));
    assert_eq!(served.events(), (0..10).collect::<Vec<_>>());
    assert_eq!(served.ingest.counters().duplicates(), 1);
    drop(raw);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_connection_of_a_producer_ends_the_older_one() {
    let served = Served::start().await;
    let (mut old, _) = Raw::welcomed(&served.address).await;
    let (mut new, _) = Raw::welcomed(&served.address).await;
    let (request, failure) = old.failure().await;
    assert_eq!((request, failure.fatal), (0, true));
    assert_eq!(failure.to_error().kind(), annal::ErrorKind::Fenced);
    new.append(1, frame(&numbered(0, 10, 0))).await;
    assert!(matches!(new.answer().await, Some((1, Message::Ack(_)))));
    drop((old, new));
    served.stop().await;
}

/// Passes bytes on and cuts each connection after so many, drawn from a seed.
struct Proxy {
    address: String,
    cuts: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
}

impl Proxy {
    async fn start(target: String, seed: u64, bytes_max: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cuts, stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, calm) = (cuts.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut state = seed;
            while let Ok((client, _)) = listener.accept().await {
                // xorshift64 (Marsaglia 2003).
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let server = TcpStream::connect(&target).await.unwrap();
                let limit = if calm.load(Ordering::Relaxed) { u64::MAX } else { state % bytes_max };
                let cuts = counted.clone();
                tokio::spawn(async move {
                    let left = Arc::new(AtomicU64::new(limit));
                    let (client_read, client_write) = client.into_split();
                    let (server_read, server_write) = server.into_split();
                    // Whichever direction ends first ends both, in the middle of anything.
                    tokio::select! {
                        () = pass(client_read, server_write, left.clone()) => {}
                        () = pass(server_read, client_write, left) => {}
                    }
                    cuts.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Proxy { address, cuts, stopped }
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    left: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 1 << 12];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let before =
            left.fetch_sub((read as u64).min(left.load(Ordering::Relaxed)), Ordering::Relaxed);
        let passed = read.min(usize::try_from(before).unwrap_or(usize::MAX));
        if to.write_all(&buffer[..passed]).await.is_err() || passed < read {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_batch_is_stored_exactly_once_through_a_line_that_is_cut_at_random() {
    for seed in 1..=4u64 {
        let served = Served::start().await;
        let proxy = Proxy::start(served.address.clone(), seed * 0x9e37_79b9, 10_000).await;
        let patient = annal::net::ClientOptions { attempts_max: 1_000, ..options() };
        let client = loop {
            // The first connection may be cut during the handshake.
            match Client::connect(&proxy.address, patient.clone()).await {
                Ok(client) => break client,
                Err(error) => assert_ne!(error.kind(), annal::ErrorKind::Invalid, "{error:?}"),
            }
        };
        let mut tickets = Vec::new();
        for at in 0..150 {
            tickets.push(client.append(batch(at * 20, 20)).await.unwrap());
        }
        for ticket in tickets {
            ticket.await.unwrap();
        }
        assert!(proxy.cuts.load(Ordering::Relaxed) > 2, "seed {seed}: the line was never cut");
        assert_eq!(served.events(), (0..3_000).collect::<Vec<_>>(), "seed {seed}");
        proxy.stopped.store(true, Ordering::Relaxed);
        client.close().await;
        served.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_batches_between_good_ones_leave_no_gap_even_on_a_bad_line() {
    let served = Served::start().await;
    let proxy = Proxy::start(served.address.clone(), 77, 8_000).await;
    let patient = annal::net::ClientOptions { attempts_max: 1_000, ..options() };
    let client = loop {
        if let Ok(client) = Client::connect(&proxy.address, patient.clone()).await {
            break client;
        }
    };
    let mut tickets = Vec::new();
    for at in 0..100u64 {
        // Every seventh batch lies a year ahead: refused by the server, whatever it comes behind.
        let made = if at % 7 == 3 { far_ahead() } else { batch(at * 10, 10) };
        tickets.push((at, client.append(made).await.unwrap()));
    }
    let mut wanted = Vec::new();
    for (at, ticket) in tickets {
        match ticket.await {
            Ok(_) => wanted.extend(at * 10..at * 10 + 10),
            Err(error) => assert_eq!((at % 7, error.field()), (3, Some("time")), "{error:?}"),
        }
    }
    assert_eq!(wanted.len(), 10 * (0..100).filter(|at| at % 7 != 3).count());
    assert_eq!(served.events(), wanted);
    proxy.stopped.store(true, Ordering::Relaxed);
    client.close().await;
    served.stop().await;
}

fn far_ahead() -> annal::Batch {
    let mut builder = annal::BatchBuilder::new();
    let now = annal::time::Clock::now(&annal::time::SystemClock::new());
    let time = annal::Timestamp(now.0 + 365 * 86_400 * 1_000_000_000);
    builder.push(&annal::Event { time, ..crate::support::event(0) }).unwrap();
    builder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_keeps_what_it_has_acknowledged_and_the_client_goes_on_with_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let served =
        Served::start_in(directory, ServerOptions::default(), IngestOptions::default()).await;
    let address = served.address.clone();
    let patient = annal::net::ClientOptions { attempts_max: 1_000, ..options() };
    let client = Client::connect(&address, patient).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let counted = acknowledged.clone();
    let sender = tokio::spawn(async move {
        let mut tickets = std::collections::VecDeque::new();
        for at in 0..400 {
            tickets.push_back(client.append(batch(at * 10, 10)).await.unwrap());
            if tickets.len() > 20 {
                tickets.pop_front().unwrap().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
        for ticket in tickets {
            ticket.await.unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
        }
        client.close().await;
    });
    while acknowledged.load(Ordering::Relaxed) < 50 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let Served { server, ingest, store, directory, .. } = served;
    assert!(server.shutdown().await);
    let told = acknowledged.load(Ordering::Relaxed);
    ingest.close().await.unwrap();
    drop((ingest, store));
    let (store, report) = Store::open(Options::new(directory.path())).unwrap();
    assert!(report.clean);
    let kept = numbers_in(&store);
    assert!(kept.len() as u64 >= told * 10);
    assert_eq!(kept, (0..kept.len() as u64).collect::<Vec<_>>(), "a prefix of what was sent");
    let ingest = annal::ingest::Ingest::new(store.clone(), IngestOptions::default());
    let server = annal::net::Server::bind(&*address, ingest.clone(), ServerOptions::default());
    let server = server.await.unwrap();
    sender.await.unwrap();
    assert_eq!(numbers_in(&store), (0..4_000).collect::<Vec<_>>());
    server.shutdown().await;
    ingest.close().await.unwrap();
}

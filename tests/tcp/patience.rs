//! Slow, silent and greedy peers: each is waited for so long and no longer.

use std::time::Duration;

use annal::ErrorKind;
use annal::ingest::IngestOptions;
use annal::net::message::Message;
use annal::net::{Client, ServerOptions};
use tokio::io::AsyncWriteExt;

use crate::support::{Raw, Served, batch, frame, numbered, options};

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn who_says_no_hello_is_sent_away() {
    let options = ServerOptions { hello_timeout: SHORT, ..ServerOptions::default() };
    let served = Served::start_with(options).await;
    for sent in [&b""[..], b"\x28\x00\x00"] {
        let mut raw = Raw::connect(&served.address).await;
        raw.stream.write_all(sent).await.unwrap();
        let (_, failure) = raw.failure().await;
        assert_eq!(failure.to_error().kind(), ErrorKind::Deadline);
    }
    assert_eq!(served.rejected("Deadline"), 2);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_silent_for_too_long_is_taken_for_gone_and_who_pings_is_not() {
    let short = ServerOptions { idle_timeout: SHORT * 3, ..ServerOptions::default() };
    let served = Served::start_with(short).await;
    // The client pings of its own accord, as often as the welcome asks for.
    let client = Client::connect(&served.address, options()).await.unwrap();
    let (mut raw, _) = {
        let mut raw = Raw::connect(&served.address).await;
        let anonymous = annal::net::message::Hello {
            version_oldest: 1,
            version_newest: 1,
            producer: None,
            name: String::new(),
        };
        raw.send(0, &Message::Hello(anonymous)).await;
        let welcome = raw.next().await;
        (raw, welcome)
    };
    let (_, failure) = raw.failure().await;
    assert_eq!(failure.to_error().kind(), ErrorKind::Deadline);
    tokio::time::sleep(SHORT * 6).await;
    client.append(batch(0, 10)).await.unwrap().await.unwrap();
    assert_eq!(served.rejected("Deadline"), 1);
    client.close().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_never_ends_is_given_up() {
    let short = ServerOptions { message_timeout: SHORT, ..ServerOptions::default() };
    let served = Served::start_with(short).await;
    let (mut raw, _) = Raw::welcomed(&served.address).await;
    let mut whole = Vec::new();
    Message::Append(frame(&numbered(0, 4_000, 0)).into()).encode(1, &mut whole);
    raw.stream.write_all(&whole[..whole.len() - 1]).await.unwrap();
    let (_, failure) = raw.failure().await;
    assert_eq!(failure.to_error().kind(), ErrorKind::Deadline);
    drop(raw);
    assert_eq!(served.events(), []);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_is_cut_off_and_delays_nobody() {
    let short = ServerOptions { write_timeout: SHORT, ..ServerOptions::default() };
    let served = Served::start_with(short).await;
    let (mut raw, _) = Raw::welcomed(&served.address).await;
    let mut ping = Vec::new();
    Message::Ping(vec![0; 64].into()).encode(1, &mut ping);
    let flood = tokio::spawn(async move {
        let many = ping.repeat(1_000);
        // Until the server has had enough.
        while raw.stream.write_all(&many).await.is_ok() {}
    });
    let anonymous = annal::net::ClientOptions { producer: None, ..options() };
    let client = Client::connect(&served.address, anonymous).await.unwrap();
    let mut at = 0;
    while served.rejected("Deadline") == 0 {
        client.append(batch(at, 10)).await.unwrap().await.unwrap();
        at += 10;
    }
    flood.await.unwrap();
    client.close().await;
    assert_eq!(served.events(), (0..at).collect::<Vec<_>>());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_was_granted_is_refused_and_the_client_never_sends_it() {
    let credit_bytes = 2_000;
    let tight = ServerOptions { credit_bytes, ..ServerOptions::default() };
    let served = Served::start_with(tight).await;
    let client = Client::connect(&served.address, options()).await.unwrap();
    let mut tickets = Vec::new();
    for at in 0..100 {
        tickets.push(client.append(batch(at * 10, 10)).await.unwrap());
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
    client.close().await;
    let (mut raw, welcome) = Raw::welcomed(&served.address).await;
    assert_eq!(welcome.credit_bytes, credit_bytes);
    // One message that costs more than all that was granted.
    let batch = batch(2_000, 4_000).numbered(crate::support::PRODUCER, 1, 100);
    assert!(frame(&batch).len() as u64 > credit_bytes);
    raw.append(1, frame(&batch)).await;
    let (request, failure) = raw.failure().await;
    assert_eq!((request, failure.fatal, &*failure.field), (0, true, "credits"));
    assert_eq!(served.events(), (0..1_000).collect::<Vec<_>>());
    drop(raw);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_byte_budget_makes_senders_wait_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let ingest = IngestOptions { in_flight_bytes_max: 64 << 10, ..IngestOptions::default() };
    let served = Served::start_in(directory, ServerOptions::default(), ingest).await;
    let mut tasks = Vec::new();
    for id in 0..4u8 {
        let own = annal::net::ClientOptions {
            producer: Some((annal::ProducerId([id + 1; 16]), 0)),
            ..options()
        };
        let client = Client::connect(&served.address, own).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut tickets = Vec::new();
            for at in 0..20 {
                let first = u64::from(id) * 10_000 + at * 500;
                tickets.push(client.append(batch(first, 500)).await.unwrap());
            }
            for ticket in tickets {
                ticket.await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(served.ingest.in_flight_bytes(), 0);
    assert_eq!(served.events(), (0..40_000).collect::<Vec<_>>());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_messages_that_never_come_take_nothing_from_the_others() {
    let patient = ServerOptions { message_timeout: SHORT * 200, ..ServerOptions::default() };
    let directory = tempfile::tempdir().unwrap();
    let ingest = IngestOptions { in_flight_bytes_max: 64 << 10, ..IngestOptions::default() };
    let served = Served::start_in(directory, patient, ingest).await;
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect(&served.address).await;
        let hello = annal::net::message::Hello {
            version_oldest: 1,
            version_newest: 1,
            producer: None,
            name: String::new(),
        };
        raw.send(0, &Message::Hello(hello)).await;
        let mut begun = Vec::new();
        Message::Ping(Vec::new().into()).encode(1, &mut begun);
        let behind_ping = begun.len() + annal::net::envelope::HEAD_BYTES;
        Message::Append(vec![0; 10_000].into()).encode(2, &mut begun);
        raw.stream.write_all(&begun[..behind_ping]).await.unwrap();
        // Welcome, then the pong: the envelope behind it has been read, too.
        assert!(matches!(raw.next().await, Some((_, Message::Welcome(_)))));
        assert!(matches!(raw.next().await, Some((1, Message::Pong(_)))));
        idle.push(raw);
    }
    let client = Client::connect(&served.address, options()).await.unwrap();
    for at in 0..50 {
        client.append(batch(at * 10, 10)).await.unwrap().await.unwrap();
        assert_eq!(served.ingest.in_flight_bytes(), 0, "an idle sender holds bytes");
    }
    assert_eq!(served.rejected("Deadline"), 0, "nobody had to be given up for that");
    client.close().await;
    drop(idle);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so() {
    let connections = std::sync::Arc::new(tokio::sync::Semaphore::new(1));
    let few = ServerOptions { connections, ..ServerOptions::default() };
    let served = Served::start_with(few).await;
    let first = Client::connect(&served.address, options()).await.unwrap();
    let error = Client::connect(&served.address, options()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.retry_after().is_some());
    first.append(batch(0, 10)).await.unwrap().await.unwrap();
    first.close().await;
    served.stop().await;
}

//! The TCP protocol end to end: a store on disk, a server, clients.
#![cfg(feature = "net")]
#![allow(clippy::disallowed_methods, reason = "uses sockets, threads and directories of its own")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tcp/abuse.rs"]
mod abuse;
#[path = "tcp/patience.rs"]
mod patience;
#[path = "tcp/python.rs"]
mod python;
#[path = "tcp/resilience.rs"]
mod resilience;
#[path = "tcp/support.rs"]
mod support;

use annal::net::{BlockingClient, Client, ClientOptions};
use annal::query::Order;
use annal::{ProducerId, Query, TimeRange};
use support::{PRODUCER, Served, batch, event, options};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_stored_and_comes_back_in_the_order_asked_for() {
    let served = Served::start().await;
    let client = Client::connect(&served.address, options()).await.unwrap();
    assert_eq!(client.next_batch_number(), None);
    client.ping().await.unwrap();
    let mut tickets = Vec::new();
    for first in (0..1_000).step_by(100) {
        tickets.push(client.append(batch(first, 100)).await.unwrap());
    }
    for (at, ticket) in tickets.into_iter().enumerate() {
        let ack = ticket.await.unwrap();
        assert!(!ack.duplicate);
        assert_eq!(ack.first_sequence, Some(at as u64 * 100));
    }
    let query = Query::new(TimeRange::ALL).source("cart").limit(950).order(Order::Oldest);
    let (events, end) = client.query(&query).await.unwrap().collect().await.unwrap();
    assert_eq!(events.len(), 950);
    for (at, found) in events.iter().enumerate() {
        let mut wanted = event(at as u64);
        (wanted.sequence, wanted.received) = (at as u64, found.received);
        wanted.resource = found.resource.clone();
        assert_eq!(*found, wanted);
    }
    assert!(end.truncated && end.next.is_some());
    assert_eq!(end.events, 950);
    let rest = query.after(end.next.unwrap());
    let (events, end) = client.query(&rest).await.unwrap().collect().await.unwrap();
    assert_eq!((events.len(), end.truncated), (50, false));
    client.close().await;
    let counters = served.ingest.counters();
    assert_eq!((counters.accepted_events(), counters.accepted_batches()), (1_000, 10));
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_comes_back_is_told_where_it_was() {
    let served = Served::start().await;
    for round in 0..3u64 {
        let client = Client::connect(&served.address, options()).await.unwrap();
        assert_eq!(client.next_batch_number(), (round > 0).then_some(round * 2));
        for at in 0..2 {
            let ticket = client.append(batch(round * 20 + at * 10, 10)).await.unwrap();
            assert!(!ticket.await.unwrap().duplicate);
        }
        client.close().await;
    }
    assert_eq!(served.events(), (0..60).collect::<Vec<_>>());
    served.stop().await;
}

#[test]
fn the_blocking_client_appends_pings_and_asks() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let served = runtime.block_on(Served::start());
    let client = BlockingClient::connect(&served.address, options()).unwrap();
    client.ping().unwrap();
    let tickets: Vec<_> = (0..5).map(|i| client.append(batch(i * 10, 10)).unwrap()).collect();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    let mut answer = client.query(&Query::new(TimeRange::ALL).limit(20)).unwrap();
    let events: Vec<_> = answer.by_ref().flat_map(Result::unwrap).collect();
    assert_eq!(events.len(), 20);
    assert!(answer.end().unwrap().truncated);
    client.close();
    assert_eq!(served.events().len(), 50);
    runtime.block_on(served.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_no_message_holds_is_the_callers_error_and_names_the_field() {
    let served = Served::start().await;
    let client = Client::connect(&served.address, options()).await.unwrap();
    let long = "x".repeat(70_000);
    let all = || Query::new(TimeRange::ALL);
    for (query, field) in [
        (all().source(&*long), "source"),
        (all().event_type(&*long), "type"),
        (Query { source: Some("s".repeat(1_025)), ..all() }, "source"),
    ] {
        let error = client.query(&query).await.err().unwrap();
        assert_eq!((error.kind(), error.field()), (annal::ErrorKind::Limit, Some(field)));
    }
    let mut answer = client.query(&all().source("s".repeat(1_024))).await.unwrap();
    assert!(answer.next().await.unwrap().is_none());
    client.close().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_producer_without_a_name_are_stored_too() {
    let served = Served::start().await;
    let anonymous = ClientOptions { producer: None, ..options() };
    let client = Client::connect(&served.address, anonymous).await.unwrap();
    for _ in 0..2 {
        client.append(batch(0, 10)).await.unwrap().await.unwrap();
    }
    assert_eq!(served.events().len(), 20, "nobody said that the second is a retry");
    client.close().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_epoch_is_fenced_and_a_newer_one_starts_anew() {
    let served = Served::start().await;
    let with_epoch = |epoch| ClientOptions { producer: Some((PRODUCER, epoch)), ..options() };
    let old = Client::connect(&served.address, with_epoch(1)).await.unwrap();
    old.append(batch(0, 10)).await.unwrap().await.unwrap();
    let new = Client::connect(&served.address, with_epoch(2)).await.unwrap();
    assert_eq!(new.next_batch_number(), Some(0));
    new.append(batch(10, 10)).await.unwrap().await.unwrap();
    let fenced = match old.append(batch(20, 10)).await {
        Ok(ticket) => ticket.await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(fenced.kind(), annal::ErrorKind::Fenced | annal::ErrorKind::Closed));
    let error = Client::connect(&served.address, with_epoch(1)).await.err().unwrap();
    assert_eq!(error.kind(), annal::ErrorKind::Fenced);
    assert_eq!(served.events(), (0..20).collect::<Vec<_>>());
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_producers_do_not_disturb_each_other() {
    let served = Served::start().await;
    let mut tasks = Vec::new();
    for id in 1..=4u8 {
        let own = ClientOptions { producer: Some((ProducerId([id; 16]), 0)), ..options() };
        let client = Client::connect(&served.address, own).await.unwrap();
        tasks.push(tokio::spawn(async move {
            let mut tickets = Vec::new();
            for at in 0..30 {
                tickets
                    .push(client.append(batch(u64::from(id) * 300 + at * 10, 10)).await.unwrap());
            }
            for ticket in tickets {
                ticket.await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(served.events(), (300..1_500).collect::<Vec<_>>());
    served.stop().await;
}

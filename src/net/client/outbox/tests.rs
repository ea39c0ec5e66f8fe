//! The outbox against a server made of answers written by hand.

use super::*;
use crate::error::ErrorKind;

const PRODUCER: Option<(ProducerId, u32)> = Some((ProducerId([7; 16]), 1));

struct Bench {
    outbox: Outbox,
    tickets: Vec<oneshot::Receiver<Result<Ack>>>,
}

impl Bench {
    fn new(producer: Option<(ProducerId, u32)>) -> Bench {
        Bench { outbox: Outbox::new(producer), tickets: Vec::new() }
    }

    fn push(&mut self, batches: usize) {
        for _ in 0..batches {
            let (done, ticket) = oneshot::channel();
            let payload = Bytes::from_static(b"payload");
            let entry = Entry::new(FrameHeader::default(), payload, done, None);
            self.outbox.push(entry);
            self.tickets.push(ticket);
        }
    }

    fn welcome(&mut self, next: Option<u64>) {
        self.welcome_with(next, 1 << 20);
    }

    fn welcome_with(&mut self, next: Option<u64>, credit_bytes: u64) {
        self.outbox.welcomed(&Welcome {
            version: 1,
            batch_stored_bytes_max: 0,
            batch_raw_bytes_max: 0,
            batch_events_max: 0,
            appends_in_flight_max: 64,
            idle_ms_max: 0,
            credit_bytes,
            next_batch_number: next,
            name: String::new(),
        });
    }

    /// Requests and batch numbers of all that may be sent now.
    fn sent(&mut self) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| self.outbox.next())
            .map(|out| {
                let head = Head::decode(out.head.first_chunk().unwrap()).unwrap();
                let header = FrameHeader::decode(out.head[20..].try_into().unwrap()).unwrap();
                (head.request, header.batch_number)
            })
            .collect()
    }

    fn ack(&mut self, request: u64) {
        let ack = Ack { first_sequence: Some(request), duplicate: false };
        self.outbox.acknowledged(request, ack).unwrap();
    }

    fn refuse(&mut self, request: u64, kind: ErrorKind, expected: Option<u64>) -> Answered {
        let mut error = Error::new(kind, "no");
        if let Some(expected) = expected {
            error = error.expecting(expected);
        }
        self.outbox.refused(request, &Failure::of(&error, false)).unwrap()
    }

    fn told(&mut self, ticket: usize) -> Option<Result<Ack>> {
        self.tickets[ticket].try_recv().ok()
    }
}

#[test]
fn batches_are_numbered_from_what_the_server_expects() {
    let mut bench = Bench::new(PRODUCER);
    bench.push(2);
    bench.welcome(Some(40));
    assert_eq!(bench.sent(), [(1, 40), (2, 41)]);
    bench.push(1);
    assert_eq!(bench.sent(), [(3, 42)]);
    bench.ack(1);
    assert!(bench.told(0).unwrap().is_ok());
    assert!(bench.told(1).is_none());
}

#[test]
fn a_lost_connection_sends_the_same_numbers_again() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(None);
    bench.push(3);
    assert_eq!(bench.sent(), [(1, 0), (2, 1), (3, 2)]);
    bench.ack(1);
    bench.outbox.lost();
    // The server had stored number 1, and nobody was told.
    bench.welcome(Some(2));
    bench.push(1);
    assert_eq!(bench.sent(), [(4, 1), (5, 2), (6, 3)]);
}

#[test]
fn a_batch_refused_for_good_gives_its_number_to_the_next() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(None);
    bench.push(3);
    bench.sent();
    bench.ack(1);
    assert_eq!(bench.refuse(2, ErrorKind::Invalid, None), Answered::Done);
    assert_eq!(bench.told(1).unwrap().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(bench.sent(), [], "one is in flight still");
    bench.refuse(3, ErrorKind::OutOfSequence, Some(1));
    assert!(bench.told(2).is_none());
    bench.push(1);
    assert_eq!(bench.sent(), [(4, 1), (5, 2)]);
}

#[test]
fn a_refusal_that_got_lost_with_the_connection_changes_nothing() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(None);
    bench.push(3);
    bench.sent();
    bench.refuse(1, ErrorKind::Invalid, None);
    bench.outbox.lost();
    bench.welcome(Some(0));
    assert_eq!(bench.sent(), [(4, 0), (5, 1)]);
}

#[test]
fn a_batch_refused_for_now_is_sent_again_under_its_number() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(None);
    bench.push(2);
    bench.sent();
    assert_eq!(bench.refuse(1, ErrorKind::Busy, None), Answered::Later(RETRY_MS));
    bench.refuse(2, ErrorKind::OutOfSequence, Some(0));
    assert_eq!(bench.sent(), [(3, 0), (4, 1)]);
}

#[test]
fn what_a_closing_server_may_have_stored_keeps_its_number() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(None);
    bench.push(1);
    bench.sent();
    bench.refuse(1, ErrorKind::Closed, None);
    bench.outbox.lost();
    // It had been stored: under another number it would be stored twice.
    bench.welcome(Some(1));
    assert_eq!(bench.sent(), [(2, 0)]);
}

#[test]
fn a_server_that_has_forgotten_the_producer_is_sent_what_is_left_from_the_start() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(Some(7));
    bench.push(2);
    assert_eq!(bench.sent(), [(1, 7), (2, 8)]);
    bench.outbox.lost();
    bench.welcome(None);
    assert_eq!(bench.sent(), [(3, 0), (4, 1)]);
}

#[test]
fn without_a_producer_what_was_unanswered_fails_and_the_rest_goes_on() {
    let mut bench = Bench::new(None);
    bench.welcome_with(None, 2 * 135);
    bench.push(3);
    assert_eq!(bench.sent().len(), 2);
    bench.ack(1);
    bench.outbox.lost();
    assert!(bench.told(0).unwrap().is_ok());
    assert_eq!(bench.told(1).unwrap().unwrap_err().kind(), ErrorKind::Closed);
    bench.welcome(None);
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn no_more_is_sent_than_was_granted() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome_with(None, 134);
    bench.push(3);
    assert_eq!(bench.sent(), [], "a frame of 7 bytes takes 135");
    bench.outbox.granted(1);
    assert_eq!(bench.sent(), [(1, 0)]);
    bench.ack(1);
    assert_eq!(bench.sent(), [], "an acknowledgement grants nothing by itself");
    bench.outbox.granted(300);
    assert_eq!(bench.sent(), [(2, 1), (3, 2)]);
}

#[test]
fn an_answer_to_nothing_is_an_error() {
    let mut bench = Bench::new(PRODUCER);
    bench.welcome(None);
    let ack = Ack { first_sequence: None, duplicate: true };
    assert!(bench.outbox.acknowledged(9, ack).is_err());
}

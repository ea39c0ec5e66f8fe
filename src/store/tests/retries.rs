//! A retried batch is stored once; gaps, old epochs and unknown producers are told.

use super::*;

fn refused(store: &Store, batch: Batch) -> crate::Error {
    append(store, batch).err().unwrap()
}

fn duplicate(first_sequence: Option<u64>) -> Ack {
    Ack { first_sequence, duplicate: true }
}

#[test]
fn a_retry_after_a_lost_ack_is_stored_once_and_named_with_its_first_sequence() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for number in 0..5 {
        append(&store, numbered(number)).unwrap();
    }
    for number in 0..5 {
        let ack = append(&store, numbered(number)).unwrap();
        assert_eq!(ack, duplicate(Some(number * 3)));
    }
    assert_eq!(frames(&store).len(), 5);
    assert_eq!(store.next_batch_number(ID, 0).unwrap(), Some(5));
}

#[test]
fn a_retry_of_a_batch_in_flight_is_answered_only_when_the_original_is_durable() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let original = store.append(numbered(0)).unwrap();
    let retry = store.append(numbered(0)).unwrap();
    assert!(retry.try_take().is_none());
    store.step_committer().unwrap();
    assert_eq!(original.wait().unwrap(), Ack { first_sequence: Some(0), duplicate: false });
    assert_eq!(retry.wait().unwrap(), duplicate(Some(0)));
    assert_eq!(frames(&store).len(), 1);
}

#[test]
fn a_gap_is_refused_with_the_number_that_was_expected_and_consumes_none() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    append(&store, numbered(0)).unwrap();
    let error = refused(&store, numbered(2));
    assert_eq!((error.kind(), error.expected()), (ErrorKind::OutOfSequence, Some(1)));
    append(&store, numbered(1)).unwrap();
    append(&store, numbered(2)).unwrap();
}

#[test]
fn an_unknown_producer_starts_at_zero() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    assert_eq!(store.next_batch_number(ID, 0).unwrap(), None);
    let error = refused(&store, numbered(1));
    assert_eq!((error.kind(), error.expected()), (ErrorKind::OutOfSequence, Some(0)));
    assert!(error.message().contains("unknown producer"), "{error}");
    assert_eq!(store.next_batch_number(ID, 0).unwrap(), None);
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for number in 0..3 {
        append(&store, numbered(number)).unwrap();
    }
    let error = refused(&store, batch(1, 10).numbered(ID, 1, 3));
    assert_eq!((error.kind(), error.expected()), (ErrorKind::OutOfSequence, Some(0)));
    append(&store, numbered(3)).unwrap();
    append(&store, batch(1, 10).numbered(ID, 1, 0)).unwrap();
    assert_eq!(refused(&store, numbered(4)).kind(), ErrorKind::Fenced);
    assert_eq!(store.next_batch_number(ID, 0).err().unwrap().kind(), ErrorKind::Fenced);
    assert_eq!(store.next_batch_number(ID, 2).unwrap(), Some(0));
}

#[test]
fn the_65th_batch_in_flight_is_asked_to_wait() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let tickets: Vec<_> = (0..64).map(|n| store.append(numbered(n)).unwrap()).collect();
    assert_eq!(store.append(numbered(64)).err().unwrap().kind(), ErrorKind::Busy);
    settle(&store);
    assert!(tickets.into_iter().all(|t| t.wait().is_ok()));
    append(&store, numbered(64)).unwrap();
}

#[test]
fn a_retry_older_than_what_is_remembered_is_a_duplicate_without_a_sequence() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for number in 0..70 {
        append(&store, numbered(number)).unwrap();
    }
    assert_eq!(append(&store, numbered(5)).unwrap(), duplicate(None));
    assert_eq!(append(&store, numbered(6)).unwrap(), duplicate(Some(18)));
}

#[test]
fn producers_without_an_id_are_not_deduplicated() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for _ in 0..3 {
        assert!(!append(&store, batch(1, 10)).unwrap().duplicate);
    }
    assert_eq!(frames(&store).len(), 3);
}

#[test]
fn what_was_stored_is_remembered_over_clean_and_unclean_stops() {
    let bench = Bench::new();
    for clean in [true, false, true, false] {
        let (store, _) = bench.open();
        let next = store.next_batch_number(ID, 0).unwrap().unwrap_or(0);
        let firsts: Vec<_> =
            (next..next + 10).map(|n| append(&store, numbered(n)).unwrap()).collect();
        if clean {
            store.close().unwrap();
        }
        drop(store);
        let (store, report) = bench.open();
        assert_eq!(report.clean, clean);
        for (number, ack) in (next..).zip(firsts) {
            let again = append(&store, numbered(number)).unwrap();
            assert_eq!(again, Ack { duplicate: true, ..ack });
        }
        assert_eq!(store.next_batch_number(ID, 0).unwrap(), Some(next + 10));
    }
}

#[test]
fn several_batches_enter_together_or_not_at_all() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let all = |numbers: &[u64]| store.append_all(numbers.iter().map(|&n| numbered(n)).collect());
    assert_eq!(all(&[0, 1, 3]).err().unwrap().expected(), Some(2));
    assert_eq!(all(&[0, 1, 1]).err().unwrap().kind(), ErrorKind::Invalid);
    assert_eq!(store.stats().queue_bytes, 0);
    let ticket = all(&[0, 1, 2]).unwrap();
    settle(&store);
    assert_eq!(ticket.wait().unwrap(), Ack { first_sequence: Some(0), duplicate: false });
    let ticket = all(&[1, 2, 3]).unwrap();
    settle(&store);
    assert_eq!(ticket.wait().unwrap(), Ack { first_sequence: Some(3), duplicate: false });
    assert_eq!(all(&[1, 2]).unwrap().wait().unwrap(), duplicate(Some(3)));
    assert_eq!(frames(&store).len(), 4);
}

#[test]
fn a_producer_handle_numbers_its_batches_itself() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let mut producer = store.producer(ID, 4).unwrap();
    let tickets: Vec<_> = (0..3).map(|_| producer.append(batch(1, 10)).unwrap()).collect();
    settle(&store);
    assert!(tickets.into_iter().all(|t| t.wait().is_ok()));
    assert_eq!(producer.next_number().unwrap(), 3);
    assert!(store.producer(ID, 3).is_err());
}

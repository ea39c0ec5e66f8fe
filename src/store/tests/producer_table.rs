//! The producer table keeps its bounds, and forgets nothing that a restart would need.

use super::*;
use crate::format::producers::{decode_producers, encode_producers};
use crate::limits::PRODUCERS_MAX;
use crate::store::producers::{Decision, ProducerTable};
use crate::time::SECOND_NS;

const START: Timestamp = Timestamp(1_700_000_000 * SECOND_NS);

fn id(number: usize) -> ProducerId {
    ProducerId((number as u128 + 1).to_le_bytes())
}

fn at(seconds: usize) -> Timestamp {
    Timestamp(START.0 + seconds as i64 * SECOND_NS)
}

/// What a checkpoint of the table holds, read back as the next open does.
fn checkpointed(table: &mut ProducerTable, now: Timestamp) -> ProducerTable {
    let bytes = encode_producers([1; 16], 0, &table.records(now));
    let mut restored = ProducerTable::default();
    restored.restore(decode_producers(&bytes).unwrap().2);
    restored
}

#[test]
fn recovery_remembers_no_more_producers_than_a_checkpoint_holds_and_the_newest() {
    let mut table = ProducerTable::default();
    let count = PRODUCERS_MAX + PRODUCERS_MAX / 4;
    for i in 0..count {
        table.observe(id(i), (0, 0), i as u64, START);
        assert!(table.len() <= PRODUCERS_MAX);
    }
    let restored = checkpointed(&mut table, START);
    assert_eq!(restored.len(), table.len());
    let mut table = ProducerTable::default();
    for i in 0..count {
        table.observe(id(i), (0, 0), i as u64, at(i));
    }
    assert!(table.len() >= PRODUCERS_MAX * 7 / 8);
    assert!((count - PRODUCERS_MAX * 7 / 8..count).all(|i| table.knows(id(i))));
    assert!(!table.knows(id(0)));
}

#[test]
fn a_producer_is_forgotten_after_seven_idle_days_and_never_with_a_batch_in_flight() {
    let mut table = ProducerTable::default();
    let days = 7 * 86_400;
    for i in 0..3 {
        table.admit(id(i), 0, 0, START);
        table.durable(id(i), (0, 0), i as u64, START);
    }
    table.admit(id(1), 0, 1, START);
    assert_eq!(table.records(at(days)).len(), 3);
    table.observe(id(2), (0, 1), 9, at(1));
    assert_eq!(table.records(at(days + 1)).len(), 2);
    assert!(!table.knows(id(0)) && table.knows(id(1)) && table.knows(id(2)));
}

#[test]
fn those_idle_longest_make_room_for_another_producer() {
    let mut table = ProducerTable::default();
    for i in 0..PRODUCERS_MAX {
        table.admit(id(i), 0, 0, START);
        table.durable(id(i), (0, 0), i as u64, at(i / 100));
    }
    table.admit(id(5), 0, 1, at(700));
    table.admit(id(PRODUCERS_MAX), 0, 0, at(700));
    assert_eq!(table.len(), PRODUCERS_MAX * 7 / 8 + 1);
    assert!(table.knows(id(5)) && table.knows(id(PRODUCERS_MAX)));
    assert!(!table.knows(id(4)) && table.knows(id(PRODUCERS_MAX - 1)));
}

#[test]
fn an_unknown_producer_is_asked_to_wait_while_all_others_have_batches_in_flight() {
    let mut table = ProducerTable::default();
    for i in 0..PRODUCERS_MAX {
        table.admit(id(i), 0, 0, START);
    }
    let unknown = [batch(1, 10).numbered(id(PRODUCERS_MAX), 0, 0)];
    assert_eq!(table.decide(&unknown).unwrap_err().kind(), ErrorKind::Busy);
    let known = [batch(1, 10).numbered(id(3), 0, 1)];
    assert_eq!(table.decide(&known).unwrap(), [Decision::Store]);
    table.durable(id(7), (0, 0), 0, START);
    assert_eq!(table.decide(&unknown).unwrap(), [Decision::Store]);
    table.admit(id(PRODUCERS_MAX), 0, 0, at(1));
    assert_eq!(table.len(), PRODUCERS_MAX);
    table.fail_all();
    assert_eq!(table.len(), 0, "nothing was durable");
    assert_eq!(table.decide(&unknown).unwrap(), [Decision::Store]);
}

#[test]
fn an_epoch_begins_with_its_first_durable_batch_and_a_checkpoint_before_keeps_the_old_one() {
    let retry = [batch(1, 10).numbered(id(0), 0, 0)];
    let newer = |number| [batch(1, 10).numbered(id(0), 1, number)];
    let mut table = ProducerTable::default();
    table.observe(id(0), (0, 0), 40, START);
    table.admit(id(0), 1, 0, START);
    assert_eq!(table.decide(&retry).unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(table.decide(&newer(0)).unwrap(), [Decision::Await]);
    assert_eq!(table.decide(&newer(1)).unwrap(), [Decision::Store]);
    let restored = checkpointed(&mut table, START);
    assert_eq!(restored.decide(&retry).unwrap(), [Decision::Duplicate(Some(40))]);
    // The new epoch's batch fails: nothing of it was stored, and the old epoch goes on.
    table.fail_all();
    assert_eq!(table.decide(&retry).unwrap(), [Decision::Duplicate(Some(40))]);
    table.admit(id(0), 1, 0, START);
    table.durable(id(0), (1, 0), 50, START);
    assert_eq!(table.decide(&newer(0)).unwrap(), [Decision::Duplicate(Some(50))]);
    assert_eq!(table.decide(&retry).unwrap_err().kind(), ErrorKind::Fenced);
}

use super::*;

/// A history of three numbered batches of two events; the first two were acknowledged.
fn history() -> Oracle {
    let mut oracle = Oracle::new(false);
    let ids: Vec<_> = (0..3).map(|n| oracle.sent(n as usize, 2, Some(key(n)))).collect();
    oracle.answered(ids[0], &acknowledged(0));
    oracle.answered(ids[1], &acknowledged(2));
    oracle
}

fn key(number: u64) -> Key {
    Key { producer: 1, epoch: 0, number }
}

fn acknowledged(first: u64) -> Result<Ack, Error> {
    Ok(Ack { first_sequence: Some(first), duplicate: false })
}

fn stored(number: u64) -> Stored {
    Stored {
        first_sequence: 2 * number,
        events: 2,
        content: number as usize,
        key: Some(key(number)),
        compacted: false,
    }
}

fn findings(mut oracle: Oracle, contents: &[Stored], next: u64) -> Vec<Violation> {
    oracle.observe(contents, next);
    oracle.findings().iter().map(|f| f.violation).collect()
}

#[test]
fn what_is_as_it_should_be_is_not_complained_about() {
    assert_eq!(findings(history(), &[stored(0), stored(1)], 4), []);
    assert_eq!(findings(history(), &[stored(0), stored(1), stored(2)], 6), []);
}

#[test]
fn a_lost_acknowledged_batch_is_found() {
    assert_eq!(findings(history(), &[stored(0)], 4), [Violation::Lost]);
    assert_eq!(findings(history(), &[stored(1)], 4), [Violation::Lost]);
}

#[test]
fn what_was_visible_once_must_stay() {
    let mut oracle = history();
    oracle.observe(&[stored(0), stored(1), stored(2)], 6);
    assert_eq!(findings(oracle, &[stored(0), stored(1)], 6), [Violation::Lost]);
}

#[test]
fn a_hole_is_found() {
    let mut oracle = Oracle::new(false);
    for n in 0..3 {
        oracle.sent(n as usize, 2, Some(key(n)));
    }
    assert_eq!(findings(oracle.clone(), &[stored(0)], 6), []);
    assert_eq!(findings(oracle, &[stored(0), stored(2)], 6), [Violation::Hole]);
}

#[test]
fn phantoms_are_found() {
    let both = [stored(0), stored(1)];
    let stranger = Stored { content: 9, key: None, first_sequence: 4, ..stored(0) };
    assert_eq!(findings(history(), &[both[0], both[1], stranger], 6), [Violation::Phantom]);
    let mut oracle = history();
    let id = oracle.sent(9, 2, None);
    oracle.answered(id, &Err(Error::new(ErrorKind::Full, "")));
    assert_eq!(findings(oracle, &[both[0], both[1], stranger], 6), [Violation::Phantom]);
}

#[test]
fn what_is_stored_twice_is_found() {
    let again = Stored { first_sequence: 4, ..stored(0) };
    let found = findings(history(), &[stored(0), stored(1), again], 6);
    assert!(found.contains(&Violation::Duplicate), "{found:?}");
    let mut oracle = history();
    let retry = oracle.sent(0, 2, Some(key(0)));
    oracle.answered(retry, &acknowledged(4));
    assert_eq!(oracle.findings()[0].violation, Violation::Duplicate);
}

#[test]
fn a_retry_answered_as_duplicate_is_fine_if_the_first_is_there() {
    let mut oracle = history();
    let retry = oracle.sent(2, 2, Some(key(2)));
    oracle.answered(retry, &Ok(Ack { first_sequence: Some(4), duplicate: true }));
    assert_eq!(findings(oracle.clone(), &[stored(0), stored(1), stored(2)], 6), []);
    assert_eq!(findings(oracle, &[stored(0), stored(1)], 6), [Violation::Lost]);
}

#[test]
fn other_bytes_are_found() {
    let other = Stored { content: 7, ..stored(1) };
    let found = findings(history(), &[stored(0), other], 4);
    assert!(found.contains(&Violation::WrongBytes), "{found:?}");
}

#[test]
fn a_sequence_given_twice_is_found_even_if_the_first_owner_is_lost() {
    let mut oracle = history();
    oracle.observe(&[stored(0), stored(1)], 4);
    oracle.settle();
    oracle.given(6);
    let id = oracle.sent(5, 2, None);
    oracle.answered(id, &acknowledged(4));
    assert_eq!(oracle.findings()[0].violation, Violation::SequenceReused);
}

#[test]
fn a_watermark_that_goes_back_is_found() {
    let mut oracle = history();
    oracle.observe(&[stored(0), stored(1)], 4);
    assert_eq!(findings(oracle, &[stored(0), stored(1)], 3)[0], Violation::WatermarkDecreased);
}

#[test]
fn retention_may_take_a_prefix_and_nothing_else() {
    let with_retention = || Oracle { retention: true, ..history() };
    assert_eq!(findings(with_retention(), &[stored(1)], 4), []);
    assert_eq!(findings(with_retention(), &[stored(0)], 4), [Violation::Lost]);
}

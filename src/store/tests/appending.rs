//! Append, close, open again.

use super::*;

#[test]
fn what_was_acknowledged_is_there_after_close_and_open() {
    let bench = Bench::new();
    let (store, report) = bench.open();
    assert!(report.clean);
    let mut expected = Vec::new();
    for i in 1..=50 {
        let batch = batch(i, 1_000 + i as usize);
        let crc = batch.header.payload_crc;
        let ack = append(&store, batch).unwrap();
        expected.push((ack.first_sequence.unwrap(), i, crc));
    }
    assert_eq!(frames(&store), expected);
    store.close().unwrap();
    assert_eq!(frames(&store), expected, "a closed store is read as before");
    for entry in bench.storage.list().unwrap() {
        assert!(!entry.name.ends_with(".tmp"), "{entry:?}");
        assert!(entry.length < limits::SEGMENT_BYTES_MIN, "preallocation is cut off: {entry:?}");
    }
    let (store, report) = bench.open();
    assert_eq!((report.clean, report.frames_recovered, report.torn_bytes), (true, 0, 0));
    assert_eq!(frames(&store), expected);
    let next = store.snapshot().next_sequence();
    assert_eq!(next, (1..=50).sum::<u64>());
    let ack = append(&store, batch(1, 10)).unwrap();
    assert_eq!(ack.first_sequence, Some(next), "a clean stop leaves no gap");
}

#[test]
fn an_empty_store_closes_to_nothing_but_its_manifest() {
    let bench = Bench::new();
    for _ in 0..3 {
        let (store, report) = bench.open();
        assert!(report.clean);
        store.close().unwrap();
        assert_eq!(bench.names().iter().filter(|n| n.starts_with("manifest-")).count(), 1);
        assert!(bench.segments().is_empty());
    }
}

#[test]
fn appends_that_wait_together_share_one_sync() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let tickets: Vec<_> = (0..20).map(|_| store.append(batch(1, 500)).unwrap()).collect();
    assert_eq!(store.snapshot().next_sequence(), 0, "nothing is visible before it is durable");
    store.step_committer().unwrap();
    let acks: Vec<_> = tickets.into_iter().map(|t| t.wait().unwrap()).collect();
    assert!(acks.iter().enumerate().all(|(i, a)| a.first_sequence == Some(i as u64)));
    assert_eq!(store.stats().syncs, 1);
    assert_eq!(store.snapshot().next_sequence(), 20);
}

#[test]
fn full_segments_are_sealed_in_order_and_named() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for i in 0..40 {
        append(&store, batch(1 + i % 5, 10_000)).unwrap();
        settle(&store);
    }
    let stats = store.stats();
    assert!(stats.sealed >= 6, "{stats:?}");
    assert_eq!(stats.segments, stats.sealed + 1);
    let all = frames(&store);
    assert_eq!(all.len(), 40);
    let ids: Vec<_> = store.snapshot().segments().iter().map(SegmentView::id).collect();
    assert!(ids.iter().copied().eq(1..=ids.len() as u64));
    store.close().unwrap();
    let (store, report) = bench.open();
    assert!(report.clean);
    assert_eq!(frames(&store), all);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_that_is_long_enough() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    append(&store, batch(1, 100)).unwrap();
    append(&store, batch(1, 1 << 20)).unwrap();
    append(&store, batch(1, 9_000)).unwrap();
    settle(&store);
    assert_eq!(store.snapshot().segments().len(), 3);
    assert_eq!(frames(&store).len(), 3);
}

#[test]
fn threads_of_their_own_commit_and_seal_without_being_stepped() {
    let bench = Bench::new();
    let options = Options { manual: false, ..bench.options.clone() };
    let clock = Arc::new(SystemClock::new());
    let (store, _) = Store::open_with(bench.storage.clone(), clock, options).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    store.append(batch(2, 3_000)).unwrap().wait().unwrap();
                }
            });
        }
    });
    store.close().unwrap();
    assert_eq!(store.append(batch(1, 1)).err().unwrap().kind(), ErrorKind::Closed);
    let (store, report) = bench.open();
    assert!(report.clean);
    assert_eq!(frames(&store).len(), 200);
}

#[test]
fn the_queue_has_a_limit_and_says_busy() {
    let mut bench = Bench::new();
    bench.options.in_flight_bytes_max = 3_000;
    let (store, _) = bench.open();
    let first = store.append(batch(1, 1_000)).unwrap();
    let _second = store.append(batch(1, 1_000)).unwrap();
    let refused = store.append(batch(1, 1_000)).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.retry_after().is_some());
    settle(&store);
    first.wait().unwrap();
    append(&store, batch(1, 9_000)).unwrap();
    assert_eq!(store.stats().queue_bytes, 0);
}

#[test]
fn silence_seals_and_puts_the_last_group_on_record() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    append(&store, batch(1, 100)).unwrap();
    let before = store.snapshot().segments()[0].log_bytes();
    bench.clock.advance_ms(100);
    settle(&store);
    let with_watermark = store.snapshot().segments()[0].log_bytes();
    assert_eq!(with_watermark - before, 128);
    bench.clock.advance_ms(1_000);
    settle(&store);
    assert_eq!(store.snapshot().segments()[0].log_bytes(), with_watermark, "once is enough");
    bench.clock.advance_ms(29_000);
    settle(&store);
    assert_eq!(store.stats().sealed, 1);
    assert_eq!(frames(&store).len(), 1);
    store.close().unwrap();
    assert!(bench.open().1.clean);
}

#[test]
fn a_second_writer_is_refused_and_a_closed_store_can_be_opened() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    assert_eq!(bench.try_open().err().unwrap().kind(), ErrorKind::Locked);
    store.close().unwrap();
    store.close().unwrap();
    bench.open();
}

#[test]
fn an_event_before_1970_or_far_ahead_of_the_clock_is_refused_by_name() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    let at = |time: i64| {
        let mut builder = BatchBuilder::new();
        for time in [10, time] {
            builder.push(&Event { time: Timestamp(time), ..Event::default() }).unwrap();
        }
        builder.finish().unwrap()
    };
    let now = bench.clock.now().0;
    let day = 86_400_000_000_000;
    for time in [-1, i64::MIN, now + day + 1, i64::MAX] {
        let error = store.append(at(time)).err().unwrap();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("time")), "{time}");
        let error = store.producer(ID, 0).unwrap().append(at(time)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    append(&store, at(0)).unwrap();
    append(&store, at(now + day)).unwrap();
    assert!(store.verify(&mut |_| {}).unwrap().damage.is_empty());
}

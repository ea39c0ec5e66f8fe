//! Merging compacted segments: which blocks are copied as they are stored, and that what a footer
//! knows of them is the same as if they had been gathered anew.

use super::compacting::{blocks, seal, sequences};
use super::*;
use crate::format::footer::{SECTION_ATTRIBUTES, SECTION_DIRECTORY};

/// First sequence, events and stored bytes of each block.
fn stored(store: &Store) -> Vec<(u64, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for view in store.snapshot().segments() {
        let directory = view.directory().unwrap();
        for entry in view.frames(&directory) {
            let (header, payload) = view.read_payload(entry).unwrap();
            found.push((header.first_sequence, header.events, payload.to_vec()));
        }
    }
    found
}

/// A compacted file of batches of so many events.
fn compacted(store: &Store, counts: &[u32]) {
    append_and_seal(store, counts);
    store.compact().unwrap();
}

/// A log segment of events of many series, traces, minutes and attributes.
fn append_and_seal(store: &Store, counts: &[u32]) {
    let mut number = store.stats().next_sequence as u32;
    for &count in counts {
        let mut builder = BatchBuilder::new();
        for i in 0..count {
            number += 1;
            let text = |name: &str, of| Attribute::new(name, Value::String(format!("{name} {of}")));
            let event = Event {
                time: Timestamp(i64::from(number) * 90_000_000),
                source: format!("source {}", number % 7),
                event_type: format!("type {}", number / 3_000),
                trace_id: Some(TraceId([1 + (number / 50 % 200) as u8; 16])),
                attributes: vec![
                    Attribute::new(format!("key {}", i / 500), Value::Int(1)),
                    text("user", number / 40),
                    text("request", number),
                ],
                duration: Some(i64::from(i)),
                ..Event::default()
            };
            builder.push(&event).unwrap();
        }
        append(store, builder.finish().unwrap()).unwrap();
    }
    seal(store);
}

#[test]
fn full_blocks_are_copied_and_small_neighbours_gathered_and_verify_finds_nothing_amiss() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    for counts in [&[6_000, 4_000][..], &[10_000], &[1_000]] {
        compacted(&store, counts);
    }
    assert_eq!(blocks(&bench).len(), 3, "too few to be merged");
    let before = stored(&store);
    let sequences_before = sequences(&store).0;
    compacted(&store, &[10_000]);
    assert_eq!((bench.segments().len(), blocks(&bench).len()), (0, 1));
    let after = stored(&store);
    let events: Vec<u32> = after.iter().map(|block| block.1).collect();
    assert_eq!(events, [4_096, 4_096, 1_808, 4_096, 4_096, 2_808, 4_096, 4_096, 1_808]);
    for full in [0, 1, 3, 4] {
        assert_eq!(after[full], before[full], "copied as they were stored");
    }
    assert_eq!(store.stats().compaction_blocks_copied, 6);
    let (sequences, _) = sequences(&store);
    assert_eq!(sequences.len(), 31_000);
    assert!(sequences.starts_with(&sequences_before));
    // It gathers all blocks anew, and compares directory, filters, totals, minutes and attributes.
    let report = store.verify(&mut |_| {}).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    let snapshot = store.snapshot();
    let view = &snapshot.segments()[0];
    assert_eq!(view.attributes().unwrap().unwrap().blocks(), 9);
    let totals = view.series_totals().unwrap().unwrap();
    assert_eq!(totals.iter().map(|t| t.events).sum::<u64>(), 31_000);
    let mut events = 0;
    assert!(view.minutes(&mut |_, _, minute| events += minute.events).unwrap());
    assert_eq!(events, 31_000);
}

#[test]
fn a_damaged_block_or_section_is_never_copied() {
    // The first block's last chunk, and what the footer says of it.
    for section in [None, Some(SECTION_DIRECTORY), Some(SECTION_ATTRIBUTES)] {
        let bench = Bench::new();
        let (store, _) = bench.open();
        (0..3).for_each(|_| compacted(&store, &[8_000]));
        let files = blocks(&bench);
        let offset = {
            let snapshot = store.snapshot();
            let view = &snapshot.segments()[1];
            let directory = view.directory().unwrap();
            let entry = directory.frames.get(0).unwrap();
            let end = view.offset(entry) + 128 + u64::from(entry.stored_length);
            let wanted = view.sections().unwrap().iter().find(|s| Some(s.kind) == section);
            wanted.map_or(end - 5, |section| section.offset + 9)
        };
        let file = bench.storage.open(&files[1], true).unwrap();
        let mut byte = [0];
        file.read_at(offset, &mut byte).unwrap();
        file.write_at(offset, &[byte[0] ^ 4]).unwrap();
        append_and_seal(&store, &[8_000]);
        let error = store.compact().unwrap_err();
        assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupt, Some(files[1].as_str())));
        assert!(error.offset().is_some() && !store.is_poisoned(), "{error}");
        assert!(files.iter().all(|file| blocks(&bench).contains(file)), "{section:?}");
    }
}

/// A compacted file of so many events, each of a series of its own.
fn of_many_series(store: &Store, events: usize) {
    let first = store.stats().next_sequence as usize;
    for start in (0..events).step_by(limits::BATCH_SERIES_MAX) {
        let mut builder = BatchBuilder::new();
        for i in start..events.min(start + limits::BATCH_SERIES_MAX) {
            let (time, source) = (Timestamp(1), "s".into());
            let event_type = format!("{}", first + i);
            builder.push(&Event { time, source, event_type, ..Event::default() }).unwrap();
        }
        append(store, builder.finish().unwrap()).unwrap();
    }
    seal(store);
    store.compact().unwrap();
}

/// The third file brings more series than are held: once behind a block that is copied, beginning
/// with one that is not, and once behind a small block, beginning with one that is copied.
#[test]
fn an_input_whose_totals_are_counted_is_taken_though_it_brings_too_many_series() {
    assert_eq!(limits::SEGMENT_SERIES_MAX, 65_536);
    // The last are there so that together they are worth a file.
    for (three, more) in [([32_768, 31_744, 1_500], 32_768), ([36_864, 25_600, 4_096], 36_864)] {
        let counts = [three.as_slice(), &[more; 3]].concat();
        let bench = Bench::new();
        let (store, _) = bench.open();
        store.pause_compaction(true);
        counts.iter().for_each(|&events| of_many_series(&store, events));
        store.compact().unwrap();
        let stats = store.stats();
        assert_eq!((stats.compaction_failures, store.is_poisoned()), (0, false), "{counts:?}");
        let files = blocks(&bench);
        assert!(files.len() < counts.len(), "{files:?}");
        let report = store.verify(&mut |_| {}).unwrap();
        assert!(report.damage.is_empty(), "{counts:?}: {:?}", report.damage);
        let all: u64 = store.snapshot().segments().iter().map(|s| s.events()).sum();
        assert_eq!(all, counts.iter().sum::<usize>() as u64);
    }
}

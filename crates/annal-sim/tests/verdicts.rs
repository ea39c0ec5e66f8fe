//! The table of verdicts of `storage-format.md`, "Verdicts at open": one test a row. An open that
//! refuses has changed nothing and refuses again (REC-1).

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use annal::format::producers::producers_file_name;
use annal::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, log_file_name};
use annal::limits::SEGMENT_BYTES_MIN;
use annal::options::Retention;
use annal::store::{Next, OpenReport};
use annal::{BatchBuilder, Error, ErrorKind, Event, Options, Store, Timestamp};
use annal_sim::{ManualClock, SimStorage};

const HEADER: usize = SEGMENT_HEADER_BYTES;

fn options(seed: u64) -> Options {
    Options { manual: true, seed: Some(seed), segment_bytes: SEGMENT_BYTES_MIN, ..Options::new("") }
}

fn open_seeded(disk: &SimStorage, seed: u64) -> Result<(Store, OpenReport), Error> {
    let clock = Arc::new(ManualClock::default());
    Store::open_with(Arc::new(disk.clone()), clock, options(seed))
}

fn open(disk: &SimStorage) -> Result<(Store, OpenReport), Error> {
    open_seeded(disk, 5)
}

/// Appends batches of 4 KB one by one, each durable before the next; none is sealed.
fn fill(store: &Store, batches: usize) {
    for i in 0..batches {
        let mut state = i as u64 + 1;
        let noise = (0..4_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
            char::from(32 + (state >> 40) as u8 % 90)
        });
        let event = Event {
            time: Timestamp(1_000 + i as i64),
            source: "cart".into(),
            event_type: "AddItem".into(),
            status_message: noise.collect(),
            ..Event::default()
        };
        let mut builder = BatchBuilder::new();
        builder.push(&event).unwrap();
        let ticket = store.append(builder.finish().unwrap()).unwrap();
        while store.step_committer().unwrap() == Next::Now {}
        ticket.wait().unwrap();
    }
}

fn events(store: &Store) -> u64 {
    store.snapshot().segments().iter().map(|s| s.events()).sum()
}

/// A killed store with so many batches, none of its segments named.
fn killed(batches: usize) -> SimStorage {
    let disk = SimStorage::new();
    let (store, _) = open(&disk).unwrap();
    fill(&store, batches);
    let found = disk.after_kill();
    drop(store);
    found.copy()
}

/// A store after a clean stop.
fn closed(batches: usize) -> SimStorage {
    let disk = SimStorage::new();
    let (store, _) = open(&disk).unwrap();
    fill(&store, batches);
    store.close().unwrap();
    drop(store);
    disk.copy()
}

fn log_files(disk: &SimStorage) -> Vec<String> {
    disk.files().into_keys().filter(|n| n.starts_with("log-")).collect()
}

fn header(disk: &SimStorage, name: &str) -> SegmentHeader {
    SegmentHeader::decode(&disk.files()[name]).unwrap()
}

fn content(disk: &SimStorage) -> std::collections::BTreeMap<String, Vec<u8>> {
    disk.files().into_iter().filter(|(name, _)| name != "LOCK").collect()
}

/// Opens twice: the same refusal, and nothing changed but the lock.
fn refusal(disk: &SimStorage) -> Error {
    let before = content(disk);
    let first = open(disk).err().expect("the open must refuse");
    assert!(content(disk) == before, "an open that refuses has changed something");
    let second = open(disk).err().expect("the second open must refuse too");
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert!(content(disk) == before);
    first
}

fn corrupt(disk: &SimStorage, name: &str) -> Error {
    let error = refusal(disk);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.file(), Some(name), "{error}");
    assert!(error.offset().is_some(), "{error}");
    error
}

fn changed(disk: &SimStorage, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = disk.files()[name].clone();
    change(&mut bytes);
    disk.put(name, bytes);
}

#[test]
fn a_named_file_of_another_length_or_missing_is_corrupt() {
    let disk = closed(40);
    let name = &log_files(&disk)[1];
    for cut in [true, false] {
        let disk = disk.copy();
        changed(&disk, name, |b| if cut { b.truncate(b.len() - 8) } else { b.extend([0; 8]) });
        corrupt(&disk, name);
    }
    let without = SimStorage::new();
    for (other, bytes) in disk.files().into_iter().filter(|(other, _)| other != name) {
        without.put(&other, bytes);
    }
    assert_eq!(refusal(&without).file(), Some(name.as_str()));
}

#[test]
fn a_named_file_with_wrong_ids_or_an_invalid_trailer_or_footer_is_corrupt() {
    let disk = closed(40);
    let names = log_files(&disk);
    let mut other = disk.files()[&names[1]].clone();
    let length = disk.files()[&names[0]].len();
    for at in [20, length - 1, length - 40, length - 64 - 50] {
        let damaged = disk.copy();
        damaged.flip(&names[0], at, 1);
        corrupt(&damaged, &names[0]);
    }
    other.resize(length, 0);
    disk.put(&names[0], other);
    corrupt(&disk, &names[0]);
}

#[test]
fn newer_segments_that_chain_are_adopted() {
    let disk = killed(60);
    assert!(log_files(&disk).len() > 3);
    let (store, report) = open(&disk).unwrap();
    assert_eq!((report.clean, report.events_recovered, report.torn_bytes), (false, 60, 0));
    assert_eq!(events(&store), 60);
    store.close().unwrap();
    let (store, report) = open(&disk).unwrap();
    assert!(report.clean);
    assert_eq!(events(&store), 60);
}

#[test]
fn a_newer_file_without_a_frame_is_unused_and_removed() {
    let disk = killed(3);
    let first = log_files(&disk)[0].clone();
    let next = SegmentHeader { segment_id: 2, salt: 77, ..header(&disk, &first) };
    let mut valid = next.encode();
    valid.resize(SEGMENT_BYTES_MIN as usize, 0);
    let mut torn = valid.clone();
    torn[512..1_024].fill(1);
    for unused in [valid, torn, vec![0; 100_000], vec![], vec![1; 100]] {
        let disk = disk.copy();
        disk.put(&log_file_name(2), unused);
        let (store, _) = open(&disk).unwrap();
        assert_eq!(events(&store), 3);
        assert_eq!(log_files(&disk), std::slice::from_ref(&first));
    }
}

#[test]
fn a_newer_file_with_an_invalid_header_and_anything_behind_it_is_corrupt() {
    let disk = killed(20);
    let names = log_files(&disk);
    assert_eq!(names.len(), 2);
    for at in [0, 17, 2_000, 4_095] {
        for name in &names {
            let damaged = disk.copy();
            damaged.flip(name, at, 0x10);
            corrupt(&damaged, name);
        }
    }
}

#[test]
fn our_own_newer_file_that_does_not_chain_is_corrupt_and_left_in_place() {
    let disk = killed(60);
    let names = log_files(&disk);
    let files = disk.files();
    let without = SimStorage::new();
    for (name, bytes) in files.iter().filter(|(name, _)| **name != names[1]) {
        without.put(name, bytes.clone());
    }
    corrupt(&without, &names[2]);
    let renamed = disk.copy();
    renamed.put(&log_file_name(50), files[&names[1]].clone());
    corrupt(&renamed, &log_file_name(50));
}

#[test]
fn another_stores_file_is_set_aside_and_never_deleted() {
    let other = SimStorage::new();
    let (store, _) = open_seeded(&other, 99).unwrap();
    fill(&store, 5);
    let stranger = other.after_kill().files()[&log_file_name(1)].clone();
    let disk = closed(3);
    for _ in 0..2 {
        disk.put(&log_file_name(9), stranger.clone());
        let (store, _) = open(&disk).unwrap();
        assert_eq!(events(&store), 3);
        store.close().unwrap();
    }
    let orphan = format!("orphans/{}", log_file_name(9));
    let files = disk.files();
    let set_aside: Vec<_> = files.iter().filter(|(n, _)| n.starts_with(&orphan)).collect();
    assert_eq!(set_aside.len(), 2);
    assert!(set_aside.iter().all(|(_, bytes)| **bytes == stranger));
    assert!(!files.contains_key(&log_file_name(9)));
}

#[test]
fn old_unnamed_files_and_temporary_ones_are_left_over_and_removed() {
    let disk = closed(3);
    let before = content(&disk);
    disk.put(&log_file_name(0), before[&log_file_name(1)].clone());
    disk.put("manifest-00000000000000ff.tmp", vec![1, 2]);
    disk.put("producers-00000000000000ff", vec![1, 2]);
    let (store, report) = open(&disk).unwrap();
    assert!(report.clean);
    assert_eq!(events(&store), 3);
    assert!(content(&disk) == before);
}

#[test]
fn a_temporary_file_with_a_name_that_no_store_makes_is_left_alone() {
    for disk in [closed(3), killed(3), SimStorage::new()] {
        let strange = ["my_notes.tmp", "a b.tmp", ".hidden.tmp", "caf\u{e9}.tmp"];
        for name in strange {
            disk.put(name, vec![1, 2]);
        }
        disk.put("left-over.tmp", vec![1]);
        let (store, _) = open(&disk).unwrap();
        store.close().unwrap();
        let files = disk.files();
        assert!(strange.iter().all(|name| files[*name] == [1, 2]));
        assert!(!files.contains_key("left-over.tmp"));
    }
}

#[test]
fn a_directory_that_is_no_store_is_left_alone() {
    let strange = SimStorage::new();
    strange.put("notes.txt", vec![1]);
    assert_eq!(refusal(&strange).kind(), ErrorKind::Invalid);
    let headless = SimStorage::new();
    for (name, bytes) in closed(3).files() {
        if !name.starts_with("manifest-") {
            headless.put(&name, bytes);
        }
    }
    assert_eq!(refusal(&headless).kind(), ErrorKind::Corrupt);
    let harmless = SimStorage::new();
    harmless.put("manifest-0000000000000001.tmp", vec![1]);
    harmless.put("LOCK", vec![]);
    assert!(open(&harmless).is_ok());
}

#[test]
fn an_invalid_newest_manifest_refuses() {
    let disk = closed(40);
    let name = disk.files().into_keys().rfind(|n| n.starts_with("manifest-")).unwrap();
    disk.flip(&name, 50, 1);
    corrupt(&disk, &name);
}

#[test]
fn an_unnamed_segment_longer_or_shorter_than_it_may_be_is_corrupt() {
    let disk = killed(20);
    for name in &log_files(&disk) {
        let longer = disk.copy();
        changed(&longer, name, |b| b.extend([0; 8]));
        corrupt(&longer, name);
        let shorter = disk.copy();
        changed(&shorter, name, |b| b.truncate(b.len() - 8));
        corrupt(&shorter, name);
    }
}

#[test]
fn damage_before_the_last_group_is_corrupt_and_names_the_frame() {
    let disk = killed(6);
    let name = log_files(&disk)[0].clone();
    let bytes = &disk.files()[&name];
    let is_start = |at: &usize| bytes[*at..].starts_with(b"ANLf");
    let starts: Vec<usize> = (HEADER..bytes.len()).step_by(8).filter(is_start).collect();
    assert_eq!(starts.len(), 6);
    for (i, &start) in starts.iter().enumerate() {
        for at in [start, start + 60, start + 127, start + 128, start + 2_000] {
            let damaged = disk.copy();
            damaged.flip(&name, at, 4);
            if i + 1 < starts.len() {
                assert_eq!(corrupt(&damaged, &name).offset(), Some(start as u64));
            } else {
                // The honest limit: nothing proves the last group without a watermark frame.
                let (store, report) = open(&damaged).unwrap();
                assert_eq!(events(&store), 5);
                assert!(!report.clean);
            }
        }
    }
}

#[test]
fn damage_before_the_last_segment_is_corrupt_wherever_it_is() {
    let disk = killed(30);
    let names = log_files(&disk);
    let base = header(&disk, &names[0]).base_position;
    let end = (header(&disk, &names[1]).base_position - base) as usize;
    let whole = events(&open(&disk.copy()).unwrap().0);
    for at in (HEADER..end).step_by(499) {
        let damaged = disk.copy();
        damaged.flip(&names[0], at, 2);
        match open(&damaged) {
            // Bytes that fill up to the alignment carry nothing.
            Ok((store, _)) => {
                assert_eq!(disk.files()[&names[0]][at], 0);
                assert_eq!(events(&store), whole);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    }
}

#[test]
fn a_watermark_frame_makes_damage_of_the_last_group_corruption() {
    let disk = SimStorage::new();
    let clock = Arc::new(ManualClock::default());
    let storage = Arc::new(disk.clone());
    let (store, _) = Store::open_with(storage, clock.clone(), options(5)).unwrap();
    fill(&store, 2);
    clock.advance_ns(100_000_000);
    store.step_committer().unwrap();
    let disk = disk.after_kill().copy();
    let name = log_files(&disk)[0].clone();
    assert_eq!(events(&open(&disk.copy()).unwrap().0), 2);
    disk.flip(&name, HEADER + 4_500 + 1_000, 1);
    corrupt(&disk, &name);
}

/// A killed store whose producer checkpoint points behind the last group of the active segment.
fn killed_behind_a_checkpoint() -> SimStorage {
    let disk = SimStorage::new();
    let retention = Retention { age_s_max: None, store_bytes_max: Some(100_000) };
    let options = Options { retention, ..options(5) };
    let clock = Arc::new(ManualClock::default());
    let (store, _) = Store::open_with(Arc::new(disk.clone()), clock, options).unwrap();
    fill(&store, 40);
    while store.step_maintenance().unwrap() == Next::Now {}
    assert!(disk.files().contains_key(&producers_file_name(1)));
    disk.after_kill().copy()
}

#[test]
fn a_producer_checkpoint_makes_damage_before_its_position_corruption() {
    let disk = killed_behind_a_checkpoint();
    let name = log_files(&disk).pop().unwrap();
    let whole = events(&open(&disk.copy()).unwrap().0);
    let bytes = &disk.files()[&name];
    let last = bytes.windows(4).rposition(|w| w == b"ANLf").unwrap();
    for at in [last, last + 60, last + 128, last + 2_000] {
        let damaged = disk.copy();
        damaged.flip(&name, at, 4);
        assert_eq!(corrupt(&damaged, &name).offset(), Some(last as u64));
    }
    assert!(whole > 1);
}

#[test]
fn a_lost_segment_before_the_position_of_a_checkpoint_is_corruption() {
    let disk = killed_behind_a_checkpoint();
    let name = log_files(&disk).pop().unwrap();
    let without = SimStorage::new();
    for (other, bytes) in disk.files().into_iter().filter(|(other, _)| *other != name) {
        without.put(&other, bytes);
    }
    corrupt(&without, &name);
    changed(&disk, &name, |bytes| bytes[HEADER..].fill(0));
    corrupt(&disk, &name);
}

#[test]
fn recovery_repeats_itself() {
    let disk = killed(20);
    let mut seen = None;
    let mut last = 0;
    for seed in 0..4 {
        let (store, report) = open_seeded(&disk, seed).unwrap();
        let all: Vec<_> = store.snapshot().segments().iter().map(|s| s.sequences()).collect();
        // Each unclean stop leaves its gap behind, and never leads back.
        let next = store.snapshot().next_sequence();
        assert!(next > last && next <= 20 + (seed + 1) * (1 << 20));
        last = next;
        let found = (report.events_recovered, report.frames_recovered, all);
        assert_eq!(*seen.get_or_insert(found.clone()), found);
    }
    assert!(disk.misuse().is_empty(), "{:?}", disk.misuse());
}

#[test]
fn sequences_go_on_far_behind_an_unclean_stop_and_at_once_behind_a_clean_one() {
    let disk = killed(3);
    let (store, _) = open(&disk).unwrap();
    assert_eq!(store.snapshot().next_sequence(), 3 + (1 << 20));
    fill(&store, 1);
    assert_eq!(store.snapshot().next_sequence(), 4 + (1 << 20));
    store.close().unwrap();
    let (store, report) = open(&disk).unwrap();
    assert!(report.clean);
    assert_eq!(store.snapshot().next_sequence(), 4 + (1 << 20));
}

#[test]
fn reading_only_shows_what_an_open_would_keep_and_changes_nothing() {
    let disk = killed(30);
    let before = disk.files();
    let clock = Arc::new(ManualClock::default());
    let storage = Arc::new(disk.clone());
    let (store, report) = Store::open_read_only_with(storage, clock, options(1)).unwrap();
    assert_eq!((events(&store), report.events_recovered), (30, 30));
    assert!(store.step_committer().is_ok());
    assert!(store.step_maintenance().is_ok());
    store.close().unwrap();
    assert!(disk.files() == before);
}

#[test]
fn truncation_and_extension_never_pass_for_a_whole_store() {
    let disk = killed(9);
    let name = log_files(&disk)[0].clone();
    let bytes = disk.files()[&name].clone();
    for length in 0..bytes.len() {
        let damaged = disk.copy();
        damaged.put(&name, bytes[..length].to_vec());
        if length < HEADER + 128 {
            // Cut before its first frame it looks never used: the honest limit.
            match open(&damaged) {
                Ok((store, _)) => assert_eq!(events(&store), 0, "{length}"),
                Err(error) => panic!("{length}: {error}"),
            }
        } else {
            corrupt(&damaged, &name);
        }
    }
    for more in (1..600).chain([4_095, 4_096, 4_097]) {
        let damaged = disk.copy();
        changed(&damaged, &name, |b| b.extend(vec![0; more]));
        corrupt(&damaged, &name);
    }
}

#[test]
fn verify_tells_every_damage_of_a_closed_store_and_calls_a_torn_tail_none() {
    let verify = |disk: &SimStorage| Store::verify_with(disk, &options(1), &mut |_| {}).unwrap();
    let disk = closed(40);
    let whole = verify(&disk);
    assert!(whole.damage.is_empty(), "{:?}", whole.damage);
    assert_eq!((whole.events, whole.frames), (40, 40));
    let names = log_files(&disk);
    disk.flip(&names[0], HEADER + 1_000, 1);
    disk.flip(&names[0], HEADER + 9_500, 1);
    disk.flip(&names[1], HEADER + 10, 1);
    let found = verify(&disk);
    let places: Vec<_> = found.damage.iter().map(|d| (d.file().unwrap(), d.offset())).collect();
    assert_eq!(places.len(), 3, "{places:?}");
    assert_eq!(places[0], (names[0].as_str(), Some(HEADER as u64)));
    assert_eq!(places[2], (names[1].as_str(), Some(HEADER as u64)));
    assert_eq!(found.events, 37, "what is whole is still read");

    let torn = killed(6);
    let name = log_files(&torn)[0].clone();
    let bytes = torn.files()[&name].clone();
    let last = bytes.windows(4).rposition(|w| w == b"ANLf").unwrap();
    torn.flip(&name, last + 500, 1);
    let found = verify(&torn);
    assert!(found.damage.is_empty(), "{:?}", found.damage);
    assert_eq!(found.events, 5);
}

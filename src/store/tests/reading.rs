//! What readers are promised on a real disk, in each way of reading it.

use super::*;
use crate::options::ReadMode;

fn options(directory: &std::path::Path, read_mode: ReadMode) -> Options {
    let segment_bytes = limits::SEGMENT_BYTES_MIN;
    Options { manual: true, seed: Some(7), segment_bytes, read_mode, ..Options::new(directory) }
}

/// A closed store with one sealed segment of three frames.
fn closed_store() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(options(directory.path(), ReadMode::Read)).unwrap();
    for i in 1..=3 {
        append(&store, batch(i, 2_000)).unwrap();
    }
    store.close().unwrap();
    directory
}

#[test]
fn both_ways_of_reading_show_the_same() {
    let directory = closed_store();
    let read = |mode| frames(&Store::open(options(directory.path(), mode)).unwrap().0);
    let found = read(ReadMode::Read);
    assert_eq!(found.len(), 3);
    assert_eq!(found, read(ReadMode::Map));
}

#[test]
fn what_is_read_into_memory_is_checked_every_time() {
    let directory = closed_store();
    let options = options(directory.path(), ReadMode::Read);
    let disk = DiskStorage::open(directory.path(), ReadMode::Read).unwrap();
    let (store, _) = Store::open(options).unwrap();
    let snapshot = store.snapshot();
    let segment = &snapshot.segments()[0];
    let directory = segment.directory().unwrap();
    let entry = segment.frames(&directory).nth(1).unwrap();
    for _ in 0..2 {
        segment.read_payload(entry).unwrap();
    }
    let offset = segment.offset(entry) + 128 + 1_000;
    let file = disk.open(segment.file_name(), true).unwrap();
    let mut byte = [0];
    file.read_at(offset, &mut byte).unwrap();
    file.write_at(offset, &[byte[0] ^ 1]).unwrap();
    let error = segment.read_payload(entry).err().unwrap();

    assert_eq!((error.kind(), error.offset()), (ErrorKind::Corrupt, Some(segment.offset(entry))));
    assert!(segment.read(entry).is_err());
    file.write_at(offset, &byte).unwrap();
    segment.read(entry).unwrap();
}

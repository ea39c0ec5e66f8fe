//! The disk against the rules of [`crate::storage`], and against memory.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::storage::{MemoryStorage, read_exact_at, write_all_at};

fn disks() -> (tempfile::TempDir, Vec<Box<dyn Storage>>) {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str, mode| DiskStorage::open(&dir.path().join(name), mode).unwrap();
    let storages: Vec<Box<dyn Storage>> = vec![
        Box::new(open("mapped", ReadMode::Map)),
        Box::new(open("read", ReadMode::Read)),
        Box::new(MemoryStorage::new()),
    ];
    (dir, storages)
}

fn names(storage: &dyn Storage) -> Vec<(String, u64, bool)> {
    let mut names: Vec<_> =
        storage.list().unwrap().into_iter().map(|e| (e.name, e.length, e.is_dir)).collect();
    names.sort();
    names
}

#[test]
fn what_was_written_is_read_back_by_every_way() {
    let (_dir, storages) = disks();
    for storage in &storages {
        let file = storage.create("log-1.seg").unwrap();
        file.allocate(10_000).unwrap();
        write_all_at(&*file, 100, b"hello").unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.length().unwrap(), 10_000);
        let mut bytes = [1; 7];
        read_exact_at(&*file, 99, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0hello\0");
        file.truncate(105).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.read_at(105, &mut bytes).unwrap(), 0);
        file.allocate(50).unwrap();
        assert_eq!(file.length().unwrap(), 105, "allocation never shortens");

        let sealed = storage.open("log-1.seg", false).unwrap();
        for file in [&file, &sealed] {
            assert_eq!(&*file.region(100, 5).unwrap(), b"hello");
            assert_eq!(&*file.region(105, 0).unwrap(), b"");
            for (offset, length) in [(100, 6), (106, 0), (u64::MAX, 1), (0, usize::MAX)] {
                let error = file.region(offset, length).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{offset} {length}");
            }
        }
        let region = sealed.region(100, 5).unwrap();
        storage.remove("log-1.seg").unwrap();
        assert_eq!(&*region, b"hello", "a removed file lives while it is in use");
    }
}

#[test]
fn a_file_cut_and_grown_again_holds_zeroes() {
    let (_dir, storages) = disks();
    for storage in &storages {
        let file = storage.create("a").unwrap();
        write_all_at(&*file, 0, &[7; 100]).unwrap();
        file.truncate(10).unwrap();
        file.allocate(100).unwrap();
        let mut bytes = [1; 100];
        read_exact_at(&*file, 0, &mut bytes).unwrap();
        assert_eq!(bytes[..10], [7; 10]);
        assert_eq!(bytes[10..], [0; 90]);
    }
}

#[test]
fn names_are_made_renamed_and_removed_and_never_replaced_unasked() {
    let (_dir, storages) = disks();
    for storage in &storages {
        for name in ["a", "b"] {
            write_all_at(&*storage.create(name).unwrap(), 0, name.as_bytes()).unwrap();
        }
        assert_eq!(storage.create("a").err().unwrap().kind(), ErrorKind::Io);
        assert_eq!(storage.rename("a", "b", false).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(storage.rename("none", "c", true).unwrap_err().kind(), ErrorKind::Io);
        storage.rename("a", "c", false).unwrap();
        storage.rename("c", "b", true).unwrap();
        assert_eq!(names(&**storage), [("b".to_owned(), 1, false)]);
        assert_eq!(&*storage.open("b", false).unwrap().region(0, 1).unwrap(), b"a");
        storage.rename("b", "orphans/b", false).unwrap();
        storage.sync_dir().unwrap();
        let listed = names(&**storage);
        assert!(matches!(&listed[..], [(name, _, true)] if name == "orphans"), "{listed:?}");
        storage.open("orphans/b", false).unwrap();
        assert_eq!(storage.open("b", false).err().unwrap().kind(), ErrorKind::Io);
        assert_eq!(storage.remove("b").unwrap_err().kind(), ErrorKind::Io);
    }
}

#[test]
fn names_that_the_engine_does_not_make_are_refused() {
    let (_dir, storages) = disks();
    for storage in &storages {
        for name in ["", ".", "..", "../a", "a/b", "/a", "orphans/", "orphans/../a", "a\0", "é"] {
            assert_eq!(storage.create(name).err().unwrap().kind(), ErrorKind::Invalid, "{name}");
            assert_eq!(storage.open(name, false).err().unwrap().kind(), ErrorKind::Invalid);
            assert_eq!(storage.remove(name).unwrap_err().kind(), ErrorKind::Invalid);
            assert_eq!(storage.rename("a", name, true).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}

#[test]
fn a_held_store_names_its_holder() {
    let dir = tempfile::tempdir().unwrap();
    let open = || DiskStorage::open(dir.path(), ReadMode::Map).unwrap();
    drop(open().lock(LockMode::Shared, "").unwrap());
    assert!(open().list().unwrap().is_empty(), "a reader makes nothing");
    let writer = open().lock(LockMode::Exclusive, "process 7, http://[::1]:1").unwrap();
    for mode in [LockMode::Exclusive, LockMode::Shared] {
        let error = open().lock(mode, "me").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.message().contains("process 7, http://[::1]:1"), "{error}");
    }
    drop(writer);
    let _readers = [(); 2].map(|()| open().lock(LockMode::Shared, "").unwrap());
    let error = open().lock(LockMode::Exclusive, "me").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.message().contains("read by another"), "{error}");
}

#[test]
fn a_new_directory_and_its_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let storage = DiskStorage::open(&path, ReadMode::Map).unwrap();
    storage.create("a").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("a")), 0o600);
    assert!(storage.free_bytes().unwrap().unwrap() > 0);
}

#[test]
fn symbolic_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = DiskStorage::open(dir.path(), ReadMode::Map).unwrap();
    storage.create("a").unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("b")).unwrap();
    assert_eq!(storage.open("b", true).err().unwrap().kind(), ErrorKind::Io);
}

#[test]
fn a_file_system_that_cannot_reserve_gets_zeroes() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create_new(dir.path().join("a")).unwrap();
    let file = DiskFile { file, name: "a".to_owned(), map: false, mapping: OnceLock::new() };
    file.write_at(0, b"x").unwrap();
    file.fill_with_zeroes(1, 200_000).unwrap();
    assert_eq!(file.length().unwrap(), 200_000);
}

#[test]
fn missing_parents_are_made_and_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/c");
    for _ in 0..2 {
        DiskStorage::open(&path, ReadMode::Map).unwrap();
    }
    for made in ["a", "a/b", "a/b/c"] {
        let mode = fs::metadata(dir.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_the_callers_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    for path in [dir.path().join("none"), file.clone()] {
        let error = DiskStorage::open_existing(&path, ReadMode::Map).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains(&*path.to_string_lossy()), "{error}");
    }
    let below = file.join("store");
    assert_eq!(DiskStorage::open(&below, ReadMode::Map).unwrap_err().kind(), ErrorKind::Io);
}

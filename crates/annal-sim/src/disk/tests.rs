use std::collections::BTreeSet;
use std::sync::Arc;

use annal::ErrorKind;
use annal::storage::{File, LockMode, Storage, write_all_at};

use super::*;

const LOSSES: u64 = 2_000;

/// A synced file of eight sectors of 1, and 2 written over it without a sync.
fn half_written() -> (SimStorage, Arc<dyn File>) {
    let disk = SimStorage::new();
    let file = disk.create("a").unwrap();
    write_all_at(&*file, 0, &[1; 8 * SECTOR_BYTES]).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir().unwrap();
    write_all_at(&*file, 0, &[2; 8 * SECTOR_BYTES]).unwrap();
    (disk, file)
}

fn sectors(disk: &SimStorage) -> Vec<u8> {
    disk.files()["a"]
        .chunks(SECTOR_BYTES)
        .map(|sector| {
            assert!(sector.iter().all(|b| *b == sector[0]), "a sector is never torn");
            sector[0]
        })
        .collect()
}

#[test]
fn a_sector_is_old_or_new_and_any_of_them_may_be_either() {
    let (disk, _file) = half_written();
    let found: BTreeSet<Vec<u8>> = (0..LOSSES)
        .map(|seed| sectors(&disk.after(Loss::from_seed(seed, disk.changes()))))
        .collect();
    assert!(found.contains(&vec![1; 8]) && found.contains(&vec![2; 8]));
    assert!(found.len() > 200, "{} of 256 states found", found.len());
}

#[test]
fn what_a_sync_covered_survives_every_loss() {
    let (disk, file) = half_written();
    file.sync_data().unwrap();
    for seed in 0..LOSSES {
        assert_eq!(sectors(&disk.after(Loss::from_seed(seed, disk.changes()))), [2; 8]);
    }
}

#[test]
fn a_failed_sync_is_not_made_good_by_a_later_one() {
    let (disk, file) = half_written();
    disk.set_fault(Some(Fault { at_call: 0, kind: FaultKind::Io }));
    assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(disk.fault_met(), Some(Call::SyncData));
    write_all_at(&*file, 7 * SECTOR_BYTES as u64, &[3; SECTOR_BYTES]).unwrap();
    file.sync_data().unwrap();
    assert_eq!(sectors(&disk.after(Loss::All)), [1, 1, 1, 1, 1, 1, 1, 3]);
    assert_eq!(sectors(&disk.after(Loss::Nothing)), [2, 2, 2, 2, 2, 2, 2, 3]);
}

#[test]
fn later_writes_may_survive_earlier_ones() {
    let (disk, file) = half_written();
    write_all_at(&*file, 0, &[3; SECTOR_BYTES]).unwrap();
    let [first, second] = disk.pending()[..] else { panic!("two changes are pending") };
    assert_eq!(sectors(&disk.after(Loss::One(first))), [3, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(sectors(&disk.after(Loss::One(second))), [2; 8]);
}

#[test]
fn a_length_is_volatile_like_bytes_and_grown_space_is_zero() {
    let disk = SimStorage::new();
    let file = disk.create("a").unwrap();
    disk.sync_dir().unwrap();
    file.allocate(1_000).unwrap();
    file.sync_all().unwrap();
    file.truncate(10).unwrap();
    file.allocate(20).unwrap();
    let mut lengths = BTreeSet::new();
    for seed in 0..LOSSES {
        let content = disk.after(Loss::from_seed(seed, disk.changes())).files()["a"].clone();
        assert!(content.iter().all(|b| *b == 0));
        lengths.insert(content.len());
    }
    assert_eq!(lengths, [10, 20, 1_000].into());
}

#[test]
fn names_are_volatile_until_the_directory_is_synced_whatever_else_is() {
    let disk = SimStorage::new();
    for name in ["a", "b"] {
        let file = disk.create(name).unwrap();
        write_all_at(&*file, 0, name.as_bytes()).unwrap();
        file.sync_all().unwrap();
    }
    assert!(disk.after(Loss::All).files().is_empty());
    disk.sync_dir().unwrap();
    disk.rename("a", "b", true).unwrap();
    disk.create("c").unwrap();
    let mut found = BTreeSet::new();
    for seed in 0..LOSSES {
        let after = disk.after(Loss::from_seed(seed, disk.changes()));
        found.insert(after.files().into_iter().collect::<Vec<_>>());
    }
    let file = |name: &str, content: &str| (name.to_owned(), content.as_bytes().to_vec());
    let (a, b, new_b, c) = (file("a", "a"), file("b", "b"), file("b", "a"), file("c", ""));
    let all =
        [vec![a.clone(), b.clone()], vec![a, b, c.clone()], vec![new_b.clone()], vec![new_b, c]];
    assert_eq!(found, all.into());
    disk.remove("c").unwrap();
    disk.sync_dir().unwrap();
    assert_eq!(disk.after(Loss::All).files().len(), 1);
}

#[test]
fn after_the_power_went_nothing_succeeds_and_the_last_call_may_have_taken_effect() {
    let (disk, file) = half_written();
    disk.lose_power_after(1);
    write_all_at(&*file, 0, &[3; SECTOR_BYTES]).unwrap();
    let error = file.write_at(SECTOR_BYTES as u64, &[4; SECTOR_BYTES]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(file.sync_data().is_err() && file.length().is_err() && disk.list().is_err());
    assert!(disk.is_off());
    assert_eq!(sectors(&disk.after(Loss::All)), [1; 8]);
    assert_eq!(sectors(&disk.after(Loss::Nothing))[..3], [3, 4, 2]);
}

#[test]
fn a_killed_process_leaves_the_page_cache_which_is_still_volatile() {
    let (disk, file) = half_written();
    let _lock = disk.lock(LockMode::Exclusive, "first").unwrap();
    assert!(disk.lock(LockMode::Exclusive, "second").is_err());
    let next = disk.after_kill();
    assert!(file.length().is_err(), "the killed process does nothing any more");
    next.lock(LockMode::Exclusive, "second").unwrap();
    assert_eq!(sectors(&next), [2; 8]);
    assert_eq!(sectors(&next.after(Loss::All)), [1; 8]);
    next.open("a", true).unwrap().sync_data().unwrap();
    assert_eq!(sectors(&next.after(Loss::All)), [2; 8]);
}

#[test]
fn each_fault_meets_the_first_call_that_it_suits_and_only_that() {
    let disk = SimStorage::new();
    let file = disk.create("a").unwrap();
    disk.set_fault(Some(Fault { at_call: disk.calls(), kind: FaultKind::NoSpace }));
    file.length().unwrap();
    assert_eq!(file.write_at(0, b"1234").unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(file.write_at(0, b"1234").unwrap(), 4);
    disk.set_fault(Some(Fault { at_call: 0, kind: FaultKind::ShortWrite }));
    assert_eq!(file.write_at(0, b"567").unwrap(), 2);
    disk.set_capacity(Some(10));
    assert_eq!(file.allocate(11).unwrap_err().kind(), ErrorKind::Full);
    file.allocate(10).unwrap();
    assert_eq!(disk.free_bytes().unwrap(), Some(0));
    assert_eq!(&disk.files()["a"], b"5634\0\0\0\0\0\0");
}

#[test]
fn a_disk_that_lies_loses_what_it_called_synced() {
    for (lie, kept) in [(Lie::SyncFile, "b"), (Lie::SyncDirectory, "")] {
        let disk = SimStorage::new();
        disk.create("b").unwrap();
        disk.sync_dir().unwrap();
        disk.set_lie(Some(lie));
        let file = disk.create("a").unwrap();
        write_all_at(&*file, 0, b"x").unwrap();
        file.sync_data().unwrap();
        disk.sync_dir().unwrap();
        let found = disk.after(Loss::All).files();
        assert_ne!(found.get("a").map(Vec::as_slice), Some(&b"x"[..]), "{lie:?} {kept}");
    }
}

#[test]
fn changing_a_file_that_was_handed_out_as_frozen_is_noticed() {
    let (disk, file) = half_written();
    let region = disk.open("a", false).unwrap().region(0, 4).unwrap();
    assert!(disk.misuse().is_empty());
    file.write_at(0, &[9; 4]).unwrap();
    assert_eq!(*region, [2; 4], "the region itself stays sound");
    assert_eq!(disk.misuse().len(), 1);
}

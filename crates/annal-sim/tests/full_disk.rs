//! A real full disk: a small tmpfs is filled, freed, and the store goes on without a restart.
//!
//! Mounting needs rights: where root's are missing the test starts itself in a user namespace of its
//! own. Not every machine allows that either; there it says so, past the harness that hides what a
//! passed test prints, and ends.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print and unwrap")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "mounts, fills and frees a real file system"
)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::Command;

use annal::{ErrorKind, Options, Store};
use common::STOCK;

struct Mount(tempfile::TempDir);

/// Set where the test has started itself.
const INSIDE: &str = "ANNAL_FULL_DISK_INSIDE";
const TEST: &str = "a_real_full_disk_refuses_keeps_everything_and_serves_again_when_there_is_space";

/// Runs this test in a user namespace, in which it may mount; false if there is none to have.
fn runs_in_a_namespace() -> bool {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        command
    };
    let allowed = unshare().arg("true").stderr(std::process::Stdio::null()).status();
    if std::env::var_os(INSIDE).is_some() || !allowed.is_ok_and(|s| s.success()) {
        return false;
    }
    let status = unshare()
        .arg(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "failed in a namespace");
    true
}

impl Mount {
    fn new(size: &str) -> Option<Mount> {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "annal-test"])
            .arg(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        matches!(status, Ok(s) if s.success()).then(|| Mount(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, so that a failed test with open files leaves nothing behind.
        Command::new("umount").arg("-l").arg(self.path()).status().ok();
    }
}

/// Appends until the disk is full; how many batches were acknowledged.
fn fill(store: &Store) -> u64 {
    for acknowledged in 0..200_000 {
        match append(store, acknowledged as usize) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Full => return acknowledged,
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the disk never gets full");
}

fn append(store: &Store, content: usize) -> annal::Result<()> {
    store.append(STOCK.batch(content % STOCK.len(), None))?.wait().map(drop)
}

/// Another program takes all the space that is left.
fn take_all_space(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
}

#[test]
fn a_real_full_disk_refuses_keeps_everything_and_serves_again_when_there_is_space() {
    // The store stops when less than two segments, 512 KiB, are free.
    let Some(mount) = Mount::new("16m") else {
        if !runs_in_a_namespace() {
            let told = "skipped: a real full disk, mounting a tmpfs is not allowed here";
            writeln!(std::io::stderr(), "{told}").unwrap();
        }
        return;
    };
    let directory = mount.path().join("store");
    let ballast = mount.path().join("ballast");
    let options = || Options { segment_bytes: 256 << 10, ..Options::new(&directory) };
    let (store, _) = Store::open(options()).unwrap();
    let there = |store: &Store| STOCK.recognise(&store.snapshot(), false).unwrap().len() as u64;
    let mut acknowledged = 0;
    for round in 0..3 {
        append(&store, round).unwrap();
        take_all_space(&ballast);
        acknowledged += 1 + fill(&store);
        assert_eq!(there(&store), acknowledged, "reads go on and show what was acknowledged");
        std::fs::remove_file(&ballast).unwrap();
        let served = (0..400).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(25));
            append(&store, 1).is_ok()
        });
        assert!(served, "no service after space was freed");
        acknowledged += 1;
    }
    assert_eq!(there(&store), acknowledged);
    store.close().unwrap();
    let (store, report) = Store::open(options()).unwrap();
    assert!(report.clean);
    assert_eq!(there(&store), acknowledged);
    store.close().unwrap();
    println!("full disk: 3 times full, {acknowledged} batches acknowledged, 0 lost");
}

//! Verify of an open store while maintenance goes on, and of a checkpoint that claims too much.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;
use crate::format::manifest::manifest_file_name;
use crate::format::producers::producers_file_name;
use crate::options::Retention;
use crate::storage::{Entry, File, Lock, LockMode};
use crate::store::manifest_log::read_newest;

type Hook = Box<dyn FnOnce() + Send>;

/// Storage on which something happens before a producer checkpoint is opened.
struct Hooked {
    inner: Arc<MemoryStorage>,
    before_open: Mutex<Option<Hook>>,
}

impl Storage for Hooked {
    fn list(&self) -> Result<Vec<Entry>> {
        self.inner.list()
    }
    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.inner.create(name)
    }
    fn open(&self, name: &str, write: bool) -> Result<Arc<dyn File>> {
        if name.starts_with("producers-")
            && let Some(hook) = self.before_open.lock().unwrap().take()
        {
            hook();
        }
        self.inner.open(name, write)
    }
    fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.inner.rename(from, to, replace)
    }
    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)
    }
    fn sync_dir(&self) -> Result<()> {
        self.inner.sync_dir()
    }
    fn lock(&self, mode: LockMode, note: &str) -> Result<Box<dyn Lock>> {
        self.inner.lock(mode, note)
    }
    fn free_bytes(&self) -> Result<Option<u64>> {
        self.inner.free_bytes()
    }
}

#[test]
fn a_checkpoint_that_is_replaced_during_a_verify_is_no_damage() {
    let mut bench = Bench::new();
    bench.options.retention = Retention { age_s_max: None, store_bytes_max: Some(200_000) };
    let storage = Hooked { inner: bench.storage.clone(), before_open: Mutex::new(None) };
    let storage = Arc::new(storage);
    let (clock, options) = (bench.clock.clone(), bench.options.clone());
    let (store, _) = Store::open_with(storage.clone(), clock, options).unwrap();
    let fill = || {
        for _ in 0..30 {
            append(&store, batch(3, 9_000)).unwrap();
        }
    };
    let checkpoint = || bench.names().into_iter().find(|name| name.starts_with("producers-"));
    fill();
    settle(&store);
    let before = checkpoint().unwrap();
    fill();
    let (begin, begun) = channel();
    let (done, is_done) = channel();
    std::thread::scope(|scope| {
        let stepped = &store;
        scope.spawn(move || {
            begun.recv().unwrap();
            settle(stepped);
            // Nobody waits any more if the verify held maintenance up.
            done.send(()).ok();
        });
        *storage.before_open.lock().unwrap() = Some(Box::new(move || {
            begin.send(()).unwrap();
            is_done.recv_timeout(Duration::from_millis(300)).ok();
        }));
        let report = store.verify(&mut |_| {}).unwrap();
        assert!(report.damage.is_empty(), "{:?}", report.damage);
    });
    assert_ne!(checkpoint().unwrap(), before, "it was replaced meanwhile");
}

#[test]
fn a_checkpoint_longer_than_one_can_be_is_corrupt_and_never_read_into_memory() {
    let bench = Bench::new();
    let (store, _) = bench.open();
    append(&store, numbered(0)).unwrap();
    store.close().unwrap();
    let entries = bench.storage.list().unwrap();
    let mut manifest = read_newest(&*bench.storage, &entries).unwrap().unwrap();
    let record = manifest.producers.as_mut().unwrap();
    record.file_length = 1 << 45;
    let name = producers_file_name(record.number);
    bench.storage.open(&name, true).unwrap().allocate(1 << 45).unwrap();
    manifest.number += 1;
    let file = bench.storage.create(&manifest_file_name(manifest.number)).unwrap();
    file.write_at(0, &manifest.encode()).unwrap();
    let error = bench.try_open().err().unwrap();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Corrupt, Some(name.as_str())));
    let found = Store::verify_with(&*bench.storage, &bench.options, &mut |_| {}).unwrap();
    assert_eq!(found.damage.len(), 1);
    assert_eq!(found.damage[0].file(), Some(name.as_str()));
}

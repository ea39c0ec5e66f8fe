//! A directory in memory: for tests, and for stores that need not outlive the process.
//!
//! Nothing is ever lost here, so every sync succeeds at once. Handles stay valid after their file
//! was removed or replaced, as on a disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Entry, File, Lock, LockMode, ORPHANS_NAME, Region, Storage, check_name};

/// Files in memory; clones share them.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    shared: Arc<Mutex<Directory>>,
}

#[derive(Default)]
struct Directory {
    files: BTreeMap<String, Arc<MemoryFile>>,
    has_orphans: bool,
    writer: Option<String>,
    readers: usize,
}

impl MemoryStorage {
    /// An empty directory.
    #[must_use]
    pub fn new() -> MemoryStorage {
        MemoryStorage::default()
    }

    fn directory(&self) -> MutexGuard<'_, Directory> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(attempted: &str, name: &str, kind: io::ErrorKind) -> Error {
    Error::io(format!("{attempted} {name}"), kind.into()).in_file(name)
}

impl Storage for MemoryStorage {
    fn list(&self) -> Result<Vec<Entry>> {
        let directory = self.directory();
        let mut entries = Vec::new();
        for (name, file) in directory.files.iter().filter(|(name, _)| !name.contains('/')) {
            entries.push(Entry { name: name.clone(), length: file.length()?, is_dir: false });
        }
        if directory.has_orphans {
            entries.push(Entry { name: ORPHANS_NAME.to_owned(), length: 0, is_dir: true });
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let mut directory = self.directory();
        if directory.files.contains_key(name) {
            return Err(refused("create", name, io::ErrorKind::AlreadyExists));
        }
        let file = Arc::new(MemoryFile::default());
        directory.files.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&self, name: &str, _write: bool) -> Result<Arc<dyn File>> {
        check_name(name)?;
        match self.directory().files.get(name) {
            Some(file) => Ok(file.clone()),
            None => Err(refused("open", name, io::ErrorKind::NotFound)),
        }
    }

    fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut directory = self.directory();
        directory.has_orphans |= to.contains('/');
        if !replace && directory.files.contains_key(to) {
            return Err(refused("rename to", to, io::ErrorKind::AlreadyExists));
        }
        let file = directory.files.remove(from);
        let file = file.ok_or_else(|| refused("rename", from, io::ErrorKind::NotFound))?;
        directory.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        match self.directory().files.remove(name) {
            Some(_) => Ok(()),
            None => Err(refused("remove", name, io::ErrorKind::NotFound)),
        }
    }

    fn sync_dir(&self) -> Result<()> {
        Ok(())
    }

    fn lock(&self, mode: LockMode, note: &str) -> Result<Box<dyn Lock>> {
        let mut directory = self.directory();
        let held = match (&directory.writer, mode) {
            (Some(note), _) => Some(format!("the store is held by {note}; ask or stop that one")),
            (None, LockMode::Exclusive) if directory.readers > 0 => {
                Some("the store is being read; wait until that ends".to_owned())
            }
            _ => None,
        };
        if let Some(message) = held {
            return Err(Error::new(ErrorKind::Locked, message));
        }
        match mode {
            LockMode::Exclusive => directory.writer = Some(note.to_owned()),
            LockMode::Shared => directory.readers += 1,
        }
        Ok(Box::new(MemoryLock { storage: self.clone(), mode }))
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

struct MemoryLock {
    storage: MemoryStorage,
    mode: LockMode,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut directory = self.storage.directory();
        match self.mode {
            LockMode::Exclusive => directory.writer = None,
            LockMode::Shared => directory.readers -= 1,
        }
    }
}

#[derive(Default)]
struct MemoryFile {
    content: RwLock<Content>,
}

/// What was written, and zeroes behind it up to the length: preallocation costs no memory.
#[derive(Default)]
struct Content {
    written: Vec<u8>,
    length: u64,
}

impl MemoryFile {
    fn change<T>(&self, change: impl FnOnce(&mut Content) -> T) -> T {
        change(&mut self.content.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn look<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.content.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl File for MemoryFile {
    fn length(&self) -> Result<u64> {
        Ok(self.look(|content| content.length))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        Ok(self.look(|content| {
            let left = content.length.saturating_sub(offset).min(buffer.len() as u64) as usize;
            let (buffer, _) = buffer.split_at_mut(left);
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.written.len());
            let there = content.written.get(start..).unwrap_or_default();
            let copied = there.len().min(left);
            let (head, tail) = buffer.split_at_mut(copied);
            head.copy_from_slice(there.get(..copied).unwrap_or_default());
            tail.fill(0);
            left
        }))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize> {
        let end = usize::try_from(offset).ok().and_then(|o| o.checked_add(bytes.len()));
        let end = end.ok_or_else(|| refused("write", "", io::ErrorKind::FileTooLarge))?;
        self.change(|content| {
            if content.written.len() < end {
                content.written.resize(end, 0);
            }
            if let Some(target) = content.written.get_mut(end - bytes.len()..end) {
                target.copy_from_slice(bytes);
            }
            content.length = content.length.max(end as u64);
        });
        Ok(bytes.len())
    }

    fn allocate(&self, length: u64) -> Result<()> {
        self.change(|content| content.length = content.length.max(length));
        Ok(())
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.change(|content| {
            content.length = length;
            let kept = usize::try_from(length).unwrap_or(usize::MAX);
            content.written.truncate(kept);
        });
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> Result<()> {
        Ok(())
    }

    fn region(&self, offset: u64, length: usize) -> Result<Region> {
        let present = self.length()?;
        if offset.checked_add(length as u64).is_none_or(|end| end > present) {
            let what = format!("{length} bytes are not there, the file has {present}");
            return Err(Error::corrupt(what).at(offset));
        }
        let mut bytes = vec![0; length];
        super::read_exact_at(self, offset, &mut bytes)?;
        Ok(Region::from_bytes(Bytes::from(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_lets_in_one_writer_or_many_readers() {
        let storage = MemoryStorage::new();
        let writer = storage.lock(LockMode::Exclusive, "process 1").unwrap();
        let error = storage.lock(LockMode::Shared, "").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.message().contains("process 1"));
        drop(writer);
        let readers = [(); 2].map(|()| storage.lock(LockMode::Shared, "").unwrap());
        assert!(storage.lock(LockMode::Exclusive, "").is_err());
        drop(readers);
        assert!(storage.lock(LockMode::Exclusive, "").is_ok());
    }
}

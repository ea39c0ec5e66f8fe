//! A directory of the operating system as [`Storage`].
//!
//! Every call is relative to the directory that was opened, never to a path that could be moved
//! meanwhile; symbolic links are not followed. An interrupted call (EINTR) is made again, every
//! other error goes up as it came. The directory is made with mode 0700, files with 0600.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "the home of std::fs")]

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::error::{Error, ErrorKind, Result};
use crate::options::ReadMode;
use crate::storage::map::{Mapping, NeverChanges};
use crate::storage::{
    Entry, File, LOCK_NAME, Lock, LockMode, ORPHANS_NAME, Region, Storage, check_name,
};

/// A directory.
#[derive(Debug)]
pub struct DiskStorage {
    directory: OwnedFd,
    path: PathBuf,
    read_mode: ReadMode,
    /// Something may have been moved to `orphans/` since it was synced last, before this process too.
    orphans_unsynced: AtomicBool,
}

impl DiskStorage {
    /// Opens a directory; makes it and its parents, durably, if they are missing.
    pub fn open(path: &Path, read_mode: ReadMode) -> Result<DiskStorage> {
        make_directory(path)?;
        DiskStorage::open_existing(path, read_mode)
    }

    /// Opens a directory that has to be there; `Invalid` if it is not.
    pub fn open_existing(path: &Path, read_mode: ReadMode) -> Result<DiskStorage> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()));
        let directory = opened.map_err(|errno| match errno {
            Errno::NOENT => Error::invalid(format!("there is no directory {}", path.display())),
            Errno::NOTDIR => Error::invalid(format!("{} is no directory", path.display())),
            errno => Error::io(format!("open {}", path.display()), errno.into()),
        })?;
        let orphans_unsynced = AtomicBool::new(true);
        Ok(DiskStorage { directory, path: path.to_owned(), read_mode, orphans_unsynced })
    }

    fn failed(&self, attempted: &str, name: &str, errno: Errno) -> Error {
        Error::io(format!("{attempted} {}", self.path.join(name).display()), errno.into())
    }

    fn open_file(&self, name: &str, flags: OFlags) -> Result<fs::File> {
        check_name(name)?;
        let (flags, mode) = (flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::RUSR | Mode::WUSR);
        retry_on_intr(|| rustix::fs::openat(&self.directory, name, flags, mode))
            .map(fs::File::from)
            .map_err(|e| self.failed("open", name, e))
    }

    fn disk_file(&self, name: &str, flags: OFlags, write: bool) -> Result<Arc<dyn File>> {
        let file = self.open_file(name, flags)?;
        // A file that can still be written through this handle must not be mapped.
        let map = !write && self.read_mode == ReadMode::Map;
        Ok(Arc::new(DiskFile { file, name: name.to_owned(), map, mapping: OnceLock::new() }))
    }

    /// Renames where no target may exist; by link and unlink where the file system knows no better.
    fn rename_new(&self, from: &str, to: &str) -> rustix::io::Result<()> {
        let dir = &self.directory;
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            match retry_on_intr(|| rustix::fs::renameat_with(dir, from, dir, to, flags)) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                outcome => return outcome,
            }
        }
        retry_on_intr(|| rustix::fs::linkat(dir, from, dir, to, AtFlags::empty()))?;
        retry_on_intr(|| rustix::fs::unlinkat(dir, from, AtFlags::empty()))
    }

    fn make_orphans(&self) -> Result<()> {
        match retry_on_intr(|| rustix::fs::mkdirat(&self.directory, ORPHANS_NAME, Mode::RWXU)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(e) => Err(self.failed("make", ORPHANS_NAME, e)),
        }
    }

    /// Opens a file, which can fail while too many are: so only when there is something to sync.
    fn sync_orphans(&self) -> Result<()> {
        if !self.orphans_unsynced.load(Ordering::Acquire) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let open = || rustix::fs::openat(&self.directory, ORPHANS_NAME, flags, Mode::empty());
        match retry_on_intr(open) {
            Ok(orphans) => retry_on_intr(|| rustix::fs::fsync(&orphans))
                .map_err(|e| self.failed("sync", ORPHANS_NAME, e))?,
            Err(Errno::NOENT) => {}
            Err(e) => return Err(self.failed("open", ORPHANS_NAME, e)),
        }
        self.orphans_unsynced.store(false, Ordering::Release);
        Ok(())
    }
}

/// Makes a directory whose name is durable, parents first.
fn make_directory(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let make = || fs::DirBuilder::new().mode(0o700).create(path);
    let made = match make() {
        Err(e) if e.kind() == io::ErrorKind::NotFound && parent != path => {
            make_directory(parent)?;
            make()
        }
        made => made,
    };
    match made {
        Ok(()) => fs::File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(|e| Error::io(format!("sync {}", parent.display()), e)),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(Error::io(format!("make {}", path.display()), e)),
    }
}

impl Storage for DiskStorage {
    fn list(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let dir =
            rustix::fs::Dir::read_from(&self.directory).map_err(|e| self.failed("list", "", e))?;
        for found in dir {
            let found = found.map_err(|e| self.failed("list", "", e))?;
            let name = found.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            let stat = match rustix::fs::statat(&self.directory, name, flags) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(self.failed("stat", &name.to_string_lossy(), e)),
            };
            entries.push(Entry {
                name: name.to_string_lossy().into_owned(),
                length: u64::try_from(stat.st_size).unwrap_or(0),
                is_dir: rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir(),
            });
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        self.disk_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, true)
    }

    fn open(&self, name: &str, write: bool) -> Result<Arc<dyn File>> {
        self.disk_file(name, if write { OFlags::RDWR } else { OFlags::RDONLY }, write)
    }

    fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        if to.contains('/') {
            self.make_orphans()?;
            self.orphans_unsynced.store(true, Ordering::Release);
        }
        let dir = &self.directory;
        let renamed = if replace {
            retry_on_intr(|| rustix::fs::renameat(dir, from, dir, to))
        } else {
            self.rename_new(from, to)
        };
        renamed.map_err(|e| self.failed(&format!("rename {from} to"), to, e))
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        retry_on_intr(|| rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()))
            .map_err(|e| self.failed("remove", name, e))
    }

    fn sync_dir(&self) -> Result<()> {
        self.sync_orphans()?;
        retry_on_intr(|| rustix::fs::fsync(&self.directory)).map_err(|e| self.failed("sync", "", e))
    }

    fn lock(&self, mode: LockMode, note: &str) -> Result<Box<dyn Lock>> {
        if mode == LockMode::Shared {
            let file = match self.open_file(LOCK_NAME, OFlags::RDONLY) {
                Ok(file) => file,
                // Without the file no writer has ever been here, and a reader makes nothing.
                Err(_) if !self.list()?.iter().any(|e| e.name == LOCK_NAME) => {
                    return Ok(Box::new(DiskLock { file: None }));
                }
                Err(e) => return Err(e),
            };
            self.flock(&file, FlockOperation::NonBlockingLockShared)?;
            return Ok(Box::new(DiskLock { file: Some((file, mode)) }));
        }
        let file = self.open_file(LOCK_NAME, OFlags::RDWR | OFlags::CREATE)?;
        self.flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let write = || {
            file.set_len(0)?;
            file.write_all_at(note.as_bytes(), 0)
        };
        write().map_err(|e| Error::io("write LOCK", e))?;
        Ok(Box::new(DiskLock { file: Some((file, mode)) }))
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        let stat = retry_on_intr(|| rustix::fs::fstatvfs(&self.directory))
            .map_err(|e| self.failed("statvfs", "", e))?;
        Ok(stat.f_bavail.checked_mul(stat.f_frsize))
    }
}

impl DiskStorage {
    fn flock(&self, file: &fs::File, operation: FlockOperation) -> Result<()> {
        match retry_on_intr(|| rustix::fs::flock(file, operation)) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(self.held(file)),
            Err(e) => Err(self.failed("lock", LOCK_NAME, e)),
        }
    }

    /// Who holds the lock. The note of a writer that was killed stays behind, so whether the holder
    /// is a writer is found out by asking for the lock of a reader.
    fn held(&self, file: &fs::File) -> Error {
        let store = self.path.display();
        let shared = FlockOperation::NonBlockingLockShared;
        let message = if retry_on_intr(|| rustix::fs::flock(file, shared)).is_ok() {
            format!("the store {store} is being read by another process; wait until it ends")
        } else {
            let mut note = [0; 1_024];
            let length = file.read_at(&mut note, 0).unwrap_or(0);
            let note = String::from_utf8_lossy(note.get(..length).unwrap_or_default());
            format!("the store {store} is held by {}; ask or stop that one", note.trim())
        };
        Error::new(ErrorKind::Locked, message)
    }
}

/// The kernel gives the lock back when the file is closed, however the process ends.
struct DiskLock {
    file: Option<(fs::File, LockMode)>,
}

impl Lock for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        if let Some((file, LockMode::Exclusive)) = &self.file {
            // Courtesy only: a note that stays is told from a held lock by the lock.
            file.set_len(0).ok();
        }
    }
}

struct DiskFile {
    file: fs::File,
    name: String,
    map: bool,
    mapping: OnceLock<Arc<Mapping>>,
}

impl DiskFile {
    fn failed(&self, attempted: &str, error: impl Into<io::Error>) -> Error {
        Error::io(format!("{attempted} {}", self.name), error.into()).in_file(&self.name)
    }

    fn mapping(&self) -> Result<&Arc<Mapping>> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping);
        }
        // Signed for by whoever calls `File::region`: it is for files that never change again.
        let mapping = Mapping::new(&self.file, NeverChanges::promised_by_the_caller_of_region())
            .map_err(|e| self.failed("map", e))?;
        Ok(self.mapping.get_or_init(|| Arc::new(mapping)))
    }

    /// Reserves by writing, where the file system cannot reserve.
    fn fill_with_zeroes(&self, from: u64, to: u64) -> Result<()> {
        let zeroes = vec![0; 64 << 10];
        let mut offset = from;
        while offset < to {
            let length = (to - offset).min(zeroes.len() as u64) as usize;
            offset += self.write_at(offset, zeroes.get(..length).unwrap_or_default())? as u64;
        }
        Ok(())
    }
}

impl File for DiskFile {
    fn length(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(|e| self.failed("stat", e))?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(|e| self.failed("read", e).at(offset)),
            }
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize> {
        loop {
            match self.file.write_at(bytes, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(|e| self.failed("write", e).at(offset)),
            }
        }
    }

    fn allocate(&self, length: u64) -> Result<()> {
        let present = self.length()?;
        if length <= present {
            return Ok(());
        }
        #[cfg(target_os = "linux")]
        {
            let flags = rustix::fs::FallocateFlags::empty();
            match retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, 0, length)) {
                Ok(()) => return Ok(()),
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
                Err(e) => return Err(self.failed("allocate", e)),
            }
        }
        self.fill_with_zeroes(present, length)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        retry_on_intr(|| rustix::fs::ftruncate(&self.file, length))
            .map_err(|e| self.failed("truncate", e))
    }

    fn sync_data(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fdatasync(&self.file)).map_err(|e| self.failed("sync", e))
    }

    fn sync_all(&self) -> Result<()> {
        retry_on_intr(|| rustix::fs::fsync(&self.file)).map_err(|e| self.failed("sync", e))
    }

    fn region(&self, offset: u64, length: usize) -> Result<Region> {
        let beyond = |end: u64| {
            let what = format!("{length} bytes are not there, the file has {end}");
            Error::corrupt(what).in_file(&self.name).at(offset)
        };
        let present = self.length()?;
        if offset.checked_add(length as u64).is_none_or(|end| end > present) {
            return Err(beyond(present));
        }
        if self.map && length > 0 {
            let mapping = self.mapping()?.clone();
            let mapped = mapping.length();
            let start = usize::try_from(offset).map_err(|_| beyond(mapped))?;
            return Region::from_mapping(mapping, start, length).ok_or_else(|| beyond(mapped));
        }
        let mut bytes = vec![0; length];
        super::read_exact_at(self, offset, &mut bytes).map_err(|e| e.in_file(&self.name))?;
        Ok(Region::from_bytes(Bytes::from(bytes)))
    }
}

#[cfg(test)]
mod tests;

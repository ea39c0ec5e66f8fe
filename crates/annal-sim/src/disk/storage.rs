//! The storage trait over the simulated disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use annal::error::{Error, ErrorKind, Result};
use annal::storage::{Entry, File, Lock, LockMode, ORPHANS_NAME, Storage, check_name};

use super::faults::{Call, Fault, Lie};
use super::file::SimFile;
use super::inode::Inode;
use super::loss::Loss;
use super::state::{Disk, refused};

/// A disk in memory that loses power, fails and lies as it is told; clones share it.
#[derive(Clone)]
pub struct SimStorage {
    disk: Arc<Mutex<Disk>>,
}

impl Default for SimStorage {
    fn default() -> SimStorage {
        SimStorage::new()
    }
}

impl SimStorage {
    /// An empty directory on a disk without faults.
    #[must_use]
    pub fn new() -> SimStorage {
        SimStorage { disk: Arc::new(Mutex::new(Disk::default())) }
    }

    pub(super) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power goes at this change, counted from now: 0 is the next one. That call may have taken
    /// effect; nobody hears of it.
    pub fn lose_power_after(&self, changes: u64) {
        let mut disk = self.disk();
        disk.power_loss_at = Some(disk.changes + changes);
    }

    /// The process is killed at this change, counted from now: 0 is the next one. That call may have
    /// taken effect; no later one is made. What is found then is [`SimStorage::after_kill`].
    pub fn kill_after(&self, changes: u64) {
        self.lose_power_after(changes);
        self.disk().power_stays = true;
    }

    /// Power stays.
    pub fn lose_power_never(&self) {
        self.disk().power_loss_at = None;
    }

    /// Power goes now.
    pub fn lose_power(&self) {
        self.disk().off = true;
    }

    /// Whether power is gone.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.disk().off
    }

    /// Changes so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.disk().changes
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.disk().calls
    }

    /// Remembers all calls from now on.
    pub fn record(&self) {
        let mut disk = self.disk();
        disk.calls = 0;
        disk.record = Some(Vec::new());
    }

    /// The calls since then, in order.
    #[must_use]
    pub fn recorded(&self) -> Vec<Call> {
        self.disk().record.clone().unwrap_or_default()
    }

    /// Makes one call fail.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut disk = self.disk();
        disk.fault = fault;
        disk.fault_met = None;
    }

    /// The call that the fault met, if it has.
    #[must_use]
    pub fn fault_met(&self) -> Option<Call> {
        self.disk().fault_met
    }

    /// Makes the disk break a rule from now on.
    pub fn set_lie(&self, lie: Option<Lie>) {
        self.disk().lie = lie;
    }

    /// Bytes that the lengths of all files may add up to.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk().capacity = bytes;
    }

    /// Whether no file can be opened or made because too many are open.
    pub fn use_up_open_files(&self, used_up: bool) {
        self.disk().files_open_max = used_up;
    }

    /// Whether the disk keeps to itself how much space is free.
    pub fn hide_free_bytes(&self, hidden: bool) {
        self.disk().free_bytes_hidden = hidden;
    }

    /// What the engine did that it must never do.
    #[must_use]
    pub fn misuse(&self) -> Vec<String> {
        self.disk().misuse.clone()
    }

    /// Behind the last sequence in any frame that was ever written to a log file, durable or not.
    #[must_use]
    pub fn sequences_given(&self) -> u64 {
        self.disk().sequences_given
    }

    /// Stamps of all changes that are not durable yet, ascending.
    #[must_use]
    pub fn pending(&self) -> Vec<u64> {
        let disk = self.disk();
        let files = disk.inodes.iter().flat_map(|i| i.pending.iter().map(|c| c.stamp));
        let mut stamps: Vec<u64> =
            files.chain(disk.pending_names.iter().map(|c| c.stamp)).collect();
        stamps.sort_unstable();
        stamps
    }

    /// The disk as it is found after a power loss at this moment. Lies stay, faults do not.
    #[must_use]
    pub fn after(&self, loss: Loss) -> SimStorage {
        let disk = self.disk();
        let mut names = disk.durable_names.clone();
        for change in disk.pending_names.iter().filter(|c| loss.survives(c.stamp)) {
            change.apply(&mut names);
        }
        let mut found = Disk { lie: disk.lie, capacity: disk.capacity, ..Disk::default() };
        found.misuse.clone_from(&disk.misuse);
        found.sequences_given = disk.sequences_given;
        for (name, &inode) in &names {
            let survived = disk.inodes[inode].survive(
                |sector, touching| loss.sector_cut(inode, sector, touching),
                |changes| loss.length_cut(inode, changes),
            );
            found.has_orphans |= name.contains('/');
            found.names.insert(name.clone(), found.inodes.len());
            found.inodes.push(survived);
        }
        found.durable_names = found.names.clone();
        SimStorage { disk: Arc::new(Mutex::new(found)) }
    }

    /// The disk as the next process finds it after this one was killed: everything written is
    /// there, and what was volatile still is.
    #[must_use]
    pub fn after_kill(&self) -> SimStorage {
        let mut disk = self.disk();
        let was_off = std::mem::replace(&mut disk.off, true);
        assert!(!was_off || disk.power_stays, "a process cannot be killed after the power is gone");
        let mut inodes = disk.inodes.clone();
        inodes.iter_mut().for_each(|inode| inode.frozen = false);
        let found = Disk {
            inodes,
            names: disk.names.clone(),
            durable_names: disk.durable_names.clone(),
            pending_names: disk.pending_names.clone(),
            has_orphans: disk.has_orphans,
            changes: disk.changes,
            calls: disk.calls,
            record: disk.record.clone(),
            lie: disk.lie,
            capacity: disk.capacity,
            misuse: disk.misuse.clone(),
            sequences_given: disk.sequences_given,
            ..Disk::default()
        };
        SimStorage { disk: Arc::new(Mutex::new(found)) }
    }

    /// A copy of everything, to be damaged or opened without regret. All of it is durable.
    #[must_use]
    pub fn copy(&self) -> SimStorage {
        self.after(Loss::Nothing)
    }

    /// Names and contents of all files.
    #[must_use]
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk();
        let content = |&inode: &usize| {
            let inode = &disk.inodes[inode];
            let mut bytes = vec![0; inode.length as usize];
            inode.read(0, &mut bytes);
            bytes
        };
        disk.names.iter().map(|(name, inode)| (name.clone(), content(inode))).collect()
    }

    /// Replaces or adds a file, durably and behind the engine's back.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let length = bytes.len() as u64;
        let inode = Inode { bytes: Arc::new(bytes), length, ..Inode::default() };
        disk.inodes.push(inode);
        let id = disk.inodes.len() - 1;
        disk.names.insert(name.to_owned(), id);
        disk.durable_names.insert(name.to_owned(), id);
    }

    /// Flips bits of one byte, durably and behind the engine's back.
    pub fn flip(&self, name: &str, offset: usize, bits: u8) {
        let mut disk = self.disk();
        let inode = disk.names[name];
        let inode = &mut disk.inodes[inode];
        let bytes = Arc::make_mut(&mut inode.bytes);
        if bytes.len() <= offset {
            bytes.resize(offset + 1, 0);
        }
        bytes[offset] ^= bits;
    }
}

impl Storage for SimStorage {
    fn list(&self) -> Result<Vec<Entry>> {
        let mut disk = self.disk();
        disk.call(Call::List, "")?;
        let files = disk.names.iter().filter(|(name, _)| !name.contains('/'));
        let mut entries: Vec<Entry> = files
            .map(|(name, &i)| Entry {
                name: name.clone(),
                length: disk.inodes[i].length,
                is_dir: false,
            })
            .collect();
        if disk.has_orphans {
            entries.push(Entry { name: ORPHANS_NAME.to_owned(), length: 0, is_dir: true });
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let mut disk = self.disk();
        disk.call(Call::Create, name)?;
        if disk.names.contains_key(name) {
            return Err(refused("create", name, io::ErrorKind::AlreadyExists));
        }
        disk.inodes.push(Inode::default());
        let inode = disk.inodes.len() - 1;
        disk.change_names(None, Some(name), inode);
        disk.heard(self.file(name, inode, true))
    }

    fn open(&self, name: &str, write: bool) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let mut disk = self.disk();
        disk.call(Call::Open, name)?;
        match disk.names.get(name) {
            Some(&inode) => Ok(self.file(name, inode, write)),
            None => Err(refused("open", name, io::ErrorKind::NotFound)),
        }
    }

    fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut disk = self.disk();
        disk.call(Call::Rename, from)?;
        if !replace && disk.names.contains_key(to) {
            return Err(refused("rename to", to, io::ErrorKind::AlreadyExists));
        }
        let inode = disk.names.get(from).copied();
        let inode = inode.ok_or_else(|| refused("rename", from, io::ErrorKind::NotFound))?;
        disk.has_orphans |= to.contains('/');
        disk.change_names(Some(from), Some(to), inode);
        disk.heard(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut disk = self.disk();
        disk.call(Call::Remove, name)?;
        let inode = disk.names.get(name).copied();
        let inode = inode.ok_or_else(|| refused("remove", name, io::ErrorKind::NotFound))?;
        disk.change_names(Some(name), None, inode);
        disk.heard(())
    }

    fn sync_dir(&self) -> Result<()> {
        let mut disk = self.disk();
        disk.call(Call::SyncDir, "")?;
        if disk.lie != Some(Lie::SyncDirectory) {
            disk.durable_names = disk.names.clone();
            disk.pending_names.clear();
        }
        Ok(())
    }

    fn lock(&self, mode: LockMode, note: &str) -> Result<Box<dyn Lock>> {
        let mut disk = self.disk();
        disk.call(Call::Lock, "LOCK")?;
        if disk.writer.is_some() || mode == LockMode::Exclusive && disk.readers > 0 {
            let held = disk.writer.clone().unwrap_or_default();
            return Err(Error::new(ErrorKind::Locked, format!("held by {held}")));
        }
        match mode {
            LockMode::Exclusive => {
                if !disk.names.contains_key("LOCK") {
                    disk.inodes.push(Inode::default());
                    let inode = disk.inodes.len() - 1;
                    disk.change_names(None, Some("LOCK"), inode);
                }
                disk.writer = Some(note.to_owned());
            }
            LockMode::Shared => disk.readers += 1,
        }
        disk.heard(())?;
        Ok(Box::new(SimLock { storage: self.clone(), mode }))
    }

    fn free_bytes(&self) -> Result<Option<u64>> {
        let mut disk = self.disk();
        disk.call(Call::FreeBytes, "")?;
        let used: u64 = disk.names.values().map(|&i| disk.inodes[i].length).sum();
        let told = disk.capacity.filter(|_| !disk.free_bytes_hidden);
        Ok(told.map(|capacity| capacity.saturating_sub(used)))
    }
}

impl SimStorage {
    fn file(&self, name: &str, inode: usize, write: bool) -> Arc<dyn File> {
        Arc::new(SimFile { storage: self.clone(), name: name.to_owned(), inode, write })
    }
}

struct SimLock {
    storage: SimStorage,
    mode: LockMode,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.storage.disk();
        match self.mode {
            LockMode::Exclusive => disk.writer = None,
            LockMode::Shared => disk.readers = disk.readers.saturating_sub(1),
        }
    }
}

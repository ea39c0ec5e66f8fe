//! A file of the simulated disk.

use std::io;
use std::sync::Arc;

use annal::error::{Error, Result};
use annal::storage::{File, Region};
use bytes::Bytes;

use super::faults::{Call, Lie};
use super::state::{Disk, Outcome, refused};
use super::storage::SimStorage;

pub(super) struct SimFile {
    pub(super) storage: SimStorage,
    pub(super) name: String,
    pub(super) inode: usize,
    pub(super) write: bool,
}

impl SimFile {
    fn writable(&self, disk: &mut Disk, what: &str) -> Result<()> {
        disk.changes_frozen(self.inode, what);
        if self.write {
            return Ok(());
        }
        Err(refused(what, &self.name, io::ErrorKind::PermissionDenied))
    }

    fn sync(&self, call: Call) -> Result<()> {
        let mut disk = self.storage.disk();
        if let Err(error) = disk.call(call, &self.name) {
            if !disk.off {
                disk.inodes[self.inode].fail_sync();
                if disk.lie == Some(Lie::FailedSync) {
                    return Ok(());
                }
            }
            return Err(error);
        }
        if !disk.sync_lies() {
            disk.inodes[self.inode].sync();
        }
        Ok(())
    }

    fn set_length(&self, call: Call, length: u64) -> Result<()> {
        let mut disk = self.storage.disk();
        self.writable(&mut disk, "new length")?;
        disk.call(call, &self.name)?;
        let old = disk.inodes[self.inode].length;
        if length == old || call == Call::Allocate && length < old {
            return disk.heard(());
        }
        disk.check_capacity(self.inode, length)?;
        let stamp = disk.changes;
        disk.inodes[self.inode].set_length(stamp, length);
        disk.heard(())
    }
}

impl File for SimFile {
    fn length(&self) -> Result<u64> {
        let mut disk = self.storage.disk();
        disk.call(Call::Length, &self.name)?;
        Ok(disk.inodes[self.inode].length)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut disk = self.storage.disk();
        disk.call(Call::Read, &self.name)?;
        Ok(disk.inodes[self.inode].read(offset, buffer))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize> {
        let mut disk = self.storage.disk();
        self.writable(&mut disk, "write")?;
        let outcome = disk.call(Call::Write, &self.name)?;
        disk.check_capacity(self.inode, offset + bytes.len() as u64)?;
        let length = match outcome {
            Outcome::Half => bytes.len().div_ceil(2),
            Outcome::Done | Outcome::DoneUnheard => bytes.len(),
        };
        disk.note_sequences(&self.name, offset, &bytes[..length]);
        let stamp = disk.changes;
        disk.inodes[self.inode].write(stamp, offset as usize, &bytes[..length]);
        disk.heard(length)
    }

    fn allocate(&self, length: u64) -> Result<()> {
        self.set_length(Call::Allocate, length)
    }

    fn truncate(&self, length: u64) -> Result<()> {
        self.set_length(Call::Truncate, length)
    }

    fn sync_data(&self) -> Result<()> {
        self.sync(Call::SyncData)
    }

    fn sync_all(&self) -> Result<()> {
        self.sync(Call::SyncAll)
    }

    fn region(&self, offset: u64, length: usize) -> Result<Region> {
        let mut disk = self.storage.disk();
        disk.call(Call::Region, &self.name)?;
        let inode = &mut disk.inodes[self.inode];
        if offset.checked_add(length as u64).is_none_or(|end| end > inode.length) {
            let what = format!("{length} bytes are not there, the file has {}", inode.length);
            return Err(Error::corrupt(what).in_file(&self.name).at(offset));
        }
        inode.frozen = true;
        if offset as usize + length <= inode.bytes.len() {
            let whole: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(Frozen(inode.bytes.clone()));
            if let Some(region) = Region::from_mapping(whole, offset as usize, length) {
                return Ok(region);
            }
        }
        let mut bytes = vec![0; length];
        inode.read(offset, &mut bytes);
        Ok(Region::from_bytes(Bytes::from(bytes)))
    }
}

struct Frozen(Arc<Vec<u8>>);

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

//! A file's bytes, and how they became what they are since the last sync.

use std::sync::Arc;

use super::SECTOR_BYTES;

/// A file. `bytes` may be shorter than `length`: behind it are zeroes.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) length: u64,
    /// What is not durable yet, oldest first.
    pub(super) pending: Vec<Change>,
    /// A region was handed out: nothing may change any more (SEG-1).
    pub(super) frozen: bool,
}

/// A write or a new length, with what is needed to take it back.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Its place among all changes of the disk.
    pub(super) stamp: u64,
    pub(super) offset: usize,
    pub(super) old: Vec<u8>,
    pub(super) new: Vec<u8>,
    pub(super) old_length: u64,
    pub(super) new_length: u64,
    /// A later sync covers it although an earlier change was lost.
    pub(super) held: bool,
    /// A sync that should have covered it failed: no later one does.
    pub(super) lost: bool,
}

impl Inode {
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let left = self.length.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let there = &self.bytes[start..(start + left).min(self.bytes.len())];
        buffer[..there.len()].copy_from_slice(there);
        buffer[there.len()..left].fill(0);
        left
    }

    pub(super) fn write(&mut self, stamp: u64, offset: usize, new: &[u8]) {
        let old = self.replace(offset, new);
        let new_length = self.length.max((offset + new.len()) as u64);
        self.push(stamp, offset, old, new.to_vec(), new_length);
    }

    /// Longer, or shorter and what is cut off is zero from then on.
    pub(super) fn set_length(&mut self, stamp: u64, length: u64) {
        let offset = usize::try_from(length).unwrap_or(usize::MAX).min(self.bytes.len());
        let zeroes = vec![0; self.bytes.len() - offset];
        let old = self.replace(offset, &zeroes);
        self.push(stamp, offset, old, zeroes, length);
    }

    fn push(&mut self, stamp: u64, offset: usize, old: Vec<u8>, new: Vec<u8>, length: u64) {
        let old_length = std::mem::replace(&mut self.length, length);
        let new_length = length;
        let (held, lost) = (false, false);
        self.pending.push(Change { stamp, offset, old, new, old_length, new_length, held, lost });
    }

    /// Puts bytes in place and gives those that were there.
    fn replace(&mut self, offset: usize, new: &[u8]) -> Vec<u8> {
        let end = offset + new.len();
        let bytes = Arc::make_mut(&mut self.bytes);
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        let old = bytes[offset..end].to_vec();
        bytes[offset..end].copy_from_slice(new);
        old
    }

    /// A sync that succeeds.
    pub(super) fn sync(&mut self) {
        if self.pending.iter().any(|change| change.lost) {
            self.pending.iter_mut().filter(|c| !c.lost).for_each(|c| c.held = true);
        } else {
            self.pending.clear();
        }
    }

    /// A sync that fails.
    pub(super) fn fail_sync(&mut self) {
        self.pending.iter_mut().filter(|c| !c.held).for_each(|c| c.lost = true);
    }

    /// The file as it is found when, sector by sector, the changes up to a cut have survived, and
    /// its length is the one after the changes up to another cut.
    pub(super) fn survive(
        &self,
        cut: impl Fn(usize, &[&Change]) -> u64,
        length_cut: impl Fn(&[Change]) -> u64,
    ) -> Inode {
        let mut found =
            Inode { bytes: self.bytes.clone(), length: self.length, ..Inode::default() };
        if self.pending.is_empty() {
            return found;
        }
        let bytes = Arc::make_mut(&mut found.bytes);
        for change in self.pending.iter().rev() {
            bytes[change.offset..change.offset + change.old.len()].copy_from_slice(&change.old);
            found.length = change.old_length;
        }
        let sectors = bytes.len().div_ceil(SECTOR_BYTES);
        let mut touching = Vec::new();
        for sector in 0..sectors {
            let (start, end) = (sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
            let touches =
                |c: &&Change| !c.new.is_empty() && c.offset < end && c.offset + c.new.len() > start;
            touching.clear();
            touching.extend(self.pending.iter().filter(touches));
            if touching.is_empty() {
                continue;
            }
            let cut = cut(sector, &touching).max(least_cut(touching.iter().copied()));
            for change in touching.iter().filter(|c| c.stamp < cut) {
                let from = start.max(change.offset);
                let to = end.min(change.offset + change.new.len());
                bytes[from..to]
                    .copy_from_slice(&change.new[from - change.offset..to - change.offset]);
            }
        }
        let cut = length_cut(&self.pending).max(least_cut(self.pending.iter()));
        if let Some(change) = self.pending.iter().rev().find(|c| c.stamp < cut) {
            found.length = change.new_length;
        }
        bytes.truncate(usize::try_from(found.length).unwrap_or(usize::MAX));
        found
    }
}

/// What a sync has covered stays, and with it what lies below it in the same place.
fn least_cut<'a>(changes: impl Iterator<Item = &'a Change>) -> u64 {
    changes.filter(|c| c.held).map(|c| c.stamp + 1).max().unwrap_or(0)
}

//! Manifests on disk: numbered full snapshots, each written whole before its name appears.
//!
//! 1. Write to `<name>.tmp`, sync the file.
//! 2. Rename without replacing, sync the directory: now the edit is durable.
//! 3. Remove what is older than the last [`limits::MANIFESTS_KEPT`]; they are for diagnosis, and on a
//!    full disk the older ones make room for the next.
//!
//! The same steps make every other file that a manifest names.

use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Manifest, manifest_file_name, parse_manifest_file_name};
use crate::limits;
use crate::segment::tail::damaged;
use crate::storage::{Entry, Storage, read_exact_at, write_all_at};

/// The newest durable manifest.
#[derive(Debug)]
pub(crate) struct ManifestLog {
    newest: Manifest,
}

impl ManifestLog {
    pub(crate) fn new(newest: Manifest) -> ManifestLog {
        ManifestLog { newest }
    }

    /// The newest durable manifest.
    pub(crate) fn newest(&self) -> &Manifest {
        &self.newest
    }

    /// Makes the next manifest durable. `Full` and `Busy` mean that nothing has changed; after any
    /// other error nobody knows.
    pub(crate) fn commit(
        &mut self,
        storage: &dyn Storage,
        edit: impl FnOnce(&mut Manifest),
    ) -> Result<()> {
        let mut next = self.newest.clone();
        edit(&mut next);
        next.number += 1;
        let bytes = next.encode();
        if bytes.len() > limits::MANIFEST_BYTES_MAX {
            let what = "the manifest is too long: shorten the retention or use larger segments";
            return Err(Error::new(ErrorKind::Full, what));
        }
        let name = manifest_file_name(next.number);
        let mut written = write_new_file(storage, &name, &bytes);
        while matches!(&written, Err(e) if e.kind() == ErrorKind::Full)
            && self.remove_oldest(storage)?
        {
            written = write_new_file(storage, &name, &bytes);
        }
        written?;
        self.newest = next;
        match self.remove_old(storage) {
            // The edit is durable; what stays now goes at the next open.
            Err(error) if error.changed_nothing() => Ok(()),
            outcome => outcome,
        }
    }

    /// Gives the space of the oldest manifest back, which is kept for diagnosis only; false if there
    /// is none but the newest.
    fn remove_oldest(&self, storage: &dyn Storage) -> Result<bool> {
        let entries = storage.list()?;
        let numbers = entries.iter().filter_map(|e| parse_manifest_file_name(&e.name));
        let Some(oldest) = numbers.filter(|&n| n < self.newest.number).min() else {
            return Ok(false);
        };
        storage.remove(&manifest_file_name(oldest))?;
        storage.sync_dir().map_err(unknown)?;
        Ok(true)
    }

    /// Removes what is older than those kept.
    fn remove_old(&self, storage: &dyn Storage) -> Result<()> {
        let kept = limits::MANIFESTS_KEPT as u64;
        let Some(old) = self.newest.number.checked_sub(kept).filter(|&old| old > 0) else {
            return Ok(());
        };
        let name = manifest_file_name(old);
        if storage.list()?.iter().any(|e| e.name == name) {
            storage.remove(&name)?;
        }
        Ok(())
    }
}

/// The newest manifest among the entries. An invalid one is an error, never a step back.
pub(crate) fn read_newest(storage: &dyn Storage, entries: &[Entry]) -> Result<Option<Manifest>> {
    let numbered = entries.iter().filter_map(|e| parse_manifest_file_name(&e.name).map(|n| (n, e)));
    let Some((number, entry)) = numbered.max_by_key(|(n, _)| *n) else { return Ok(None) };
    let read = || {
        let length = usize::try_from(entry.length).ok();
        let length = length.filter(|&l| l <= limits::MANIFEST_BYTES_MAX);
        let length = length.ok_or_else(|| Error::corrupt("the manifest is too long"))?;
        let mut bytes = vec![0; length];
        read_exact_at(&*storage.open(&entry.name, false)?, 0, &mut bytes)?;
        let manifest = Manifest::decode(&bytes).map_err(|e| damaged(e, 0))?;
        if manifest.number != number {
            let what = format!("the file holds manifest {}", manifest.number);
            return Err(Error::corrupt(what).at(32));
        }
        Ok(manifest)
    };
    read().map(Some).map_err(|e| e.in_file(&entry.name))
}

/// Makes a file whose name appears only when its content is durable; the name is durable on return.
/// `Full` and `Busy` mean that nothing has changed.
pub(crate) fn write_new_file(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let temporary = format!("{name}.tmp");
    // Where no file could be made there is none.
    let file = storage.create(&temporary)?;
    if let Err(error) = write_all_at(&*file, 0, bytes) {
        if error.changed_nothing() {
            storage.remove(&temporary)?;
        }
        return Err(error);
    }
    file.sync_all().map_err(unknown)?;
    storage.rename(&temporary, name, false).map_err(unknown)?;
    storage.sync_dir().map_err(unknown)
}

/// A failure after which nobody knows what is on disk is never taken for one that changed nothing.
pub(crate) fn unknown(error: Error) -> Error {
    if error.changed_nothing() { Error::new(ErrorKind::Io, error.message()) } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::MemoryStorage;

    #[test]
    fn the_newest_manifest_is_read_and_only_the_last_are_kept() {
        let storage = MemoryStorage::new();
        let first = Manifest { store_id: [3; 16], ..Manifest::default() };
        let mut log = ManifestLog::new(first);
        for sequence in 1..=20 {
            log.commit(&storage, |m| m.next_sequence = sequence).unwrap();
        }
        let entries = storage.list().unwrap();
        assert_eq!(entries.len(), limits::MANIFESTS_KEPT);
        let newest = read_newest(&storage, &entries).unwrap().unwrap();
        assert_eq!(&newest, log.newest());
        assert_eq!((newest.number, newest.next_sequence), (20, 20));
    }

    #[test]
    fn an_invalid_newest_manifest_is_an_error_and_never_a_step_back() {
        let storage = MemoryStorage::new();
        let mut log = ManifestLog::new(Manifest::default());
        log.commit(&storage, |_| {}).unwrap();
        log.commit(&storage, |_| {}).unwrap();
        let name = manifest_file_name(2);
        storage.open(&name, true).unwrap().write_at(40, &[0xff]).unwrap();
        let error = read_newest(&storage, &storage.list().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(error.file(), Some(name.as_str()));
    }
}

//! Directories of sealed segments, decoded: kept while there is room, the longest unused go first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::limits;
use crate::segment::Directory;

/// A bounded cache; see the module.
#[derive(Debug, Default)]
pub(crate) struct DirectoryCache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<u64, Held>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug)]
struct Held {
    directory: Arc<Directory>,
    bytes: usize,
    used: u64,
}

impl DirectoryCache {
    /// The directory of the segment with this salt, read by `load` if it is not here. Two readers may
    /// load at once; the lock is not held meanwhile.
    pub(crate) fn get(
        &self,
        salt: u64,
        load: impl FnOnce() -> Result<Directory>,
    ) -> Result<Arc<Directory>> {
        if let Some(found) = self.find(salt) {
            return Ok(found);
        }
        let directory = Arc::new(load()?);
        self.put(salt, directory.clone());
        Ok(directory)
    }

    fn find(&self, salt: u64) -> Option<Arc<Directory>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let held = state.held.get_mut(&salt)?;
        held.used = now;
        Some(held.directory.clone())
    }

    /// Keeps a directory that is at hand.
    pub(crate) fn put(&self, salt: u64, directory: Arc<Directory>) {
        let bytes = memory_bytes(&directory);
        if bytes > limits::CACHE_BYTES_MAX {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let used = state.clock;
        state.bytes += bytes;
        if let Some(old) = state.held.insert(salt, Held { directory, bytes, used }) {
            state.bytes -= old.bytes;
        }
        while state.bytes > limits::CACHE_BYTES_MAX {
            let Some((&oldest, _)) = state.held.iter().min_by_key(|(_, h)| h.used) else { break };
            if let Some(gone) = state.held.remove(&oldest) {
                state.bytes -= gone.bytes;
            }
        }
    }
}

/// What a directory takes in memory, roughly.
fn memory_bytes(directory: &Directory) -> usize {
    let frame = |f: &crate::segment::FrameEntry| {
        // Filters once more, turned on their side, which takes at most twice as much.
        let filters = f.traces.memory_bytes() * 3;
        size_of_val(f) + f.series.len() * size_of::<u32>() + 16 + filters
    };
    let series = |s: &crate::column::Series| size_of_val(s) + s.source.len() + s.event_type.len();
    directory.frames.iter().map(frame).sum::<usize>()
        + directory.series.iter().map(series).sum::<usize>()
        + size_of::<Directory>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Series;

    fn directory(bytes: usize) -> Directory {
        let directory = Directory::default();
        directory.series.push(Series { source: "x".repeat(bytes), event_type: String::new() });
        directory
    }

    #[test]
    fn the_cache_keeps_what_is_used_and_never_more_than_its_bytes() {
        let cache = DirectoryCache::default();
        let load = |id| cache.get(id, || Ok(directory(limits::CACHE_BYTES_MAX / 4))).map(drop);
        for id in 0..20 {
            load(id).unwrap();
            cache.get(0, || panic!("used at every turn, yet forgotten")).unwrap();
            assert!(cache.state.lock().unwrap().bytes <= limits::CACHE_BYTES_MAX);
        }
        assert!(cache.find(1).is_none());
    }
}

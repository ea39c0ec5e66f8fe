//! Frames that were opened and what has been decompressed of them: kept while there is room.
//!
//! Opening a block means decoding its head, and a question mostly asks for columns that the one
//! before it asked for. What is kept is bounded by what the views hold now ([`Meter`]), in two
//! generations: what is used moves to the young one, and when that has grown by half of what may be
//! held, it becomes the old one and what was old goes. A view may hold a mapping, so that whoever
//! unlinks a file makes the cache forget it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;

use crate::column::{BatchView, Meter};
use crate::error::Result;
use crate::format::frame::FrameHeader;
use crate::limits;

/// Salt of the segment, index of the frame.
type Key = (u64, u32);
/// An opened frame.
type Opened = (FrameHeader, Arc<BatchView>);
type Generation = HashMap<Key, Opened, RandomState>;

/// A bounded cache; see the module.
#[derive(Debug)]
pub(crate) struct ViewCache {
    meter: Arc<Meter>,
    bytes_max: usize,
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
    /// What was held when the young one began.
    bytes_then: usize,
}

impl Default for ViewCache {
    fn default() -> ViewCache {
        ViewCache::new(limits::VIEW_CACHE_BYTES_MAX)
    }
}

impl ViewCache {
    fn new(bytes_max: usize) -> ViewCache {
        ViewCache { meter: Arc::default(), bytes_max, generations: Mutex::default() }
    }

    /// The frame, opened by `open` if it is not here. Two readers may open at once; the lock is not
    /// held meanwhile.
    pub(crate) fn get(
        &self,
        key: Key,
        open: impl FnOnce() -> Result<(FrameHeader, BatchView)>,
    ) -> Result<Opened> {
        if let Some(found) = self.find(key) {
            return Ok(found);
        }
        let (header, view) = open()?;
        let opened = (header, Arc::new(view.metered(&self.meter)));
        let mut generations = self.lock();
        generations.young.insert(key, opened.clone());
        self.trim(&mut generations);
        Ok(opened)
    }

    fn find(&self, key: Key) -> Option<Opened> {
        let mut generations = self.lock();
        if let Some(found) = generations.young.get(&key) {
            return Some(found.clone());
        }
        let found = generations.old.remove(&key)?;
        generations.young.insert(key, found.clone());
        Some(found)
    }

    fn trim(&self, generations: &mut Generations) {
        let held = self.meter.bytes();
        let grown = held.saturating_sub(generations.bytes_then);
        if grown <= self.bytes_max / 2 && held <= self.bytes_max {
            return;
        }
        generations.old = std::mem::take(&mut generations.young);
        if self.meter.bytes() > self.bytes_max / 4 * 3 {
            generations.old.clear();
        }
        generations.bytes_then = self.meter.bytes();
    }

    /// Lets go of all frames of a segment.
    pub(crate) fn forget(&self, salt: u64) {
        let mut generations = self.lock();
        generations.young.retain(|key, _| key.0 != salt);
        generations.old.retain(|key, _| key.0 != salt);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::BatchBuilder;
    use crate::event::Event;
    use crate::time::Timestamp;

    /// A frame of about this many bytes.
    fn frame(bytes: usize) -> Result<(FrameHeader, BatchView)> {
        let mut builder = BatchBuilder::new();
        let body = Some(crate::event::Value::String("x".repeat(bytes)));
        let event = Event { time: Timestamp(1), source: "s".into(), body, ..Event::default() };
        builder.push(&event)?;
        let batch = builder.finish()?;
        Ok((*batch.header(), BatchView::open(batch.header(), batch.payload())?))
    }

    #[test]
    fn the_cache_keeps_what_is_used_and_little_more_than_its_bytes() {
        let cache = ViewCache::new(100_000);
        let wrong = || panic!("used at every turn, yet forgotten");
        for index in 0..200 {
            cache.get((1, index), || frame(10_000)).unwrap();
            cache.get((1, index), wrong).unwrap();
            if index % 2 == 1 {
                cache.get((1, index - 1), wrong).unwrap();
            }
            assert!(cache.meter.bytes() <= 130_000, "{}", cache.meter.bytes());
        }
        assert!(cache.find((1, 0)).is_none());
    }

    #[test]
    fn of_a_segment_that_goes_nothing_is_kept() {
        let cache = ViewCache::new(1 << 20);
        for (salt, index) in [(1, 0), (2, 0), (1, 1)] {
            cache.get((salt, index), || frame(10)).unwrap();
        }
        cache.forget(1);
        assert!(cache.find((1, 0)).is_none() && cache.find((1, 1)).is_none());
        assert!(cache.find((2, 0)).is_some());
        cache.forget(2);
        assert_eq!(cache.meter.bytes(), 0);
    }
}

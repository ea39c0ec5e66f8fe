//! Frames that were opened and what has been decompressed of them: kept while there is room.
//!
//! Opening a block means decoding its head, and a question mostly asks for columns that the one
//! before it asked for. What is kept is bounded by what the views hold now ([`Meter`]), in two
//! generations: what is used moves to the young one, and when that has grown by half of what may be
//! held, it becomes the old one and what was old goes. A view may hold a mapping, so that whoever
//! unlinks a file makes the cache forget it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// What was held when the young generation began.
    bytes_then: AtomicUsize,
}

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    old: Generation,
}

impl Default for ViewCache {
    fn default() -> ViewCache {
        ViewCache::new(limits::VIEW_CACHE_BYTES_MAX)
    }
}

impl ViewCache {
    fn new(bytes_max: usize) -> ViewCache {
        ViewCache {
            meter: Arc::default(),
            bytes_max,
            generations: Mutex::default(),
            bytes_then: AtomicUsize::new(0),
        }
    }

    /// The frame, opened by `open` if it is not here; it also says how many bytes the view keeps from
    /// the file that are no mapping. Two readers may open at once; the lock is not held meanwhile.
    pub(crate) fn get(
        &self,
        key: Key,
        open: impl FnOnce() -> Result<(FrameHeader, BatchView, usize)>,
    ) -> Result<Opened> {
        let found = match self.find(key) {
            Some(found) => found,
            None => {
                let (header, view, own_bytes) = open()?;
                let opened = (header, Arc::new(view.metered(&self.meter, own_bytes)));
                self.lock().young.insert(key, opened.clone());
                opened
            }
        };
        // After a hit, too: what is here already grows while it is read.
        self.trim();
        Ok(found)
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

    /// Lets go of what there is no room for; never while the lock is held.
    fn trim(&self) {
        let is_due = || {
            let held = self.meter.bytes();
            let grown = held.saturating_sub(self.bytes_then.load(Ordering::Relaxed));
            grown > self.bytes_max / 2 || held > self.bytes_max
        };
        if !is_due() {
            return;
        }
        let gone = {
            let mut generations = self.lock();
            // Another reader may just have done so.
            if !is_due() {
                return;
            }
            self.bytes_then.store(self.meter.bytes(), Ordering::Relaxed);
            let young = std::mem::take(&mut generations.young);
            std::mem::replace(&mut generations.old, young)
        };
        drop(gone);
        if self.meter.bytes() > self.bytes_max / 4 * 3 {
            let gone = std::mem::take(&mut self.lock().old);
            drop(gone);
        }
        self.bytes_then.store(self.meter.bytes(), Ordering::Relaxed);
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
    fn frame(bytes: usize) -> Result<(FrameHeader, BatchView, usize)> {
        let mut builder = BatchBuilder::new();
        let body = Some(crate::event::Value::String("x".repeat(bytes)));
        let event = Event { time: Timestamp(1), source: "s".into(), body, ..Event::default() };
        builder.push(&event)?;
        let batch = builder.finish()?;
        Ok((*batch.header(), BatchView::open(batch.header(), batch.payload())?, 0))
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

    /// A block that is small until its columns are read.
    fn block() -> Result<(FrameHeader, BatchView, usize)> {
        let (header, view, _) = frame(50_000)?;
        let mut gather = crate::column::Gather::new();
        gather.add(&header, &view, 0..1)?;
        let block = gather.finish()?;
        let view = BatchView::open_block(&block.header, block.bytes.into())?;
        Ok((block.header, view, 0))
    }

    #[test]
    fn what_grows_after_it_was_put_here_goes_as_well() {
        let cache = ViewCache::new(1_000_000);
        for index in 0..100 {
            cache.get((1, index), block).unwrap();
        }
        for index in 0..100 {
            let (header, view) = cache.get((1, index), block).unwrap();
            view.materialise(&header, &[0]).unwrap();
            assert!(cache.meter.bytes() <= 1_200_000, "{}", cache.meter.bytes());
        }
        let (header, view) = cache.get((2, 0), || block().map(|(h, v, _)| (h, v, 7_777))).unwrap();
        let before = cache.meter.bytes();
        cache.forget(2);
        drop((header, view));
        assert!(before - cache.meter.bytes() > 7_777, "bytes that are no mapping count");
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

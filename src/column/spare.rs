//! Buffers of views that went, for those that come: memory that is fresh from the system costs a page
//! fault every 4 KiB, which is a third of what it costs to decompress a chunk into it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers by the binary logarithm of their capacity.
type Classes = [Vec<Vec<u8>>; CLASSES];
const CLASSES: usize = usize::BITS as usize;
/// So many buffers of the request's own class are looked at before the next class is, all of which
/// are long enough.
const LOOKED_AT: usize = 4;
/// What is kept at most: half of what the cache of views holds goes at a time.
pub(super) const SPARE_BYTES_MAX: usize = crate::limits::VIEW_CACHE_BYTES_MAX / 2;

/// A bounded store of empty buffers.
#[derive(Debug)]
pub(super) struct Spare(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    classes: Classes,
    bytes: usize,
}

impl Default for Spare {
    fn default() -> Spare {
        Spare(Mutex::new(Inner { classes: std::array::from_fn(|_| Vec::new()), bytes: 0 }))
    }
}

impl Spare {
    /// An empty buffer with room for so many bytes and for not much more.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let Some(class) = bytes.checked_ilog2() else { return Vec::new() };
        let mut inner = self.lock();
        let found = inner.find(class as usize, bytes);
        drop(inner);
        found.unwrap_or_else(|| Vec::with_capacity(bytes))
    }

    /// Keeps a buffer. What there is no room for goes, from the fullest class: its sizes may not be
    /// wanted any more.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let Some(class) = buffer.capacity().checked_ilog2() else { return };
        let mut gone = Vec::new();
        let mut inner = self.lock();
        inner.bytes += buffer.capacity();
        if let Some(class) = inner.classes.get_mut(class as usize) {
            class.push(buffer);
        }
        while inner.bytes > SPARE_BYTES_MAX {
            gone.push(inner.shed());
        }
        drop(inner);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn find(&mut self, class: usize, bytes: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| buffer.capacity() >= bytes;
        let own = self.classes.get_mut(class)?;
        let looked_at = own.len().saturating_sub(LOOKED_AT)..own.len();
        let place = looked_at.rev().find(|at| own.get(*at).is_some_and(fits));
        let found = match place {
            Some(place) => own.swap_remove(place),
            None => self.classes.get_mut(class + 1)?.pop()?,
        };
        self.bytes -= found.capacity();
        Some(found)
    }

    /// A buffer of the class that holds the most bytes.
    fn shed(&mut self) -> Vec<u8> {
        let weight = |(class, buffers): &(usize, &mut Vec<Vec<u8>>)| buffers.len() << class;
        let fullest = self.classes.iter_mut().enumerate().max_by_key(weight);
        let shed = fullest.and_then(|(_, buffers)| buffers.pop()).unwrap_or_default();
        self.bytes -= shed.capacity();
        shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_for_what_fits_well_and_not_for_less() {
        let spare = Spare::default();
        spare.give(Vec::with_capacity(1_000));
        assert!(spare.take(100).capacity() < 1_000, "ten times as long as needed");
        assert_eq!(spare.take(900).capacity(), 1_000);
        assert_eq!(spare.lock().bytes, 0);
        spare.give(Vec::with_capacity(1_000));
        assert!(spare.take(1_001).capacity() >= 1_001);
        assert_eq!(spare.take(300).capacity(), 1_000, "one of the class above is long enough");
        assert_eq!(spare.take(0).capacity(), 0);
        spare.give(Vec::new());
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let spare = Spare::default();
        for _ in 0..100 {
            spare.give(Vec::with_capacity(1 << 20));
        }
        assert_eq!(spare.lock().bytes, SPARE_BYTES_MAX);
        // Another size is wanted from now on.
        spare.give(Vec::with_capacity(3_000));
        assert!(spare.lock().bytes <= SPARE_BYTES_MAX);
        assert_eq!(spare.take(2_500).capacity(), 3_000);
        let mut buffer = spare.take(1 << 20);
        buffer.extend_from_slice(b"left over");
        spare.give(buffer);
        assert!(spare.take(1 << 20).is_empty());
    }
}

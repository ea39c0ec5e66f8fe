//! A vector that only grows and whose entries never move: one writer appends, readers that hold a
//! shared reference see entries as they come, and nothing is copied when a snapshot is taken.
//!
//! Chunks double in size; chunk `c` holds `32 << c` entries. A slot is written once, so that a
//! reference to it is good as long as the vector.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Entries of the first chunk.
const FIRST: usize = 32;
/// Chunks; together they hold more entries than frames fit into the largest segment.
const CHUNKS: usize = 27;

type Chunk<T> = OnceLock<Box<[OnceLock<T>]>>;

/// Grows only; see the module.
pub struct AppendVec<T> {
    chunks: [Chunk<T>; CHUNKS],
    length: AtomicUsize,
}

impl<T> AppendVec<T> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry, if the vector is that long.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (chunk, slot) = place(index);
        self.chunks.get(chunk)?.get()?.get(slot)?.get()
    }

    /// All entries so far.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Appends an entry and says where it stands. There is one writer at a time.
    pub(crate) fn push(&self, value: T) -> usize {
        let index = self.len();
        let (chunk, slot) = place(index);
        let entries = self
            .chunks
            .get(chunk)
            .map(|c| c.get_or_init(|| (0..FIRST << chunk).map(|_| OnceLock::new()).collect()));
        let free = entries.and_then(|e| e.get(slot)).is_some_and(|e| e.set(value).is_ok());
        assert!(free, "an append-only vector has one writer and fewer than 2^32 entries");
        self.length.store(index + 1, Ordering::Release);
        index
    }
}

/// Chunk and slot of an entry.
fn place(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

impl<T> Default for AppendVec<T> {
    fn default() -> AppendVec<T> {
        AppendVec { chunks: [const { OnceLock::new() }; CHUNKS], length: AtomicUsize::new(0) }
    }
}

impl<T: fmt::Debug> fmt::Debug for AppendVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T: PartialEq> PartialEq for AppendVec<T> {
    fn eq(&self, other: &AppendVec<T>) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<T> FromIterator<T> for AppendVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> AppendVec<T> {
        let vector = AppendVec::default();
        for value in values {
            vector.push(value);
        }
        vector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_where_they_were_pushed_over_many_chunks() {
        let vector = AppendVec::default();
        for i in 0..5_000 {
            assert_eq!(vector.push(i), i);
        }
        assert!((0..5_000).all(|i| vector.get(i) == Some(&i)));
        assert_eq!(vector.get(5_000), None);
        assert_eq!(vector.get(usize::MAX / 2), None);
        assert!(vector.iter().copied().eq(0..5_000));
    }

    #[test]
    fn readers_see_a_prefix_while_the_writer_appends() {
        let vector = AppendVec::default();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20_000).for_each(|i| assert_eq!(vector.push(i), i)));
            for _ in 0..50 {
                let seen = vector.len();
                assert!((0..seen).all(|i| vector.get(i) == Some(&i)));
            }
        });
    }
}

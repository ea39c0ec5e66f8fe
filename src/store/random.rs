//! The home of randomness in the engine: salts and store ids.
//!
//! A salt must not be guessed by a producer, who could otherwise forge frame headers inside a
//! payload. The operating system's randomness comes through the standard library's hash keys; with
//! a seed (simulator) everything follows from the seed and what is asked for.

#![allow(clippy::disallowed_types, reason = "the home of randomness")]

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::time::Timestamp;

/// Where salts and store ids come from.
#[derive(Debug)]
pub(crate) struct Random {
    seed: Option<u64>,
    drawn: u64,
}

impl Random {
    pub(crate) fn new(seed: Option<u64>) -> Random {
        Random { seed, drawn: 0 }
    }

    /// A number that nobody can guess; of a seeded source one that depends on `now`, so that a
    /// store that is opened again with the same seed does not draw the same salts.
    pub(crate) fn draw(&mut self, now: Timestamp) -> u64 {
        self.drawn += 1;
        let mut bytes = [0; 24];
        let (first, rest) = bytes.split_at_mut(8);
        let (second, third) = rest.split_at_mut(8);
        first.copy_from_slice(&self.drawn.to_le_bytes());
        second.copy_from_slice(&now.0.to_le_bytes());
        third.copy_from_slice(&self.seed.unwrap_or(0).to_le_bytes());
        let drawn = match self.seed {
            Some(_) => xxhash_rust::xxh3::xxh3_64(&bytes),
            None => {
                let mut hasher = RandomState::new().build_hasher();
                hasher.write(&bytes);
                hasher.finish()
            }
        };
        // Zero means: not stamped.
        drawn.max(1)
    }

    /// Another source, which draws other numbers.
    pub(crate) fn split(&mut self) -> Random {
        self.drawn += 1;
        Random { seed: self.seed, drawn: self.drawn << 32 }
    }

    /// A store id.
    pub(crate) fn store_id(&mut self, now: Timestamp) -> [u8; 16] {
        let mut id = [0; 16];
        let (low, high) = id.split_at_mut(8);
        low.copy_from_slice(&self.draw(now).to_le_bytes());
        high.copy_from_slice(&self.draw(now).to_le_bytes());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_no_seed_does_not() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            (random.draw(Timestamp(1)), random.draw(Timestamp(1)))
        };
        assert_eq!(draw(Some(7)), draw(Some(7)));
        assert_ne!(draw(Some(7)), draw(Some(8)));
        assert_ne!(draw(None), draw(None));
        assert_ne!(draw(Some(7)).0, draw(Some(7)).1);
    }
}

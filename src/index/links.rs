//! Which traces the blocks of a segment link to: one Bloom filter per block over the targets of its
//! links alone. Trace filters hold own traces and linked ones alike, so that they cannot leave out
//! the blocks where the trace itself stands; this can.
//!
//! A block and not an event is what a target leads to: a block is read or left as a whole, and a
//! filter takes 1.25 bytes a target where a list of targets and events would take eight.
//! `storage-format.md`, "Links section".

use crate::codec::Cursor;
use crate::error::Result;
use crate::index::filter::{self, TraceFilter};
use crate::index::parts::{self, Parts};

/// Collects the section of a segment.
#[derive(Debug, Default)]
pub struct LinksBuilder {
    words: Vec<u8>,
    lengths: Vec<usize>,
}

impl LinksBuilder {
    /// Appends a block: the hashes of the traces that its events link to, each once.
    pub fn push(&mut self, targets: &[u64]) {
        let start = self.words.len();
        TraceFilter::of_values(targets).put_words(&mut self.words);
        self.lengths.push(self.words.len() - start);
    }

    /// Appends a block that is copied from another segment, with the filter that it has there, if it
    /// links anywhere; false if the section does not know the block.
    pub fn copy<B: AsRef<[u8]>>(&mut self, from: Option<&LinkFilters<B>>, index: usize) -> bool {
        let words = match from {
            None => Some(&[][..]),
            Some(filters) => filters.parts.get(filters.bytes.as_ref(), index),
        };
        let Some(words) = words else { return false };
        self.words.extend_from_slice(words);
        self.lengths.push(words.len());
        true
    }

    /// The section's bytes; `None` if nothing links.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        if self.words.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(10 + 4 * self.lengths.len() + self.words.len());
        parts::put_ends(&mut out, self.lengths.iter().copied())?;
        out.extend_from_slice(&self.words);
        Some(out)
    }
}

/// The section of a segment, read where it stands.
#[derive(Debug)]
pub struct LinkFilters<B> {
    bytes: B,
    parts: Parts,
}

impl<B: AsRef<[u8]>> LinkFilters<B> {
    /// Checks that the filters fit the bytes.
    pub fn new(bytes: B) -> Result<LinkFilters<B>> {
        let all = bytes.as_ref();
        let whole_words = |length: usize| length.is_multiple_of(8);
        let parts = Parts::read(&mut Cursor::new(all), all.len(), whole_words)?;
        Ok(LinkFilters { bytes, parts })
    }

    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.parts.len()
    }

    /// Whether an event of the block may link to the trace with this hash; false is certain. `None`
    /// if there is no such block.
    #[must_use]
    pub fn may_link(&self, block: usize, target: u64) -> Option<bool> {
        let words = self.parts.get(self.bytes.as_ref(), block)?;
        Some(filter::bytes_contain(words, target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(number: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes())
    }

    /// Three blocks, of which the second links nowhere.
    fn sample() -> Vec<u8> {
        let mut builder = LinksBuilder::default();
        for block in [0..100, 0..0, 100..1_000] {
            builder.push(&block.map(target).collect::<Vec<u64>>());
        }
        builder.encode().unwrap()
    }

    #[test]
    fn a_target_that_a_block_has_is_never_left_out_and_others_mostly_are() {
        let bytes = sample();
        assert!(bytes.len() <= 1 + 3 * 4 + 2 * 8 + 1_250, "{} bytes", bytes.len());
        let filters = LinkFilters::new(bytes).unwrap();
        assert_eq!(filters.blocks(), 3);
        let mut wrong = 0;
        for number in 0..2_000 {
            let may = |block| filters.may_link(block, target(number)).unwrap();
            let is_in = [number < 100, false, (100..1_000).contains(&number)];
            for (block, is_in) in is_in.into_iter().enumerate() {
                assert!(may(block) || !is_in);
                wrong += usize::from(may(block) && !is_in);
            }
            assert!(!may(1));
        }
        assert!(wrong < 120, "{wrong} of 3000");
        assert_eq!(filters.may_link(3, target(0)), None);
    }

    #[test]
    fn a_block_that_is_copied_keeps_its_filter() {
        let filters = LinkFilters::new(sample()).unwrap();
        let mut copy = LinksBuilder::default();
        assert!((0..3).all(|block| copy.copy(Some(&filters), block)));
        assert!(!copy.copy(Some(&filters), 3));
        assert_eq!(copy.encode().unwrap(), sample());
        let mut none = LinksBuilder::default();
        assert!(none.copy(None::<&LinkFilters<Vec<u8>>>, 7));
        none.push(&[target(5)]);
        let mut pushed = LinksBuilder::default();
        [&[][..], &[target(5)]].iter().for_each(|targets| pushed.push(targets));
        assert_eq!(none.encode(), pushed.encode());
    }

    #[test]
    fn a_segment_without_links_has_no_section() {
        let mut builder = LinksBuilder::default();
        assert!(builder.encode().is_none());
        builder.push(&[]);
        assert!(builder.encode().is_none());
    }

    #[test]
    fn cut_sections_and_half_words_are_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(LinkFilters::new(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(LinkFilters::new([bytes.as_slice(), &[0]].concat()).is_err());
        assert!(LinkFilters::new(&[1, 4, 0, 0, 0, 7, 7, 7, 7][..]).is_err());
        assert!(
            LinkFilters::new(&[2, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..]).is_err()
        );
        assert!(LinkFilters::new(&[255, 255, 255, 255, 15][..]).is_err());
    }
}

//! Which attributes the blocks of a segment have, and of most of them which values: a question for
//! a value that no event of a block has leaves the block unread.
//!
//! 1. A segment lists its attributes: table, type of the values, key. Of each block it says which
//!    of them occur, which are covered, and has one Bloom filter over all values of the covered.
//! 2. Covered are texts, those with the fewest distinct values in a block first, until a fifth of
//!    its events has been spent: keys of sessions and users are, ids of single requests are not.
//! 3. The filter is that of [`TraceFilter`](crate::index::TraceFilter): 10 bits a value.
//!
//! Blocks stand behind a table of offsets, so that one is read without the others.
//! `storage-format.md`, "Attributes section".

use std::collections::{HashMap, HashSet};

use crate::codec::{Cursor, put_varint};
use crate::error::{Error, Result};
use crate::index::filter;
use crate::index::parts::{self, Parts};
use crate::limits;

/// One value is spent for so many events of a block.
const EVENTS_PER_VALUE: usize = 5;

/// An attribute: the code of its table, that of its values' type, its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttributeId {
    /// Code of the table.
    pub table: u8,
    /// Code of the type of its values.
    pub value_type: u8,
    /// Its key.
    pub key: String,
}

impl AttributeId {
    /// What stands for one of its values in filters.
    #[must_use]
    pub fn hash(&self, value: &[u8]) -> u64 {
        let seed = u64::from(self.table) << 8 | u64::from(self.value_type);
        let seed = xxhash_rust::xxh3::xxh3_64_with_seed(self.key.as_bytes(), seed);
        xxhash_rust::xxh3::xxh3_64_with_seed(value, seed)
    }
}

/// The attributes of one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockAttributes {
    /// Each once; true if its values are covered.
    pub present: Vec<(AttributeId, bool)>,
    /// Of all values of those that are covered.
    pub hashes: Vec<u64>,
}

impl BlockAttributes {
    /// Chooses which of the attributes of a block of so many events are covered: `texts` says how
    /// many distinct values each has, and hands them out.
    pub fn choose<'a, V: Iterator<Item = &'a [u8]>>(
        events: usize,
        mut texts: Vec<(AttributeId, usize, V)>,
        others: impl Iterator<Item = AttributeId>,
    ) -> BlockAttributes {
        let mut chosen = BlockAttributes::default();
        let mut left = events / EVENTS_PER_VALUE;
        // Stable: among equals the order of the block's directory.
        texts.sort_by_key(|text| text.1);
        for (id, distinct, values) in texts {
            let covered = distinct <= left;
            if covered {
                left -= distinct;
                chosen.hashes.extend(values.map(|value| id.hash(value)));
            }
            chosen.add(id, covered);
        }
        others.for_each(|id| chosen.add(id, false));
        chosen
    }

    /// A key may occur twice in an event: then it has two columns, of which both must be covered.
    fn add(&mut self, id: AttributeId, covered: bool) {
        match self.present.iter_mut().find(|known| known.0 == id) {
            Some(known) => known.1 &= covered,
            None => self.present.push((id, covered)),
        }
    }
}

/// What the section says of a block: the numbers of attributes present, whether each is covered;
/// and the filter.
type Part = (Vec<(usize, bool)>, Vec<u8>);

/// Collects the section of a segment.
#[derive(Debug, Default)]
pub struct AttributesBuilder {
    numbers: HashMap<AttributeId, usize, foldhash::fast::RandomState>,
    ids: Vec<AttributeId>,
    blocks: Vec<Part>,
}

impl AttributesBuilder {
    /// Appends a block.
    pub fn push(&mut self, block: &BlockAttributes) {
        let mut words = Vec::new();
        filter::TraceFilter::of_values(&block.hashes).put_words(&mut words);
        self.put(block.present.iter().map(|(id, covered)| (id, *covered)), words);
    }

    /// Appends a block that is copied from another segment, with what its section says of it; false
    /// if it says nothing. Where the blocks before it came along, in whatever blocks they are now,
    /// this comes to the same as [`AttributesBuilder::push`]: an attribute is new here if it was
    /// new there, and new ones are numbered in the order that they have in the block.
    pub fn copy<B: AsRef<[u8]>>(&mut self, from: &AttributeFilters<B>, index: usize) -> bool {
        let Some(block) = from.block(index) else { return false };
        let numbered = from.ids.iter().enumerate();
        let present = numbered
            .filter(|(number, _)| bit(block.present, *number))
            .map(|(number, id)| (id, bit(block.covered, number)));
        self.put(present, block.words.to_vec());
        true
    }

    fn put<'a>(
        &mut self,
        attributes: impl Iterator<Item = (&'a AttributeId, bool)>,
        words: Vec<u8>,
    ) {
        let mut present = Vec::new();
        for (id, covered) in attributes {
            if self.ids.len() > limits::ATTRIBUTES_LISTED_MAX {
                return;
            }
            let number = match self.numbers.get(id) {
                Some(number) => *number,
                None => {
                    let next = self.ids.len();
                    self.numbers.insert(id.clone(), next);
                    self.ids.push(id.clone());
                    next
                }
            };
            present.push((number, covered));
        }
        self.blocks.push((present, words));
    }

    /// The section's bytes; `None` if the segment has too many attributes.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        if self.ids.len() > limits::ATTRIBUTES_LISTED_MAX {
            return None;
        }
        let mut out = Vec::new();
        put_varint(&mut out, self.ids.len() as u64);
        for id in &self.ids {
            out.extend_from_slice(&[id.table, id.value_type]);
            put_varint(&mut out, id.key.len() as u64);
            out.extend_from_slice(id.key.as_bytes());
        }
        let bitmap_bytes = self.ids.len().div_ceil(8);
        let length = |(_, words): &Part| 2 * bitmap_bytes + words.len();
        parts::put_ends(&mut out, self.blocks.iter().map(length))?;
        for (present, words) in &self.blocks {
            let start = out.len();
            out.resize(start + 2 * bitmap_bytes, 0);
            for &(number, covered) in present {
                for at in [Some(0), covered.then_some(bitmap_bytes)].into_iter().flatten() {
                    if let Some(byte) = out.get_mut(start + at + number / 8) {
                        *byte |= 1 << (number % 8);
                    }
                }
            }
            out.extend_from_slice(words);
        }
        Some(out)
    }
}

/// The section of a segment, read where it stands.
#[derive(Debug)]
pub struct AttributeFilters<B> {
    bytes: B,
    ids: Vec<AttributeId>,
    parts: Parts,
}

/// An attribute of a segment, and what stands for a value of it.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    number: usize,
    hash: Option<u64>,
}

/// What a segment knows of one of its blocks.
#[derive(Clone, Copy, Debug)]
pub struct BlockFilter<'a> {
    present: &'a [u8],
    covered: &'a [u8],
    words: &'a [u8],
}

impl<B: AsRef<[u8]>> AttributeFilters<B> {
    /// Reads the list of attributes and checks that the offsets fit the bytes.
    pub fn new(bytes: B) -> Result<AttributeFilters<B>> {
        let all = bytes.as_ref();
        let mut c = Cursor::new(all);
        let count = c.length(limits::ATTRIBUTES_LISTED_MAX, "attributes of a segment")?;
        let mut ids: Vec<AttributeId> = Vec::with_capacity(count.min(c.remaining() / 3));
        for _ in 0..count {
            let (table, value_type) = (c.u8()?, c.u8()?);
            let length = c.length(limits::KEY_BYTES_MAX, "length of a key")?;
            let key = std::str::from_utf8(c.take(length)?);
            let key = key.map_err(|_| Error::invalid("a key is not UTF-8"))?.to_owned();
            ids.push(AttributeId { table, value_type, key });
        }
        let mut seen = HashSet::with_capacity(ids.len());
        if !ids.iter().all(|id| seen.insert(id)) {
            return Err(c.error("an attribute is listed twice"));
        }
        let bitmaps = 2 * count.div_ceil(8);
        let fits = |length: usize| {
            length.checked_sub(bitmaps).is_some_and(|words| words.is_multiple_of(8))
        };
        let parts = Parts::read(&mut c, all.len(), fits)?;
        Ok(AttributeFilters { bytes, ids, parts })
    }

    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.parts.len()
    }

    /// An attribute, and maybe a value, as blocks are asked for it; `None` if no block has it.
    #[must_use]
    pub fn seek(&self, id: &AttributeId, value: Option<&[u8]>) -> Option<Sought> {
        let number = self.ids.iter().position(|known| known == id)?;
        Some(Sought { number, hash: value.map(|value| id.hash(value)) })
    }

    /// What is known of a block; `None` if there is no such block.
    #[must_use]
    pub fn block(&self, index: usize) -> Option<BlockFilter<'_>> {
        let block = self.parts.get(self.bytes.as_ref(), index)?;
        let bitmap_bytes = self.ids.len().div_ceil(8);
        let (present, rest) = block.split_at_checked(bitmap_bytes)?;
        let (covered, words) = rest.split_at_checked(bitmap_bytes)?;
        Some(BlockFilter { present, covered, words })
    }
}

impl BlockFilter<'_> {
    /// Whether an event of the block may have this attribute; with a value, whether it may have
    /// this value. False is certain.
    #[must_use]
    pub fn may_contain(&self, sought: Sought) -> bool {
        match sought.hash {
            _ if !bit(self.present, sought.number) => false,
            Some(hash) if bit(self.covered, sought.number) => {
                filter::bytes_contain(self.words, hash)
            }
            _ => true,
        }
    }
}

fn bit(of: &[u8], at: usize) -> bool {
    of.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: &str) -> AttributeId {
        AttributeId { table: 2, value_type: 1, key: key.into() }
    }

    fn sample() -> Vec<u8> {
        let mut builder = AttributesBuilder::default();
        for block in 0..3 {
            let users: Vec<String> = (0..100).map(|n| format!("u-{block}-{n}")).collect();
            let requests: Vec<String> = (0..500).map(|n| format!("r-{block}-{n}")).collect();
            fn bytes(texts: &[String]) -> impl Iterator<Item = &[u8]> {
                texts.iter().map(|text| text.as_bytes())
            }
            let texts = vec![
                (id("request"), requests.len(), bytes(&requests)),
                (id("user"), users.len(), bytes(&users)),
            ];
            let others = (block == 1).then(|| id("port")).into_iter();
            builder.push(&BlockAttributes::choose(1_000, texts, others));
        }
        builder.encode().unwrap()
    }

    #[test]
    fn a_value_that_a_block_has_is_never_left_out_and_others_mostly_are() {
        let filters = AttributeFilters::new(sample()).unwrap();
        assert_eq!(filters.blocks(), 3);
        assert!(filters.block(3).is_none());
        let mut wrong = 0;
        for block in 0..3 {
            let filter = filters.block(block).unwrap();
            let may = |id: &AttributeId, value: Option<&[u8]>| {
                filters.seek(id, value).is_some_and(|sought| filter.may_contain(sought))
            };
            for n in 0..100 {
                let has = |of: usize| format!("u-{of}-{n}");
                assert!(may(&id("user"), Some(has(block).as_bytes())));
                let other = has((block + 1) % 3);
                wrong += usize::from(may(&id("user"), Some(other.as_bytes())));
            }
            assert!(may(&id("request"), Some(b"of too many to be covered")));
            assert_eq!(may(&id("port"), Some(b"1")), block == 1);
            assert_eq!(may(&id("port"), None), block == 1);
            assert!(!may(&id("nowhere"), None));
        }
        assert!(wrong < 20, "{wrong} of 300");
    }

    #[test]
    fn a_key_of_two_columns_is_covered_only_if_both_are() {
        let texts = |values: usize| {
            let values: Vec<Vec<u8>> = (0..values).map(|n| vec![n as u8, 1]).collect();
            values
        };
        let (few, many) = (texts(3), texts(250));
        fn slices(values: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
            values.iter().map(Vec::as_slice)
        }
        let columns = vec![(id("k"), 3, slices(&few)), (id("k"), 250, slices(&many))];
        let block = BlockAttributes::choose(1_000, columns, std::iter::empty());
        assert_eq!(block.present, [(id("k"), false)]);
    }

    #[test]
    fn blocks_copied_into_another_segment_are_listed_as_if_they_were_gathered_there() {
        let block = |keys: &[&str], covered: &str| {
            let present = keys.iter().map(|key| (id(key), *key == covered)).collect();
            let hashes = keys.iter().map(|key| id(key).hash(b"v")).collect();
            BlockAttributes { present, hashes }
        };
        let first = [block(&["b", "a"], "a"), block(&["c", "a", "d"], "c")];
        let second = [block(&["e", "d"], "d"), block(&["f", "b", "e"], "f")];
        let (mut gathered, mut copied) = <(AttributesBuilder, AttributesBuilder)>::default();
        for segment in [first, second] {
            let mut own = AttributesBuilder::default();
            segment.iter().for_each(|block| own.push(block));
            let filters = AttributeFilters::new(own.encode().unwrap()).unwrap();
            segment.iter().for_each(|block| gathered.push(block));
            assert!((0..2).all(|index| copied.copy(&filters, index)));
            assert!(!copied.copy(&filters, 2), "there is no third block");
        }
        assert_eq!(copied.encode().unwrap(), gathered.encode().unwrap());
    }

    #[test]
    fn cut_sections_are_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(AttributeFilters::new(&bytes[..length]).is_err(), "{length} bytes");
        }
        assert!(AttributeFilters::new([bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn a_segment_of_too_many_attributes_has_no_section() {
        let mut builder = AttributesBuilder::default();
        for n in 0..=limits::ATTRIBUTES_LISTED_MAX {
            let present = vec![(id(&format!("k{n}")), false)];
            builder.push(&BlockAttributes { present, hashes: Vec::new() });
        }
        assert!(builder.encode().is_none());
    }
}

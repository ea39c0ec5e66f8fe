//! A Bloom filter over trace ids, one per frame or block: 24 bits a trace, one false positive in
//! 8,000, because a search for twenty traces asks each of thousands of frames for each of them. A
//! trace has dozens of events, so that this is a tenth of a byte an event.
//!
//! Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970), with the double
//! hashing of Kirsch and Mitzenmacher (2006): two halves of one 64-bit hash stand for all probes.

use crate::codec::Cursor;
use crate::error::Result;
use crate::event::TraceId;

/// Bits per trace and probes per look-up: 24 and 6 give about 0.012 % false positives.
const BITS_PER_TRACE: usize = 24;
/// Where there are as many values as events: about 1 %.
const BITS_PER_VALUE: usize = 10;
const PROBES: usize = 6;
/// Words of the largest filter: as many traces as a batch can name, own and linked.
const WORDS_MAX: usize = 1 << 16;

/// The hash that stands for a trace id in filters (XXH3, 64 bits, no seed).
#[must_use]
pub fn trace_hash(id: &TraceId) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&id.0)
}

/// Says "not here" for certain, or "maybe".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceFilter {
    words: Vec<u64>,
}

impl TraceFilter {
    /// A filter over these hashes.
    #[must_use]
    pub fn of(hashes: &[u64]) -> TraceFilter {
        TraceFilter::with_bits(hashes, BITS_PER_TRACE)
    }

    /// A small filter, over hashes of values or of traces that are linked to.
    #[must_use]
    pub(super) fn of_values(hashes: &[u64]) -> TraceFilter {
        TraceFilter::with_bits(hashes, BITS_PER_VALUE)
    }

    fn with_bits(hashes: &[u64], bits_each: usize) -> TraceFilter {
        let words = (hashes.len() * bits_each).div_ceil(64).min(WORDS_MAX);
        let mut filter = TraceFilter { words: vec![0; words] };
        for &hash in hashes {
            for bit in Probes::of(hash).bits(words) {
                if let Some(word) = filter.words.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        filter
    }

    /// False: certainly none of the hashes it was made of.
    #[must_use]
    pub fn may_contain(&self, hash: u64) -> bool {
        Probes::of(hash).are_in(&self.words)
    }

    /// Appends the filter: number of words as varint, then the words.
    pub fn encode(&self, out: &mut Vec<u8>) {
        crate::codec::put_varint(out, self.words.len() as u64);
        self.put_words(out);
    }

    /// Reads what `encode` wrote.
    pub fn decode(cursor: &mut Cursor<'_>) -> Result<TraceFilter> {
        let count = cursor.length(WORDS_MAX, "words of a trace filter")?;
        let bytes = cursor.take(count * 8)?;
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap_or_default());
        Ok(TraceFilter { words: bytes.chunks_exact(8).map(word).collect() })
    }

    /// The bits, from the lowest of the first word on.
    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Appends the words alone.
    pub(super) fn put_words(&self, out: &mut Vec<u8>) {
        self.words.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
    }

    /// Bytes it takes in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.words.len() * 8
    }
}

/// As [`TraceFilter::may_contain`], of words where they stand.
pub(super) fn bytes_contain(words: &[u8], hash: u64) -> bool {
    let (words, _) = words.as_chunks::<8>();
    let word = |at: usize| words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
    Probes::of(hash).bits(words.len()).into_iter().all(|bit| word(bit / 64) >> (bit % 64) & 1 == 1)
}

/// What a hash asks of a filter, whatever its length: each probe as a fraction of 2^32.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probes([u32; PROBES]);

impl Probes {
    pub(super) fn of(hash: u64) -> Probes {
        let step = (hash >> 32) | 1;
        Probes(std::array::from_fn(|i| {
            let mixed = hash.wrapping_add((i as u64).wrapping_mul(step));
            (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
        }))
    }

    /// The bits of a filter of so many words. Scaling stands for a division.
    pub(super) fn bits(self, words: usize) -> [usize; PROBES] {
        let bits = (words * 64) as u64;
        self.0.map(|fraction| ((u64::from(fraction) * bits) >> 32) as usize)
    }

    fn are_in(self, words: &[u64]) -> bool {
        let word = |bit: usize| words.get(bit / 64).copied().unwrap_or(0);
        self.bits(words.len()).into_iter().all(|bit| word(bit) >> (bit % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(range: std::ops::Range<u64>) -> Vec<u64> {
        range.map(|i| xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes())).collect()
    }

    #[test]
    fn a_filter_knows_all_its_traces_and_few_others() {
        let others = hashes(1 << 32..(1 << 32) + 100_000);
        for count in [1, 2, 50, 1_000, 65_536, 131_072] {
            let inside = hashes(0..count);
            for (filter, wrong_max) in
                [(TraceFilter::of(&inside), 40), (TraceFilter::of_values(&inside), 3_000)]
            {
                assert!(inside.iter().all(|&h| filter.may_contain(h)));
                let wrong = others.iter().filter(|&&h| filter.may_contain(h)).count();
                assert!(count < 50 || wrong < wrong_max, "{wrong} with {count} traces");
            }
        }
        assert!(!TraceFilter::default().may_contain(7));
    }

    #[test]
    fn a_filter_leads_back_to_itself_and_huge_counts_are_refused() {
        let filter = TraceFilter::of(&hashes(0..100));
        let mut out = Vec::new();
        filter.encode(&mut out);
        assert_eq!(TraceFilter::decode(&mut Cursor::new(&out)).unwrap(), filter);
        assert!(TraceFilter::decode(&mut Cursor::new(&[0xff, 0xff, 0xff, 0x7f])).is_err());
        assert!(TraceFilter::decode(&mut Cursor::new(&out[..20])).is_err());
    }
}

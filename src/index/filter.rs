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
const PROBES: u64 = 6;
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
            for bit in probes(hash, words) {
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
        words_contain(&self.words, hash)
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

/// Filters of many frames, one behind another: whoever looks for a trace in thousands of frames
/// touches next to nothing of those that do not have it.
#[derive(Debug, Default)]
pub struct TraceFilters {
    words: Vec<u64>,
    /// Where those of each frame end.
    ends: Vec<u32>,
}

impl TraceFilters {
    /// The filters of frames, in their order.
    #[must_use]
    pub fn of<'f>(filters: impl Iterator<Item = &'f TraceFilter>) -> TraceFilters {
        let mut all = TraceFilters::default();
        for filter in filters {
            all.words.extend_from_slice(&filter.words);
            all.ends.push(all.words.len() as u32);
        }
        all
    }

    /// The frames that may have one of these traces, ascending.
    #[must_use]
    pub fn may_contain_any(&self, hashes: &[u64]) -> Vec<usize> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let places = starts.zip(&self.ends).enumerate();
        let filter = |start: u32, end: u32| self.words.get(start as usize..end as usize);
        let has_one = |&(_, (start, &end)): &(usize, (u32, &u32))| {
            let words = filter(start, end).unwrap_or_default();
            hashes.iter().any(|&hash| words_contain(words, hash))
        };
        places.filter(has_one).map(|(at, _)| at).collect()
    }
}

fn words_contain(words: &[u64], hash: u64) -> bool {
    !words.is_empty()
        && probes(hash, words.len())
            .all(|bit| words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
}

/// As [`TraceFilter::may_contain`], of words where they stand.
pub(super) fn bytes_contain(words: &[u8], hash: u64) -> bool {
    let (words, _) = words.as_chunks::<8>();
    let word = |at: usize| words.get(at).map(|word| u64::from_le_bytes(*word));
    !words.is_empty()
        && probes(hash, words.len())
            .all(|bit| word(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1))
}

fn probes(hash: u64, words: usize) -> impl Iterator<Item = usize> {
    let bits = (words * 64) as u64;
    let step = (hash >> 32) | 1;
    (0..PROBES).map(move |i| {
        let mixed = hash.wrapping_add(i.wrapping_mul(step)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Scaling the high half instead of a division.
        (((mixed >> 32) * bits) >> 32) as usize
    })
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
    fn filters_side_by_side_say_what_each_says() {
        let of = |at: u64| match at % 7 {
            3 => TraceFilter::default(),
            _ => TraceFilter::of(&hashes(at * 100..at * 100 + at % 90 + 1)),
        };
        let each: Vec<TraceFilter> = (0..300).map(of).collect();
        let all = TraceFilters::of(each.iter());
        for asked in [hashes(0..1), hashes(4_200..4_230), hashes(90_000..90_100), Vec::new()] {
            let may = |filter: &TraceFilter| asked.iter().any(|&hash| filter.may_contain(hash));
            let expected: Vec<usize> = (0..300).filter(|&at| may(&each[at])).collect();
            assert_eq!(all.may_contain_any(&asked), expected);
        }
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

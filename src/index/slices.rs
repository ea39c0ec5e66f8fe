//! The trace filters of many frames, turned on their side: the same bit of all of them in one run of
//! bytes. Whoever looks for a trace in thousands of frames reads a slice for each of six bits, and
//! not six bits of each filter: next to nothing, where that was a good part of a query.
//!
//! Bit-sliced signature files (Faloutsos and Christodoulakis, "Signature files", 1984). A filter's
//! length follows the number of traces, so that those of one length stand together.

use std::collections::BTreeMap;

use crate::index::TraceFilter;
use crate::index::filter::Probes;

/// Fewer filters than this fill too little of the bytes of their slices.
const SLICED_MIN: usize = 4;

/// The filters of the frames of a segment.
#[derive(Debug, Default)]
pub struct TraceFilters {
    by_length: Vec<Sliced>,
    /// Frames whose filters are too few of a length.
    rest: Vec<(u32, TraceFilter)>,
}

/// Filters of one length.
#[derive(Debug)]
struct Sliced {
    /// Length of each.
    words: usize,
    /// Whose they are, ascending.
    frames: Vec<u32>,
    /// For each bit, which of the filters have it set: bit f % 8 of byte f / 8 for the filter f.
    slices: Vec<u8>,
}

/// Which filters of one length have what is looked for.
#[derive(Default)]
struct Found {
    /// One of the hashes.
    any: Vec<u8>,
    /// All bits so far of the hash at hand.
    all: Vec<u8>,
}

impl TraceFilters {
    /// The filters of frames, in their order.
    #[must_use]
    pub fn of<'f>(filters: impl Iterator<Item = &'f TraceFilter>) -> TraceFilters {
        let mut lengths: BTreeMap<usize, Vec<(u32, &TraceFilter)>> = BTreeMap::new();
        for (frame, filter) in (0..).zip(filters) {
            lengths.entry(filter.words().len()).or_default().push((frame, filter));
        }
        // Those without words hold nothing.
        lengths.remove(&0);
        let mut all = TraceFilters::default();
        for (words, filters) in lengths {
            match filters.len() < SLICED_MIN {
                true => all.rest.extend(filters.into_iter().map(|(frame, f)| (frame, f.clone()))),
                false => all.by_length.push(Sliced::of(words, &filters)),
            }
        }
        all
    }

    /// The frames that may have one of these traces, ascending.
    #[must_use]
    pub fn may_contain_any(&self, hashes: &[u64]) -> Vec<usize> {
        let probes: Vec<Probes> = hashes.iter().map(|&hash| Probes::of(hash)).collect();
        let has_one = |filter: &TraceFilter| hashes.iter().any(|&hash| filter.may_contain(hash));
        let rest = self.rest.iter().filter(|(_, filter)| has_one(filter));
        let mut frames: Vec<usize> = rest.map(|(frame, _)| *frame as usize).collect();
        let mut found = Found::default();
        for sliced in &self.by_length {
            sliced.find(&probes, &mut found);
            let filters = found.any.iter().enumerate().flat_map(|(at, &byte)| {
                (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit)
            });
            frames.extend(filters.filter_map(|f| sliced.frames.get(f)).map(|f| *f as usize));
        }
        frames.sort_unstable();
        frames
    }
}

impl Sliced {
    fn of(words: usize, filters: &[(u32, &TraceFilter)]) -> Sliced {
        let width = filters.len().div_ceil(8);
        let mut slices = vec![0; words * 64 * width];
        for (place, (_, filter)) in filters.iter().enumerate() {
            for (word, &bits) in filter.words().iter().enumerate() {
                let mut left = bits;
                while left != 0 {
                    let bit = word * 64 + left.trailing_zeros() as usize;
                    left &= left - 1;
                    if let Some(byte) = slices.get_mut(bit * width + place / 8) {
                        *byte |= 1 << (place % 8);
                    }
                }
            }
        }
        Sliced { words, frames: filters.iter().map(|(frame, _)| *frame).collect(), slices }
    }

    fn find(&self, probes: &[Probes], found: &mut Found) {
        let width = self.frames.len().div_ceil(8);
        let slice = |bit: usize| self.slices.get(bit * width..(bit + 1) * width);
        found.any.clear();
        found.any.resize(width, 0);
        for probes in probes {
            found.all.clear();
            found.all.resize(width, u8::MAX);
            for bit in probes.bits(self.words) {
                let slice = slice(bit).unwrap_or_default();
                found.all.iter_mut().zip(slice).for_each(|(all, set)| *all &= set);
            }
            found.any.iter_mut().zip(&found.all).for_each(|(any, all)| *any |= all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(range: std::ops::Range<u64>) -> Vec<u64> {
        range.map(|i| xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes())).collect()
    }

    #[test]
    fn filters_on_their_side_say_what_each_says() {
        // Lengths of which there are many, of which there are two, and none at all.
        let of = |at: u64| match at % 7 {
            3 => TraceFilter::default(),
            _ if at % 100 == 5 => TraceFilter::of(&hashes(0..1_000 + at / 200)),
            _ => TraceFilter::of(&hashes(at * 100..at * 100 + at % 90 + 1)),
        };
        let each: Vec<TraceFilter> = (0..300).map(of).collect();
        let all = TraceFilters::of(each.iter());
        let many =
            |sliced: &Sliced| sliced.frames.len() > 8 && !sliced.frames.len().is_multiple_of(8);
        assert!(!all.rest.is_empty() && all.by_length.iter().any(many));
        for asked in [
            hashes(0..1),
            hashes(300..304),
            hashes(4_200..4_230),
            hashes(90_000..90_100),
            Vec::new(),
        ] {
            let may = |filter: &TraceFilter| asked.iter().any(|&hash| filter.may_contain(hash));
            let expected: Vec<usize> = (0..300).filter(|&at| may(&each[at])).collect();
            assert_eq!(all.may_contain_any(&asked), expected);
        }
        assert_eq!(TraceFilters::of([].iter()).may_contain_any(&hashes(0..3)), [0_usize; 0]);
    }
}

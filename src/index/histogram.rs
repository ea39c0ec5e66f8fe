//! Durations as an exponential histogram: how many lie in each bucket, in few bytes.
//!
//! 1. Bucket i holds the durations from 2^(i/64) ns up to, not including, 2^((i+1)/64) ns: those of
//!    OpenTelemetry's exponential histogram at scale 6, which every further scale below merges into.
//!    Whatever is 0 or less counts as zero.
//! 2. Buckets are the same everywhere, so merging adds counts up and loses nothing: in any order, any
//!    number of times, the sum of the parts is the histogram of the whole.
//! 3. A percentile is the value whose relative distance to both ends of its bucket is the same,
//!    0.55 % at most, rounded to a nanosecond: at most 1 % from the true one ([`ERROR_MAX`]).
//!
//! Bounds are made by integer arithmetic alone: the same on every machine, as what is stored must be.

use crate::codec::{Cursor, put_varint};
use crate::error::Result;

/// The most that a percentile is off, relative to the true one.
pub const ERROR_MAX: f64 = 0.01;
/// Buckets: 64 for each doubling, up to the largest duration.
pub const BUCKETS: usize = 63 * PER_OCTAVE;

/// Buckets from one power of two to the next.
const PER_OCTAVE: usize = 64;
/// Fraction bits of a bound.
const BOUND_BITS: u32 = 62;
/// 2^(i/64), as fixed point numbers.
const BOUNDS: [u64; PER_OCTAVE + 1] = bounds();
/// The bucket in which each 128th of an octave begins; narrower than a bucket, so that the right one
/// is this or the next.
const GUESSES: [u8; 128] = guesses();
/// Bits of a count beside its bucket.
const COUNT_BITS: u32 = 48;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;

/// How long things took; see the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Durations of 0 and less.
    zeros: u64,
    /// Bucket and count in one word, ascending, no bucket twice, no count 0.
    cells: Vec<u64>,
}

impl Histogram {
    /// Adds one duration, in nanoseconds.
    pub fn record(&mut self, duration: i64) {
        match u64::try_from(duration) {
            Ok(positive) if positive > 0 => self.add(bucket_of(positive), 1),
            _ => self.zeros = self.zeros.saturating_add(1),
        }
    }

    fn add(&mut self, bucket: usize, count: u64) {
        let at = self.cells.partition_point(|cell| bucket_in(*cell) < bucket);
        match self.cells.get_mut(at) {
            Some(cell) if bucket_in(*cell) == bucket => {
                *cell = pack(bucket, count_in(*cell).saturating_add(count));
            }
            _ => self.cells.insert(at, pack(bucket, count)),
        }
    }

    /// Adds all durations of another one.
    pub fn merge(&mut self, other: Histogram) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        if self.cells.is_empty() {
            self.cells = other.cells;
            return;
        }
        for cell in &other.cells {
            self.add(bucket_in(*cell), count_in(*cell));
        }
    }

    /// Number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        let counts = self.cells.iter().map(|cell| count_in(*cell));
        counts.fold(self.zeros, u64::saturating_add)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zeros == 0 && self.cells.is_empty()
    }

    /// The least duration, in nanoseconds, that `percent` of all do not exceed (the nearest rank),
    /// give or take [`ERROR_MAX`]; `None` without durations.
    #[must_use]
    pub fn percentile(&self, percent: u32) -> Option<i64> {
        self.percentiles([percent]).map(|[duration]| duration)
    }

    /// As [`Histogram::percentile`], several at once, which ascend.
    #[must_use]
    pub fn percentiles<const N: usize>(&self, percents: [u32; N]) -> Option<[i64; N]> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let mut cells = self.cells.iter();
        // So many have been passed, the last of which are in this bucket, if in any.
        let (mut passed, mut bucket) = (u128::from(self.zeros), None);
        Some(percents.map(|percent| {
            let rank = (u128::from(count) * u128::from(percent.min(100))).div_ceil(100).max(1);
            while passed < rank
                && let Some(cell) = cells.next()
            {
                passed += u128::from(count_in(*cell));
                bucket = Some(bucket_in(*cell));
            }
            bucket.map_or(0, middle)
        }))
    }

    /// Appends zeros, number of buckets, and of each its distance to the one before; its count to a
    /// place apart, where those of other histograms stand: alike with alike. All are varints.
    pub fn encode(&self, buckets: &mut Vec<u8>, counts: &mut Vec<u8>) {
        put_varint(buckets, self.zeros);
        put_varint(buckets, self.cells.len() as u64);
        let mut next = 0;
        for cell in &self.cells {
            put_varint(buckets, (bucket_in(*cell) - next) as u64);
            put_varint(counts, count_in(*cell));
            next = bucket_in(*cell) + 1;
        }
    }

    /// Reads the buckets that [`Histogram::encode`] wrote; what comes of it is for
    /// [`Histogram::decode_counts`].
    pub fn decode_buckets(cursor: &mut Cursor<'_>, buckets_max: usize) -> Result<(u64, Vec<u64>)> {
        let zeros = cursor.varint()?;
        if zeros > COUNT_MAX {
            return Err(cursor.error("a histogram counts more than can be stored"));
        }
        let length = cursor.length(BUCKETS.min(buckets_max), "buckets of a histogram")?;
        let mut cells = Vec::with_capacity(length);
        let mut next = 0;
        for _ in 0..length {
            let bucket = next + cursor.length(BUCKETS, "distance of buckets")?;
            if bucket >= BUCKETS {
                return Err(cursor.error("no bucket of a histogram"));
            }
            cells.push(pack(bucket, 0));
            next = bucket + 1;
        }
        Ok((zeros, cells))
    }

    /// Reads the counts of buckets that were read before.
    pub fn decode_counts(
        (zeros, mut cells): (u64, Vec<u64>),
        cursor: &mut Cursor<'_>,
    ) -> Result<Histogram> {
        for cell in &mut cells {
            let count = cursor.varint()?;
            if count == 0 || count > COUNT_MAX {
                return Err(cursor.error("no count of a bucket"));
            }
            *cell = pack(bucket_in(*cell), count);
        }
        Ok(Histogram { zeros, cells })
    }

    /// Bytes it takes in memory beside itself.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.cells.capacity() * 8
    }
}

/// 2^48 events do not happen: a count that large stays as it is.
fn pack(bucket: usize, count: u64) -> u64 {
    (bucket as u64) << COUNT_BITS | count.min(COUNT_MAX)
}

fn bucket_in(cell: u64) -> usize {
    (cell >> COUNT_BITS) as usize
}

fn count_in(cell: u64) -> u64 {
    cell & COUNT_MAX
}

/// The bucket of a duration; 0, which has none, is taken for 1.
fn bucket_of(duration: u64) -> usize {
    let duration = duration.max(1);
    let zeros = duration.leading_zeros();
    // From 1 to below 2, with the fraction bits of a bound.
    let mantissa = duration << zeros >> 1;
    let part = (mantissa >> (BOUND_BITS - 7)) as usize % GUESSES.len();
    let guess = usize::from(GUESSES.get(part).copied().unwrap_or(0));
    let beyond = BOUNDS.get(guess + 1).is_some_and(|bound| mantissa >= *bound);
    let bucket = (63 - zeros) as usize * PER_OCTAVE + guess + usize::from(beyond);
    bucket.min(BUCKETS - 1)
}

/// The value that is relatively as far from one end of a bucket as from the other.
fn middle(bucket: usize) -> i64 {
    let bound = |at: usize| BOUNDS.get(at).map_or(1.0, |b| *b as f64 / (1u64 << BOUND_BITS) as f64);
    let (low, high) = (bound(bucket % PER_OCTAVE), bound(bucket % PER_OCTAVE + 1));
    let middle = 2.0 * low * high / (low + high);
    (middle * (1u64 << (bucket / PER_OCTAVE).min(62)) as f64).round() as i64
}

const fn bounds() -> [u64; PER_OCTAVE + 1] {
    // The 64th root of 2: six square roots.
    let mut root: u64 = 2 << BOUND_BITS;
    let mut step = 0;
    while step < PER_OCTAVE.ilog2() {
        root = ((root as u128) << BOUND_BITS).isqrt() as u64;
        step += 1;
    }
    let mut bounds = [1u64 << BOUND_BITS; PER_OCTAVE + 1];
    let mut at = 1;
    while at < PER_OCTAVE {
        bounds[at] = ((bounds[at - 1] as u128 * root as u128) >> BOUND_BITS) as u64;
        at += 1;
    }
    bounds[PER_OCTAVE] = 2 << BOUND_BITS;
    bounds
}

const fn guesses() -> [u8; 128] {
    let mut guesses = [0; 128];
    let (mut part, mut bucket) = (0, 0);
    while part < guesses.len() {
        let start = (1 << BOUND_BITS) + ((part as u64) << (BOUND_BITS - 7));
        while BOUNDS[bucket + 1] <= start {
            bucket += 1;
        }
        guesses[part] = bucket as u8;
        part += 1;
    }
    guesses
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations of all magnitudes, seeded.
    fn durations(seed: u64, count: usize) -> Vec<i64> {
        let mut state = seed;
        let mut next = || {
            state =
                state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (state >> 1) as i64 >> (state >> 58).min(62)
        };
        (0..count).map(|_| next()).collect()
    }

    fn histogram(durations: &[i64]) -> Histogram {
        let mut histogram = Histogram::default();
        durations.iter().for_each(|d| histogram.record(*d));
        histogram
    }

    #[test]
    fn a_bucket_is_where_the_logarithm_says() {
        let some = durations(7, 50_000).into_iter().filter(|d| *d > 0);
        for duration in (1..100_000).chain(some).chain([i64::MAX]) {
            let exact = (duration as f64).log2() * 64.0;
            let bucket = bucket_of(duration as u64);
            let near = (exact - exact.round()).abs() < 1e-6;
            assert!(bucket == (exact as usize).min(BUCKETS - 1) || near, "{duration}: {bucket}");
            let ends = [bucket, bucket + 1].map(|b| (b as f64 / 64.0).exp2());
            assert!(ends[0] * 0.999_999_999 <= duration as f64, "{duration} in {ends:?}");
            assert!(duration as f64 <= ends[1] * 1.000_000_001, "{duration} in {ends:?}");
        }
    }

    #[test]
    fn one_duration_comes_back_within_a_hundredth() {
        for duration in (1..100_000).chain(durations(8, 10_000)).chain([i64::MAX]) {
            let found = histogram(&[duration]).percentile(50).unwrap();
            let error = (found as f64 - duration as f64).abs() / duration.max(1) as f64;
            assert!(error <= ERROR_MAX, "{duration} came back as {found}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_durations_within_a_hundredth() {
        for count in [1, 2, 3, 10, 99, 100, 101, 5_000] {
            let mut all = durations(count as u64, count);
            let histogram = histogram(&all);
            all.sort_unstable();
            for percent in [0, 1, 50, 90, 99, 100] {
                let rank = (count * percent as usize).div_ceil(100).max(1);
                let (wanted, found) = (all[rank - 1], histogram.percentile(percent).unwrap());
                let error = (found - wanted).abs() as f64 / wanted.max(1) as f64;
                assert!(error <= ERROR_MAX, "p{percent} of {count}: {found}, not {wanted}");
            }
        }
        assert_eq!(Histogram::default().percentile(50), None);
        assert_eq!(histogram(&[0, -5, i64::MIN, 9]).percentile(75), Some(0));
    }

    #[test]
    fn the_sum_of_the_parts_is_the_histogram_of_the_whole() {
        let all = durations(3, 4_000);
        let mut sum = Histogram::default();
        for part in all.chunks(333).rev() {
            sum.merge(histogram(part));
        }
        assert_eq!(sum, histogram(&all));
        assert_eq!(sum.count(), 4_000);
    }

    fn decode(cursor: &mut Cursor<'_>) -> Result<Histogram> {
        let buckets = Histogram::decode_buckets(cursor, BUCKETS)?;
        Histogram::decode_counts(buckets, cursor)
    }

    #[test]
    fn a_histogram_leads_back_to_itself_and_nothing_else_is_one() {
        let whole = histogram(&durations(5, 2_000));
        for wanted in [Histogram::default(), histogram(&[0, 1, i64::MAX]), whole] {
            let (mut out, mut counts) = (Vec::new(), Vec::new());
            wanted.encode(&mut out, &mut counts);
            out.extend_from_slice(&counts);
            let mut cursor = Cursor::new(&out);
            assert_eq!(decode(&mut cursor).unwrap(), wanted);
            cursor.finish().unwrap();
            for end in 0..out.len() {
                assert!(decode(&mut Cursor::new(&out[..end])).is_err());
            }
        }
        // A count of 0, a bucket beyond the last, more buckets than there are.
        for bad in [&[0, 1, 0, 0][..], &[0, 1, 0xc0, 0x1f, 1], &[0, 0xc1, 0x1f]] {
            assert!(decode(&mut Cursor::new(bad)).is_err(), "{bad:?}");
        }
    }
}

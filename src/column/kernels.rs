//! Comparisons of many values at once, an answer of 64 bits for 64 values: what scans spend their
//! time in once a column is decoded.
//!
//! Each kernel is one plain loop that the compiler turns into vectors. It is compiled twice, for
//! any processor and for those with AVX2, where it is four to five times as fast (64-bit
//! comparisons are missing before); which one runs is found out once per [`Kernels`]. The plain one
//! is the twin that tests hold the other against.

#![allow(unsafe_code, reason = "calls what is compiled for AVX2 where AVX2 was found")]

/// Values that share a word of the answer.
const LANES: usize = u64::BITS as usize;

/// Which kernels run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernels(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Plain,
    /// Made only where the processor was asked.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Default for Kernels {
    /// The fastest that this processor has.
    fn default() -> Kernels {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return Kernels(Set::Avx2);
        }
        Kernels::plain()
    }
}

impl Kernels {
    /// Those that run on any processor.
    #[must_use]
    pub fn plain() -> Kernels {
        Kernels(Set::Plain)
    }

    /// Bit i of word w: whether value 64 w + i lies between `low` and `high`, both inside. Bits
    /// beyond the last value are 0.
    #[must_use]
    pub fn between(self, values: &[i64], low: i64, high: i64) -> Vec<u64> {
        let mut words = vec![0; values.len().div_ceil(LANES)];
        match self.0 {
            Set::Plain => between_into(values, low, high, &mut words),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the set is made only where AVX2 was detected, and processors do not lose it.
            Set::Avx2 => unsafe { between_avx2(values, low, high, &mut words) },
        }
        words
    }

    /// Adds to the words the bits of the codes that are `code`, in the order of
    /// [`Kernels::between`].
    pub fn equal(self, codes: &[u32], code: u32, words: &mut [u64]) {
        match self.0 {
            Set::Plain => equal_into(codes, code, words),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Set::Avx2 => unsafe { equal_avx2(codes, code, words) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn between_avx2(values: &[i64], low: i64, high: i64, words: &mut [u64]) {
    between_into(values, low, high, words);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn equal_avx2(codes: &[u32], code: u32, words: &mut [u64]) {
    equal_into(codes, code, words);
}

#[inline(always)]
fn between_into(values: &[i64], low: i64, high: i64, words: &mut [u64]) {
    into_words(values, words, |value| (low <= value) & (value <= high));
}

#[inline(always)]
fn equal_into(codes: &[u32], code: u32, words: &mut [u64]) {
    into_words(codes, words, |other| other == code);
}

/// Adds the bits of the values that pass.
#[inline(always)]
fn into_words<T: Copy>(values: &[T], words: &mut [u64], passes: impl Fn(T) -> bool) {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (whole, last) = words.split_at_mut(chunks.len().min(words.len()));
    for (chunk, word) in chunks.iter().zip(whole) {
        let mut bits = 0;
        for (lane, value) in chunk.iter().enumerate() {
            bits |= u64::from(passes(*value)) << lane;
        }
        *word |= bits;
    }
    if let Some(word) = last.first_mut() {
        for (lane, value) in rest.iter().enumerate() {
            *word |= u64::from(passes(*value)) << lane;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(i: usize) -> i64 {
        (i as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> (i % 64)
    }

    #[test]
    fn each_kernel_says_what_single_comparisons_say() {
        let extremes = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for count in [0, 1, 63, 64, 65, 127, 128, 200, 8_192] {
            let values: Vec<i64> = (0..count).map(spread).chain(extremes).collect();
            let codes: Vec<u32> = values.iter().map(|value| *value as u32 % 5).collect();
            for kernels in [Kernels::plain(), Kernels::default()] {
                for low in extremes {
                    for high in extremes {
                        let words = kernels.between(&values, low, high);
                        assert_eq!(words.len(), values.len().div_ceil(64));
                        let bit = |i: usize| words[i / 64] >> (i % 64) & 1 == 1;
                        let single = |i: usize| (low..=high).contains(&values[i]);
                        assert!((0..values.len()).all(|i| bit(i) == single(i)));
                        let beyond = words.iter().map(|w| w.count_ones() as usize).sum::<usize>();
                        assert!(beyond <= values.len());
                    }
                }
                let mut words = vec![0; codes.len().div_ceil(64)];
                kernels.equal(&codes, 3, &mut words);
                kernels.equal(&codes, 1, &mut words);
                for (i, code) in codes.iter().enumerate() {
                    assert_eq!(words[i / 64] >> (i % 64) & 1 == 1, matches!(code, 1 | 3));
                }
            }
        }
    }
}

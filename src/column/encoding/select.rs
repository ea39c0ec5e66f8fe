//! Which integers lie in a range, from their encoded form: a run, a dictionary's entry, a miniblock
//! or a width is decided once for all values that share it, and only those left undecided are
//! decoded.
//!
//! What is checked is what is read, as where rows are picked.

use crate::codec::{BitReader, Cursor, unzigzag};
use crate::column::encoding::integers::{self, ENTRIES_MAX, MINIBLOCK};
use crate::column::encoding::pick::enough_bits;
use crate::column::encoding::{Encoding, Stored, codes};
use crate::column::kernels::Kernels;
use crate::error::Result;

/// Values that share a word of the answer.
const LANES: usize = u64::BITS as usize;
const _: () = assert!(MINIBLOCK.is_multiple_of(LANES));

/// A range of values, both ends inside; empty if the first is greater.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

/// What is known of values that share a minimum or a width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    In,
    Out,
    Either,
}

impl Range {
    pub(crate) fn holds(self, value: i64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Of values from `least` to `greatest`.
    fn verdict(self, least: i64, greatest: i64) -> Verdict {
        if self.holds(least) && self.holds(greatest) {
            Verdict::In
        } else if greatest < self.low || self.high < least || self.low > self.high {
            Verdict::Out
        } else {
            Verdict::Either
        }
    }
}

/// Bit i of word w: whether value 64 w + i of `count` lies in the range. Bits beyond are 0.
pub(crate) fn between(
    stored: Stored<'_>,
    count: usize,
    range: Range,
    kernels: Kernels,
) -> Result<Vec<u64>> {
    let mut cursor = Cursor::new(stored.body);
    match stored.encoding {
        Encoding::Constant => {
            let mut bits = Bits::with_room_for(count);
            bits.push_all(range.holds(unzigzag(cursor.varint()?)), count);
            Ok(bits.words)
        }
        Encoding::Runs => runs(&mut cursor, count, range),
        Encoding::Dictionary => dictionary(&mut cursor, count, range),
        Encoding::Packed => packed(&mut cursor, stored.tail, count, range, kernels),
        Encoding::Widths => widths(&mut cursor, stored.tail, count, range),
        // Each value is a sum over those before it.
        _ => {
            let mut values = Vec::new();
            integers::decode(stored, count, &mut values)?;
            Ok(kernels.between(&values, range.low, range.high))
        }
    }
}

fn runs(cursor: &mut Cursor<'_>, count: usize, range: Range) -> Result<Vec<u64>> {
    let mut bits = Bits::with_room_for(count);
    while bits.count < count {
        let value = unzigzag(cursor.varint()?);
        let length = cursor.length(count - bits.count, "length of a run")?;
        if length == 0 {
            return Err(cursor.error("a run that is empty"));
        }
        bits.push_all(range.holds(value), length);
    }
    Ok(bits.words)
}

fn dictionary(cursor: &mut Cursor<'_>, count: usize, range: Range) -> Result<Vec<u64>> {
    let entries = cursor.length(ENTRIES_MAX.min(count), "entries of a dictionary")?;
    let mut passes = [false; ENTRIES_MAX];
    for passes in passes.iter_mut().take(entries) {
        *passes = range.holds(unzigzag(cursor.varint()?));
    }
    if entries == 0 && count > 0 {
        return Err(cursor.error("a dictionary without entries"));
    }
    let Some(codes) = codes::single_bytes(cursor, count, entries)? else {
        // One entry stands for all values.
        let mut bits = Bits::with_room_for(count);
        bits.push_all(passes.first() == Some(&true), count);
        return Ok(bits.words);
    };
    let passes = |code: &u8| u64::from(passes.get(usize::from(*code)) == Some(&true));
    let word = |codes: &[u8]| {
        codes.iter().enumerate().fold(0, |word, (lane, code)| word | passes(code) << lane)
    };
    Ok(codes.chunks(LANES).map(word).collect())
}

fn packed(
    cursor: &mut Cursor<'_>,
    tail: &[u8],
    count: usize,
    range: Range,
    kernels: Kernels,
) -> Result<Vec<u64>> {
    let mut bits = Bits::with_room_for(count);
    let (mut at, mut values) = (0, Vec::with_capacity(MINIBLOCK));
    while bits.count < count {
        let block = MINIBLOCK.min(count - bits.count);
        let min = unzigzag(cursor.varint()?);
        let width = u32::from(cursor.u8()?);
        if width > 64 {
            return Err(cursor.error(format!("integers of {width} bits")));
        }
        let above = 1_i64.checked_shl(width).map_or(i64::MAX, |above| above.wrapping_sub(1));
        let verdict = match min.checked_add(above).filter(|_| width < 63) {
            Some(max) => range.verdict(min, max),
            // What is above the minimum may wrap around.
            None => Verdict::Either,
        };
        match verdict {
            Verdict::In | Verdict::Out => bits.push_all(verdict == Verdict::In, block),
            Verdict::Either => {
                let mut reader = BitReader::at(tail, at);
                values.clear();
                values.extend((0..block).map(|_| min.wrapping_add(reader.take(width) as i64)));
                // Miniblocks begin where words do.
                bits.words.extend(kernels.between(&values, range.low, range.high));
                bits.count += block;
            }
        }
        at += block * width as usize;
    }
    enough_bits(tail, at)?;
    Ok(bits.words)
}

fn widths(cursor: &mut Cursor<'_>, tail: &[u8], count: usize, range: Range) -> Result<Vec<u64>> {
    let widths = cursor.take(count)?;
    let verdicts: [Verdict; LANES + 1] = std::array::from_fn(|width| of_width(width, range));
    let mut bits = Bits::with_room_for(count);
    let mut at = 0;
    for &width in widths {
        let Some(verdict) = verdicts.get(usize::from(width)) else {
            return Err(cursor.error(format!("integers of {width} bits")));
        };
        let below = u32::from(width.saturating_sub(1));
        bits.push(match verdict {
            Verdict::In => true,
            Verdict::Out => false,
            Verdict::Either => {
                let value = 1 << below | BitReader::at(tail, at).take(below);
                range.holds(unzigzag(value))
            }
        });
        at += below as usize;
    }
    enough_bits(tail, at)?;
    Ok(bits.words)
}

/// What is known of a value whose zigzag has so many bits: of either sign, from half of what the
/// bits can say to all of it.
fn of_width(width: usize, range: Range) -> Verdict {
    let Some(below) = width.checked_sub(1) else {
        return range.verdict(0, 0);
    };
    if below == 0 {
        // Of one bit there is only -1.
        return range.verdict(-1, -1);
    }
    let (least, greatest) = (1_u64 << below, (1_u64 << below) - 1 + (1 << below));
    // An even zigzag is twice the value, an odd one belongs to the value below 0.
    let positive = range.verdict(unzigzag(least), unzigzag(greatest - 1));
    let negative = range.verdict(unzigzag(greatest), unzigzag(least + 1));
    if positive == negative { positive } else { Verdict::Either }
}

/// Bits in the order of their values.
struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    fn with_room_for(count: usize) -> Bits {
        Bits { words: Vec::with_capacity(count.div_ceil(LANES)), count: 0 }
    }

    #[inline]
    fn push(&mut self, bit: bool) {
        let lane = self.count % LANES;
        if lane == 0 {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            *word |= u64::from(bit) << lane;
        }
        self.count += 1;
    }

    /// As often as `count` says.
    fn push_all(&mut self, bit: bool, count: usize) {
        let end = self.count + count;
        while self.count < end {
            let lane = self.count % LANES;
            if lane == 0 {
                self.words.push(0);
            }
            let lanes = (LANES - lane).min(end - self.count);
            if let (true, Some(word)) = (bit, self.words.last_mut()) {
                *word |= u64::MAX >> (LANES - lanes) << lane;
            }
            self.count += lanes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTREMES: [i64; 12] =
        [i64::MIN, i64::MIN + 1, -129, -2, -1, 0, 1, 2, 127, 1 << 40, i64::MAX - 1, i64::MAX];

    /// Spread over as many orders of magnitude as `bits`.
    fn spread(i: usize, bits: u64) -> i64 {
        let random = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((random >> 8) >> (8 + random % bits)) as i64
    }

    #[test]
    fn what_the_encoded_form_decides_is_what_the_values_say() {
        for count in [1, 2, 63, 64, 65, 128, 129, 300, 1_000] {
            let columns: [Vec<i64>; 9] = [
                vec![7; count],
                (0..count).map(|i| i as i64 / 100).collect(),
                (0..count).map(|i| i as i64 % 7 * 1_000 - 2_000).collect(),
                (0..count).map(|i| spread(i, 3) & 0xff).collect(),
                (0..count).map(|i| i as i64 * 1_000_003).collect(),
                (0..count).map(|i| spread(i, 40)).collect(),
                (0..count).map(|i| spread(i, 56) - (1 << 20)).collect(),
                (0..count).map(|i| EXTREMES[i * i % EXTREMES.len()]).collect(),
                (0..count).map(|i| i64::MAX - (i * i * i) as i64).collect(),
            ];
            for values in columns {
                let (mut body, mut tail) = (Vec::new(), Vec::new());
                let encoding = integers::encode(&values, None, &mut body, &mut tail);
                let stored = Stored { encoding, body: &body, tail: &tail };
                let some = values.iter().step_by(count.div_ceil(5)).copied();
                let ends: Vec<i64> = EXTREMES.into_iter().chain(some).collect();
                for low in &ends {
                    for high in &ends {
                        let range = Range { low: *low, high: *high };
                        let wanted = Kernels::plain().between(&values, *low, *high);
                        let found = between(stored, count, range, Kernels::default()).unwrap();
                        assert_eq!(found, wanted, "{encoding:?} {range:?} of {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn of_each_width_the_verdict_holds_for_its_least_and_greatest_values() {
        for width in 0..=LANES {
            let zigzags = match width {
                0 => vec![0],
                _ => {
                    let least = 1_u64 << (width - 1);
                    vec![least, least + (least - 1) / 2, least - 1 + least]
                }
            };
            for low in EXTREMES {
                for high in EXTREMES {
                    let range = Range { low, high };
                    let verdict = of_width(width, range);
                    for zigzag in &zigzags {
                        let holds = range.holds(unzigzag(*zigzag));
                        assert!(verdict != Verdict::In || holds, "{width} {range:?}");
                        assert!(verdict != Verdict::Out || !holds, "{width} {range:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn damaged_bodies_are_refused_or_end_in_bits_of_the_right_number() {
        let range = Range { low: 0, high: 5 };
        let refused = |encoding, body: &[u8], tail: &[u8], count| {
            let stored = Stored { encoding, body, tail };
            assert!(between(stored, count, range, Kernels::plain()).is_err(), "{stored:?}");
        };
        refused(Encoding::Packed, &[0, 65], &[0; 9], 1);
        refused(Encoding::Packed, &[0, 3], &[], 1);
        refused(Encoding::Widths, &[65], &[0; 8], 1);
        refused(Encoding::Widths, &[9], &[], 1);
        refused(Encoding::Runs, &[2, 0, 2, 3], &[], 3);
        refused(Encoding::Runs, &[2, 4], &[], 3);
        refused(Encoding::Dictionary, &[2, 0, 2, 2, 0], &[], 2);
        refused(Encoding::Dictionary, &[0], &[], 2);
    }
}

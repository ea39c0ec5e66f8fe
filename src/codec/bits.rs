//! Bit-packing: integers of one width, lowest bits first, in little-endian bytes.
//!
//! The last byte is filled with zero bits; a reader refuses others, so that equal values have equal
//! bytes.

use crate::error::{Error, Result};

/// Bytes that `count` values of `width` bits take.
#[must_use]
pub fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Bits that hold the value: 0 for 0, at most 64.
#[must_use]
pub fn width_of(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Collects bits of varying number, lowest first.
#[derive(Debug, Default)]
pub struct BitWriter {
    word: u64,
    filled: u32,
}

impl BitWriter {
    /// Appends the low `width` bits (at most 64); the value has no others.
    #[inline]
    pub fn put(&mut self, out: &mut Vec<u8>, value: u64, width: u32) {
        debug_assert!(width_of(value) <= width, "a value wider than its field");
        if width == 0 {
            return;
        }
        self.word |= value << self.filled;
        let filled = self.filled + width;
        if filled < 64 {
            self.filled = filled;
            return;
        }
        out.extend_from_slice(&self.word.to_le_bytes());
        let left = filled - 64;
        self.word = if left == 0 { 0 } else { value >> (width - left) };
        self.filled = left;
    }

    /// Writes what is left, up to a whole byte.
    pub fn finish(self, out: &mut Vec<u8>) {
        let bytes = self.word.to_le_bytes();
        out.extend(bytes.iter().take(self.filled.div_ceil(8) as usize));
    }
}

/// Takes bits of varying number, lowest first.
#[derive(Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    bit: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the lowest bit of the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, bit: 0 }
    }

    /// Starts at some bit.
    #[must_use]
    pub fn at(bytes: &'a [u8], bit: usize) -> BitReader<'a> {
        BitReader { bytes, bit }
    }

    /// The next `width` bits (at most 64); beyond the end they read as zero, see
    /// [`BitReader::finish`].
    #[inline]
    pub fn take(&mut self, width: u32) -> u64 {
        let (byte, shift) = (self.bit / 8, (self.bit % 8) as u32);
        self.bit += width as usize;
        let low = word_at(self.bytes, byte) >> shift;
        let mask = if width >= 64 { u64::MAX } else { (1 << width) - 1 };
        if width + shift <= 64 {
            return low & mask;
        }
        let high = u64::from(self.bytes.get(byte + 8).copied().unwrap_or(0));
        (low | high << (64 - shift)) & mask
    }

    /// Takes one value for each width, of at most 64 bits, which says how many bits it has: its
    /// highest bit is set and not stored. Appends the values.
    pub fn take_widths(&mut self, widths: &[u8], out: &mut Vec<u64>) {
        // Each is read as one word, whatever its first bit is: no branch depends on a width.
        const WORD_BITS_MAX: u8 = 64 - 7;
        if widths.iter().max().is_some_and(|&widest| widest > WORD_BITS_MAX) {
            out.extend(widths.iter().map(|&width| match u32::from(width).checked_sub(1) {
                None => 0,
                Some(below) => 1 << below | self.take(below),
            }));
            return;
        }
        let mut bit = self.bit;
        out.extend(widths.iter().map(|&width| {
            let below = width.saturating_sub(1);
            let word = word_at(self.bytes, bit / 8) >> (bit % 8);
            bit += usize::from(below);
            word & ((1 << below) - 1) | u64::from(width > 0) << below
        }));
        self.bit = bit;
    }

    /// No more was taken than there is.
    pub fn check_taken(&self) -> Result<()> {
        if self.bit <= self.bytes.len() * 8 {
            return Ok(());
        }
        let (bytes, needed) = (self.bytes.len(), self.bit.div_ceil(8));
        Err(Error::invalid(format!("{bytes} bytes of bits where {needed} are needed")))
    }

    /// Everything must have been taken, but for zero bits that fill the last byte.
    pub fn finish(mut self) -> Result<()> {
        let taken = self.bit.div_ceil(8);
        let rest = (taken * 8 - self.bit) as u32;
        if taken != self.bytes.len() {
            let what = format!("{} bytes of bits where {taken} are needed", self.bytes.len());
            return Err(Error::invalid(what));
        }
        if self.take(rest) != 0 {
            return Err(Error::invalid("the bits that fill the last byte are not zero"));
        }
        Ok(())
    }
}

/// The eight bytes from here, as far as there are any.
#[inline]
fn word_at(bytes: &[u8], at: usize) -> u64 {
    if let Some(word) = bytes.get(at..at + 8) {
        return u64::from_le_bytes(word.try_into().unwrap_or_default());
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_width_lead_back() {
        for width in 0..=64u32 {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            for count in [1usize, 7, 8, 63, 128] {
                let value = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask;
                let (mut out, mut writer) = (Vec::new(), BitWriter::default());
                (0..count).for_each(|i| writer.put(&mut out, value(i), width));
                writer.finish(&mut out);
                assert_eq!(out.len(), packed_bytes(count, width));
                let mut reader = BitReader::new(&out);
                for i in 0..count {
                    assert_eq!(reader.take(width), value(i), "width {width}, value {i}");
                }
                reader.finish().unwrap();
            }
        }
    }

    #[test]
    fn values_that_say_their_width_lead_back() {
        for widest in [1, 3, 56, 57, 58, 64] {
            let value = |i: u64| {
                let width = i * 7 % (widest + 1);
                let random = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                width.checked_sub(1).map_or(0, |below| 1 << below | random & ((1 << below) - 1))
            };
            let values: Vec<u64> = (0..300).map(value).collect();
            let widths: Vec<u8> = values.iter().map(|v| width_of(*v) as u8).collect();
            assert_eq!(widths.iter().max(), Some(&(widest as u8)));
            let (mut out, mut writer) = (Vec::new(), BitWriter::default());
            for (&value, &width) in values.iter().zip(&widths) {
                let below = u32::from(width.saturating_sub(1));
                writer.put(&mut out, value & ((1 << below) - 1), below);
            }
            writer.finish(&mut out);
            let (mut reader, mut read) = (BitReader::new(&out), Vec::new());
            reader.take_widths(&widths[..100], &mut read);
            reader.take_widths(&widths[100..], &mut read);
            assert_eq!(read, values, "up to {widest} bits");
            reader.check_taken().unwrap();
            reader.finish().unwrap();
            if let Some((_, short)) = out.split_last() {
                let mut short = BitReader::new(short);
                short.take_widths(&widths, &mut read);
                assert!(short.check_taken().is_err());
            }
        }
    }

    #[test]
    fn bits_left_over_are_refused() {
        let mut reader = BitReader::new(&[0b1000_0001]);
        reader.take(5);
        assert!(reader.finish().is_err());
        let mut reader = BitReader::new(&[1, 0]);
        reader.take(5);
        assert!(reader.finish().is_err());
        let mut reader = BitReader::new(&[]);
        reader.take(5);
        assert!(reader.finish().is_err());
    }
}

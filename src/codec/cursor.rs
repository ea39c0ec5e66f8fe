//! A cursor over bytes that came from outside: every step is checked, every error names its offset.

use crate::error::{Error, Result};

/// Reads little-endian fields from a slice, front to back.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, offset: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.offset
    }

    /// An error of kind `Invalid` at the current offset; stored data turns it into `Corrupt`.
    #[must_use]
    pub fn error(&self, what: impl Into<String>) -> Error {
        Error::invalid(what).at(self.offset as u64)
    }

    /// The next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.bytes.get(self.offset..).and_then(|rest| rest.get(..length)) {
            Some(taken) => {
                self.offset += length;
                Ok(taken)
            }
            None => Err(self.too_short(length)),
        }
    }

    #[cold]
    fn too_short(&self, length: usize) -> Error {
        self.error(format!("{length} bytes wanted, {} left", self.remaining()))
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next eight bytes, signed.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// The next varint; more than ten bytes or 64 bits is an error.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        // Most are of one byte.
        match self.bytes.get(self.offset) {
            Some(&byte) if byte < 0x80 => {
                self.offset += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(self.error("a varint has more than 64 bits"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("a varint has more than 64 bits"))
    }

    /// The next varint as a length or count, at most `max`; larger ones are of kind `Limit`.
    #[inline]
    pub fn length(&mut self, max: usize, what: &str) -> Result<usize> {
        let at = self.offset;
        let value = self.varint()?;
        match usize::try_from(value) {
            Ok(length) if length <= max => Ok(length),
            _ => Err(too_long(value, max, what, at)),
        }
    }

    /// Nothing may be left.
    pub fn finish(&self) -> Result<()> {
        if self.remaining() == 0 {
            return Ok(());
        }
        Err(self.error(format!("{} bytes are left over", self.remaining())))
    }
}

#[cold]
fn too_long(value: u64, max: usize, what: &str, at: usize) -> Error {
    Error::limit(format!("{what} is {value}, at most {max} is allowed")).at(at as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::codec::{put_varint, unzigzag, zigzag};

    #[test]
    fn varints_of_every_length_lead_back() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                let mut cursor = Cursor::new(&out);
                assert_eq!(cursor.varint().unwrap(), value);
                cursor.finish().unwrap();
                assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
            }
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        let mut bytes = [0xff; 10];
        bytes[9] = 2;
        assert!(Cursor::new(&bytes).varint().is_err());
        assert!(Cursor::new(&[0xff; 11]).varint().is_err());
    }

    #[test]
    fn a_length_over_its_limit_is_named_before_anything_is_read() {
        let error = Cursor::new(&[0xff, 0x7f]).length(100, "key length").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
        assert!(error.message().contains("key length"));
    }
}

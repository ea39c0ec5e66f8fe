//! Reading and writing bytes without trusting them: a bounded cursor, varints, checksums.

pub mod any_value;
mod bits;
mod cursor;

pub use bits::{BitReader, BitWriter, packed_bytes, width_of};
pub use cursor::Cursor;

/// CRC-32 (ISO-HDLC, as zlib's) of the bytes.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Appends an unsigned LEB128 varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Maps small signed numbers to small unsigned ones (ZigZag).
#[must_use]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[must_use]
pub fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

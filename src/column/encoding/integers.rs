//! Integers, in the encoding that cheap statistics say is smallest.
//!
//! | encoding | body |
//! |---|---|
//! | constant | the value, zigzag varint |
//! | packed | for each 128 values: minimum (zigzag varint), width (1 byte), the bits above it |
//! | delta | first value (zigzag varint), then the differences, packed |
//! | dictionary | number of entries (varint), entries (zigzag varints), codes |
//! | runs | pairs of value (zigzag varint) and length (varint), until all rows have one |

use crate::codec::{
    BitReader, BitWriter, Cursor, packed_bytes, put_varint, unzigzag, width_of, zigzag,
};
use crate::column::encoding::{Encoding, codes};
use crate::error::{Error, Result};

/// Values that share a minimum and a width.
const MINIBLOCK: usize = 128;
/// More distinct values than this are not worth a dictionary.
const ENTRIES_MAX: usize = 256;

/// Most bytes that one more value can add, miniblock heads included.
pub(crate) const VALUE_BYTES_MAX: usize = 9;
/// Most bytes of a column beside its values.
pub(crate) const HEAD_BYTES_MAX: usize = 24;

/// Appends a body for these values, of which there is at least one, and says in which encoding.
pub(crate) fn encode(values: &[i64], out: &mut Vec<u8>) -> Encoding {
    let Some((&first, rest)) = values.split_first() else { return Encoding::Packed };
    let runs = 1 + values.windows(2).filter(|pair| pair.first() != pair.last()).count();
    if runs == 1 {
        put_varint(out, zigzag(first));
        return Encoding::Constant;
    }
    if runs * 16 <= values.len() {
        encode_runs(values, out);
        return Encoding::Runs;
    }
    if encode_dictionary(values, out) {
        return Encoding::Dictionary;
    }
    let differences: Vec<i64> = values.iter().zip(rest).map(|(a, b)| b.wrapping_sub(*a)).collect();
    if packed_cost(&differences) < packed_cost(values) {
        put_varint(out, zigzag(first));
        encode_packed(&differences, out);
        return Encoding::Delta;
    }
    encode_packed(values, out);
    Encoding::Packed
}

/// Reads a body of `count` values into `out`, which is emptied first.
pub(crate) fn decode(
    encoding: Encoding,
    body: &[u8],
    count: usize,
    out: &mut Vec<i64>,
) -> Result<()> {
    out.clear();
    let mut cursor = Cursor::new(body);
    match encoding {
        Encoding::Constant => out.resize(count, unzigzag(cursor.varint()?)),
        Encoding::Packed => decode_packed(&mut cursor, count, out)?,
        Encoding::Delta => {
            let mut value = unzigzag(cursor.varint()?);
            out.push(value);
            decode_packed(&mut cursor, count.saturating_sub(1), out)?;
            for difference in out.iter_mut().skip(1) {
                value = value.wrapping_add(*difference);
                *difference = value;
            }
        }
        Encoding::Dictionary => decode_dictionary(&mut cursor, count, out)?,
        Encoding::Runs => decode_runs(&mut cursor, count, out)?,
        other => return Err(Error::invalid(format!("integers in encoding {other:?}"))),
    }
    if out.len() != count {
        return Err(cursor.error(format!("{} values where {count} are due", out.len())));
    }
    cursor.finish()
}

fn miniblock_shape(block: &[i64]) -> (i64, u32) {
    let min = block.iter().copied().min().unwrap_or(0);
    let max = block.iter().copied().max().unwrap_or(0);
    (min, width_of(max.wrapping_sub(min) as u64))
}

fn packed_cost(values: &[i64]) -> usize {
    values
        .chunks(MINIBLOCK)
        .map(|block| {
            let (min, width) = miniblock_shape(block);
            width_of(zigzag(min)).div_ceil(7) as usize + 1 + packed_bytes(block.len(), width)
        })
        .sum()
}

fn encode_packed(values: &[i64], out: &mut Vec<u8>) {
    for block in values.chunks(MINIBLOCK) {
        let (min, width) = miniblock_shape(block);
        put_varint(out, zigzag(min));
        out.push(width as u8);
        let mut bits = BitWriter::default();
        for value in block {
            bits.put(out, value.wrapping_sub(min) as u64, width);
        }
        bits.finish(out);
    }
}

fn decode_packed(cursor: &mut Cursor<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
    out.reserve(count);
    let mut left = count;
    while left > 0 {
        let block = left.min(MINIBLOCK);
        left -= block;
        let min = unzigzag(cursor.varint()?);
        let width = u32::from(cursor.u8()?);
        if width > 64 {
            return Err(cursor.error(format!("integers of {width} bits")));
        }
        let mut bits = BitReader::new(cursor.take(packed_bytes(block, width))?);
        out.extend((0..block).map(|_| min.wrapping_add(bits.take(width) as i64)));
        bits.finish()?;
    }
    Ok(())
}

/// Appends a dictionary if there are few distinct values; else nothing.
fn encode_dictionary(values: &[i64], out: &mut Vec<u8>) -> bool {
    let mut table = hashbrown::HashTable::<(i64, u16)>::with_capacity(64);
    let mut entries = Vec::new();
    let mut row_codes = Vec::with_capacity(values.len());
    let hash = |value: i64| (value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    for &value in values {
        let code = match table.find(hash(value), |entry| entry.0 == value) {
            Some(entry) => entry.1,
            None => {
                let code = entries.len();
                if code >= ENTRIES_MAX || code > 16 && code * 2 > row_codes.len() {
                    return false;
                }
                entries.push(value);
                table.insert_unique(hash(value), (value, code as u16), |entry| hash(entry.0));
                code as u16
            }
        };
        row_codes.push(code);
    }
    put_varint(out, entries.len() as u64);
    entries.iter().for_each(|&entry| put_varint(out, zigzag(entry)));
    codes::encode(&row_codes, entries.len(), out);
    true
}

fn decode_dictionary(cursor: &mut Cursor<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
    let entries = cursor.length(ENTRIES_MAX.min(count), "entries of a dictionary")?;
    let values = (0..entries).map(|_| cursor.varint().map(unzigzag)).collect::<Result<Vec<_>>>()?;
    let mut row_codes = Vec::with_capacity(count);
    codes::decode(cursor, count, entries, &mut row_codes)?;
    out.extend(row_codes.iter().filter_map(|&code| values.get(code as usize)));
    Ok(())
}

fn encode_runs(values: &[i64], out: &mut Vec<u8>) {
    for run in values.chunk_by(|a, b| a == b) {
        put_varint(out, zigzag(run.first().copied().unwrap_or(0)));
        put_varint(out, run.len() as u64);
    }
}

fn decode_runs(cursor: &mut Cursor<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
    out.reserve(count);
    while out.len() < count {
        let value = unzigzag(cursor.varint()?);
        let length = cursor.length(count - out.len(), "length of a run")?;
        if length == 0 || out.last() == Some(&value) {
            return Err(cursor.error("a run that is empty or goes on from the one before"));
        }
        out.resize(out.len() + length, value);
    }
    Ok(())
}

//! Integers, in the encoding that cheap statistics say is smallest.
//!
//! | encoding | body | tail |
//! |---|---|---|
//! | constant | the value, zigzag varint | |
//! | packed | for each 128 values: minimum (zigzag varint), width (1 byte) | the bits above the minimum |
//! | delta | first value (zigzag varint), then the differences as packed | as packed |
//! | dictionary | number of entries (varint), entries (zigzag varints), codes | |
//! | runs | pairs of value (zigzag varint) and length (varint) until all rows have one | |
//! | dictionary by type | number of entries, entries as in a dictionary, codes by type | |
//! | widths | for each value the number of bits of its zigzag (1 byte) | the bits below the highest one |
//! | delta widths | first value (zigzag varint), then the differences as widths | as widths |
//!
//! Times and durations are spread over many orders of magnitude: their widths take three to four bits
//! each once zstd has seen them, and the bits below cannot shrink. That is 0.9 bytes per span less
//! than packing miniblocks on the traces we measured.

use crate::codec::{BitReader, BitWriter, Cursor, put_varint, unzigzag, width_of, zigzag};
use crate::column::encoding::by_type::{self, TypesOf};
use crate::column::encoding::{Encoding, Stored, codes};
use crate::error::{Error, Result};

/// Values that share a minimum and a width.
pub(super) const MINIBLOCK: usize = 128;
/// More distinct values than this are not worth a dictionary.
pub(super) const ENTRIES_MAX: usize = 256;
/// Fewer values than this do not repay the code that zstd needs for their widths.
const WIDTHS_VALUES_MIN: usize = 64;

/// Most bytes that one more value can add, miniblock heads included.
pub(crate) const VALUE_BYTES_MAX: usize = 9;
/// Most bytes of a column beside its values.
pub(crate) const HEAD_BYTES_MAX: usize = 48;

/// Appends body and tail for these values, of which there is at least one; says in which encoding.
/// `types` if codes may be stored by type.
pub(crate) fn encode(
    values: &[i64],
    types: Option<TypesOf<'_>>,
    body: &mut Vec<u8>,
    tail: &mut Vec<u8>,
) -> Encoding {
    let first = values.first().copied().unwrap_or(0);
    let runs = 1 + values.iter().zip(values.iter().skip(1)).filter(|(a, b)| a != b).count();
    if runs == 1 {
        put_varint(body, zigzag(first));
        return Encoding::Constant;
    }
    if runs * 16 <= values.len() {
        encode_runs(values, body);
        return Encoding::Runs;
    }
    if let Some(encoding) = encode_dictionary(values, types, body) {
        return encoding;
    }
    let differences = || {
        let pairs = values.iter().zip(values.iter().skip(1));
        pairs.map(|(before, value)| value.wrapping_sub(*before))
    };
    let costs = [
        (Encoding::Packed, packed_bits(values.iter().copied())),
        (Encoding::Delta, packed_bits(differences())),
        (Encoding::Widths, widths_bits(values.iter().copied())),
        (Encoding::DeltaWidths, widths_bits(differences())),
    ];
    let least = costs.into_iter().min_by_key(|cost| cost.1).map_or(Encoding::Packed, |cost| cost.0);
    let mut bits = BitWriter::default();
    if matches!(least, Encoding::Delta | Encoding::DeltaWidths) {
        put_varint(body, zigzag(first));
    }
    match least {
        Encoding::Delta => put_packed(differences(), body, tail, &mut bits),
        Encoding::Widths => put_widths(values.iter().copied(), body, tail, &mut bits),
        Encoding::DeltaWidths => put_widths(differences(), body, tail, &mut bits),
        _ => put_packed(values.iter().copied(), body, tail, &mut bits),
    }
    bits.finish(tail);
    least
}

/// Reads `count` values into `out`, which is emptied first.
pub(crate) fn decode(stored: Stored<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
    out.clear();
    let mut cursor = Cursor::new(stored.body);
    let mut bits = BitReader::new(stored.tail);
    match stored.encoding {
        Encoding::Constant => out.resize(count, unzigzag(cursor.varint()?)),
        Encoding::Packed => take_packed(&mut cursor, &mut bits, count, out)?,
        Encoding::Widths => take_widths(&mut cursor, &mut bits, count, out)?,
        Encoding::Delta | Encoding::DeltaWidths => {
            take_sums(stored.encoding, &mut cursor, &mut bits, count, out)?;
        }
        Encoding::Dictionary => take_dictionary(&mut cursor, count, out)?,
        Encoding::Runs => take_runs(&mut cursor, count, out)?,
        other => return Err(Error::invalid(format!("integers in encoding {}", other.name()))),
    }
    if out.len() != count {
        return Err(cursor.error(format!("{} values where {count} are due", out.len())));
    }
    bits.finish()?;
    cursor.finish()
}

/// The first values of a column of differences, as many as `first` of the `count` that it has.
pub(super) fn decode_first(stored: Stored<'_>, count: usize, first: usize) -> Result<Vec<i64>> {
    let (mut cursor, mut bits) = (Cursor::new(stored.body), BitReader::new(stored.tail));
    let mut out = Vec::new();
    match stored.encoding {
        // Their widths stand before all else, so those of the first need not be looked for.
        Encoding::DeltaWidths => {
            take_sums(stored.encoding, &mut cursor, &mut bits, first.min(count), &mut out)?;
            bits.check_taken()?;
        }
        _ => decode(stored, count, &mut out)?,
    }
    Ok(out)
}

fn take_sums(
    encoding: Encoding,
    cursor: &mut Cursor<'_>,
    bits: &mut BitReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<()> {
    out.push(unzigzag(cursor.varint()?));
    match encoding {
        Encoding::Delta => take_packed(cursor, bits, count.saturating_sub(1), out)?,
        _ => take_widths(cursor, bits, count.saturating_sub(1), out)?,
    }
    let mut before = 0i64;
    for value in out.iter_mut() {
        before = before.wrapping_add(*value);
        *value = before;
    }
    Ok(())
}

/// Calls back with each miniblock's values, minimum and width.
fn for_miniblocks(values: impl Iterator<Item = i64>, mut each: impl FnMut(&[i64], i64, u32)) {
    let mut values = values.fuse();
    let mut block = [0; MINIBLOCK];
    loop {
        let mut length = 0;
        for (to, value) in block.iter_mut().zip(values.by_ref()) {
            *to = value;
            length += 1;
        }
        let block = block.get(..length).unwrap_or_default();
        let Some(min) = block.iter().copied().min() else { return };
        let max = block.iter().copied().max().unwrap_or(min);
        each(block, min, width_of(max.wrapping_sub(min) as u64));
    }
}

fn packed_bits(values: impl Iterator<Item = i64>) -> usize {
    let mut bits = 0;
    for_miniblocks(values, |block, min, width| {
        bits += block.len() * width as usize + 8 + width_of(zigzag(min)).div_ceil(7) as usize * 8;
    });
    bits
}

fn put_packed(
    values: impl Iterator<Item = i64>,
    body: &mut Vec<u8>,
    tail: &mut Vec<u8>,
    bits: &mut BitWriter,
) {
    for_miniblocks(values, |block, min, width| {
        put_varint(body, zigzag(min));
        body.push(width as u8);
        for value in block {
            bits.put(tail, value.wrapping_sub(min) as u64, width);
        }
    });
}

fn take_packed(
    cursor: &mut Cursor<'_>,
    bits: &mut BitReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<()> {
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
        out.extend((0..block).map(|_| min.wrapping_add(bits.take(width) as i64)));
    }
    Ok(())
}

/// About what zstd makes of the widths, and the bits below.
fn widths_bits(values: impl Iterator<Item = i64>) -> usize {
    let mut counts = [0u32; 65];
    let (mut count, mut below) = (0usize, 0usize);
    for value in values {
        let width = width_of(zigzag(value));
        counts[width as usize] += 1;
        below += width.saturating_sub(1) as usize;
        count += 1;
    }
    if count < WIDTHS_VALUES_MIN {
        return usize::MAX;
    }
    let entropy: f64 = counts
        .iter()
        .filter(|&&n| n > 0)
        .map(|&n| f64::from(n) * (count as f64 / f64::from(n)).log2() + 6.0)
        .sum();
    // Part of a byte shared with other columns: zstd does not quite reach the entropy.
    below + (entropy * 1.1) as usize + count / 4
}

fn put_widths(
    values: impl Iterator<Item = i64>,
    body: &mut Vec<u8>,
    tail: &mut Vec<u8>,
    bits: &mut BitWriter,
) {
    for value in values {
        let value = zigzag(value);
        let width = width_of(value);
        body.push(width as u8);
        if let Some(below) = width.checked_sub(1) {
            bits.put(tail, value & !(1 << below), below);
        }
    }
}

fn take_widths(
    cursor: &mut Cursor<'_>,
    bits: &mut BitReader<'_>,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<()> {
    let widths = cursor.take(count)?;
    if let Some(wide) = widths.iter().max().filter(|&&widest| widest > 64) {
        return Err(cursor.error(format!("integers of {wide} bits")));
    }
    let mut values = Vec::with_capacity(count);
    bits.take_widths(widths, &mut values);
    out.extend(values.iter().map(|&value| unzigzag(value)));
    Ok(())
}

/// Appends a dictionary if there are few distinct values; else nothing.
fn encode_dictionary(
    values: &[i64],
    types: Option<TypesOf<'_>>,
    body: &mut Vec<u8>,
) -> Option<Encoding> {
    // A power of two, twice the entries: linear probing stays short.
    const SLOTS: usize = 2 * ENTRIES_MAX;
    let mut slots = [0u16; SLOTS];
    let mut entries = Vec::with_capacity(ENTRIES_MAX);
    let mut row_codes = Vec::with_capacity(values.len());
    for &value in values {
        let hash = (value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55;
        let mut slot = hash as usize;
        let code = loop {
            // Slots hold code + 1; 0 is free.
            match slots[slot].checked_sub(1) {
                Some(code) if entries.get(usize::from(code)) == Some(&value) => break code,
                Some(_) => slot = (slot + 1) % SLOTS,
                None => {
                    let code = entries.len();
                    if code >= ENTRIES_MAX || code > 16 && code * 2 > row_codes.len() {
                        return None;
                    }
                    entries.push(value);
                    slots[slot] = code as u16 + 1;
                    break code as u16;
                }
            }
        };
        row_codes.push(code);
    }
    if entries.len() * 2 > values.len() {
        return None;
    }
    put_varint(body, entries.len() as u64);
    entries.iter().for_each(|&entry| put_varint(body, zigzag(entry)));
    if types.is_some_and(|types| by_type::encode(&row_codes, entries.len(), types, body)) {
        return Some(Encoding::DictionaryByType);
    }
    codes::encode(&row_codes, entries.len(), body);
    Some(Encoding::Dictionary)
}

/// The entries of a dictionary of `count` values.
pub(crate) fn take_entries(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<i64>> {
    let entries = cursor.length(ENTRIES_MAX.min(count), "entries of a dictionary")?;
    (0..entries).map(|_| cursor.varint().map(unzigzag)).collect()
}

fn take_dictionary(cursor: &mut Cursor<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
    let values = take_entries(cursor, count)?;
    let mut row_codes = Vec::with_capacity(count);
    codes::decode(cursor, count, values.len(), &mut row_codes)?;
    out.extend(row_codes.iter().filter_map(|&code| values.get(code as usize)));
    Ok(())
}

fn encode_runs(values: &[i64], body: &mut Vec<u8>) {
    for run in values.chunk_by(|a, b| a == b) {
        put_varint(body, zigzag(run.first().copied().unwrap_or(0)));
        put_varint(body, run.len() as u64);
    }
}

fn take_runs(cursor: &mut Cursor<'_>, count: usize, out: &mut Vec<i64>) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[i64]) -> (Encoding, usize) {
        let (mut body, mut tail) = (Vec::new(), Vec::new());
        let encoding = encode(values, None, &mut body, &mut tail);
        let bytes = body.len() + tail.len();
        assert!(bytes <= HEAD_BYTES_MAX + values.len() * VALUE_BYTES_MAX, "{bytes} bytes");
        let stored = Stored { encoding, body: &body, tail: &tail };
        let mut read = Vec::new();
        decode(stored, values.len(), &mut read).unwrap();
        assert_eq!(read, values);
        for cut in 0..body.len() {
            let cut = Stored { body: &body[..cut], ..stored };
            assert!(decode(cut, values.len(), &mut read).is_err());
        }
        if let Some(tail) = tail.len().checked_sub(1).and_then(|cut| tail.get(..cut)) {
            assert!(decode(Stored { tail, ..stored }, values.len(), &mut read).is_err());
        }
        (encoding, bytes)
    }

    /// Spread over as many orders of magnitude as `bits`.
    fn spread(i: u64, bits: u64) -> i64 {
        let random = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((random >> 8) >> (8 + random % bits)) as i64
    }

    #[test]
    fn each_shape_of_values_finds_its_encoding_and_leads_back() {
        let random = |i: i64| (i.wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20) & 0x7fff;
        let mut time = 1_700_000_000_000_000_000;
        let times: Vec<i64> = (0..1000u64)
            .map(|i| {
                time += spread(i, 40);
                time
            })
            .collect();
        for (values, encoding) in [
            (vec![7; 1000], Encoding::Constant),
            (vec![i64::MIN], Encoding::Constant),
            ((0..1000).map(|i| i / 100).collect(), Encoding::Runs),
            ((0..1000).map(|i| i % 7 * 1000).collect(), Encoding::Dictionary),
            ((0..1000).map(random).collect(), Encoding::Packed),
            ((0..1000).map(|i| i * 1_000_003).collect(), Encoding::Delta),
            ((0..1000).map(|i| spread(i, 40)).collect(), Encoding::Widths),
            (times, Encoding::DeltaWidths),
        ] {
            assert_eq!(round_trip(&values).0, encoding);
        }
    }

    #[test]
    fn extremes_lead_back_and_stay_within_what_was_counted() {
        let extremes = [i64::MIN, i64::MAX, 0, -1, 1, i64::MIN + 1];
        for count in 1..300 {
            let values: Vec<i64> = (0..count).map(|i| extremes[i * i % 6]).collect();
            round_trip(&values);
            let distinct: Vec<i64> = (0..count as i64).map(|i| i64::MAX - i * i * i).collect();
            round_trip(&distinct);
        }
    }

    #[test]
    fn damaged_bodies_are_refused() {
        let refused = |encoding, body: &[u8], tail: &[u8], count| {
            let stored = Stored { encoding, body, tail };
            assert!(decode(stored, count, &mut Vec::new()).is_err(), "{stored:?}");
        };
        refused(Encoding::Constant, &[1], &[0], 3);
        refused(Encoding::Packed, &[0, 65], &[0; 9], 1);
        refused(Encoding::Packed, &[0, 3], &[0b1111_1000], 1);
        refused(Encoding::Widths, &[65], &[0; 8], 1);
        refused(Encoding::Runs, &[2, 0, 2, 3], &[], 3);
        refused(Encoding::Runs, &[2, 1, 2, 2], &[], 3);
        refused(Encoding::Runs, &[2, 4], &[], 3);
        refused(Encoding::Dictionary, &[2, 0, 2, 1, 0], &[], 2);
        refused(Encoding::Dictionary, &[2, 0, 2, 0, 0], &[], 2);
        refused(Encoding::Dictionary, &[2, 0, 2, 0, 2], &[], 2);
        refused(Encoding::TextPlain, &[1], &[], 1);
    }
}

//! The values of a few rows, without decoding those of all others.
//!
//! A trace has some dozens of events in a block of thousands: what is decoded for it should be of
//! that size, where the encoding allows it. Ranks count the values of a column, ascend, and are
//! below their number. Lengths and codes are checked as far as they are read; that nothing is left
//! over, or out of order, is for those to check that decode a column as a whole.

use crate::codec::{BitReader, Cursor, unzigzag};
use crate::column::encoding::integers::{self, MINIBLOCK};
use crate::column::encoding::texts::{self, Decoded};
use crate::column::encoding::{Encoding, Stored, codes, ids};
use crate::error::{Error, Result};

/// The integers at these ranks, of `count`.
pub(crate) fn integers(stored: Stored<'_>, count: usize, ranks: &[u32]) -> Result<Vec<i64>> {
    let mut cursor = Cursor::new(stored.body);
    match stored.encoding {
        Encoding::Constant => Ok(vec![unzigzag(cursor.varint()?); ranks.len()]),
        Encoding::Packed => packed(&mut cursor, stored.tail, count, ranks),
        Encoding::Widths => widths(&mut cursor, stored.tail, count, ranks),
        Encoding::Dictionary => {
            let values = integers::take_entries(&mut cursor, count)?;
            let codes = codes::pick(&mut cursor, count, values.len(), ranks)?;
            Ok(codes.iter().filter_map(|&code| values.get(code as usize).copied()).collect())
        }
        Encoding::Runs => runs(&mut cursor, count, ranks),
        // Each value is a sum over those before it.
        _ => {
            let first = ranks.last().map_or(0, |&last| last as usize + 1);
            let all = integers::decode_first(stored, count, first)?;
            Ok(ranks.iter().filter_map(|&rank| all.get(rank as usize).copied()).collect())
        }
    }
}

fn packed(cursor: &mut Cursor<'_>, tail: &[u8], count: usize, ranks: &[u32]) -> Result<Vec<i64>> {
    let mut picked = Vec::with_capacity(ranks.len());
    let mut ranks = ranks.iter().map(|&rank| rank as usize).peekable();
    let (mut first, mut bit) = (0, 0);
    while first < count && ranks.peek().is_some() {
        let block = MINIBLOCK.min(count - first);
        let min = unzigzag(cursor.varint()?);
        let width = u32::from(cursor.u8()?);
        if width > 64 {
            return Err(cursor.error(format!("integers of {width} bits")));
        }
        while let Some(rank) = ranks.next_if(|&rank| rank < first + block) {
            let mut bits = BitReader::at(tail, bit + (rank - first) * width as usize);
            picked.push(min.wrapping_add(bits.take(width) as i64));
        }
        bit += block * width as usize;
        first += block;
    }
    enough_bits(tail, bit)?;
    Ok(picked)
}

fn widths(cursor: &mut Cursor<'_>, tail: &[u8], count: usize, ranks: &[u32]) -> Result<Vec<i64>> {
    let widths = cursor.take(count)?;
    // Narrow sums, which a compiler makes wide: a column has fewer bits than four billion.
    let below = |width: &u8| u32::from(width.saturating_sub(1));
    let mut picked = Vec::with_capacity(ranks.len());
    let (mut next, mut bit, mut end) = (0, 0, 0);
    for &rank in ranks {
        let rank = rank as usize;
        bit += widths.get(next..rank).unwrap_or_default().iter().map(below).sum::<u32>() as usize;
        next = rank;
        let width = widths.get(rank).copied().unwrap_or(0);
        picked.push(match width.checked_sub(1) {
            None => 0,
            Some(64..) => return Err(cursor.error(format!("integers of {width} bits"))),
            Some(below) => {
                end = bit + usize::from(below);
                let mut bits = BitReader::at(tail, bit);
                unzigzag(1 << below | bits.take(u32::from(below)))
            }
        });
    }
    enough_bits(tail, end)?;
    Ok(picked)
}

/// Bits beyond the end read as zero, and would be taken for values.
pub(super) fn enough_bits(tail: &[u8], bits: usize) -> Result<()> {
    if tail.len() < bits.div_ceil(8) {
        let what = format!("{} bytes of bits where {} are needed", tail.len(), bits.div_ceil(8));
        return Err(Error::invalid(what));
    }
    Ok(())
}

fn runs(cursor: &mut Cursor<'_>, count: usize, ranks: &[u32]) -> Result<Vec<i64>> {
    let mut picked = Vec::with_capacity(ranks.len());
    let (mut value, mut end) = (0, 0);
    for &rank in ranks {
        while end <= rank as usize {
            value = unzigzag(cursor.varint()?);
            let length = cursor.length(count - end, "length of a run")?;
            if length == 0 {
                return Err(cursor.error("a run that is empty"));
            }
            end += length;
        }
        picked.push(value);
    }
    Ok(picked)
}

/// Texts at these ranks, of `count`: some of the entries or all, and the code of each rank.
pub(crate) fn texts<'a>(stored: Stored<'a>, count: usize, ranks: &[u32]) -> Result<Decoded<'a>> {
    if stored.encoding == Encoding::TextTemplates {
        return texts::pick_templates(stored, count, ranks);
    }
    let mut decoded = Decoded::default();
    let (mut cursor, entries) = texts::decode_entries(stored, count, &mut decoded)?;
    decoded.codes = match stored.encoding {
        Encoding::TextPlain => ranks.to_vec(),
        Encoding::TextDictionary => codes::pick(&mut cursor, count, entries, ranks)?,
        other => return Err(Error::invalid(format!("text in encoding {}", other.name()))),
    };
    Ok(decoded)
}

/// The ids at these ranks, of `count`.
pub(crate) fn ids<const N: usize>(
    stored: Stored<'_>,
    count: usize,
    ranks: &[u32],
) -> Result<Vec<[u8; N]>> {
    let (ids, _) = stored.tail.as_chunks::<N>();
    let missing = || Error::invalid(format!("of {} ids one is missing or all zero", ids.len()));
    let pick = |codes: &[u32]| {
        let id = |&code: &u32| {
            let id = ids.get(code as usize).filter(|id| **id != [0; N]);
            id.copied().ok_or_else(missing)
        };
        codes.iter().map(id).collect()
    };
    match stored.encoding {
        Encoding::IdPlain => pick(ranks),
        Encoding::IdDictionary => {
            let mut cursor = Cursor::new(stored.body);
            pick(&codes::pick(&mut cursor, count, ids.len(), ranks)?)
        }
        other => Err(Error::invalid(format!("ids in encoding {}", other.name()))),
    }
}

/// Parents at these ranks, of `count`; `row_of` says the row of a rank, by its index, and `span_of`
/// the span id of a row.
pub(crate) fn references(
    stored: Stored<'_>,
    count: usize,
    ranks: &[u32],
    row_of: impl Fn(usize) -> Option<u32>,
    span_of: impl Fn(usize) -> Option<[u8; 8]>,
) -> Result<Vec<[u8; 8]>> {
    let (distances, misfits) = ids::decode_distances(stored, count)?;
    let (misfits, _) = misfits.as_chunks::<8>();
    let zeros = |distances: &[i64]| distances.iter().filter(|&&distance| distance == 0).count();
    let mut picked = Vec::with_capacity(ranks.len());
    let (mut next, mut misfit) = (0, 0);
    for (index, &rank) in ranks.iter().enumerate() {
        let rank = rank as usize;
        misfit += zeros(distances.get(next..rank).unwrap_or_default());
        next = rank;
        let id = match distances.get(rank) {
            Some(0) => misfits.get(misfit).copied(),
            Some(distance) => row_of(index)
                .and_then(|row| i64::from(row).checked_sub(*distance))
                .and_then(|target| usize::try_from(target).ok())
                .and_then(&span_of),
            None => None,
        };
        let missing = || Error::invalid(format!("value {rank} refers to no span"));
        picked.push(id.ok_or_else(missing)?);
    }
    Ok(picked)
}

/// The ranks, of `count`, whose id is wanted, each with what `wanted` says of the id. If it says
/// nothing of any, rows are not looked at.
pub(crate) fn ranks_of<const N: usize, T: Copy>(
    stored: Stored<'_>,
    count: usize,
    wanted: impl Fn(&[u8; N]) -> Option<T>,
) -> Result<Vec<(u32, T)>> {
    let (ids, _) = stored.tail.as_chunks::<N>();
    let known: Vec<Option<T>> = ids.iter().map(wanted).collect();
    let all = match stored.encoding {
        Encoding::IdPlain if ids.len() != count => {
            return Err(Error::invalid(format!("{} ids where {count} are due", ids.len())));
        }
        Encoding::IdPlain => {
            let ranks = known.iter().zip(0..);
            return Ok(ranks
                .filter_map(|(known, rank)| known.map(|value| (rank, value)))
                .collect());
        }
        Encoding::IdDictionary if known.iter().all(Option::is_none) => return Ok(Vec::new()),
        Encoding::IdDictionary => codes::bytes(&mut Cursor::new(stored.body), count, ids.len())?,
        other => return Err(Error::invalid(format!("ids in encoding {}", other.name()))),
    };
    let mut found = Vec::new();
    for rank in 0..count as u32 {
        let code = all.get(rank);
        let known = known.get(code as usize).copied();
        let beyond = || Error::invalid(format!("code {code} of {} entries", ids.len()));
        found.extend(known.ok_or_else(beyond)?.map(|value| (rank, value)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::encoding::ids as whole_ids;

    fn ranks(count: usize) -> Vec<u32> {
        (0..count as u32).filter(|rank| rank % 37 == 5 || rank % 256 == 0).collect()
    }

    #[test]
    fn integers_that_are_picked_are_those_of_the_whole() {
        let spread = |i: i64| (i.wrapping_mul(0x5851_f42d_4c95_7f2d) >> (8 + i % 50)).abs();
        let columns: [Vec<i64>; 7] = [
            vec![-7; 1_000],
            (0..1_000).map(|i| i / 100).collect(),
            (0..1_000).map(|i| (i * 7) % 15 - 3).collect(),
            (0..1_000_i64)
                .map(|i| (i.wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20) & 0x7fff)
                .collect(),
            (0..1_000).map(spread).collect(),
            (0..1_000)
                .scan(0, |sum, i| {
                    *sum += spread(i);
                    Some(*sum)
                })
                .collect(),
            vec![i64::MIN, i64::MAX, 0],
        ];
        let mut seen = std::collections::HashSet::new();
        for values in columns {
            let (mut body, mut tail) = (Vec::new(), Vec::new());
            let encoding = integers::encode(&values, None, &mut body, &mut tail);
            seen.insert(encoding);
            let stored = Stored { encoding, body: &body, tail: &tail };
            let ranks = ranks(values.len());
            let expected: Vec<i64> = ranks.iter().map(|&rank| values[rank as usize]).collect();
            assert_eq!(integers(stored, values.len(), &ranks).unwrap(), expected);
            let none = Stored { body: &[], tail: &[], ..stored };
            assert!(integers(none, values.len(), &ranks).is_err(), "{encoding:?}");
        }
        assert_eq!(seen.len(), 7, "{seen:?}");
    }

    #[test]
    fn texts_that_are_picked_are_those_of_the_whole() {
        for distinct in [1, 20, 500, 1_000] {
            let (mut bytes, mut ends) = (Vec::new(), Vec::new());
            for entry in 0..distinct {
                bytes.extend_from_slice(format!("value {entry}").as_bytes());
                ends.push(bytes.len() as u32);
            }
            let row_codes: Vec<u16> = (0..1_000).map(|row| row % distinct).collect();
            let mut body = Vec::new();
            let source = texts::Source { bytes: &bytes, ends: &ends, codes: &row_codes };
            let encoding = texts::encode(source, None, &mut body, &mut Vec::new());
            let stored = Stored { encoding, body: &body, tail: &[] };
            let ranks = ranks(1_000);
            let picked = texts(stored, 1_000, &ranks).unwrap();
            for (at, rank) in ranks.iter().enumerate() {
                let expected = format!("value {}", rank % u32::from(distinct));
                assert_eq!(picked.row(at), Some(expected.as_bytes()));
            }
            assert!(texts(Stored { body: &[], ..stored }, 1_000, &ranks).is_err());
        }
    }

    #[test]
    fn ids_that_are_picked_are_those_of_the_whole() {
        for distinct in [3, 300, 1_000] {
            let entries: Vec<[u8; 8]> = (1..=distinct).map(u64::to_be_bytes).collect();
            let row_codes: Vec<u16> = (0..1_000).map(|row| row % distinct as u16).collect();
            let (mut body, mut tail) = (Vec::new(), Vec::new());
            let encoding = whole_ids::encode(&entries, &row_codes, &mut body, &mut tail);
            let stored = Stored { encoding, body: &body, tail: &tail };
            let ranks = ranks(1_000);
            let expected: Vec<[u8; 8]> =
                ranks.iter().map(|&rank| (u64::from(rank) % distinct + 1).to_be_bytes()).collect();
            assert_eq!(ids::<8>(stored, 1_000, &ranks).unwrap(), expected);
            assert!(ids::<8>(Stored { body: &[], tail: &[], ..stored }, 1_000, &ranks).is_err());
        }
    }
}

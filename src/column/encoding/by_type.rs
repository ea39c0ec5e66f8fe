//! Codes that follow from the types of the events: the method of a call, the kind of a span, the
//! function that emitted it are mostly the same for all events of a type. What is stored is a code
//! per type, and the few rows that differ.
//!
//! | part | form |
//! |---|---|
//! | for each type, in the order of the types' dictionary | code + 1; 0: no event of the type has a value |
//! | number of exceptions | varint |
//! | exceptions | values since the one before, code (varints) |
//!
//! Correlations between columns as in Liu et al., "Corra: Correlation-Aware Column Compression"
//! (VLDB workshops, 2024), but for one reference column only: types are read with nearly every event.

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::codes;
use crate::error::Result;

/// With more exceptions than one in so many values codes are stored as they are.
const VALUES_PER_EXCEPTION: usize = 64;
/// With fewer values than so many for each type, too.
const VALUES_PER_TYPE: usize = 4;

/// The types of all events, and which of them have a value in the column at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TypesOf<'a> {
    /// Code of the type of each event.
    pub(crate) types: &'a [u16],
    /// Number of types.
    pub(crate) entries: usize,
    /// Rows with a value, ascending.
    pub(crate) rows: &'a [u16],
}

/// Appends the codes if they follow from the types; else nothing.
pub(crate) fn encode(codes: &[u16], entries: usize, of: TypesOf<'_>, out: &mut Vec<u8>) -> bool {
    if entries < 2 || of.entries * VALUES_PER_TYPE > codes.len() {
        return false;
    }
    let mut by_type = vec![None; of.entries];
    let mut exceptions = Vec::new();
    for (rank, (&code, &row)) in codes.iter().zip(of.rows).enumerate() {
        let Some(event_type) = of.types.get(usize::from(row)) else { return false };
        let Some(known) = by_type.get_mut(usize::from(*event_type)) else { return false };
        if *known.get_or_insert(code) != code {
            exceptions.push((rank, code));
            if exceptions.len() * VALUES_PER_EXCEPTION > codes.len() {
                return false;
            }
        }
    }
    by_type.iter().for_each(|code| put_varint(out, code.map_or(0, |code| u64::from(code) + 1)));
    put_varint(out, exceptions.len() as u64);
    let mut next = 0;
    for (rank, code) in exceptions {
        put_varint(out, (rank - next) as u64);
        put_varint(out, u64::from(code));
        next = rank + 1;
    }
    true
}

/// What was read.
#[derive(Debug)]
pub(crate) struct ByType {
    /// By the code of the type.
    codes: Vec<Option<u32>>,
    /// Rank and code, ascending.
    exceptions: Vec<(u32, u32)>,
}

impl ByType {
    /// Reads the codes of `count` values, which are below `entries`.
    pub(crate) fn read(
        cursor: &mut Cursor<'_>,
        types: usize,
        entries: usize,
        count: usize,
    ) -> Result<ByType> {
        // A code takes a byte at least; what is not there is not allocated for.
        let mut codes = Vec::with_capacity(types.min(cursor.remaining()));
        for _ in 0..types {
            let code = cursor.length(entries, "code of a type")?;
            codes.push(code.checked_sub(1).map(|code| code as u32));
        }
        let length = cursor.length(count, "exceptions")?;
        let mut exceptions = Vec::with_capacity(length.min(cursor.remaining() / 2));
        let mut next = 0;
        for _ in 0..length {
            let rank = next + cursor.length(count, "values before an exception")?;
            let code = cursor.length(entries, "code of an exception")?;
            if rank >= count || code >= entries {
                return Err(cursor.error(format!("value {rank} of {count}, code {code}")));
            }
            exceptions.push((rank as u32, code as u32));
            next = rank + 1;
        }
        Ok(ByType { codes, exceptions })
    }

    /// The codes of some values, each given by rank and type; ranks ascend.
    pub(crate) fn codes(
        &self,
        cursor: &Cursor<'_>,
        values: impl Iterator<Item = (u32, u32)>,
    ) -> Result<Vec<u32>> {
        let mut found = Vec::with_capacity(values.size_hint().0);
        let mut exceptions = self.exceptions.iter().peekable();
        for (rank, event_type) in values {
            while exceptions.next_if(|exception| exception.0 < rank).is_some() {}
            let own = exceptions.next_if(|exception| exception.0 == rank).map(|own| own.1);
            let code = own.or_else(|| self.codes.get(event_type as usize).copied().flatten());
            let missing = || cursor.error(format!("value {rank} is of a type without a code"));
            found.push(code.ok_or_else(missing)?);
        }
        Ok(found)
    }

    /// The codes of all values, checked as those that are stored each are; `types` says the type of
    /// each value.
    pub(crate) fn all_codes(
        &self,
        cursor: &Cursor<'_>,
        entries: usize,
        types: impl Iterator<Item = u32>,
    ) -> Result<Vec<u32>> {
        let found = self.codes(cursor, (0..).zip(types))?;
        codes::check_order(cursor, found.iter().copied(), entries)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of ten types, two thirds of which have a value.
    fn types() -> (Vec<u16>, Vec<u16>) {
        let types: Vec<u16> = (0..3_000).map(|row| row * 7 % 11 % 10).collect();
        let rows = (0..3_000).filter(|row| row % 3 != 0 && types[usize::from(*row)] != 4).collect();
        (types, rows)
    }

    /// As codes must be: in order of first appearance.
    fn in_order(values: impl Iterator<Item = u16>) -> (Vec<u16>, usize) {
        let mut known = Vec::new();
        let codes = values.map(|value| {
            known.iter().position(|other| *other == value).unwrap_or_else(|| {
                known.push(value);
                known.len() - 1
            }) as u16
        });
        let codes = codes.collect();
        (codes, known.len())
    }

    #[test]
    fn codes_that_follow_from_types_lead_back_with_their_exceptions() {
        let (types, rows) = types();
        for every in [usize::MAX, 500, 100] {
            let value = |(rank, row): (usize, &u16)| match rank % every {
                77 => 9,
                _ => types[usize::from(*row)] / 2,
            };
            let (codes, entries) = in_order(rows.iter().enumerate().map(value));
            let of = TypesOf { types: &types, entries: 10, rows: &rows };
            let mut out = Vec::new();
            assert!(encode(&codes, entries, of, &mut out), "one in {every}");
            assert!(out.len() < 100, "{} bytes", out.len());
            let mut cursor = Cursor::new(&out);
            let read = ByType::read(&mut cursor, 10, entries, codes.len()).unwrap();
            let type_of = |row: &u16| u32::from(types[usize::from(*row)]);
            let all = read.all_codes(&cursor, entries, rows.iter().map(type_of)).unwrap();
            assert!(all.iter().copied().eq(codes.iter().map(|&code| u32::from(code))));
            let some = (0..rows.len()).step_by(77).map(|rank| (rank as u32, type_of(&rows[rank])));
            let some = read.codes(&cursor, some).unwrap();
            assert!(some.iter().copied().eq(all.iter().copied().step_by(77)));
            cursor.finish().unwrap();
            for cut in 0..out.len() {
                ByType::read(&mut Cursor::new(&out[..cut]), 10, entries, codes.len()).unwrap_err();
            }
        }
    }

    #[test]
    fn codes_that_do_not_follow_or_would_not_repay_are_left_alone() {
        let (types, rows) = types();
        let of = TypesOf { types: &types, entries: 10, rows: &rows };
        let mut out = Vec::new();
        let (codes, entries) = in_order(rows.iter().map(|row| row % 13));
        assert!(!encode(&codes, entries, of, &mut out));
        assert!(!encode(&vec![0; rows.len()], 1, of, &mut out), "one value for all");
        let (codes, entries) = in_order(rows.iter().map(|row| types[usize::from(*row)]));
        assert!(!encode(&codes, entries, TypesOf { entries: 1_000, ..of }, &mut out));
        assert!(out.is_empty());
    }

    #[test]
    fn codes_beyond_the_entries_and_types_without_a_code_are_refused() {
        let read = |bytes: &[u8]| ByType::read(&mut Cursor::new(bytes), 2, 3, 4);
        read(&[1, 3, 1, 3, 2]).unwrap();
        for wrong in [&[1, 4, 0][..], &[1, 3, 1, 4, 0], &[1, 3, 1, 0, 3], &[1, 3, 5]] {
            read(wrong).unwrap_err();
        }
        let cursor = Cursor::new(&[]);
        let by_type = read(&[1, 0, 0]).unwrap();
        by_type.codes(&cursor, [(0, 0)].into_iter()).unwrap();
        by_type.codes(&cursor, [(0, 1)].into_iter()).unwrap_err();
        by_type.codes(&cursor, [(0, 2)].into_iter()).unwrap_err();
        let all = read(&[3, 1, 0]).unwrap();
        all.all_codes(&cursor, 3, [0, 1].into_iter()).unwrap_err();
    }
}

//! Ids of 8 and 16 bytes: random, so their bytes cannot shrink, but their repeats can.
//!
//! | encoding | body | tail |
//! |---|---|---|
//! | dictionary | codes | the entries |
//! | plain | | the id of each row |
//! | reference | the distances: encoding, tail's length, body | their tail, then ids |
//!
//! A reference is for parent span ids only: most parents are spans of the same batch. The distance of
//! a row is its number minus that of a row whose span id is the parent's; 0 says that the id itself
//! is in the tail. The encoding takes one byte, the length is a varint.

use hashbrown::HashTable;

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::{Encoding, Stored, codes, integers};
use crate::error::{Error, Result};

/// Most bytes that one more row can add beside a new entry.
pub(crate) const ROW_BYTES_MAX: usize = 2;
/// Most bytes that one more reference to a row can add.
pub(crate) const REFERENCE_BYTES_MAX: usize = integers::VALUE_BYTES_MAX;

/// Appends body and tail for distinct ids, in order of first appearance, and a code per row.
pub(crate) fn encode<const N: usize>(
    entries: &[[u8; N]],
    row_codes: &[u16],
    body: &mut Vec<u8>,
    tail: &mut Vec<u8>,
) -> Encoding {
    tail.extend_from_slice(entries.as_flattened());
    if entries.len() == row_codes.len() {
        return Encoding::IdPlain;
    }
    codes::encode(row_codes, entries.len(), body);
    Encoding::IdDictionary
}

/// Reads `count` rows: values, and a code per row.
pub(crate) fn decode<const N: usize>(
    stored: Stored<'_>,
    count: usize,
    values: &mut Vec<[u8; N]>,
    row_codes: &mut Vec<u32>,
) -> Result<()> {
    values.clear();
    row_codes.clear();
    let mut cursor = Cursor::new(stored.body);
    take_ids(stored.tail, values)?;
    match stored.encoding {
        Encoding::IdDictionary => codes::decode(&mut cursor, count, values.len(), row_codes)?,
        Encoding::IdPlain if values.len() == count => row_codes.extend(0..count as u32),
        Encoding::IdPlain => {
            return Err(Error::invalid(format!("{} ids where {count} are due", values.len())));
        }
        other => return Err(Error::invalid(format!("ids in encoding {}", other.name()))),
    }
    cursor.finish()
}

fn take_ids<const N: usize>(tail: &[u8], values: &mut Vec<[u8; N]>) -> Result<()> {
    let (ids, rest) = tail.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(Error::invalid(format!("{} bytes of ids of {N} bytes", tail.len())));
    }
    if let Some(zero) = ids.iter().position(|id| *id == [0; N]) {
        return Err(Error::invalid(format!("id {zero} is all zero")));
    }
    values.extend_from_slice(ids);
    Ok(())
}

/// Ids and the rows that have them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdsByRow<'a> {
    pub(crate) ids: &'a [[u8; 8]],
    pub(crate) rows: &'a [u16],
}

/// Tables and buffers for references, used again for each batch.
#[derive(Debug, Default)]
pub(crate) struct ReferenceScratch {
    spans: HashTable<([u8; 8], u16)>,
    distances: Vec<i64>,
    misfits: Vec<[u8; 8]>,
}

/// Appends parents as references to spans, or plain if most parents are elsewhere.
pub(crate) fn encode_references(
    parents: IdsByRow<'_>,
    spans: IdsByRow<'_>,
    scratch: &mut ReferenceScratch,
    body: &mut Vec<u8>,
    tail: &mut Vec<u8>,
) -> Encoding {
    let ReferenceScratch { spans: table, distances, misfits } = scratch;
    let hash = |id: [u8; 8]| u64::from_le_bytes(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    table.clear();
    table.reserve(spans.ids.len(), |span| hash(span.0));
    for (&id, &row) in spans.ids.iter().zip(spans.rows) {
        // The first row of an id that repeats, lest hostile repeats fill one bucket.
        let entry = table.entry(hash(id), |span| span.0 == id, |span| hash(span.0));
        entry.or_insert((id, row));
    }
    distances.clear();
    misfits.clear();
    let mut last = None;
    for (&id, &row) in parents.ids.iter().zip(parents.rows) {
        let target = match last {
            Some((before, target)) if before == id => target,
            _ => table.find(hash(id), |span| span.0 == id).map(|span| span.1),
        };
        last = Some((id, target));
        let distance = target.map_or(0, |target| i64::from(row) - i64::from(target));
        if distance == 0 {
            misfits.push(id);
        }
        distances.push(distance);
    }
    if misfits.len() * 4 > parents.ids.len() * 3 {
        tail.extend_from_slice(parents.ids.as_flattened());
        return Encoding::IdPlain;
    }
    let (start, tail_start) = (body.len(), tail.len());
    let encoding = integers::encode(distances, None, body, tail);
    // What describes the distances goes in front of them.
    let mut head = vec![encoding as u8];
    put_varint(&mut head, (tail.len() - tail_start) as u64);
    body.splice(start..start, head);
    tail.extend_from_slice(misfits.as_flattened());
    Encoding::IdReference
}

/// Reads the parents of `rows`; `span_of` says the span id of a row.
pub(crate) fn decode_references(
    stored: Stored<'_>,
    rows: impl Iterator<Item = usize>,
    count: usize,
    span_of: impl Fn(usize) -> Option<[u8; 8]>,
    values: &mut Vec<[u8; 8]>,
) -> Result<()> {
    let (distances, misfits) = decode_distances(stored, count)?;
    let mut misfit_ids = Vec::new();
    take_ids::<8>(misfits, &mut misfit_ids)?;
    let mut misfits = misfit_ids.into_iter();
    values.clear();
    values.reserve(count);
    for (row, distance) in rows.zip(distances) {
        let id = match distance {
            0 => misfits.next(),
            _ => (row as i64)
                .checked_sub(distance)
                .and_then(|target| usize::try_from(target).ok())
                .and_then(&span_of),
        };
        values.push(id.ok_or_else(|| {
            Error::invalid(format!("row {row} refers to no span, by distance {distance}"))
        })?);
    }
    match misfits.next() {
        None => Ok(()),
        Some(_) => Err(Error::invalid("ids are left over that no row refers to")),
    }
}

/// The distances, and the bytes of ids that stand for themselves.
pub(super) fn decode_distances(stored: Stored<'_>, count: usize) -> Result<(Vec<i64>, &[u8])> {
    let mut cursor = Cursor::new(stored.body);
    let encoding = Encoding::from_code(cursor.u8()?)
        .ok_or_else(|| cursor.error("distances in an unknown encoding"))?;
    let tail_bytes = cursor.length(stored.tail.len(), "tail of the distances")?;
    let body = cursor.take(cursor.remaining())?;
    let (tail, misfits) = stored.tail.split_at(tail_bytes);
    let mut distances = Vec::new();
    integers::decode(Stored { encoding, body, tail }, count, &mut distances)?;
    Ok((distances, misfits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_lead_back_whether_they_are_in_the_batch_or_not() {
        let id = |n: usize| (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        let span_rows: Vec<u16> = (0..500).filter(|row| row % 10 != 9).collect();
        let spans: Vec<[u8; 8]> = span_rows.iter().map(|&row| id(usize::from(row))).collect();
        let parent_rows: Vec<u16> = (0..500).filter(|row| row % 7 != 0).collect();
        // Some are outside, some behind, some their own parent, some of a row without a span id.
        let parent = |row: usize| match row % 20 {
            3 => id(10_000 + row),
            4 => id((row + 2) % 500),
            6 => id(row),
            _ => id(row / 3),
        };
        let parents: Vec<[u8; 8]> = parent_rows.iter().map(|&r| parent(usize::from(r))).collect();
        let (mut body, mut tail) = (Vec::new(), Vec::new());
        let encoding = encode_references(
            IdsByRow { ids: &parents, rows: &parent_rows },
            IdsByRow { ids: &spans, rows: &span_rows },
            &mut ReferenceScratch::default(),
            &mut body,
            &mut tail,
        );
        assert_eq!(encoding, Encoding::IdReference);
        assert!(body.len() + tail.len() < parents.len() * 4);
        let span_of = |row: usize| (row < 500 && row % 10 != 9).then(|| id(row));
        let read = |body: &[u8], tail: &[u8]| {
            let mut values = Vec::new();
            let stored = Stored { encoding, body, tail };
            let rows = parent_rows.iter().map(|&row| usize::from(row));
            decode_references(stored, rows, parents.len(), span_of, &mut values).map(|()| values)
        };
        assert_eq!(read(&body, &tail).unwrap(), parents);
        assert!(read(&body, &tail[..tail.len() - 8]).is_err());
        assert!(read(&body, &[tail.as_slice(), &[1; 8]].concat()).is_err());
        assert!(read(&body[..body.len() - 1], &tail).is_err());
        assert!(read(&[], &tail).is_err());
    }

    #[test]
    fn parents_that_are_mostly_elsewhere_stay_plain() {
        let rows = [0, 1, 2, 3];
        let parents = [[1; 8], [2; 8], [3; 8], [4; 8]];
        let (mut body, mut tail) = (Vec::new(), Vec::new());
        let encoding = encode_references(
            IdsByRow { ids: &parents, rows: &rows },
            IdsByRow { ids: &[], rows: &[] },
            &mut ReferenceScratch::default(),
            &mut body,
            &mut tail,
        );
        assert_eq!(encoding, Encoding::IdPlain);
        let (mut values, mut codes) = (Vec::new(), Vec::new());
        let stored = Stored { encoding, body: &body, tail: &tail };
        decode::<8>(stored, 4, &mut values, &mut codes).unwrap();
        assert_eq!((values, codes), (parents.to_vec(), vec![0, 1, 2, 3]));
        assert!(decode::<8>(stored, 5, &mut Vec::new(), &mut Vec::new()).is_err());
    }

    #[test]
    fn ids_of_zeroes_are_refused() {
        let stored = Stored { encoding: Encoding::IdPlain, body: &[], tail: &[0; 16] };
        assert!(decode::<16>(stored, 1, &mut Vec::new(), &mut Vec::new()).is_err());
    }
}

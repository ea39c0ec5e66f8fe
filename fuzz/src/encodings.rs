//! One column in one encoding, without the checksums, compression and counts around it.
//!
//! An input is a code of an encoding, a number of values, the length of the tail, tail and body.
//! Every decoder is asked: those of other encodings refuse. What one takes has as many values as were
//! asked for, and leads back to them when it is encoded anew. Whichever of its values are picked are
//! those of the whole; of a column that is refused, whoever picks gets values or an error. A code
//! that is none stands for a presence and for codes by type; the tail's length is that of entries.

use annal::column::{
    Encoded, Ids, Kernels, Texts, decode_by_type, decode_presence, encode_by_type, encode_presence,
    pick_by_type,
};
use annal::limits;

/// Most values of a column: rows of a table.
const COUNT_MAX: usize = 65_536;
/// Code of the encoding of texts as templates.
const TEMPLATES: u8 = 19;
/// Code of the encoding of parents, the last one there is.
const PARENTS: u8 = 26;

/// The input that stands for an encoded column.
pub fn pack_encoded(encoded: &Encoded, count: u16) -> Vec<u8> {
    let tail_length = encoded.tail.len() as u16;
    let head = [&[encoded.encoding], &count.to_le_bytes()[..], &tail_length.to_le_bytes()];
    [head.concat().as_slice(), &encoded.tail, &encoded.body].concat()
}

/// Span ids for parents to refer to.
pub fn spans(count: usize) -> Vec<[u8; 8]> {
    (1..=count as u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect()
}

/// Ranks to pick: none, the last, some here and there, all.
fn picks(count: usize) -> [Vec<u32>; 4] {
    let all = 0..count as u32;
    let some = all.clone().filter(|rank| rank % 37 == 5 || rank % 256 == 0);
    [Vec::new(), all.clone().last().into_iter().collect(), some.collect(), all.collect()]
}

/// Holds what is picked against the whole, if that could be read.
fn pick<T: PartialEq + std::fmt::Debug>(
    count: usize,
    whole: Option<&[T]>,
    pick: impl Fn(&[u32]) -> annal::Result<Vec<T>>,
) {
    for ranks in picks(count) {
        let picked = pick(&ranks);
        let Some(whole) = whole else { continue };
        let picked = picked.expect("a part of what decodes");
        assert_eq!(picked.len(), ranks.len());
        assert!(ranks.iter().zip(&picked).all(|(&rank, value)| whole[rank as usize] == *value));
    }
}

/// Decodes the bytes in every way; encodes what came out, and decodes that.
pub fn encodings(data: &[u8]) {
    let Some((&[encoding], rest)) = data.split_first_chunk() else { return };
    let Some((count, rest)) = rest.split_first_chunk() else { return };
    let Some((tail_length, rest)) = rest.split_first_chunk() else { return };
    let count = usize::from(u16::from_le_bytes(*count));
    let tail_length = usize::from(u16::from_le_bytes(*tail_length));
    let Some((tail, body)) = rest.split_at_checked(tail_length) else { return };
    let encoded = Encoded { encoding, body: body.to_vec(), tail: tail.to_vec() };
    integers(&encoded, count);
    texts(&encoded, count);
    ids::<8>(&encoded, count);
    ids::<16>(&encoded, count);
    parents(&encoded, count);
    if encoding > PARENTS {
        presence(body, count);
        by_type(body, count, tail_length);
    }
}

/// Holds which values lie in a range, as the encoded form says it, against the values, if they could
/// be read.
fn select(encoded: &Encoded, count: usize, values: Option<&[i64]>) {
    let middle = values.and_then(|values| values.get(count / 2)).copied().unwrap_or(3);
    let ranges = [(i64::MIN, i64::MAX), (0, middle), (middle, i64::MAX), (middle, middle), (1, 0)];
    for range in ranges {
        let words = encoded.integers_between(count, range, Kernels::default());
        let Some(values) = values else { continue };
        let words = words.expect("what decodes can be compared");
        assert_eq!(words, Kernels::plain().between(values, range.0, range.1));
    }
}

fn integers(encoded: &Encoded, count: usize) {
    let values = encoded.read_integers(count);
    pick(count, values.as_deref().ok(), |ranks| encoded.pick_integers(count, ranks));
    select(encoded, count, values.as_deref().ok());
    let Ok(values) = values else { return };
    assert_eq!(values.len(), count);
    assert!(values.capacity() <= 2 * COUNT_MAX);
    if count > 0 {
        let again = Encoded::integers(&values).read_integers(count);
        assert_eq!(again.expect("what was encoded decodes"), values);
    }
}

fn texts(encoded: &Encoded, count: usize) {
    let rows = |texts: &Texts, count: usize| -> Vec<Option<Vec<u8>>> {
        (0..count).map(|row| texts.row(row).map(<[u8]>::to_vec)).collect()
    };
    let values = encoded.read_texts(count);
    let whole = values.as_ref().ok().map(|values| rows(values, count));
    pick(count, whole.as_deref(), |ranks| {
        encoded.pick_texts(count, ranks).map(|texts| rows(&texts, ranks.len()))
    });
    let Ok(values) = values else { return };
    assert_eq!(values.codes.len(), count);
    assert!(values.offsets.len() <= count + 1);
    let most = match encoded.encoding {
        TEMPLATES => limits::BATCH_RAW_BYTES_MAX,
        _ => encoded.body.len(),
    };
    assert!(values.bytes.len() <= most);
    if count > 0 {
        let again = Encoded::texts(&values).read_texts(count).expect("what was encoded decodes");
        assert_eq!(rows(&again, count), rows(&values, count));
        let in_block = Encoded::texts_in_block(&values).read_texts(count);
        let in_block = in_block.expect("what was encoded decodes");
        assert_eq!(rows(&in_block, count), rows(&values, count));
    }
}

fn ids<const N: usize>(encoded: &Encoded, count: usize) {
    let rows =
        |ids: &Ids<N>| -> Vec<Option<[u8; N]>> { (0..count).map(|row| ids.row(row)).collect() };
    let values = encoded.read_ids::<N>(count);
    let whole = values.as_ref().ok().map(rows);
    pick(count, whole.as_deref(), |ranks| {
        encoded.pick_ids(count, ranks).map(|ids| ids.into_iter().map(Some).collect())
    });
    let Ok(values) = values else { return };
    assert_eq!(values.codes.len(), count);
    assert!(values.values.len() * N <= encoded.tail.len());
    if count > 0 {
        let again = Encoded::ids(&values).read_ids(count).expect("what was encoded decodes");
        assert_eq!(rows(&again), rows(&values));
    }
}

fn parents(encoded: &Encoded, count: usize) {
    if encoded.encoding != PARENTS {
        return;
    }
    let spans = spans(count);
    let values = encoded.read_parents(count, &spans);
    pick(count, values.as_deref().ok(), |ranks| encoded.pick_parents(count, ranks, &spans));
    let Ok(values) = values else { return };
    assert_eq!(values.len(), count);
    if count > 0 {
        let again = Encoded::parents(&values, &spans).read_parents(count, &spans);
        assert_eq!(again.expect("what was encoded decodes"), values);
    }
}

/// Ten types of so many events, of which all but each third have a value.
pub fn types(events: usize) -> (Vec<u16>, Vec<u16>) {
    let types = (0..events).map(|row| (row * 7 % 11 % 10) as u16).collect();
    let rows = (0..events).filter(|row| row % 3 != 0).map(|row| row as u16).collect();
    (types, rows)
}

fn by_type(bytes: &[u8], events: usize, entries: usize) {
    let (types, rows) = types(events);
    let own: Vec<u16> = rows.iter().map(|row| types[usize::from(*row)]).collect();
    let codes = decode_by_type(bytes, entries, (&own, 10));
    pick(rows.len(), codes.as_deref().ok(), |ranks| {
        pick_by_type(bytes, entries, (&own, 10), ranks)
    });
    let Ok(codes) = codes else { return };
    assert_eq!(codes.len(), rows.len());
    let narrow: Vec<u16> = codes.iter().map(|code| *code as u16).collect();
    if let Some(again) = encode_by_type((&narrow, entries), &rows, (&types, 10)) {
        let again = decode_by_type(&again, entries, (&own, 10));
        assert_eq!(again.expect("what was encoded decodes"), codes);
    }
}

fn presence(bytes: &[u8], rows_all: usize) {
    let Ok(bitmap) = decode_presence(bytes, rows_all) else { return };
    assert_eq!((bitmap.rows, bitmap.words.len()), (rows_all, rows_all.div_ceil(64)));
    let rows: Vec<u16> = bitmap.ones().map(|row| row as u16).collect();
    let again = encode_presence(&rows, rows_all);
    assert!(again.len() <= 1 + rows_all.div_ceil(8).max(4 + 3 * rows.len()));
    let again = decode_presence(&again, rows_all).expect("what was encoded decodes");
    assert_eq!(again.words, bitmap.words);
}

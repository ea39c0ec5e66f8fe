use super::*;
use crate::column::encoding::texts::{self, InBlock};

/// Distinct texts, one after another.
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    codes: Vec<u16>,
}

impl Texts {
    /// Each text is that of one row, and then of `again` rows more.
    fn new(values: impl IntoIterator<Item = String>, again: usize) -> Texts {
        let mut texts = Texts { bytes: Vec::new(), ends: Vec::new(), codes: Vec::new() };
        for value in values {
            texts.codes.push(texts.ends.len() as u16);
            texts.bytes.extend_from_slice(value.as_bytes());
            texts.ends.push(texts.bytes.len() as u32);
        }
        let entries = texts.ends.len();
        texts.codes.extend((0..entries * again).map(|row| (row * 7 % entries) as u16));
        texts
    }

    fn source(&self) -> Source<'_> {
        Source { bytes: &self.bytes, ends: &self.ends, codes: &self.codes }
    }

    fn row(&self, row: usize) -> &[u8] {
        let code = usize::from(self.codes[row]);
        let start = code.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[code] as usize]
    }

    fn encode(&self) -> (Encoding, Vec<u8>, Vec<u8>) {
        let (mut body, mut tail) = (Vec::new(), Vec::new());
        let in_block = InBlock { types: None, templates: true };
        let encoding = texts::encode(self.source(), Some(in_block), &mut body, &mut tail);
        (encoding, body, tail)
    }
}

fn noise(i: u64) -> u64 {
    (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn statements(count: u64) -> impl Iterator<Item = String> {
    let tables = ["orders", "Größe", "t_2"];
    (0..count).map(move |i| {
        let table = tables[noise(i) as usize % tables.len()];
        let (id, region) = (noise(i) % 100_000, noise(i + 7) % 8);
        format!("SELECT id FROM {table} WHERE id = {id} AND region = 'r{region}' LIMIT 50 -- {i}")
    })
}

/// Holds what is read, whole and picked, against what was written.
fn assert_leads_back(texts: &Texts, expected: Encoding) {
    let (encoding, body, tail) = texts.encode();
    assert_eq!(encoding, expected);
    let stored = Stored { encoding, body: &body, tail: &tail };
    let count = texts.codes.len();
    let mut whole = Decoded::default();
    texts::decode(stored, count, &mut whole).unwrap();
    assert!((0..count).all(|row| whole.row(row) == Some(texts.row(row))));
    let every: Vec<u32> = (0..count as u32).collect();
    let some: Vec<u32> = every.iter().copied().filter(|rank| rank % 37 == 5).collect();
    let last = vec![count as u32 - 1];
    for ranks in [Vec::new(), last, some, every] {
        let picked = pick::texts(stored, count, &ranks).unwrap();
        assert_eq!(picked.codes.len(), ranks.len());
        for (at, &rank) in ranks.iter().enumerate() {
            assert_eq!(picked.row(at), Some(texts.row(rank as usize)), "rank {rank}");
        }
        if encoding == Encoding::TextTemplates {
            let made = picked.offsets.len() - 1;
            assert!(made <= ranks.len(), "{made} texts made for {} ranks", ranks.len());
        }
    }
}

#[test]
fn texts_lead_back_from_their_templates_whole_and_picked() {
    for again in [0, 3] {
        assert_leads_back(&Texts::new(statements(1_000), again), Encoding::TextTemplates);
        let users = (0..700).map(|i| format!("user-{:05}", i * 111));
        assert_leads_back(&Texts::new(users, again), Encoding::TextTemplates);
        let addresses = (0..400).map(|i| format!("10.0.{}.{}", i / 200, i % 200));
        assert_leads_back(&Texts::new(addresses, again), Encoding::TextTemplates);
        let bare = (0..4_000).map(|i| (i * 1_000_003_u64).to_string());
        assert_leads_back(&Texts::new(bare, again), Encoding::TextTemplates);
    }
}

#[test]
fn numbers_at_the_edges_lead_back_digit_by_digit() {
    let edges = ["0", "00", "000", "007", "10", "9", "08"].map(String::from);
    let long = ["1", "9"].map(|digit| digit.repeat(DIGITS_MAX));
    let words = ["1", "9"].map(|digit| digit.repeat(DIGITS_MAX + 1));
    let padded = format!("{}7", "0".repeat(DIGITS_MAX - 1));
    let numbers: Vec<String> = edges.into_iter().chain(long).chain(words).chain([padded]).collect();
    let text = |i: usize| {
        let number = &numbers[i % numbers.len()];
        format!("{number} of a text that is long enough to repay what its template takes, {i}")
    };
    assert_leads_back(&Texts::new((0..1_200).map(text), 1), Encoding::TextTemplates);
}

#[test]
fn what_is_made_of_templates_takes_a_fraction() {
    let texts = Texts::new(statements(2_000), 0);
    let (_, body, tail) = texts.encode();
    // Two numbers of 17 and 3 bits, one of two templates in eleven, and a counter.
    let bytes = body.len() + tail.len();
    assert!(bytes < 2_000 * 7, "{bytes} of {}", texts.bytes.len());
}

#[test]
fn what_is_not_made_of_few_templates_stays_as_it_is() {
    let hex = (0..500).map(|i| format!("{:016x}", noise(i).wrapping_mul(noise(i + 1))));
    assert_leads_back(&Texts::new(hex, 0), Encoding::TextPlain);
    let few = (0..TEXTS_MIN as u64 - 1).map(|i| format!("a statement about number {i}"));
    assert_leads_back(&Texts::new(few, 1), Encoding::TextDictionary);
    let names = (0..600).map(|i| "abcdefgh".repeat(1 + i % 7) + &"x".repeat(i));
    assert_leads_back(&Texts::new(names, 1), Encoding::TextDictionary);
    let many = |i: usize| "1 ".repeat(NUMBERS_MAX + 1) + &i.to_string();
    assert_leads_back(&Texts::new((0..600).map(many), 1), Encoding::TextDictionary);
}

#[test]
fn damaged_templates_are_refused_or_read_as_other_texts() {
    let texts = Texts::new(statements(200), 1);
    let (encoding, body, tail) = texts.encode();
    let count = texts.codes.len();
    let read = |body: &[u8], tail: &[u8]| {
        let stored = Stored { encoding, body, tail };
        let _any_or_none = pick::texts(stored, count, &[0, 7, 399]);
        texts::decode(stored, count, &mut Decoded::default())
    };
    for cut in 0..body.len() {
        read(&body[..cut], &tail).unwrap_err();
    }
    for cut in 0..tail.len() {
        read(&body, &tail[..cut]).unwrap_err();
    }
    for at in 0..body.len() {
        for bit in 0..8 {
            let mut body = body.clone();
            body[at] ^= 1 << bit;
            let _any_or_none = read(&body, &tail);
        }
    }
}

/// One template of these words and numbers, each of which has one value for `texts` texts.
fn constant(texts: u64, words: &[&[u8]], numbers: &[(u8, u64)]) -> Vec<u8> {
    let mut body = Vec::new();
    [texts, 1, numbers.len() as u64].iter().for_each(|&n| put_varint(&mut body, n));
    body.extend(numbers.iter().map(|number| number.0));
    words.iter().for_each(|words| put_varint(&mut body, words.len() as u64));
    words.iter().for_each(|words| body.extend_from_slice(words));
    for (_, value) in numbers {
        body.push(Encoding::Constant as u8);
        let mut own = Vec::new();
        put_varint(&mut own, *value);
        [own.len() as u64, 0].iter().for_each(|&n| put_varint(&mut body, n));
        body.extend_from_slice(&own);
    }
    body
}

fn read(body: &[u8], count: usize) -> Result<Vec<u8>> {
    let stored = Stored { encoding: Encoding::TextTemplates, body, tail: &[] };
    let picked = pick::texts(stored, count, &[0]).map(drop);
    let mut decoded = Decoded::default();
    let whole = texts::decode(stored, count, &mut decoded);
    assert!(whole.is_err() || picked.is_ok(), "a part of what decodes");
    whole.map(|()| decoded.value(0).unwrap_or_default().to_vec())
}

#[test]
fn numbers_that_no_text_has_are_refused() {
    // Twice the value: zigzag.
    assert_eq!(read(&constant(1, &[b"a", b"b"], &[(0, 24)]), 1).unwrap(), b"a12b");
    assert_eq!(read(&constant(1, &[b"", b""], &[(3, 24)]), 1).unwrap(), b"012");
    let refused = |numbers: &[(u8, u64)], words: &[&[u8]]| {
        read(&constant(1, words, numbers), 1).unwrap_err().to_string()
    };
    let words: [&[u8]; 2] = [b"a", b"b"];
    for (digits, value) in [(2, 24), (3, 200), (0, 1), (18, 2 * 10_u64.pow(17))] {
        let error = refused(&[(digits, value)], &words);
        assert!(error.contains("as a number of"), "{error}");
    }
    for digits in [1, 19, 255] {
        let error = refused(&[(digits, 0)], &words);
        assert!(error.contains("a number of one digit, or of too many"), "{error}");
    }
    let error = refused(&[(0, 2), (0, 2)], &[b"a", b"", b"b"]);
    assert!(error.contains("two numbers without a word"), "{error}");
}

#[test]
fn few_bytes_do_not_become_many() {
    let words = vec![b'w'; limits::VALUE_BYTES_MAX - DIGITS_MAX];
    let error = read(&constant(8_192, &[&words, b""], &[(0, 0)]), 8_192).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Limit, "{error}");
}

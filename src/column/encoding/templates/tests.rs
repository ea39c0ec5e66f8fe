use super::*;
use crate::column::encoding::texts::{self, Decoded, InBlock};
use crate::column::encoding::{Encoding, Stored, pick};
use crate::error::Result;

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
    let long = ["1", "9"].map(|digit| digit.repeat(DIGITS_MAX - 1));
    let last = ["1700000000000000000", "9223372036854775807"].map(String::from);
    let words = ["9223372036854775808", "9999999999999999999", "10000000000000000000"];
    let padded = [DIGITS_MAX, DIGITS_MAX + 1].map(|digits| format!("{:01$}", 7, digits));
    let numbers = edges.into_iter().chain(long).chain(last).chain(words.map(String::from));
    let numbers: Vec<String> = numbers.chain(padded).collect();
    let text = |i: usize| {
        let number = &numbers[i % numbers.len()];
        format!("{number} of a text that is long enough to repay what its template takes, {i}")
    };
    assert_leads_back(&Texts::new((0..1_600).map(text), 1), Encoding::TextTemplates);
    let all = numbers.join(" ");
    let texts = Texts::new((0..100).map(|i| format!("{all} and {i}")), 0);
    assert_leads_back(&texts, Encoding::TextTemplates);
    let mut split = Split { rest: all.as_bytes() };
    assert_eq!(split.by_ref().count(), 7 + 2 + 2 + 1, "the others are words");
}

#[test]
fn what_is_made_of_templates_takes_a_fraction() {
    let texts = Texts::new(statements(2_000), 0);
    let (_, body, tail) = texts.encode();
    // Numbers of 17 and 3 bits, a counter, and three templates.
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
    let numbers = |count: usize| move |i: usize| format!("{}{i}", "1 ".repeat(count - 1));
    let most = (0..600).map(numbers(NUMBERS_MAX));
    assert_leads_back(&Texts::new(most, 1), Encoding::TextTemplates);
    let more = (0..600).map(numbers(NUMBERS_MAX + 1));
    assert_leads_back(&Texts::new(more, 1), Encoding::TextDictionary);
    let templates = |count: usize| {
        move |i: usize| format!("a template of its own, {}, number {i}", "x".repeat(1 + i % count))
    };
    let most = (0..4_000).map(templates(TEMPLATES_MAX));
    assert_leads_back(&Texts::new(most, 1), Encoding::TextTemplates);
    let more = (0..4_000).map(templates(TEMPLATES_MAX + 1));
    assert_leads_back(&Texts::new(more, 1), Encoding::TextDictionary);
}

#[test]
fn what_templates_do_not_make_smaller_leaves_nothing_behind() {
    // Sixty bits of eighteen digits.
    let digits = 10_u64.pow(17);
    let numbers = (0..500).map(|i| (digits + noise(i) * 131_071 % (9 * digits)).to_string());
    let texts = Texts::new(numbers, 0);
    assert!(collect(texts.source()).is_some(), "there is one template");
    assert_leads_back(&texts, Encoding::TextPlain);
    let (_, _, tail) = texts.encode();
    assert!(tail.is_empty());
}

#[test]
fn damaged_templates_are_refused_or_read_as_other_texts() {
    let texts = Texts::new(statements(200), 1);
    let (encoding, body, tail) = texts.encode();
    let count = texts.codes.len();
    let read = |body: &[u8], tail: &[u8]| {
        let stored = Stored { encoding, body, tail };
        let ranks = [0, 7, 399];
        let picked = pick::texts(stored, count, &ranks);
        let mut whole = Decoded::default();
        texts::decode(stored, count, &mut whole)?;
        let picked = picked.expect("a part of what decodes");
        for (at, rank) in ranks.into_iter().enumerate() {
            assert!(whole.row(rank as usize).is_some());
            assert_eq!(picked.row(at), whole.row(rank as usize));
        }
        Ok(())
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
            let _any_or_none: Result<()> = read(&body, &tail);
        }
    }
    for at in 0..tail.len() {
        let mut tail = tail.clone();
        tail[at] ^= 1 << (at % 8);
        let _any_or_none: Result<()> = read(&body, &tail);
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
    for (digits, value) in [(2, 24), (3, 200), (0, 1), (19, 2 * 10_u64.pow(18))] {
        let error = refused(&[(digits, value)], &words);
        assert!(error.contains("as a number with"), "{error}");
    }
    for digits in [1, 20, 255] {
        let error = refused(&[(digits, 0)], &words);
        assert!(error.contains("a number of one digit, or of too many"), "{error}");
    }
    let error = refused(&[(0, 2), (0, 2)], &[b"a", b"", b"b"]);
    assert!(error.contains("two numbers without a word"), "{error}");
    let parts: [[&[u8]; 2]; 6] = [
        [b"a7", b"b"],
        [b"a", b"7b"],
        [b"a7b", b""],
        [b"", b"b00"],
        [b"a10000000000000000000", b"b"],
        [b"a", b"9223372036854775808b"],
    ];
    for words in parts {
        let error = refused(&[(0, 2)], &words);
        assert!(error.contains("has a number in its words"), "{error}");
    }
}

#[test]
fn texts_without_a_template_and_templates_without_a_text_are_refused() {
    for body in [&[2, 0][..], &[1, 0], &[0, 0], &[0, 1, 0, 1, b'a']] {
        let stored = Stored { encoding: Encoding::TextTemplates, body, tail: &[] };
        for ranks in [&[][..], &[0], &[0, 1]] {
            pick::texts(stored, 2, ranks).map(drop).unwrap_err();
        }
        read(body, 2).unwrap_err();
    }
    // Two texts of one template, then two templates that are one.
    let twice = |codes: &[u8]| [&[2, 2, 0, 1, 0, 1, b'a', b'a'], codes].concat();
    let error = read(&twice(&[0, 1]), 2).unwrap_err().to_string();
    assert!(error.contains("stands twice"), "{error}");
}

#[test]
fn texts_are_as_long_as_those_of_a_batch_and_not_longer() {
    let words = |length: usize| vec![b'w'; length];
    let read = |texts, words: &[u8]| read(&constant(texts, &[words, b""], &[(0, 0)]), 8_192);
    // A column may be as long as all of a batch: so many texts of so many bytes and a digit.
    let (texts, bytes) = (256, limits::BATCH_RAW_BYTES_MAX / 256 - 1);
    let codes = [0; 8_192];
    let fits = [constant(texts, &[&words(bytes), b""], &[(0, 0)]), codes.into()].concat();
    let error = super::tests::read(&fits, 8_192).unwrap_err().to_string();
    assert!(error.contains("entries are used"), "{error}");
    let error = read(texts, &words(bytes + 1)).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Limit, "{error}");
    for length in [limits::VALUE_BYTES_MAX, limits::VALUE_BYTES_MAX + 1] {
        let error = read(1, &words(length)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Limit, "{error}");
    }
}

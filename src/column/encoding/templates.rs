//! Texts that were made from few templates: addresses, statements, messages differ in numbers only.
//! A text is split into its words and its numbers; the words of equal texts but for the numbers are
//! stored once, the numbers as columns of integers.
//!
//! | part | form |
//! |---|---|
//! | number of texts, number of templates | varints |
//! | for each template | number of its numbers (varint), digits of each (1 byte; 0: as many as it has), lengths of the words before, between and behind them (varints) |
//! | words | of all templates |
//! | codes | the template of each text |
//! | for each number of each template | encoding (1 byte), lengths of body and tail (varints), body |
//!
//! Tails stand in the column's tail. Numbers are runs of digits as long as they can be; one that
//! begins with a zero, and is not that zero, has a fixed number of digits, and those too long for 64
//! bits are words.
//!
//! As in Rodrigues et al., "CLP: Efficient and Scalable Search on Compressed Text Logs" (OSDI 2021);
//! but numbers are columns of their own for each template, as in Wei et al., "LogGrep" (EuroSys '23).

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::codec::{Cursor, put_varint};
use crate::column::encoding::texts::{Decoded, Source};
use crate::column::encoding::{Encoding, Stored, codes, integers, pick};
use crate::error::{Error, Result};
use crate::limits;

/// Fewer texts than this do not repay what templates take.
const TEXTS_MIN: usize = 64;
/// A template stands for at least so many texts in the mean.
const TEXTS_PER_TEMPLATE: usize = 4;
/// Numbers must take so many times less than texts: zstd finds the words, too.
const GAIN_MIN: usize = 3;
/// Most templates of a column.
const TEMPLATES_MAX: usize = 256;
/// Most numbers of a template.
const NUMBERS_MAX: usize = 32;
/// Most digits of a number: any of so many fits 64 bits.
const DIGITS_MAX: usize = 18;
/// Stands for a number in a template's key. UTF-8 does not have it.
const NUMBER: u8 = 0xff;

/// A number in a text.
struct Number<'t> {
    /// The words before it.
    words: &'t [u8],
    /// How many digits it has, if it begins with a zero; else 0.
    digits: u8,
    value: i64,
}

/// Splits a text from its beginning; what is left is the words behind the last number.
struct Split<'t> {
    rest: &'t [u8],
}

impl<'t> Iterator for Split<'t> {
    type Item = Number<'t>;

    fn next(&mut self) -> Option<Number<'t>> {
        let mut from = 0;
        loop {
            let behind = self.rest.get(from..)?;
            let start = from + behind.iter().position(u8::is_ascii_digit)?;
            let run = self.rest.get(start..)?;
            let length = run.iter().take_while(|byte| byte.is_ascii_digit()).count();
            from = start + length;
            if length > DIGITS_MAX {
                continue;
            }
            let digits = run.get(..length)?;
            let value = digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
            let padded = length > 1 && digits.first() == Some(&b'0');
            let words = self.rest.get(..start)?;
            self.rest = self.rest.get(from..)?;
            return Some(Number { words, digits: if padded { length as u8 } else { 0 }, value });
        }
    }
}

/// The texts of one template, while they are collected.
struct Collected {
    /// Words, and for each number [`NUMBER`] and its digits.
    key: Vec<u8>,
    /// The values of each number.
    numbers: Vec<Vec<i64>>,
}

/// Appends the distinct texts if they were made from templates; else nothing. Codes follow.
pub(super) fn encode(source: Source<'_>, body: &mut Vec<u8>, tail: &mut Vec<u8>) -> bool {
    let too_few = source.ends.len() < TEXTS_MIN;
    let too_long = source.bytes.len() > limits::BATCH_RAW_BYTES_MAX;
    if too_few || too_long || source.bytes.contains(&NUMBER) {
        return false;
    }
    let Some((templates, of_texts)) = collect(source) else { return false };
    let (body_before, tail_before) = (body.len(), tail.len());
    put_varint(body, source.ends.len() as u64);
    put_varint(body, templates.len() as u64);
    let mut words = Vec::new();
    for template in &templates {
        put_varint(body, template.numbers.len() as u64);
        let mut parts = template.key.split(|&byte| byte == NUMBER);
        let first = parts.next().unwrap_or_default();
        let parts: Vec<(&u8, &[u8])> = parts.filter_map(<[u8]>::split_first).collect();
        body.extend(parts.iter().map(|part| part.0));
        for part in std::iter::once(first).chain(parts.into_iter().map(|part| part.1)) {
            put_varint(body, part.len() as u64);
            words.extend_from_slice(part);
        }
    }
    body.extend_from_slice(&words);
    codes::encode(&of_texts, templates.len(), body);
    let mut of_number = Vec::new();
    for values in templates.iter().flat_map(|template| &template.numbers) {
        of_number.clear();
        let start = tail.len();
        body.push(integers::encode(values, None, &mut of_number, tail) as u8);
        put_varint(body, of_number.len() as u64);
        put_varint(body, (tail.len() - start) as u64);
        body.extend_from_slice(&of_number);
    }
    let bytes = body.len() - body_before + tail.len() - tail_before;
    let repays = bytes * GAIN_MIN <= source.bytes.len();
    if !repays {
        body.truncate(body_before);
        tail.truncate(tail_before);
    }
    repays
}

/// The templates in order of first appearance, and the code of that of each text; `None` if they
/// are too many.
fn collect(source: Source<'_>) -> Option<(Vec<Collected>, Vec<u16>)> {
    let hasher = RandomState::default();
    let hash = |key: &[u8]| hasher.hash_one(key);
    let mut templates: Vec<Collected> = Vec::new();
    let mut known: HashTable<u16> = HashTable::new();
    let mut of_texts = Vec::with_capacity(source.ends.len());
    let most = TEMPLATES_MAX.min(source.ends.len() / TEXTS_PER_TEMPLATE);
    let (mut key, mut values) = (Vec::new(), Vec::new());
    let mut start = 0;
    for &end in source.ends {
        key.clear();
        values.clear();
        let mut split = Split { rest: source.bytes.get(start..end as usize)? };
        for number in split.by_ref() {
            key.extend_from_slice(number.words);
            key.extend_from_slice(&[NUMBER, number.digits]);
            values.push(number.value);
        }
        key.extend_from_slice(split.rest);
        start = end as usize;
        let is = |&code: &u16| templates.get(usize::from(code)).is_some_and(|t| t.key == key);
        let code = match known.find(hash(&key), is) {
            Some(&code) => code,
            None if templates.len() == most || values.len() > NUMBERS_MAX => return None,
            None => {
                let code = templates.len() as u16;
                let numbers = vec![Vec::new(); values.len()];
                templates.push(Collected { key: key.clone(), numbers });
                let key_of =
                    |&code: &u16| hash(templates.get(usize::from(code)).map_or(&[], |t| &t.key));
                known.insert_unique(hash(&key), code, key_of);
                code
            }
        };
        let numbers = templates.get_mut(usize::from(code)).map(|template| &mut template.numbers)?;
        numbers.iter_mut().zip(&values).for_each(|(column, value)| column.push(*value));
        of_texts.push(code);
    }
    Some((templates, of_texts))
}

/// Templates as they stand in a body, and where the numbers of each are.
pub(super) struct Templates<'a> {
    texts: usize,
    /// The template of each; `None` if there is only one.
    of_texts: Option<&'a [u8]>,
    templates: Vec<Template<'a>>,
}

struct Template<'a> {
    /// Before, between and behind the numbers.
    words: Vec<&'a [u8]>,
    numbers: Vec<Numbers<'a>>,
    /// How many texts it stands for.
    texts: usize,
}

struct Numbers<'a> {
    digits: u8,
    stored: Stored<'a>,
}

impl<'a> Templates<'a> {
    /// Reads what stands in front of the codes; gives what follows.
    pub(super) fn read(stored: Stored<'a>, count: usize) -> Result<(Templates<'a>, Cursor<'a>)> {
        let mut cursor = Cursor::new(stored.body);
        let texts = cursor.length(count, "texts")?;
        let most = cursor.length(TEMPLATES_MAX, "templates")?;
        let mut templates = Vec::with_capacity(most.min(cursor.remaining()));
        for _ in 0..most {
            let numbers = cursor.length(NUMBERS_MAX, "numbers of a template")?;
            let digits = cursor.take(numbers)?;
            if digits.iter().any(|&digits| digits == 1 || usize::from(digits) > DIGITS_MAX) {
                return Err(cursor.error("a number of one digit, or of too many"));
            }
            let length = |_| cursor.length(limits::VALUE_BYTES_MAX, "length of words");
            let lengths = (0..=numbers).map(length).collect::<Result<Vec<_>>>()?;
            if lengths.get(1..numbers).unwrap_or_default().contains(&0) {
                return Err(cursor.error("two numbers without a word between them"));
            }
            templates.push((digits, lengths));
        }
        let mut read = Templates { texts, of_texts: None, templates: Vec::with_capacity(most) };
        for (digits, lengths) in templates {
            let words = lengths.iter().map(|&length| cursor.take(length));
            let words = words.collect::<Result<Vec<_>>>()?;
            let stored = Stored { encoding: Encoding::Nothing, body: &[], tail: &[] };
            let numbers = digits.iter().map(|&digits| Numbers { digits, stored }).collect();
            read.templates.push(Template { words, numbers, texts: 0 });
        }
        read.of_texts = codes::single_bytes(&mut cursor, texts, most)?;
        match read.of_texts {
            Some(codes) => {
                let mut texts = [0; TEMPLATES_MAX];
                codes.iter().for_each(|&code| texts[usize::from(code)] += 1);
                read.templates.iter_mut().zip(texts).for_each(|(of, texts)| of.texts = texts);
            }
            None => read.templates.iter_mut().for_each(|only| only.texts = texts),
        }
        let mut tail = stored.tail;
        for numbers in read.templates.iter_mut().flat_map(|template| &mut template.numbers) {
            let code = cursor.u8()?;
            let unknown = || cursor.error(format!("numbers in encoding {code}"));
            numbers.stored.encoding = Encoding::from_code(code).ok_or_else(unknown)?;
            let body = cursor.length(cursor.remaining(), "bytes of numbers")?;
            let own = cursor.length(tail.len(), "bytes of numbers")?;
            numbers.stored.body = cursor.take(body)?;
            (numbers.stored.tail, tail) = tail.split_at(own);
        }
        if !tail.is_empty() {
            return Err(Error::invalid(format!("{} bytes behind the last number", tail.len())));
        }
        Ok((read, cursor))
    }

    /// How many texts there are.
    pub(super) fn texts(&self) -> usize {
        self.texts
    }

    /// All texts, in their order; `cursor` is where they were read.
    pub(super) fn all(&self, cursor: &Cursor<'_>, out: &mut Decoded<'a>) -> Result<()> {
        let values = |numbers: &Numbers<'_>, texts| {
            let mut values = Vec::new();
            integers::decode(numbers.stored, texts, &mut values)?;
            Ok(values)
        };
        let of_template = |template: &Template<'_>| {
            let each = template.numbers.iter().map(|numbers| values(numbers, template.texts));
            each.collect::<Result<Vec<_>>>()
        };
        let numbers = self.templates.iter().map(of_template).collect::<Result<Vec<_>>>()?;
        match self.of_texts {
            Some(of_texts) => {
                let each = of_texts.iter().copied();
                codes::check_order(cursor, each.clone().map(u32::from), self.templates.len())?;
                self.write(each, &numbers, out)
            }
            None => self.write(std::iter::repeat_n(0, self.texts), &numbers, out),
        }
    }

    /// The texts of these codes, which ascend and are below their number.
    pub(super) fn some(&self, wanted: &[u32], out: &mut Decoded<'a>) -> Result<()> {
        let (of_texts, ranks) = self.ranks(wanted);
        let of_template = |(template, ranks): (&Template<'_>, &Vec<u32>)| {
            let pick = |of: &Numbers<'_>| match ranks.is_empty() {
                true => Ok(Vec::new()),
                false => pick::integers(of.stored, template.texts, ranks),
            };
            template.numbers.iter().map(pick).collect::<Result<Vec<_>>>()
        };
        let numbers = self.templates.iter().zip(&ranks).map(of_template);
        let numbers = numbers.collect::<Result<Vec<_>>>()?;
        self.write(of_texts.into_iter(), &numbers, out)
    }

    /// The template of each of some texts, and by template which of its texts they are.
    fn ranks(&self, wanted: &[u32]) -> (Vec<u8>, Vec<Vec<u32>>) {
        let Some(codes) = self.of_texts else {
            return (vec![0; wanted.len()], vec![wanted.to_vec()]);
        };
        let mut ranks = vec![Vec::new(); self.templates.len()];
        let mut before = [0; TEMPLATES_MAX];
        let mut of_texts = Vec::with_capacity(wanted.len());
        let mut next = 0;
        for &text in wanted {
            let skipped = codes.get(next..text as usize).unwrap_or_default();
            skipped.iter().for_each(|&code| before[usize::from(code)] += 1);
            next = text as usize;
            let code = codes.get(next).copied().unwrap_or(0);
            if let Some(ranks) = ranks.get_mut(usize::from(code)) {
                ranks.push(before[usize::from(code)]);
            }
            of_texts.push(code);
        }
        (of_texts, ranks)
    }

    /// Puts texts of these templates together; `numbers` has theirs, by template and place.
    fn write(
        &self,
        of_texts: impl Iterator<Item = u8> + Clone,
        numbers: &[Vec<Vec<i64>>],
        out: &mut Decoded<'a>,
    ) -> Result<()> {
        for (template, numbers) in self.templates.iter().zip(numbers) {
            for (of, values) in template.numbers.iter().zip(numbers) {
                of.check(values)?;
            }
        }
        let longest = |template: &Template<'_>| {
            let words: usize = template.words.iter().map(|words| words.len()).sum();
            words + template.numbers.len() * DIGITS_MAX
        };
        let longest: Vec<usize> = self.templates.iter().map(longest).collect();
        let most =
            of_texts.clone().filter_map(|code| longest.get(usize::from(code))).sum::<usize>();
        let mut bytes = Vec::with_capacity(most.min(limits::BATCH_RAW_BYTES_MAX));
        let mut next = vec![0; self.templates.len()];
        out.offsets.clear();
        out.offsets.push(0);
        for code in of_texts {
            let template =
                self.templates.get(usize::from(code)).zip(next.get_mut(usize::from(code)));
            let Some(((template, at), numbers)) = template.zip(numbers.get(usize::from(code)))
            else {
                continue;
            };
            let mut words = template.words.iter();
            bytes.extend_from_slice(words.next().copied().unwrap_or_default());
            for ((of, values), words) in template.numbers.iter().zip(numbers).zip(words) {
                put_digits(&mut bytes, values.get(*at).copied().unwrap_or(0), of.digits);
                bytes.extend_from_slice(words);
            }
            *at += 1;
            if bytes.len() > limits::BATCH_RAW_BYTES_MAX {
                let most = limits::BATCH_RAW_BYTES_MAX;
                return Err(Error::limit(format!("texts of more than {most} bytes")));
            }
            out.offsets.push(bytes.len() as u32);
        }
        out.bytes = Cow::Owned(bytes);
        Ok(())
    }
}

impl Numbers<'_> {
    /// Whether these can have stood in texts.
    fn check(&self, values: &[i64]) -> Result<()> {
        // What has a fixed number of digits begins with a zero.
        let digits = self.digits.checked_sub(1).map_or(DIGITS_MAX, usize::from);
        let end = 10_i64.pow(digits as u32);
        match values.iter().find(|&&value| value < 0 || value >= end) {
            Some(value) => {
                Err(Error::invalid(format!("{value} as a number of {} digits", self.digits)))
            }
            None => Ok(()),
        }
    }
}

/// Appends a number that is not negative, with zeros in front up to `digits`.
fn put_digits(out: &mut Vec<u8>, mut value: i64, digits: u8) {
    let mut written = [b'0'; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    while value > 0 && start > 0 {
        start -= 1;
        written[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    let least = usize::from(digits).clamp(1, DIGITS_MAX);
    out.extend_from_slice(&written[start.min(DIGITS_MAX - least)..]);
}

#[cfg(test)]
mod tests;

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
//! begins with a zero, and is not that zero, has a fixed number of digits. A run of more than
//! 19 digits, or above 2^63 - 1, is part of the words; times in nanoseconds are numbers.
//!
//! As in Rodrigues et al., "CLP: Efficient and Scalable Search on Compressed Text Logs" (OSDI 2021);
//! but numbers are columns of their own for each template, as in Wei et al., "LogGrep" (EuroSys '23).

mod read;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::codec::put_varint;
use crate::column::encoding::texts::Source;
use crate::column::encoding::{codes, integers};
use crate::limits;

pub(super) use read::Templates;

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
/// Most digits of a number: 2^63 - 1 has so many.
const DIGITS_MAX: usize = 19;
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
            let digits = run.get(..length.min(DIGITS_MAX))?;
            let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
            let value = i64::try_from(value).ok().filter(|_| length <= DIGITS_MAX);
            let Some(value) = value else { continue };
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

#[cfg(test)]
mod tests;

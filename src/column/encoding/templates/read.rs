//! Reads texts that are stored as templates: all of them, or a few without the others.
//!
//! Of a few nothing is checked but what they are made of. Who reads all also refuses what no writer
//! writes: templates out of order, twice, or with a number among their words.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{DIGITS_MAX, NUMBERS_MAX, Split, TEMPLATES_MAX};
use crate::codec::Cursor;
use crate::column::encoding::texts::Decoded;
use crate::column::encoding::{Encoding, Stored, codes, integers, pick};
use crate::error::{Error, Result};
use crate::limits;

/// Templates as they stand in a body, and where the numbers of each are.
pub(in super::super) struct Templates<'a> {
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
    pub(in super::super) fn read(
        stored: Stored<'a>,
        count: usize,
    ) -> Result<(Templates<'a>, Cursor<'a>)> {
        let mut cursor = Cursor::new(stored.body);
        let texts = cursor.length(count, "texts")?;
        let templates = cursor.length(TEMPLATES_MAX.min(texts), "templates")?;
        if templates == 0 {
            return Err(cursor.error("texts without a template, or no text"));
        }
        let heads = (0..templates).map(|_| Template::read_head(&mut cursor));
        let heads = heads.collect::<Result<Vec<_>>>()?;
        let with_words = |(digits, lengths): (&[u8], Vec<usize>)| {
            let words = lengths.iter().map(|&length| cursor.take(length));
            let words = words.collect::<Result<Vec<_>>>()?;
            let stored = Stored { encoding: Encoding::Nothing, body: &[], tail: &[] };
            let numbers = digits.iter().map(|&digits| Numbers { digits, stored }).collect();
            Ok(Template { words, numbers, texts: 0 })
        };
        let mut templates = heads.into_iter().map(with_words).collect::<Result<Vec<_>>>()?;
        let of_texts = codes::single_bytes(&mut cursor, texts, templates.len())?;
        match of_texts {
            Some(codes) => {
                let mut texts = [0; TEMPLATES_MAX];
                codes.iter().for_each(|&code| texts[usize::from(code)] += 1);
                templates.iter_mut().zip(texts).for_each(|(of, texts)| of.texts = texts);
            }
            None => templates.iter_mut().for_each(|only| only.texts = texts),
        }
        let mut tail = stored.tail;
        for numbers in templates.iter_mut().flat_map(|template| &mut template.numbers) {
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
        Ok((Templates { texts, of_texts, templates }, cursor))
    }

    /// How many texts there are.
    pub(in super::super) fn texts(&self) -> usize {
        self.texts
    }

    /// All texts, in their order; `cursor` is where they were read.
    pub(in super::super) fn all(&self, cursor: &Cursor<'_>, out: &mut Decoded<'a>) -> Result<()> {
        let mut known = HashSet::new();
        for template in &self.templates {
            let digits: Vec<u8> = template.numbers.iter().map(|of| of.digits).collect();
            if !template.is_split() || !known.insert((&template.words, digits)) {
                return Err(cursor.error("a template stands twice, or has a number in its words"));
            }
        }
        let of_template = |template: &Template<'_>| {
            let each = template.numbers.iter().map(|of| {
                let mut values = Vec::new();
                integers::decode(of.stored, template.texts, &mut values)?;
                Ok(values)
            });
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
    pub(in super::super) fn some(&self, wanted: &[u32], out: &mut Decoded<'a>) -> Result<()> {
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
        let mut length = 0;
        for (template, numbers) in self.templates.iter().zip(numbers) {
            for (of, values) in template.numbers.iter().zip(numbers) {
                length += of.length(values)?;
            }
        }
        let words: Vec<usize> = self.templates.iter().map(Template::words_length).collect();
        let of_words = of_texts.clone().filter_map(|code| words.get(usize::from(code)));
        length += of_words.sum::<usize>();
        if length > limits::BATCH_RAW_BYTES_MAX {
            let most = limits::BATCH_RAW_BYTES_MAX;
            return Err(Error::limit(format!("texts of {length} bytes; {most} are allowed")));
        }
        let mut bytes = Vec::with_capacity(length);
        let mut next = vec![0; self.templates.len()];
        out.offsets.clear();
        out.offsets.push(0);
        for code in of_texts.map(usize::from) {
            let missing = || Error::invalid(format!("a text of template {code}, which is none"));
            let template = self.templates.get(code).ok_or_else(missing)?;
            let (numbers, at) = numbers.get(code).zip(next.get_mut(code)).ok_or_else(missing)?;
            let mut words = template.words.iter();
            bytes.extend_from_slice(words.next().copied().unwrap_or_default());
            for ((of, values), words) in template.numbers.iter().zip(numbers).zip(words) {
                put_digits(&mut bytes, values.get(*at).copied().unwrap_or(0), of.digits);
                bytes.extend_from_slice(words);
            }
            *at += 1;
            let start = out.offsets.last().map_or(0, |&start| start as usize);
            if bytes.len() - start > limits::VALUE_BYTES_MAX {
                return Err(Error::limit(format!("a text of {} bytes", bytes.len() - start)));
            }
            out.offsets.push(bytes.len() as u32);
        }
        out.bytes = Cow::Owned(bytes);
        Ok(())
    }
}

impl Template<'_> {
    /// Digits of the numbers and lengths of the words.
    fn read_head<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a [u8], Vec<usize>)> {
        let numbers = cursor.length(NUMBERS_MAX, "numbers of a template")?;
        let digits = cursor.take(numbers)?;
        if digits.iter().any(|&digits| digits == 1 || usize::from(digits) > DIGITS_MAX) {
            return Err(cursor.error("a number of one digit, or of too many"));
        }
        let length = |_| cursor.length(limits::VALUE_BYTES_MAX, "length of words");
        let lengths = (0..=numbers).map(length).collect::<Result<Vec<_>>>()?;
        if lengths.iter().sum::<usize>() > limits::VALUE_BYTES_MAX {
            return Err(cursor.error("words longer than a text may be"));
        }
        if lengths.get(1..numbers).unwrap_or_default().contains(&0) {
            return Err(cursor.error("two numbers without a word between them"));
        }
        Ok((digits, lengths))
    }

    fn words_length(&self) -> usize {
        self.words.iter().map(|words| words.len()).sum()
    }

    /// Whether no number is left in the words, nor part of one beside the others.
    fn is_split(&self) -> bool {
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let pairs = self.words.iter().zip(self.words.iter().skip(1));
        let apart = |(before, behind): (&&[u8], &&[u8])| {
            !is_digit(before.last()) && !is_digit(behind.first())
        };
        self.words.iter().all(|words| Split { rest: words }.next().is_none())
            && pairs.into_iter().all(apart)
    }
}

impl Numbers<'_> {
    /// How many digits these have in all; an error if they cannot have stood in texts.
    fn length(&self, values: &[i64]) -> Result<usize> {
        // What has a fixed number of digits begins with a zero.
        let (digits, end) = match self.digits {
            0 => (1, i64::MAX),
            digits => (usize::from(digits), 10_i64.pow(u32::from(digits) - 1) - 1),
        };
        let mut sum = 0;
        for &value in values {
            if value < 0 || value > end {
                let form = if self.digits == 0 { "without a zero" } else { "with zeros" };
                return Err(Error::invalid(format!(
                    "{value} as a number {form} in front, of at least {digits} digits"
                )));
            }
            let own = value.checked_ilog10().map_or(1, |log| log as usize + 1);
            sum += own.max(digits);
        }
        Ok(sum)
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

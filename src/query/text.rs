//! Tests of text. A regular expression has to match the whole text, its dot any character; the
//! forms that need no automaton (`literal`, `.*literal.*`, `literal.*`, `.*literal`) do without.

use std::cmp::Ordering;

use regex::bytes::{Regex, RegexBuilder};

use crate::error::{Error, Result};
use crate::limits;
use crate::query::ast::Operator;
use crate::query::value::holds;

/// What is asked of a text.
#[derive(Clone, Debug)]
pub(super) enum TextTest {
    /// A comparison of bytes.
    Order(Operator, String),
    /// A regular expression, which matches if `.1`, else does not.
    Pattern(Pattern, bool),
}

/// A regular expression, by its cheapest form.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// The text is this.
    Exact(String),
    /// The text begins with this.
    Prefix(String),
    /// The text ends with this.
    Suffix(String),
    /// The text contains what this unanchored, literal expression finds.
    Contains(Regex),
    /// The anchored expression matches.
    Whole(Regex),
}

impl TextTest {
    /// The only text that passes, if there is one such.
    pub(super) fn equal_to(&self) -> Option<&[u8]> {
        match self {
            TextTest::Order(Operator::Equal, text) => Some(text.as_bytes()),
            TextTest::Pattern(Pattern::Exact(text), true) => Some(text.as_bytes()),
            _ => None,
        }
    }

    /// The test of `text operator value`; `Invalid` or `Limit` for a bad regular expression.
    pub(super) fn new(operator: Operator, value: &str) -> Result<TextTest> {
        match operator {
            Operator::Matches => Ok(TextTest::Pattern(Pattern::new(value)?, true)),
            Operator::NotMatches => Ok(TextTest::Pattern(Pattern::new(value)?, false)),
            other => Ok(TextTest::Order(other, value.to_owned())),
        }
    }

    /// Whether a text passes.
    pub(super) fn passes(&self, text: &[u8]) -> bool {
        match self {
            TextTest::Order(Operator::Equal, value) => text == value.as_bytes(),
            TextTest::Order(operator, value) => {
                let order: Ordering = text.cmp(value.as_bytes());
                holds(*operator, Some(order))
            }
            TextTest::Pattern(pattern, wanted) => pattern.matches(text) == *wanted,
        }
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Pattern> {
        // Alone first: parentheses or comments must not reach out of the frame around it.
        compile(pattern)?;
        if let Some(text) = literal(pattern) {
            return Ok(Pattern::Exact(text));
        }
        let head = pattern.strip_prefix(".*");
        let tail = pattern.strip_suffix(".*");
        if let Some(text) = head.and_then(|p| p.strip_suffix(".*")).and_then(literal) {
            return Ok(Pattern::Contains(compile(&regex::escape(&text))?));
        }
        if let Some(text) = head.and_then(literal) {
            return Ok(Pattern::Suffix(text));
        }
        if let Some(text) = tail.and_then(literal) {
            return Ok(Pattern::Prefix(text));
        }
        Ok(Pattern::Whole(compile(&format!("\\A(?:{pattern})\\z"))?))
    }

    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Pattern::Exact(value) => text == value.as_bytes(),
            Pattern::Prefix(value) => text.starts_with(value.as_bytes()),
            Pattern::Suffix(value) => text.ends_with(value.as_bytes()),
            Pattern::Contains(regex) | Pattern::Whole(regex) => regex.is_match(text),
        }
    }
}

fn compile(pattern: &str) -> Result<Regex> {
    let mut builder = RegexBuilder::new(pattern);
    builder.dot_matches_new_line(true);
    builder.size_limit(limits::REGEX_BYTES_MAX).dfa_size_limit(limits::REGEX_BYTES_MAX);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(max) => {
            Error::limit(format!("the regular expression is larger than {max} bytes compiled"))
        }
        other => {
            let text = other.to_string();
            // The last line says what is wrong; those before draw the place for a terminal.
            let what = text.lines().last().unwrap_or_default().trim();
            Error::invalid(format!(
                "bad regular expression: {}",
                what.trim_start_matches("error: ")
            ))
        }
    })
}

/// The text that a pattern without operators stands for.
fn literal(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            // `\<` and `\>` are the borders of words.
            '\\' => {
                text.push(chars.next().filter(|c| c.is_ascii_punctuation() && !"<>".contains(*c))?)
            }
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' | '|' => {
                return None;
            }
            c => text.push(c),
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        TextTest::new(Operator::Matches, pattern).unwrap().passes(text.as_bytes())
    }

    #[test]
    fn cheap_forms_match_what_the_automaton_matches() {
        let patterns = [
            "abc",
            "a\\.c",
            ".*b.*",
            ".*",
            "",
            "a.*",
            ".*c",
            ".*\\..*",
            "a|b",
            ".*a|b.*",
            "(?i)ABC",
            ".*a\\\\.*",
            "a.*c",
            "[ab]+.*",
            ".*\\d.*",
            "\\x61",
            "\\.*",
            ".*\\.*",
            "a\\.*",
        ];
        let texts =
            ["", "abc", "a.c", "b", "ABC", "xabcx", "a\nb\nc", "a\\", "a1", ".", "..", "ab\n"];
        for pattern in patterns {
            let slow = Regex::new(&format!("\\A(?s:{pattern})\\z")).unwrap();
            for text in texts {
                let wanted = slow.is_match(text.as_bytes());
                assert_eq!(matches(pattern, text), wanted, "{pattern:?} on {text:?}");
            }
        }
    }

    #[test]
    fn contains_and_its_like_run_without_an_automaton() {
        assert!(matches!(Pattern::new(".*x\\.y.*").unwrap(), Pattern::Contains(_)));
        assert!(matches!(Pattern::new("x.*").unwrap(), Pattern::Prefix(_)));
        assert!(matches!(Pattern::new(".*x").unwrap(), Pattern::Suffix(_)));
        assert!(matches!(Pattern::new("GET /cart").unwrap(), Pattern::Exact(_)));
        assert!(matches!(Pattern::new("x\\.*").unwrap(), Pattern::Whole(_)));
    }

    #[test]
    fn bad_and_huge_expressions_are_refused() {
        for bad in ["(", "a)(b", "[", "*", "(?x) # )"] {
            assert!(TextTest::new(Operator::Matches, bad).is_err(), "{bad}");
        }
        let huge = TextTest::new(Operator::Matches, "(\\w{100}){100}").unwrap_err();
        assert_eq!(huge.kind(), crate::ErrorKind::Limit);
    }
}

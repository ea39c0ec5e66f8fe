//! Text into tokens, each with the byte offset where it begins. Follows TraceQL: Go's strings,
//! numbers and comments; names of attributes run up to white space or one of `{}()=~!<>&|^,`, and
//! may have quoted parts.

use crate::error::{Error, Result};
use crate::query::ast::{AttributeScope, Operator, Reference};
use crate::query::display::is_name;

/// A piece of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// Byte offset of its first character.
    pub(super) offset: usize,
    /// What it is.
    pub(super) kind: TokenKind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `{`
    BraceOpen,
    /// `}`
    BraceClose,
    /// `&&`
    And,
    /// `||`
    Or,
    /// `!`
    Not,
    /// `-`
    Minus,
    /// A comparison.
    Compare(Operator),
    /// A string, unquoted.
    String(String),
    /// A whole number without its sign.
    Int(u64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Nanoseconds.
    Duration(u64),
    /// A word, with its scope if it has one: `status`, `span:id`.
    Word(String),
    /// An attribute.
    Attribute(Reference),
    /// The end of the text.
    End,
}

/// An error in the text of a query, at a byte offset.
pub(super) fn refuse(offset: usize, what: impl Into<String>) -> Error {
    Error::invalid(what).in_field("where").at(offset as u64)
}

/// All tokens of a text, the last one is [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>> {
    let mut lexer = Lexer { text, offset: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let offset = lexer.offset;
        let kind = lexer.token()?;
        let end = kind == TokenKind::End;
        tokens.push(Token { offset, kind });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        Some(c)
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.offset += end;
        rest.get(..end).unwrap_or_default()
    }

    fn eat(&mut self, what: &str) -> bool {
        let found = self.rest().starts_with(what);
        self.offset += if found { what.len() } else { 0 };
        found
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            self.take_while(char::is_whitespace);
            let start = self.offset;
            if self.eat("//") {
                self.take_while(|c| c != '\n');
            } else if self.eat("/*") {
                let Some(end) = self.rest().find("*/") else {
                    return Err(refuse(start, "this comment has no end: close it with */"));
                };
                self.offset += end + 2;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<TokenKind> {
        const SYMBOLS: [(&str, TokenKind); 15] = [
            ("&&", TokenKind::And),
            ("||", TokenKind::Or),
            ("!=", TokenKind::Compare(Operator::NotEqual)),
            ("!~", TokenKind::Compare(Operator::NotMatches)),
            ("=~", TokenKind::Compare(Operator::Matches)),
            ("<=", TokenKind::Compare(Operator::LessOrEqual)),
            (">=", TokenKind::Compare(Operator::GreaterOrEqual)),
            ("=", TokenKind::Compare(Operator::Equal)),
            ("<", TokenKind::Compare(Operator::Less)),
            (">", TokenKind::Compare(Operator::Greater)),
            ("!", TokenKind::Not),
            ("(", TokenKind::Open),
            (")", TokenKind::Close),
            ("{", TokenKind::BraceOpen),
            ("}", TokenKind::BraceClose),
        ];
        for (symbol, kind) in SYMBOLS {
            if self.eat(symbol) {
                return Ok(kind);
            }
        }
        let start = self.offset;
        match self.peek() {
            None => Ok(TokenKind::End),
            Some('"') => self.string().map(TokenKind::String),
            Some('`') => self.raw_string(),
            Some('.') => self.attribute(None),
            Some('0'..='9') => self.number(),
            Some('-') => {
                self.next();
                Ok(TokenKind::Minus)
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.word(),
            Some(c) => Err(refuse(start, unexpected(c))),
        }
    }

    fn word(&mut self) -> Result<TokenKind> {
        let start = self.offset;
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word = self.take_while(is_word);
        if self.peek() == Some('.') {
            let scope = AttributeScope::ALL.into_iter().find(|s| s.name() == word);
            return match scope {
                Some(scope) => self.attribute(Some(scope)),
                None => Err(refuse(start, no_scope(word))),
            };
        }
        if self.eat(":") {
            let name = self.take_while(is_word);
            return Ok(TokenKind::Word(format!("{word}:{name}")));
        }
        Ok(TokenKind::Word(word.to_owned()))
    }

    /// The name behind a dot.
    fn attribute(&mut self, scope: Option<AttributeScope>) -> Result<TokenKind> {
        let start = self.offset;
        self.next();
        let mut key = String::new();
        loop {
            match self.peek() {
                Some('"') => key.push_str(&self.string()?),
                Some(c) if is_name(c) => {
                    key.push(c);
                    self.next();
                }
                _ if key.is_empty() => {
                    return Err(refuse(start, "the name of an attribute must follow this dot"));
                }
                _ => return Ok(TokenKind::Attribute(Reference::Attribute { scope, key })),
            }
        }
    }

    fn raw_string(&mut self) -> Result<TokenKind> {
        let start = self.offset;
        self.next();
        let text = self.take_while(|c| c != '`');
        if !self.eat("`") {
            return Err(refuse(start, "this string has no end: close it with `"));
        }
        Ok(TokenKind::String(text.to_owned()))
    }

    fn string(&mut self) -> Result<String> {
        let start = self.offset;
        self.next();
        let mut text = String::new();
        loop {
            let offset = self.offset;
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(offset)?),
                None | Some('\n') => {
                    return Err(refuse(start, "this string has no end: close it with \""));
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, offset: usize) -> Result<char> {
        let digits = match self.next() {
            Some(c @ ('"' | '\\')) => return Ok(c),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('a') => return Ok('\x07'),
            Some('b') => return Ok('\x08'),
            Some('f') => return Ok('\x0c'),
            Some('v') => return Ok('\x0b'),
            Some('u') => 4,
            Some('U') => 8,
            _ => {
                let what = "no such escape; a backslash itself is \\\\, or use `raw strings`";
                return Err(refuse(offset, what));
            }
        };
        let code = self.rest().get(..digits).and_then(|d| u32::from_str_radix(d, 16).ok());
        let Some(c) = code.and_then(char::from_u32) else {
            return Err(refuse(
                offset,
                format!("\\u or \\U needs {digits} hex digits of a character"),
            ));
        };
        self.offset += digits;
        Ok(c)
    }

    fn number(&mut self) -> Result<TokenKind> {
        let start = self.offset;
        let mut text = self.take_while(is_number).to_owned();
        // The sign of an exponent is no operator.
        let exponent = text.strip_suffix(['e', 'E']).is_some_and(|t| t.parse::<f64>().is_ok());
        if exponent && matches!(self.peek(), Some('+' | '-')) {
            text.extend(self.next());
            text.push_str(self.take_while(is_number));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let value = text.parse().ok().filter(|v: &u64| *v <= 1 << 63);
            let too_large = || refuse(start, "this number does not fit 64 bits with a sign");
            return value.map(TokenKind::Int).ok_or_else(too_large);
        }
        if let Ok(value) = text.parse::<f64>() {
            let too_large = || refuse(start, "this number is too large for a double");
            return Some(value)
                .filter(|v| v.is_finite())
                .map(TokenKind::Float)
                .ok_or_else(too_large);
        }
        match duration_ns(&text) {
            Some(ns) => Ok(TokenKind::Duration(ns)),
            None => {
                let what = "neither a number nor a duration as 100ms, 1.5s or 1h30m (units: ns us \
                            ms s m h d), at most 292 years";
                Err(refuse(start, what))
            }
        }
    }
}

fn is_number(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | 'µ' | 'μ')
}

fn unexpected(c: char) -> String {
    match c {
        '+' | '*' | '/' | '%' | '^' => format!("{c:?}: arithmetic is not supported"),
        '|' => "'|': pipelines are not supported; or is written ||".to_owned(),
        '&' => "'&': structural operators are not supported; and is written &&".to_owned(),
        '\'' => "strings stand in \"double quotes\" or `backticks`".to_owned(),
        other => format!("{other:?} has no meaning here"),
    }
}

fn no_scope(word: &str) -> String {
    if word == "parent" {
        return "parent. needs whole traces, which conditions do not see".to_owned();
    }
    format!(
        "{word:?} is no scope (span, resource, event, link, instrumentation); an attribute \
         without a scope begins with a dot: .{word}..."
    )
}

/// As Go reads durations, and days: numbers with units, one after another.
fn duration_ns(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let end = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(end)?;
        let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.len() > 18 || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let parts: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
        let parts = u128::from(parts) * u128::from(unit) / 10u128.pow(fraction.len() as u32);
        let ns = whole.checked_mul(unit)?.checked_add(u64::try_from(parts).ok()?)?;
        total = total.checked_add(ns)?;
        rest = behind;
    }
    Some(total).filter(|ns| *ns <= i64::MAX as u64)
}

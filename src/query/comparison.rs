//! One comparison, with the types of its sides settled. What can never meet is refused; what a value
//! may turn out not to be (attributes have any type) is left to the value.

use crate::error::{Error, Result};
use crate::query::ast::{Comparison, Intrinsic, Literal, Operand, Operator, Reference, Word};
use crate::query::predicate::{Ask, Predicate, Test, all, any};
use crate::query::text::TextTest;
use crate::query::value::{Check, Number, NumberTest, Scalar, pair_holds};

/// Types of intrinsics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Text,
    Number,
    Severity,
    Status,
    Kind,
    Signal,
    TraceId,
    SpanId,
}

/// One comparison, ready to run; errors say what is wrong with it but not where it stands.
pub(super) fn compile_comparison(comparison: &Comparison) -> Result<Predicate> {
    let Comparison { left, operator, right } = comparison;
    match (left, right) {
        (Operand::Reference(reference), Operand::Literal(literal)) => {
            one_sided(reference, *operator, literal)
        }
        (Operand::Literal(literal), Operand::Reference(reference)) => {
            if matches!(operator, Operator::Matches | Operator::NotMatches) {
                return Err(Error::invalid("the regular expression stands on the right"));
            }
            one_sided(reference, operator.flipped(), literal)
        }
        (Operand::Reference(left), Operand::Reference(right)) => pair(left, *operator, right),
        (Operand::Literal(left), Operand::Literal(right)) => constant(left, *operator, right),
    }
}

fn one_sided(reference: &Reference, operator: Operator, literal: &Literal) -> Result<Predicate> {
    if *literal == Literal::Nil {
        return existence(reference, operator);
    }
    let check = match reference {
        Reference::Attribute { .. } => attribute_check(operator, literal)?,
        Reference::Intrinsic(intrinsic) => intrinsic_check(*intrinsic, operator, literal)?,
    };
    let reference = match (reference, literal) {
        (Reference::Intrinsic(Intrinsic::Severity), Literal::String(_)) => {
            Reference::Intrinsic(Intrinsic::SeverityText)
        }
        (Reference::Intrinsic(Intrinsic::Severity), _) => {
            Reference::Intrinsic(Intrinsic::SeverityNumber)
        }
        (other, _) => other.clone(),
    };
    let ask = Ask::Passes { check, all: operator.is_negative() };
    Ok(Predicate::Test(Test { reference, ask }))
}

fn existence(reference: &Reference, operator: Operator) -> Result<Predicate> {
    let absent = match operator {
        Operator::Equal => true,
        Operator::NotEqual => false,
        _ => return Err(Error::invalid("nil knows only = and !=")),
    };
    let test = |reference: Reference| {
        let ask = if absent { Ask::Absent } else { Ask::Present };
        Predicate::Test(Test { reference, ask })
    };
    let Reference::Intrinsic(intrinsic) = reference else {
        return Ok(test(reference.clone()));
    };
    match intrinsic {
        Intrinsic::Severity => {
            let both = [Intrinsic::SeverityNumber, Intrinsic::SeverityText];
            let both = both.map(|i| test(Reference::Intrinsic(i))).to_vec();
            Ok(if absent { all(both) } else { any(both) })
        }
        i if i.is_always_there() => {
            Err(Error::invalid(format!("every event has a {}: it is never nil", i.name())))
        }
        _ => Ok(test(reference.clone())),
    }
}

fn attribute_check(operator: Operator, literal: &Literal) -> Result<Check> {
    if let Literal::String(text) = literal {
        return Ok(Check::Text(TextTest::new(operator, text)?));
    }
    text_only(operator, literal)?;
    match literal {
        Literal::Bool(value) => {
            equality_only(operator, "true and false know")?;
            Ok(Check::Bool(*value == (operator == Operator::Equal)))
        }
        // TraceQL allows this; no attribute is of such a type.
        Literal::Word(_) => {
            equality_only(operator, "words know")?;
            Ok(Check::Never)
        }
        other => number(other)
            .map_or(Ok(Check::Never), |n| Ok(Check::Number(NumberTest::new(operator, n)))),
    }
}

fn intrinsic_check(intrinsic: Intrinsic, operator: Operator, literal: &Literal) -> Result<Check> {
    let name = intrinsic.name();
    let mismatch =
        |wanted: &str| Error::invalid(format!("{name} compares with {wanted}, not with {literal}"));
    match (intrinsic.class(), literal) {
        (Class::Text | Class::Severity, Literal::String(text)) => {
            Ok(Check::Text(TextTest::new(operator, text)?))
        }
        (Class::Severity, Literal::Word(word)) => level(operator, *word),
        (Class::Number, Literal::Word(word)) if intrinsic == Intrinsic::SeverityNumber => {
            level(operator, *word)
        }
        (Class::Number | Class::Severity, literal) => {
            text_only(operator, literal)?;
            let number = number(literal).ok_or_else(|| match intrinsic {
                Intrinsic::Severity => mismatch("a number, a level or a text"),
                _ => mismatch("a number or a duration"),
            })?;
            Ok(Check::Number(NumberTest::new(operator, number)))
        }
        (Class::Text, _) => Err(mismatch("text in quotes")),
        (class @ (Class::TraceId | Class::SpanId), Literal::String(hex)) => {
            equality_only(operator, "ids know")?;
            let bytes = if class == Class::TraceId { 16 } else { 8 };
            let id = id_bytes(hex, bytes)
                .ok_or_else(|| mismatch(&format!("at most {} hexadecimal digits", 2 * bytes)))?;
            Ok(Check::Id(id, operator == Operator::Equal))
        }
        (Class::TraceId | Class::SpanId, _) => Err(mismatch("hexadecimal digits in quotes")),
        (class, literal) => {
            equality_only(operator, &format!("{name} knows"))?;
            let code = code(class, literal).ok_or_else(|| mismatch(class.words()))?;
            Ok(Check::Code(code, operator == Operator::Equal))
        }
    }
}

/// The code of a word, or of its text in quotes.
fn code(class: Class, literal: &Literal) -> Option<i64> {
    let word = match literal {
        Literal::Word(word) => *word,
        Literal::String(text) => Word::from_name(text)?,
        _ => return None,
    };
    match class {
        Class::Status => word.status().map(|s| s as i64),
        Class::Kind => word.kind().map(|k| k as i64),
        Class::Signal => word.signal().map(|s| s as i64),
        _ => None,
    }
}

/// A level stands for its four numbers: 13 to 16 are `warn`.
fn level(operator: Operator, word: Word) -> Result<Check> {
    let Some(first) = word.level() else {
        let what = format!("{} is no level: trace, debug, info, warn, error, fatal", word.name());
        return Err(Error::invalid(what));
    };
    let last = first + 3;
    let test = match operator {
        Operator::Equal => NumberTest::within(first, last, false),
        Operator::NotEqual => NumberTest::within(first, last, true),
        Operator::Less | Operator::GreaterOrEqual => NumberTest::new(operator, Number::Int(first)),
        Operator::LessOrEqual | Operator::Greater => NumberTest::new(operator, Number::Int(last)),
        _ => return Err(Error::invalid("a regular expression must be a string")),
    };
    Ok(Check::Number(test))
}

fn text_only(operator: Operator, literal: &Literal) -> Result<()> {
    if matches!(operator, Operator::Matches | Operator::NotMatches) {
        let what =
            format!("{} needs a regular expression in quotes, not {literal}", operator.symbol());
        return Err(Error::invalid(what));
    }
    Ok(())
}

fn equality_only(operator: Operator, who: &str) -> Result<()> {
    if matches!(operator, Operator::Equal | Operator::NotEqual) {
        return Ok(());
    }
    Err(Error::invalid(format!("{who} only = and !=, not {}", operator.symbol())))
}

fn number(literal: &Literal) -> Option<Number> {
    match literal {
        Literal::Int(value) | Literal::Duration(value) => Some(Number::Int(*value)),
        Literal::Float(value) => Some(Number::Float(*value)),
        _ => None,
    }
}

/// Hex digits with leading zeroes left out or not.
fn id_bytes(hex: &str, bytes: usize) -> Option<Vec<u8>> {
    if hex.is_empty() || hex.len() > 2 * bytes || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u128::from_str_radix(hex, 16).ok()?;
    value.to_be_bytes().get(16 - bytes..).map(<[u8]>::to_vec)
}

fn pair(left: &Reference, operator: Operator, right: &Reference) -> Result<Predicate> {
    if matches!(operator, Operator::Matches | Operator::NotMatches) {
        let what = format!("{} needs a regular expression in quotes", operator.symbol());
        return Err(Error::invalid(what));
    }
    let plain = |reference: &Reference| match reference {
        Reference::Intrinsic(Intrinsic::Severity) => {
            Reference::Intrinsic(Intrinsic::SeverityNumber)
        }
        other => other.clone(),
    };
    let (left, right) = (plain(left), plain(right));
    if let (Reference::Intrinsic(a), Reference::Intrinsic(b)) = (&left, &right) {
        if a.class() != b.class() {
            let what = format!("{} and {} are of different types", a.name(), b.name());
            return Err(Error::invalid(what));
        }
        if !matches!(a.class(), Class::Text | Class::Number) {
            equality_only(operator, &format!("{} knows", a.name()))?;
        }
    }
    Ok(Predicate::Pair(left, operator, right))
}

fn constant(left: &Literal, operator: Operator, right: &Literal) -> Result<Predicate> {
    let mismatch = || Error::invalid(format!("{left} and {right} are of different types"));
    let holds = match (left, right) {
        (Literal::String(a), Literal::String(b)) => {
            TextTest::new(operator, b)?.passes(a.as_bytes())
        }
        (Literal::Bool(a), Literal::Bool(b)) => {
            equality_only(operator, "true and false know")?;
            pair_holds(Scalar::Bool(*a), operator, Scalar::Bool(*b))
        }
        (Literal::Word(a), Literal::Word(b)) => {
            equality_only(operator, "words know")?;
            (a == b) == (operator == Operator::Equal)
        }
        _ => {
            text_only(operator, right)?;
            let numbers = number(left).zip(number(right));
            let (a, b) = numbers.ok_or_else(mismatch)?;
            pair_holds(Scalar::Number(a), operator, Scalar::Number(b))
        }
    };
    Ok(Predicate::Constant(holds))
}

impl Class {
    fn words(self) -> &'static str {
        match self {
            Class::Status => "unset, ok or error",
            Class::Kind => "unspecified, internal, server, client, producer or consumer",
            _ => "span, log or event",
        }
    }
}

impl Intrinsic {
    fn class(self) -> Class {
        match self {
            Intrinsic::Time
            | Intrinsic::Received
            | Intrinsic::Observed
            | Intrinsic::Sequence
            | Intrinsic::Duration
            | Intrinsic::SeverityNumber
            | Intrinsic::EventTimeSinceStart => Class::Number,
            Intrinsic::Severity => Class::Severity,
            Intrinsic::Status => Class::Status,
            Intrinsic::Kind => Class::Kind,
            Intrinsic::Signal => Class::Signal,
            Intrinsic::TraceId | Intrinsic::LinkTraceId => Class::TraceId,
            Intrinsic::SpanId | Intrinsic::ParentSpanId | Intrinsic::LinkSpanId => Class::SpanId,
            _ => Class::Text,
        }
    }

    fn is_always_there(self) -> bool {
        matches!(
            self,
            Intrinsic::Source
                | Intrinsic::Type
                | Intrinsic::Signal
                | Intrinsic::Time
                | Intrinsic::Received
                | Intrinsic::Sequence
                | Intrinsic::Status
                | Intrinsic::Kind
        )
    }
}

//! An expression made ready to run: types settled, literals on the right, regular expressions
//! compiled, cheap tests first. Also what indexes can know of it without reading an event.
//!
//! Several values (array elements, repeated keys, span events, links): a comparison passes if any
//! value passes, `!=` and `!~` only if all do. No value passes nothing.

use crate::column::Series;
use crate::error::{Error, Result};
use crate::event::TraceId;
use crate::query::ast::{Comparison, Expr, Intrinsic, Literal, Operand, Operator, Reference, Word};
use crate::query::request::Query;
use crate::query::text::TextTest;
use crate::query::value::{Check, Number, NumberTest, Scalar, pair_holds};

/// A condition on one event, ready to run.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    /// Always or never.
    Constant(bool),
    /// The opposite.
    Not(Box<Predicate>),
    /// All hold; cheapest first.
    All(Vec<Predicate>),
    /// One holds; cheapest first.
    Any(Vec<Predicate>),
    /// Something of the event against something given.
    Test(Test),
    /// Two things of the event against each other.
    Pair(Reference, Operator, Reference),
}

/// A test of what a reference gives.
#[derive(Clone, Debug)]
pub(super) struct Test {
    /// What is tested.
    pub(super) reference: Reference,
    /// What is asked.
    pub(super) ask: Ask,
}

/// What a test asks.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Is there no value?
    Absent,
    /// Is there a value?
    Present,
    /// Does any value pass, or do all of at least one if `all`?
    Passes {
        /// What a value has to pass.
        check: Check,
        /// Whether all have to.
        all: bool,
    },
}

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

/// Everything a query asks of an event but its time, its sequence and the cursor.
pub(super) fn compile(query: &Query) -> Result<Predicate> {
    let text = |intrinsic, value: &String| {
        compile_expr(&Expr::compare(
            Reference::Intrinsic(intrinsic),
            Operator::Equal,
            value.clone(),
        ))
    };
    let mut parts = Vec::new();
    if let Some(source) = &query.source {
        parts.push(text(Intrinsic::Source, source)?);
    }
    if let Some(event_type) = &query.event_type {
        parts.push(text(Intrinsic::Type, event_type)?);
    }
    if let Some(signal) = query.signal {
        let check = Check::Code(signal as i64, true);
        parts.push(passes(Intrinsic::Signal, check));
    }
    if let Some(trace) = query.trace {
        parts.push(passes(Intrinsic::TraceId, Check::Id(trace.0.to_vec(), true)));
    }
    if let Some(filter) = &query.filter {
        parts.push(compile_expr(filter)?);
    }
    Ok(all(parts))
}

fn passes(intrinsic: Intrinsic, check: Check) -> Predicate {
    let ask = Ask::Passes { check, all: false };
    Predicate::Test(Test { reference: Reference::Intrinsic(intrinsic), ask })
}

/// An expression, ready to run.
fn compile_expr(expr: &Expr) -> Result<Predicate> {
    Ok(match expr {
        Expr::Constant(value) => Predicate::Constant(*value),
        Expr::Not(inner) => match compile_expr(inner)? {
            Predicate::Constant(value) => Predicate::Constant(!value),
            other => Predicate::Not(Box::new(other)),
        },
        Expr::All(parts) => all(parts.iter().map(compile_expr).collect::<Result<_>>()?),
        Expr::Any(parts) => any(parts.iter().map(compile_expr).collect::<Result<_>>()?),
        Expr::Compare(comparison) => compile_comparison(comparison)?,
        Expr::Truth(reference) => {
            let ask = Ask::Passes { check: Check::Bool(true), all: false };
            Predicate::Test(Test { reference: reference.clone(), ask })
        }
    })
}

fn all(parts: Vec<Predicate>) -> Predicate {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Predicate::All(inner) => flat.extend(inner),
            Predicate::Constant(true) => {}
            Predicate::Constant(false) => return Predicate::Constant(false),
            other => flat.push(other),
        }
    }
    flat.sort_by_key(Predicate::cost);
    match flat.len() {
        0 => Predicate::Constant(true),
        1 => flat.swap_remove(0),
        _ => Predicate::All(flat),
    }
}

fn any(parts: Vec<Predicate>) -> Predicate {
    let mut flat = Vec::new();
    for part in parts {
        match part {
            Predicate::Any(inner) => flat.extend(inner),
            Predicate::Constant(false) => {}
            Predicate::Constant(true) => return Predicate::Constant(true),
            other => flat.push(other),
        }
    }
    flat.sort_by_key(Predicate::cost);
    match flat.len() {
        0 => Predicate::Constant(false),
        1 => flat.swap_remove(0),
        _ => Predicate::Any(flat),
    }
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

impl Predicate {
    /// How dear it is to evaluate, roughly: small columns and small tables first.
    fn cost(&self) -> u32 {
        match self {
            Predicate::Constant(_) => 0,
            Predicate::Not(inner) => inner.cost(),
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.iter().map(Predicate::cost).sum::<u32>() + 1
            }
            Predicate::Pair(..) => 1_000,
            Predicate::Test(test) => test.cost(),
        }
    }

    /// Whether the predicate can be true, and whether it can be false, for events of a series.
    pub(super) fn verdict(&self, series: &Series) -> (bool, bool) {
        match self {
            Predicate::Constant(value) => (*value, !*value),
            Predicate::Not(inner) => {
                let (can_hold, can_fail) = inner.verdict(series);
                (can_fail, can_hold)
            }
            Predicate::All(parts) => {
                let verdicts = || parts.iter().map(|p| p.verdict(series));
                (verdicts().all(|v| v.0), verdicts().any(|v| v.1))
            }
            Predicate::Any(parts) => {
                let verdicts = || parts.iter().map(|p| p.verdict(series));
                (verdicts().any(|v| v.0), verdicts().all(|v| v.1))
            }
            Predicate::Test(test) => test.verdict(series),
            Predicate::Pair(..) => (true, true),
        }
    }

    /// The traces to one of which every matching event belongs or links; `None`: any.
    pub(super) fn traces(&self) -> Option<Vec<TraceId>> {
        match self {
            Predicate::All(parts) => {
                parts.iter().filter_map(Predicate::traces).min_by_key(Vec::len)
            }
            Predicate::Any(parts) => {
                let each: Option<Vec<_>> = parts.iter().map(Predicate::traces).collect();
                each.map(|lists| lists.concat())
            }
            Predicate::Test(Test {
                reference: Reference::Intrinsic(Intrinsic::TraceId | Intrinsic::LinkTraceId),
                ask: Ask::Passes { check: Check::Id(id, true), .. },
            }) => id.as_slice().try_into().ok().map(|id| vec![TraceId(id)]),
            Predicate::Constant(false) => Some(Vec::new()),
            _ => None,
        }
    }
}

impl Test {
    fn cost(&self) -> u32 {
        use crate::query::ast::AttributeScope::{Event, Instrumentation, Link, Resource, Span};
        match &self.reference {
            Reference::Intrinsic(i) => match i {
                Intrinsic::Source | Intrinsic::InstrumentationName => 2,
                Intrinsic::InstrumentationVersion => 2,
                Intrinsic::Message | Intrinsic::StatusMessage => 30,
                Intrinsic::TraceId | Intrinsic::SpanId | Intrinsic::ParentSpanId => 10,
                Intrinsic::EventName | Intrinsic::EventTimeSinceStart => 12,
                Intrinsic::LinkTraceId | Intrinsic::LinkSpanId => 12,
                Intrinsic::Type | Intrinsic::TraceState | Intrinsic::SeverityText => 4,
                Intrinsic::Time | Intrinsic::Duration | Intrinsic::Observed => 5,
                _ => 1,
            },
            Reference::Attribute { scope, .. } => match scope {
                Some(Resource | Instrumentation) => 2,
                Some(Span) => 8,
                Some(Event | Link) => 15,
                None => 20,
            },
        }
    }

    fn verdict(&self, series: &Series) -> (bool, bool) {
        let text = match &self.reference {
            Reference::Intrinsic(Intrinsic::Source) => &series.source,
            Reference::Intrinsic(Intrinsic::Type) => &series.event_type,
            _ => return (true, true),
        };
        match &self.ask {
            Ask::Passes { check, .. } => {
                let passes = check.passes(Scalar::Text(text.as_bytes()));
                (passes, !passes)
            }
            _ => (true, true),
        }
    }
}

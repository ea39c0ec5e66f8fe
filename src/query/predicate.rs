//! An expression made ready to run: types settled, literals on the right, regular expressions
//! compiled, cheap tests first. Also what indexes can know of it without reading an event.
//!
//! Several values (array elements, repeated keys, span events, links): a comparison passes if any
//! value passes, `!=` and `!~` only if all do. No value passes nothing.

use crate::column::Series;
use crate::error::{Error, Result};
use crate::event::TraceId;
use crate::limits;
use crate::query::ast::{Expr, Intrinsic, Operator, Reference};
use crate::query::comparison::compile_comparison;
use crate::query::request::Query;
use crate::query::value::{Check, Scalar};

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
        if regexes(filter) > limits::QUERY_REGEXES_MAX {
            return Err(too_many_regexes());
        }
        parts.push(compile_expr(filter)?);
    }
    Ok(all(parts))
}

fn regexes(expr: &Expr) -> usize {
    match expr {
        Expr::Not(inner) => regexes(inner),
        Expr::All(parts) | Expr::Any(parts) => parts.iter().map(regexes).sum(),
        Expr::Compare(comparison) => usize::from(comparison.operator.is_regex()),
        Expr::Constant(_) | Expr::Truth(_) => 0,
    }
}

/// What is said of a query that would compile more than it may keep.
pub(super) fn too_many_regexes() -> Error {
    let max = limits::QUERY_REGEXES_MAX;
    Error::limit(format!("more than {max} regular expressions: join them with | into fewer"))
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

pub(super) fn all(parts: Vec<Predicate>) -> Predicate {
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

pub(super) fn any(parts: Vec<Predicate>) -> Predicate {
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

    /// Whether it asks for nothing but the source: then its verdict on a series is exact, whatever
    /// the type.
    pub(super) fn is_of_source(&self) -> bool {
        match self {
            Predicate::Constant(_) => true,
            Predicate::Not(inner) => inner.is_of_source(),
            Predicate::All(parts) | Predicate::Any(parts) => {
                parts.iter().all(Predicate::is_of_source)
            }
            Predicate::Test(test) => {
                test.reference == Reference::Intrinsic(Intrinsic::Source)
                    && matches!(test.ask, Ask::Passes { .. })
            }
            Predicate::Pair(..) => false,
        }
    }

    /// The traces to one of which every matching event belongs or links; `None`: any.
    pub(super) fn traces(&self) -> Option<Vec<TraceId>> {
        self.named_by(&[Intrinsic::TraceId, Intrinsic::LinkTraceId])
    }

    /// The traces to one of which every matching event links; `None`: any or none.
    pub(super) fn linked(&self) -> Option<Vec<TraceId>> {
        self.named_by(&[Intrinsic::LinkTraceId])
    }

    /// The traces one of which every matching event names in one of these fields.
    fn named_by(&self, fields: &[Intrinsic]) -> Option<Vec<TraceId>> {
        match self {
            Predicate::All(parts) => {
                parts.iter().filter_map(|part| part.named_by(fields)).min_by_key(Vec::len)
            }
            Predicate::Any(parts) => {
                let each: Option<Vec<_>> = parts.iter().map(|part| part.named_by(fields)).collect();
                each.map(|lists| lists.concat())
            }
            Predicate::Test(Test {
                reference: Reference::Intrinsic(field),
                ask: Ask::Passes { check: Check::Id(id, true), .. },
            }) if fields.contains(field) => {
                id.as_slice().try_into().ok().map(|id| vec![TraceId(id)])
            }
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

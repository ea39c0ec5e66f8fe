//! What a query means, written down once more and as plainly as possible: over whole events, one by
//! one, sharing no code with the engine but the expression's types.

use std::cell::RefCell;
use std::collections::HashMap;

use annal::event::{Attribute, Event, Value};
use annal::query::{
    AttributeScope, Comparison, Expr, Intrinsic, Literal, Operand, Operator, Query, Reference,
};

use crate::events::nested;

/// A value that comparisons see.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    Word(&'static str),
    Id(u128),
    Incomparable,
}

pub(crate) fn source(event: &Event) -> String {
    if !event.source.is_empty() {
        return event.source.clone();
    }
    let named = event.resource.attributes.iter().find_map(|a| match &a.value {
        Value::String(name) if a.key == "service.name" && !name.is_empty() => Some(name.clone()),
        _ => None,
    });
    named.unwrap_or_else(|| "unknown_service".to_owned())
}

pub(crate) fn matches(query: &Query, event: &Event) -> bool {
    query.range.contains(event.time)
        && query.source.as_ref().is_none_or(|s| *s == source(event))
        && query.event_type.as_ref().is_none_or(|t| *t == event.event_type)
        && query.signal.is_none_or(|s| s == event.signal)
        && query.trace.is_none_or(|t| event.trace_id == Some(t))
        && query.sequences.as_ref().is_none_or(|s| s.contains(&event.sequence))
        && query.filter.as_ref().is_none_or(|f| holds(f, event))
}

fn holds(expr: &Expr, event: &Event) -> bool {
    match expr {
        Expr::Constant(value) => *value,
        Expr::Not(inner) => !holds(inner, event),
        Expr::All(parts) => parts.iter().all(|p| holds(p, event)),
        Expr::Any(parts) => parts.iter().any(|p| holds(p, event)),
        Expr::Truth(reference) => {
            let values = values(reference, event).unwrap_or_default();
            values.contains(&Seen::Bool(true))
        }
        Expr::Compare(comparison) => compare(comparison, event),
    }
}

fn compare(comparison: &Comparison, event: &Event) -> bool {
    let Comparison { left, operator, right } = comparison;
    match (left, right) {
        (Operand::Reference(left), Operand::Reference(right)) => {
            let left = values(left, event).unwrap_or_default();
            let right = values(right, event).unwrap_or_default();
            let pairs: Vec<bool> =
                left.iter().flat_map(|l| right.iter().map(|r| passes(l, *operator, r))).collect();
            some_or_all(*operator, &pairs)
        }
        (Operand::Reference(reference), Operand::Literal(literal)) => {
            let values = values(&settle(reference, literal), event);
            if *literal == Literal::Nil {
                return values.is_none() == (*operator == Operator::Equal);
            }
            let values = values.unwrap_or_default();
            let each: Vec<bool> =
                values.iter().map(|v| against(v, *operator, literal, reference)).collect();
            some_or_all(*operator, &each)
        }
        _ => panic!("questions have the event on the left"),
    }
}

fn some_or_all(operator: Operator, each: &[bool]) -> bool {
    match operator {
        Operator::NotEqual | Operator::NotMatches => !each.is_empty() && each.iter().all(|b| *b),
        _ => each.contains(&true),
    }
}

/// `severity` is its text beside text.
fn settle(reference: &Reference, literal: &Literal) -> Reference {
    match (reference, literal) {
        (Reference::Intrinsic(Intrinsic::Severity), Literal::String(_)) => {
            Reference::Intrinsic(Intrinsic::SeverityText)
        }
        (other, _) => other.clone(),
    }
}

fn against(value: &Seen, operator: Operator, literal: &Literal, reference: &Reference) -> bool {
    if let (Operator::Matches | Operator::NotMatches, Literal::String(pattern)) =
        (operator, literal)
    {
        let Seen::Text(text) = value else { return false };
        return matched(pattern, text) == (operator == Operator::Matches);
    }
    let other = match literal {
        Literal::String(text) => match value {
            Seen::Id(_) => Seen::Id(u128::from_str_radix(text, 16).unwrap()),
            _ => Seen::Text(text.clone()),
        },
        Literal::Int(value) | Literal::Duration(value) => Seen::Int(*value),
        Literal::Float(value) => Seen::Double(*value),
        Literal::Bool(value) => Seen::Bool(*value),
        Literal::Nil => Seen::Incomparable,
        Literal::Word(word) => {
            let leveled = [Intrinsic::Severity, Intrinsic::SeverityNumber];
            if leveled.iter().any(|i| *reference == Reference::Intrinsic(*i)) {
                return level(value, operator, word.name());
            }
            Seen::Word(word.name())
        }
    };
    passes(value, operator, &other)
}

/// Regular expressions are made once: there are few.
fn matched(pattern: &str, text: &str) -> bool {
    thread_local!(static MADE: RefCell<HashMap<String, regex::Regex>> = RefCell::default());
    MADE.with_borrow_mut(|made| {
        let regex = made.entry(pattern.to_owned());
        let new = || regex::Regex::new(&format!("^(?s:{pattern})$")).unwrap();
        regex.or_insert_with(new).is_match(text)
    })
}

fn level(value: &Seen, operator: Operator, word: &str) -> bool {
    let Seen::Int(number) = value else { return false };
    let levels = ["trace", "debug", "info", "warn", "error", "fatal"];
    let wanted = levels.iter().position(|l| *l == word).unwrap() as i64;
    // 1 to 4 are trace, 5 to 8 debug, and so on.
    let own = (number - 1).div_euclid(4);
    passes(&Seen::Int(own), operator, &Seen::Int(wanted))
}

fn passes(left: &Seen, operator: Operator, right: &Seen) -> bool {
    use std::cmp::Ordering;
    let order = match (left, right) {
        (Seen::Text(a), Seen::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Seen::Int(a), Seen::Int(b)) => Some(a.cmp(b)),
        (Seen::Double(a), Seen::Double(b)) => a.partial_cmp(b),
        (Seen::Int(a), Seen::Double(b)) => exact(*a, *b),
        (Seen::Double(a), Seen::Int(b)) => exact(*b, *a).map(Ordering::reverse),
        (Seen::Bool(a), Seen::Bool(b)) => Some(a.cmp(b)),
        (Seen::Word(a), Seen::Word(b)) => Some(a.cmp(b)),
        (Seen::Id(a), Seen::Id(b)) => Some(a.cmp(b)),
        _ => return false,
    };
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Operator::Matches | Operator::NotMatches => false,
    }
}

/// A whole number beside a double, without rounding the whole number.
fn exact(int: i64, double: f64) -> Option<std::cmp::Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= 9_223_372_036_854_775_808.0 {
        return Some(std::cmp::Ordering::Less);
    }
    if double < -9_223_372_036_854_775_808.0 {
        return Some(std::cmp::Ordering::Greater);
    }
    let whole = double.trunc() as i64;
    Some(int.cmp(&whole).then(0.0.partial_cmp(&double.fract()).unwrap()))
}

/// The values of a reference; `None` is nil.
fn values(reference: &Reference, event: &Event) -> Option<Vec<Seen>> {
    match reference {
        Reference::Intrinsic(intrinsic) => self::intrinsic(*intrinsic, event),
        Reference::Attribute { scope: Some(scope), key } => scoped(*scope, key, event),
        Reference::Attribute { scope: None, key } => {
            AttributeScope::ALL.iter().find_map(|scope| scoped(*scope, key, event))
        }
    }
}

fn scoped(scope: AttributeScope, key: &str, event: &Event) -> Option<Vec<Seen>> {
    let lists: Vec<&[Attribute]> = match scope {
        AttributeScope::Span => vec![&event.attributes],
        AttributeScope::Resource => vec![&event.resource.attributes],
        AttributeScope::Event => event.events.iter().map(|e| &e.attributes[..]).collect(),
        AttributeScope::Link => event.links.iter().map(|l| &l.attributes[..]).collect(),
        AttributeScope::Instrumentation => event.scope.iter().map(|s| &s.attributes[..]).collect(),
    };
    let named = lists.into_iter().flatten().filter(|a| a.key == key);
    let named: Vec<&Value> = named.map(|a| &a.value).filter(|v| **v != Value::Empty).collect();
    (!named.is_empty()).then(|| named.into_iter().flat_map(seen).collect())
}

fn seen(value: &Value) -> Vec<Seen> {
    vec![match value {
        Value::String(text) => Seen::Text(text.clone()),
        Value::Int(value) => Seen::Int(*value),
        Value::Double(bits) => Seen::Double(bits.get()),
        Value::Bool(value) => Seen::Bool(*value),
        Value::Bytes(_) | Value::Empty => Seen::Incomparable,
        Value::Nested(bytes) => {
            let (_, elements) = nested().into_iter().find(|(b, _)| b == bytes).unwrap();
            return elements.iter().flat_map(seen).collect();
        }
    }]
}

fn intrinsic(intrinsic: Intrinsic, event: &Event) -> Option<Vec<Seen>> {
    let text = |text: &str| (!text.is_empty()).then(|| vec![Seen::Text(text.to_owned())]);
    let int = |value: Option<i64>| value.map(|v| vec![Seen::Int(v)]);
    let id = |bytes: Option<&[u8]>| {
        bytes.map(|b| vec![Seen::Id(b.iter().fold(0, |id, byte| id << 8 | u128::from(*byte)))])
    };
    let any = |all: Vec<Seen>| (!all.is_empty()).then_some(all);
    match intrinsic {
        Intrinsic::Source => Some(vec![Seen::Text(source(event))]),
        Intrinsic::Type => Some(vec![Seen::Text(event.event_type.clone())]),
        Intrinsic::Signal => Some(vec![Seen::Word(event.signal.name())]),
        Intrinsic::Status => Some(vec![Seen::Word(event.status.name())]),
        Intrinsic::Kind => Some(vec![Seen::Word(event.kind.name())]),
        Intrinsic::Time => int(Some(event.time.0)),
        Intrinsic::Sequence => int(Some(event.sequence as i64)),
        Intrinsic::Received => panic!("not known before it is stored"),
        Intrinsic::Observed => int(event.observed.map(|t| t.0)),
        Intrinsic::Duration => int(event.duration),
        Intrinsic::Severity if event.severity_number == 0 => {
            // Only existence asks for it without a type: the text is there too.
            text(&event.severity_text).map(|_| vec![])
        }
        Intrinsic::Severity | Intrinsic::SeverityNumber => {
            int(Some(i64::from(event.severity_number)).filter(|n| *n != 0))
        }
        Intrinsic::SeverityText => text(&event.severity_text),
        Intrinsic::StatusMessage => text(&event.status_message),
        Intrinsic::TraceState => text(&event.trace_state),
        Intrinsic::Message => match &event.body {
            Some(Value::String(text)) => Some(vec![Seen::Text(text.clone())]),
            _ => None,
        },
        Intrinsic::TraceId => id(event.trace_id.as_ref().map(|t| &t.0[..])),
        Intrinsic::SpanId => id(event.span_id.as_ref().map(|s| &s.0[..])),
        Intrinsic::ParentSpanId => id(event.parent_span_id.as_ref().map(|s| &s.0[..])),
        Intrinsic::InstrumentationName => event.scope.as_ref().and_then(|s| text(&s.name)),
        Intrinsic::InstrumentationVersion => event.scope.as_ref().and_then(|s| text(&s.version)),
        Intrinsic::EventName => {
            any(event.events.iter().filter_map(|e| text(&e.name)).flatten().collect())
        }
        Intrinsic::EventTimeSinceStart => {
            any(event.events.iter().map(|e| Seen::Int(e.time.0 - event.time.0)).collect())
        }
        Intrinsic::LinkTraceId => {
            any(event.links.iter().filter_map(|l| id(Some(&l.trace_id.0))).flatten().collect())
        }
        Intrinsic::LinkSpanId => {
            let ids = event.links.iter().filter_map(|l| l.span_id);
            any(ids.filter_map(|s| id(Some(&s.0))).flatten().collect())
        }
    }
}

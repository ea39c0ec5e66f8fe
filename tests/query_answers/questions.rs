//! Random questions about the random events.

use annal::event::{Event, Kind, Signal, Status};
use annal::query::{
    AttributeScope, Comparison, Expr, Intrinsic, Literal, Operand, Operator, Order, Query,
    Reference, Word,
};
use annal::{TimeRange, Timestamp};

use crate::events::{
    DOUBLES, DURATIONS, INTS, KEYS, Random, SCOPES, SOURCES, TEXTS, TYPES, random_statement,
    span_ids, trace_ids,
};
use crate::naive;

const ORDERED: [Operator; 6] = [
    Operator::Equal,
    Operator::NotEqual,
    Operator::Less,
    Operator::LessOrEqual,
    Operator::Greater,
    Operator::GreaterOrEqual,
];
const EQUALITY: [Operator; 2] = [Operator::Equal, Operator::NotEqual];
const PATTERNS: [&str; 11] = [
    ".*t.*",
    "x",
    "u-.*",
    ".*7",
    "a|x",
    ".*out.after.*",
    "",
    ".*",
    "[A-Z].*m",
    "order 0.*",
    ".*[02] is late",
];

pub(crate) fn random_query(random: &mut Random, events: &[Event]) -> Query {
    let mut query = Query::new(range(random, events));
    query.order = random.pick(&[Order::Newest, Order::Oldest]);
    query.limit = random.pick(&[1, 7, 100, 100, 1_000_000]);
    let some = &events[random.below(events.len())];
    if random.one_in(5) {
        query.source = Some(naive::source(some));
    }
    if random.one_in(5) {
        query.event_type = Some(some.event_type.clone());
    }
    if random.one_in(8) {
        query.signal = Some(random.pick(&[Signal::Span, Signal::Log, Signal::Event]));
    }
    if random.one_in(12) {
        query.trace = Some(random.pick(&trace_ids()));
    }
    if random.one_in(10) {
        let other = events[random.below(events.len())].sequence;
        query.sequences = Some(some.sequence.min(other)..some.sequence.max(other));
    }
    if !random.one_in(6) {
        let expr = expression(random, 2);
        // Half of them go through their text.
        let text = expr.to_string();
        query.filter = Some(if random.one_in(2) { expr } else { text.parse().expect(&text) });
    }
    query
}

fn range(random: &mut Random, events: &[Event]) -> TimeRange {
    let mut time = || events[random.below(events.len())].time;
    let (a, b) = (time(), time());
    match random.below(4) {
        0 => TimeRange { since: a.min(b), until: a.max(b) },
        1 => TimeRange { since: Timestamp::MIN, until: a },
        _ => TimeRange::ALL,
    }
}

fn expression(random: &mut Random, depth: usize) -> Expr {
    let parts = |random: &mut Random| {
        let count = 2 + random.below(2);
        (0..count).map(|_| expression(random, depth - 1)).collect()
    };
    match random.below(if depth == 0 { 4 } else { 8 }) {
        4 => Expr::All(parts(random)),
        5 | 6 => Expr::Any(parts(random)),
        7 => Expr::Not(Box::new(expression(random, depth - 1))),
        3 => about_intrinsic(random),
        _ => about_attribute(random),
    }
}

fn attribute(random: &mut Random) -> Reference {
    let scope = if random.one_in(2) { None } else { Some(random.pick(&AttributeScope::ALL)) };
    Reference::Attribute { scope, key: random.pick(&KEYS).to_owned() }
}

fn about_attribute(random: &mut Random) -> Expr {
    let reference = attribute(random);
    let operator = random.pick(&ORDERED);
    match random.below(10) {
        0 => Expr::Truth(reference),
        1 => Expr::compare(reference, random.pick(&EQUALITY), Literal::Nil),
        2 => Expr::compare(reference, random.pick(&EQUALITY), random.one_in(2)),
        3 => {
            let operator = random.pick(&[Operator::Matches, Operator::NotMatches]);
            Expr::compare(reference, operator, random.pick(&PATTERNS))
        }
        4 => {
            let doubles: Vec<f64> = DOUBLES.iter().copied().filter(|d| d.is_finite()).collect();
            Expr::compare(reference, operator, random.pick(&doubles))
        }
        5 => Expr::compare(reference, operator, Literal::Duration(random.pick(&DURATIONS))),
        6 => Expr::Compare(Comparison {
            left: Operand::Reference(reference),
            operator,
            right: Operand::Reference(attribute(random)),
        }),
        7 => Expr::compare(reference, operator, random.pick(&INTS)),
        8 => match random.one_in(2) {
            true => Expr::compare(reference, random.pick(&EQUALITY), Status::Error),
            false => Expr::compare(reference, operator, random_statement(random).as_str()),
        },
        _ => Expr::compare(reference, operator, random.pick(&TEXTS)),
    }
}

fn about_intrinsic(random: &mut Random) -> Expr {
    let intrinsic = loop {
        // When an event was received is not known to the plain walk.
        let intrinsic = random.pick(Intrinsic::ALL);
        if intrinsic != Intrinsic::Received {
            break intrinsic;
        }
    };
    let reference = Reference::Intrinsic(intrinsic);
    let always = [
        Intrinsic::Source,
        Intrinsic::Type,
        Intrinsic::Signal,
        Intrinsic::Time,
        Intrinsic::Sequence,
        Intrinsic::Status,
        Intrinsic::Kind,
    ];
    let equality = random.pick(&EQUALITY);
    if random.one_in(5) && !always.contains(&intrinsic) {
        return Expr::compare(reference, equality, Literal::Nil);
    }
    let ordered = random.pick(&ORDERED);
    match intrinsic {
        Intrinsic::Signal => {
            Expr::compare(reference, equality, random.pick(&[Signal::Span, Signal::Log]))
        }
        Intrinsic::Status => {
            Expr::compare(reference, equality, random.pick(&[Status::Unset, Status::Error]))
        }
        Intrinsic::Kind => {
            Expr::compare(reference, equality, random.pick(&[Kind::Unspecified, Kind::Server]))
        }
        Intrinsic::Time | Intrinsic::Observed => {
            let time = crate::events::START_NS + random.below(1_200) as i64 * 1_000_000_000;
            Expr::compare(reference, ordered, time)
        }
        Intrinsic::Sequence => Expr::compare(reference, ordered, random.below(1_500) as i64),
        Intrinsic::Duration | Intrinsic::EventTimeSinceStart => {
            Expr::compare(reference, ordered, Literal::Duration(random.pick(&DURATIONS)))
        }
        Intrinsic::Severity | Intrinsic::SeverityNumber => severity(random, reference, ordered),
        Intrinsic::TraceId | Intrinsic::LinkTraceId => {
            Expr::compare(reference, equality, random.pick(&trace_ids()).to_string())
        }
        Intrinsic::SpanId | Intrinsic::ParentSpanId | Intrinsic::LinkSpanId => {
            let id = random.pick(&span_ids()).to_string();
            // Leading zeroes may be left out.
            Expr::compare(reference, equality, id.trim_start_matches('0'))
        }
        _ => text(random, reference, ordered),
    }
}

fn severity(random: &mut Random, reference: Reference, ordered: Operator) -> Expr {
    let level = random.pick(&["trace", "debug", "info", "warn", "error", "fatal"]);
    match random.below(3) {
        0 => Expr::compare(reference, ordered, random.below(25) as i64),
        1 if reference == Reference::Intrinsic(Intrinsic::Severity) => {
            Expr::compare(reference, ordered, random.pick(&["WARN", "ERROR"]))
        }
        _ => Expr::compare(reference, ordered, Literal::Word(Word::from_name(level).unwrap())),
    }
}

fn text(random: &mut Random, reference: Reference, ordered: Operator) -> Expr {
    if random.one_in(3) {
        let operator = random.pick(&[Operator::Matches, Operator::NotMatches]);
        return Expr::compare(reference, operator, random.pick(&PATTERNS));
    }
    if random.one_in(4) {
        return Expr::compare(reference, ordered, random_statement(random).as_str());
    }
    let words = [&TEXTS[..], &SOURCES, &TYPES, &SCOPES, &["exception", "1.0", "WARN"]].concat();
    Expr::compare(reference, ordered, random.pick(&words))
}

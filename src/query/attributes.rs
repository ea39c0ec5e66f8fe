//! What the index of attributes can leave out: of a condition the part that says which attribute an
//! event must have, and with which value.

use crate::column::Table;
use crate::event::ValueType;
use crate::index::attributes::{AttributeId, BlockFilter, Sought};
use crate::query::ast::{AttributeScope, Reference};
use crate::query::predicate::{Ask, Predicate, Test};
use crate::query::value::Check;
use crate::store::SegmentAttributes;

/// An attribute, and its value if one is asked for.
type Wanted = (AttributeId, Option<Vec<u8>>);

/// A condition that must hold of a block if its events can match.
#[derive(Clone, Debug)]
pub(super) enum Probe {
    All(Vec<Probe>),
    Any(Vec<Probe>),
    /// One of these attributes occurs, with the value if there is one.
    Occurs(Vec<Wanted>),
}

impl Probe {
    /// The probe of a predicate; `None` if it says nothing of attributes.
    pub(super) fn of(predicate: &Predicate) -> Option<Probe> {
        match predicate {
            Predicate::All(parts) => {
                let probes: Vec<Probe> = parts.iter().filter_map(Probe::of).collect();
                (!probes.is_empty()).then_some(Probe::All(probes))
            }
            // One part that says nothing lets everything through.
            Predicate::Any(parts) => {
                parts.iter().map(Probe::of).collect::<Option<Vec<_>>>().map(Probe::Any)
            }
            Predicate::Test(test) => of_test(test),
            Predicate::Constant(_) | Predicate::Not(_) | Predicate::Pair(..) => None,
        }
    }

    /// The probe as the blocks of a segment are asked.
    pub(super) fn of_segment(&self, filters: &SegmentAttributes) -> SegmentProbe {
        let each = |parts: &[Probe]| parts.iter().map(|part| part.of_segment(filters)).collect();
        match self {
            Probe::All(parts) => SegmentProbe::All(each(parts)),
            Probe::Any(parts) => SegmentProbe::Any(each(parts)),
            Probe::Occurs(attributes) => {
                let seek = |(id, value): &Wanted| filters.seek(id, value.as_deref());
                SegmentProbe::Occurs(attributes.iter().filter_map(seek).collect())
            }
        }
    }
}

/// A probe whose attributes were looked up: a block costs a few bits.
#[derive(Clone, Debug)]
pub(super) enum SegmentProbe {
    All(Vec<SegmentProbe>),
    Any(Vec<SegmentProbe>),
    Occurs(Vec<Sought>),
}

impl SegmentProbe {
    /// Whether an event of the block may match; false is certain.
    pub(super) fn may_hold(&self, block: &BlockFilter<'_>) -> bool {
        match self {
            SegmentProbe::All(parts) => parts.iter().all(|part| part.may_hold(block)),
            SegmentProbe::Any(parts) => parts.iter().any(|part| part.may_hold(block)),
            SegmentProbe::Occurs(sought) => sought.iter().any(|one| block.may_contain(*one)),
        }
    }
}

/// The table that holds the attributes of a scope.
pub(super) fn table_of(scope: AttributeScope) -> Table {
    match scope {
        AttributeScope::Span => Table::Events,
        AttributeScope::Resource => Table::Resources,
        AttributeScope::Event => Table::SpanEvents,
        AttributeScope::Link => Table::Links,
        AttributeScope::Instrumentation => Table::Scopes,
    }
}

fn of_test(test: &Test) -> Option<Probe> {
    let Reference::Attribute { scope, key } = &test.reference else { return None };
    use ValueType::{Bool, Bytes, Double, Int, Nested, String};
    let check = match &test.ask {
        Ask::Absent => return None,
        Ask::Present => None,
        Ask::Passes { check, .. } => Some(check),
    };
    // A value of another type passes nothing; an array passes by its elements.
    let types: &[ValueType] = match check {
        None => &[String, Int, Double, Bool, Bytes, Nested],
        Some(Check::Text(_)) => &[String, Nested],
        Some(Check::Number(_)) => &[Int, Double, Nested],
        Some(Check::Bool(_)) => &[Bool, Nested],
        Some(Check::Code(..) | Check::Id(..) | Check::Never) => return None,
    };
    let wanted = match check {
        Some(Check::Text(test)) => test.equal_to(),
        _ => None,
    };
    let scopes = scope.as_ref().map_or(AttributeScope::ALL.as_slice(), std::slice::from_ref);
    let mut attributes = Vec::with_capacity(scopes.len() * types.len());
    for table in scopes.iter().map(|scope| table_of(*scope)) {
        for value_type in types {
            let (table, code) = (table as u8, *value_type as u8);
            let id = AttributeId { table, value_type: code, key: key.to_string() };
            let value = wanted.filter(|_| *value_type == String).map(<[u8]>::to_vec);
            attributes.push((id, value));
        }
    }
    Some(Probe::Occurs(attributes))
}

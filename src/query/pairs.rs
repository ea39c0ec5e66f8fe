//! Two things of an event against each other (`span.a = span.b`): rare, so row by row. Each value
//! of one side meets each of the other; `!=` wants all of these to differ, the rest any to pass.

use crate::column::{Field, Table};
use crate::error::Result;
use crate::query::ast::{AttributeScope, Intrinsic, Operator, Reference};
use crate::query::decoded::{Columns, Form, Place, home};
use crate::query::evaluate::{referred, since_start};
use crate::query::selection::Selection;
use crate::query::value::{Number, Scalar, pair_holds};

/// The values of one row.
pub(super) type Values = Vec<Owned>;

/// A value that outlives its column.
#[derive(Clone)]
pub(super) enum Owned {
    Text(Vec<u8>),
    Id(Vec<u8>),
    Plain(Scalar<'static>),
}

impl Owned {
    fn of(value: Scalar<'_>) -> Owned {
        match value {
            Scalar::Text(text) => Owned::Text(text.to_vec()),
            Scalar::Id(id) => Owned::Id(id.to_vec()),
            Scalar::Number(number) => Owned::Plain(Scalar::Number(number)),
            Scalar::Bool(value) => Owned::Plain(Scalar::Bool(value)),
            Scalar::Code(code) => Owned::Plain(Scalar::Code(code)),
            Scalar::Other => Owned::Plain(Scalar::Other),
        }
    }

    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Owned::Text(text) => Scalar::Text(text),
            Owned::Id(id) => Scalar::Id(id),
            Owned::Plain(plain) => *plain,
        }
    }
}

/// Those of the rows `within` for which the comparison holds.
pub(super) fn select(
    columns: &mut Columns<'_>,
    left: &Reference,
    operator: Operator,
    right: &Reference,
    within: &Selection,
) -> Result<Selection> {
    let left = reference(columns, left, within)?;
    let right = reference(columns, right, within)?;
    Ok(Selection::of(within.rows(), |row| {
        let (Some(left), Some(right)) = (left.get(row), right.get(row)) else {
            return false;
        };
        let mut pairs =
            left.iter().flat_map(|l| right.iter().map(move |r| (l.scalar(), r.scalar())));
        let holds = |(l, r)| pair_holds(l, operator, r);
        if !operator.is_negative() {
            return pairs.any(holds);
        }
        !left.is_empty() && !right.is_empty() && pairs.all(holds)
    }))
}

/// The values of each event; none outside `within`.
pub(super) fn reference(
    columns: &mut Columns<'_>,
    reference: &Reference,
    within: &Selection,
) -> Result<Vec<Values>> {
    let (scopes, key) = match reference {
        Reference::Intrinsic(intrinsic) => return self::intrinsic(columns, *intrinsic, within),
        Reference::Attribute { scope: Some(scope), key } => (vec![*scope], key),
        Reference::Attribute { scope: None, key } => (AttributeScope::ALL.to_vec(), key),
    };
    let mut found = vec![Values::new(); within.rows()];
    let mut left = within.clone();
    for scope in scopes {
        let places = columns.attribute(scope, key);
        let mut present = Selection::none(within.rows());
        for place in places {
            add(columns, place, &left, &mut found, &mut present)?;
        }
        left.and_not(&present);
    }
    Ok(found)
}

fn intrinsic(
    columns: &mut Columns<'_>,
    intrinsic: Intrinsic,
    within: &Selection,
) -> Result<Vec<Values>> {
    let mut found = vec![Values::new(); within.rows()];
    let int = |value| Owned::Plain(Scalar::Number(Number::Int(value)));
    let mut put = |row: usize, value| {
        if within.contains(row)
            && let Some(values) = found.get_mut(row)
        {
            values.push(value);
        }
    };
    match intrinsic {
        Intrinsic::Sequence => {
            let first = columns.header.first_sequence;
            within.iter().for_each(|row| put(row, int((first + row as u64) as i64)));
        }
        Intrinsic::Received => {
            // Events of a block may have been received at several times.
            let times = columns.field_ints(Table::Events, Field::Received)?;
            let all = columns.header.received.0;
            let of = |row: usize| {
                times.as_ref().map_or(all, |t| t.values.get(row).copied().unwrap_or(0))
            };
            within.iter().for_each(|row| put(row, int(of(row))));
        }
        Intrinsic::EventTimeSinceStart => {
            if let Some(times) = columns.field_ints(Table::SpanEvents, Field::Time)? {
                let owners = columns.every_int(Table::SpanEvents, Field::Owner)?;
                let starts = columns.every_int(Table::Events, Field::Time)?;
                for (row, owner) in owners.values.iter().enumerate() {
                    let owner = usize::try_from(*owner).unwrap_or(usize::MAX);
                    put(owner, int(since_start(&times, &owners, &starts, row)));
                }
            }
        }
        other => {
            let places = columns.intrinsic(other);
            if places.is_empty() && home(other).2 == Form::Code {
                within.iter().for_each(|row| put(row, Owned::Plain(Scalar::Code(0))));
            }
            let mut present = Selection::none(within.rows());
            for place in places {
                add(columns, place, within, &mut found, &mut present)?;
            }
        }
    }
    Ok(found)
}

/// Adds the values of a column to the events of `within`, and those that have some to `present`.
fn add(
    columns: &mut Columns<'_>,
    place: Place,
    within: &Selection,
    found: &mut [Values],
    present: &mut Selection,
) -> Result<()> {
    let column = columns.column(place)?;
    let mut put = |event: usize, row: usize| {
        if let (true, Some(values)) = (within.contains(event), found.get_mut(event))
            && column.visit(row, |value| values.push(Owned::of(value)))
        {
            present.insert(event);
        }
    };
    match place.table {
        Table::Events => within.iter().for_each(|event| put(event, event)),
        Table::Resources | Table::Scopes => {
            let scopes = place.table == Table::Scopes;
            let field = if scopes { Field::Scope } else { Field::Resource };
            if let Some(rows) = columns.field_ints(Table::Events, field)? {
                for event in within.iter() {
                    if let Some(row) = referred(&rows, event) {
                        put(event, row);
                    }
                }
            }
        }
        Table::Links | Table::SpanEvents => {
            let owners = columns.every_int(place.table, Field::Owner)?;
            for (row, owner) in owners.values.iter().enumerate() {
                put(usize::try_from(*owner).unwrap_or(usize::MAX), row);
            }
        }
    }
    Ok(())
}

//! A predicate over one frame: rows in, rows out.
//!
//! 1. Of several conditions the cheapest comes first and the next sees only what is left.
//! 2. A test runs on the table where its values stand (a resource once for all its events) and once
//!    per entry of a dictionary; only then its outcome is spread over events.
//! 3. Columns are decoded when a test needs them; numbers and codes are compared as they are encoded.

use crate::column::{Field, Ints, Kernels, Table, Texts};
use crate::error::Result;
use crate::query::ast::{AttributeScope, Intrinsic, Reference};
use crate::query::decoded::{Column, Columns, Form, Place, Values, has_int};
use crate::query::pairs;
use crate::query::predicate::{Ask, Predicate, Test};
use crate::query::selection::Selection;
use crate::query::value::{Check, Number, Scalar};

/// Rows with a value, rows with a value that passes, rows with one that does not.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) present: Selection,
    pub(super) hit: Selection,
    pub(super) miss: Selection,
}

const PRESENT: u8 = 1;
const HIT: u8 = 2;
const MISS: u8 = 4;
/// The dictionary entry has been looked at.
const KNOWN: u8 = 8;
/// Dictionaries up to this size are tested as a whole, before it is known which entries matter.
const ENTRIES_EAGER_MAX: usize = 64;
/// So many codes are compared one after the other, before looking each row's up is quicker: a
/// comparison costs a tenth of that.
const CODES_COMPARED_MAX: usize = 8;

impl Outcome {
    fn none(rows: usize) -> Outcome {
        let none = Selection::none(rows);
        Outcome { present: none.clone(), hit: none.clone(), miss: none }
    }

    /// Asks for the bits of each row of `within`.
    fn of(within: &Selection, mut bits: impl FnMut(usize) -> u8) -> Outcome {
        let mut outcome = Outcome::none(within.rows());
        for row in within.iter() {
            outcome.add(row, bits(row));
        }
        outcome
    }

    #[inline]
    fn add(&mut self, row: usize, bits: u8) {
        if bits & PRESENT != 0 {
            self.present.insert(row);
        }
        if bits & HIT != 0 {
            self.hit.insert(row);
        }
        if bits & MISS != 0 {
            self.miss.insert(row);
        }
    }

    fn bits(&self, row: usize) -> u8 {
        let bit = |set: &Selection, bit| if set.contains(row) { bit } else { 0 };
        bit(&self.present, PRESENT) | bit(&self.hit, HIT) | bit(&self.miss, MISS)
    }

    fn or(&mut self, other: &Outcome) {
        self.present.or(&other.present);
        self.hit.or(&other.hit);
        self.miss.or(&other.miss);
    }

    fn restrict(&mut self, to: &Selection) {
        self.present.and(to);
        self.hit.and(to);
        self.miss.and(to);
    }
}

/// Those of the rows `within` for which the predicate holds.
pub(super) fn select(
    columns: &mut Columns<'_>,
    predicate: &Predicate,
    within: &Selection,
) -> Result<Selection> {
    match predicate {
        Predicate::Constant(true) => Ok(within.clone()),
        Predicate::Constant(false) => Ok(Selection::none(within.rows())),
        Predicate::Not(inner) => {
            let mut rest = within.clone();
            rest.and_not(&select(columns, inner, within)?);
            Ok(rest)
        }
        Predicate::All(parts) => {
            let mut left = within.clone();
            for part in parts {
                if left.is_empty() {
                    break;
                }
                left = select(columns, part, &left)?;
            }
            Ok(left)
        }
        Predicate::Any(parts) => {
            let (mut found, mut left) = (Selection::none(within.rows()), within.clone());
            for part in parts {
                if left.is_empty() {
                    break;
                }
                let more = select(columns, part, &left)?;
                left.and_not(&more);
                found.or(&more);
            }
            Ok(found)
        }
        Predicate::Test(test) => run(columns, test, within),
        Predicate::Pair(left, operator, right) => {
            pairs::select(columns, left, *operator, right, within)
        }
    }
}

fn run(columns: &mut Columns<'_>, test: &Test, within: &Selection) -> Result<Selection> {
    let (check, all) = match &test.ask {
        Ask::Passes { check, all } => (Some(check), *all),
        _ => (None, false),
    };
    let outcome = reference(columns, &test.reference, check, within)?;
    let mut result = within.clone();
    match test.ask {
        Ask::Absent => result.and_not(&outcome.present),
        Ask::Present => result.and(&outcome.present),
        Ask::Passes { .. } => {
            result.and(&outcome.hit);
            if all {
                result.and_not(&outcome.miss);
            }
        }
    }
    Ok(result)
}

/// What becomes of a check on each event; without one only presence is asked.
fn reference(
    columns: &mut Columns<'_>,
    reference: &Reference,
    check: Option<&Check>,
    within: &Selection,
) -> Result<Outcome> {
    match reference {
        Reference::Intrinsic(intrinsic) => self::intrinsic(columns, *intrinsic, check, within),
        Reference::Attribute { scope: Some(scope), key } => {
            let places = columns.attribute(*scope, key);
            self::places(columns, &places, check, within)
        }
        Reference::Attribute { scope: None, key } => {
            let (mut found, mut left) = (Outcome::none(within.rows()), within.clone());
            for scope in AttributeScope::ALL {
                let places = columns.attribute(scope, key);
                if places.is_empty() || left.is_empty() {
                    continue;
                }
                let mut outcome = self::places(columns, &places, check, &left)?;
                outcome.restrict(&left);
                left.and_not(&outcome.present);
                found.or(&outcome);
            }
            Ok(found)
        }
    }
}

fn intrinsic(
    columns: &mut Columns<'_>,
    intrinsic: Intrinsic,
    check: Option<&Check>,
    within: &Selection,
) -> Result<Outcome> {
    let number = |value| bits(check, [Scalar::Number(Number::Int(value))]);
    match intrinsic {
        Intrinsic::Sequence => {
            let first = columns.header.first_sequence;
            Ok(Outcome::of(within, |row| number((first + row as u64) as i64)))
        }
        Intrinsic::Received => {
            // Events of a block may have been received at several times.
            if let Some(times) = columns.field_ints(Table::Events, Field::Received)? {
                let time = |row| times.values.get(row).copied().unwrap_or(0);
                return Ok(Outcome::of(within, |row| number(time(row))));
            }
            let bits = number(columns.header.received.0);
            Ok(Outcome::of(within, |_| bits))
        }
        Intrinsic::EventTimeSinceStart => {
            let Some(times) = columns.field_ints(Table::SpanEvents, Field::Time)? else {
                return Ok(Outcome::none(within.rows()));
            };
            let owners = columns.every_int(Table::SpanEvents, Field::Owner)?;
            let starts = columns.every_int(Table::Events, Field::Time)?;
            let since = |row: usize| since_start(&times, &owners, &starts, row);
            let rows = Selection::all(columns.view.rows(Table::SpanEvents));
            let outcome = Outcome::of(&rows, |row| number(since(row)));
            to_events(columns, Table::SpanEvents, &outcome, within)
        }
        _ => {
            let places = columns.intrinsic(intrinsic);
            let (_, _, form) = crate::query::decoded::home(intrinsic);
            if places.is_empty() && form == Form::Code {
                // No event of the frame says anything: all have code 0.
                let bits = bits(check, [Scalar::Code(0)]);
                return Ok(Outcome::of(within, |_| bits));
            }
            self::places(columns, &places, check, within)
        }
    }
}

/// Nanoseconds between the start of an event and a span event inside it.
pub(super) fn since_start(times: &Ints, owners: &Ints, starts: &Ints, row: usize) -> i64 {
    let get = |ints: &Ints, row| ints.values.get(row).copied().unwrap_or(0);
    let owner = usize::try_from(get(owners, row)).unwrap_or(usize::MAX);
    get(times, row).saturating_sub(get(starts, owner))
}

/// The outcome over several columns of one table, for events.
fn places(
    columns: &mut Columns<'_>,
    places: &[Place],
    check: Option<&Check>,
    within: &Selection,
) -> Result<Outcome> {
    let Some(table) = places.first().map(|p| p.table) else {
        return Ok(Outcome::none(within.rows()));
    };
    let all;
    let rows = if table == Table::Events {
        within
    } else {
        all = Selection::all(columns.view.rows(table));
        &all
    };
    let mut sum = Outcome::none(rows.rows());
    for place in places {
        sum.or(&column(columns, *place, check, rows)?);
    }
    if table == Table::Events { Ok(sum) } else { to_events(columns, table, &sum, within) }
}

fn column(
    columns: &mut Columns<'_>,
    place: Place,
    check: Option<&Check>,
    rows: &Selection,
) -> Result<Outcome> {
    let values_matter = matches!(place.form, Form::TextOrNil | Form::IntOrNil | Form::Code);
    let Some(check) = check.filter(|c| !matches!(c, Check::Never)) else {
        if !values_matter {
            let mut present = columns.present(place)?;
            present.and(rows);
            let none = Selection::none(rows.rows());
            return Ok(Outcome { miss: present.clone(), present, hit: none });
        }
        let column = columns.column(place)?;
        return Ok(tested(&column, &Check::Never, rows, columns.kernels));
    };
    match (check, place.form) {
        (Check::Number(test), Form::Int) => {
            let (low, high, outside) = test.whole();
            let within = columns.between(place, (low, high), false)?;
            Ok(compared(columns.present(place)?, rows, &within, !outside))
        }
        (Check::Code(code, equal), Form::Code) => {
            // An event that says nothing has code 0, which is a value.
            let within = columns.between(place, (*code, *code), *code == 0)?;
            Ok(compared(Selection::all(rows.rows()), rows, &within, *equal))
        }
        _ => Ok(tested(&columns.column(place)?, check, rows, columns.kernels)),
    }
}

fn tested(column: &Column, check: &Check, rows: &Selection, kernels: Kernels) -> Outcome {
    match (&column.values, check) {
        (Values::Texts(texts), _) if entries(texts) <= ENTRIES_EAGER_MAX => {
            let bits: Vec<u8> = (0..entries(texts) as u32)
                .map(|code| visited(check, |each| column.visit_code(texts, code, each)))
                .collect();
            spread(&texts.codes, &bits, rows, kernels)
        }
        (Values::Texts(texts), _) => {
            let mut memo = vec![0u8; entries(texts)];
            Outcome::of(rows, |row| {
                let code = texts.codes.get(row).copied().unwrap_or(Texts::ABSENT);
                let Some(known) = memo.get_mut(code as usize) else {
                    return 0;
                };
                if *known == 0 {
                    *known = KNOWN | visited(check, |each| column.visit_code(texts, code, each));
                }
                *known
            })
        }
        _ => Outcome::of(rows, |row| visited(check, |each| column.visit(row, each))),
    }
}

/// Of rows that are present those within a range pass, or the others unless `inside`.
fn compared(mut present: Selection, rows: &Selection, within: &Selection, inside: bool) -> Outcome {
    present.and(rows);
    let (mut hit, mut miss) = (present.clone(), present.clone());
    if inside {
        hit.and(within);
        miss.and_not(within);
    } else {
        hit.and_not(within);
        miss.and(within);
    }
    Outcome { present, hit, miss }
}

/// How many distinct texts there are.
fn entries(texts: &Texts) -> usize {
    texts.offsets.len().saturating_sub(1)
}

/// Gives each row the bits of its code; one without a code that is known has none.
fn spread(codes: &[u32], bits: &[u8], rows: &Selection, kernels: Kernels) -> Outcome {
    let count = |bit| bits.iter().filter(|bits| **bits & bit != 0).count();
    if [PRESENT, HIT, MISS].into_iter().map(count).any(|n| n > CODES_COMPARED_MAX && n < bits.len())
    {
        let of = |row: usize| codes.get(row).and_then(|code| bits.get(*code as usize));
        return Outcome::of(rows, |row| of(row).copied().unwrap_or(0));
    }
    let mut absent = Selection::none(rows.rows());
    kernels.equal(codes, Texts::ABSENT, absent.words_mut());
    let mut known = rows.clone();
    known.and_not(&absent);
    let rows_with = |bit: u8| {
        if count(bit) == bits.len() {
            return known.clone();
        }
        let mut with = Selection::none(rows.rows());
        for (code, _) in (0..).zip(bits).filter(|(_, bits)| **bits & bit != 0) {
            kernels.equal(codes, code, with.words_mut());
        }
        with.and(rows);
        with
    };
    Outcome { present: rows_with(PRESENT), hit: rows_with(HIT), miss: rows_with(MISS) }
}

/// The bits of a row, whose values `visit` hands out.
fn visited<'a>(check: &Check, visit: impl FnOnce(&mut dyn FnMut(Scalar<'a>)) -> bool) -> u8 {
    let mut bits = 0;
    let present = visit(&mut |value| bits |= if check.passes(value) { HIT } else { MISS });
    if present { bits | PRESENT } else { 0 }
}

fn bits<const N: usize>(check: Option<&Check>, values: [Scalar<'_>; N]) -> u8 {
    let check = check.unwrap_or(&Check::Never);
    visited(check, |each| {
        values.into_iter().for_each(each);
        true
    })
}

/// Spreads an outcome over rows of another table to the events that refer to them or own them.
pub(super) fn to_events(
    columns: &mut Columns<'_>,
    table: Table,
    outcome: &Outcome,
    within: &Selection,
) -> Result<Outcome> {
    match table {
        Table::Events => Ok(outcome.clone()),
        Table::Resources | Table::Scopes => {
            let field = if table == Table::Scopes { Field::Scope } else { Field::Resource };
            let Some(rows) = columns.field_ints(Table::Events, field)? else {
                return Ok(Outcome::none(within.rows()));
            };
            let bits: Vec<u8> =
                (0..columns.view.rows(table)).map(|row| outcome.bits(row)).collect();
            Ok(Outcome::of(within, |event| {
                referred(&rows, event).map_or(0, |row| bits.get(row).copied().unwrap_or(0))
            }))
        }
        Table::Links | Table::SpanEvents => {
            let mut events = Outcome::none(within.rows());
            let owners = columns.every_int(table, Field::Owner)?;
            for (row, owner) in owners.values.iter().enumerate() {
                let bits = outcome.bits(row);
                if bits != 0
                    && let Ok(owner) = usize::try_from(*owner)
                {
                    events.add(owner, bits);
                }
            }
            events.restrict(within);
            Ok(events)
        }
    }
}

/// The row of another table that an event refers to.
pub(super) fn referred(rows: &Ints, event: usize) -> Option<usize> {
    let row = rows.values.get(event).filter(|_| has_int(rows, event))?;
    usize::try_from(*row).ok()
}

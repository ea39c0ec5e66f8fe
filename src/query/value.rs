//! Single values and the tests they pass: what a comparison means once its types are known.
//!
//! A value of another type than the test asks for passes nothing. Whole numbers, doubles and
//! durations compare by value, exactly: no whole number is rounded to a double.

use std::cmp::Ordering;

use crate::query::ast::Operator;
use crate::query::text::TextTest;

/// A value as a test sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    /// Text.
    Text(&'a [u8]),
    /// A number.
    Number(Number),
    /// True or false.
    Bool(bool),
    /// Code of a status, kind or signal.
    Code(i64),
    /// A trace or span id.
    Id(&'a [u8]),
    /// Something that compares with nothing: bytes, maps.
    Other,
}

/// A number of either kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Whole, or nanoseconds.
    Int(i64),
    /// With a fraction, infinite, or none.
    Float(f64),
}

impl Number {
    /// The order of two numbers; `None` beside a NaN.
    pub(super) fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Float(b)) => int_float(a, b),
            (Number::Float(a), Number::Int(b)) => int_float(b, a).map(Ordering::reverse),
        }
    }
}

fn int_float(int: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // The cast saturates far outside i64, where the order is the same.
    let whole = float.floor() as i128;
    let below = i128::from(int).cmp(&whole);
    Some(if below == Ordering::Equal && float > float.floor() { Ordering::Less } else { below })
}

/// Whether an order satisfies an operator.
pub(super) fn holds(operator: Operator, order: Option<Ordering>) -> bool {
    match (operator, order) {
        (Operator::Equal, Some(o)) => o.is_eq(),
        (Operator::NotEqual, Some(o)) => o.is_ne(),
        // As IEEE 754 has it, a NaN differs from everything.
        (Operator::NotEqual, None) => true,
        (Operator::Less, Some(o)) => o.is_lt(),
        (Operator::LessOrEqual, Some(o)) => o.is_le(),
        (Operator::Greater, Some(o)) => o.is_gt(),
        (Operator::GreaterOrEqual, Some(o)) => o.is_ge(),
        _ => false,
    }
}

/// A test of numbers: for whole ones a range, made once.
#[derive(Clone, Debug)]
pub(super) struct NumberTest {
    operator: Operator,
    value: Number,
    /// Whole numbers from `.0` to `.1` are inside; empty if `.0 > .1`.
    range: (i64, i64),
    /// Those outside pass.
    outside: bool,
}

impl NumberTest {
    /// Is the number on the left of the operator, `value` on its right, such that it holds?
    pub(super) fn new(operator: Operator, value: Number) -> NumberTest {
        let (outside, inside) = match operator {
            Operator::NotEqual => (true, Operator::Equal),
            other => (false, other),
        };
        NumberTest { operator, value, range: whole_range(inside, value), outside }
    }

    /// Whole numbers of a range, both ends inside, or those outside of it.
    pub(super) fn within(low: i64, high: i64, outside: bool) -> NumberTest {
        let operator = if outside { Operator::NotEqual } else { Operator::Equal };
        NumberTest { operator, value: Number::Int(low), range: (low, high), outside }
    }

    /// Whether a whole number passes.
    #[inline]
    pub(super) fn int(&self, value: i64) -> bool {
        (self.range.0 <= value && value <= self.range.1) != self.outside
    }

    /// The least and the greatest whole number of a range, and whether those outside of it pass
    /// instead of those inside.
    pub(super) fn whole(&self) -> (i64, i64, bool) {
        (self.range.0, self.range.1, self.outside)
    }

    /// Whether any number passes.
    pub(super) fn number(&self, value: Number) -> bool {
        match value {
            Number::Int(value) => self.int(value),
            float => holds(self.operator, float.compare(self.value)),
        }
    }
}

/// The whole numbers for which `number operator value` holds.
fn whole_range(operator: Operator, value: Number) -> (i64, i64) {
    const EMPTY: (i64, i64) = (i64::MAX, i64::MIN);
    let (floor, ceiling) = match value {
        Number::Int(v) => (i128::from(v), i128::from(v)),
        Number::Float(v) if v.is_nan() => return EMPTY,
        Number::Float(v) => (v.floor() as i128, v.ceil() as i128),
    };
    let (min, max) = (i128::from(i64::MIN), i128::from(i64::MAX));
    let (low, high) = match operator {
        Operator::Equal if floor == ceiling => (floor, floor),
        Operator::Less => (min, ceiling.saturating_sub(1)),
        Operator::LessOrEqual => (min, floor),
        Operator::Greater => (floor.saturating_add(1), max),
        Operator::GreaterOrEqual => (ceiling, max),
        _ => return EMPTY,
    };
    if low > max || high < min {
        return EMPTY;
    }
    (low.max(min) as i64, high.min(max) as i64)
}

/// What a value is asked.
#[derive(Clone, Debug)]
pub(super) enum Check {
    /// A question to numbers.
    Number(NumberTest),
    /// A question to text.
    Text(TextTest),
    /// Is the boolean this one (or is it not)?
    Bool(bool),
    /// Is the code this one, if `.1`, else another?
    Code(i64, bool),
    /// Is the id this one, if `.1`, else another?
    Id(Vec<u8>, bool),
    /// A type that no value has.
    Never,
}

impl Check {
    /// Whether a value passes.
    pub(super) fn passes(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Check::Number(test), Scalar::Number(number)) => test.number(number),
            (Check::Text(test), Scalar::Text(text)) => test.passes(text),
            (Check::Bool(wanted), Scalar::Bool(value)) => *wanted == value,
            (Check::Code(wanted, equal), Scalar::Code(code)) => (*wanted == code) == *equal,
            (Check::Id(wanted, equal), Scalar::Id(id)) => (wanted.as_slice() == id) == *equal,
            _ => false,
        }
    }
}

/// Compares two values that are both only known at run time; other types pass nothing.
pub(super) fn pair_holds(left: Scalar<'_>, operator: Operator, right: Scalar<'_>) -> bool {
    let order = match (left, right) {
        (Scalar::Text(a), Scalar::Text(b)) => Some(a.cmp(b)),
        (Scalar::Number(a), Scalar::Number(b)) => a.compare(b),
        (Scalar::Bool(a), Scalar::Bool(b)) => Some(a.cmp(&b)),
        (Scalar::Code(a), Scalar::Code(b)) => Some(a.cmp(&b)),
        (Scalar::Id(a), Scalar::Id(b)) => Some(a.cmp(b)),
        _ => return false,
    };
    holds(operator, order)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPERATORS: [Operator; 6] = [
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
    ];

    #[test]
    fn the_range_of_a_number_test_is_what_single_comparisons_say() {
        let ints = [i64::MIN, i64::MIN + 1, -2, -1, 0, 1, 2, 1 << 53, (1 << 53) + 1, i64::MAX];
        let floats = [0.0, -0.0, 0.5, -0.5, 1.0, 9e15, 9007199254740993.0, 1e19, -1e19, 1e300];
        let special = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let values = (ints.iter().map(|v| Number::Int(*v)))
            .chain(floats.iter().chain(&special).map(|v| Number::Float(*v)));
        for value in values {
            for operator in OPERATORS {
                let test = NumberTest::new(operator, value);
                for int in ints {
                    let single = holds(operator, Number::Int(int).compare(value));
                    assert_eq!(test.int(int), single, "{int} {operator:?} {value:?}");
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_not_rounded_to_doubles() {
        let big = (1i64 << 53) + 1;
        let double = (1i64 << 53) as f64;
        assert_eq!(int_float(big, double), Some(Ordering::Greater));
        assert_eq!(int_float(i64::MAX, 9.3e18), Some(Ordering::Less));
        assert_eq!(int_float(-1, -0.5), Some(Ordering::Less));
        assert_eq!(int_float(0, -0.5), Some(Ordering::Greater));
        assert_eq!(int_float(0, f64::NAN), None);
    }
}

//! Columns of one frame as predicates see them: decoded at most once, only if asked for.

use std::collections::HashMap;
use std::rc::Rc;

use crate::column::{BatchView, Field, Ids, Ints, Kernels, Table, Texts};
use crate::error::{Error, Result};
use crate::event::ValueType;
use crate::format::frame::FrameHeader;
use crate::query::ast::{AttributeScope, Intrinsic};
use crate::query::attributes::table_of;
use crate::query::nested;
use crate::query::selection::Selection;
use crate::query::value::{Number, Scalar};

/// A frame, and what has been decoded of it.
pub(super) struct Columns<'v> {
    pub(super) header: &'v FrameHeader,
    pub(super) view: &'v BatchView,
    pub(super) kernels: Kernels,
    decoded: HashMap<usize, Values>,
}

/// Decoded values of a column.
#[derive(Clone)]
pub(super) enum Values {
    Ints(Rc<Ints>),
    Texts(Rc<Texts>),
    Ids16(Rc<Ids<16>>),
    Ids8(Rc<Ids<8>>),
}

/// How the values of a column are to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text; the empty text is a value.
    Text,
    /// Text; the empty text is no value.
    TextOrNil,
    /// Bytes: there, but comparable with nothing.
    Bytes,
    /// Arrays and maps.
    Nested,
    /// Whole numbers.
    Int,
    /// Whole numbers; 0 is no value.
    IntOrNil,
    /// Doubles, as their bits.
    Double,
    /// True or false.
    Bool,
    /// Codes of an enumeration; no value is 0.
    Code,
    /// Ids.
    Id,
}

/// Where values of a reference stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) table: Table,
    pub(super) column: usize,
    pub(super) form: Form,
}

/// A column in the hands of a test.
pub(super) struct Column {
    pub(super) values: Values,
    pub(super) form: Form,
}

impl<'v> Columns<'v> {
    pub(super) fn new(
        header: &'v FrameHeader,
        view: &'v BatchView,
        kernels: Kernels,
    ) -> Columns<'v> {
        Columns { header, view, kernels, decoded: HashMap::new() }
    }

    /// The integers of a field of the events; `None` if no event has it.
    pub(super) fn field_ints(&mut self, table: Table, field: Field) -> Result<Option<Rc<Ints>>> {
        let Some(column) = self.view.find(table, field) else {
            return Ok(None);
        };
        self.ints(column).map(Some)
    }

    /// The texts of a field; `None` if no row has it.
    pub(super) fn field_texts(&mut self, table: Table, field: Field) -> Result<Option<Rc<Texts>>> {
        let Some(column) = self.view.find(table, field) else {
            return Ok(None);
        };
        match self.column(Place { table, column, form: Form::Text })?.values {
            Values::Texts(texts) => Ok(Some(texts)),
            _ => Ok(None),
        }
    }

    /// Integers that every row has.
    pub(super) fn every_int(&mut self, table: Table, field: Field) -> Result<Rc<Ints>> {
        let missing = || Error::corrupt(format!("the frame has no column {field:?} of {table:?}"));
        self.field_ints(table, field)?.ok_or_else(missing)
    }

    fn ints(&mut self, column: usize) -> Result<Rc<Ints>> {
        if let Some(Values::Ints(ints)) = self.decoded.get(&column) {
            return Ok(ints.clone());
        }
        let ints = Rc::new(self.view.ints(column)?);
        self.decoded.insert(column, Values::Ints(ints.clone()));
        Ok(ints)
    }

    /// A column with its values decoded.
    pub(super) fn column(&mut self, place: Place) -> Result<Column> {
        let Place { table, column, form } = place;
        if let Some(values) = self.decoded.get(&column) {
            return Ok(Column { values: values.clone(), form });
        }
        let values = match form {
            Form::Int | Form::IntOrNil | Form::Double | Form::Bool | Form::Code => {
                Values::Ints(Rc::new(self.view.ints(column)?))
            }
            Form::Text | Form::TextOrNil | Form::Bytes | Form::Nested => {
                Values::Texts(Rc::new(self.view.texts(column)?))
            }
            Form::Id if is_trace_id(self.view, table, column) => {
                Values::Ids16(Rc::new(self.view.ids16(column)?))
            }
            Form::Id => Values::Ids8(Rc::new(self.view.ids8(column)?)),
        };
        self.decoded.insert(column, values.clone());
        Ok(Column { values, form })
    }

    /// The rows whose integer lies in a range, both ends inside; those without one if `absent`. A
    /// column that nothing has decoded stays encoded.
    pub(super) fn between(
        &self,
        place: Place,
        (low, high): (i64, i64),
        absent: bool,
    ) -> Result<Selection> {
        let words = match self.decoded.get(&place.column) {
            // What has no value was decoded as 0.
            Some(Values::Ints(ints)) => self.kernels.between(&ints.values, low, high),
            _ => self.view.rows_between(place.column, (low, high), absent, self.kernels)?,
        };
        Ok(Selection::of_words(words, self.view.rows(place.table)))
    }

    /// Which rows of a table have a value in a column, without decoding the values.
    pub(super) fn present(&self, place: Place) -> Result<Selection> {
        let present = self.view.presence(place.column)?;
        Ok(Selection::of_present(present.as_ref(), self.view.rows(place.table)))
    }

    /// The columns of an attribute in one scope; keys without a value are as absent.
    pub(super) fn attribute(&self, scope: AttributeScope, key: &str) -> Vec<Place> {
        let table = table_of(scope);
        let form = |column: usize| {
            let form = match self.view.columns().get(column)?.value_type {
                ValueType::Empty => return None,
                ValueType::String => Form::Text,
                ValueType::Int => Form::Int,
                ValueType::Double => Form::Double,
                ValueType::Bool => Form::Bool,
                ValueType::Bytes => Form::Bytes,
                ValueType::Nested => Form::Nested,
            };
            Some(Place { table, column, form })
        };
        self.view.find_attribute(table, key).filter_map(form).collect()
    }

    /// The column of an intrinsic that has one.
    pub(super) fn intrinsic(&self, intrinsic: Intrinsic) -> Vec<Place> {
        if intrinsic == Intrinsic::Message {
            return self.message().into_iter().collect();
        }
        let (table, field, form) = home(intrinsic);
        let place = |column| Place { table, column, form };
        self.view.find(table, field).map(place).into_iter().collect()
    }

    /// The column of bodies that are text.
    fn message(&self) -> Option<Place> {
        let is_message = |id: &crate::column::ColumnId| {
            id.table == Table::Events
                && id.field == Field::Body
                && id.value_type == ValueType::String
        };
        let column = self.view.columns().iter().position(is_message)?;
        Some(Place { table: Table::Events, column, form: Form::Text })
    }
}

fn is_trace_id(view: &BatchView, table: Table, column: usize) -> bool {
    view.find(table, Field::TraceId) == Some(column)
}

/// Table, field and form of an intrinsic. Those that are computed name what they begin with.
pub(super) fn home(intrinsic: Intrinsic) -> (Table, Field, Form) {
    use Form::{Code, Id, Int, IntOrNil, Text, TextOrNil};
    use Table::{Events, Links, Resources, Scopes, SpanEvents};
    match intrinsic {
        Intrinsic::Source => (Resources, Field::Source, Text),
        Intrinsic::Type => (Events, Field::Type, Text),
        Intrinsic::Signal => (Events, Field::Signal, Code),
        Intrinsic::Time | Intrinsic::Received | Intrinsic::Sequence => (Events, Field::Time, Int),
        Intrinsic::Observed => (Events, Field::Observed, Int),
        Intrinsic::Duration => (Events, Field::Duration, Int),
        Intrinsic::Status => (Events, Field::Status, Code),
        Intrinsic::StatusMessage => (Events, Field::StatusMessage, TextOrNil),
        Intrinsic::Kind => (Events, Field::Kind, Code),
        Intrinsic::Severity | Intrinsic::SeverityNumber => {
            (Events, Field::SeverityNumber, IntOrNil)
        }
        Intrinsic::SeverityText => (Events, Field::SeverityText, TextOrNil),
        Intrinsic::Message => (Events, Field::Body, Text),
        Intrinsic::TraceId => (Events, Field::TraceId, Id),
        Intrinsic::SpanId => (Events, Field::SpanId, Id),
        Intrinsic::ParentSpanId => (Events, Field::ParentSpanId, Id),
        Intrinsic::TraceState => (Events, Field::TraceState, TextOrNil),
        Intrinsic::InstrumentationName => (Scopes, Field::Name, TextOrNil),
        Intrinsic::InstrumentationVersion => (Scopes, Field::Version, TextOrNil),
        Intrinsic::EventName => (SpanEvents, Field::Name, TextOrNil),
        Intrinsic::EventTimeSinceStart => (SpanEvents, Field::Time, Int),
        Intrinsic::LinkTraceId => (Links, Field::TraceId, Id),
        Intrinsic::LinkSpanId => (Links, Field::SpanId, Id),
    }
}

impl Column {
    /// Calls `each` with the values of a row: none, one, or an array's elements. Says whether the
    /// row has a value, which an empty array is.
    pub(super) fn visit<'a>(&'a self, row: usize, each: impl FnMut(Scalar<'a>)) -> bool {
        match &self.values {
            Values::Texts(texts) => match texts.codes.get(row) {
                Some(&code) if code != Texts::ABSENT => self.visit_code(texts, code, each),
                _ => false,
            },
            Values::Ints(ints) => visit_int(ints, self.form, row, each),
            Values::Ids16(ids) => visit_id(ids, row, each),
            Values::Ids8(ids) => visit_id(ids, row, each),
        }
    }

    /// As `visit`, for all rows with this code.
    pub(super) fn visit_code<'a>(
        &self,
        texts: &'a Texts,
        code: u32,
        mut each: impl FnMut(Scalar<'a>),
    ) -> bool {
        let Some(text) = texts.value(code) else {
            return false;
        };
        match self.form {
            Form::TextOrNil if text.is_empty() => return false,
            Form::Bytes => each(Scalar::Other),
            Form::Nested => nested::elements(text, each),
            _ => each(Scalar::Text(text)),
        }
        true
    }
}

/// Whether a row of an integer column has a value.
pub(super) fn has_int(ints: &Ints, row: usize) -> bool {
    match &ints.present {
        None => row < ints.values.len(),
        Some(bitmap) => bitmap.words.get(row / 64).is_some_and(|w| w >> (row % 64) & 1 == 1),
    }
}

fn visit_int<'a>(ints: &Ints, form: Form, row: usize, mut each: impl FnMut(Scalar<'a>)) -> bool {
    let value = ints.values.get(row).copied().unwrap_or(0);
    let present = match form {
        Form::Code => true,
        Form::IntOrNil => value != 0,
        _ => has_int(ints, row),
    };
    if present {
        each(match form {
            Form::Code => Scalar::Code(value),
            Form::Bool => Scalar::Bool(value != 0),
            Form::Double => Scalar::Number(Number::Float(f64::from_bits(value as u64))),
            _ => Scalar::Number(Number::Int(value)),
        });
    }
    present
}

fn visit_id<'a, const N: usize>(
    ids: &'a Ids<N>,
    row: usize,
    mut each: impl FnMut(Scalar<'a>),
) -> bool {
    let code = ids.codes.get(row).copied().unwrap_or(Texts::ABSENT);
    let value = ids.values.get(code as usize);
    if let Some(value) = value {
        each(Scalar::Id(value));
    }
    value.is_some()
}

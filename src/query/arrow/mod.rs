//! What a scan finds as Arrow record batches, for engines of SQL and data frames (feature `arrow`).
//!
//! ```
//! use annal::event::ValueType;
//! use annal::query::arrow::{ArrowLayout, AttributeColumn};
//! use annal::query::AttributeScope;
//!
//! # fn ask(snapshot: &annal::Snapshot) -> Result<(), Box<dyn std::error::Error>> {
//! let user = AttributeColumn::new(AttributeScope::Span, "user.id", ValueType::String);
//! let layout = ArrowLayout::new(vec![user])?;
//! let query = annal::Query::default().filter("source = \"cart\"")?;
//! for batch in snapshot.record_batches(&query, &layout)? {
//!     println!("{} rows", batch?.num_rows());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! 1. A batch holds the matching events of one frame, in the order of their sequence, or a part of
//!    them where their resources have very many attributes; all batches of a layout have its schema.
//! 2. Every field of the event model has its column, named as in [`Event`](crate::Event) (`type`
//!    for the type of event, `duration_ns`, `span_events`). Null is what a query calls `nil`. A body
//!    that is text is the `message`, another the `body`.
//! 3. Attributes asked for are columns of one type behind all others, named `span.KEY`,
//!    `resource.KEY` or `instrumentation.KEY`. Values of another type and further values of the same
//!    key stay in the maps `attributes`, `resource.attributes` and `scope.attributes`, with all
//!    other attributes.
//! 4. Whatever type a value has, it is a struct of which the member of that type is set; `nested`
//!    holds the bytes of an OTLP `AnyValue`.

mod batch;
mod rows;
mod schema;
mod values;

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};

use crate::column::{self, ColumnId, Table};
use crate::error::{Error, ErrorKind, Result};
use crate::event::ValueType;
use crate::query::ast::AttributeScope;
use crate::query::request::Query;
use crate::query::scan::Selected;
use crate::query::unit::{Scan, ScanUnit};
use crate::store::Snapshot;

/// An attribute that becomes a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeColumn {
    /// Where it stands: on the event, its resource or its instrumentation.
    pub scope: AttributeScope,
    /// Its key.
    pub key: String,
    /// The type of the values that are wanted.
    pub value_type: ValueType,
}

impl AttributeColumn {
    /// An attribute of a type.
    pub fn new(
        scope: AttributeScope,
        key: impl Into<String>,
        value_type: ValueType,
    ) -> AttributeColumn {
        AttributeColumn { scope, key: key.into(), value_type }
    }

    fn field(&self) -> Result<Field> {
        let name = format!("{}.{}", self.scope.name(), self.key);
        let invalid = |what: &str| Error::invalid(format!("{name}: {what}")).in_field("attributes");
        if matches!(self.scope, AttributeScope::Event | AttributeScope::Link) {
            return Err(invalid("an event may have several; they are in the lists"));
        }
        let data_type = schema::of_values(self.value_type);
        let data_type = data_type.ok_or_else(|| invalid("keys without a value have no column"))?;
        Ok(Field::new(name, data_type, true))
    }
}

/// Which columns a batch has.
#[derive(Clone, Debug)]
pub struct ArrowLayout {
    attributes: Vec<AttributeColumn>,
    schema: SchemaRef,
}

impl ArrowLayout {
    /// All fields, and these attributes in columns of their own. `Invalid` if two columns would have
    /// the same name, or for an attribute of links or span events.
    pub fn new(attributes: Vec<AttributeColumn>) -> Result<ArrowLayout> {
        let mut fields = schema::fixed();
        for attribute in &attributes {
            let field = attribute.field()?;
            if fields.iter().any(|other| other.name() == field.name()) {
                let what = format!("two columns {}", field.name());
                return Err(Error::invalid(what).in_field("attributes"));
            }
            fields.push(field);
        }
        Ok(ArrowLayout { attributes, schema: Arc::new(Schema::new(fields)) })
    }

    /// The attributes that have a column.
    #[must_use]
    pub fn attributes(&self) -> &[AttributeColumn] {
        &self.attributes
    }

    /// The schema of every batch.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Attributes of resources and instrumentations in one batch: where the log has them once for all
/// events of a frame, each row of a batch has them again, at about 80 bytes each.
const SHARED_ATTRIBUTES_MAX: usize = 1 << 19;

impl Selected {
    /// Them as a record batch, from columns alone. `Limit` if their resources and instrumentations
    /// have so many attributes that the batch would be many times as large as the frame:
    /// [`Snapshot::record_batches`] makes several of them.
    pub fn record_batch(&self, layout: &ArrowLayout) -> Result<RecordBatch> {
        let (rows, max) = (self.rows().len(), self.batch_rows_max());
        if rows > max {
            let what = format!("{rows} events of many shared attributes: at most {max} a batch");
            return Err(Error::limit(what));
        }
        batch::batch(layout, self)
    }

    /// Rows that one batch may have.
    fn batch_rows_max(&self) -> usize {
        let is_shared = |id: &&ColumnId| {
            let table = matches!(id.table, Table::Resources | Table::Scopes);
            table && id.field == column::Field::Attribute
        };
        let shared = self.view().columns().iter().filter(is_shared).count();
        (SHARED_ATTRIBUTES_MAX / shared.max(1)).max(1)
    }

    /// The first rows alone, as many as a batch may have; what is left stays here.
    fn split_batch(&mut self) -> Selected {
        let rest = self.rows.split_off(self.batch_rows_max().min(self.rows.len()));
        let rows = std::mem::replace(&mut self.rows, rest);
        Selected { header: self.header, view: self.view.clone(), rows }
    }
}

impl Snapshot {
    /// Everything that matches as record batches, frame by frame as the log has them: limit and
    /// order of the query mean nothing here, and its deadline counts for each [`ScanUnit`] anew.
    pub fn record_batches(&self, query: &Query, layout: &ArrowLayout) -> Result<RecordBatches<'_>> {
        let units = self.plan(query)?.into_iter();
        let (query, layout) = (query.clone(), layout.clone());
        let (scan, left, damage) = (None, None, Vec::new());
        Ok(RecordBatches { snapshot: self, query, layout, units, scan, left, damage })
    }
}

/// The record batches of a query; empty ones are left out. Goes wherever a [`RecordBatchReader`]
/// does; its errors are [`Error`]s inside [`ArrowError::ExternalError`].
pub struct RecordBatches<'a> {
    snapshot: &'a Snapshot,
    query: Query,
    layout: ArrowLayout,
    units: std::vec::IntoIter<ScanUnit>,
    scan: Option<Scan<'a>>,
    /// Of the frame that was read last, what is in no batch yet.
    left: Option<Selected>,
    damage: Vec<Error>,
}

impl RecordBatches<'_> {
    /// What was left out as damaged so far, the first 100 of each unit; empty unless
    /// [`Query::partial`].
    pub fn damage(&self) -> impl Iterator<Item = &Error> {
        self.damage.iter().chain(self.scan.iter().flat_map(|scan| scan.damage()))
    }

    /// The batch of these events; `None` if they are damaged and that is tolerated.
    fn batch(&mut self, selected: &Selected) -> Option<Result<RecordBatch>> {
        match selected.record_batch(&self.layout) {
            Err(error) if self.query.partial && error.kind() == ErrorKind::Corrupt => {
                self.damage.push(error);
                None
            }
            made => Some(made),
        }
    }
}

impl Iterator for RecordBatches<'_> {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(mut selected) = self.left.take() {
                let first = selected.split_batch();
                self.left = Some(selected).filter(|rest| !rest.rows().is_empty());
                match self.batch(&first) {
                    Some(batch) => return Some(batch.map_err(external)),
                    None => continue,
                }
            }
            match self.scan.as_mut().and_then(Iterator::next) {
                Some(Ok(selected)) => {
                    self.left = Some(selected);
                    continue;
                }
                Some(Err(error)) => return Some(Err(external(error))),
                None => {}
            }
            let unit = self.units.next()?;
            if let Some(scanned) = self.scan.take() {
                self.damage.extend(scanned.damage().iter().cloned());
            }
            match self.snapshot.scan(&unit, &self.query) {
                Ok(scan) => self.scan = Some(scan),
                Err(error) => return Some(Err(external(error))),
            }
        }
    }
}

impl RecordBatchReader for RecordBatches<'_> {
    fn schema(&self) -> SchemaRef {
        self.layout.schema()
    }
}

fn external(error: Error) -> ArrowError {
    ArrowError::ExternalError(Box::new(error))
}

/// Arrow refuses what stored columns say: a null where every event has a value, above all.
fn built(error: ArrowError) -> Error {
    Error::new(ErrorKind::Corrupt, format!("no record batch can be made: {error}"))
}

//! Questions over a snapshot: what happened between these instants, of this type, from this source,
//! in this trace. Sees snapshots, never storage.
//!
//! 1. [`Query`] says what is asked; its expression is [`Expr`], written by hand or parsed from
//!    text.
//! 2. A plan prunes segments and frames by times, sequences, series, traces, attributes and links.
//! 3. A scan evaluates the predicates of the frames that are left, on decoded columns, into
//!    selections.
//! 4. The merge keeps the best by (time, sequence) (QRY-1) and stops when nothing can beat them;
//!    only those become [`Event`]s.
//! 5. Counts, series of points, values, traces found and dependencies are made from columns alone.

#[cfg(feature = "arrow")]
pub mod arrow;
mod ast;
mod attributes;
mod catalog;
mod comparison;
mod count;
mod decoded;
mod dependencies;
mod display;
mod evaluate;
mod explain;
mod find_traces;
mod fold;
mod groups;
mod guard;
mod ids;
mod lexer;
mod links;
mod lookup;
mod minutes;
mod nested;
mod opening;
mod pairs;
mod parser;
mod plan;
mod predicate;
mod request;
mod scan;
mod search;
mod selection;
mod series;
mod size;
mod source;
mod sums;
mod text;
mod traces;
mod unit;
mod value;
mod values;

pub use ast::{
    AttributeScope, Comparison, Expr, Intrinsic, Literal, Operand, Operator, Reference, Word,
};
pub use catalog::{Catalog, Kinds};
pub use dependencies::{Dependencies, Dependency};
pub use explain::Explain;
pub use find_traces::FoundTraces;
pub use plan::Steps;
pub use request::{Condition, Cursor, Order, Query};
pub use scan::Selected;
pub use series::{Point, PointSeries, SeriesAnswer, SeriesBy};
pub use traces::Traces;
pub use unit::{Scan, ScanUnit};
pub use values::{TopValues, ValueCount};

use crate::column::Series;
use crate::error::{Error, Result};
use crate::event::{Event, TraceId};
use crate::store::Snapshot;
use crate::time::Timestamp;

/// What was read and what was pruned: every index proves that it earns its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Segments of the snapshot.
    pub segments: u64,
    /// Segments left out by their times, sequences or trace filter.
    pub segments_pruned: u64,
    /// Frames of the segments that were looked at.
    pub frames: u64,
    /// Frames left out by times, sequences, series or indexes, because what is known of their minutes
    /// answers, or because enough was found.
    pub frames_pruned: u64,
    /// Events in the frames that were read.
    pub events_read: u64,
    /// Events that matched, read or known without reading.
    pub events_matched: u64,
    /// Stored bytes read.
    pub bytes_read: u64,
}

impl std::ops::AddAssign for Scanned {
    fn add_assign(&mut self, more: Scanned) {
        self.segments += more.segments;
        self.segments_pruned += more.segments_pruned;
        self.frames += more.frames;
        self.frames_pruned += more.frames_pruned;
        self.events_read += more.events_read;
        self.events_matched += more.events_matched;
        self.bytes_read += more.bytes_read;
    }
}

/// Events and how they were found.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The events, in the order asked for (QRY-1).
    pub events: Vec<Event>,
    /// Where the next page begins, if more events match.
    pub next: Option<Cursor>,
    /// More events match than were given.
    pub truncated: bool,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

/// What a count is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// By source.
    pub source: bool,
    /// By type.
    pub event_type: bool,
    /// By minute.
    pub minute: bool,
}

/// How many events, of what; only what was asked for is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count {
    /// Their source.
    pub source: Option<String>,
    /// Their type.
    pub event_type: Option<String>,
    /// Start of their minute.
    pub minute: Option<Timestamp>,
    /// Their number.
    pub count: u64,
}

/// The counts of a query, in ascending order; without [`By`] exactly one, which may be 0.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// The counts.
    pub counts: Vec<Count>,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

/// What is known of a source, a type or a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Its events.
    pub events: u64,
    /// Those with status error or a severity of 17 or more.
    pub errors: u64,
    /// Time of its first event.
    pub first: Timestamp,
    /// Time of its last event.
    pub last: Timestamp,
}

impl Snapshot {
    /// Answers with events.
    pub fn query(&self, query: &Query) -> Result<Answer> {
        search::search(&self.source(), query)
    }

    /// All events of a trace, spans and logs, by (time, sequence), within the default limit of
    /// bytes.
    pub fn trace(&self, id: TraceId) -> Result<Answer> {
        let query = Query::default().trace(id).order(Order::Oldest).limit(usize::MAX);
        self.query(&query)
    }

    /// The event with this sequence, while it is kept.
    pub fn event(&self, sequence: u64) -> Result<Option<Event>> {
        lookup::event(&self.source(), sequence)
    }

    /// Counts all matching events: limit, order and cursor mean nothing here.
    pub fn count(&self, query: &Query, by: By) -> Result<Counts> {
        count::count(&self.source(), query, by)
    }

    /// All sources with their totals, sorted. Reads everything: a server keeps a [`Catalog`].
    pub fn sources(&self) -> Result<Vec<(String, Totals)>> {
        let mut catalog = Catalog::default();
        catalog.refresh(self)?;
        Ok(catalog.sources())
    }

    /// All types, of one source or of all, with their totals, sorted by (source, type).
    pub fn types(&self, source: Option<&str>) -> Result<Vec<(Series, Totals)>> {
        let mut catalog = Catalog::default();
        catalog.refresh(self)?;
        Ok(catalog.types(source))
    }

    /// What a query has to scan, in pieces that can be scanned alone and in any order.
    pub fn plan(&self, query: &Query) -> Result<Vec<ScanUnit>> {
        unit::units(&self.source(), query)
    }

    /// Scans a unit of this store: matching events as columns, frame by frame. Limit and order of
    /// the query mean nothing. `Invalid` if the unit's segment is not here any more.
    pub fn scan<'a>(&'a self, unit: &ScanUnit, query: &Query) -> Result<Scan<'a>> {
        unit::scan(&self.source(), unit, query)
    }

    /// What a query would read and why, without reading it.
    pub fn explain(&self, query: &Query) -> Result<Explain> {
        explain::explain(&self.source(), query)
    }
}

impl std::str::FromStr for By {
    type Err = Error;

    /// Reads `source,type,minute`, any of them in any order.
    fn from_str(text: &str) -> Result<By> {
        let mut by = By::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            match part {
                "source" => by.source = true,
                "type" => by.event_type = true,
                "minute" => by.minute = true,
                other => {
                    let what = format!("cannot count by {other:?}: by source, type, minute");
                    return Err(Error::invalid(what).in_field("by"));
                }
            }
        }
        Ok(by)
    }
}

//! Which traces the events of a block link to.

use super::Gather;
use crate::column::buffer::Values;
use crate::column::schema::{Field, Table};
use crate::event::TraceId;
use crate::index::trace_hash;

impl Gather {
    /// The hashes of the traces that what was gathered links to, each once.
    #[must_use]
    pub fn links(&self) -> Vec<u64> {
        match self.find(Table::Links, Field::TraceId).map(|column| &column.values) {
            Some(Values::Ids16(ids)) => {
                ids.entries.iter().map(|id| trace_hash(&TraceId(*id))).collect()
            }
            _ => Vec::new(),
        }
    }
}

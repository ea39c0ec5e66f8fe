//! Batches as columns: what a producer builds, what is on disk, what a query reads.
//!
//! A batch is five small tables: resources and scopes (shared by many events, stored once), events,
//! and the links and span events that belong to them. Each table is a set of columns; a column is
//! (table, field, and for attributes key, value type and occurrence), says which rows have a value,
//! and holds the values in one of a few encodings. The whole is compressed as one payload behind a
//! frame header. See `storage-format.md`, "Payload".

mod batch;
mod buffer;
mod builder;
mod by_type;
mod chunk;
mod compress;
mod decode;
mod encoded;
mod encoding;
mod event_views;
mod examine;
mod gather;
mod kernels;
mod materialise;
mod meter;
mod payload;
mod schema;
mod spare;
mod validate;
mod view;

pub use batch::{Batch, BatchSummary, Series};
pub use builder::{
    BATCH_FIELD, BatchBuilder, EventFields, LinkFields, ResourceFields, ScopeFields,
    SpanEventFields, check_time,
};
pub use encoded::{
    Encoded, decode_by_type, decode_presence, encode_by_type, encode_presence, pick_by_type,
};
pub use event_views::{EventView, EventViews};
pub use examine::examine;
pub use gather::{Block, Gather, SeriesTotals};
pub use kernels::Kernels;
pub(crate) use meter::Meter;
pub use schema::{ColumnId, Field, Table, marks};
pub use view::{BatchView, Bitmap, Ids, Ints, Texts};

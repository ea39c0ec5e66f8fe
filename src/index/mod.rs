//! What helps a query to read less: filters of trace ids, sparse time indexes.

mod filter;

pub use filter::{TraceFilter, trace_hash};

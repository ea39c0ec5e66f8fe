//! What helps a query to read less: filters of trace ids, sparse time indexes, histograms of
//! durations.

mod filter;
mod histogram;

pub use filter::{TraceFilter, trace_hash};
pub use histogram::{BUCKETS, ERROR_MAX, Histogram};

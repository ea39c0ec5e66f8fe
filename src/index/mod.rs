//! What helps a query to read less: filters of trace ids, of links and of values of attributes,
//! histograms of durations.

pub mod attributes;
mod filter;
mod histogram;
pub mod links;
pub mod minutes;
mod parts;
mod slices;

pub use filter::{TraceFilter, trace_hash};
pub use histogram::{BUCKETS, ERROR_MAX, Histogram};
pub use slices::TraceFilters;

//! Jaeger's JSON query API: its parameters into queries, traces into its JSON. Pure; the routes are
//! in `http/jaeger.rs`.
//!
//! The contract is that of Jaeger's query service before it was reduced to what its own UI calls
//! (`cmd/jaeger/internal/extension/jaegerquery/internal/http_handler.go` and `query_parser.go`);
//! spans become Jaeger's as the OpenTelemetry Collector's translator makes them.
//!
//! What is not done here: Jaeger's adjusters (clock skew, ids shared by client and server). `raw` and
//! `prettyPrint` are accepted and mean nothing.

mod search;
mod tags;
mod trace;
mod values;

pub use search::{Asked, trace_id};
pub use trace::{trace_bytes, write_trace};

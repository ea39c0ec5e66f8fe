//! annal: an event store for traces, logs and errors.
//!
//! Producers stream events in, an append-only columnar engine keeps them, and anyone can ask what
//! happened between two instants, of this type, from this source, in this trace, and why. This
//! crate is the engine, the ingest pipeline and the TCP protocol; `annal-server` is the binary
//! around it.
//!
//! The engine is synchronous and meets disk, time and randomness only through traits; the feature
//! `net` (on by default) adds the asynchronous pipeline and the protocol on top of it. The feature
//! `arrow` (off by default) gives what a scan finds as Arrow record batches, too.
//!
//! Layers import downward only, from the bottom up: words ([`error`], [`time`], [`event`],
//! [`limits`], [`options`]); bytes (`codec`, [`mod@format`], [`mod@column`]) and disk ([`storage`]);
//! structures (`index`, [`segment`]); [`store`]; [`query`]; `ingest`; `net`.

pub mod codec;
pub mod column;
pub mod error;
pub mod event;
pub mod format;
pub mod index;
#[cfg(feature = "net")]
pub mod ingest;
pub mod limits;
#[cfg(feature = "net")]
pub mod net;
pub mod options;
pub mod query;
pub mod segment;
pub mod storage;
pub mod store;
pub mod time;

pub use column::{Batch, BatchBuilder};
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, ProducerId, SpanId, TraceId, Value};
pub use options::Options;
pub use query::Query;
pub use store::{OpenReport, Producer, Snapshot, Store, Ticket};
pub use time::{TimeRange, Timestamp};

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExample;

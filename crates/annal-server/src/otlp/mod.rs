//! OTLP in protobuf, read off the wire straight into columns: no object per span.
//!
//! 1. Walk the request: resources, their scopes, their records (`request`). Resource and scope are
//!    begun in the builder when their first record is stored.
//! 2. Walk each record twice (`span`, `log`): once for its fields, which may stand in any order,
//!    then for its attributes, links and span events.
//! 3. Hand a full builder's batch to the sink, begin resource and scope again, go on.
//!
//! What a record breaks is told apart from what breaks the body: a bad id, a time far off or a
//! passed limit refuses the record by name (partial success); bytes that no protobuf writer makes,
//! text that is not UTF-8 among them, refuse the whole body.
//!
//! Of what protobuf allows, one thing is not done: two occurrences of a message field that holds
//! one value are merged only for resource, scope and status; of two values of an attribute the last
//! counts. No OTLP writer makes them.

use annal::{Batch, BatchBuilder, Error, Result, Timestamp};

mod fields;
mod log;
mod rejections;
mod request;
mod response;
mod span;
#[cfg(test)]
mod tests;
mod value;
mod wire;

pub use rejections::Rejections;
pub use response::{partial_success, status};

use request::{Decoder, Record};
use wire::Broken;

/// Takes finished batches, in order.
pub type Sink<'a> = &'a mut dyn FnMut(Batch) -> Result<()>;

/// Decodes the body of an `ExportTraceServiceRequest` and hands its spans to the sink as batches;
/// the builder is empty afterwards. `now` bounds the times.
///
/// Spans that break a rule are counted and named in what comes back. An error means that the body
/// as a whole cannot be decoded: nothing of it may be stored, whatever the sink was given.
pub fn decode_traces(
    body: &[u8],
    builder: &mut BatchBuilder,
    now: Timestamp,
    sink: Sink<'_>,
) -> Result<Rejections> {
    decode(Record::Span, body, builder, now, sink)
}

/// Decodes the body of an `ExportLogsServiceRequest`, as [`decode_traces`].
pub fn decode_logs(
    body: &[u8],
    builder: &mut BatchBuilder,
    now: Timestamp,
    sink: Sink<'_>,
) -> Result<Rejections> {
    decode(Record::Log, body, builder, now, sink)
}

fn decode(
    record: Record,
    body: &[u8],
    builder: &mut BatchBuilder,
    now: Timestamp,
    sink: Sink<'_>,
) -> Result<Rejections> {
    builder.clear();
    let mut decoder = Decoder::new(record, &mut *builder, now, sink);
    let decoded = decoder.request(body);
    let rejections = decoder.into_rejections();
    match decoded {
        Ok(()) => Ok(rejections),
        Err(stop) => {
            builder.clear();
            Err(stop.into_error(body))
        }
    }
}

/// Why decoding ends before the body does.
enum Stop {
    /// The body cannot be decoded.
    Broken(Broken),
    /// The sink or the builder failed.
    Failed(Error),
}

impl From<Broken> for Stop {
    #[cold]
    fn from(broken: Broken) -> Stop {
        Stop::Broken(broken)
    }
}

impl From<Error> for Stop {
    #[cold]
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl Stop {
    fn into_error(self, body: &[u8]) -> Error {
        match self {
            Stop::Failed(error) => error,
            Stop::Broken(Broken { what, address }) => {
                let error = Error::invalid(format!("not an OTLP request in protobuf: {what}"));
                match address.checked_sub(body.as_ptr().addr()) {
                    Some(offset) if offset <= body.len() => error.at(offset as u64),
                    _ => error,
                }
            }
        }
    }
}

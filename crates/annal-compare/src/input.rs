//! The events of a file of OTLP requests, each behind its length as a big-endian u32, in portions.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use annal::column::BatchView;
use annal::time::{Clock, SystemClock};
use annal::{BatchBuilder, Event};
use annal_server::otlp;

use crate::Outcome;

/// Events that a store is given at a time: one commit.
const PORTION: usize = 10_000;
/// A request that claims to be longer is none.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// Calls `take` with some ten thousand events at a time, in the order of the file.
pub fn read(path: &Path, mut take: impl FnMut(&[Event]) -> Outcome<()>) -> Outcome<()> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let now = SystemClock::new().now();
    let mut builder = BatchBuilder::new();
    let mut events: Vec<Event> = Vec::new();
    let mut body = Vec::new();
    while let Some(length) = length(&mut file)? {
        body.resize(length, 0);
        file.read_exact(&mut body)?;
        let mut keep = |batch: annal::Batch| {
            let view = BatchView::open(batch.header(), batch.payload())?;
            let rows: Vec<u32> = (0..batch.header().events).collect();
            events.extend(view.materialise(batch.header(), &rows)?);
            Ok(())
        };
        let refused = otlp::decode_traces(&body, &mut builder, now, &mut keep)?;
        if refused.events > 0 {
            return Err(format!("{} spans were refused", refused.events).into());
        }
        if events.len() >= PORTION {
            take(&events)?;
            events.clear();
        }
    }
    if events.is_empty() { Ok(()) } else { take(&events) }
}

/// The length of the next request; `None` at the end of the file.
fn length(file: &mut impl Read) -> Outcome<Option<usize>> {
    let mut bytes = [0; 4];
    match file.read_exact(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    match u32::from_be_bytes(bytes) as usize {
        length @ 0..=REQUEST_BYTES_MAX => Ok(Some(length)),
        length => Err(format!("a request of {length} bytes: this is no such file").into()),
    }
}

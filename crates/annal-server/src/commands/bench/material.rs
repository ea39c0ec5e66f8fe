//! What is measured over and over: events, the same encoded, and the same as OTLP requests; made up,
//! or from a recording.

use std::fs::File;
use std::path::Path;

use annal::column::BatchView;
use annal::time::{Clock, SystemClock};
use annal::{Batch, Event, Timestamp, TraceId};

use super::encode;
use crate::commands::generate::batches;
use crate::commands::import::{Format, Splitter, decode};
use crate::exit::{Failure, Outcome};
use crate::shop;

/// The age of the oldest event that is made up: long enough ago for all of them to be past.
const MADE_UP_AGE_NS: i64 = 90_000_000_000_000;

pub(super) struct Material {
    /// Batch by batch.
    pub(super) events: Vec<Vec<Event>>,
    pub(super) encoded: Vec<Batch>,
    pub(super) requests: Vec<Vec<u8>>,
    /// One of the traces.
    pub(super) trace: Option<TraceId>,
    pub(super) count: u64,
}

impl Material {
    /// From the shop that `generate` makes up.
    pub(super) fn made_up(count: u64) -> Outcome<Material> {
        let start = Timestamp(SystemClock::new().now().as_ns() - MADE_UP_AGE_NS);
        let events: Vec<Vec<Event>> = batches(1, start, count).collect();
        let encoded = encode(&events)?;
        let requests = events.iter().flat_map(|e| shop::otlp::requests(e)).collect();
        Ok(Material::of(events, encoded, requests))
    }

    /// From a file of OTLP requests, as `import` reads it; about `count` events.
    pub(super) fn recorded(path: &Path, count: u64) -> Outcome<Material> {
        let named =
            |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(|e| named(&e))?;
        let mut splitter = Splitter::new(file, Format::OtlpProto);
        let now = SystemClock::new().now();
        let (mut encoded, mut requests, mut found) = (Vec::new(), Vec::new(), 0);
        while found < count {
            let Some(chunk) = splitter.next().map_err(|e| named(&e))? else { break };
            let batches = decode(&chunk, Format::OtlpProto, now).batches;
            found += batches.iter().map(|b| b.events() as u64).sum::<u64>();
            encoded.extend(batches);
            let mut rest = chunk.bytes.as_slice();
            while let Some((head, behind)) = rest.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head) as usize;
                let Some((request, behind)) = behind.split_at_checked(length) else { break };
                requests.push(request.to_vec());
                rest = behind;
            }
        }
        if encoded.is_empty() {
            return Err(named(&"no events in it"));
        }
        let events = encoded.iter().map(events_of).collect::<annal::Result<Vec<_>>>()?;
        Ok(Material::of(events, encoded, requests))
    }

    fn of(events: Vec<Vec<Event>>, encoded: Vec<Batch>, requests: Vec<Vec<u8>>) -> Material {
        let count: usize = events.iter().map(Vec::len).sum();
        let trace = events.iter().flatten().nth(count / 2).and_then(|e| e.trace_id);
        Material { events, encoded, requests, trace, count: count as u64 }
    }
}

fn events_of(batch: &Batch) -> annal::Result<Vec<Event>> {
    let view = BatchView::open(batch.header(), batch.payload())?;
    let rows: Vec<u32> = (0..batch.header().events).collect();
    view.materialise(batch.header(), &rows)
}

//! Events as JSON, both ways: the one object that HTTP, `--json`, NDJSON and tail share.

use annal::{Event, Result, Timestamp};

pub mod time;

/// Appends the event as one JSON object, without a line end.
pub fn write_event(out: &mut Vec<u8>, event: &Event) {
    let _ = (out, event);
}

/// Reads an event from one line of NDJSON. `now` stands in for an absent time of logs and bounds
/// the others.
pub fn read_event(line: &[u8], now: Timestamp) -> Result<Event> {
    let _ = (line, now);
    Err(annal::Error::unsupported("NDJSON"))
}

//! A chunk of a file as batches: a pure function of its bytes (and of the clock that bounds times).

use annal::{Batch, BatchBuilder, Result, Timestamp};

use super::split::{Chunk, Format};
use crate::json;
use crate::otlp::{self, Rejections};

/// What became of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// What is fit to be stored, in the order of the file.
    pub(crate) batches: Vec<Batch>,
    /// Events that were refused; 1 for a record that cannot be read at all.
    pub(super) rejected: u64,
    /// The first refusals: record or line, and why.
    pub(super) refusals: Vec<(u64, String)>,
}

/// Refusals that are told one by one; the others are counted.
const REFUSALS_TOLD_MAX: usize = 20;

impl Decoded {
    fn refuse(&mut self, record: u64, events: u64, why: impl FnOnce() -> String) {
        self.rejected += events;
        if self.refusals.len() < REFUSALS_TOLD_MAX {
            self.refusals.push((record, why()));
        }
    }

    fn refuse_all(&mut self, record: u64, rejections: Rejections) {
        self.rejected += rejections.events;
        for message in rejections.messages {
            self.refuse(record, 0, || message);
        }
    }
}

/// Decodes a chunk. What breaks a rule is left out and told; the rest is kept.
pub(crate) fn decode(chunk: &Chunk, format: Format, now: Timestamp) -> Decoded {
    let mut decoded = Decoded { bytes: chunk.bytes.len() as u64, ..Decoded::default() };
    let mut builder = BatchBuilder::new();
    match format {
        Format::Ndjson => decode_lines(chunk, &mut builder, now, &mut decoded),
        Format::OtlpProto => decode_requests(chunk, &mut builder, now, &mut decoded),
    }
    decoded
}

fn decode_lines(chunk: &Chunk, builder: &mut BatchBuilder, now: Timestamp, decoded: &mut Decoded) {
    let mut batches = Vec::new();
    let mut each = |line, outcome: Result<()>| {
        if let Err(error) = outcome {
            decoded.refuse(line, 1, || error.to_string());
        }
    };
    let first = chunk.first_record;
    match json::read_lines(&chunk.bytes, first, now, builder, &mut batches, &mut each) {
        Ok(()) => decoded.batches = batches,
        Err(error) => {
            // Nothing of the chunk is stored, whatever was wrong with single lines.
            decoded.rejected = chunk.records;
            decoded.refuse(first, 0, || error.to_string());
        }
    }
}

/// What a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Traces,
    Logs,
}

/// Consecutive requests of one kind are decoded as one: behind one another they are a request too,
/// as protobuf has it, and larger batches compress better. If that fails, each goes alone, so that
/// a broken one harms no other.
fn decode_requests(
    chunk: &Chunk,
    builder: &mut BatchBuilder,
    now: Timestamp,
    decoded: &mut Decoded,
) {
    let requests: Vec<(u64, &[u8], Kind)> = (chunk.first_record..)
        .zip(requests(&chunk.bytes))
        .map(|(number, body)| (number, body, kind(body)))
        .collect();
    for run in requests.chunk_by(|a, b| a.2 == b.2) {
        let Some(&(first, _, kind)) = run.first() else { continue };
        let whole: Vec<u8> = run.iter().flat_map(|r| r.1).copied().collect();
        if run.len() > 1 && decode_request(first, &whole, kind, builder, now, decoded).is_ok() {
            continue;
        }
        for &(number, body, kind) in run {
            if let Err(error) = decode_request(number, body, kind, builder, now, decoded) {
                decoded.refuse(number, 1, || error.to_string());
            }
        }
    }
}

fn decode_request(
    number: u64,
    body: &[u8],
    kind: Kind,
    builder: &mut BatchBuilder,
    now: Timestamp,
    decoded: &mut Decoded,
) -> Result<()> {
    let mut batches = Vec::new();
    let mut keep = |batch| {
        batches.push(batch);
        Ok(())
    };
    let rejections = match kind {
        Kind::Traces => otlp::decode_traces(body, builder, now, &mut keep),
        Kind::Logs => otlp::decode_logs(body, builder, now, &mut keep),
    }?;
    decoded.batches.append(&mut batches);
    decoded.refuse_all(number, rejections);
    Ok(())
}

/// The bodies of a chunk, whose lengths the splitter has checked.
fn requests(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_first_chunk::<4>()?;
        let (body, behind) = behind.split_at_checked(u32::from_be_bytes(*head) as usize)?;
        rest = behind;
        Some(body)
    })
}

/// Whether a body is a request of logs and not of traces.
pub(in crate::commands) fn is_logs(body: &[u8]) -> bool {
    kind(body) == Kind::Logs
}

/// Trace and log requests have the same shape down to the records. The first record tells them
/// apart: a span's field 1 is its trace id (bytes), a log record's is its time (fixed64), and only
/// a log record has a fixed64 field 11 or a varint field 2.
fn kind(body: &[u8]) -> Kind {
    // request -> resource spans -> scope spans -> span; fields 1, 2, 2.
    let record = find(body, 1).and_then(|b| find(b, 2)).and_then(|b| find(b, 2));
    let is_log =
        |(field, wire, _): &(u64, u64, &[u8])| matches!((field, wire), (1 | 11, 1) | (2, 0));
    match record.is_some_and(|record| fields(record).any(|field| is_log(&field))) {
        true => Kind::Logs,
        false => Kind::Traces,
    }
}

/// The first message in a field.
fn find(message: &[u8], field: u64) -> Option<&[u8]> {
    fields(message).find(|f| (f.0, f.1) == (field, 2)).map(|f| f.2)
}

/// Number, wire type and, for wire type 2, bytes of each field; ends where it cannot read on.
fn fields(message: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    let mut cursor = annal::codec::Cursor::new(message);
    std::iter::from_fn(move || {
        let key = cursor.varint().ok()?;
        let bytes = match key & 7 {
            0 => cursor.varint().ok().map(|_| &[][..])?,
            1 => cursor.take(8).ok()?,
            2 => {
                let length = cursor.varint().ok()?;
                cursor.take(usize::try_from(length).ok()?).ok()?
            }
            5 => cursor.take(4).ok()?,
            _ => return None,
        };
        Some((key >> 3, key & 7, bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::{self, Shop};

    #[test]
    fn requests_of_traces_and_logs_are_told_apart() {
        let mut shop = Shop::new(1, Timestamp(1_767_571_200_000_000_000), 1e5);
        let events: Vec<_> = (0..50).flat_map(|_| shop.next_request()).collect();
        let kinds: Vec<Kind> = shop::otlp::requests(&events).iter().map(|r| kind(r)).collect();
        assert_eq!(kinds, [Kind::Traces, Kind::Logs]);
        assert_eq!(kind(&[]), Kind::Traces);
        assert_eq!(kind(&[0xff; 40]), Kind::Traces);
    }
}

//! Recovery of a whole segment that was not closed, with whatever stands in its file.

use std::sync::Arc;

use annal::codec::crc32;
use annal::event::{Attribute, Signal, SpanId, Status, TraceId, Value};
use annal::format::frame::{FRAME_HEADER_BYTES, frame_bytes};
use annal::format::segment::{SEGMENT_HEADER_BYTES, log_file_name};
use annal::query::{By, Intrinsic, Reference, SeriesBy};
use annal::storage::{MemoryStorage, Storage, read_exact_at, write_all_at};
use annal::time::MINUTE_NS;
use annal::{BatchBuilder, Event, Options, Query, Store, TimeRange, Timestamp};

use crate::formats::with_crc;
use crate::{FixedClock, NOON};

/// Bytes of the segment header that are not reserved.
const HEAD_BYTES: usize = 96;
const FILE_BYTES: usize = 64 << 10;

fn options() -> Options {
    Options { manual: true, seed: Some(7), segment_bytes: FILE_BYTES as u64, ..Options::new("") }
}

pub(crate) fn open(storage: &MemoryStorage) -> annal::Result<Store> {
    Store::open_with(Arc::new(storage.clone()), Arc::new(FixedClock::default()), options())
        .map(|(store, _)| store)
}

/// A store that was killed after three batches: its files, in memory.
pub fn sample_store() -> MemoryStorage {
    let storage = MemoryStorage::new();
    let store = open(&storage).expect("an empty directory opens");
    for batch in 0..3u8 {
        let mut builder = BatchBuilder::new();
        for i in 0..4u8 {
            builder.push(&sample_event(batch, i)).expect("a small event");
        }
        let ticket = store.append(builder.finish().expect("a batch")).expect("room for it");
        while ticket.try_take().is_none() {
            store.step_committer().expect("memory does not fail");
        }
    }
    storage
}

fn sample_event(batch: u8, i: u8) -> Event {
    Event {
        time: Timestamp(NOON.0 + i64::from(i)),
        signal: Signal::Span,
        source: "cart".into(),
        event_type: if i % 2 == 0 { "AddItem" } else { "GetCart" }.into(),
        trace_id: Some(TraceId([batch + 1; 16])),
        span_id: Some(SpanId([i + 1; 8])),
        duration: Some(i64::from(i) * 1_000),
        status: if i == 3 { Status::Error } else { Status::Unset },
        attributes: vec![
            Attribute::new("user.id", Value::String(format!("u-{i}"))),
            // These two follow from the type.
            Attribute::new("rpc.method", Value::String(format!("method {}", i % 2))),
            Attribute::new("server.port", Value::Int(8_000 + i64::from(i % 2))),
        ],
        ..Event::default()
    }
}

/// A file of the storage.
pub(crate) fn read(storage: &MemoryStorage, name: &str) -> Vec<u8> {
    let file = storage.open(name, false).expect("the file is there");
    let mut bytes = vec![0; file.length().expect("a length") as usize];
    read_exact_at(&*file, 0, &mut bytes).expect("its bytes");
    bytes
}

/// The input that stands for the first segment of a storage: what to put right (all), the header
/// without its zeroes, the frames without theirs.
pub fn pack_segment(storage: &MemoryStorage) -> Vec<u8> {
    let file = read(storage, &log_file_name(1));
    let end = file.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    let frames = file.get(SEGMENT_HEADER_BYTES..end).unwrap_or_default();
    [&[3], &file[..HEAD_BYTES], frames].concat()
}

/// Brings an input back into a file: bit 0 asks for a right header checksum, bit 1 for right ones
/// in the frames, bit 2 for a file that ends behind the last frame.
fn unpack(data: &[u8]) -> Option<Vec<u8>> {
    let (&[flags], rest) = data.split_first_chunk()?;
    let (head, frames) = rest.split_at_checked(HEAD_BYTES)?;
    let mut file = head.to_vec();
    file.resize(SEGMENT_HEADER_BYTES, 0);
    if flags & 1 != 0 {
        file = with_crc(&file);
    }
    file.extend_from_slice(frames);
    if flags & 2 != 0 {
        put_frames_right(&mut file[SEGMENT_HEADER_BYTES..]);
    }
    if flags & 4 == 0 {
        file.resize(file.len().max(FILE_BYTES), 0);
    }
    Some(file)
}

fn put_frames_right(mut rest: &mut [u8]) {
    while let Some(head) = rest.first_chunk::<FRAME_HEADER_BYTES>() {
        let length = u32::from_le_bytes(head[48..52].try_into().expect("four bytes")) as usize;
        let payload = rest.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length);
        let Some(crc) = payload.map(crc32) else { return };
        rest[120..124].copy_from_slice(&crc.to_le_bytes());
        put_times_in_order(rest);
        let crc = crc32(&rest[..124]);
        rest[124..128].copy_from_slice(&crc.to_le_bytes());
        let next = frame_bytes(length) as usize;
        let Some((_, later)) = rest.split_at_mut_checked(next) else { return };
        rest = later;
    }
}

/// Left out, as no annal stamps it: a least time behind the greatest. An open takes such a frame and
/// the seal writes it down, but a directory with it is refused, and the segment is not readable then.
fn put_times_in_order(head: &mut [u8]) {
    let time = |at: usize| i64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let (min, max) = (time(72), time(80));
    head[72..80].copy_from_slice(&min.min(max).to_le_bytes());
    head[80..88].copy_from_slice(&min.max(max).to_le_bytes());
}

/// Opens a store whose only segment holds the bytes, reads all of it, closes it, opens it again.
pub fn segment(data: &[u8]) {
    let Some(bytes) = unpack(data) else { return };
    let storage = MemoryStorage::new();
    // The first manifest of a seeded store is always the same, store id included.
    drop(open(&storage).expect("an empty directory opens"));
    let name = log_file_name(1);
    if storage.open(&name, false).is_ok() {
        storage.remove(&name).expect("memory does not fail");
    }
    let file = storage.create(&name).expect("a new name");
    write_all_at(&*file, 0, &bytes).expect("memory does not fail");
    let store = match open(&storage) {
        Ok(store) => store,
        Err(first) => {
            // A store that refuses has changed nothing and refuses again (REC-1).
            let second = open(&storage).err().expect("it refused before");
            assert_eq!(first.kind(), second.kind());
            assert_eq!(read(&storage, &name), bytes);
            return;
        }
    };
    let count = read_all(&store);
    if let Err(error) = store.close() {
        // Left out: frames whose checksums hold while their claims contradict each other, such as
        // more frames than events. No annal stamps them. An open takes them; only the seal of their
        // segment refuses its own summary, and the store is poisoned.
        assert!(error.to_string().contains("the summary contradicts itself"), "{error}");
        return;
    }
    drop(store);
    let store = open(&storage).expect("what was closed opens");
    assert_eq!(read_all(&store), count);
}

/// Asks everything there is to ask; whatever comes, it is an answer or an error.
pub(crate) fn ask(store: &Store) {
    let snapshot = store.snapshot();
    let range = TimeRange { since: Timestamp(NOON.0 + 1), until: Timestamp(NOON.0 + 2) };
    let _ = snapshot.query(&Query::new(range));
    let _ = snapshot.trace(TraceId([2; 16]));
    let _ = snapshot.sources();
    let _ = snapshot.event(3);
    let all = Query::new(TimeRange::ALL);
    let _ = snapshot.count(&all, By::default());
    for query in [&all, &Query::new(range)] {
        let _ = snapshot.series(query, MINUTE_NS, SeriesBy::Source);
        let _ = snapshot.series(query, 1, SeriesBy::Type);
        let _ = snapshot.find_traces(query, 10);
        let _ = snapshot.dependencies(query);
    }
    let user = Reference::attribute("user.id");
    let _ = snapshot.query(&all.clone().reference(user.clone()).eq("u-1"));
    let _ = snapshot.top_values(&all, &user, 2);
    let _ = snapshot.top_values(&all, &Reference::Intrinsic(Intrinsic::Type), 2);
    let linked = all.intrinsic(Intrinsic::LinkTraceId).eq(TraceId([2; 16]).to_string());
    let _ = snapshot.query(&linked);
    read_all(store);
    let _ = store.verify(&mut |_| {});
}

/// Number of events, if all of them can be read. Frames whose checksum holds may still be refused.
pub(crate) fn read_all(store: &Store) -> Option<usize> {
    let query = Query::new(TimeRange::ALL).limit(100_000);
    store.snapshot().query(&query).ok().map(|answer| answer.events.len())
}

//! Waves, in all the sizes that a store of a test never reaches by itself.

use std::sync::Arc;

use super::*;
use crate::column::BatchBuilder;
use crate::event::{Attribute, Value};
use crate::options::Options;
use crate::storage::MemoryStorage;
use crate::store::Store;
use crate::time::{SystemClock, Timestamp};

const FRAMES: u64 = 12;
const EVENTS: u64 = 40;

fn id(number: u64) -> TraceId {
    TraceId(u128::from(number + 1).to_be_bytes())
}

/// Frames whose events belong to three traces, one after another.
fn store() -> Store {
    let options = Options { scan_threads: 2, compaction: false, ..Options::new("unused") };
    let storage = Arc::new(MemoryStorage::new());
    let (store, _) = Store::open_with(storage, Arc::new(SystemClock::new()), options).unwrap();
    for frame in 0..FRAMES {
        let mut builder = BatchBuilder::new();
        for row in 0..EVENTS {
            let number = frame * EVENTS + row;
            let event = Event {
                time: Timestamp((number * 7 % 100) as i64),
                source: "cart".into(),
                event_type: "AddItem".into(),
                trace_id: Some(id(number % 3)),
                attributes: vec![Attribute::new("number", Value::Int(number as i64))],
                ..Event::default()
            };
            builder.push(&event).unwrap();
        }
        store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
    }
    store
}

/// One frame at a time, a few by their number, a few by their bytes, all.
const WAVES: [Wave; 4] = [
    Wave { frames_max: 1, raw_bytes_max: usize::MAX },
    Wave { frames_max: 5, raw_bytes_max: usize::MAX },
    Wave { frames_max: usize::MAX, raw_bytes_max: RAW_BYTES_FEW },
    WAVE,
];
/// Of a few frames.
const RAW_BYTES_FEW: usize = 700;

fn ask(store: &Store, query: &Query, wave: Wave) -> Traces {
    let ids = [id(2), id(0), id(7), id(2)];
    traces(&store.snapshot().source(), &ids, query, wave, |found| found.into()).unwrap()
}

#[test]
fn a_wave_ends_where_there_is_no_room_and_always_gets_on() {
    let store = store();
    let snapshot = store.snapshot();
    let source = snapshot.source();
    let query = Query::default();
    let mut guard = Guard::new(&query);
    let plan = plan(&source, &query, &mut guard).unwrap();
    let places: Places = [(id(0).0, 0)].into_iter().collect();
    let predicate = &Predicate::Constant(true);
    let search =
        Search { source: &source, plan: &plan, places: &places, predicate, partial: false };
    let budget = Budget { bytes: 0, bytes_max: usize::MAX };
    let mut looks = |raw_bytes_max| {
        let wave = Wave { frames_max: usize::MAX, raw_bytes_max };
        let (found, looked_at) = search.find(&plan.frames, wave, &budget, &mut guard).unwrap();
        assert_eq!(found.len(), looked_at, "each frame has some of the trace");
        looked_at
    };
    assert_eq!(looks(0), 1);
    let few = looks(RAW_BYTES_FEW);
    assert!((2..FRAMES as usize / 2).contains(&few), "{few} frames");
    assert_eq!(looks(usize::MAX), FRAMES as usize);
}

#[test]
fn traces_are_the_same_in_whatever_waves_they_are_read() {
    let store = store();
    for wave in WAVES {
        let found = ask(&store, &Query::default(), wave);
        let lengths: Vec<usize> = found.traces.iter().map(Vec::len).collect();
        assert_eq!(lengths, [160, 160, 0, 160], "{wave:?}");
        assert_eq!(found.traces, ask(&store, &Query::default(), WAVE).traces, "{wave:?}");
        assert!(!found.truncated && found.scanned.events_matched == 320, "{wave:?}");
        for (trace, own) in found.traces.iter().zip([2, 0, 7, 2]) {
            assert!(trace.is_sorted_by_key(|event| (event.time, event.sequence)));
            let number = |event: &Event| event.attributes.first().map(|a| a.value.clone());
            let is_own = |e: &Event| {
                let sequence = e.sequence - trace.iter().map(|e| e.sequence).min().unwrap_or(0);
                e.trace_id == Some(id(own)) && sequence.is_multiple_of(3) && number(e).is_some()
            };
            assert!(trace.iter().all(is_own), "{wave:?}");
        }
    }
}

#[test]
fn what_is_cut_off_is_the_end_and_little_more_is_read() {
    let store = store();
    let whole = ask(&store, &Query::default(), WAVE);
    let mut all: Vec<u64> = whole.traces[..3].iter().flatten().map(|e| e.sequence).collect();
    all.sort_unstable();
    for bytes_max in [1, 5_000, 30_000, 80_000] {
        let query = Query { bytes_max, ..Query::default() };
        let mut lengths = Vec::new();
        for wave in WAVES {
            let found = ask(&store, &query, wave);
            assert!(found.truncated, "{bytes_max} bytes");
            let mut given: Vec<u64> =
                found.traces[..3].iter().flatten().map(|e| e.sequence).collect();
            given.sort_unstable();
            assert_eq!(given, all[..given.len()], "{bytes_max} bytes in {wave:?}");
            lengths.push(given.len());
            if wave.frames_max == 1 {
                // No event weighs less than this; two in three are asked for.
                let frames = bytes_max / FIXED_BYTES / (EVENTS as usize * 2 / 3) + 2;
                let read = found.scanned.events_read;
                assert!(read <= frames as u64 * EVENTS, "{read} events for {bytes_max} bytes");
            }
        }
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
        assert!(lengths[0] * FIXED_BYTES <= bytes_max);
    }
}

//! What a compacted segment knows without reading events says the same as reading them: minutes of
//! sources, attributes of blocks, the traces that they link to.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use annal::event::{Attribute, Event, Link, Resource, Signal, Status, TraceId, Value};
use annal::query::{By, Explain, Query, SeriesBy};
use annal::storage::MemoryStorage;
use annal::time::SystemClock;
use annal::{BatchBuilder, Options, Snapshot, Store, TimeRange, Timestamp, limits};

const MINUTE_NS: i64 = 60_000_000_000;
const START: i64 = 1_661_169_600_000_000_000 + 17 * MINUTE_NS / 60;
const EVENTS: u64 = 40_000;

/// Bits that look random, from a number alone.
fn mixed(number: u64) -> u64 {
    let x = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 7
}

fn attribute(key: &str, value: Value) -> Attribute {
    Attribute { key: key.into(), value }
}

fn event(number: u64) -> Event {
    let random = mixed(number);
    let signal = [Signal::Span, Signal::Span, Signal::Log, Signal::Event][(random % 4) as usize];
    // Mostly in order, some late, over an hour and a half.
    let late = if random.is_multiple_of(50) { (random % 1_000) as i64 * 1_000_000_000 } else { 0 };
    let pod = attribute("pod", Value::String(format!("pod-{}", number / 10_000)));
    let resource = Arc::new(Resource { attributes: vec![pod], ..Resource::default() });
    Event {
        time: Timestamp(START + number as i64 * 135_000_000 - late),
        source: ["cart", "checkout", "pay"][(random % 3) as usize].into(),
        event_type: format!("type {}", random % 7),
        signal,
        duration: (signal == Signal::Span).then_some((random % 5_000_000) as i64 - 10),
        status: if random.is_multiple_of(11) { Status::Error } else { Status::Unset },
        severity_number: if random.is_multiple_of(23) { 17 } else { 9 },
        attributes: vec![
            attribute("user", Value::String(format!("u-{}", number / 200))),
            attribute("request", Value::String(format!("r-{number}"))),
            attribute(
                "size",
                if number < 9_000 { Value::Int(7) } else { Value::String("7".into()) },
            ),
        ],
        resource,
        ..Event::default()
    }
}

/// Events of a full block.
const BLOCK_EVENTS: u64 = 4_096;
/// Events of a trace, and how many events after a trace one links to it, some blocks away.
const TRACE_EVENTS: u64 = 8;
const LINKED_LATER: u64 = 20_000;

fn trace(number: u64) -> TraceId {
    TraceId(
        [mixed(number), mixed(number + (1 << 40))]
            .map(u64::to_le_bytes)
            .concat()
            .try_into()
            .unwrap(),
    )
}

/// Every second trace is linked to by one event; one of them by many others, too.
fn linking_event(number: u64) -> Event {
    let link = |number: u64| Link {
        trace_id: trace(number / TRACE_EVENTS),
        span_id: None,
        trace_state: String::new(),
        attributes: Vec::new(),
        dropped_attributes: 0,
        flags: 0,
    };
    let mut links = Vec::new();
    if number.is_multiple_of(2 * TRACE_EVENTS) {
        links.extend(number.checked_sub(LINKED_LATER).map(link));
    }
    if number.is_multiple_of(1_000) && number >= LINKED_LATER {
        links.push(link(0));
    }
    Event { trace_id: Some(trace(number / TRACE_EVENTS)), links, ..event(number) }
}

fn store() -> Store {
    store_of(event)
}

fn store_of(event: fn(u64) -> Event) -> Store {
    let options = Options {
        segment_bytes: limits::SEGMENT_BYTES_MIN,
        compaction: false,
        ..Options::new("unused")
    };
    let storage = Arc::new(MemoryStorage::new());
    let open = || {
        let clock = Arc::new(SystemClock::new());
        Store::open_with(storage.clone(), clock, options.clone()).unwrap().0
    };
    let store = open();
    let mut builder = BatchBuilder::new();
    for number in 0..EVENTS {
        builder.push(&event(number)).unwrap();
        if number % 1_000 == 999 {
            store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
        }
    }
    // Closed, it is sealed as a whole.
    store.close().unwrap();
    open()
}

/// The store before and after compaction.
fn both() -> (Store, Snapshot, Snapshot) {
    both_of(event)
}

fn both_of(event: fn(u64) -> Event) -> (Store, Snapshot, Snapshot) {
    let store = store_of(event);
    let before = store.snapshot();
    store.compact().unwrap();
    let after = store.snapshot();
    assert!(before.segments().iter().all(|s| !s.is_compacted()));
    assert!(after.segments().iter().all(|s| s.is_compacted() || s.events() == 0));
    (store, before, after)
}

#[test]
fn minutes_of_sources_are_the_same_whether_they_are_known_or_read() {
    let (_store, before, after) = both();
    let all = TimeRange { since: Timestamp::MIN, until: Timestamp::MAX };
    let cut = |from: i64, to: i64| TimeRange {
        since: Timestamp(START + from * 1_000_000_007),
        until: Timestamp(START + to * 1_000_000_007),
    };
    let ranges = [all, cut(100, 5_000), cut(0, 43), cut(700, 730), cut(900, 901), cut(-900, 1_300)];
    for range in ranges {
        for step in [1, 2, 60].map(|minutes| minutes * MINUTE_NS) {
            let asked = [(None, None), (Some("pay"), None), (None, Some("source != \"pay\""))];
            for (source, filter) in asked {
                let mut query = Query { range, ..Query::default() };
                query.source = source.map(str::to_owned);
                query.filter = filter.map(|text| text.parse().unwrap());
                for by in [SeriesBy::Source, SeriesBy::Type] {
                    let expected = before.series(&query, step, by).unwrap();
                    let found = after.series(&query, step, by).unwrap();
                    assert_eq!(found.series, expected.series, "{query:?} {step} {by:?}");
                    assert_eq!(found.scanned.events_matched, expected.scanned.events_matched);
                }
            }
        }
    }
    let whole = after.series(&Query::default(), MINUTE_NS, SeriesBy::Source).unwrap();
    assert_eq!(whole.scanned.events_matched, EVENTS);
    assert!(whole.scanned.events_read < EVENTS / 4, "{:?}", whole.scanned);
}

#[test]
fn counts_are_the_same_whether_minutes_are_known_or_read() {
    let (_store, before, after) = both();
    let all = TimeRange { since: Timestamp::MIN, until: Timestamp::MAX };
    let cut = |from: i64, to: i64| TimeRange {
        since: Timestamp(START + from * 1_000_000_007),
        until: Timestamp(START + to * 1_000_000_007),
    };
    let by = |bits: u8| By { source: bits & 1 > 0, event_type: bits & 2 > 0, minute: bits & 4 > 0 };
    for range in [all, cut(100, 5_000), cut(0, 43), cut(700, 730), cut(900, 901), cut(-900, 1_300)]
    {
        for filter in [None, Some("source != \"pay\""), Some("type != \"type 3\"")] {
            for by in (0..8).map(by) {
                let filter = filter.map(|text| text.parse().unwrap());
                let query = Query { range, filter, ..Query::default() };
                let expected = before.count(&query, by).unwrap();
                let found = after.count(&query, by).unwrap();
                assert_eq!(found.counts, expected.counts, "{query:?} {by:?}");
                assert_eq!(found.scanned.events_matched, expected.scanned.events_matched);
            }
        }
    }
    for by in [1, 4, 5].map(by) {
        let whole = after.count(&Query::default(), by).unwrap();
        assert_eq!(whole.counts.iter().map(|count| count.count).sum::<u64>(), EVENTS);
        assert!(whole.scanned.events_read < EVENTS / 4, "{:?}", whole.scanned);
    }
}

#[test]
fn blocks_without_a_value_are_not_read_and_no_event_is_missed() {
    let (_store, before, after) = both();
    let count = |snapshot: &Snapshot, text: &str| {
        let query = Query { filter: Some(text.parse().unwrap()), ..Query::default() };
        let counts = snapshot.count(&query, By::default()).unwrap();
        (counts.counts.first().unwrap().count, counts.scanned.events_read)
    };
    let mut read_sum = 0;
    for number in [0, 57, 111, 199] {
        for text in [
            format!("span.user = \"u-{number}\""),
            format!(".user = \"u-{number}\""),
            format!(".user =~ \"u-{number}\""),
            format!(".user = \"u-{number}\" && resource.pod = \"pod-{}\"", number / 50),
        ] {
            let (found, read) = count(&after, &text);
            assert_eq!(found, count(&before, &text).0, "{text}");
            assert_eq!(found, 200, "{text}");
            read_sum += read;
        }
    }
    assert!(read_sum <= 16 * 2 * BLOCK_EVENTS, "{read_sum} events were read for 3200");
    for (text, blocks_max) in [
        ("span.user = \"nobody\"", 1),
        ("span.nothing = 1", 0),
        ("span.size = 7", 3),
        ("span.size = \"7\" || span.nothing = \"x\"", 10),
        ("span.request = \"r-31\"", 10),
        ("span.user != \"u-1\"", 10),
        ("!(span.user = \"u-1\")", 10),
        ("span.nothing = nil", 10),
        ("span.user = \"u-1\" || source = \"pay\"", 10),
        ("resource.user = \"u-1\"", 0),
    ] {
        let (found, read) = count(&after, text);
        assert_eq!(found, count(&before, text).0, "{text}");
        assert!(read <= blocks_max * BLOCK_EVENTS, "{text}: {read} events");
    }
}

#[test]
fn who_links_to_a_trace_is_found_without_reading_the_trace_itself() {
    let (store, before, after) = both_of(linking_event);
    let sequences = |snapshot: &Snapshot, number: u64, query: &Query| -> Vec<u64> {
        let answer = snapshot.links_to(trace(number), query).unwrap();
        answer.events.iter().map(|event| event.sequence).collect()
    };
    let all = Query::default().limit(usize::MAX);
    let (mut left_out, mut read) = (0, 0);
    for number in (0..EVENTS / TRACE_EVENTS).step_by(97) {
        let found = sequences(&after, number, &all);
        assert_eq!(found, sequences(&before, number, &all), "trace {number}");
        let linked = number % 2 == 0 && number * TRACE_EVENTS + LINKED_LATER < EVENTS;
        let links = match number {
            0 => 20,
            _ => usize::from(linked),
        };
        assert_eq!(found.len(), links, "trace {number}");
        let text = format!("link:traceID = \"{}\"", trace(number));
        let asked = all.clone().filter(&text).unwrap();
        let Explain { steps, frames, .. } = after.explain(&asked).unwrap();
        // The block where it stands is left out, unless others are linked to from there.
        let apart = number * TRACE_EVENTS < LINKED_LATER - BLOCK_EVENTS;
        if number > 0 && apart {
            assert!(steps.frames_by_link > 0, "trace {number}: {steps:?}");
            assert_eq!(frames, u64::from(linked), "trace {number}");
        }
        left_out += steps.frames_by_link;
        read += frames;
    }
    assert!(left_out >= 40 && read <= 40, "{left_out} blocks left out, {read} read");
    // Together with other conditions.
    let some = all.source("cart").filter("type != \"type 1\"").unwrap();
    let expected = sequences(&before, 0, &some);
    assert!(expected.len() > 1 && expected.len() < 20, "{expected:?}");
    assert_eq!(sequences(&after, 0, &some), expected);
    let report = store.verify(&mut |_| {}).unwrap();
    assert!(report.damage.is_empty(), "{:?}", report.damage);
}

#[test]
fn a_segment_without_links_spends_nothing_on_them() {
    let (_store, _, after) = both();
    assert!(after.segments().iter().all(|segment| segment.links().unwrap().is_none()));
    let answer = after.links_to(trace(0), &Query::default()).unwrap();
    assert!(answer.events.is_empty());
}

#[test]
fn a_scan_unit_of_a_file_that_compaction_replaced_asks_to_be_planned_anew() {
    let store = store();
    let query = Query::default();
    let units = store.snapshot().plan(&query).unwrap();
    store.compact().unwrap();
    let after = store.snapshot();
    for unit in units {
        // As of a segment that still grew when it was planned.
        let unit = annal::query::ScanUnit { digest: None, ..unit };
        let error = after.scan(&unit, &query).err().unwrap();
        assert_eq!(error.kind(), annal::ErrorKind::Invalid, "{error}");
    }
}

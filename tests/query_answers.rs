//! Queries answer what a plain walk over all events answers: random questions over random events,
//! in sealed and active segments, both orders, page by page, while events keep arriving.
//!
//! Each question is asked once more of a copy whose segments were compacted one after another, as are
//! those about traces, series, values and dependencies: whole events, pages, units of a scan and
//! counts are the same before and after (CMP-1). And each is asked in two ways: through all indexes
//! with the fastest kernels, and by reading everything with the plain ones.
//!
//! `ANNAL_QUERIES` sets how many questions are asked (default 20,000).
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test that damages files")]

#[path = "query_answers/aggregates.rs"]
mod aggregates;
#[path = "query_answers/events.rs"]
mod events;
#[path = "query_answers/fixture.rs"]
mod fixture;
#[path = "query_answers/naive.rs"]
mod naive;
#[path = "query_answers/questions.rs"]
mod questions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use annal::column::Kernels;
use annal::event::{Attribute, Event, Signal, Value};
use annal::query::{By, Catalog, Cursor, Expr, Intrinsic, Order, Query, ScanUnit};
use annal::{BatchBuilder, ErrorKind, Options, Snapshot, Store, TimeRange, Timestamp, limits};
use events::{Random, random_event};
use fixture::Fixture;

/// Source, type and minute.
type Group = (Option<String>, Option<String>, Option<i64>);

/// Pages that are asked of one question.
const PAGES_MAX: usize = 8;

fn questions() -> usize {
    std::env::var("ANNAL_QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000)
}

fn sequences(events: &[&Event]) -> Vec<u64> {
    events.iter().map(|e| e.sequence).collect()
}

/// Pages of a query, as sequences: all or as many as are worth the time; whether it was all.
fn pages(snapshot: &Snapshot, query: &Query) -> (Vec<u64>, bool) {
    let mut query = query.clone();
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = snapshot.query(&query).unwrap();
        assert!(answer.events.len() <= query.limit);
        assert_eq!(answer.next.is_some(), answer.truncated);
        all.extend(answer.events.iter().map(|e| e.sequence));
        match answer.next {
            Some(next) => query.cursor = Some(next.to_string().parse::<Cursor>().unwrap()),
            None => return (all, true),
        }
    }
    (all, false)
}

/// What the units of a scan find, and how many events they hold.
fn scanned_by_units(snapshot: &Snapshot, query: &Query) -> (Vec<u64>, u64) {
    let mut units = snapshot.plan(query).unwrap();
    let events = units.iter().map(|unit| unit.events).sum();
    // Any order will do.
    units.reverse();
    let mut all = Vec::new();
    for unit in units {
        let unit = ScanUnit::decode(&unit.encode()).unwrap();
        let mut matched = 0;
        for selected in snapshot.scan(&unit, query).unwrap() {
            let selected = selected.unwrap();
            matched += selected.rows().len() as u64;
            all.extend(selected.sequences());
        }
        assert!(unit.exact_count().is_none_or(|exact| exact == matched), "{unit:?}: {matched}");
        assert!(matched <= unit.events);
    }
    all.sort_unstable();
    (all, events)
}

fn counts(events: &[&Event], by: By) -> BTreeMap<Group, u64> {
    let mut counts = BTreeMap::new();
    if by == By::default() {
        counts.insert((None, None, None), 0);
    }
    for event in events {
        let minute = event.time.0.div_euclid(60_000_000_000) * 60_000_000_000;
        let group = (
            by.source.then(|| naive::source(event)),
            by.event_type.then(|| event.event_type.clone()),
            by.minute.then_some(minute),
        );
        *counts.entry(group).or_default() += 1;
    }
    counts
}

#[test]
fn random_queries_answer_what_a_plain_walk_answers_before_and_after_compaction() {
    let halves = [0x5eed, 0xfeed];
    let stores = questions().div_ceil(500).div_ceil(halves.len());
    let seen = std::thread::scope(|scope| {
        let running = halves.map(|seed| scope.spawn(move || ask_about(seed, stores)));
        running.map(|half| half.join().unwrap())
    });
    let sum = |of: fn(&Seen) -> u64| seen.iter().map(of).sum::<u64>();
    // Questions that never match, or always, would test little; so would indexes never asked.
    let (matched, most) = (sum(|s| s.matched), sum(|s| s.most));
    assert!(matched * 5 > questions() as u64, "only {matched} questions matched anything");
    assert!(most > 200, "no question matched more than {most} events");
    assert!(sum(|s| s.by_link) > 0, "links left out nothing");
    assert!(sum(|s| s.by_attribute) > 0, "attributes left out nothing");
}

/// What has been seen of the questions about some stores.
#[derive(Default)]
struct Seen {
    /// Questions that matched anything.
    matched: u64,
    /// Events that one of them matched at most.
    most: u64,
    /// Frames that indexes left out.
    by_link: u64,
    by_attribute: u64,
}

/// Asks 500 questions about each of so many stores.
fn ask_about(seed: u64, stores: usize) -> Seen {
    let mut random = Random(seed);
    let mut seen = Seen::default();
    for round in 0..stores {
        let fixture = Fixture::filled(&mut random, 40);
        let compacted = fixture.compacted();
        let snapshots = [fixture.store.snapshot(), compacted.store.snapshot()];
        assert!(snapshots.iter().all(|s| s.segments().len() > 2), "few segments");
        for number in 0..500 {
            // However slow the machine: what is asked is whether the answer is right.
            let query = questions::random_query(&mut random, &fixture.events);
            let query = Query { deadline_ms: u64::MAX, ..query };
            let expected = fixture.expected(&query);
            seen.matched += u64::from(!expected.is_empty());
            seen.most = seen.most.max(expected.len() as u64);
            let bits = random.below(8);
            let by = By { source: bits & 1 > 0, event_type: bits & 2 > 0, minute: bits & 4 > 0 };
            let steps = snapshots[1].explain(&query).unwrap().steps;
            seen.by_link += steps.frames_by_link;
            seen.by_attribute += steps.frames_by_attribute;
            for (snapshot, form) in snapshots.iter().zip(["log", "copy"]) {
                let what = format!("{seed}, {round}, {form}, {number}: {query:?} by {by:?}");
                check(snapshot, &query, by, &expected, &what);
                let plainly = query.clone().full_scan(true).kernels(Kernels::plain());
                let units = check(snapshot, &plainly, by, &expected, &what);
                let all: u64 = snapshot.segments().iter().map(|s| s.events()).sum();
                assert_eq!(units, all, "a full scan leaves out nothing: {what}");
            }
        }
    }
    seen
}

/// All pages, all units of a scan, and the counts of a query; says how many events the units hold.
fn check(snapshot: &Snapshot, query: &Query, by: By, expected: &[&Event], what: &str) -> u64 {
    let (found, whole) = pages(snapshot, query);
    let mut sorted = sequences(expected);
    let wanted = if whole { &sorted[..] } else { &sorted[..found.len()] };
    assert_eq!(found, wanted, "{what}");
    sorted.sort_unstable();
    let (scanned, events) = scanned_by_units(snapshot, query);
    assert_eq!(scanned, sorted, "{what}");
    let counted: BTreeMap<_, _> = (snapshot.count(query, by).unwrap().counts)
        .into_iter()
        .map(|c| ((c.source, c.event_type, c.minute.map(|m| m.0)), c.count))
        .collect();
    assert_eq!(counted, counts(expected, by), "{what}");
    events
}

#[test]
fn pages_neither_repeat_nor_skip_while_events_arrive() {
    let mut random = Random(0xca11);
    let mut fixture = Fixture::filled(&mut random, 12);
    for round in 0..20 {
        let mut query = questions::random_query(&mut random, &fixture.events);
        query.limit = 1 + random.below(15);
        let expected = sequences(&fixture.expected(&query));
        let mut all = Vec::new();
        loop {
            let answer = fixture.store.snapshot().query(&query).unwrap();
            all.extend(answer.events.iter().map(|e| e.sequence));
            fixture.append(&mut random, 5, 12 + round);
            match answer.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
            if all.len() > 150 {
                all.extend(expected.iter().skip(all.len()));
                break;
            }
        }
        assert_eq!(all, expected, "round {round}: {query:?}");
    }
}

#[test]
fn an_event_is_found_by_its_sequence_and_nothing_by_others() {
    let mut random = Random(7);
    let fixture = Fixture::filled(&mut random, 30);
    for fixture in [&fixture.compacted(), &fixture] {
        let snapshot = fixture.store.snapshot();
        for event in &fixture.events {
            let found = snapshot.event(event.sequence).unwrap().unwrap();
            assert_eq!((found.sequence, found.time), (event.sequence, event.time));
            assert_eq!(found.event_type, event.event_type);
            assert_eq!(found.body, event.body);
            assert_eq!(found.links, event.links);
        }
        for none in [snapshot.next_sequence(), u64::MAX] {
            assert!(snapshot.event(none).unwrap().is_none());
        }
    }
}

#[test]
fn a_trace_is_whole_ordered_and_read_through_its_filters() {
    let mut random = Random(8);
    let fixture = Fixture::filled(&mut random, 30);
    for fixture in [&fixture.compacted(), &fixture] {
        let snapshot = fixture.store.snapshot();
        for id in events::trace_ids() {
            let query = Query::default().trace(id).order(Order::Oldest);
            let answer = snapshot.trace(id).unwrap();
            let found: Vec<u64> = answer.events.iter().map(|e| e.sequence).collect();
            assert_eq!(found, sequences(&fixture.expected(&query)));
            assert!(!answer.truncated);
        }
        let unknown = annal::TraceId([0xee; 16]);
        let answer = snapshot.trace(unknown).unwrap();
        assert!(answer.events.is_empty());
        // The filters know about one in a hundred wrongly.
        let frames_read = answer.scanned.frames - answer.scanned.frames_pruned;
        assert!(frames_read <= 3, "{:?}", answer.scanned);
    }
}

#[test]
fn who_links_to_a_trace_is_what_a_plain_walk_finds_before_and_after_compaction() {
    let mut random = Random(16);
    let fixture = Fixture::filled(&mut random, 40);
    let mut found_any = 0;
    for fixture in [&fixture.compacted(), &fixture] {
        let snapshot = fixture.store.snapshot();
        for number in 0..400 {
            let id = random.pick(&events::trace_ids());
            let mut query = questions::random_query(&mut random, &fixture.events);
            if number % 2 == 0 {
                query.filter = None;
            }
            let linking = query.clone().intrinsic(Intrinsic::LinkTraceId).eq(id.to_string());
            let expected = sequences(&fixture.expected(&linking));
            let mut found = Vec::new();
            loop {
                let answer = snapshot.links_to(id, &query).unwrap();
                assert!(answer.events.len() <= query.limit);
                found.extend(answer.events.iter().map(|event| event.sequence));
                let Some(next) = answer.next else { break };
                query.cursor = Some(next);
            }
            assert_eq!(found, expected, "{id} {query:?}");
            found_any += usize::from(!found.is_empty());
        }
    }
    assert!(found_any > 200, "only {found_any} of 800 questions found anything");
}

#[test]
fn the_catalog_knows_every_series_and_reads_only_what_is_new() {
    let mut random = Random(9);
    let mut fixture = Fixture::filled(&mut random, 10);
    let mut catalog = Catalog::default();
    for round in 0..5 {
        catalog.refresh(&fixture.store.snapshot()).unwrap();
        let mut expected: BTreeMap<(String, String), (u64, u64, Timestamp, Timestamp)> =
            BTreeMap::new();
        for event in &fixture.events {
            let error = event.status == annal::event::Status::Error || event.severity_number >= 17;
            let entry = expected.entry((naive::source(event), event.event_type.clone()));
            let sum = entry.or_insert((0, 0, event.time, event.time));
            *sum =
                (sum.0 + 1, sum.1 + u64::from(error), sum.2.min(event.time), sum.3.max(event.time));
        }
        let found: BTreeMap<_, _> = (catalog.types(None).into_iter())
            .map(|(s, t)| ((s.source, s.event_type), (t.events, t.errors, t.first, t.last)))
            .collect();
        assert_eq!(found, expected);
        let total: u64 = catalog.sources().iter().map(|(_, t)| t.events).sum();
        assert_eq!(total, fixture.events.len() as u64);
        let (source, totals) = catalog.sources().remove(0);
        let of_source: u64 = catalog.types(Some(&source)).iter().map(|(_, t)| t.events).sum();
        assert_eq!(of_source, totals.events);
        fixture.append(&mut random, 40, 10 + round);
    }
}

#[test]
fn an_older_snapshot_takes_nothing_from_the_catalog() {
    let mut random = Random(11);
    let mut fixture = Fixture::filled(&mut random, 10);
    let older = fixture.store.snapshot();
    fixture.append(&mut random, 4_000, 10);
    let newer = fixture.store.snapshot();
    let mut catalog = Catalog::default();
    assert!(!catalog.is_current(&older));
    catalog.refresh(&newer).unwrap();
    let known = catalog.types(None);
    catalog.refresh(&older).unwrap();
    assert_eq!(catalog.types(None), known);
    assert!(catalog.is_current(&newer) && !catalog.is_current(&older));
}

#[test]
fn a_refresh_that_is_stopped_is_an_error_and_the_next_one_ends_right() {
    let mut random = Random(12);
    let fixture = Fixture::filled(&mut random, 20);
    let snapshot = fixture.store.snapshot();
    let mut whole = Catalog::default();
    whole.refresh(&snapshot).unwrap();
    let mut catalog = Catalog::default();
    let cancelled = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let query = Query { cancel: Some(cancelled), ..Query::default() };
    let error = catalog.refresh_within(&snapshot, &query).unwrap_err();
    assert_eq!(error.kind(), annal::ErrorKind::Cancelled);
    assert!(!catalog.is_current(&snapshot), "what was not read to the end is not served");
    catalog.refresh_within(&snapshot, &Query::default()).unwrap();
    assert!(catalog.is_current(&snapshot));
    assert_eq!(catalog.types(None), whole.types(None));
}

#[test]
fn what_directories_say_is_counted_without_reading_a_frame() {
    let mut random = Random(10);
    let fixture = Fixture::filled(&mut random, 20);
    let snapshot = fixture.store.snapshot();
    let counts = snapshot.count(&Query::new(TimeRange::ALL), By::default()).unwrap();
    assert_eq!(counts.counts[0].count, fixture.events.len() as u64);
    assert_eq!((counts.scanned.events_read, counts.scanned.bytes_read), (0, 0));
    let none = snapshot.count(&Query::default().source("nobody"), By::default()).unwrap();
    assert_eq!(none.counts[0].count, 0);
    assert_eq!(none.scanned.events_read, 0);
    assert_eq!(none.scanned.frames_pruned, none.scanned.frames);
}

#[test]
fn the_newest_events_are_found_without_reading_the_rest() {
    let mut fixture = Fixture::new();
    let mut random = Random(11);
    for batch in 0..50 {
        let mut events: Vec<Event> = (0..20).map(|_| random_event(&mut random, 0)).collect();
        for (i, event) in events.iter_mut().enumerate() {
            event.time = Timestamp(1_000_000 * batch + i as i64);
        }
        let mut builder = BatchBuilder::new();
        events.iter().for_each(|e| builder.push(e).unwrap());
        let _ = fixture.store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
        fixture.events.extend(events);
    }
    let answer = fixture.store.snapshot().query(&Query::default().limit(20)).unwrap();
    assert_eq!(answer.events.len(), 20);
    assert!(answer.truncated);
    // One more than the limit tells whether there are more: the frame before, and the one that
    // another thread reads at the same time.
    assert_eq!(answer.scanned.events_read, 60, "{:?}", answer.scanned);
    assert_eq!(answer.scanned.frames_pruned, 47);
}

#[test]
fn limits_deadlines_and_cancellation_stop_a_query_by_name() {
    let mut random = Random(12);
    let fixture = Fixture::filled(&mut random, 10);
    let snapshot = fixture.store.snapshot();
    let all = || Query::default().limit(usize::MAX).filter("message != nil").unwrap();
    let kind = |query: Query| snapshot.query(&query).unwrap_err().kind();
    let cancelled = Query { cancel: Some(Arc::new(AtomicBool::new(true))), ..all() };
    assert_eq!(kind(cancelled), ErrorKind::Cancelled);
    assert_eq!(kind(Query { events_read_max: 10, ..all() }), ErrorKind::Limit);
    let (mut pages, mut found, mut query) = (0, 0, Query { bytes_max: 8_000, ..all() });
    loop {
        let answer = snapshot.query(&query).unwrap();
        pages += 1;
        found += answer.events.len();
        match answer.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert!(pages > 5, "{pages} pages");
    assert_eq!(found, fixture.expected(&all()).len());
    let one = snapshot.query(&Query { bytes_max: 0, ..all() }).unwrap();
    assert_eq!((one.events.len(), one.truncated), (1, true));
    let none = snapshot.query(&all().limit(0)).unwrap();
    assert_eq!((none.events.len(), none.truncated), (0, true));
    let bad = snapshot.query(&Query::default().attr("a").matches("(")).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Invalid);
}

#[test]
fn large_events_come_in_pages_of_the_bytes_allowed_whatever_the_limit_of_events() {
    let mut fixture = Fixture::new();
    let mut random = Random(16);
    // Small ones, large ones, and both in one batch.
    for batch in 0..12 {
        fixture.append(&mut random, 20, batch);
        let large = |i| Event {
            time: Timestamp(batch as i64 * 1_000 + i),
            source: "large".into(),
            event_type: "large".into(),
            attributes: (0..4)
                .map(|_| Attribute::new("text", Value::String("x".repeat(60_000))))
                .collect(),
            ..Event::default()
        };
        let mut builder = BatchBuilder::new();
        let events: Vec<Event> = (0..3).map(large).collect();
        events.iter().for_each(|e| builder.push(e).unwrap());
        let ack = fixture.store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
        let sequences = ack.first_sequence.unwrap()..;
        let numbered = events.into_iter().zip(sequences);
        fixture.events.extend(numbered.map(|(e, sequence)| Event { sequence, ..e }));
    }
    let snapshot = fixture.store.snapshot();
    for bytes_max in [0, 255, 256, 300_000, 2_000_000, 64 << 20] {
        let all = Query { bytes_max, ..Query::default().limit(usize::MAX) };
        let (mut found, mut query) = (Vec::new(), all.clone());
        loop {
            let answer = snapshot.query(&query).unwrap();
            let texts: usize = answer.events.iter().map(|e| e.source.len()).sum();
            let large = answer.events.iter().filter(|e| e.source == "large").count();
            assert!(answer.events.len() == 1 || large * 240_000 + texts <= bytes_max);
            found.extend(answer.events.iter().map(|e| e.sequence));
            assert_eq!(answer.next.is_some(), answer.truncated);
            match answer.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(found, sequences(&fixture.expected(&all)), "{bytes_max}");
    }
}

#[test]
fn a_query_has_one_budget_of_regular_expressions_however_it_is_made() {
    let fixture = Fixture::filled(&mut Random(17), 1);
    let snapshot = fixture.store.snapshot();
    let built = |count: usize| {
        let one = |_| Query::default().attr("a").matches("x+").filter.unwrap();
        Query { filter: Some(Expr::Any((0..count).map(one).collect())), ..Query::default() }
    };
    snapshot.query(&built(limits::QUERY_REGEXES_MAX)).unwrap();
    let refused = snapshot.query(&built(limits::QUERY_REGEXES_MAX + 1)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Limit);
    let counted = snapshot.count(&built(limits::QUERY_REGEXES_MAX + 1), By::default());
    assert_eq!(counted.unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn a_scan_unit_of_elsewhere_or_damaged_is_refused() {
    let mut random = Random(13);
    let (ours, other) = (Fixture::filled(&mut random, 3), Fixture::filled(&mut random, 3));
    let query = Query::default();
    let unit = ours.store.snapshot().plan(&query).unwrap().remove(0);
    assert!(other.store.snapshot().scan(&unit, &query).is_err());
    let bytes = unit.encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(ScanUnit::decode(&flipped).is_err(), "bit {bit}");
    }
    assert!(ScanUnit::decode(&[]).is_err());
}

#[test]
fn explain_tells_what_each_step_leaves_out() {
    let mut random = Random(14);
    let fixture = Fixture::filled(&mut random, 20);
    let snapshot = fixture.store.snapshot();
    let query = Query::default().signal(Signal::Log).filter("source = \"nobody\"").unwrap();
    let explain = snapshot.explain(&query).unwrap();
    assert_eq!((explain.frames, explain.events), (0, 0));
    assert_eq!(explain.steps.frames_by_series, explain.steps.frames);
    assert!(explain.to_string().contains("out by source and type"), "{explain}");
    let all = snapshot.explain(&Query::default()).unwrap();
    assert_eq!(all.events_certain, fixture.events.len() as u64);
}

#[test]
fn damage_is_an_error_with_its_place_and_left_out_only_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 64 << 10, ..Options::new(directory.path()) };
    let mut random = Random(15);
    let (store, _) = Store::open(options()).unwrap();
    let mut fixture = Fixture { store, events: Vec::new() };
    (0..10).for_each(|batch| fixture.append(&mut random, 30, batch));
    let name = fixture.store.snapshot().segments()[0].file_name().to_owned();
    fixture.store.close().unwrap();
    // Behind the headers of segment and first frame.
    let (frame, byte) = (4_096, 4_096 + 128 + 40);
    let path = directory.path().join(&name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[byte] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (store, _) = Store::open(options()).unwrap();
    let snapshot = store.snapshot();
    let all = Query::default().limit(usize::MAX);
    let error = snapshot.query(&all).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!((error.file(), error.offset()), (Some(name.as_str()), Some(frame)));
    let counted = all.clone().filter("sequence >= 0").unwrap();
    assert_eq!(snapshot.count(&counted, By::default()).unwrap_err().kind(), ErrorKind::Corrupt);
    let left: Vec<&Event> = fixture.events.iter().skip(30).collect();
    let answer = snapshot.query(&all.clone().partial(true)).unwrap();
    assert_eq!(answer.events.len(), left.len());
    assert_eq!(answer.damage.len(), 1);
    assert_eq!(answer.damage[0].offset(), Some(frame));
    let counts = snapshot.count(&counted.partial(true), By::default()).unwrap();
    assert_eq!((counts.counts[0].count, counts.damage.len()), (left.len() as u64, 1));
    let digests: Vec<bool> = snapshot.segments().iter().map(|s| s.digest().is_some()).collect();
    assert!(digests[0], "sealed at close");
}

#[test]
fn damage_in_what_is_read_ahead_spoils_no_answer_that_does_not_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(Options::new(directory.path())).unwrap();
    for batch in 0..10 {
        let mut builder = BatchBuilder::new();
        for i in 0..20 {
            let time = Timestamp(1_000_000 * batch + i);
            let trace_id = Some(annal::TraceId([1 + (batch * 20 + i) as u8; 16]));
            builder.push(&Event { time, trace_id, ..Event::default() }).unwrap();
        }
        store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
    }
    store.close().unwrap();
    let (store, _) = Store::open(Options::new(directory.path())).unwrap();
    let snapshot = store.snapshot();
    let segment = &snapshot.segments()[0];
    // Two frames hold the 21 newest events; this is the one before them.
    let frames = segment.directory().unwrap();
    let offset = segment.offset(frames.frames.get(7).unwrap()) as usize + 128 + 5;
    let path = directory.path().join(segment.file_name());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[offset] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let query = Query::default().limit(20);
    assert_eq!(snapshot.query(&query).unwrap().events.len(), 20);
    assert_eq!(snapshot.find_traces(&query, 20).unwrap().ids.len(), 20);
    assert_eq!(snapshot.query(&query.limit(50)).unwrap_err().kind(), ErrorKind::Corrupt);
}

//! What is made from columns alone equals what is made of the events that the same query gives:
//! traces found, whole traces, points of series, values, dependencies.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use annal::event::{DoubleBits, Event, Kind, Signal, SpanId, Status, TraceId, Value};
use annal::query::{AttributeScope, Intrinsic, Order, Query, Reference, SeriesBy, ValueCount};
use annal::{ErrorKind, Snapshot};

use crate::events::{KEYS, Random, nested, trace_ids};
use crate::{Fixture, questions};

/// All events that match, newest first.
fn all_of(snapshot: &Snapshot, query: &Query) -> Vec<Event> {
    let query = Query { limit: usize::MAX, order: Order::Newest, ..query.clone() };
    snapshot.query(&query).unwrap().events
}

/// A store, and many questions about it; every second one is asked of its compacted copy.
fn ask(seed: u64, questions: usize, mut check: impl FnMut(&mut Random, &Snapshot, Query)) {
    let mut random = Random(seed);
    for _ in 0..questions.div_ceil(100) {
        let fixture = Fixture::filled(&mut random, 30);
        let compacted = fixture.compacted();
        let snapshots = [fixture.store.snapshot(), compacted.store.snapshot()];
        for number in 0..questions.min(100) {
            let query = questions::random_query(&mut random, &fixture.events);
            check(&mut random, &snapshots[number % 2], query);
        }
    }
}

#[test]
fn the_newest_traces_are_those_of_the_newest_matching_events() {
    let mut found_any = 0;
    ask(0x7ace, 300, |random, snapshot, query| {
        let mut wanted: Vec<TraceId> = Vec::new();
        for id in all_of(snapshot, &query).iter().filter_map(|e| e.trace_id) {
            if !wanted.contains(&id) {
                wanted.push(id);
            }
        }
        let limit = random.pick(&[1, 3, 7, usize::MAX]);
        let found = snapshot.find_traces(&query, limit).unwrap();
        assert_eq!(found.truncated, wanted.len() > limit, "{query:?}");
        wanted.truncate(limit);
        assert_eq!(found.ids, wanted, "{query:?}");
        found_any += usize::from(found.ids.len() > 1);
    });
    assert!(found_any > 50, "only {found_any} questions found several traces");
}

#[test]
fn frames_that_cannot_hold_a_newer_trace_are_not_read() {
    let mut random = Random(0xea71);
    let fixture = Fixture::filled(&mut random, 60);
    let snapshot = fixture.store.snapshot();
    let one = snapshot.find_traces(&Query::default(), 1).unwrap().scanned;
    let all = snapshot.find_traces(&Query::default(), usize::MAX).unwrap().scanned;
    assert!(one.events_read * 2 < all.events_read, "{one:?} of {all:?}");
    assert_eq!(one.frames, all.frames);
}

#[test]
fn several_traces_come_back_whole_in_the_order_asked_for() {
    ask(0x77ace5, 60, |random, snapshot, query| {
        let mut ids: Vec<TraceId> =
            (0..random.below(6)).map(|_| random.pick(&trace_ids())).collect();
        ids.push(TraceId([0xee; 16]));
        let admitted = if random.one_in(2) { Query::default() } else { query };
        let found = snapshot.traces(&ids, &admitted).unwrap();
        assert_eq!(found.traces.len(), ids.len());
        assert!(!found.truncated);
        for (id, events) in ids.iter().zip(&found.traces) {
            let mut wanted = all_of(snapshot, &admitted);
            wanted.retain(|e| e.trace_id == Some(*id));
            wanted.reverse();
            assert_eq!(*events, wanted, "{id} of {admitted:?}");
        }
        assert!(found.scanned.events_read <= Fixture::count(snapshot));
    });
}

#[test]
fn more_bytes_of_traces_than_allowed_are_cut_and_said_to_be() {
    let mut random = Random(0xb17e);
    let fixture = Fixture::filled(&mut random, 10);
    let query = Query { bytes_max: 10_000, ..Query::default() };
    let found = fixture.store.snapshot().traces(&trace_ids(), &query).unwrap();
    assert!(found.truncated);
    assert!(found.traces.iter().any(|t| !t.is_empty()));
}

/// What is known of a point by sorting.
#[derive(Default)]
struct Naive {
    count: u64,
    errors: u64,
    durations: Vec<i64>,
}

#[test]
fn points_of_series_count_what_happened_in_each_step() {
    let mut points_seen = 0;
    ask(0x5e71e5, 200, |random, snapshot, query| {
        let step = random.pick(&[60_000_000_000, 7_000_000_000, 3_600_000_000_000]);
        let by = random.pick(&[SeriesBy::Source, SeriesBy::Type]);
        let mut wanted: BTreeMap<(String, Option<String>, i64), Naive> = BTreeMap::new();
        for event in all_of(snapshot, &query) {
            let event_type = (by == SeriesBy::Type).then(|| event.event_type.clone());
            let time = event.time.0.div_euclid(step) * step;
            let point = wanted.entry((event.source.clone(), event_type, time)).or_default();
            point.count += 1;
            let failed = event.status == Status::Error || event.severity_number >= 17;
            point.errors += u64::from(failed);
            let duration = event.duration.filter(|_| event.signal == Signal::Span);
            point.durations.extend(duration);
        }
        let answer = snapshot.series(&query, step, by).unwrap();
        let names: Vec<_> = answer.series.iter().map(|s| (&s.source, &s.event_type)).collect();
        assert!(names.is_sorted(), "{names:?}");
        let mut found = 0;
        for series in &answer.series {
            assert!(series.points.is_sorted_by(|a, b| a.time < b.time));
            for point in &series.points {
                let key = (series.source.clone(), series.event_type.clone(), point.time.0);
                let naive = wanted.get_mut(&key).unwrap_or_else(|| panic!("{key:?}: {query:?}"));
                assert_eq!((point.count, point.errors), (naive.count, naive.errors), "{key:?}");
                naive.durations.sort_unstable();
                let count = naive.durations.len();
                assert_eq!(point.durations.count(), count as u64);
                for percent in [50, 90, 99] {
                    let rank = (count * percent as usize).div_ceil(100);
                    let exact = rank.checked_sub(1).map(|at| naive.durations[at].max(0));
                    let near = point.durations.percentile(percent);
                    let error = near.unwrap_or(0).abs_diff(exact.unwrap_or(0)) as f64;
                    let allowed = exact.unwrap_or(0) as f64 * annal::index::ERROR_MAX;
                    assert!(error <= allowed && near.is_some() == exact.is_some(), "{near:?}");
                }
                found += 1;
            }
        }
        assert_eq!(found, wanted.len(), "{query:?}");
        points_seen += found;
    });
    assert!(points_seen > 2_000, "only {points_seen} points were compared");
}

#[test]
fn a_step_of_no_length_is_refused() {
    let fixture = Fixture::new();
    for step in [0, -1] {
        let error = fixture.store.snapshot().series(&Query::default(), step, SeriesBy::Source);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

/// The values of an attribute on one list, those inside arrays one by one.
fn values_in(attributes: &[annal::event::Attribute], key: &str, into: &mut Option<Vec<Value>>) {
    for attribute in attributes.iter().filter(|a| a.key == key && a.value != Value::Empty) {
        let values = into.get_or_insert_default();
        match &attribute.value {
            Value::Nested(bytes) => {
                let known = nested().into_iter().find(|(n, _)| n == bytes).unwrap();
                values.extend(known.1);
            }
            other => values.push(other.clone()),
        }
    }
}

fn attribute_values(event: &Event, scope: AttributeScope, key: &str) -> Option<Vec<Value>> {
    let mut found = None;
    match scope {
        AttributeScope::Span => values_in(&event.attributes, key, &mut found),
        AttributeScope::Resource => values_in(&event.resource.attributes, key, &mut found),
        AttributeScope::Instrumentation => {
            event.scope.iter().for_each(|s| values_in(&s.attributes, key, &mut found));
        }
        AttributeScope::Event => {
            event.events.iter().for_each(|e| values_in(&e.attributes, key, &mut found));
        }
        AttributeScope::Link => {
            event.links.iter().for_each(|l| values_in(&l.attributes, key, &mut found));
        }
    }
    found
}

/// The values of a reference that comparisons see; bytes and maps are none.
fn values_of(event: &Event, reference: &Reference) -> Vec<Value> {
    let text = |text: &str| vec![Value::String(text.to_owned())];
    let values = match reference {
        Reference::Attribute { scope: Some(scope), key } => attribute_values(event, *scope, key),
        Reference::Attribute { scope: None, key } => {
            AttributeScope::ALL.iter().find_map(|scope| attribute_values(event, *scope, key))
        }
        Reference::Intrinsic(Intrinsic::Source) => Some(text(&event.source)),
        Reference::Intrinsic(Intrinsic::Type) => Some(text(&event.event_type)),
        Reference::Intrinsic(Intrinsic::Kind) => Some(text(event.kind.name())),
        Reference::Intrinsic(Intrinsic::Status) => Some(text(event.status.name())),
        Reference::Intrinsic(Intrinsic::Signal) => Some(text(event.signal.name())),
        Reference::Intrinsic(Intrinsic::Duration) => event.duration.map(|d| vec![Value::Int(d)]),
        Reference::Intrinsic(Intrinsic::TraceId) => event.trace_id.map(|id| text(&id.to_string())),
        Reference::Intrinsic(Intrinsic::StatusMessage) => {
            Some(text(&event.status_message)).filter(|_| !event.status_message.is_empty())
        }
        other => panic!("{other:?} is not asked for"),
    };
    let mut values = values.unwrap_or_default();
    values.retain(|v| !matches!(v, Value::Bytes(_)));
    values
}

fn random_reference(random: &mut Random) -> Reference {
    let intrinsics = [
        Intrinsic::Source,
        Intrinsic::Type,
        Intrinsic::Kind,
        Intrinsic::Status,
        Intrinsic::Signal,
        Intrinsic::Duration,
        Intrinsic::TraceId,
        Intrinsic::StatusMessage,
    ];
    if random.one_in(3) {
        return Reference::Intrinsic(random.pick(&intrinsics));
    }
    let scope = if random.one_in(3) { None } else { Some(random.pick(&AttributeScope::ALL)) };
    Reference::Attribute { scope, key: random.pick(&KEYS).to_owned() }
}

#[test]
fn values_are_counted_once_for_each_event_that_has_them() {
    let mut counted = 0;
    ask(0x0a1e5, 400, |random, snapshot, query| {
        let reference = random_reference(random);
        let mut wanted: HashMap<String, (Value, u64)> = HashMap::new();
        for event in all_of(snapshot, &query) {
            let values = values_of(&event, &reference);
            let named: BTreeMap<String, Value> =
                values.into_iter().map(|v| (format!("{v:?}"), v)).collect();
            for (name, value) in named {
                wanted.entry(name).or_insert((value, 0)).1 += 1;
            }
        }
        let found = snapshot.top_values(&query, &reference, usize::MAX).unwrap();
        assert!(found.exact);
        assert_eq!(found.distinct, wanted.len() as u64, "{reference:?} of {query:?}");
        for ValueCount { value, count } in &found.values {
            let naive = wanted.get(&format!("{value:?}"));
            assert_eq!(naive.map(|n| n.1), Some(*count), "{value:?} of {reference:?}: {query:?}");
        }
        assert!(found.values.is_sorted_by(|a, b| a.count >= b.count));
        let limit = 1 + random.below(4);
        let top = snapshot.top_values(&query, &reference, limit).unwrap();
        assert_eq!(top.values, found.values[..limit.min(found.values.len())]);
        let distinct = snapshot.distinct_values(&query, &reference).unwrap();
        assert_eq!((distinct.distinct, distinct.values.len()), (found.distinct, 0));
        counted += found.values.len();
    });
    assert!(counted > 500, "only {counted} values were compared");
}

#[test]
fn values_of_different_types_differ() {
    let mut fixture = Fixture::new();
    let values = [
        Value::Int(1),
        Value::String("1".into()),
        Value::Double(DoubleBits::from(1.0)),
        Value::Bool(true),
        Value::Int(1),
    ];
    let events = values.map(|value| Event {
        attributes: vec![annal::event::Attribute::new("k", value)],
        time: annal::Timestamp(5),
        ..Event::default()
    });
    fixture.append_all(events.into());
    let top = fixture.store.snapshot();
    let top = top.top_values(&Query::default(), &Reference::attribute("k"), 9).unwrap();
    assert_eq!((top.distinct, top.values[0].count), (4, 2));
    assert_eq!(top.values[0].value, Value::Int(1));
}

#[test]
fn a_service_depends_on_those_whose_spans_its_own_have_caused() {
    let mut edges = 0;
    ask(0xde9e, 60, |_, snapshot, query| {
        let query = Query { trace: None, ..query };
        let mut spans = all_of(snapshot, &query);
        spans.retain(|e| e.signal == Signal::Span);
        spans.sort_by_key(|e| e.sequence);
        let mut known: HashMap<(TraceId, SpanId), &str> = HashMap::new();
        for span in &spans {
            if let (Some(trace), Some(id)) = (span.trace_id, span.span_id) {
                known.entry((trace, id)).or_insert(&span.source);
            }
        }
        let mut wanted: BTreeMap<(String, String), u64> = BTreeMap::new();
        for span in &spans {
            let parent = span.trace_id.zip(span.parent_span_id).and_then(|key| known.get(&key));
            if let Some(parent) = parent.filter(|p| **p != span.source) {
                *wanted.entry(((*parent).to_owned(), span.source.clone())).or_default() += 1;
            }
        }
        let found = snapshot.dependencies(&query).unwrap().dependencies;
        let found: BTreeMap<(String, String), u64> =
            found.into_iter().map(|d| ((d.parent, d.child), d.calls)).collect();
        assert_eq!(found, wanted, "{query:?}");
        edges += found.len();
    });
    assert!(edges > 50, "only {edges} dependencies were compared");
}

#[test]
fn only_spans_depend_on_each_other_and_who_asks_for_others_gets_none() {
    let fixture = Fixture::filled(&mut Random(0xde9), 30);
    let snapshot = fixture.store.snapshot();
    let of = |signal| snapshot.dependencies(&Query { signal, ..Query::default() }).unwrap();
    assert!(!of(None).dependencies.is_empty());
    assert_eq!(of(Some(Signal::Span)).dependencies, of(None).dependencies);
    for signal in [Signal::Log, Signal::Event] {
        let none = of(Some(signal));
        assert!(none.dependencies.is_empty());
        let scanned = none.scanned;
        assert_eq!((scanned.events_read, scanned.frames_pruned), (0, scanned.frames));
        assert_eq!(scanned.segments, of(None).scanned.segments);
    }
}

#[test]
fn lists_of_services_and_operations_hold_what_has_spans() {
    let mut random = Random(0x115751);
    let fixture = Fixture::filled(&mut random, 30);
    let mut catalog = annal::query::Catalog::default();
    let snapshot = fixture.store.snapshot();
    catalog.refresh(&snapshot).unwrap();
    let mut spans = all_of(&snapshot, &Query::default());
    spans.retain(|e| e.signal == Signal::Span);
    let services: BTreeSet<String> = spans.iter().map(|e| e.source.clone()).collect();
    assert_eq!(catalog.services(), services.into_iter().collect::<Vec<_>>());
    for source in [None, Some("cart"), Some("nobody")] {
        let mut wanted: BTreeMap<(String, String), BTreeSet<u8>> = BTreeMap::new();
        for span in spans.iter().filter(|e| source.is_none_or(|s| s == e.source)) {
            let series = (span.source.clone(), span.event_type.clone());
            wanted.entry(series).or_default().insert(span.kind as u8);
        }
        let found: BTreeMap<(String, String), BTreeSet<u8>> = (catalog.operations(source))
            .into_iter()
            .map(|(s, kinds)| {
                ((s.source, s.event_type), kinds.iter().map(|kind: Kind| kind as u8).collect())
            })
            .collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn when_an_event_was_received_is_known_before_and_after_compaction() {
    let mut random = Random(0x5ec);
    let fixture = Fixture::filled(&mut random, 30);
    let compacted = fixture.compacted();
    let of = Reference::Intrinsic(Intrinsic::Received);
    let snapshot = compacted.store.snapshot();
    let mut wanted: BTreeMap<i64, u64> = BTreeMap::new();
    for event in all_of(&snapshot, &Query::default()) {
        *wanted.entry(event.received.0).or_default() += 1;
    }
    assert!(wanted.len() > 3, "received at {} times", wanted.len());
    let after = snapshot.top_values(&Query::default(), &of, usize::MAX).unwrap();
    assert_eq!(after.values.len(), wanted.len());
    for ValueCount { value, count } in &after.values {
        let Value::Int(time) = value else { panic!("{value:?} is no time") };
        assert_eq!(wanted.get(time), Some(count));
    }
    // Both sides known at run time only, row by row.
    let later = Query::default().limit(usize::MAX).filter("received > time").unwrap();
    let late = all_of(&snapshot, &Query::default());
    let late = late.iter().filter(|event| event.received > event.time).count();
    assert_eq!(snapshot.query(&later).unwrap().events.len(), late);
}

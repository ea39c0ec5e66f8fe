//! Record batches hold what a scan finds: whatever events are stored, in batches as they came or in
//! blocks, every field comes back out of the columns, and what is absent is null.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "payload/any_event.rs"]
mod any_event;
#[path = "arrow/events.rs"]
mod events;

use std::sync::Arc;

use annal::event::{Attribute, DoubleBits, Resource, Value, ValueType};
use annal::query::AttributeScope;
use annal::query::arrow::{ArrowLayout, AttributeColumn};
use annal::storage::MemoryStorage;
use annal::time::SystemClock;
use annal::{BatchBuilder, ErrorKind, Event, Options, Query, Snapshot, Store, Timestamp};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, RecordBatchReader};
use proptest::collection::vec;
use proptest::prelude::*;

/// A store with these batches; the first `compacted` of them in one segment of blocks.
fn store(batches: &[Vec<Event>], compacted: usize) -> Store {
    let storage = Arc::new(MemoryStorage::new());
    let open = || {
        let options = Options { compaction: false, ..Options::new("unused") };
        Store::open_with(storage.clone(), Arc::new(SystemClock::new()), options).unwrap().0
    };
    let append = |store: &Store, batches: &[Vec<Event>]| {
        let mut builder = BatchBuilder::new();
        for events in batches {
            events.iter().for_each(|event| builder.push(event).unwrap());
            store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
        }
    };
    let (front, back) = batches.split_at(compacted);
    let store = open();
    append(&store, front);
    store.close().unwrap();
    let store = open();
    store.compact().unwrap();
    let blocks = store.snapshot().segments().iter().any(|segment| segment.is_compacted());
    assert_eq!(blocks, compacted > 0);
    append(&store, back);
    store
}

/// Attributes of all scopes and types; keys are those of `any_event`.
fn layout() -> ArrowLayout {
    let column = |scope, key, of| AttributeColumn::new(scope, key, of);
    ArrowLayout::new(vec![
        column(AttributeScope::Span, "a", ValueType::String),
        column(AttributeScope::Span, "b", ValueType::Int),
        column(AttributeScope::Span, "c", ValueType::Double),
        column(AttributeScope::Resource, "a", ValueType::Bool),
        column(AttributeScope::Resource, "b", ValueType::Bytes),
        column(AttributeScope::Instrumentation, "a", ValueType::String),
        column(AttributeScope::Span, "nobody has it", ValueType::Nested),
    ])
    .unwrap()
}

fn from_batches(snapshot: &Snapshot, query: &Query, layout: &ArrowLayout) -> Vec<Event> {
    let batches = snapshot.record_batches(query, layout).unwrap();
    assert_eq!(batches.schema(), layout.schema());
    let mut found = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        assert!(batch.num_rows() > 0 && batch.schema() == layout.schema());
        found.extend(events::events(&batch).into_iter().map(any_event::sorted));
    }
    found
}

fn from_scan(snapshot: &Snapshot, query: &Query) -> Vec<Event> {
    let mut found = Vec::new();
    for unit in snapshot.plan(query).unwrap() {
        for selected in snapshot.scan(&unit, query).unwrap() {
            found.extend(selected.unwrap().events().unwrap());
        }
    }
    found.into_iter().map(any_event::sorted).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_field_of_every_event_comes_back_out_of_the_columns(
        batches in vec(vec(any_event::event(), 1..20), 1..4),
        compacted in 0usize..4,
    ) {
        let store = store(&batches, compacted.min(batches.len()));
        let snapshot = store.snapshot();
        let plain = ArrowLayout::new(Vec::new()).unwrap();
        let failed = Query::default().filter("status = error || severity > 8").unwrap();
        for query in [Query::default(), failed] {
            let expected = from_scan(&snapshot, &query);
            prop_assert_eq!(&from_batches(&snapshot, &query, &plain), &expected);
            prop_assert_eq!(&from_batches(&snapshot, &query, &layout()), &expected);
        }
        let all = from_scan(&snapshot, &Query::default());
        prop_assert_eq!(all.len(), batches.iter().map(Vec::len).sum::<usize>());
        // Against what was put in, not only against the other way out; `store` adds the rest.
        for (found, put) in all.into_iter().zip(batches.into_iter().flatten()) {
            let (sequence, received) = (found.sequence, found.received);
            let put = Event { sequence, received, ..any_event::sorted(put) };
            prop_assert_eq!(found, put);
        }
    }
}

#[test]
fn odd_values_survive_and_what_is_absent_is_null() {
    let double = |bits| Value::Double(DoubleBits(bits));
    let values = [
        Value::Int(i64::MIN),
        double(0x7ff8_0000_dead_beef),
        double((-0.0f64).to_bits()),
        Value::String(String::new()),
        Value::Bytes(vec![0, 0xff]),
        Value::Empty,
    ];
    let attributes: Vec<_> =
        values.iter().map(|value| Attribute::new("a", value.clone())).collect();
    let odd = Event { attributes, body: Some(Value::Bytes(vec![])), ..bare(1) };
    let spoken = Event { body: Some(Value::String(String::new())), ..bare(2) };
    let store = store(&[vec![odd.clone(), spoken, bare(3)]], 0);
    let snapshot = store.snapshot();
    let mut batches = snapshot.record_batches(&Query::default(), &layout()).unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    let found = events::events(&batch);
    let attributes = |event: &Event| any_event::sorted(event.clone()).attributes;
    assert_eq!(attributes(&found[0]), attributes(&odd));
    let asked = batch.column_by_name("span.a").unwrap().as_dictionary::<Int32Type>();
    assert_eq!(asked.key(0).map(|key| asked.values().as_string::<i32>().value(key)), Some(""));
    assert!(batch.column_by_name("body").unwrap().is_valid(0));
    assert_eq!(batch.column_by_name("message").unwrap().as_string_view().value(1), "");
    let absent = [
        "observed",
        "trace_id",
        "span_id",
        "parent_span_id",
        "duration_ns",
        "status_message",
        "trace_state",
        "remote",
        "severity_number",
        "severity_text",
        "message",
        "body",
        "scope",
        "span.a",
        "span.b",
        "span.c",
        "resource.a",
        "resource.b",
        "instrumentation.a",
    ];
    for field in batch.schema().fields() {
        let is_null = batch.column_by_name(field.name()).unwrap().is_null(2);
        let expected = absent.contains(&field.name().as_str()) || field.name().contains("nobody");
        assert_eq!(is_null, expected, "{}", field.name());
        assert_eq!(field.is_nullable(), expected, "{}", field.name());
    }
}

fn bare(time: i64) -> Event {
    let (source, event_type) = ("s".to_owned(), "t".to_owned());
    Event { time: Timestamp(time), source, event_type, ..Event::default() }
}

#[test]
fn a_query_that_finds_nothing_has_a_schema_and_no_batches() {
    let store = store(&[vec![bare(1)]], 0);
    let snapshot = store.snapshot();
    let layout = layout();
    let nothing = Query::default().source("nobody");
    let mut batches = snapshot.record_batches(&nothing, &layout).unwrap();
    assert_eq!(batches.schema(), layout.schema());
    assert!(batches.next().is_none());
    let empty = arrow_array::RecordBatch::new_empty(layout.schema());
    assert_eq!((empty.num_rows(), empty.num_columns()), (0, layout.schema().fields().len()));
}

#[test]
fn a_layout_refuses_what_has_no_column() {
    let refused = |columns: &[(AttributeScope, ValueType)]| {
        let column = |(scope, of): &(_, _)| AttributeColumn::new(*scope, "k", *of);
        let error = ArrowLayout::new(columns.iter().map(column).collect()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    };
    refused(&[(AttributeScope::Link, ValueType::Int)]);
    refused(&[(AttributeScope::Event, ValueType::Int)]);
    refused(&[(AttributeScope::Span, ValueType::Empty)]);
    refused(&[(AttributeScope::Span, ValueType::Int), (AttributeScope::Span, ValueType::Bool)]);
}

#[test]
fn what_events_share_does_not_make_a_batch_of_gigabytes() {
    let attributes = (0..1_000).map(|i| Attribute::new(format!("key {i}"), Value::Int(i)));
    let resource = Arc::new(Resource { attributes: attributes.collect(), ..Resource::default() });
    let events: Vec<Event> =
        (0..2_000).map(|i| Event { resource: resource.clone(), ..bare(i) }).collect();
    let store = store(&[events], 0);
    let snapshot = store.snapshot();
    let (query, layout) = (Query::default(), layout());
    let batches: Vec<_> =
        snapshot.record_batches(&query, &layout).unwrap().map(|batch| batch.unwrap()).collect();
    assert!(batches.len() > 3 && batches.iter().all(|batch| batch.num_rows() <= 524));
    assert_eq!(from_batches(&snapshot, &query, &layout), from_scan(&snapshot, &query));
    let unit = snapshot.plan(&query).unwrap().remove(0);
    let whole = snapshot.scan(&unit, &query).unwrap().next().unwrap().unwrap();
    assert_eq!(whole.record_batch(&layout).unwrap_err().kind(), ErrorKind::Limit);
}

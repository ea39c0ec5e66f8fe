use super::*;
use crate::column::{BatchBuilder, Kernels};
use crate::event::{Attribute, Event, Kind, Value};

/// An event with so many attributes, whose keys nobody else has.
fn event(number: usize, attributes: usize) -> Event {
    let (source, event_type) = ("cart".into(), "AddItem".into());
    let key = |n: usize| format!("key {number} {n}");
    let attribute = |n| Attribute::new(key(n), Value::Int(1));
    let attributes = (0..attributes).map(attribute).collect();
    Event { time: Timestamp(1), source, event_type, attributes, ..Event::default() }
}

#[test]
fn buffers_of_columns_that_do_not_come_again_are_not_kept() {
    let mut gather = Gather::new();
    for number in 0..20 {
        let mut builder = BatchBuilder::new();
        builder.push(&event(number, 300)).unwrap();
        let batch = builder.finish().unwrap();
        let view = BatchView::open(batch.header(), batch.payload()).unwrap();
        gather.add(batch.header(), &view, 0..1).unwrap();
        gather.finish().unwrap();
        assert!(gather.columns.len() <= COLUMNS_KEPT_MAX, "{}", gather.columns.len());
        assert_eq!(gather.columns.len(), gather.by_id.len());
    }
}

/// A batch of events whose kind and attributes follow from their types, but for one in 200.
fn following() -> (Vec<Event>, crate::Batch) {
    let event = |row: i64| {
        let kind = row * 7 % 11 % 10;
        let odd = if row % 200 == 150 { 3 } else { 0 };
        let mut attributes = Vec::new();
        if kind % 3 != 0 {
            let method = format!("method {}", (kind + odd) / 2);
            attributes.push(Attribute::new("method", Value::String(method)));
            attributes.push(Attribute::new("port", Value::Int(8_000 + (kind + odd) % 4)));
        }
        Event {
            sequence: row as u64,
            time: Timestamp(row),
            source: "cart".into(),
            event_type: format!("type {kind}"),
            kind: Kind::from_code((kind % 4) as u8).unwrap_or_default(),
            attributes,
            ..Event::default()
        }
    };
    let events: Vec<Event> = (0..3_000).map(event).collect();
    let mut builder = BatchBuilder::new();
    events.iter().for_each(|event| builder.push(event).unwrap());
    (events, builder.finish().unwrap())
}

/// A batch as a block, checked.
fn block_of(batch: &crate::Batch, events: usize) -> (FrameHeader, BatchView) {
    let batch_view = BatchView::open(batch.header(), batch.payload()).unwrap();
    let mut gather = Gather::new();
    gather.add(batch.header(), &batch_view, 0..events).unwrap();
    let block = gather.finish().unwrap();
    let view = BatchView::open_block(&block.header, Bytes::from(block.bytes)).unwrap();
    view.check().unwrap();
    (block.header, view)
}

#[test]
fn what_follows_from_types_comes_back_whole_picked_and_compared() {
    let (events, batch) = following();
    let batch_view = BatchView::open(batch.header(), batch.payload()).unwrap();
    let (header, view) = block_of(&batch, events.len());
    let attribute = |key| view.find_attribute(Table::Events, key).next().unwrap();
    let kinds = view.find(Table::Events, Field::Kind).unwrap();
    assert_eq!(view.encoding(kinds), Some("dictionary by type"));
    assert_eq!(view.encoding(attribute("port")), Some("dictionary by type"));
    assert_eq!(view.encoding(attribute("method")), Some("text by type"));
    let every: Vec<u32> = (0..events.len() as u32).collect();
    let some: Vec<u32> =
        every.iter().copied().filter(|row| row % 50 == 0 || *row > 2_990).collect();
    for rows in [&every, &some] {
        let read = view.materialise(&header, rows).unwrap();
        for (row, mut event) in rows.iter().zip(read) {
            // What the builder adds to an event that says nothing of it.
            event.resource = std::sync::Arc::default();
            assert_eq!(event, events[*row as usize]);
        }
    }
    for column in [kinds, attribute("port")] {
        let values = view.ints(column).unwrap();
        for range in [(1, 2), (8_001, 8_002), (8_003, i64::MAX), (0, 0)] {
            let words = view.rows_between(column, range, false, Kernels::default()).unwrap();
            let bit = |row: usize| words[row / 64] >> (row % 64) & 1 == 1;
            let has = |row: usize| values.present.as_ref().is_none_or(|rows| rows.get(row));
            for row in 0..events.len() {
                let within = (range.0..=range.1).contains(&values.values[row]);
                assert_eq!(bit(row), has(row) && within, "row {row} in {range:?}");
            }
        }
    }
    let texts = view.texts(attribute("method")).unwrap();
    let as_sent = batch_view.find_attribute(Table::Events, "method").next().unwrap();
    let as_sent = batch_view.texts(as_sent).unwrap();
    assert!((0..events.len()).all(|row| texts.row(row) == as_sent.row(row)));
}

/// A batch of events with statements, and bytes that look like some.
fn with_statements() -> (Vec<Event>, crate::Batch) {
    let event = |row: i64| {
        let statement = format!("SELECT a FROM b WHERE id = {} LIMIT {}", row * 7_919 % 5_000, 50);
        let digits = Value::Bytes(format!("bytes {row}").into());
        let mut attributes = vec![Attribute::new("bytes", digits)];
        if row % 3 != 0 {
            attributes.push(Attribute::new("statement", Value::String(statement.clone())));
        }
        if row % 2 != 0 {
            let user = format!("user-{:04} of shop {}", row % 700, row % 3);
            attributes.push(Attribute::new("user", Value::String(user)));
        }
        attributes.push(Attribute::new("word", Value::String("the same".into())));
        attributes.push(Attribute::new("zone", Value::String(format!("zone {row} of all"))));
        Event {
            sequence: row as u64,
            time: Timestamp(row),
            source: "cart".into(),
            event_type: format!("type {row}"),
            status_message: statement.clone(),
            body: Some(Value::String(statement)),
            attributes,
            ..Event::default()
        }
    };
    let events: Vec<Event> = (0..3_000).map(event).collect();
    let mut builder = BatchBuilder::new();
    events.iter().for_each(|event| builder.push(event).unwrap());
    (events, builder.finish().unwrap())
}

#[test]
fn texts_of_templates_come_back_whole_and_picked_and_types_and_bytes_have_none() {
    let (events, batch) = with_statements();
    let (header, view) = block_of(&batch, events.len());
    let attribute = |key| view.find_attribute(Table::Events, key).next().unwrap();
    let fixed = |field| view.find(Table::Events, field).unwrap();
    let of_events = [fixed(Field::StatusMessage), fixed(Field::Body)];
    let in_templates = ["statement", "user", "zone"].map(attribute).into_iter().chain(of_events);
    in_templates.for_each(|at| assert_eq!(view.encoding(at), Some("text templates")));
    let others = [attribute("bytes"), fixed(Field::Type)];
    assert!(others.map(|at| view.encoding(at)) == [Some("text plain"); 2]);
    let every: Vec<u32> = (0..events.len() as u32).collect();
    let some: Vec<u32> = every.iter().copied().filter(|row| row % 50 < 2).collect();
    for rows in [&every, &some] {
        let views = view.event_views(&header, rows).unwrap();
        for (row, of) in rows.iter().zip(views.iter()) {
            let own = &events[*row as usize].attributes;
            let expected = own.iter().map(|a| (a.key.as_str(), a.value.as_ref()));
            let mut found: Vec<_> = of.attributes().collect();
            found.sort_by_key(|(key, _)| *key);
            assert!(found.into_iter().eq(expected), "row {row}");
        }
        for (row, mut event) in rows.iter().zip(views.into_events()) {
            event.resource = std::sync::Arc::default();
            assert_eq!(event, events[*row as usize]);
        }
    }
}

#[test]
fn a_block_whose_texts_are_longer_than_any_writer_makes_them_fails_its_check() {
    let words = "w".repeat(limits::VALUE_BYTES_MAX - 8);
    let text = |row: i64| Value::String(format!("{words}{row}"));
    let mut gather = Gather::new();
    for first in (0..120).step_by(10) {
        let mut builder = BatchBuilder::new();
        for row in first..first + 10 {
            let event = Event { time: Timestamp(row), source: "cart".into(), ..Event::default() };
            let keys = (0..9).map(|key| format!("key {key}"));
            let attributes = keys.map(|key| Attribute::new(key, text(row))).collect();
            builder.push(&Event { attributes, ..event }).unwrap();
        }
        let batch = builder.finish().unwrap();
        let view = BatchView::open(batch.header(), batch.payload()).unwrap();
        gather.add(batch.header(), &view, 0..10).unwrap();
    }
    assert!(gather.expanded > limits::BATCH_EXPANDED_BYTES_MAX);
    // As a writer that does not count.
    gather.expanded = 0;
    let block = gather.finish().unwrap();
    let view = BatchView::open_block(&block.header, Bytes::from(block.bytes)).unwrap();
    assert_eq!(view.check().unwrap_err().kind(), crate::ErrorKind::Limit);
    let rows: Vec<u32> = (0..120).collect();
    let error = view.event_views(&block.header, &rows).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Limit);
    assert_eq!(view.event_views(&block.header, &[7]).unwrap().len(), 1);
}

//! Blocks at the limits of what the log takes: each is refused when it is made, or opens and is what
//! went in. What a block was made of is deleted, so that later is too late (CMP-1).

#![allow(clippy::unwrap_used, reason = "a test")]

use annal::column::{BatchView, Block, Gather};
use annal::event::{Attribute, Link};
use annal::format::frame::FrameHeader;
use annal::limits::{
    ATTRIBUTES_MAX, BATCH_COLUMNS_MAX, BATCH_EXPANDED_BYTES_MAX, BATCH_RAW_BYTES_MAX,
    BLOCK_COLUMNS_MAX, LINKS_MAX, VALUE_BYTES_MAX,
};
use annal::{BatchBuilder, ErrorKind, Event, Timestamp, TraceId, Value};
use bytes::Bytes;

/// Columns that every batch of these tests has: of resources the source, of events resource, time,
/// signal and type.
const PLAIN_COLUMNS: usize = 5;

fn stored(events: &[Event], first_sequence: u64) -> (FrameHeader, BatchView) {
    let mut builder = BatchBuilder::new();
    events.iter().for_each(|event| builder.push(event).unwrap());
    let batch = builder.finish().unwrap();
    let mut header = *batch.header();
    (header.first_sequence, header.received) = (first_sequence, Timestamp(77));
    let view = BatchView::open(&header, batch.payload()).unwrap();
    (header, view)
}

fn opened(block: &Block) -> BatchView {
    BatchView::open_block(&block.header, Bytes::from(block.bytes.clone())).unwrap()
}

fn event() -> Event {
    let (source, event_type) = ("cart".into(), "AddItem".into());
    Event { time: Timestamp(1), source, event_type, ..Event::default() }
}

/// So many attributes, each of a key of its own.
fn attributes(numbers: std::ops::Range<usize>) -> Vec<Attribute> {
    numbers.map(|n| Attribute::new(format!("key {n}"), Value::Int(n as i64))).collect()
}

#[test]
fn a_batch_of_as_many_columns_as_one_may_have_becomes_a_block() {
    let (mut events, mut done) = (Vec::new(), 0);
    while done < BATCH_COLUMNS_MAX - PLAIN_COLUMNS {
        let end = (done + ATTRIBUTES_MAX).min(BATCH_COLUMNS_MAX - PLAIN_COLUMNS);
        events.push(Event { attributes: attributes(done..end), ..event() });
        done = end;
    }
    let (header, view) = stored(&events, 5);
    assert_eq!(view.columns().len(), BATCH_COLUMNS_MAX);
    let mut gather = Gather::new();
    assert!(gather.fits(&view), "nothing else is in the block");
    gather.add(&header, &view, 0..events.len()).unwrap();
    assert!(!gather.fits(&view));
    let block = gather.finish().unwrap();
    let view = opened(&block);
    assert_eq!(view.columns().len(), BLOCK_COLUMNS_MAX);
    view.check().unwrap();
    gather.add(&block.header, &view, 0..events.len()).unwrap();
    assert_eq!(gather.finish().unwrap().bytes, block.bytes, "as it was merged");
}

#[test]
fn bitmaps_that_no_reader_would_expand_are_refused_when_the_block_is_made() {
    // Half of the rows and columns whose bitmaps together are too many bytes.
    let (rows, columns) = (32 * LINKS_MAX, 4_200);
    let mut number = 0;
    let mut link = || {
        number += 1;
        let attributes =
            if number % rows < columns { attributes(number..number + 1) } else { vec![] };
        let trace_id = TraceId([1; 16]);
        let (span_id, trace_state) = (None, String::new());
        Link { trace_id, span_id, trace_state, attributes, dropped_attributes: 0, flags: 0 }
    };
    let mut frame = |first_sequence| {
        let mut events = Vec::new();
        for _ in 0..rows / LINKS_MAX {
            events.push(Event { links: (0..LINKS_MAX).map(|_| link()).collect(), ..event() });
        }
        stored(&events, first_sequence)
    };
    let mut gather = Gather::new();
    for first_sequence in [0, (rows / LINKS_MAX) as u64] {
        let (header, view) = frame(first_sequence);
        assert_eq!(gather.fits(&view), first_sequence == 0);
        gather.add(&header, &view, 0..view.events()).unwrap();
    }
    assert_eq!(gather.finish().unwrap_err().kind(), ErrorKind::Limit);
    let (header, view) = frame(0);
    gather.add(&header, &view, 0..view.events()).unwrap();
    opened(&gather.finish().unwrap()).check().unwrap();
}

/// Events that share one long text: few bytes, and many when they are expanded. The builder counts
/// each as if it had a text of its own, so that they come from several batches.
fn expanding(events: usize, first_sequence: u64) -> (FrameHeader, BatchView) {
    let long = Value::String("x".repeat(VALUE_BYTES_MAX));
    let attributes = vec![Attribute::new("long", long)];
    let mut gather = Gather::new();
    while gather.events() < events {
        let some = vec![Event { attributes: attributes.clone(), ..event() }; 100];
        let (header, view) = stored(&some, first_sequence + gather.events() as u64);
        let count = (events - gather.events()).min(some.len());
        gather.add(&header, &view, 0..count).unwrap();
    }
    let block = gather.finish().unwrap();
    (block.header, opened(&block))
}

#[test]
fn a_block_expands_to_no_more_than_a_batch_may() {
    // Nearly as much as one batch may have, and once more.
    let events = BATCH_EXPANDED_BYTES_MAX / VALUE_BYTES_MAX * 99 / 100;
    let (header, view) = expanding(events, 0);
    let mut gather = Gather::new();
    gather.add(&header, &view, 0..events).unwrap();
    let one = gather.expanded_bytes();
    assert!(one > events * VALUE_BYTES_MAX && one < BATCH_EXPANDED_BYTES_MAX);
    let block = gather.finish().unwrap();
    assert_eq!(gather.expanded_bytes(), 0);
    gather.add(&block.header, &opened(&block), 0..events).unwrap();
    assert_eq!(gather.expanded_bytes(), one, "a block of them counts as they do");
    let (header, view) = expanding(events, events as u64);
    gather.add(&header, &view, 0..events).unwrap();
    assert_eq!(gather.finish().unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn the_raw_bytes_of_all_columns_of_a_block_are_bounded() {
    let mut gather = Gather::new();
    for frame in 0..5 {
        // Texts without numbers in common, a column of its own for each frame, nearly as long as one
        // may be.
        let events: Vec<Event> = (0..BATCH_RAW_BYTES_MAX / VALUE_BYTES_MAX - 2)
            .map(|i| {
                let letter = |n: usize| char::from(b'a' + n as u8);
                let (first, second) = (letter(i / 26), letter(i % 26));
                let text = format!("{first}{second} {}", "x".repeat(VALUE_BYTES_MAX - 8));
                let attribute = Attribute::new(format!("key {frame}"), Value::String(text));
                Event { attributes: vec![attribute], ..event() }
            })
            .collect();
        let (header, view) = stored(&events, (frame * events.len()) as u64);
        gather.add(&header, &view, 0..events.len()).unwrap();
        let mut alone = Gather::new();
        alone.add(&header, &view, 0..events.len()).unwrap();
        opened(&alone.finish().unwrap()).check().unwrap();
    }
    assert_eq!(gather.finish().unwrap_err().kind(), ErrorKind::Limit);
}

#[test]
fn a_block_was_received_when_the_last_of_its_events_was() {
    let (mut header, view) = stored(&[event(), event()], 0);
    let mut gather = Gather::new();
    header.received = Timestamp(5);
    gather.add(&header, &view, 0..2).unwrap();
    (header.first_sequence, header.received) = (2, Timestamp(9));
    gather.add(&header, &view, 0..2).unwrap();
    let block = gather.finish().unwrap();
    assert_eq!(block.header.received, Timestamp(9));
    gather.add(&block.header, &opened(&block), 0..1).unwrap();
    assert_eq!(gather.finish().unwrap().header.received, Timestamp(5));
}

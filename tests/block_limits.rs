//! Blocks at the limits of what the log takes: each is refused when it is made, or opens and is what
//! went in. What a block was made of is deleted, so that later is too late (CMP-1).

#![allow(clippy::unwrap_used, reason = "a test")]

use annal::column::{BatchView, Block, Gather};
use annal::event::{Attribute, Link};
use annal::format::frame::FrameHeader;
use annal::limits::{ATTRIBUTES_MAX, BATCH_COLUMNS_MAX, BLOCK_COLUMNS_MAX, LINKS_MAX};
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
        Link { trace_id: TraceId([1; 16]), attributes, ..Link::default() }
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

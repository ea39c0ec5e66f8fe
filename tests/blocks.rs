//! CMP-1 for blocks: whatever events are gathered, from however many frames and whichever part of
//! them, come out as they went in; and a damaged block is an error, never another answer.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "payload/any_event.rs"]
mod any_event;

use annal::column::{BatchView, Block, Gather};
use annal::{Batch, BatchBuilder, Event, Timestamp};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

/// A batch as the log has it, received at some time.
fn stored(
    events: &[Event],
    first_sequence: u64,
    received: i64,
) -> (annal::format::frame::FrameHeader, BatchView) {
    let mut builder = BatchBuilder::new();
    events.iter().for_each(|event| builder.push(event).unwrap());
    let batch: Batch = builder.finish().unwrap();
    let mut header = *batch.header();
    (header.first_sequence, header.received) = (first_sequence, Timestamp(received));
    let view = BatchView::open(&header, batch.payload()).unwrap();
    (header, view)
}

fn events_of(block: &Block) -> Vec<Event> {
    let view = BatchView::open_block(&block.header, Bytes::from(block.bytes.clone())).unwrap();
    let rows: Vec<u32> = (0..block.header.events).collect();
    view.materialise(&block.header, &rows).unwrap()
}

/// The events, read in so many goes that each is of few rows among many.
fn few_at_a_time(block: &Block) -> Vec<Event> {
    const GOES: u32 = 9;
    let view = BatchView::open_block(&block.header, Bytes::from(block.bytes.clone())).unwrap();
    let mut events = vec![Event::default(); block.header.events as usize];
    for go in 0..GOES {
        let rows: Vec<u32> = (go..block.header.events).step_by(GOES as usize).collect();
        let read = view.materialise(&block.header, &rows).unwrap();
        rows.iter().zip(read).for_each(|(row, event)| events[*row as usize] = event);
    }
    events
}

/// As it should be found: attributes in any order, and what the store adds.
fn expected(event: Event, sequence: u64, received: i64) -> Event {
    Event { sequence, received: Timestamp(received), ..any_event::sorted(event) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn events_of_several_frames_come_out_of_a_block_as_they_went_in(
        frames in vec(vec(any_event::event(), 1..20), 1..5),
        cut in 0usize..20,
        again in any::<bool>(),
    ) {
        let mut gather = Gather::new();
        let mut expected = Vec::new();
        let mut sequence = 1_000;
        for (number, events) in frames.iter().enumerate() {
            let received = 10_000 * (number as i64 + 1);
            let (header, view) = stored(events, sequence, received);
            // The first frame is taken from somewhere in its middle on.
            let start = if number == 0 { cut.min(events.len() - 1) } else { 0 };
            prop_assert!(gather.fits(&view));
            gather.add(&header, &view, start..events.len()).unwrap();
            let rows: Vec<u32> = (start as u32..events.len() as u32).collect();
            let stored = view.materialise(&header, &rows).unwrap();
            let numbered = stored.into_iter().zip(sequence + start as u64..);
            expected.extend(numbered.map(|(e, s)| self::expected(e, s, received)));
            sequence += events.len() as u64;
        }
        let mut block = gather.finish().unwrap();
        if again {
            // A block is gathered like any frame.
            let bytes = Bytes::from(block.bytes.clone());
            let view = BatchView::open_block(&block.header, bytes).unwrap();
            gather.add(&block.header, &view, 0..view.events()).unwrap();
            let second = gather.finish().unwrap();
            prop_assert_eq!(&second.bytes, &block.bytes, "equal events have equal bytes");
            block = second;
        }
        let whole = events_of(&block);
        prop_assert_eq!(few_at_a_time(&block), whole.clone());
        let found: Vec<Event> = whole.into_iter().map(any_event::sorted).collect();
        prop_assert_eq!(found, expected);
        let total: u64 = block.totals.iter().map(|t| t.events).sum();
        prop_assert_eq!(total, u64::from(block.header.events));
    }
}

fn sample() -> Block {
    let events: Vec<Event> = (0..300)
        .map(|i| Event {
            time: Timestamp(1_661_169_600_000_000_000 + i * 7_919),
            source: ["cart", "checkout"][i as usize % 2].into(),
            event_type: format!("type {}", i % 7),
            trace_id: Some(annal::TraceId(((i / 5 + 1) as u128).to_be_bytes())),
            span_id: Some(annal::SpanId((i as u64 + 1).to_be_bytes())),
            parent_span_id: (i % 5 > 0).then(|| annal::SpanId((i as u64).to_be_bytes())),
            duration: Some(i * i),
            status_message: format!("a message with number {}", i % 11),
            ..Event::default()
        })
        .collect();
    let (header, view) = stored(&events, 5, 77);
    let mut gather = Gather::new();
    gather.add(&header, &view, 0..events.len()).unwrap();
    gather.finish().unwrap()
}

#[test]
fn each_flipped_bit_of_a_block_is_an_error_or_changes_nothing() {
    let block = sample();
    let expected = events_of(&block);
    for bit in 0..block.bytes.len() * 8 {
        let mut bytes = block.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let rows: Vec<u32> = (0..block.header.events).collect();
        let read = BatchView::open_block(&block.header, Bytes::from(bytes))
            .and_then(|view| view.materialise(&block.header, &rows));
        if let Ok(found) = read {
            assert!(found == expected, "bit {bit} gives another answer");
            panic!("bit {bit} is under no checksum");
        }
    }
}

#[test]
fn few_events_of_a_block_are_the_same_as_among_all() {
    let block = sample();
    assert_eq!(few_at_a_time(&block), events_of(&block));
}

#[test]
fn rows_of_ids_are_those_whose_id_is_wanted() {
    let block = sample();
    let view = BatchView::open_block(&block.header, Bytes::from(block.bytes.clone())).unwrap();
    let column = view.find(annal::column::Table::Events, annal::column::Field::TraceId).unwrap();
    let wanted = [3_u128, 41, 1_000_000].map(u128::to_be_bytes);
    let place = |id: &[u8; 16]| wanted.iter().position(|wanted| wanted == id);
    let found = view.rows_of_ids(column, place).unwrap();
    let expected: Vec<(u32, usize)> =
        (10..15).map(|r| (r, 0)).chain((200..205).map(|r| (r, 1))).collect();
    assert_eq!(found, expected);
    assert!(view.rows_of_ids(column, |_| None::<u32>).unwrap().is_empty());
}

#[test]
fn a_block_cut_anywhere_is_refused() {
    let block = sample();
    for length in (0..block.bytes.len()).step_by(7) {
        let bytes = Bytes::from(block.bytes[..length].to_vec());
        assert!(BatchView::open_block(&block.header, bytes).is_err(), "{length} bytes");
    }
}

#[test]
fn a_query_of_one_column_decompresses_one_chunk() {
    let block = sample();
    let view = BatchView::open_block(&block.header, Bytes::from(block.bytes.clone())).unwrap();
    let before = view.memory_bytes();
    let types = view.find(annal::column::Table::Events, annal::column::Field::Type).unwrap();
    view.texts(types).unwrap();
    let (one, raw) = (view.memory_bytes() - before, view.raw_bytes());
    assert!(one * 4 < raw, "{one} of {raw} bytes for one column");
}

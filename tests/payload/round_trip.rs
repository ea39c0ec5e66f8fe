//! Any event that the builder takes comes back as it was; a cancelled one leaves no trace.

use annal::column::BatchView;
use annal::event::{Attribute, SpanEvent, Value};
use annal::{Batch, BatchBuilder, Event};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::any_event::{NOW, event, sorted};

fn finish(builder: &mut BatchBuilder) -> Batch {
    let batch = builder.finish().unwrap();
    let checked = Batch::from_frame(*batch.header(), batch.payload().clone(), NOW).unwrap();
    assert_eq!(checked.summary(), batch.summary());
    batch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_events_come_back_field_by_field(events in vec(event(), 1..40)) {
        let mut builder = BatchBuilder::new();
        for event in &events {
            builder.push(event).unwrap();
        }
        let batch = finish(&mut builder);
        let view = BatchView::open(batch.header(), batch.payload()).unwrap();
        let rows: Vec<u32> = (0..events.len() as u32).collect();
        let read = view.materialise(batch.header(), &rows).unwrap();
        prop_assert_eq!(read.len(), events.len());
        for (sequence, (read, event)) in (0..).zip(read.iter().zip(&events)) {
            let event = Event { sequence, ..event.clone() };
            prop_assert_eq!(sorted(read.clone()), sorted(event));
        }
        // Any selection of rows gives the same events.
        let odd: Vec<u32> = rows.iter().copied().filter(|row| row % 2 == 1).collect();
        let some = view.materialise(batch.header(), &odd).unwrap();
        for (row, event) in odd.iter().zip(some) {
            prop_assert_eq!(&event, &read[*row as usize]);
        }
    }

    #[test]
    fn events_that_are_refused_or_cancelled_leave_no_trace(
        events in vec((event(), any::<bool>()), 1..30),
    ) {
        let mut builder = BatchBuilder::new();
        // One batch before it: what a builder keeps must not show either.
        builder.push(&events[0].0).unwrap();
        finish(&mut builder);
        let mut clean = BatchBuilder::new();
        for (event, refused) in &events {
            if *refused {
                let mut broken = event.clone();
                let key = "k".repeat(annal::limits::KEY_BYTES_MAX + 1);
                let attributes = vec![Attribute::new(key, Value::Empty)];
                broken.events.push(SpanEvent {
                    time: NOW,
                    name: "last".into(),
                    attributes,
                    dropped_attributes: 0,
                });
                prop_assert!(builder.push(&broken).is_err());
            } else {
                builder.push(event).unwrap();
                clean.push(event).unwrap();
            }
        }
        prop_assert_eq!(builder.events(), clean.events());
        if clean.events() > 0 {
            let (batch, expected) = (finish(&mut builder), finish(&mut clean));
            prop_assert_eq!(batch.header(), expected.header());
            prop_assert_eq!(batch.payload(), expected.payload());
            prop_assert_eq!(batch.summary(), expected.summary());
        }
    }
}

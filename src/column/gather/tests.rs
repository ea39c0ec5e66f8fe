use super::*;
use crate::column::BatchBuilder;
use crate::event::{Attribute, Event, Value};

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

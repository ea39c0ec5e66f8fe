//! Blocks of events in a given order, as compaction encodes them, and the bytes of their columns.

use annal::column::{BatchView, Gather};
use annal::event::{Attribute, Value};
use annal::limits::BLOCK_EVENTS_MAX;
use annal::{BatchBuilder, Event, Result, Timestamp};
use bytes::Bytes;

/// The part of a block that is no column.
pub(crate) const HEAD: &str = "head";

/// A block: its events, and what was made of them.
pub(crate) struct Built<'a> {
    pub(crate) events: &'a [&'a Event],
    pub(crate) max_time: Timestamp,
    /// Bytes as stored by the paths of the columns, with the head.
    pub(crate) columns: Vec<(String, u64)>,
}

impl Built<'_> {
    /// Bytes of everything.
    pub(crate) fn bytes(&self) -> u64 {
        self.columns.iter().map(|column| column.1).sum()
    }

    /// Bytes of the head and of these columns.
    pub(crate) fn bytes_of(&self, paths: &[&str]) -> u64 {
        let wanted = |path: &str| path == HEAD || paths.contains(&path);
        self.columns.iter().filter(|column| wanted(&column.0)).map(|column| column.1).sum()
    }
}

/// Encodes every 8,192 events into a block.
pub(crate) fn build<'a>(arranged: &'a [&'a Event]) -> Result<Vec<Built<'a>>> {
    let (mut builder, mut gather) = (BatchBuilder::new(), Gather::new());
    arranged
        .chunks(BLOCK_EVENTS_MAX)
        .map(|events| {
            for event in events {
                builder.push(&with_receipt(event))?;
                if builder.is_full() {
                    add(&mut builder, &mut gather)?;
                }
            }
            if builder.events() > 0 {
                add(&mut builder, &mut gather)?;
            }
            let block = gather.finish()?;
            let max_time = block.header.max_time;
            let stored = block.bytes.len() as u64;
            let view = BatchView::open_block(&block.header, Bytes::from(block.bytes))?;
            let paths = view.columns().iter().enumerate();
            let mut columns: Vec<_> =
                paths.map(|(at, id)| (id.path(), view.stored_bytes(at) as u64)).collect();
            let chunks: u64 = columns.iter().map(|column| column.1).sum();
            columns.push((HEAD.into(), stored - chunks));
            Ok(Built { events, max_time, columns })
        })
        .collect()
}

/// The event with what the store knows of it as attributes: in the order of the log the one is not
/// stored and the other once a run, in other orders they are columns like all others.
fn with_receipt(event: &Event) -> Event {
    let mut event = event.clone();
    let sequence = i64::try_from(event.sequence).unwrap_or(i64::MAX);
    event.attributes.push(Attribute::new("annal.sequence", Value::Int(sequence)));
    let received = event.received.as_ns();
    event.attributes.push(Attribute::new("annal.received", Value::Int(received)));
    event
}

fn add(builder: &mut BatchBuilder, gather: &mut Gather) -> Result<()> {
    let batch = builder.finish()?;
    let view = BatchView::open(batch.header(), batch.payload())?;
    gather.add(batch.header(), &view, 0..batch.events())
}

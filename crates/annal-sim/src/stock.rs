//! Batches that are built once and sent over and over, and how to recognise them in a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use annal::event::{Attribute, Link, Resource, Signal, SpanEvent, Status};
use annal::format::frame::FrameKind;
use annal::store::Snapshot;
use annal::{Batch, BatchBuilder, Event, ProducerId, Result, SpanId, Timestamp, TraceId, Value};

use crate::clock::START;
use crate::oracle::{Key, Stored};
use crate::random::Random;

/// Batches to send.
pub struct Stock {
    batches: Vec<(Batch, Vec<Event>)>,
    /// By checksum and length of the payload.
    by_payload: BTreeMap<(u32, u32), usize>,
    /// By time and span id of the first event.
    by_first: BTreeMap<(Timestamp, Option<SpanId>), usize>,
}

/// What stands in a store that no producer sent.
pub const UNKNOWN_CONTENT: usize = usize::MAX;

impl Stock {
    /// `count` batches of a few events each, all different; every eighth is large.
    ///
    /// # Panics
    /// If events that keep all limits are refused.
    #[must_use]
    pub fn new(count: usize) -> Stock {
        let mut random = Random::new(count as u64);
        let mut builder = BatchBuilder::new();
        let mut stock =
            Stock { batches: Vec::new(), by_payload: BTreeMap::new(), by_first: BTreeMap::new() };
        for i in 0..count {
            let events: Vec<Event> =
                (0..1 + random.below(6)).map(|_| event(&mut random, i)).collect();
            for event in &events {
                builder.push(event).expect("events within all limits");
            }
            let batch = builder.finish().expect("a batch within all limits");
            let header = batch.header();
            let payload = (header.payload_crc, header.stored_length);
            let twin = stock.by_payload.insert(payload, i);
            assert!(twin.is_none(), "batches are told apart by their payloads");
            let first = events.first().map(|e| (e.time, e.span_id)).expect("an event");
            let twin = stock.by_first.insert(first, i);
            assert!(twin.is_none(), "batches are told apart by their first events");
            stock.batches.push((batch, events));
        }
        stock
    }

    /// Number of batches.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// A batch, numbered if it has a key.
    #[must_use]
    pub fn batch(&self, content: usize, key: Option<Key>) -> Batch {
        let batch = self.batches[content].0.clone();
        match key {
            Some(key) => batch.numbered(producer_id(key.producer), key.epoch, key.number),
            None => batch,
        }
    }

    /// The events of a batch as they were sent.
    #[must_use]
    pub fn events(&self, content: usize) -> &[Event] {
        &self.batches[content].1
    }

    /// Everything a snapshot shows. Checksums are always checked; if `deep`, every event is compared
    /// with what was sent, field by field, and a difference makes the content unknown.
    pub fn recognise(&self, snapshot: &Snapshot, deep: bool) -> Result<Vec<Stored>> {
        self.recognise_new(snapshot, deep, &mut BTreeMap::new())
    }

    /// As [`Stock::recognise`], but reads only batches that are not among those seen before; adds
    /// the others to them.
    pub fn recognise_new(
        &self,
        snapshot: &Snapshot,
        deep: bool,
        seen: &mut BTreeMap<u64, Stored>,
    ) -> Result<Vec<Stored>> {
        let mut contents = Vec::new();
        for segment in snapshot.segments() {
            let directory = segment.directory()?;
            for entry in segment.frames(&directory) {
                let known = seen.get(&entry.first_sequence);
                let may_know = !deep && !segment.is_compacted();
                if let Some(stored) = known.filter(|s| may_know && s.events == entry.events) {
                    contents.push(*stored);
                    continue;
                }
                let (header, view) = segment.read(entry)?;
                if header.kind == FrameKind::Block {
                    let rows: Vec<u32> = (0..header.events).collect();
                    // Chunks are checked when they are asked for: the view knows no file.
                    let events = view.materialise(&header, &rows);
                    let events = events.map_err(|e| e.in_file(segment.file_name()))?;
                    contents.extend(self.recognise_events(header.first_sequence, events));
                    continue;
                }
                let payload = (header.payload_crc, header.stored_length);
                let mut content = self.by_payload.get(&payload).copied();
                let claims = (entry.first_sequence, entry.events, entry.producer_id, entry.epoch);
                let stamped =
                    (header.first_sequence, header.events, header.producer_id, header.epoch);
                if claims != stamped || entry.batch_number != header.batch_number {
                    content = None;
                }
                if deep && let Some(i) = content {
                    let rows: Vec<u32> = (0..header.events).collect();
                    let found = view.materialise(&header, &rows)?;
                    let sent = self.events(i).iter().enumerate().map(|(row, event)| Event {
                        sequence: header.first_sequence + row as u64,
                        received: header.received,
                        ..event.clone()
                    });
                    content = content.filter(|_| sent.eq(found.into_iter().map(sorted)));
                }
                let stored = Stored {
                    first_sequence: header.first_sequence,
                    events: header.events,
                    content: content.unwrap_or(UNKNOWN_CONTENT),
                    key: key(header.producer_id, header.epoch, header.batch_number),
                    compacted: false,
                };
                seen.insert(stored.first_sequence, stored);
                contents.push(stored);
            }
        }
        Ok(contents)
    }
}

impl Stock {
    /// The batches that consecutive events of a block came from, every field of them compared.
    fn recognise_events(&self, first_sequence: u64, events: Vec<Event>) -> Vec<Stored> {
        let events: Vec<Event> = events.into_iter().map(sorted).collect();
        let mut found = Vec::new();
        let mut rest = events.as_slice();
        while let Some(first) = rest.first() {
            let at = (events.len() - rest.len()) as u64;
            let content = self.by_first.get(&(first.time, first.span_id)).copied().filter(|&i| {
                let sent = self.events(i);
                let stamped = (0..).zip(sent).zip(rest).all(|((row, sent), found)| {
                    let sequence = first_sequence + at + row;
                    let sent = Event { sequence, received: first.received, ..sent.clone() };
                    sent == *found
                });
                stamped && sent.len() <= rest.len()
            });
            let length = content.map_or(1, |i| self.events(i).len());
            found.push(Stored {
                first_sequence: first_sequence + at,
                events: length as u32,
                content: content.unwrap_or(UNKNOWN_CONTENT),
                key: None,
                compacted: true,
            });
            rest = rest.get(length..).unwrap_or_default();
        }
        found
    }
}

/// The order of attributes is not kept; those made here are in order.
fn sorted(mut event: Event) -> Event {
    event.attributes.sort_by(|a, b| a.key.cmp(&b.key));
    event
}

fn producer_id(producer: u64) -> ProducerId {
    let mut id = [0xa5; 16];
    id[..8].copy_from_slice(&producer.to_le_bytes());
    ProducerId(id)
}

fn key(id: ProducerId, epoch: u32, number: u64) -> Option<Key> {
    let mut producer = [0; 8];
    producer.copy_from_slice(&id.0[..8]);
    (!id.is_zero()).then(|| Key { producer: u64::from_le_bytes(producer), epoch, number })
}

fn event(random: &mut Random, batch: usize) -> Event {
    let trace = u128::from(1 + random.below(40)).to_le_bytes();
    let large = batch % 8 == 7;
    let noise = |random: &mut Random, bytes: u64| {
        Value::Bytes((0..bytes).map(|_| random.next_u64() as u8).collect())
    };
    let source = ["cart", "checkout", "shipping"][random.index(3)];
    let name = Attribute::new("service.name", Value::String(source.to_owned()));
    let mut event = Event {
        time: Timestamp(START.0 - random.below(3_600_000_000_000) as i64),
        signal: [Signal::Span, Signal::Log, Signal::Event][random.index(3)],
        source: source.to_owned(),
        event_type: ["AddItem", "Pay", "Ship"][random.index(3)].to_owned(),
        trace_id: Some(TraceId(trace)),
        span_id: Some(SpanId((1 + random.next_u64() % 1_000_000).to_le_bytes())),
        duration: random.percent(50).then(|| random.below(1 << 30) as i64),
        status: if random.percent(10) { Status::Error } else { Status::Unset },
        body: random.percent(30).then(|| Value::String(format!("message {}", random.below(100)))),
        attributes: vec![
            Attribute::new("count", Value::Int(random.below(1_000) as i64)),
            Attribute::new("noise", if large { noise(random, 3_000) } else { noise(random, 40) }),
        ],
        resource: Arc::new(Resource { attributes: vec![name], ..Resource::default() }),
        ..Event::default()
    };
    if random.percent(10) {
        event.links.push(Link {
            trace_id: TraceId([7; 16]),
            span_id: Some(SpanId([8; 8])),
            trace_state: String::new(),
            attributes: Vec::new(),
            dropped_attributes: 0,
            flags: 1,
        });
    }
    if random.percent(10) {
        event.events.push(SpanEvent {
            time: event.time,
            name: "exception".to_owned(),
            attributes: vec![Attribute::new("exception.type", Value::String("E".to_owned()))],
            dropped_attributes: 0,
        });
    }
    event
}

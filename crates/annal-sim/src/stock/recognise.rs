//! What a snapshot shows, told in batches of the stock: those of the log by their checksums, those
//! in blocks by their events, compared field by field, or by bytes that were compared before.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use annal::format::frame::FrameKind;
use annal::segment::FrameEntry;
use annal::store::{SegmentView, Snapshot};
use annal::{Event, ProducerId, Result};

use super::Stock;
use crate::oracle::{Key, Stored};

/// What was read before, so that it is not decoded again.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Batches of the log, by first sequence, as they were in this life.
    batches: BTreeMap<u64, Stored>,
    /// The batches of whole compacted segments, by everything that is stored of their blocks.
    blocks: BTreeMap<u64, Vec<Stored>>,
}

impl Seen {
    /// Batches are read again; blocks always are, and recognised by their bytes.
    pub fn forget(&mut self) {
        self.batches.clear();
    }
}

/// What stands in a store that no producer sent.
pub const UNKNOWN_CONTENT: usize = usize::MAX;

impl Stock {
    /// Everything a snapshot shows. Checksums are always checked; if `deep`, every event is compared
    /// with what was sent, field by field, and a difference makes the content unknown.
    pub fn recognise(&self, snapshot: &Snapshot, deep: bool) -> Result<Vec<Stored>> {
        self.recognise_new(snapshot, deep, &mut Seen::default())
    }

    /// As [`Stock::recognise`], but decodes only what is not among that seen before; adds the rest
    /// to it.
    pub fn recognise_new(
        &self,
        snapshot: &Snapshot,
        deep: bool,
        seen: &mut Seen,
    ) -> Result<Vec<Stored>> {
        let mut contents = Vec::new();
        for segment in snapshot.segments() {
            if segment.is_compacted() {
                contents.extend(self.recognise_blocks(segment, deep, &mut seen.blocks)?);
                continue;
            }
            let directory = segment.directory()?;
            for entry in segment.frames(&directory) {
                let known = seen.batches.get(&entry.first_sequence);
                if let Some(stored) = known.filter(|s| !deep && s.events == entry.events) {
                    contents.push(*stored);
                    continue;
                }
                let stored = self.recognise_batch(segment, entry, deep)?;
                seen.batches.insert(stored.first_sequence, stored);
                contents.push(stored);
            }
        }
        Ok(contents)
    }

    fn recognise_batch(
        &self,
        segment: &SegmentView,
        entry: &FrameEntry,
        deep: bool,
    ) -> Result<Stored> {
        let (header, view) = segment.read(entry)?;
        let payload = (header.payload_crc, header.stored_length);
        let mut content = self.by_payload.get(&payload).copied();
        let claims = (entry.first_sequence, entry.events, entry.producer_id, entry.epoch);
        let stamped = (header.first_sequence, header.events, header.producer_id, header.epoch);
        if header.kind != FrameKind::Batch
            || claims != stamped
            || entry.batch_number != header.batch_number
        {
            content = None;
        }
        if deep && let Some(i) = content {
            let rows: Vec<u32> = (0..header.events).collect();
            let mut found = sorted(view.materialise(&header, &rows)?);
            let whole = found.len() == self.events(i).len()
                && found.first().is_some_and(|first| first.sequence == header.first_sequence)
                && self.length_if_first(i, &mut found).is_some();
            content = content.filter(|_| whole);
        }
        Ok(Stored {
            first_sequence: header.first_sequence,
            events: header.events,
            content: content.unwrap_or(UNKNOWN_CONTENT),
            key: key(header.producer_id, header.epoch, header.batch_number),
            compacted: false,
        })
    }

    /// The batches that the events of a compacted segment came from, every field of them compared,
    /// unless the same bytes have been before. A batch may go on from one block to the next.
    fn recognise_blocks(
        &self,
        segment: &SegmentView,
        deep: bool,
        seen: &mut BTreeMap<u64, Vec<Stored>>,
    ) -> Result<Vec<Stored>> {
        let directory = segment.directory()?;
        let mut hasher = DefaultHasher::new();
        for entry in segment.frames(&directory) {
            let (header, bytes) = segment.read_payload(entry)?;
            (header.first_sequence, header.events, header.kind == FrameKind::Block)
                .hash(&mut hasher);
            bytes.hash(&mut hasher);
        }
        let bytes = hasher.finish();
        if let Some(found) = seen.get(&bytes).filter(|_| !deep) {
            return Ok(found.clone());
        }
        let mut events = Vec::new();
        for entry in segment.frames(&directory) {
            let (header, view) = segment.read(entry)?;
            let rows: Vec<u32> = (0..header.events).collect();
            // Chunks are checked when they are asked for: the view knows no file.
            let found = view.materialise(&header, &rows);
            events.extend(sorted(found.map_err(|e| e.in_file(segment.file_name()))?));
        }
        let found = self.recognise_events(&mut events);
        seen.insert(bytes, found.clone());
        Ok(found)
    }

    fn recognise_events(&self, mut rest: &mut [Event]) -> Vec<Stored> {
        let mut found = Vec::new();
        while let Some(first) = rest.first() {
            let first_sequence = first.sequence;
            let known = self.by_first.get(&(first.time, first.span_id)).copied();
            let length = known.and_then(|i| self.length_if_first(i, rest));
            let content = known.filter(|_| length.is_some());
            let length = length.unwrap_or(1);
            found.push(Stored {
                first_sequence,
                events: length as u32,
                content: content.unwrap_or(UNKNOWN_CONTENT),
                key: None,
                compacted: true,
            });
            rest = rest.get_mut(length..).unwrap_or_default();
        }
        found
    }

    /// The number of events of a batch if it comes first among those found, every field as it was
    /// sent, one sequence after the other, and received at one time.
    fn length_if_first(&self, content: usize, found: &mut [Event]) -> Option<usize> {
        let sent = self.events(content);
        let found = found.get_mut(..sent.len())?;
        let (sequence, received) = found.first().map(|first| (first.sequence, first.received))?;
        let same = (sequence..).zip(sent).zip(found).all(|((sequence, sent), found)| {
            // Stamps are the store's: those that were sent have none.
            let stamps = (std::mem::take(&mut found.sequence), std::mem::take(&mut found.received));
            let same = stamps == (sequence, received) && sent == found;
            (found.sequence, found.received) = stamps;
            same
        });
        same.then_some(sent.len())
    }
}

/// The order of attributes is not kept; those made here are in order.
fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        event.attributes.sort_by(|a, b| a.key.cmp(&b.key));
    }
    events
}

fn key(id: ProducerId, epoch: u32, number: u64) -> Option<Key> {
    let mut producer = [0; 8];
    producer.copy_from_slice(&id.0[..8]);
    (!id.is_zero()).then(|| Key { producer: u64::from_le_bytes(producer), epoch, number })
}

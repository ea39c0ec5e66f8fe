//! What the footer of a sealed file says of its frames, made anew from the frames: verify holds one
//! against the other. A filter that knows too few traces hides events from queries, and totals that
//! do not add up are answers; checksums find neither if they were written so.

use bytes::Bytes;

use crate::column::{Batch, BatchSummary, BatchView, Gather};
use crate::error::{Error, Result};
use crate::format::footer::section_name;
use crate::format::frame::{FrameHeader, FrameKind};
use crate::index::TraceFilter;
use crate::segment::overview::Overview;
use crate::segment::tail::damaged;
use crate::segment::{Directory, FrameEntry};
use crate::storage::Region;
use crate::time::Timestamp;

/// Of one file.
#[derive(Default)]
pub(super) struct Audit {
    overview: Overview,
    gather: Gather,
    /// A frame could not be read: what is missing in the totals is no further damage.
    incomplete: bool,
}

impl Audit {
    /// Decodes all of a frame, and holds it against its entry in the directory if that is known.
    pub(super) fn frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        listed: Option<(&Directory, &FrameEntry)>,
        offset: u64,
    ) -> Result<()> {
        let summary = match header.kind {
            FrameKind::Block => self.block(header, payload, offset),
            _ => check_payload(header, payload, offset),
        };
        self.incomplete |= summary.is_err();
        let summary = summary?;
        let Some((directory, entry)) = listed else { return Ok(()) };
        if !agrees(entry, header) {
            let what = "the frame and the directory contradict each other";
            return Err(Error::corrupt(what).at(offset));
        }
        let mut series: Vec<_> =
            entry.series.iter().filter_map(|&i| directory.series.get(i as usize)).collect();
        series.sort_unstable();
        if series.into_iter().ne(&summary.series) {
            let what = "the directory lists other series than the frame has";
            return Err(Error::corrupt(what).at(offset));
        }
        if entry.traces != TraceFilter::of(&summary.trace_hashes) {
            let what = "the directory's filter is not of the traces that the frame has";
            return Err(Error::corrupt(what).at(offset));
        }
        Ok(())
    }

    /// A frame is damaged so that its header is not even known.
    pub(super) fn missing(&mut self) {
        self.incomplete = true;
    }

    /// Decodes every column of a block.
    fn block(&mut self, header: &FrameHeader, payload: &[u8], offset: u64) -> Result<BatchSummary> {
        let view = BatchView::open_block(header, Bytes::copy_from_slice(payload));
        let view = view.map_err(|e| damaged(e, offset))?;
        let times = view.check().map_err(|e| damaged(e, offset))?;
        // BLK-1.
        if times != (header.min_time, header.max_time) {
            let what = "the times of a block are not those of its header";
            return Err(Error::corrupt(what).at(offset));
        }
        self.gather.clear();
        self.gather.add(header, &view, 0..view.events()).map_err(|e| damaged(e, offset))?;
        let (summary, totals) = self.gather.summary();
        let (minutes, attributes) = (self.gather.minutes(), self.gather.attributes());
        self.overview.add(&totals, &minutes, &attributes, &self.gather.links());
        Ok(summary)
    }

    /// Holds the footer's sections of what is known of blocks, each with its kind and where it
    /// stands, against all blocks.
    pub(super) fn end(self, stored: &[(u16, u64, Region)]) -> Result<()> {
        if self.incomplete {
            return Ok(());
        }
        let made = self.overview.into_sections();
        for (kind, offset, stored) in stored {
            let section = made.iter().find(|section| section.kind == *kind);
            if section.is_none_or(|section| **stored != *section.bytes) {
                let name = section_name(*kind).unwrap_or("sections");
                let what = format!("the footer's {name} are not those of the blocks");
                return Err(Error::corrupt(what).at(*offset));
            }
        }
        Ok(())
    }
}

fn agrees(entry: &FrameEntry, frame: &FrameHeader) -> bool {
    entry.position == frame.position
        && entry.stored_length == frame.stored_length
        && entry.first_sequence == frame.first_sequence
        && entry.events == frame.events
        && entry.received == frame.received
        && (entry.min_time, entry.max_time) == (frame.min_time, frame.max_time)
        && entry.producer_id == frame.producer_id
        && (entry.epoch, entry.batch_number) == (frame.epoch, frame.batch_number)
}

/// Decodes every column, as when the batch came in.
pub(super) fn check_payload(
    header: &FrameHeader,
    payload: &[u8],
    offset: u64,
) -> Result<BatchSummary> {
    let as_sent = FrameHeader {
        salt: 0,
        segment_id: 0,
        position: 0,
        durable_position: 0,
        first_sequence: 0,
        received: Timestamp(0),
        ..*header
    };
    // Whether times lay too far ahead was asked when the batch came in.
    let later = Timestamp(i64::MAX / 2);
    let batch = Batch::from_frame(as_sent, Bytes::copy_from_slice(payload), later);
    batch
        .map(|batch| BatchSummary::clone(&batch.summary))
        .map_err(|e| Error::corrupt(format!("the payload does not decode: {e}")).at(offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{BatchBuilder, Block};
    use crate::event::{Attribute, Event, Link, TraceId, Value};
    use crate::segment::scan::DirectoryBuilder;

    /// Nine traces; if they link, to the last of them.
    fn block(links: bool) -> Block {
        let link = || Link {
            trace_id: TraceId([9; 16]),
            span_id: None,
            trace_state: String::new(),
            attributes: Vec::new(),
            dropped_attributes: 0,
            flags: 0,
        };
        let mut builder = BatchBuilder::new();
        for i in 1..=9 {
            let event = Event {
                time: Timestamp(i64::from(i)),
                source: format!("source {}", i % 2),
                event_type: "t".into(),
                attributes: vec![Attribute { key: "k".into(), value: Value::String("v".into()) }],
                trace_id: Some(TraceId([i; 16])),
                links: links.then(link).into_iter().collect(),
                ..Event::default()
            };
            builder.push(&event).unwrap();
        }
        let batch = builder.finish().unwrap();
        let view = BatchView::open(batch.header(), batch.payload()).unwrap();
        let mut gather = Gather::new();
        gather.add(batch.header(), &view, 0..9).unwrap();
        gather.finish().unwrap()
    }

    /// Audits a file whose footer was made of one block and whose frames hold another.
    fn audit(block: &Block, footer: &Block) -> (Result<()>, Result<()>) {
        let mut builder = DirectoryBuilder::new();
        let traces = TraceFilter::of(&footer.summary.trace_hashes);
        let entry = builder.entry(&block.header, &footer.summary.series, traces);
        builder.push(entry);
        let entry = builder.directory.frames.get(0).unwrap();
        let mut audit = Audit::default();
        let frame = audit.frame(&block.header, &block.bytes, Some((&builder.directory, entry)), 7);
        let mut overview = Overview::default();
        overview.add(&footer.totals, &footer.minutes, &footer.attributes, &footer.links);
        let sections: Vec<_> = (9..)
            .zip(overview.into_sections())
            .map(|(offset, s)| (s.kind, offset, Region::from_bytes(s.bytes.into())))
            .collect();
        (frame, audit.end(&sections))
    }

    #[test]
    fn what_a_footer_says_of_series_traces_and_totals_is_held_against_the_blocks() {
        let (block, unlinked) = (block(true), block(false));
        let (frame, end) = audit(&block, &block);
        frame.unwrap();
        end.unwrap();
        let mut series = block.clone();
        series.summary.series.pop();
        assert_eq!(audit(&block, &series).0.unwrap_err().offset(), Some(7));
        let mut traces = block.clone();
        traces.summary.trace_hashes.pop();
        assert_eq!(audit(&block, &traces).0.unwrap_err().offset(), Some(7));
        let mut totals = block.clone();
        totals.totals[1].errors = 1;
        let (frame, end) = audit(&block, &totals);
        frame.unwrap();
        assert_eq!(end.unwrap_err().offset(), Some(9));
        let mut minutes = block.clone();
        minutes.minutes.clear();
        assert_eq!(audit(&block, &minutes).1.unwrap_err().offset(), Some(10));
        let mut attributes = block.clone();
        attributes.attributes.hashes.pop().unwrap();
        assert_eq!(audit(&block, &attributes).1.unwrap_err().offset(), Some(11));
        let mut links = block.clone();
        links.links[0] ^= 1;
        assert_eq!(audit(&block, &links).1.unwrap_err().offset(), Some(12));
        // Links are there where nothing links.
        audit(&unlinked, &unlinked).1.unwrap();
        assert_eq!(audit(&unlinked, &block).1.unwrap_err().offset(), Some(12));
    }
}

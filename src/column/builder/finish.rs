//! Turns what was collected into a payload and its header.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::codec::{crc32, put_varint};
use crate::column::Batch;
use crate::column::batch::BatchSummary;
use crate::column::buffer::{ColumnBuffer, NONE, Values, find_presence};
use crate::column::builder::BatchBuilder;
use crate::column::compress::Compressor;
use crate::column::encoding::{Encoding, ids, presence};
use crate::column::payload::{self, PAYLOAD_VERSION};
use crate::column::schema::{Field, Table};
use crate::error::{Error, Result};
use crate::event::TraceId;
use crate::format::frame::FrameHeader;
use crate::index::trace_hash;
use crate::limits;
use crate::time::Timestamp;

/// Buffers that are used again for each batch.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    raw: Vec<u8>,
    directory: Vec<u8>,
    presences: Vec<u8>,
    places: [Vec<u8>; Encoding::PLACES],
    tails: Vec<u8>,
    references: ids::ReferenceScratch,
    /// The column that first had a presence, by its rows.
    known: HashTable<(u32, usize)>,
}

impl BatchBuilder {
    pub(super) fn encode(&mut self) -> Result<Batch> {
        self.commit();
        let events = self.events();
        if events == 0 {
            return Err(Error::invalid("a batch without events"));
        }
        self.sort_columns();
        self.assemble();
        let raw_length = self.scratch.raw.len();
        assert!(
            raw_length <= self.state.raw && raw_length <= limits::BATCH_RAW_BYTES_MAX,
            "{raw_length} raw bytes where at most {} were counted",
            self.state.raw
        );
        let compressor = self.compressor.get_or_insert_with(Compressor::new);
        let parts = [
            raw_length - self.scratch.tails.len() - self.scratch.places[1].len(),
            raw_length - self.scratch.tails.len(),
        ];
        let (codec, stored) = compressor.compress(&self.scratch.raw, &parts)?;
        let (min_time, max_time) = self.times();
        let header = FrameHeader {
            codec,
            stored_length: stored.len() as u32,
            raw_length: raw_length as u32,
            min_time,
            max_time,
            events: events as u32,
            payload_crc: crc32(&stored),
            ..FrameHeader::default()
        };
        let summary = Arc::new(self.summary());
        Ok(Batch { header, payload: stored.into(), summary })
    }

    /// Brings the columns into the directory's order, if some were added.
    fn sort_columns(&mut self) {
        let BatchBuilder { columns, sorted, .. } = self;
        if sorted.len() == columns.len() {
            return;
        }
        sorted.clear();
        sorted.extend(0..columns.len() as u32);
        sorted.sort_unstable_by(|&a, &b| {
            let key = |at: u32| columns.get(at as usize).map(|column| column.id.sort_key());
            key(a).cmp(&key(b))
        });
    }

    fn assemble(&mut self) {
        let BatchBuilder { columns, sorted, state, scratch, fixed, .. } = self;
        let Scratch { raw, directory, presences, places, tails, known, references } = scratch;
        let spans = columns.get(fixed[Table::Events as usize][Field::SpanId as usize] as usize);
        [&mut *raw, directory, presences, tails]
            .into_iter()
            .chain(places.iter_mut())
            .for_each(Vec::clear);
        known.clear();
        let (mut used, mut distinct) = (0u64, 0usize);
        for &at in sorted.iter() {
            let Some(column) = columns.get(at as usize).filter(|c| !c.rows.is_empty()) else {
                continue;
            };
            used += 1;
            let rows_all = state.rows[column.id.table as usize] as usize;
            let presence = if column.rows.len() == rows_all {
                0
            } else {
                let found = find_presence(known, columns, at, distinct + 1);
                if found > distinct {
                    distinct = found;
                    presences.push(column.id.table as u8);
                    presence::encode(&column.rows, rows_all, presences);
                }
                found
            };
            // Which place a body goes to is known only when it has been encoded.
            raw.clear();
            let tail = tails.len();
            let spans = spans.filter(|_| column.id.field == Field::ParentSpanId);
            let encoding = match (column.ids_by_row(), spans.and_then(ColumnBuffer::ids_by_row)) {
                (Some(parents), Some(spans)) => {
                    ids::encode_references(parents, spans, references, raw, tails)
                }
                _ => column.encode(None, raw, tails),
            };
            places[encoding.place()].extend_from_slice(raw);
            let lengths = (raw.len(), tails.len() - tail);
            payload::put_entry(directory, &column.id, presence, encoding, lengths);
        }
        raw.clear();
        raw.push(PAYLOAD_VERSION);
        state.rows.iter().for_each(|&rows| put_varint(raw, u64::from(rows)));
        put_varint(raw, distinct as u64);
        raw.extend_from_slice(presences);
        put_varint(raw, used);
        raw.extend_from_slice(directory);
        places.iter().for_each(|bodies| raw.extend_from_slice(bodies));
        raw.extend_from_slice(tails);
    }

    fn fixed_column(&self, table: Table, field: Field) -> Option<&ColumnBuffer> {
        let at = self.fixed[table as usize][field as usize];
        self.columns.get(at as usize).filter(|column| at != NONE && !column.rows.is_empty())
    }

    fn times(&self) -> (Timestamp, Timestamp) {
        let times = match self.fixed_column(Table::Events, Field::Time).map(|c| &c.values) {
            Some(Values::Integers(times)) => times.as_slice(),
            _ => &[],
        };
        let bound = |time: Option<&i64>| Timestamp(time.copied().unwrap_or(0));
        (bound(times.iter().min()), bound(times.iter().max()))
    }

    fn summary(&self) -> BatchSummary {
        let name = |table, field, code| match self.fixed_column(table, field).map(|c| &c.values) {
            // The builder takes `&str` only.
            Some(Values::Texts(texts)) => String::from_utf8_lossy(texts.entry(code)).into_owned(),
            _ => String::new(),
        };
        let pairs = self.series.keys().map(|&(source, event_type)| {
            let source = name(Table::Resources, Field::Source, source);
            (source, name(Table::Events, Field::Type, event_type))
        });
        let mut trace_hashes = Vec::new();
        for table in [Table::Events, Table::Links] {
            let column = self.fixed_column(table, Field::TraceId);
            if let Some(Values::Ids16(ids)) = column.map(|c| &c.values) {
                trace_hashes.extend(ids.entries.iter().map(|id| trace_hash(&TraceId(*id))));
            }
        }
        trace_hashes.sort_unstable();
        trace_hashes.dedup();
        BatchSummary {
            series: payload::sorted_series(pairs),
            trace_hashes,
            expanded_bytes: self.state.expanded as u64,
        }
    }
}

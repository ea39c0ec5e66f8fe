//! Blocks: the columns of up to 8,192 events, each in a chunk of its own, so that a query reads and
//! decompresses only what it asks for. `storage-format.md`, "Block".
//!
//! A block begins with the length of its head and the head: rows, presences, and an entry per column
//! that says where its chunk is and what its checksum is. The head is checked when the block is
//! opened, a chunk when it is first asked for; what was decompressed is kept with the view.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::codec::{Cursor, crc32, put_varint};
use crate::column::compress::{self, Compressor};
use crate::column::encoding::Encoding;
use crate::column::meter::{Meter, Metered};
use crate::column::payload::{self, Directory};
use crate::column::schema::ColumnId;
use crate::error::{Error, Result};
use crate::format::frame::{Codec, FrameHeader};
use crate::limits;

/// Version of a block's layout.
const BLOCK_VERSION: u8 = 1;
/// Bytes that say how long the stored head is.
const LENGTH_BYTES: usize = 4;
/// Bodies shorter than this are not worth the head of a zstd frame.
const COMPRESSED_BYTES_MIN: usize = 48;

/// Where a column's chunk stands and how it is stored.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// From the block's first byte.
    offset: usize,
    body_stored: usize,
    body_raw: usize,
    tail: usize,
    /// CRC-32 of stored body and tail.
    crc: u32,
}

/// What was made of a chunk when it was first asked for.
#[derive(Debug)]
enum Body {
    /// It stands in the block as it is.
    AsStored,
    Decompressed(Vec<u8>),
}

/// The chunks of a block, in the order of its directory.
#[derive(Debug)]
pub(super) struct Chunks {
    block: Bytes,
    places: Vec<Place>,
    bodies: Vec<OnceLock<Body>>,
    metered: Metered,
}

impl Chunks {
    /// Body and tail of a column.
    pub(super) fn get(&self, at: usize) -> Result<(&[u8], &[u8])> {
        let missing = || Error::corrupt(format!("the block has no chunk {at}"));
        let (place, cell) = self.places.get(at).zip(self.bodies.get(at)).ok_or_else(missing)?;
        let whole = self.block.get(place.offset..place.offset + place.body_stored + place.tail);
        let whole = whole.ok_or_else(missing)?;
        let (stored, tail) = whole.split_at(place.body_stored);
        if cell.get().is_none() {
            let body = open_body(place, whole, stored, &self.metered)?;
            let bytes = body.memory_bytes();
            match cell.set(body) {
                Ok(()) => self.metered.add(bytes),
                // Another reader was here first.
                Err(Body::Decompressed(raw)) => self.metered.give(raw),
                Err(Body::AsStored) => {}
            }
        }
        let body = cell.get().ok_or_else(missing)?;
        Ok(match body {
            Body::AsStored => (stored, tail),
            Body::Decompressed(raw) => (raw, tail),
        })
    }

    /// The bytes that a column takes once it is decompressed, if it is not yet.
    pub(super) fn unopened_bytes(&self, at: usize) -> Option<usize> {
        let is_open = self.bodies.get(at)?.get().is_some();
        let place = self.places.get(at).filter(|place| place.body_stored < place.body_raw)?;
        (!is_open).then_some(place.body_raw)
    }

    /// The block as it is stored; the checksums of all chunks are right.
    pub(super) fn checked(&self) -> Result<&[u8]> {
        for (at, place) in self.places.iter().enumerate() {
            let end = place.offset + place.body_stored + place.tail;
            let whole = self.block.get(place.offset..end).unwrap_or_default();
            if crc32(whole) != place.crc {
                return Err(Error::corrupt(format!("the checksum of chunk {at} is wrong")));
            }
        }
        Ok(&self.block)
    }

    /// Tells a meter what is decompressed from here on.
    pub(super) fn meter(&mut self, meter: &Arc<Meter>) {
        self.metered = Metered::new(meter.clone(), 0);
    }

    /// Bytes that were decompressed so far, and what stands beside them.
    pub(super) fn memory_bytes(&self) -> usize {
        let held = |cell: &OnceLock<Body>| cell.get().map_or(0, Body::memory_bytes);
        let beside = size_of::<Place>() + size_of::<OnceLock<Body>>();
        self.bodies.iter().map(held).sum::<usize>() + self.places.len() * beside
    }

    /// Bytes of all chunks before compression.
    pub(super) fn raw_bytes(&self) -> usize {
        self.places.iter().map(|place| place.body_raw + place.tail).sum()
    }

    /// Bytes that a column takes in the file: body and tail.
    pub(super) fn stored_bytes(&self, at: usize) -> usize {
        self.places.get(at).map_or(0, |place| place.body_stored + place.tail)
    }
}

impl Body {
    fn memory_bytes(&self) -> usize {
        match self {
            Body::AsStored => 0,
            // A buffer that is used again may be longer than what is in it.
            Body::Decompressed(raw) => raw.capacity(),
        }
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        for body in self.bodies.drain(..) {
            if let Some(Body::Decompressed(raw)) = body.into_inner() {
                self.metered.give(raw);
            }
        }
    }
}

fn open_body(place: &Place, whole: &[u8], stored: &[u8], metered: &Metered) -> Result<Body> {
    if crc32(whole) != place.crc {
        return Err(Error::corrupt("a chunk's checksum is wrong"));
    }
    if place.body_stored == place.body_raw {
        return Ok(Body::AsStored);
    }
    let wrong = |error: Error| Error::corrupt(format!("a chunk: {}", error.message()));
    compress::check(stored, place.body_raw).map_err(wrong)?;
    let mut raw = metered.buffer(place.body_raw);
    compress::decompress_checked(&mut raw, stored, place.body_raw).map_err(wrong)?;
    Ok(Body::Decompressed(raw))
}

/// A block's directory and chunks. `header` is that of its frame.
pub(super) fn open(header: &FrameHeader, block: Bytes) -> Result<(Directory, Chunks)> {
    let short = || Error::invalid("the block is too short for its head");
    let length = block.first_chunk::<LENGTH_BYTES>().ok_or_else(short)?;
    let head_end = usize::try_from(u32::from_le_bytes(*length))
        .ok()
        .and_then(|length| length.checked_add(LENGTH_BYTES));
    let head = head_end.and_then(|end| block.get(..end)).ok_or_else(short)?;
    if crc32(head) != header.payload_crc {
        return Err(Error::invalid("the block's head has a wrong checksum"));
    }
    let stored = head.get(LENGTH_BYTES..).unwrap_or_default();
    let raw = compress::decompress(header.codec, stored, header.raw_length as usize)?;
    let (directory, places) = decode_head(&raw, head.len(), block.len())?;
    let bodies = places.iter().map(|_| OnceLock::new()).collect();
    Ok((directory, Chunks { block, places, bodies, metered: Metered::default() }))
}

fn decode_head(raw: &[u8], start: usize, length: usize) -> Result<(Directory, Vec<Place>)> {
    let mut c = Cursor::new(raw);
    let version = c.u8()?;
    if version != BLOCK_VERSION {
        return Err(Error::unsupported(format!("block of version {version}; this build reads 1")));
    }
    let mut rows = [0; 5];
    for count in &mut rows {
        *count = c.length(limits::BATCH_ROWS_MAX, "rows of a table")?;
    }
    let presences = payload::decode_presences(&mut c, &rows)?;
    let columns = c.length(limits::BLOCK_COLUMNS_MAX, "columns of a block")?;
    // An entry takes twelve bytes at least; what is not there is not allocated for.
    let capacity = columns.min(c.remaining() / 12);
    let mut ids: Vec<ColumnId> = Vec::with_capacity(capacity);
    let (mut entries, mut places) = (Vec::with_capacity(capacity), Vec::with_capacity(capacity));
    let (mut offset, mut raw_bytes) = (start, 0);
    for _ in 0..columns {
        let id = payload::decode_id(&mut c)?;
        if ids.last().is_some_and(|before| before.sort_key() >= id.sort_key()) {
            return Err(c.error("columns out of order or twice").in_field(id.path()));
        }
        entries.push(payload::decode_entry_head(&mut c, &id, &rows, &presences)?);
        let body_raw = c.length(limits::BATCH_RAW_BYTES_MAX, "bytes of a body")?;
        let body_stored = c.length(body_raw, "stored bytes of a body")?;
        let tail = c.length(limits::BATCH_RAW_BYTES_MAX, "bytes of a tail")?;
        raw_bytes += body_raw + tail;
        if raw_bytes > limits::BLOCK_RAW_BYTES_MAX {
            return Err(too_many_raw_bytes());
        }
        places.push(Place { offset, body_stored, body_raw, tail, crc: c.u32()? });
        offset += body_stored + tail;
        ids.push(id);
    }
    c.finish()?;
    if offset != length {
        return Err(Error::invalid(format!("chunks end at {offset} in a block of {length} bytes")));
    }
    Ok((Directory::of_parts(rows, presences, ids, entries)?, places))
}

fn too_many_raw_bytes() -> Error {
    Error::limit(format!("a block of more than {} raw bytes", limits::BLOCK_RAW_BYTES_MAX))
}

/// Collects the chunks of a block, and its head.
#[derive(Debug, Default)]
pub(super) struct ChunkWriter {
    entries: Vec<u8>,
    columns: u64,
    chunks: Vec<u8>,
    raw_bytes: usize,
}

impl ChunkWriter {
    /// Forgets everything but the memory.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.columns = 0;
        self.chunks.clear();
        self.raw_bytes = 0;
    }

    /// Appends a column, behind those before it in a directory's order.
    pub(super) fn put(
        &mut self,
        id: &ColumnId,
        presence: usize,
        encoding: Encoding,
        (body, tail): (&[u8], &[u8]),
        compressor: &mut Compressor,
    ) -> Result<()> {
        if body.len().max(tail.len()) > limits::BATCH_RAW_BYTES_MAX {
            let what = format!("a chunk of more than {} bytes", limits::BATCH_RAW_BYTES_MAX);
            return Err(Error::limit(what).in_field(id.path()));
        }
        self.raw_bytes += body.len() + tail.len();
        if self.raw_bytes > limits::BLOCK_RAW_BYTES_MAX {
            return Err(too_many_raw_bytes());
        }
        let start = self.chunks.len();
        let mut stored = body.len();
        if body.len() >= COMPRESSED_BYTES_MIN
            && let Some(compressed) = compressor.compress_chunk(body)?
        {
            stored = compressed.len();
            self.chunks.extend_from_slice(compressed);
        } else {
            self.chunks.extend_from_slice(body);
        }
        self.chunks.extend_from_slice(tail);
        payload::put_entry_head(&mut self.entries, id, presence, encoding);
        [body.len(), stored, tail.len()]
            .into_iter()
            .for_each(|length| put_varint(&mut self.entries, length as u64));
        let crc = crc32(self.chunks.get(start..).unwrap_or_default());
        self.entries.extend_from_slice(&crc.to_le_bytes());
        self.columns += 1;
        Ok(())
    }

    /// The block's bytes; `presences` are encoded already. Fills in what the header says of them.
    pub(super) fn finish(
        &mut self,
        rows: &[u32; 5],
        (distinct, presences): (usize, &[u8]),
        compressor: &mut Compressor,
        header: &mut FrameHeader,
    ) -> Result<Vec<u8>> {
        let mut raw = vec![BLOCK_VERSION];
        rows.iter().for_each(|&rows| put_varint(&mut raw, u64::from(rows)));
        put_varint(&mut raw, distinct as u64);
        raw.extend_from_slice(presences);
        put_varint(&mut raw, self.columns);
        raw.extend_from_slice(&self.entries);
        let mut out = vec![0; LENGTH_BYTES];
        header.codec = match compressor.compress_chunk(&raw)? {
            Some(compressed) => {
                out.extend_from_slice(compressed);
                Codec::Zstd
            }
            None => {
                out.extend_from_slice(&raw);
                Codec::None
            }
        };
        let too_large = |_| Error::limit("a block of more than 4 GiB");
        let length = u32::try_from(out.len() - LENGTH_BYTES).map_err(too_large)?;
        out.splice(..LENGTH_BYTES, length.to_le_bytes());
        header.raw_length = u32::try_from(raw.len()).map_err(too_large)?;
        header.payload_crc = crc32(&out);
        out.extend_from_slice(&self.chunks);
        header.stored_length = u32::try_from(out.len()).map_err(too_large)?;
        header.check_limits()?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::schema::{Field, Table};

    /// A head of the columns that must be there, each of which claims so many raw bytes.
    fn head(claims: [usize; 5]) -> Vec<u8> {
        let mut raw = vec![BLOCK_VERSION];
        // Rows of the five tables, presences, columns.
        for count in [1, 0, 1, 0, 0, 0, claims.len() as u64] {
            put_varint(&mut raw, count);
        }
        let ids = Table::ALL.into_iter().flat_map(|table| {
            let fields = Field::all_required_in(table).filter_map(|f| Some((f, f.value_type()?)));
            fields.map(move |(field, value)| ColumnId::fixed(table, field, value))
        });
        let here = |id: &ColumnId| matches!(id.table, Table::Resources | Table::Events);
        let mut ids: Vec<ColumnId> = ids.filter(here).collect();
        ids.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
        for (id, claim) in ids.iter().zip(claims) {
            payload::put_entry_head(&mut raw, id, 0, Encoding::Nothing);
            [claim as u64, 0, 0].into_iter().for_each(|length| put_varint(&mut raw, length));
            raw.extend_from_slice(&[0; 4]);
        }
        raw
    }

    #[test]
    fn what_the_columns_of_a_head_claim_is_bounded_together() {
        let max = limits::BATCH_RAW_BYTES_MAX;
        decode_head(&head([max, max, max, max, 0]), 0, 0).unwrap();
        let error = decode_head(&head([max, max, max, max, 1]), 0, 0).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Limit);
        let error = decode_head(&head([max + 1, 0, 0, 0, 0]), 0, 0).unwrap_err();
        assert!(error.message().contains("body"), "{error}");
    }
}

//! A compacted segment that the manifest names: one block, its head and the chunks of its columns as
//! they come, and every length and checksum around them right. Beside it stand the sections of what
//! the segment knows of its events: those of the sample.
//!
//! An input is a byte of flags, the length of the head's beginning (up to the number of columns),
//! that beginning, and the columns: a byte of flags, the length of what the head says of it (one
//! byte), the lengths of body and tail (two bytes each), and the three.

use annal::codec::{Cursor, crc32, put_varint};
use annal::column::{BatchView, Gather};
use annal::format::footer::{
    SECTION_ATTRIBUTES, SECTION_DIRECTORY, SECTION_MINUTES, SECTION_SERIES, SECTION_SUMMARY,
    SECTION_TIME_INDEX, Trailer,
};
use annal::format::frame::{Codec, FRAME_HEADER_BYTES, FrameHeader};
use annal::format::manifest::SegmentRecord;
use annal::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use annal::segment::directory_codec::{decode_directory, encode_directory};
use annal::segment::time_index::encode_time_index;
use annal::segment::{Directory, FrameEntry, SegmentSummary};
use annal::{Event, Timestamp};
use bytes::Bytes;

use crate::sample::{Sample, with_sections};
use crate::segment::{ask, open, read, read_all};

/// Bit 0 of a byte of flags: head or body are stored compressed.
const COMPRESSED: u8 = 1;
/// Bit 1 of the first one: the block may hold events of any time.
const ANY_TIME: u8 = 2;

/// A store that was compacted, and the parts of its segment.
struct Parted {
    sample: Sample,
    header: SegmentHeader,
    summary: SegmentSummary,
    directory: Directory,
    frame: FrameHeader,
    block: Vec<u8>,
    trailer: Trailer,
    /// What the segment knows of the sample's events, whatever the block holds.
    known: Vec<(u16, bool, Vec<u8>)>,
}

impl Parted {
    fn get() -> &'static Parted {
        static PARTED: std::sync::OnceLock<Parted> = std::sync::OnceLock::new();
        PARTED.get_or_init(Parted::new)
    }

    fn new() -> Parted {
        let sample = Sample::compacted();
        let segment = sample.segment();
        let header = SegmentHeader::decode(&segment.bytes[..SEGMENT_HEADER_BYTES]);
        let summary = SegmentSummary::decode(&segment.section(SECTION_SUMMARY));
        let summary = summary.expect("a valid summary");
        let directory = decode_directory(&segment.section(SECTION_DIRECTORY), &summary);
        let frame = &segment.bytes[SEGMENT_HEADER_BYTES..];
        let block = &frame[FRAME_HEADER_BYTES..];
        let frame = FrameHeader::decode(frame.first_chunk().expect("a frame"));
        let frame = frame.expect("a valid frame");
        let known = [SECTION_SERIES, SECTION_MINUTES, SECTION_ATTRIBUTES];
        Parted {
            trailer: segment.trailer,
            known: known.map(|kind| (kind, false, segment.section(kind))).into(),
            sample,
            header: header.expect("a valid header"),
            summary,
            directory: directory.expect("a valid directory"),
            frame,
            block: block[..frame.stored_length as usize].to_vec(),
        }
    }

    /// The segment's file with this block, and what the manifest says of it.
    fn file(&self, frame: &FrameHeader, block: &[u8]) -> (Vec<u8>, SegmentRecord) {
        let entry = FrameEntry {
            stored_length: frame.stored_length,
            events: frame.events,
            min_time: frame.min_time,
            max_time: frame.max_time,
            ..self.directory.frames.get(0).expect("a block").clone()
        };
        let mut summary = SegmentSummary::empty(&self.header);
        summary.add(&entry);
        summary.end_position =
            self.summary.base_position + SEGMENT_HEADER_BYTES as u64 + frame.frame_bytes();
        let series = self.directory.series.iter().cloned().collect();
        let frames = [entry].into_iter().collect();
        let directory = Directory { series, frames, ..Directory::default() };
        let mut file = [&self.header.encode(), &frame.encode()[..], block].concat();
        file.resize(SEGMENT_HEADER_BYTES + frame.frame_bytes() as usize, 0);
        let mut sections = vec![
            (SECTION_DIRECTORY, true, encode_directory(&directory, &summary)),
            (SECTION_TIME_INDEX, false, encode_time_index(&directory)),
        ];
        sections.extend(self.known.iter().cloned());
        sections.push((SECTION_SUMMARY, false, summary.encode().to_vec()));
        let file = with_sections(file, self.trailer, &sections, &[]);
        let record = SegmentRecord {
            next_sequence: summary.next_sequence,
            events: summary.events,
            min_time: summary.min_time,
            max_time: summary.max_time,
            ..*self.sample.record()
        };
        (file, record)
    }
}

/// Bytes as they are or, if that is asked for and makes them smaller, as a zstd frame.
fn pack(raw: &[u8], compressed: bool) -> (Codec, Vec<u8>) {
    let smaller = zstd::bulk::compress(raw, 1).ok().filter(|c| compressed && c.len() < raw.len());
    smaller.map_or_else(|| (Codec::None, raw.to_vec()), |stored| (Codec::Zstd, stored))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let (length, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(usize::from(u16::from_le_bytes(*length)))
}

/// The block of an input, and its frame's header.
fn unpack(data: &[u8]) -> Option<(FrameHeader, Vec<u8>)> {
    let (&[flags], mut rest) = data.split_first_chunk()?;
    let length = take_length(&mut rest)?;
    let beginning = take(&mut rest, length)?;
    let (mut columns, mut entries, mut chunks) = (0, Vec::new(), Vec::new());
    while let Some((&[flags, head_length], mut column)) = rest.split_first_chunk() {
        let (body, tail) = (take_length(&mut column)?, take_length(&mut column)?);
        entries.extend_from_slice(take(&mut column, usize::from(head_length))?);
        let (body, tail) = (take(&mut column, body)?, take(&mut column, tail)?);
        let (_, stored) = pack(body, flags & COMPRESSED != 0);
        let lengths = [body.len(), stored.len(), tail.len()];
        lengths.iter().for_each(|&length| put_varint(&mut entries, length as u64));
        let chunk = [stored.as_slice(), tail].concat();
        entries.extend_from_slice(&crc32(&chunk).to_le_bytes());
        chunks.extend_from_slice(&chunk);
        columns += 1;
        rest = column;
    }
    let mut raw = beginning.to_vec();
    put_varint(&mut raw, columns);
    raw.extend_from_slice(&entries);
    let (codec, stored) = pack(&raw, flags & COMPRESSED != 0);
    let head = [&(stored.len() as u32).to_le_bytes()[..], &stored].concat();
    let block = [head.as_slice(), &chunks].concat();
    let mut frame = FrameHeader {
        codec,
        stored_length: block.len() as u32,
        raw_length: raw.len() as u32,
        payload_crc: crc32(&head),
        events: events_claimed(beginning).unwrap_or(1),
        ..Parted::get().frame
    };
    if flags & ANY_TIME != 0 {
        (frame.min_time, frame.max_time) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
    }
    Some((frame, block))
}

/// Rows of the third table.
fn events_claimed(beginning: &[u8]) -> Option<u32> {
    let mut cursor = Cursor::new(beginning.get(1..)?);
    let counts = [cursor.varint().ok()?, cursor.varint().ok()?, cursor.varint().ok()?];
    u32::try_from(counts[2]).ok().filter(|&events| events > 0)
}

/// The input that stands for the sample as it is.
pub fn pack_blocks(compressed: bool) -> Vec<u8> {
    let Parted { frame, block, .. } = Parted::get();
    let flags = if compressed { COMPRESSED } else { 0 };
    let view = BatchView::open_block(frame, Bytes::from(block.clone())).expect("a valid block");
    let (beginning, heads) = head_of(frame, block);
    let mut input = [&[flags], &(beginning.len() as u16).to_le_bytes()[..], &beginning].concat();
    for (column, head) in heads.iter().enumerate() {
        let (_, body, tail) = view.stored(column).expect("a valid column");
        input.extend_from_slice(&[flags, head.len() as u8]);
        input.extend_from_slice(&(body.len() as u16).to_le_bytes());
        input.extend_from_slice(&(tail.len() as u16).to_le_bytes());
        input.extend_from_slice(&[head.as_slice(), body, tail].concat());
    }
    let (file, record) = unpack(&input).map(|(f, b)| Parted::get().file(&f, &b)).expect("whole");
    let store = open(&Parted::get().sample.with(&file, record)).expect("a valid store");
    assert_eq!(read_all(&store), Some(frame.events as usize), "the seed is readable");
    input
}

/// The head's beginning, and what it says of each column before its lengths. `storage-format.md`,
/// "Block"; the block is a valid one.
fn head_of(frame: &FrameHeader, block: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let length = u32::from_le_bytes(*block.first_chunk().expect("a length")) as usize;
    let stored = &block[4..4 + length];
    let raw = match frame.codec {
        Codec::None => stored.to_vec(),
        Codec::Zstd => zstd::bulk::decompress(stored, frame.raw_length as usize).expect("a head"),
    };
    let mut c = Cursor::new(&raw);
    c.u8().expect("the version");
    let varint = |c: &mut Cursor<'_>| c.varint().expect("a number") as usize;
    let skip = |c: &mut Cursor<'_>, varints| (0..varints).for_each(|_| assert!(c.varint().is_ok()));
    let rows: Vec<usize> = (0..5).map(|_| varint(&mut c)).collect();
    for _ in 0..varint(&mut c) {
        let table = usize::from(c.u8().expect("a table"));
        match c.u8().expect("a form") {
            0 => drop(c.take(rows[table].div_ceil(8)).expect("a bitmap")),
            _ => {
                let gaps = varint(&mut c);
                skip(&mut c, gaps);
            }
        }
    }
    let beginning = raw[..c.offset()].to_vec();
    let mut heads = Vec::new();
    for _ in 0..varint(&mut c) {
        let start = c.offset();
        let field = c.take(3).expect("table, field and type")[1];
        if field == 0 {
            let key = varint(&mut c);
            c.take(key).expect("a key");
            skip(&mut c, 1);
        }
        skip(&mut c, 1);
        c.u8().expect("an encoding");
        heads.push(raw[start..c.offset()].to_vec());
        skip(&mut c, 3);
        c.take(4).expect("a checksum");
    }
    (beginning, heads)
}

/// Reads the block alone, then opens the store whose segment it is and asks it everything.
pub fn blocks(data: &[u8]) {
    let Some((frame, block)) = unpack(data) else { return };
    if frame.check_limits().is_err() {
        return;
    }
    gather_again(&frame, &block);
    let (file, record) = Parted::get().file(&frame, &block);
    let storage = Parted::get().sample.with(&file, record);
    let store = match open(&storage) {
        Ok(store) => store,
        Err(first) => {
            // A store that refuses has changed nothing and refuses again (REC-1).
            let second = open(&storage).err().expect("it refused before");
            assert_eq!(first.kind(), second.kind());
            assert_eq!(read(&storage, &record.file_name()), file);
            return;
        }
    };
    ask(&store);
    let _ = store.compact();
    let _ = store.close();
}

/// What can be read whole comes out of the next block as it went in (CMP-1).
fn gather_again(frame: &FrameHeader, block: &[u8]) {
    let Some(view) = view(frame, block) else { return };
    for column in 0..view.columns().len() {
        drop((view.ints(column), view.texts(column), view.ids16(column), view.ids8(column)));
        drop((view.presence(column), view.value(column, 0)));
    }
    drop(view.summary());
    if view.check().is_err() {
        return;
    }
    let Ok(events) = events(frame, &view) else { return };
    let mut gather = Gather::new();
    if !gather.fits(&view) || gather.add(frame, &view, 0..view.events()).is_err() {
        return;
    }
    let Ok(again) = gather.finish() else { return };
    let view = self::view(&again.header, &again.bytes).expect("a gathered block opens");
    assert_eq!(self::events(&again.header, &view).expect("and is readable"), events);
}

fn view(frame: &FrameHeader, block: &[u8]) -> Option<BatchView> {
    BatchView::open_block(frame, Bytes::copy_from_slice(block)).ok()
}

fn events(frame: &FrameHeader, view: &BatchView) -> annal::Result<Vec<Event>> {
    let rows: Vec<u32> = (0..view.events() as u32).collect();
    view.materialise(frame, &rows)
}

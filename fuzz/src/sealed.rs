//! A sealed segment that the manifest names, its footer sections as they come and every checksum
//! above them right: what an open trusts without reading a frame.

use annal::codec::crc32;
use annal::format::footer::{
    SECTION_BYTES, SECTION_DIRECTORY, SECTION_SUMMARY, SECTION_TIME_INDEX, Section, TRAILER_BYTES,
    Trailer, encode_footer,
};
use annal::format::frame::Codec;
use annal::format::segment::log_file_name;
use annal::segment::directory_codec::{decode_directory, encode_directory};
use annal::segment::{SUMMARY_BYTES, SegmentSummary, TimeIndex};
use annal::storage::Region;
use annal::{TimeRange, Timestamp};

use crate::NOON;
use crate::sample::Sample;
use crate::segment::{ask, open, read, sample_store};

/// Bit 0 of the first byte: the directory is stored compressed.
const COMPRESSED: u8 = 1;

/// The closed store, and the parts of its segment.
struct Parted {
    sample: Sample,
    trailer: Trailer,
    /// Header and frames of the segment.
    log: Vec<u8>,
    directory: Vec<u8>,
    times: Vec<u8>,
    summary: Vec<u8>,
}

impl Parted {
    fn get() -> &'static Parted {
        static PARTED: std::sync::OnceLock<Parted> = std::sync::OnceLock::new();
        PARTED.get_or_init(Parted::new)
    }

    fn new() -> Parted {
        let storage = sample_store();
        let store = open(&storage).expect("a killed store opens");
        store.close().expect("memory does not fail");
        drop(store);
        let sample = Sample::of(&storage);
        let segment = sample.segment();
        Parted {
            sample,
            trailer: segment.trailer,
            log: segment.log_bytes().to_vec(),
            directory: segment.section(SECTION_DIRECTORY),
            times: segment.section(SECTION_TIME_INDEX),
            summary: segment.section(SECTION_SUMMARY),
        }
    }

    /// The segment's file with other sections; `list` takes the place of as many of the footer's
    /// bytes.
    fn with_tail(&self, parts: &Parts<'_>) -> Vec<u8> {
        let mut file = self.log.clone();
        let mut sections = Vec::new();
        let mut put = |kind, codec, stored: &[u8], raw: usize| {
            sections.push(Section {
                kind,
                required: kind != SECTION_TIME_INDEX,
                codec,
                offset: file.len() as u64,
                stored_length: stored.len() as u32,
                raw_length: raw as u32,
                crc: crc32(stored),
            });
            file.extend_from_slice(stored);
        };
        let raw = parts.directory;
        if parts.compressed {
            let stored = zstd::bulk::compress(raw, 1).expect("it compresses");
            put(SECTION_DIRECTORY, Codec::Zstd, &stored, raw.len());
        } else {
            put(SECTION_DIRECTORY, Codec::None, raw, raw.len());
        }
        put(SECTION_TIME_INDEX, Codec::None, parts.times, parts.times.len());
        put(SECTION_SUMMARY, Codec::None, parts.summary, parts.summary.len());
        let mut footer = encode_footer(&sections);
        for (byte, other) in footer.iter_mut().zip(parts.list) {
            *byte = *other;
        }
        let trailer = Trailer {
            file_length: (file.len() + footer.len() + TRAILER_BYTES) as u64,
            footer_offset: file.len() as u64,
            footer_length: footer.len() as u32,
            footer_crc: crc32(&footer),
            ..self.trailer
        };
        file.extend_from_slice(&footer);
        file.extend_from_slice(&trailer.encode());
        file
    }
}

/// An input, taken apart: what to put right, two lengths, directory, time index, summary, and bytes
/// for the list of sections.
struct Parts<'a> {
    compressed: bool,
    directory: &'a [u8],
    times: &'a [u8],
    summary: &'a [u8],
    list: &'a [u8],
}

impl Parts<'_> {
    fn of(data: &[u8]) -> Option<Parts<'_>> {
        let (&[flags], rest) = data.split_first_chunk()?;
        let (directory_length, rest) = rest.split_first_chunk::<2>()?;
        let (times_length, rest) = rest.split_first_chunk::<2>()?;
        let length = |bytes: &[u8; 2]| usize::from(u16::from_le_bytes(*bytes));
        let (directory, rest) = rest.split_at_checked(length(directory_length))?;
        let (times, rest) = rest.split_at_checked(length(times_length))?;
        let (summary, list) = rest.split_at_checked(SUMMARY_BYTES)?;
        let list = list.get(..list.len().min(3 * SECTION_BYTES))?;
        Some(Parts { compressed: flags & COMPRESSED != 0, directory, times, summary, list })
    }
}

/// The input that stands for the sample as it is.
pub fn pack_sealed(compressed: bool) -> Vec<u8> {
    let sample = Parted::get();
    let length = |bytes: &[u8]| (bytes.len() as u16).to_le_bytes();
    [
        &[if compressed { COMPRESSED } else { 0 }],
        length(&sample.directory).as_slice(),
        &length(&sample.times),
        &sample.directory,
        &sample.times,
        &sample.summary,
    ]
    .concat()
}

/// Decodes each section alone, then opens the store whose segment has them and asks it everything.
pub fn sealed(data: &[u8]) {
    let Some(parts) = Parts::of(data) else { return };
    decode(&parts);
    let parted = Parted::get();
    let file = parted.with_tail(&parts);
    let storage = parted.sample.with(&file, *parted.sample.record());
    let store = match open(&storage) {
        Ok(store) => store,
        Err(first) => {
            // A store that refuses has changed nothing and refuses again (REC-1).
            let second = open(&storage).err().expect("it refused before");
            assert_eq!(first.kind(), second.kind());
            assert_eq!(read(&storage, &log_file_name(1)), file);
            return;
        }
    };
    ask(&store);
    let _ = store.close();
}

fn decode(parts: &Parts<'_>) {
    if let Ok(index) = TimeIndex::new(Region::from_bytes(parts.times.to_vec().into())) {
        for (since, until) in [(i64::MIN, i64::MAX), (NOON.0, NOON.0 + 2), (1, 0), (0, 0)] {
            let range = TimeRange { since: Timestamp(since), until: Timestamp(until) };
            let found = index.overlapping(&range).expect("records of a fixed size");
            assert!(found.len() <= index.frames());
        }
    }
    let Ok(summary) = SegmentSummary::decode(parts.summary) else { return };
    assert_eq!(summary.encode(), parts.summary);
    if let Ok(directory) = decode_directory(parts.directory, &summary) {
        let again = decode_directory(&encode_directory(&directory, &summary), &summary);
        assert_eq!(again.expect("what was encoded decodes"), directory);
    }
}

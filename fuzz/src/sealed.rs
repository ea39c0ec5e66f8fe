//! A sealed segment that the manifest names, its footer sections as they come and every checksum
//! above them right: what an open trusts without reading a frame.

use annal::codec::crc32;
use annal::format::footer::{
    SECTION_BYTES, SECTION_DIRECTORY, SECTION_SUMMARY, SECTION_TIME_INDEX, Section, TRAILER_BYTES,
    Trailer, decode_footer, encode_footer,
};
use annal::format::frame::Codec;
use annal::format::manifest::{Manifest, manifest_file_name};
use annal::format::segment::log_file_name;
use annal::query::By;
use annal::segment::directory_codec::{decode_directory, encode_directory};
use annal::segment::{SUMMARY_BYTES, SegmentSummary, TimeIndex};
use annal::storage::{MemoryStorage, Region, Storage, write_all_at};
use annal::{Query, TimeRange, Timestamp, TraceId};

use crate::NOON;
use crate::segment::{open, read, read_all, sample_store};

/// Bit 0 of the first byte: the directory is stored compressed.
const COMPRESSED: u8 = 1;

/// A store that was closed, taken apart.
struct Sample {
    files: Vec<(String, Vec<u8>)>,
    manifest: Manifest,
    trailer: Trailer,
    /// Header and frames of the segment.
    log: Vec<u8>,
    directory: Vec<u8>,
    times: Vec<u8>,
    summary: Vec<u8>,
}

impl Sample {
    fn get() -> &'static Sample {
        static SAMPLE: std::sync::OnceLock<Sample> = std::sync::OnceLock::new();
        SAMPLE.get_or_init(Sample::new)
    }

    fn new() -> Sample {
        let storage = sample_store();
        let store = open(&storage).expect("a killed store opens");
        store.close().expect("memory does not fail");
        drop(store);
        let names = storage.list().expect("memory does not fail").into_iter().map(|e| e.name);
        let files: Vec<_> = names.map(|name| (name.clone(), read(&storage, &name))).collect();
        let newest = files.iter().filter(|(name, _)| name.starts_with("manifest-")).max();
        let manifest = Manifest::decode(&newest.expect("a manifest").1).expect("a valid one");
        let file = read(&storage, &log_file_name(1));
        let trailer = file.last_chunk::<TRAILER_BYTES>().expect("a trailer");
        let trailer = Trailer::decode(trailer).expect("a valid one");
        let footer = &file[trailer.footer_offset as usize..file.len() - TRAILER_BYTES];
        let sections = decode_footer(&trailer, footer).expect("a valid footer");
        let section = |kind| {
            let section = sections.iter().find(|s| s.kind == kind).expect("each of three");
            let stored = &file[section.offset as usize..][..section.stored_length as usize];
            match section.codec {
                Codec::None => stored.to_vec(),
                Codec::Zstd => zstd::bulk::decompress(stored, section.raw_length as usize)
                    .expect("a valid section"),
            }
        };
        let (directory, times) = (section(SECTION_DIRECTORY), section(SECTION_TIME_INDEX));
        let summary = section(SECTION_SUMMARY);
        let end = sections.iter().map(|s| s.offset as usize).min().expect("three");
        Sample { files, manifest, trailer, log: file[..end].to_vec(), directory, times, summary }
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

    /// The store with this file for its segment.
    fn storage(&self, file: &[u8]) -> MemoryStorage {
        let storage = MemoryStorage::new();
        let mut manifest = self.manifest.clone();
        for segment in &mut manifest.segments {
            segment.file_length = file.len() as u64;
        }
        let newest = manifest_file_name(manifest.number);
        let manifest = manifest.encode();
        for (name, bytes) in &self.files {
            let bytes = match name.as_str() {
                "LOCK" => continue,
                name if *name == log_file_name(1) => file,
                name if *name == newest => &manifest,
                _ => bytes,
            };
            let file = storage.create(name).expect("a new name");
            write_all_at(&*file, 0, bytes).expect("memory does not fail");
        }
        storage
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
    let sample = Sample::get();
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
    let file = Sample::get().with_tail(&parts);
    let storage = Sample::get().storage(&file);
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
    let snapshot = store.snapshot();
    let range = TimeRange { since: Timestamp(NOON.0 + 1), until: Timestamp(NOON.0 + 2) };
    let _ = snapshot.query(&Query::new(range));
    let _ = snapshot.trace(TraceId([2; 16]));
    let _ = snapshot.sources();
    let _ = snapshot.event(3);
    let _ = snapshot.count(&Query::new(TimeRange::ALL), By::default());
    read_all(&store);
    let _ = store.verify(&mut |_| {});
    drop(snapshot);
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

//! A store that was closed, taken apart, to be put together with another segment.

use annal::codec::crc32;
use annal::format::footer::{
    SECTION_DIRECTORY, SECTION_SUMMARY, Section, TRAILER_BYTES, Trailer, decode_footer,
    encode_footer,
};
use annal::format::frame::Codec;
use annal::format::manifest::{Manifest, SegmentRecord, manifest_file_name};
use annal::storage::{MemoryStorage, Storage, write_all_at};

use crate::segment::{open, read, sample_store};

/// A closed store with one segment.
pub(crate) struct Sample {
    files: Vec<(String, Vec<u8>)>,
    manifest: Manifest,
}

/// A sealed file and what its footer lists.
pub(crate) struct Sealed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) trailer: Trailer,
    pub(crate) sections: Vec<Section>,
}

impl Sample {
    /// The store that was killed, after an open and a close.
    pub(crate) fn closed() -> Sample {
        let storage = sample_store();
        let store = open(&storage).expect("a killed store opens");
        store.close().expect("memory does not fail");
        drop(store);
        Sample::of(&storage)
    }

    /// The same, compacted.
    pub(crate) fn compacted() -> Sample {
        let storage = sample_store();
        // The segment that was killed is sealed by the first close.
        for _ in 0..2 {
            let store = open(&storage).expect("the store opens");
            store.compact().expect("memory does not fail");
            store.close().expect("memory does not fail");
        }
        Sample::of(&storage)
    }

    fn of(storage: &MemoryStorage) -> Sample {
        let names = storage.list().expect("memory does not fail").into_iter().map(|e| e.name);
        let files: Vec<_> = names.map(|name| (name.clone(), read(storage, &name))).collect();
        let newest = files.iter().filter(|(name, _)| name.starts_with("manifest-")).max();
        let manifest = Manifest::decode(&newest.expect("a manifest").1).expect("a valid one");
        assert_eq!(manifest.segments.len(), 1, "a store with one segment");
        Sample { files, manifest }
    }

    /// What the manifest says of the segment.
    pub(crate) fn record(&self) -> &SegmentRecord {
        &self.manifest.segments[0]
    }

    /// Its file.
    pub(crate) fn segment(&self) -> Sealed {
        let name = self.record().file_name();
        let file = self.files.iter().find(|(other, _)| *other == name);
        let bytes = file.expect("the manifest names it").1.clone();
        let trailer = bytes.last_chunk::<TRAILER_BYTES>().expect("a trailer");
        let trailer = Trailer::decode(trailer).expect("a valid one");
        let footer = &bytes[trailer.footer_offset as usize..bytes.len() - TRAILER_BYTES];
        let sections = decode_footer(&trailer, footer).expect("a valid footer");
        Sealed { bytes, trailer, sections }
    }

    /// The store with another file for its segment, of which the manifest says this.
    pub(crate) fn with(&self, file: &[u8], record: SegmentRecord) -> MemoryStorage {
        let storage = MemoryStorage::new();
        let file_length = file.len() as u64;
        let segments = vec![SegmentRecord { file_length, ..record }];
        let manifest = Manifest { segments, ..self.manifest.clone() };
        let newest = manifest_file_name(manifest.number);
        let manifest = manifest.encode();
        for (name, bytes) in &self.files {
            let bytes = match name.as_str() {
                "LOCK" => continue,
                name if *name == record.file_name() => file,
                name if *name == newest => &manifest,
                _ => bytes,
            };
            let file = storage.create(name).expect("a new name");
            write_all_at(&*file, 0, bytes).expect("memory does not fail");
        }
        storage
    }
}

impl Sealed {
    /// A section as it is before compression.
    pub(crate) fn section(&self, kind: u16) -> Vec<u8> {
        let section = self.sections.iter().find(|s| s.kind == kind).expect("a section");
        let stored = &self.bytes[section.offset as usize..][..section.stored_length as usize];
        match section.codec {
            Codec::None => stored.to_vec(),
            Codec::Zstd => zstd::bulk::decompress(stored, section.raw_length as usize)
                .expect("a valid section"),
        }
    }

    /// Bytes before the first section.
    pub(crate) fn log_bytes(&self) -> &[u8] {
        let end = self.sections.iter().map(|s| s.offset as usize).min().expect("sections");
        &self.bytes[..end]
    }
}

/// A sealed file: what stands before its sections, these (kind, whether to compress it, bytes), and
/// a footer with right checksums; `list` takes the place of as many of the footer's bytes.
pub(crate) fn with_sections(
    mut file: Vec<u8>,
    trailer: Trailer,
    sections: &[(u16, bool, Vec<u8>)],
    list: &[u8],
) -> Vec<u8> {
    let mut listed = Vec::new();
    for (kind, compressed, raw) in sections {
        let (codec, stored) = match compressed {
            true => (Codec::Zstd, zstd::bulk::compress(raw, 1).expect("it compresses")),
            false => (Codec::None, raw.clone()),
        };
        listed.push(Section {
            kind: *kind,
            required: [SECTION_DIRECTORY, SECTION_SUMMARY].contains(kind),
            codec,
            offset: file.len() as u64,
            stored_length: stored.len() as u32,
            raw_length: raw.len() as u32,
            crc: crc32(&stored),
        });
        file.extend_from_slice(&stored);
    }
    let mut footer = encode_footer(&listed);
    for (byte, other) in footer.iter_mut().zip(list) {
        *byte = *other;
    }
    let trailer = Trailer {
        file_length: (file.len() + footer.len() + TRAILER_BYTES) as u64,
        footer_offset: file.len() as u64,
        footer_length: footer.len() as u32,
        footer_crc: crc32(&footer),
        ..trailer
    };
    file.extend_from_slice(&footer);
    file.extend_from_slice(&trailer.encode());
    file
}

//! A sealed or compacted segment that the manifest names, its footer sections as they come and every
//! checksum above them right: what an open trusts without reading a frame, and what questions are
//! answered from instead of reading one.

use annal::format::footer::{
    SECTION_ATTRIBUTES, SECTION_BYTES, SECTION_DIRECTORY, SECTION_MINUTES, SECTION_SERIES,
    SECTION_SUMMARY, SECTION_TIME_INDEX, Trailer,
};
use annal::segment::directory_codec::{decode_directory, encode_directory};
use annal::segment::{SUMMARY_BYTES, SegmentSummary, TimeIndex};
use annal::storage::Region;
use annal::{TimeRange, Timestamp};

use crate::NOON;
use crate::sample::{Sample, with_sections};
use crate::segment::{ask, open, read};

/// Bit 0 of the first byte: the directory is stored compressed.
const COMPRESSED: u8 = 1;
/// Bit 1: the segment is compacted and has what only such segments have.
const COMPACTED: u8 = 2;
/// The sections before the summary in their order; the last three are those of compacted segments.
const KINDS: [u16; 5] =
    [SECTION_DIRECTORY, SECTION_TIME_INDEX, SECTION_SERIES, SECTION_MINUTES, SECTION_ATTRIBUTES];

/// The closed store, and the parts of its segment.
struct Parted {
    sample: Sample,
    trailer: Trailer,
    /// Header and frames of the segment.
    log: Vec<u8>,
    /// As [`KINDS`], as far as the segment has them.
    sections: Vec<Vec<u8>>,
    summary: Vec<u8>,
}

fn kinds(compacted: bool) -> &'static [u16] {
    if compacted { &KINDS } else { &KINDS[..2] }
}

impl Parted {
    fn get(compacted: bool) -> &'static Parted {
        static PARTED: [std::sync::OnceLock<Parted>; 2] = [const { std::sync::OnceLock::new() }; 2];
        PARTED[usize::from(compacted)].get_or_init(|| Parted::new(compacted))
    }

    fn new(compacted: bool) -> Parted {
        let sample = if compacted { Sample::compacted() } else { Sample::closed() };
        let segment = sample.segment();
        Parted {
            trailer: segment.trailer,
            log: segment.log_bytes().to_vec(),
            sections: kinds(compacted).iter().map(|kind| segment.section(*kind)).collect(),
            summary: segment.section(SECTION_SUMMARY),
            sample,
        }
    }

    /// The segment's file with other sections.
    fn with_tail(&self, parts: &Parts<'_>) -> Vec<u8> {
        let put = |(kind, raw): (&u16, &&[u8])| {
            let compressed = *kind == SECTION_DIRECTORY && parts.compressed;
            (*kind, compressed, raw.to_vec())
        };
        let mut sections: Vec<_> = KINDS.iter().zip(&parts.sections).map(put).collect();
        sections.push((SECTION_SUMMARY, false, parts.summary.to_vec()));
        with_sections(self.log.clone(), self.trailer, &sections, parts.list)
    }
}

/// An input, taken apart: what to put right, the lengths of the sections, the sections, summary, and
/// bytes for the list of sections.
struct Parts<'a> {
    compressed: bool,
    compacted: bool,
    sections: Vec<&'a [u8]>,
    summary: &'a [u8],
    list: &'a [u8],
}

impl Parts<'_> {
    fn of(data: &[u8]) -> Option<Parts<'_>> {
        let (&[flags], mut rest) = data.split_first_chunk()?;
        let (compressed, compacted) = (flags & COMPRESSED != 0, flags & COMPACTED != 0);
        let mut lengths = Vec::new();
        for _ in kinds(compacted) {
            let (length, behind) = rest.split_first_chunk::<2>()?;
            lengths.push(usize::from(u16::from_le_bytes(*length)));
            rest = behind;
        }
        let mut sections = Vec::new();
        for length in lengths {
            let (section, behind) = rest.split_at_checked(length)?;
            sections.push(section);
            rest = behind;
        }
        let (summary, list) = rest.split_at_checked(SUMMARY_BYTES)?;
        let list = list.get(..list.len().min((sections.len() + 1) * SECTION_BYTES))?;
        Some(Parts { compressed, compacted, sections, summary, list })
    }
}

/// The input that stands for a sample as it is.
pub fn pack_sealed(compressed: bool, compacted: bool) -> Vec<u8> {
    let sample = Parted::get(compacted);
    let compressed = if compressed { COMPRESSED } else { 0 };
    let mut input = vec![compressed | if compacted { COMPACTED } else { 0 }];
    for section in &sample.sections {
        input.extend_from_slice(&(section.len() as u16).to_le_bytes());
    }
    input.extend(sample.sections.iter().flatten());
    input.extend_from_slice(&sample.summary);
    input
}

/// Decodes each section alone, then opens the store whose segment has them and asks it everything.
pub fn sealed(data: &[u8]) {
    let Some(parts) = Parts::of(data) else { return };
    decode(&parts);
    let parted = Parted::get(parts.compacted);
    let file = parted.with_tail(&parts);
    let storage = parted.sample.with(&file, *parted.sample.record());
    let store = match open(&storage) {
        Ok(store) => store,
        Err(first) => {
            // A store that refuses has changed nothing and refuses again (REC-1).
            let second = open(&storage).err().expect("it refused before");
            assert_eq!(first.kind(), second.kind());
            assert_eq!(read(&storage, &parted.sample.record().file_name()), file);
            return;
        }
    };
    ask(&store);
    let _ = store.close();
}

fn decode(parts: &Parts<'_>) {
    let [directory, times, ..] = parts.sections.as_slice() else { return };
    if let Ok(index) = TimeIndex::new(Region::from_bytes(times.to_vec().into())) {
        for (since, until) in [(i64::MIN, i64::MAX), (NOON.0, NOON.0 + 2), (1, 0), (0, 0)] {
            let range = TimeRange { since: Timestamp(since), until: Timestamp(until) };
            let found = index.overlapping(&range).expect("records of a fixed size");
            assert!(found.len() <= index.frames());
        }
    }
    let Ok(summary) = SegmentSummary::decode(parts.summary) else { return };
    assert_eq!(summary.encode(), parts.summary);
    if let Ok(directory) = decode_directory(directory, &summary) {
        let again = decode_directory(&encode_directory(&directory, &summary), &summary);
        assert_eq!(again.expect("what was encoded decodes"), directory);
    }
}

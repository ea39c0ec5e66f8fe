//! A compacted segment, whose chunks are checked one by one as a query asks for them: whatever bit
//! of it is flipped, each question is answered as before or with an error that names the file.
//!
//! By default one bit of each byte of the chunks, and every bit of all else: the segment's header,
//! the headers of the blocks and their heads, sections, footer and trailer.

use std::ops::Range;

use annal::format::footer::{TRAILER_BYTES, Trailer, decode_footer};
use annal::format::segment::SEGMENT_HEADER_BYTES;
use annal::store::SegmentView;
use annal_sim::oracle::Stored;
use annal_sim::{Settings, World};

use crate::common::STOCK;
use crate::frames;
use crate::sample::{Sample, open, told_by_verify};
use crate::verdict::{Tally, Verdict};

/// Lives after which the log is compacted: each ends with a kill, which leaves a gap in the
/// sequences, and each gap begins a block.
const LIVES: usize = 4;

/// A store whose only segment holds a few blocks.
fn compacted() -> Sample {
    let settings = Settings { fault_percent: 0, segment_bytes: 1 << 20, ..Settings::default() };
    let mut world = World::new(11, settings, &STOCK);
    for _ in 0..LIVES {
        assert!(world.recover(0));
        world.script(3);
        world.kill();
    }
    assert!(world.recover(0) && world.close());
    assert!(world.findings().is_empty(), "{:?}", world.findings());
    let log = Sample::of(world.disk.copy());
    let disk = world.disk.copy();
    let (store, _) = open(&disk).unwrap();
    store.compact().unwrap();
    let knows_links = |segment: &SegmentView| segment.links().unwrap().is_some();
    assert!(store.snapshot().segments().iter().any(knows_links));
    store.close().unwrap();
    drop(store);
    let compacted = Sample::of(disk.copy());
    // CMP-1, and that nothing else is left to read from.
    let contents = |stored: &Stored| (stored.first_sequence, stored.events, stored.content);
    assert!(log.contents.iter().map(contents).eq(compacted.contents.iter().map(contents)));
    let files: Vec<String> = disk.files().into_keys().filter(|n| n.ends_with(".seg")).collect();
    assert!(files.len() == 1 && files[0].starts_with("blocks-"), "{files:?}");
    compacted
}

/// Where the parts of a file stand.
struct Parts {
    /// Of the segment, and of each block with its head.
    headers: Vec<Range<usize>>,
    chunks: Vec<Range<usize>>,
    /// Behind the segment's header, and behind each block.
    padding: Vec<Range<usize>>,
    /// Sections, footer and trailer.
    tail: Range<usize>,
}

fn parts(file: &[u8]) -> Parts {
    let trailer = Trailer::decode(file.last_chunk::<TRAILER_BYTES>().unwrap()).unwrap();
    let footer = &file[trailer.footer_offset as usize..file.len() - TRAILER_BYTES];
    let sections = decode_footer(&trailer, footer).unwrap();
    let tail = sections.iter().map(|section| section.offset as usize).min().unwrap();
    let (mut headers, mut chunks, mut padding) = (Vec::new(), Vec::new(), Vec::new());
    headers.push(0..128);
    padding.push(128..SEGMENT_HEADER_BYTES);
    for (at, block) in frames(file) {
        let length = file[block.start..].first_chunk().map(|b| u32::from_le_bytes(*b)).unwrap();
        let head = block.start + 4 + length as usize;
        headers.push(at..head);
        chunks.push(head..block.end);
        padding.push(block.end..block.end.next_multiple_of(8));
    }
    assert_eq!(padding.last().unwrap().end, tail);
    Parts { headers, chunks, padding, tail: tail..file.len() }
}

#[test]
fn a_flipped_bit_of_a_chunk_is_an_error_of_its_file_and_never_an_answer() {
    let sample = compacted();
    let (name, file) = sample.files("blocks-").swap_remove(0);
    let mut tally = Tally::default();
    for chunks in parts(&file).chunks {
        sample.flip(&mut tally, &name, chunks, false, told_by_verify);
    }
    tally.conclude("bits of the chunks of a compacted segment");
}

#[test]
fn a_flipped_bit_around_the_chunks_is_an_error_of_its_file_and_never_an_answer() {
    let sample = compacted();
    let (name, file) = sample.files("blocks-").swap_remove(0);
    let mut tally = Tally::default();
    let Parts { headers, padding, tail, .. } = parts(&file);
    for bytes in headers.into_iter().chain([tail]) {
        sample.flip(&mut tally, &name, bytes, true, told_by_verify);
    }
    for bytes in padding {
        sample.flip(&mut tally, &name, bytes, false, told_by_verify);
    }
    tally.conclude("bits around the chunks of a compacted segment");
}

#[test]
fn a_compacted_segment_of_any_other_length_refuses_the_store() {
    let sample = compacted();
    let (name, file) = sample.files("blocks-").swap_remove(0);
    let mut tally = Tally::default();
    for length in (0..file.len() + 5_000).filter(|length| *length != file.len()) {
        let disk = sample.disk.copy();
        let mut other = file.clone();
        other.resize(length, (length % 2) as u8);
        disk.put(&name, other);
        let refused = |verdict: &Verdict| *verdict == Verdict::Refused;
        tally.add(sample.open(&disk, &name), refused, format_args!("{name} of {length} bytes"));
    }
    tally.conclude("other lengths of a compacted segment");
}

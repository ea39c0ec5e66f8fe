//! FMT-1: whatever happens to the bytes on disk, a read gives what was sent or an error. Bits
//! flipped, sectors swapped, files cut and extended, in stores that were stopped cleanly and in
//! stores that were killed.
//!
//! By default one bit of each byte of the payloads and every bit of everything else: headers of
//! segment and frames, all behind the frames, manifest and producer checkpoint;
//! `ANNAL_EXHAUSTIVE=1` flips all bits. Every length is tried. An error names the damaged file.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print and unwrap")]

mod common;

#[path = "corruption/answers.rs"]
mod answers;
#[path = "corruption/compacted.rs"]
mod compacted;
#[path = "corruption/sample.rs"]
mod sample;
#[path = "corruption/verdict.rs"]
mod verdict;

use std::ops::Range;

use annal::format::footer::{TRAILER_BYTES, Trailer, decode_footer};
use annal::format::frame::{FRAME_HEADER_BYTES, FrameHeader, frame_bytes};
use annal::format::segment::SEGMENT_HEADER_BYTES;
use annal_sim::{Random, SimStorage};
use common::env;
use sample::{Sample, told_by_verify};
use verdict::{Tally, Verdict};

/// Where the headers of the frames stand, and the end of each of them with its payload; all frames
/// are valid ones.
fn frames(file: &[u8]) -> Vec<(usize, Range<usize>)> {
    let mut frames = Vec::new();
    let mut at = SEGMENT_HEADER_BYTES;
    while let Some(head) = file.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_BYTES>())
        && let Ok(header) = FrameHeader::decode(head)
    {
        let payload =
            at + FRAME_HEADER_BYTES..at + FRAME_HEADER_BYTES + header.stored_length as usize;
        frames.push((at, payload));
        at += frame_bytes(header.stored_length as usize) as usize;
    }
    assert!(frames.len() > 3);
    frames
}

fn not_missing(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Prefix(_))
}

#[test]
fn a_flipped_bit_of_a_sealed_segment_is_an_error_and_never_an_answer() {
    let sample = Sample::closed();
    let mut tally = Tally::default();
    let (name, bytes) = sample.files("log-").swap_remove(0);
    let trailer = Trailer::decode(bytes.last_chunk::<TRAILER_BYTES>().unwrap()).unwrap();
    let footer = &bytes[trailer.footer_offset as usize..bytes.len() - TRAILER_BYTES];
    let sections = decode_footer(&trailer, footer).unwrap();
    let behind = sections.iter().map(|section| section.offset as usize).min().unwrap();
    assert!(sections.len() >= 3 && behind < trailer.footer_offset as usize);
    sample.flip(&mut tally, &name, 0..128, true, told_by_verify);
    sample.flip(&mut tally, &name, 128..SEGMENT_HEADER_BYTES, false, told_by_verify);
    for (at, payload) in frames(&bytes) {
        sample.flip(&mut tally, &name, at..payload.start, true, told_by_verify);
        sample.flip(&mut tally, &name, payload, false, told_by_verify);
    }
    let end = frames(&bytes).last().map(|(_, payload)| payload.end).unwrap();
    sample.flip(&mut tally, &name, end..behind, false, told_by_verify);
    sample.flip(&mut tally, &name, behind..bytes.len(), true, told_by_verify);
    tally.conclude("bits of a sealed segment");
}

#[test]
fn a_flipped_bit_of_a_segment_that_was_not_sealed_is_an_error_and_never_an_answer() {
    let sample = Sample::killed();
    let mut tally = Tally::default();
    let (name, bytes) = sample.files("log-").pop().unwrap();
    // Nothing speaks yet for the zeroes that fill up to a frame's alignment, nor for the watermark
    // frame at the end: without it the log is as long as before.
    let within = |from, to| move |_: &Sample, _: &SimStorage, at| from <= at && at < to;
    let never = within(0, 0);
    sample.flip(&mut tally, &name, 0..128, true, never);
    sample.flip(&mut tally, &name, 128..SEGMENT_HEADER_BYTES, false, never);
    let frames = frames(&bytes);
    let (watermark, payload) = frames.last().unwrap().clone();
    assert!(payload.is_empty(), "the last frame is the watermark's");
    for (at, payload) in frames {
        let end = payload.end.next_multiple_of(8);
        let last = if at == watermark { within(at, payload.start) } else { never };
        sample.flip(&mut tally, &name, at..payload.start, true, last);
        sample.flip(&mut tally, &name, payload.clone(), false, never);
        sample.flip(&mut tally, &name, payload.end..end, true, within(payload.end, end));
    }
    tally.conclude("bits of an unsealed segment");
}

#[test]
fn a_flipped_bit_of_manifest_or_checkpoint_refuses_the_store() {
    let sample = Sample::closed();
    let mut tally = Tally::default();
    for kind in ["manifest-", "producers-"] {
        let (name, bytes) = sample.files(kind).pop().unwrap();
        for bit in 0..bytes.len() * 8 {
            let disk = sample.disk.copy();
            disk.flip(&name, bit / 8, 1 << (bit % 8));
            let refused = |verdict: &Verdict| *verdict == Verdict::Refused;
            tally.add(sample.open(&disk, &name), refused, format_args!("{name}, bit {bit}"));
        }
    }
    tally.conclude("bits of manifest and checkpoint");
}

#[test]
fn swapped_sectors_are_an_error_and_never_an_answer() {
    let mut random = Random::new(1);
    let mut tally = Tally::default();
    for sample in [Sample::closed(), Sample::killed()] {
        for (name, bytes) in sample.files("log-") {
            let sectors = bytes.len() / 512;
            // The honest limit of `engine.md`: without the last frame, which proves the last group,
            // damage to that group reads as torn.
            let written = bytes.iter().rposition(|b| *b != 0).unwrap() + 1;
            let last_frame = (written - 128 - 8) / 512..written.div_ceil(512);
            for _ in 0..env("ANNAL_SWAPS", 400) {
                let (a, b) = (random.index(sectors), random.index(sectors));
                let mut swapped = bytes.clone();
                for i in 0..512 {
                    swapped.swap(a * 512 + i, b * 512 + i);
                }
                if swapped == bytes {
                    continue;
                }
                let disk = sample.disk.copy();
                disk.put(&name, swapped);
                let unproven = last_frame.contains(&a) || last_frame.contains(&b);
                let allowed = |verdict: &Verdict| unproven || not_missing(verdict);
                let what = format!("{name}, sectors {a} and {b}");
                tally.add(sample.open(&disk, &name), allowed, what);
            }
        }
    }
    tally.conclude("swapped sectors");
}

#[test]
fn a_sealed_segment_of_any_other_length_refuses_the_store() {
    let sample = Sample::closed();
    let mut tally = Tally::default();
    let refused = |verdict: &Verdict| *verdict == Verdict::Refused;
    let (name, bytes) = sample.files("log-").swap_remove(0);
    for length in 0..bytes.len() {
        let disk = sample.disk.copy();
        disk.put(&name, bytes[..length].to_vec());
        tally.add(sample.open(&disk, &name), refused, format_args!("{name} cut to {length}"));
    }
    for more in 1..5_000 {
        let disk = sample.disk.copy();
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, (more % 2) as u8);
        disk.put(&name, longer);
        tally.add(sample.open(&disk, &name), refused, format_args!("{name} and {more} bytes"));
    }
    tally.conclude("other lengths of a sealed segment");
}

/// `engine.md`'s honest limit: a segment that was cut before its first frame looks never used.
#[test]
fn an_unsealed_segment_of_any_other_length_is_corrupt_once_it_held_a_frame() {
    let sample = Sample::killed();
    let mut tally = Tally::default();
    let (name, bytes) = sample.files("log-").pop().unwrap();
    let before = sample.contents.len();
    for length in 0..bytes.len() {
        let disk = sample.disk.copy();
        disk.put(&name, bytes[..length].to_vec());
        let used = length >= 4_096 + 128;
        let allowed = |verdict: &Verdict| match verdict {
            Verdict::Refused => true,
            Verdict::Prefix(kept) => !used && *kept < before,
            _ => false,
        };
        tally.add(sample.open(&disk, &name), allowed, format_args!("{name} cut to {length}"));
    }
    let refused = |verdict: &Verdict| *verdict == Verdict::Refused;
    for more in 1..5_000 {
        let disk = sample.disk.copy();
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, (more % 2) as u8);
        disk.put(&name, longer);
        tally.add(sample.open(&disk, &name), refused, format_args!("{name} and {more} bytes"));
    }
    tally.conclude("other lengths of an unsealed segment");
}

#[test]
fn a_missing_file_that_the_manifest_names_refuses_the_store() {
    let sample = Sample::closed();
    let mut tally = Tally::default();
    let named = sample.files("log-").into_iter().chain(sample.files("producers-").pop());
    for (name, _) in named {
        let disk = sample.disk.copy();
        annal::storage::Storage::remove(&disk, &name).unwrap();
        let refused = |verdict: &Verdict| *verdict == Verdict::Refused;
        tally.add(sample.open(&disk, &name), refused, format_args!("{name} removed"));
    }
    tally.conclude("missing files");
}

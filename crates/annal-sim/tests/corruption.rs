//! FMT-1: whatever happens to the bytes on disk, a read gives what was sent or an error. Bits
//! flipped, sectors swapped, files cut and extended, in stores that were stopped cleanly and in
//! stores that were killed.
//!
//! By default one bit of each byte of the payloads and every bit of everything else: headers of
//! segment and frames, all behind the frames, manifest and producer checkpoint;
//! `ANNAL_EXHAUSTIVE=1` flips all bits. Every length is tried.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print and unwrap")]

mod common;

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use annal::format::footer::{TRAILER_BYTES, Trailer, decode_footer};
use annal::format::frame::{FRAME_HEADER_BYTES, FrameHeader, frame_bytes};
use annal::format::segment::SEGMENT_HEADER_BYTES;
use annal::{ErrorKind, Event, OpenReport, Options, Query, Snapshot, Store, TimeRange, Timestamp};
use annal_sim::oracle::Stored;
use annal_sim::{Loss, ManualClock, Random, Settings, SimStorage, World};
use common::{STOCK, env};

/// What came of a damaged store.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// The open said that something is corrupt.
    Refused,
    /// A read said so.
    Unreadable,
    /// Everything is as it was, whichever way it is asked for.
    Whole,
    /// Only so many of the batches are there, all as they were, from the first one on.
    Prefix(usize),
}

#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    unreadable: u64,
    whole: u64,
    prefix: u64,
    wrong: Vec<String>,
}

impl Tally {
    fn add(
        &mut self,
        verdict: Result<Verdict, String>,
        allowed: impl Fn(&Verdict) -> bool,
        what: impl fmt::Display,
    ) {
        match &verdict {
            Ok(Verdict::Refused) => self.refused += 1,
            Ok(Verdict::Unreadable) => self.unreadable += 1,
            Ok(Verdict::Whole) => self.whole += 1,
            Ok(Verdict::Prefix(_)) => self.prefix += 1,
            Err(_) => {}
        }
        match verdict {
            Ok(verdict) if allowed(&verdict) => {}
            wrong => self.wrong.push(format!("{what}: {wrong:?}")),
        }
    }

    fn conclude(self, what: &str) {
        let runs = self.refused + self.unreadable + self.whole + self.prefix;
        println!(
            "{what}: {runs} damaged stores, {} refused, {} read errors, {} unharmed, {} torn tails, \
             {} wrong verdicts",
            self.refused,
            self.unreadable,
            self.whole,
            self.prefix,
            self.wrong.len()
        );
        let first = self.wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.wrong.is_empty(), "{what}: {} wrong\n{first}", self.wrong.len());
        assert!(runs > 0 && self.refused > 0, "{what}: nothing was noticed at all");
    }
}

/// A store with what it holds.
struct Sample {
    disk: SimStorage,
    contents: Vec<Stored>,
    answers: Answers,
}

/// What the indexes say, and what is found through them.
#[derive(Debug, PartialEq)]
struct Answers {
    /// Per segment: the frames that each of a few ranges of times may need.
    frames: Vec<Vec<u32>>,
    /// Events of a range of times, and of a trace.
    events: [Vec<Event>; 2],
    /// Events of each source.
    sources: Vec<(String, u64)>,
}

impl Answers {
    fn of(snapshot: &Snapshot) -> annal::Result<Answers> {
        let times = snapshot.segments().iter().filter_map(|s| s.times());
        let (least, most) = times.fold((i64::MAX, i64::MIN), |(least, most), (min, max)| {
            (least.min(min.0), most.max(max.0))
        });
        let part = (most - least) / 8;
        let range = |i: i64| TimeRange {
            since: Timestamp(least + i * part),
            until: Timestamp(least + (i + 1) * part),
        };
        let mut frames = Vec::new();
        for segment in snapshot.segments() {
            for i in 0..8 {
                frames.push(segment.frames_overlapping(&range(i))?);
            }
        }
        let some = snapshot.query(&Query::new(range(3)).limit(usize::MAX))?.events;
        let trace = some.first().and_then(|event| event.trace_id).expect("a traced event");
        let events = [some, snapshot.trace(trace)?.events];
        let sources = snapshot.sources()?.into_iter().map(|(name, t)| (name, t.events)).collect();
        Ok(Answers { frames, events, sources })
    }
}

impl Sample {
    /// Stopped cleanly: every segment is named by the manifest.
    fn closed() -> Sample {
        Sample::new(|world| {
            assert!(world.close());
            world.disk.copy()
        })
    }

    /// Killed after the silence that puts the last group's durability on record.
    fn killed() -> Sample {
        Sample::new(|world| {
            world.rest();
            world.disk.after(Loss::All)
        })
    }

    fn new(end: impl FnOnce(&mut World<'_>) -> SimStorage) -> Sample {
        let settings = Settings { fault_percent: 0, ..Settings::default() };
        let mut world = World::new(7, settings, &STOCK);
        assert!(world.recover(0));
        while world.files_of_log() < 2 {
            world.script(1);
        }
        world.drain();
        let snapshot = world.store().snapshot();
        let contents = STOCK.recognise(&snapshot, true).unwrap();
        drop(snapshot);
        assert!(world.findings().is_empty(), "{:?}", world.findings());
        let disk = end(&mut world);
        let (store, _) = open(&disk.copy()).unwrap();
        let answers = Answers::of(&store.snapshot()).unwrap();
        drop(store);
        let sample = Sample { disk, contents, answers };
        assert_eq!(sample.open(&sample.disk.copy()), Ok(Verdict::Whole));
        sample
    }

    fn files(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let found: Vec<_> =
            self.disk.files().into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        assert!(!found.is_empty(), "no file {prefix}* in the sample");
        found
    }

    fn open(&self, disk: &SimStorage) -> Result<Verdict, String> {
        self.open_and_read(disk, true)
    }

    fn open_and_read(&self, disk: &SimStorage, deep: bool) -> Result<Verdict, String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.verdict(disk, deep)));
        outcome.unwrap_or_else(|_| Err("panic".to_owned()))
    }

    fn verdict(&self, disk: &SimStorage, deep: bool) -> Result<Verdict, String> {
        let damaged = |kind| matches!(kind, ErrorKind::Corrupt | ErrorKind::Unsupported);
        let before = disk.changes();
        let store = match open(disk) {
            Ok((store, _)) => store,
            Err(error) if damaged(error.kind()) => {
                // REC-1: a refusal changes nothing and is repeated.
                if disk.changes() > before + 1 {
                    return Err(format!("refused with {error:?} and changed more than LOCK"));
                }
                return match open(disk) {
                    Err(e) if e.kind() == error.kind() => Ok(Verdict::Refused),
                    other => Err(format!("refused, then {:?}", other.map(|(_, report)| report))),
                };
            }
            Err(error) => return Err(format!("{error:?}")),
        };
        let snapshot = store.snapshot();
        match STOCK.recognise(&snapshot, deep) {
            Ok(found) if found == self.contents => match Answers::of(&snapshot) {
                Ok(answers) if answers == self.answers => Ok(Verdict::Whole),
                Ok(answers) => Err(format!("wrong answers: {answers:?}")),
                Err(error) if damaged(error.kind()) => Ok(Verdict::Unreadable),
                Err(error) => Err(format!("{error:?}")),
            },
            Ok(found) if self.contents.starts_with(&found) => Ok(Verdict::Prefix(found.len())),
            Ok(found) => Err(format!("wrong events: {found:?}")),
            Err(error) if damaged(error.kind()) => Ok(Verdict::Unreadable),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    /// Flips bits of a file, one after another. Only where `harmless` says so may a flip go by
    /// unnoticed by all readers.
    fn flip(
        &self,
        tally: &mut Tally,
        name: &str,
        bytes: Range<usize>,
        every_bit: bool,
        harmless: impl Fn(&Sample, &SimStorage, usize) -> bool,
    ) {
        let exhaustive = every_bit || env("ANNAL_EXHAUSTIVE", 0) > 0;
        for offset in bytes {
            let bits = if exhaustive { 0..8 } else { offset % 8..offset % 8 + 1 };
            for bit in bits {
                let damaged = || {
                    let disk = self.disk.copy();
                    disk.flip(name, offset, 1 << bit);
                    disk
                };
                // What passes its checksum is the same bytes: now and then every field is compared.
                let verdict = self.open_and_read(&damaged(), offset % 16 == 0);
                let allowed = |verdict: &Verdict| match verdict {
                    Verdict::Refused | Verdict::Unreadable => true,
                    Verdict::Whole => harmless(self, &damaged(), offset),
                    Verdict::Prefix(_) => false,
                };
                tally.add(verdict, allowed, format_args!("{name}, byte {offset}, bit {bit}"));
            }
        }
    }
}

fn open(disk: &SimStorage) -> annal::Result<(Store, OpenReport)> {
    let clock = Arc::new(ManualClock::default());
    Store::open_with(Arc::new(disk.clone()), clock, options())
}

fn options() -> Options {
    Options { manual: true, seed: Some(1), ..Options::new("simulated") }
}

/// What no reader needs to notice, verify does: the digest of the file stands in the manifest.
fn told_by_verify(_: &Sample, disk: &SimStorage, _: usize) -> bool {
    !Store::verify_with(disk, &options(), &mut |_| {}).unwrap().damage.is_empty()
}

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
            tally.add(sample.open(&disk), refused, format_args!("{name}, bit {bit}"));
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
                tally.add(sample.open(&disk), allowed, what);
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
        tally.add(sample.open(&disk), refused, format_args!("{name} cut to {length}"));
    }
    for more in 1..5_000 {
        let disk = sample.disk.copy();
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, (more % 2) as u8);
        disk.put(&name, longer);
        tally.add(sample.open(&disk), refused, format_args!("{name} and {more} bytes"));
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
        tally.add(sample.open(&disk), allowed, format_args!("{name} cut to {length}"));
    }
    let refused = |verdict: &Verdict| *verdict == Verdict::Refused;
    for more in 1..5_000 {
        let disk = sample.disk.copy();
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, (more % 2) as u8);
        disk.put(&name, longer);
        tally.add(sample.open(&disk), refused, format_args!("{name} and {more} bytes"));
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
        tally.add(sample.open(&disk), refused, format_args!("{name} removed"));
    }
    tally.conclude("missing files");
}

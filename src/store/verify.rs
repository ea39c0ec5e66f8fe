//! Verify: every byte that the manifest speaks for is read and held against it; each damage is
//! named with file and offset, and the next one is looked for.
//!
//! 1. Manifest, producer checkpoint, and for each sealed file: length, header, every frame's
//!    header, checksum and columns, every footer section, directory, time index and what is
//!    known of blocks against the frames (`audit`), and the digest of the whole file.
//! 2. What the manifest does not name yet, as an open would judge it. A torn tail is told and is no
//!    damage: nobody was acknowledged for it.
//!
//! Files are read by `pread`, never mapped, and nothing is changed.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::footer::{
    SECTION_ATTRIBUTES, SECTION_DIRECTORY, SECTION_LINKS, SECTION_MINUTES, SECTION_SERIES,
    SECTION_TIME_INDEX,
};
use crate::format::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind};
use crate::format::manifest::{Manifest, ProducersRecord, SegmentRecord};
use crate::format::producers::{decode_producers, producers_file_name};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::index::attributes::AttributeFilters;
use crate::index::links::LinkFilters;
use crate::index::minutes::decode_minutes;
use crate::segment::scan::frame_at;
use crate::segment::series::decode_series;
use crate::segment::tail::{Tail, damaged, open_directory, open_section, read_tail};
use crate::segment::time_index::encode_time_index;
use crate::segment::window::Window;
use crate::segment::{Directory, FrameEntry};
use crate::storage::{File, LockMode, Region, Storage, read_exact_at};
use crate::store::audit::{Audit, check_payload};
use crate::store::manifest_log::read_newest;
use crate::store::recovery::{inspect, read_checkpoint};
use crate::store::state::Core;

/// What a verify has read and found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Files read.
    pub files: u64,
    /// Batch frames read.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes of a torn tail that nobody was acknowledged for: no damage.
    pub torn_bytes: u64,
    /// Every damage, with file and offset.
    pub damage: Vec<Error>,
}

/// How far a verify has come.
#[derive(Clone, Copy, Debug)]
pub struct VerifyProgress<'a> {
    /// The file being read.
    pub file: &'a str,
    /// Bytes read so far.
    pub bytes: u64,
    /// Bytes to be read, as far as known.
    pub bytes_total: u64,
}

/// Told about progress; slow ones slow the verify.
pub type VerifyCallback<'a> = &'a mut dyn FnMut(VerifyProgress<'_>);

struct Verify<'a> {
    storage: &'a dyn Storage,
    report: VerifyReport,
    bytes_total: u64,
    progress: VerifyCallback<'a>,
}

/// Verifies a directory that no writer holds.
pub(crate) fn verify_directory(
    storage: &dyn Storage,
    note: &str,
    progress: VerifyCallback<'_>,
) -> Result<VerifyReport> {
    let _lock = storage.lock(LockMode::Shared, note)?;
    let entries = storage.list()?;
    let mut verify = Verify::new(storage, progress);
    let manifest = match read_newest(storage, &entries) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => Manifest::default(),
        Err(error) => {
            verify.note(error)?;
            return Ok(verify.report);
        }
    };
    let checkpoint = open_checkpoint(storage, &manifest);
    verify.named(&manifest, checkpoint)?;
    match inspect(storage) {
        Ok(Some(found)) => {
            verify.report.torn_bytes = found.torn_bytes;
            for newer in found.adopted.iter().chain(&found.last) {
                let s = &newer.scan.summary;
                verify.report.files += 1;
                verify.report.frames += s.frames;
                verify.report.events += s.events;
                verify.report.bytes += s.end_position - s.base_position;
            }
        }
        Ok(None) => return Err(Error::invalid("there is no store in the directory")),
        // What has been said of a file is not said again.
        Err(error) => {
            let known = verify.report.damage.iter().any(|d| d.file() == error.file());
            if !known {
                verify.note(error)?;
            }
        }
    }
    Ok(verify.report)
}

impl Core {
    /// Verifies an open store: its sealed files, and the frames that no manifest names yet.
    pub(crate) fn verify(&self, progress: VerifyCallback<'_>) -> Result<VerifyReport> {
        // The version pins the log files that the manifest names. The checkpoint is replaced while
        // others work on, but an open file stays readable.
        let (manifest, checkpoint, version, active) = {
            let maintenance = self.maintenance();
            let manifest = maintenance.manifest().clone();
            let checkpoint = open_checkpoint(&*self.storage, &manifest);
            let state = self.state();
            (manifest, checkpoint, state.version.clone(), state.active.clone())
        };
        let mut verify = Verify::new(&*self.storage, progress);
        verify.named(&manifest, checkpoint)?;
        for visible in version.segments.iter().chain(&active) {
            let segment = &visible.segment;
            if manifest.segments.iter().any(|s| s.segment_id == segment.segment_id) {
                continue;
            }
            verify.report.files += 1;
            let directory = segment.directory(&visible.summary, &self.context)?;
            let frames = usize::try_from(visible.summary.frames).unwrap_or(usize::MAX);
            for entry in (0..frames).filter_map(|i| directory.frames.get(i)) {
                let read = segment.frame(entry, visible.summary.frames, &self.context);
                let checked = read.and_then(|(header, payload)| {
                    let offset = entry.position - segment.base_position;
                    verify.count(&header);
                    check_payload(&header, &payload, offset)
                        .map(drop)
                        .map_err(|e| e.in_file(&segment.pin.name))
                });
                if let Err(error) = checked {
                    verify.note(error)?;
                }
            }
        }
        Ok(verify.report)
    }
}

impl<'a> Verify<'a> {
    fn new(storage: &'a dyn Storage, progress: VerifyCallback<'a>) -> Verify<'a> {
        Verify { storage, report: VerifyReport::default(), bytes_total: 0, progress }
    }

    /// Damage goes into the report; a disk that does not answer ends the verify.
    fn note(&mut self, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::Invalid | ErrorKind::Limit => {
                self.report.damage.push(error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn count(&mut self, header: &FrameHeader) {
        self.report.bytes += header.frame_bytes();
        if matches!(header.kind, FrameKind::Batch | FrameKind::Block) {
            self.report.frames += 1;
            self.report.events += u64::from(header.events);
        }
    }

    fn tell(&mut self, file: &str) {
        let (bytes, bytes_total) = (self.report.bytes, self.bytes_total);
        (self.progress)(VerifyProgress { file, bytes, bytes_total });
    }

    /// All files that the manifest names; the producer checkpoint is open already.
    fn named(&mut self, manifest: &Manifest, checkpoint: Result<OpenCheckpoint>) -> Result<()> {
        self.bytes_total = manifest.segments.iter().map(|s| s.file_length).sum();
        for record in &manifest.segments {
            let name = record.file_name();
            self.report.files += 1;
            self.tell(&name);
            if let Err(error) = self.sealed(&name, manifest, record) {
                self.note(error.in_file(&name))?;
            }
            self.tell(&name);
        }
        let Some(record) = &manifest.producers else { return Ok(()) };
        self.report.files += 1;
        let checked = checkpoint.and_then(|file| match file {
            Some(file) => check_checkpoint(&*file, record),
            None => Ok(()),
        });
        match checked {
            Err(error) => self.note(error.in_file(producers_file_name(record.number))),
            Ok(()) => Ok(()),
        }
    }

    /// One sealed file. What is returned ended its verification; what is noted did not.
    fn sealed(&mut self, name: &str, manifest: &Manifest, record: &SegmentRecord) -> Result<()> {
        let file = self.storage.open(name, false).map_err(missing)?;
        let length = file.length()?;
        if length != record.file_length {
            let what = format!("{length} bytes, {} by the manifest", record.file_length);
            return Err(Error::corrupt(what).at(length.min(record.file_length)));
        }
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        read_exact_at(&*file, 0, &mut bytes)?;
        let header = SegmentHeader::decode(&bytes).map_err(|e| damaged(e, 0))?;
        if header.store_id != manifest.store_id
            || header.segment_id != record.segment_id
            || header.salt != record.salt
            || header.base_position != record.base_position
        {
            return Err(Error::corrupt("the file is not the one that the manifest names").at(0));
        }
        let before = self.report.damage.len();
        let tail = read_tail(&*file, length, &header)?;
        let (directory, known) = match check_sections(&*file, &tail) {
            Ok((directory, known)) => (Some(directory), known),
            Err(error) => {
                self.note(error.in_file(name))?;
                (None, Vec::new())
            }
        };
        let audit = self.frames(name, &*file, &header, &tail, directory.as_ref())?;
        if let Err(error) = audit.end(&known) {
            self.note(error.in_file(name))?;
        }
        if digest_of(&*file, length)? != record.digest && self.report.damage.len() == before {
            let what = "the file's digest is not the manifest's, although its checksums hold";
            return Err(Error::corrupt(what).at(0));
        }
        Ok(())
    }

    /// Every frame from the first to the end; behind a damaged one the directory helps on.
    fn frames(
        &mut self,
        name: &str,
        file: &dyn File,
        header: &SegmentHeader,
        tail: &Tail,
        directory: Option<&Directory>,
    ) -> Result<Audit> {
        let mut audit = Audit::default();
        let end = tail.summary.end_position - header.base_position;
        let mut window = Window::new(file, end);
        let mut offset = SEGMENT_HEADER_BYTES as u64;
        self.report.bytes += offset;
        let entries: Vec<&FrameEntry> =
            directory.map(|d| d.frames.iter().collect()).unwrap_or_default();
        while offset < end {
            let position = header.base_position + offset;
            let found = frame_at(&mut window, header, offset)?;
            let index = entries.partition_point(|e| e.position < position);
            let Some(frame) = found else {
                let what = "an invalid frame: its header or its payload's checksum is wrong";
                self.note(Error::corrupt(what).in_file(name).at(offset))?;
                audit.missing();
                let next = entries.iter().find(|e| e.position > position);
                offset = next.map_or(end, |e| e.position - header.base_position);
                continue;
            };
            self.count(&frame);
            if matches!(frame.kind, FrameKind::Batch | FrameKind::Block) {
                let length = frame.stored_length as usize;
                let start = offset + FRAME_HEADER_BYTES as u64;
                let payload = window.get(start, length)?.unwrap_or_default();
                let listed = directory.zip(entries.get(index).copied());
                let mut checked = audit.frame(&frame, payload, listed, offset);
                if directory.is_some() && listed.is_none() {
                    let what = "the frame and the directory contradict each other";
                    checked = checked.and(Err(Error::corrupt(what).at(offset)));
                }
                if let Err(error) = checked {
                    self.note(error.in_file(name))?;
                }
            }
            offset += frame.frame_bytes();
            self.tell(name);
        }
        Ok(audit)
    }
}

/// A file that the manifest names and that cannot be opened is damage, unless it is the process that
/// has too many open.
fn missing(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Busy => error,
        _ => Error::corrupt("the manifest names a file that cannot be opened").at(0),
    }
}

/// The producer checkpoint, if there is one.
type OpenCheckpoint = Option<Arc<dyn File>>;

fn open_checkpoint(storage: &dyn Storage, manifest: &Manifest) -> Result<OpenCheckpoint> {
    let Some(record) = &manifest.producers else { return Ok(None) };
    storage.open(&producers_file_name(record.number), false).map(Some).map_err(missing)
}

fn check_checkpoint(file: &dyn File, record: &ProducersRecord) -> Result<()> {
    if file.length()? != record.file_length {
        let what = "the file's length is not the manifest's";
        return Err(Error::corrupt(what).at(record.file_length));
    }
    let bytes = read_checkpoint(file, record)?;
    decode_producers(&bytes).map_err(|e| damaged(e, 0))?;
    if xxhash_rust::xxh3::xxh3_128(&bytes).to_be_bytes() != record.digest {
        return Err(Error::corrupt("the file's digest is not the manifest's").at(0));
    }
    Ok(())
}

/// A section: its kind, where it stands, its bytes.
type Known = (u16, u64, Region);

/// Every section's checksum; the directory; the time index against it; what is known of blocks.
fn check_sections(file: &dyn File, tail: &Tail) -> Result<(Directory, Vec<Known>)> {
    let mut directory = None;
    let (mut times, mut known) = (None, Vec::new());
    for section in &tail.sections {
        let mut stored = vec![0; section.stored_length as usize];
        read_exact_at(file, section.offset, &mut stored)?;
        let stored = Region::from_bytes(stored.into());
        let content = open_section(section, stored.clone())?;
        match section.kind {
            SECTION_DIRECTORY => {
                directory = Some(open_directory(section, stored, &tail.summary)?);
            }
            SECTION_TIME_INDEX => times = Some((section.offset, content)),
            SECTION_SERIES => {
                decode_series(&content).map_err(|e| damaged(e, section.offset))?;
                known.push((section.kind, section.offset, content));
            }
            SECTION_MINUTES => {
                let read = decode_minutes(&content, tail.summary.events, |_, _, _| {});
                read.map_err(|e| damaged(e, section.offset))?;
                known.push((section.kind, section.offset, content));
            }
            SECTION_ATTRIBUTES => {
                let read = AttributeFilters::new(content.clone());
                read.map_err(|e| damaged(e, section.offset))?;
                known.push((section.kind, section.offset, content));
            }
            SECTION_LINKS => {
                let read = LinkFilters::new(content.clone());
                read.map_err(|e| damaged(e, section.offset))?;
                known.push((section.kind, section.offset, content));
            }
            _ => {}
        }
    }
    let missing = || Error::corrupt("the footer lists no directory").at(tail.trailer.footer_offset);
    let directory = directory.ok_or_else(missing)?;
    if let Some((offset, stored)) = times
        && *stored != *encode_time_index(&directory)
    {
        let what = "the time index and the directory contradict each other";
        return Err(Error::corrupt(what).at(offset));
    }
    Ok((directory, known))
}

fn digest_of(file: &dyn File, length: u64) -> Result<[u8; 16]> {
    let mut window = Window::new(file, length);
    let mut digest = xxhash_rust::xxh3::Xxh3::new();
    let mut offset = 0;
    while offset < length {
        let chunk = window.chunk(offset)?;
        digest.update(chunk);
        offset += chunk.len() as u64;
    }
    Ok(digest.digest128().to_be_bytes())
}

//! Carries out what an inspection found, once every verdict has been reached (REC-1): stray files
//! go or are set aside, adopted segments are made durable, and the torn one is copied.
//!
//! After an unclean stop the page cache may show bytes that never reached the disk. So the valid
//! prefix of the last segment is written anew: same segment, positions and sequences, payloads
//! untouched, but a new salt, so that nothing of the old file can ever be taken for the new one.
//! The copy replaces the old file only when it is durable. Doing it twice changes nothing.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::{FRAME_HEADER_BYTES, frame_bytes};
use crate::format::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::segment::scan::{Scan, frame_at};
use crate::segment::window::Window;
use crate::segment::writer::LogWriter;
use crate::storage::{File, Storage, write_all_at};
use crate::store::committer::LENGTH_STEP;
use crate::store::recovery::{Inspection, NewerSegment};

/// Bytes of the copy that are written at once.
const WRITE_BYTES: usize = 1 << 20;

/// What repair leaves to go on with.
pub(crate) struct Repaired {
    /// Handles of the adopted segments, in order.
    pub(crate) adopted: Vec<(NewerSegment, Arc<dyn File>)>,
    /// The segment that takes the next frames.
    pub(crate) active: Option<LogWriter>,
}

/// Changes the directory as the inspection demands.
pub(crate) fn repair(storage: &dyn Storage, found: &mut Inspection, salt: u64) -> Result<Repaired> {
    // A process that was killed before it synced the directory leaves names behind that a power loss
    // would take back: what the manifest says must be durable before anything goes because of it.
    storage.sync_dir()?;
    for name in &found.orphans {
        set_aside(storage, name)?;
    }
    for name in &found.remove {
        storage.remove(name)?;
    }
    let mut adopted = Vec::new();
    for segment in found.adopted.drain(..) {
        let file = storage.open(&segment.name, true)?;
        file.sync_all()?;
        adopted.push((segment, file));
    }
    storage.sync_dir()?;
    let active = match found.last.take() {
        Some(last) => copy_prefix(storage, last, salt)?,
        None => None,
    };
    Ok(Repaired { adopted, active })
}

/// Moves another store's file to `orphans/`, under a name that is free there.
fn set_aside(storage: &dyn Storage, name: &str) -> Result<()> {
    let mut outcome = storage.rename(name, &format!("orphans/{name}"), false);
    for attempt in 1..ORPHAN_NAMES_MAX {
        if outcome.is_ok() {
            break;
        }
        outcome = storage.rename(name, &format!("orphans/{name}-{attempt}"), false);
    }
    outcome
}

/// Files of one name that are set aside at most.
const ORPHAN_NAMES_MAX: u32 = 64;

/// Replaces the last segment by a copy of its valid prefix; an empty one is removed.
fn copy_prefix(storage: &dyn Storage, last: NewerSegment, salt: u64) -> Result<Option<LogWriter>> {
    let NewerSegment { name, header: old, mut scan, .. } = last;
    if scan.summary.end_position == old.first_frame_position() {
        storage.remove(&name)?;
        storage.sync_dir()?;
        return Ok(None);
    }
    let mut header = SegmentHeader { salt, ..old };
    let temporary = format!("{name}.tmp");
    let source = storage.open(&name, false)?;
    let file = storage.create(&temporary)?;
    header.declared_length = reserve(&*file, header.declared_length, least_length(&old, &scan))?;
    scan.digest =
        copy_frames(&*source, &*file, &old, &header, &scan).map_err(|e| e.in_file(&name))?;
    file.sync_all()?;
    storage.rename(&temporary, &name, true)?;
    storage.sync_dir()?;
    // The prefix may have lost its proof with the tail: a watermark frame puts it on record again.
    scan.ends_with_watermark = false;
    let file = storage.open(&name, true)?;
    Ok(Some(LogWriter::resume(header, file, scan)))
}

/// The length that prefix, footer and a last watermark frame need.
fn least_length(header: &SegmentHeader, scan: &Scan) -> u64 {
    let prefix = scan.summary.end_position - header.base_position;
    (prefix + frame_bytes(0) + scan.builder.bound.bytes()).next_multiple_of(LENGTH_STEP)
}

/// Reserves the declared length; where the disk has no room for it, what is needed at least: a store
/// that was killed on a nearly full disk must open. Says how much it is.
fn reserve(file: &dyn File, declared: u64, least: u64) -> Result<u64> {
    match file.allocate(declared) {
        Err(error) if error.kind() == ErrorKind::Full && least < declared => {
            file.truncate(0)?;
            file.allocate(least).map(|()| least)
        }
        outcome => outcome.map(|()| declared),
    }
}

/// Copies header and prefix, each frame header stamped with the new salt; gives the digest.
fn copy_frames(
    source: &dyn File,
    target: &dyn File,
    old: &SegmentHeader,
    new: &SegmentHeader,
    scan: &Scan,
) -> Result<Xxh3> {
    let end = scan.summary.end_position - old.base_position;
    let mut window = Window::new(source, end);
    let mut digest = Xxh3::new();
    let mut buffer = new.encode();
    let mut written = 0;
    let mut offset = SEGMENT_HEADER_BYTES as u64;
    let changed = |at| Error::corrupt("the file changed while it was being recovered").at(at);
    while offset < end {
        let mut frame = frame_at(&mut window, old, offset)?.ok_or_else(|| changed(offset))?;
        let length = usize::try_from(frame.frame_bytes()).unwrap_or(usize::MAX);
        frame.salt = new.salt;
        buffer.extend_from_slice(&frame.encode());
        let bytes = window.get(offset, length)?.ok_or_else(|| changed(offset))?;
        buffer.extend_from_slice(bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default());
        offset += length as u64;
        if buffer.len() >= WRITE_BYTES || offset >= end {
            write_all_at(target, written, &buffer)?;
            digest.update(&buffer);
            written += buffer.len() as u64;
            buffer.clear();
        }
    }
    Ok(digest)
}

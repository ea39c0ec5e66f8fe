//! What an open finds: every verdict is reached here, and nothing is changed (REC-1).
//!
//! 1. The newest manifest; an invalid one is an error. The files it names must be what it says.
//! 2. Newer log files: those with valid frames must chain to the log's end and to each other; those
//!    without are unused.
//! 3. Each newer segment is scanned, up to where its successor begins; before that, every invalid
//!    position is corruption. The last one may end in a torn tail, if nothing proves that it had
//!    been acknowledged.
//! 4. The producer table: the checkpoint, then what came after it.
//!
//! See `storage-format.md`, "Verdicts at open", for the table of verdicts.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{
    Manifest, ProducersRecord, SegmentRecord, manifest_file_name, parse_manifest_file_name,
};
use crate::format::producers::{
    PRODUCERS_BYTES_MAX, decode_producers, parse_producers_file_name, producers_file_name,
};
use crate::format::segment::{
    LogEnd, NUMBER_MAX, SEGMENT_HEADER_BYTES, SegmentHeader, log_file_name,
    parse_compacted_file_name, parse_log_file_name,
};
use crate::limits;
use crate::segment::scan::{Scan, scan};
use crate::segment::tail::{Tail, damaged, read_tail};
use crate::segment::window::Window;
use crate::storage::{Entry, File, Region, Storage, check_name, read_exact_at};
use crate::store::manifest_log::read_newest;
use crate::store::producers::ProducerTable;

/// Names that a directory may hold before a store is made in it.
const HARMLESS: [&str; 2] = ["LOCK", "lost+found"];

/// Everything an open has to know; see the module.
pub(crate) struct Inspection {
    pub(crate) manifest: Manifest,
    /// The segments that the manifest names.
    pub(crate) named: Vec<NamedSegment>,
    /// Newer segments of which every frame is proven, in order.
    pub(crate) adopted: Vec<NewerSegment>,
    /// The last newer segment if it has no footer: its prefix is kept.
    pub(crate) last: Option<NewerSegment>,
    /// Files to be removed.
    pub(crate) remove: Vec<String>,
    /// Log files of another store.
    pub(crate) orphans: Vec<String>,
    pub(crate) producers: ProducerTable,
    pub(crate) next_sequence: u64,
    pub(crate) clean: bool,
    pub(crate) torn_bytes: u64,
}

/// A file as the manifest names it.
pub(crate) struct NamedSegment {
    pub(crate) record: SegmentRecord,
    pub(crate) tail: Tail,
}

/// A segment that the manifest does not name.
pub(crate) struct NewerSegment {
    pub(crate) name: String,
    pub(crate) header: SegmentHeader,
    pub(crate) scan: Scan,
    /// Its length if it ends with a valid footer.
    pub(crate) sealed_length: Option<u64>,
}

impl NewerSegment {
    /// Where the log goes on behind it.
    pub(crate) fn log_end(&self) -> LogEnd {
        self.header.log_end(self.scan.summary.end_position)
    }
}

/// Looks at a directory; `None` if there is no store and one may be made.
pub(crate) fn inspect(storage: &dyn Storage) -> Result<Option<Inspection>> {
    let entries = storage.list()?;
    let Some(manifest) = read_newest(storage, &entries)? else {
        return check_empty(&entries).map(|()| None);
    };
    let mut named = Vec::with_capacity(manifest.segments.len());
    for record in &manifest.segments {
        let tail = check_named(storage, &entries, &manifest, record)
            .map_err(|e| e.in_file(record.file_name()))?;
        named.push(NamedSegment { record: *record, tail });
    }
    let mut found = Inspection {
        next_sequence: manifest.next_sequence,
        manifest,
        named,
        adopted: Vec::new(),
        last: None,
        remove: leftovers(&entries),
        orphans: Vec::new(),
        producers: ProducerTable::default(),
        clean: true,
        torn_bytes: 0,
    };
    found.sort_out(&entries);
    let newer = found.newer_segments(storage, &entries)?;
    found.judge(newer)?;
    found.restore_producers(storage, &entries)?;
    Ok(Some(found))
}

/// Without a manifest nothing but what every directory may hold is allowed.
fn check_empty(entries: &[Entry]) -> Result<()> {
    let harmless = |e: &&Entry| HARMLESS.contains(&e.name.as_str()) || is_temporary(e);
    let Some(other) = entries.iter().find(|e| !harmless(e)) else { return Ok(()) };
    if parse_log_file_name(&other.name).is_some()
        || parse_compacted_file_name(&other.name).is_some()
        || parse_producers_file_name(&other.name).is_some()
    {
        return Err(Error::corrupt("files of a store without a manifest").in_file(&other.name));
    }
    let what = "the directory is no store and not empty; name another one";
    Err(Error::invalid(what).in_file(&other.name))
}

fn is_temporary(entry: &Entry) -> bool {
    !entry.is_dir && entry.name.ends_with(".tmp")
}

/// Files that were never finished. What has a name that no store makes was put there by somebody
/// else, who may come for it.
pub(crate) fn leftovers(entries: &[Entry]) -> Vec<String> {
    let ours = |e: &&Entry| is_temporary(e) && check_name(&e.name).is_ok();
    entries.iter().filter(ours).map(|e| e.name.clone()).collect()
}

/// Length, ids, trailer, footer and summary of a file that the manifest names.
fn check_named(
    storage: &dyn Storage,
    entries: &[Entry],
    manifest: &Manifest,
    record: &SegmentRecord,
) -> Result<Tail> {
    let name = record.file_name();
    let entry = entries.iter().find(|e| e.name == name && !e.is_dir);
    let entry = entry.ok_or_else(|| Error::corrupt("the manifest names a missing file"))?;
    if entry.length != record.file_length {
        let (is, was) = (entry.length, record.file_length);
        let what = format!("the file has {is} bytes, {was} by the manifest");
        return Err(Error::corrupt(what).at(is.min(was)));
    }
    let file = storage.open(&name, false)?;
    let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
    read_exact_at(&*file, 0, &mut bytes)?;
    let header = SegmentHeader::decode(&bytes).map_err(|e| damaged(e, 0))?;
    if header.compacted != (record.level > 0)
        || header.store_id != manifest.store_id
        || header.segment_id != record.segment_id
        || header.salt != record.salt
        || header.base_position != record.base_position
    {
        return Err(Error::corrupt("the file is not the one that the manifest names").at(0));
    }
    let tail = read_tail(&*file, record.file_length, &header)?;
    let s = &tail.summary;
    // The blocks of a compacted segment end elsewhere than the log that they stand for.
    if record.level == 0 && s.end_position != record.end_position
        || s.events != record.events
        || s.first_sequence != record.first_sequence
        || s.next_sequence != record.next_sequence
        || (s.min_time, s.max_time) != (record.min_time, record.max_time)
    {
        let what = "the summary and the manifest contradict each other";
        return Err(Error::corrupt(what).at(tail.trailer.footer_offset));
    }
    Ok(tail)
}

/// A newer file that holds valid frames of this store.
struct Newer {
    name: String,
    length: u64,
    header: SegmentHeader,
    file: Arc<dyn File>,
}

impl Inspection {
    /// Files that a crash left over: not named, and not newer than the log's end.
    fn sort_out(&mut self, entries: &[Entry]) {
        let manifest = &self.manifest;
        for entry in entries.iter().filter(|e| !e.is_dir) {
            let left_over = if let Some(id) = parse_log_file_name(&entry.name) {
                let is_named = manifest.segments.iter().any(|s| s.level == 0 && s.segment_id == id);
                id <= manifest.log_end.segment_id && !is_named
            } else if parse_compacted_file_name(&entry.name).is_some() {
                !manifest.segments.iter().any(|s| s.level > 0 && s.file_name() == entry.name)
            } else if let Some(number) = parse_producers_file_name(&entry.name) {
                manifest.producers.is_none_or(|p| p.number != number)
            } else if let Some(number) = parse_manifest_file_name(&entry.name) {
                number.saturating_add(limits::MANIFESTS_KEPT as u64) <= manifest.number
            } else {
                false
            };
            if left_over {
                self.remove.push(entry.name.clone());
            }
        }
    }

    /// Newer files with valid frames, in order of id; the others get their verdict here.
    fn newer_segments(&mut self, storage: &dyn Storage, entries: &[Entry]) -> Result<Vec<Newer>> {
        let log_end = self.manifest.log_end.segment_id;
        let mut files: Vec<_> = entries
            .iter()
            .filter(|e| !e.is_dir)
            .filter_map(|e| parse_log_file_name(&e.name).map(|id| (id, e)))
            .filter(|(id, _)| *id > log_end)
            .collect();
        files.sort_unstable_by_key(|(id, _)| *id);
        self.clean = files.is_empty();
        let mut newer = Vec::new();
        for (_, entry) in files {
            let file = storage.open(&entry.name, false)?;
            let found = self.look_at(entry, file).map_err(|e| e.in_file(&entry.name))?;
            newer.extend(found);
        }
        Ok(newer)
    }

    fn look_at(&mut self, entry: &Entry, file: Arc<dyn File>) -> Result<Option<Newer>> {
        let (name, length) = (entry.name.clone(), entry.length);
        let header = match read_header(&*file, length)? {
            Ok(header) => header,
            Err(error) => {
                if is_zero_behind_header(&*file, length)? {
                    self.remove.push(name);
                    return Ok(None);
                }
                // It was synced before the first frame.
                return Err(error);
            }
        };
        if header.store_id == self.manifest.store_id {
            self.next_sequence = self.next_sequence.max(header.base_sequence);
        }
        if !scan_for_any(&*file, &header, length)? {
            self.remove.push(name);
            return Ok(None);
        }
        if header.store_id != self.manifest.store_id {
            self.orphans.push(name);
            return Ok(None);
        }
        Ok(Some(Newer { name, length, header, file }))
    }

    /// Chain, scan, and the verdict on each newer segment.
    fn judge(&mut self, newer: Vec<Newer>) -> Result<()> {
        let mut previous = self.manifest.log_end;
        for (i, segment) in newer.iter().enumerate() {
            let in_file = |e: Error| e.in_file(&segment.name);
            check_chain(segment, previous).map_err(in_file)?;
            // Where an unnamed predecessor ends is what its successor says.
            let base = segment.header.base_position;
            if i == 0 && base != previous.end_position || base < previous.end_position {
                return Err(in_file(Error::corrupt("the segment begins elsewhere than it should")));
            }
            previous = segment.header.log_end(segment.header.first_frame_position());
        }
        // A checkpoint covers what was durable when it was written, in the active segment too.
        let covered = self.manifest.producers.map_or(0, |p| p.covers_position);
        let mut durable = self.manifest.log_end.end_position.max(covered);
        let mut log_end = self.manifest.log_end;
        let count = newer.len();
        let bases: Vec<u64> = newer.iter().map(|n| n.header.base_position).collect();
        for (i, segment) in newer.into_iter().enumerate() {
            let end = bases.get(i + 1).map(|base| base - segment.header.base_position);
            let name = segment.name.clone();
            let found = judge_one(segment, end, &mut durable).map_err(|e| e.in_file(name))?;
            self.next_sequence = self.next_sequence.max(found.scan.next_sequence);
            log_end = found.log_end();
            if i + 1 < count || found.sealed_length.is_some() {
                self.adopted.push(found);
            } else {
                self.torn_bytes = found.torn_bytes();
                self.last = Some(found);
            }
        }
        if log_end.end_position < covered {
            let what = format!(
                "the log ends at position {}, although everything before {covered} had been \
                 acknowledged as durable",
                log_end.end_position
            );
            let missing = log_file_name(log_end.segment_id.saturating_add(1));
            return Err(Error::corrupt(what).in_file(missing).at(0));
        }
        if !self.clean {
            // None that a lost group was given is used again.
            self.next_sequence = self.next_sequence.saturating_add(limits::SEQUENCE_GAP);
        }
        let end = self.manifest.log_end;
        if self.next_sequence.max(end.end_position).max(end.segment_id) >= NUMBER_MAX {
            let what = "the log's end or the next sequence is impossibly large";
            return Err(Error::corrupt(what).in_file(manifest_file_name(self.manifest.number)));
        }
        Ok(())
    }

    /// The checkpoint, then the frames behind it.
    fn restore_producers(&mut self, storage: &dyn Storage, entries: &[Entry]) -> Result<()> {
        let mut covers = 0;
        if let Some(record) = self.manifest.producers {
            let name = producers_file_name(record.number);
            let entry = entries.iter().find(|e| e.name == name && e.length == record.file_length);
            let missing = || Error::corrupt("the producer checkpoint is missing or cut");
            let read = || {
                entry.ok_or_else(missing)?;
                let bytes = read_checkpoint(&*storage.open(&name, false)?, &record)?;
                let (store_id, covers, records) =
                    decode_producers(&bytes).map_err(|e| damaged(e, 0))?;
                if store_id != self.manifest.store_id || covers != record.covers_position {
                    return Err(Error::corrupt("the producer checkpoint is another one").at(16));
                }
                Ok(records)
            };
            self.producers.restore(read().map_err(|e| e.in_file(&name))?);
            covers = record.covers_position;
        }
        for segment in self.named.iter().filter(|s| s.record.end_position > covers) {
            let name = segment.record.file_name();
            if segment.record.level > 0 {
                let what = "the producer checkpoint does not cover a compacted segment";
                return Err(Error::corrupt(what).in_file(name));
            }
            let file = storage.open(&name, false)?;
            let directory = read_directory(&*file, &segment.tail).map_err(|e| e.in_file(&name))?;
            observe(&mut self.producers, &directory, covers);
        }
        for segment in self.adopted.iter().chain(&self.last) {
            observe(&mut self.producers, &segment.scan.builder.directory, covers);
        }
        Ok(())
    }
}

impl NewerSegment {
    /// Bytes that were written behind the prefix, as far as valid headers tell.
    fn torn_bytes(&self) -> u64 {
        self.scan.torn_end.saturating_sub(self.scan.summary.end_position)
    }
}

/// The bytes of a producer checkpoint, no more than one can have.
pub(crate) fn read_checkpoint(file: &dyn File, record: &ProducersRecord) -> Result<Vec<u8>> {
    let length = usize::try_from(record.file_length).ok().filter(|&l| l <= PRODUCERS_BYTES_MAX);
    let length =
        length.ok_or_else(|| Error::corrupt("the producer checkpoint is too long").at(0))?;
    let mut bytes = vec![0; length];
    read_exact_at(file, 0, &mut bytes)?;
    Ok(bytes)
}

fn observe(table: &mut ProducerTable, directory: &crate::segment::Directory, covers: u64) {
    for frame in directory.frames.iter().filter(|f| f.position >= covers) {
        let numbered = (frame.epoch, frame.batch_number);
        table.observe(frame.producer_id, numbered, frame.first_sequence, frame.received);
    }
}

/// The directory of a sealed file, read by `pread`.
pub(crate) fn read_directory(file: &dyn File, tail: &Tail) -> Result<crate::segment::Directory> {
    use crate::format::footer::SECTION_DIRECTORY;
    use crate::segment::tail::{find_section, open_directory};
    let missing = || Error::corrupt("the footer lists no directory");
    let section = find_section(&tail.sections, SECTION_DIRECTORY).ok_or_else(missing)?;
    let mut stored = vec![0; section.stored_length as usize];
    read_exact_at(file, section.offset, &mut stored)?;
    open_directory(section, Region::from_bytes(stored.into()), &tail.summary)
}

/// The header of a newer file, or why it is none; the outer error is storage's.
fn read_header(file: &dyn File, length: u64) -> Result<Result<SegmentHeader>> {
    let mut window = Window::new(file, length);
    let Some(bytes) = window.get(0, SEGMENT_HEADER_BYTES)? else {
        return Ok(Err(Error::corrupt("the file is too short for a segment header").at(length)));
    };
    let header = SegmentHeader::decode(bytes).map_err(|e| damaged(e, 0));
    Ok(header.and_then(|header| match header.compacted {
        true => Err(Error::corrupt("a compacted segment under the name of a log segment").at(0)),
        false => Ok(header),
    }))
}

fn is_zero_behind_header(file: &dyn File, length: u64) -> Result<bool> {
    let mut window = Window::new(file, length);
    let mut offset = SEGMENT_HEADER_BYTES as u64;
    while offset < length {
        let chunk = window.chunk(offset)?;
        if chunk.iter().any(|&b| b != 0) {
            return Ok(false);
        }
        offset += chunk.len().max(1) as u64;
    }
    Ok(true)
}

/// Whether the file holds any valid frame header of its own.
fn scan_for_any(file: &dyn File, header: &SegmentHeader, length: u64) -> Result<bool> {
    let mut window = Window::new(file, length);
    if crate::segment::scan::frame_at(&mut window, header, SEGMENT_HEADER_BYTES as u64)?.is_some() {
        return Ok(true);
    }
    crate::segment::scan::any_header(&mut window, header)
}

fn check_chain(segment: &Newer, previous: LogEnd) -> Result<()> {
    let (header, is) = (&segment.header, segment.header.previous);
    let named = parse_log_file_name(&segment.name);
    let chains = named == Some(header.segment_id)
        && previous.segment_id.checked_add(1) == Some(header.segment_id)
        && (is.segment_id, is.salt) == (previous.segment_id, previous.salt)
        && is.end_position == header.base_position;
    if !chains {
        let what = format!(
            "the segment follows segment {} (salt {:x}), but the log before it ends with segment \
             {} (salt {:x})",
            is.segment_id, is.salt, previous.segment_id, previous.salt
        );
        return Err(Error::corrupt(what).at(64));
    }
    Ok(())
}

/// Scans a newer segment that chains. `end` is where its successor says that it ends.
fn judge_one(segment: Newer, end: Option<u64>, durable: &mut u64) -> Result<NewerSegment> {
    let Newer { name, length, header, file } = segment;
    if length > header.declared_length {
        let what = format!("{length} bytes, more than the {} declared", header.declared_length);
        return Err(Error::corrupt(what).at(header.declared_length));
    }
    let tail = match read_tail(&*file, length, &header) {
        Ok(tail) => Some(tail),
        Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Unsupported) => {
            return Err(error);
        }
        Err(_) if length < header.declared_length => {
            let what = format!(
                "{length} bytes, fewer than the {} declared, and no valid footer at the end",
                header.declared_length
            );
            return Err(Error::corrupt(what).at(length));
        }
        Err(_) => None,
    };
    let sealed_end = tail.as_ref().map(|t| t.summary.end_position - header.base_position);
    if let (Some(sealed), Some(end)) = (sealed_end, end)
        && sealed != end
    {
        let what = "the segment ends elsewhere than its successor says";
        return Err(Error::corrupt(what).at(sealed.min(end)));
    }
    let proven = end.or(sealed_end);
    let until = proven.unwrap_or(length);
    if until > length {
        let what = "the segment is cut: its successor begins further on";
        return Err(Error::corrupt(what).at(length));
    }
    let scan = scan(&*file, &header, until)?;
    let first_invalid = scan.summary.end_position;
    *durable = (*durable).max(scan.durable_position);
    let offset = first_invalid - header.base_position;
    let wrong = match proven {
        Some(end) => offset != end,
        None => *durable > first_invalid,
    };
    if wrong {
        let what = "an invalid frame, although it had been acknowledged as durable";
        return Err(Error::corrupt(what).at(offset));
    }
    Ok(NewerSegment { name, header, scan, sealed_length: tail.map(|t| t.trailer.file_length) })
}

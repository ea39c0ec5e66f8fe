//! Maintenance: what keeps the store in order beside the committer, one piece a step.
//!
//! 1. Seal the oldest segment without a footer: write the footer, sync, cut the file to its length,
//!    sync, and name it in the manifest, in the order of ids (SEG-1).
//! 2. Retire segments that retention lets go: the producer checkpoint first, then the manifest.
//! 3. Unlink files that neither the newest durable manifest names nor a snapshot pins (MAN-1).
//! 4. Look at the free space: ingest stops before the disk is really full.
//!
//! The compactor comes here as well to have its file named in the place of its inputs (`replace`):
//! all edits of the manifest are made behind one lock.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Manifest, ProducersRecord, SegmentRecord};
use crate::format::producers::{encode_producers, producers_file_name};
use crate::options::Options;
use crate::segment::tail::{Tail, encode_tail, read_tail};
use crate::storage::write_all_at;
use crate::store::Next;
use crate::store::compaction::Output;
use crate::store::manifest_log::{ManifestLog, unknown, write_new_file};
use crate::store::retention::retired;
use crate::store::state::{Core, Ended, Mode};
use crate::store::version::{Form, Pin, Segment, Visible};

/// How often retention, pins and free space are looked at.
const CHECK_EVERY_NS: u64 = 1_000_000_000;
/// See [`free_bytes_min`].
const FREE_BYTES_MIN: u64 = 64 << 20;

/// Ingest stops when fewer bytes are free than this: 64 MiB, or two full segments if that is less.
/// What is in flight is reserved already; footers, manifests and checkpoints must still fit.
pub(crate) fn free_bytes_min(options: &Options) -> u64 {
    FREE_BYTES_MIN.min(2 * options.segment_bytes)
}

/// Segments sealed since the last producer checkpoint that make the next one due.
const CHECKPOINT_SEGMENTS: usize = 16;

/// See the module.
pub(crate) struct Maintenance {
    manifests: ManifestLog,
    /// Gone from the newest durable manifest; unlinked when nothing pins them.
    unlink: Vec<Arc<Pin>>,
    next_check_ns: u64,
}

impl Maintenance {
    pub(crate) fn new(manifests: ManifestLog) -> Maintenance {
        Maintenance { manifests, unlink: Vec::new(), next_check_ns: 0 }
    }

    /// One step; see the module.
    pub(crate) fn step(&mut self, core: &Core) -> Result<Next> {
        // A store that was opened for reading or is closed changes nothing.
        if !matches!(core.state().mode, Mode::Open) {
            return Ok(Next::Idle);
        }
        let now = core.clock.monotonic_ns();
        let done = self.work(core, now);
        match done {
            // Nothing has changed; there may be space, or a file less open, later.
            Err(error) if error.changed_nothing() => {
                core.state().space_low |= error.kind() == ErrorKind::Full;
                Ok(Next::At(now.saturating_add(CHECK_EVERY_NS)))
            }
            Err(error) => Err(core.poison(&error)),
            Ok(next) => Ok(next),
        }
    }

    fn work(&mut self, core: &Core, now: u64) -> Result<Next> {
        let due = now >= self.next_check_ns;
        if due {
            self.next_check_ns = now.saturating_add(CHECK_EVERY_NS);
            self.check_space(core)?;
            // Whatever the disk refuses below, this gives space back.
            self.unlink_unpinned(core)?;
        }
        let sealed = self.seal_next(core).and_then(|sealed| {
            if sealed {
                self.checkpoint_if_far(core)?;
            }
            Ok(sealed)
        });
        match sealed {
            Err(error) if !error.changed_nothing() => return Err(error),
            Ok(false) if !due => return Ok(Next::At(self.next_check_ns)),
            _ => {}
        }
        self.retire(core)?;
        self.unlink_unpinned(core)?;
        sealed.map(|sealed| if sealed { Next::Now } else { Next::At(self.next_check_ns) })
    }

    /// Seals the oldest segment that waits for it; false if none does.
    pub(crate) fn seal_next(&mut self, core: &Core) -> Result<bool> {
        let Some(ended) = core.state().ended.front().cloned() else { return Ok(false) };
        let (tail, digest) = seal(&ended)?;
        let (header, summary) = (&ended.header, &ended.summary);
        let record = SegmentRecord {
            segment_id: header.segment_id,
            last_segment_id: header.segment_id,
            level: 0,
            salt: header.salt,
            file_length: tail.trailer.file_length,
            digest,
            base_position: header.base_position,
            end_position: summary.end_position,
            first_sequence: summary.first_sequence,
            next_sequence: summary.next_sequence,
            events: summary.events,
            min_time: summary.min_time,
            max_time: summary.max_time,
        };
        self.manifests.commit(&*core.storage, |manifest| {
            manifest.log_end = header.log_end(summary.end_position);
            manifest.next_sequence = manifest.next_sequence.max(summary.next_sequence);
            manifest.segments.push(record);
        })?;
        let pin = ended.segment.pin.clone();
        pin.set_length(record.file_length);
        core.context.directories.put(header.salt, ended.directory.clone());
        let segment = Arc::new(sealed_segment(pin, &record, tail.sections));
        let mut state = core.state();
        state.ended.pop_front();
        let version = Arc::make_mut(&mut state.version);
        version.manifest_number = self.manifests.newest().number;
        let id = header.segment_id;
        if let Some(held) = version.segments.iter_mut().find(|v| v.segment.segment_id == id) {
            *held = Visible { segment, summary: ended.summary };
        }
        drop(state);
        core.counters.add_sealed();
        Ok(true)
    }

    /// Retires what retention lets go.
    fn retire(&mut self, core: &Core) -> Result<()> {
        let named = &self.manifests.newest().segments;
        let active_bytes = core.state().log_bytes_unnamed();
        let gone = retired(named, &core.options.retention, core.clock.now(), active_bytes);
        if gone == 0 {
            return Ok(());
        }
        let leaving: Vec<u64> = named.iter().take(gone).map(|s| s.segment_id).collect();
        let end = named.get(gone - 1).map_or(0, |s| s.end_position);
        let covers = self.manifests.newest().producers.map_or(0, |p| p.covers_position);
        let checkpoint = if covers < end { Some(self.write_checkpoint(core)?) } else { None };
        self.commit_checkpoint(core, checkpoint, |segments| {
            segments.drain(..gone.min(segments.len()));
        })?;
        let mut state = core.state();
        let version = Arc::make_mut(&mut state.version);
        version.manifest_number = self.manifests.newest().number;
        let mut removed = Vec::new();
        version.segments.retain(|v| {
            let leaves = leaving.contains(&v.segment.segment_id);
            if leaves {
                removed.push(v.segment.pin.clone());
            }
            !leaves
        });
        drop(state);
        core.counters.add_retired(removed.len());
        self.unlink.append(&mut removed);
        self.count_pinned(core);
        Ok(())
    }

    /// Names a compacted segment in the place of its inputs. False, and the file is gone, if
    /// retention has taken one of them meanwhile.
    pub(crate) fn replace(
        &mut self,
        core: &Core,
        inputs: &[SegmentRecord],
        output: Output,
    ) -> Result<bool> {
        let name = output.record.file_name();
        let at = |segments: &[SegmentRecord]| {
            let first = inputs.first()?;
            let at = segments.iter().position(|s| s == first)?;
            (segments.get(at..at + inputs.len()) == Some(inputs)).then_some(at)
        };
        if at(&self.manifests.newest().segments).is_none() {
            core.storage.remove(&name)?;
            return Ok(false);
        }
        // Recovery does not read who made the events of a block.
        let covers = self.manifests.newest().producers.map_or(0, |p| p.covers_position);
        let is_log = inputs.iter().any(|s| s.level == 0);
        let checkpoint = match is_log && covers < output.record.end_position {
            true => self.write_checkpoint(core).map(Some),
            false => Ok(None),
        };
        let committed = checkpoint.and_then(|checkpoint| {
            self.commit_checkpoint(core, checkpoint, |segments| {
                if let Some(at) = at(segments) {
                    segments.splice(at..at + inputs.len(), [output.record]);
                }
            })
        });
        if let Err(error) = committed {
            // The next job must find its name free.
            if error.changed_nothing() {
                core.storage.remove(&name)?;
            }
            return Err(error);
        }
        let pin = Pin::new(name, output.record.salt, output.record.file_length);
        let segment = Arc::new(sealed_segment(pin, &output.record, output.sections));
        let visible = Visible { segment, summary: output.summary };
        let mut state = core.state();
        let version = Arc::make_mut(&mut state.version);
        version.manifest_number = self.manifests.newest().number;
        let is_input = |v: &Visible| inputs.iter().any(|s| s.salt == v.segment.salt && s.salt != 0);
        let first = version.segments.iter().position(is_input).unwrap_or(0);
        let mut removed = Vec::new();
        version.segments.retain(|v| {
            let leaves = is_input(v);
            if leaves {
                removed.push(v.segment.pin.clone());
            }
            !leaves
        });
        version.segments.insert(first.min(version.segments.len()), visible);
        drop(state);
        self.unlink.append(&mut removed);
        self.unlink_unpinned(core)?;
        Ok(true)
    }

    /// Writes the producer table to a file that no manifest names yet.
    fn write_checkpoint(&self, core: &Core) -> Result<ProducersRecord> {
        let now = core.clock.now();
        let (records, covers_position) = {
            let mut state = core.state();
            (state.producers.records(now), state.durable_position)
        };
        let number = self.manifests.newest().producers.map_or(0, |p| p.number) + 1;
        let bytes = encode_producers(core.store_id, covers_position, &records);
        let digest = xxhash_rust::xxh3::xxh3_128(&bytes).to_be_bytes();
        write_new_file(&*core.storage, &producers_file_name(number), &bytes)?;
        Ok(ProducersRecord { number, file_length: bytes.len() as u64, digest, covers_position })
    }

    /// Keeps the number of directories small that an open has to read for the producer table.
    fn checkpoint_if_far(&mut self, core: &Core) -> Result<()> {
        let newest = self.manifests.newest();
        let covers = newest.producers.map_or(0, |p| p.covers_position);
        let behind = newest.segments.iter().rev().take_while(|s| s.end_position > covers).count();
        if behind < CHECKPOINT_SEGMENTS {
            return Ok(());
        }
        let checkpoint = self.write_checkpoint(core)?;
        self.commit_checkpoint(core, Some(checkpoint), |_| {})
    }

    /// Names a checkpoint and changes the list of segments in one edit.
    fn commit_checkpoint(
        &mut self,
        core: &Core,
        checkpoint: Option<ProducersRecord>,
        edit: impl FnOnce(&mut Vec<SegmentRecord>),
    ) -> Result<()> {
        let old = self.manifests.newest().producers;
        let committed = self.manifests.commit(&*core.storage, |manifest| {
            edit(&mut manifest.segments);
            manifest.producers = checkpoint.or(manifest.producers);
        });
        let Some(new) = checkpoint else { return committed };
        let unnamed = match &committed {
            Ok(()) => old.map(|p| p.number),
            Err(error) if error.changed_nothing() => Some(new.number),
            Err(_) => None,
        };
        if let Some(number) = unnamed {
            core.storage.remove(&producers_file_name(number))?;
        }
        committed
    }

    /// At close: everything sealed, the table checkpointed, the exact next sequence on record.
    pub(crate) fn finish(&mut self, core: &Core) -> Result<()> {
        while self.seal_next(core)? {}
        self.retire(core)?;
        let covers = self.manifests.newest().producers.map_or(0, |p| p.covers_position);
        let (position, next_sequence) = {
            let state = core.state();
            (state.durable_position, state.next_sequence)
        };
        if covers < position {
            let checkpoint = self.write_checkpoint(core)?;
            self.commit_checkpoint(core, Some(checkpoint), |_| {})?;
        }
        if self.manifests.newest().next_sequence != next_sequence {
            self.manifests.commit(&*core.storage, |m| m.next_sequence = next_sequence)?;
        }
        self.unlink_unpinned(core)
    }

    fn unlink_unpinned(&mut self, core: &Core) -> Result<()> {
        let (free, pinned): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unlink)
            .into_iter()
            .partition(|pin| Arc::strong_count(pin) == 1);
        self.unlink = pinned;
        self.count_pinned(core);
        if free.is_empty() {
            return Ok(());
        }
        for pin in free {
            // What is mapped takes its place on the disk after the name is gone.
            core.context.views.forget(pin.salt);
            core.storage.remove(&pin.name)?;
        }
        core.storage.sync_dir().map_err(unknown)
    }

    fn check_space(&self, core: &Core) -> Result<()> {
        let free = core.storage.free_bytes()?;
        let mark = free_bytes_min(&core.options);
        core.state().space_low = free.is_some_and(|bytes| bytes < mark);
        Ok(())
    }

    /// The newest durable manifest.
    pub(crate) fn manifest(&self) -> &Manifest {
        self.manifests.newest()
    }

    /// Puts on record how many bytes of files only snapshots keep.
    fn count_pinned(&self, core: &Core) {
        core.counters.set_pinned_bytes(self.unlink.iter().map(|pin| pin.length()).sum());
    }
}

/// Writes the footer of a segment and cuts the file to its length; gives the digest of the file.
///
/// A footer that is there already may be in the page cache only: after a sync that failed, the next
/// one succeeds without having written anything. So the file is made long again, as an unsealed one
/// is, and everything that makes it a sealed one is written anew.
fn seal(ended: &Ended) -> Result<(Tail, [u8; 16])> {
    let in_file = |e: Error| e.in_file(&ended.segment.pin.name);
    let end = ended.summary.end_position - ended.summary.base_position;
    let bytes = encode_tail(&ended.header, &ended.summary, &ended.directory)?;
    let length = end + bytes.len() as u64;
    let file = &*ended.file;
    if ended.was_sealed {
        file.truncate(ended.header.declared_length).map_err(in_file)?;
        // Else a footer half written anew could be found in a file that is short already.
        file.sync_all().map_err(unknown)?;
    }
    write_all_at(file, end, &bytes).map_err(in_file)?;
    file.sync_data().map_err(unknown)?;
    file.truncate(length).map_err(unknown)?;
    file.sync_all().map_err(unknown)?;
    let tail = read_tail(file, length, &ended.header).map_err(in_file)?;
    let mut digest = ended.digest.clone();
    digest.update(&bytes);
    Ok((tail, digest.digest128().to_be_bytes()))
}

/// A sealed segment as readers hold it.
pub(crate) fn sealed_segment(
    pin: Arc<Pin>,
    record: &SegmentRecord,
    sections: Vec<crate::format::footer::Section>,
) -> Segment {
    Segment {
        pin,
        segment_id: record.segment_id,
        compacted: record.level > 0,
        salt: record.salt,
        base_position: record.base_position,
        form: Form::Sealed {
            digest: record.digest,
            sections,
            file: Default::default(),
            checked: Default::default(),
        },
    }
}

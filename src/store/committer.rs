//! The committer: pipelined group commit, the only writer of the active segment (COM-1).
//!
//! One step closes at most one group:
//!
//! 1. Take what has been queued while the last sync ran, up to a group's bytes and the room of the
//!    active segment; end the segment if nothing fits, and make the next one.
//! 2. Stamp (the previous sync has returned, so that every header proves the group before it),
//!    write, sync.
//! 3. Publish the watermark, remember the batch numbers, tell the waiters. Visible = durable.
//!
//! Without a group it writes a watermark frame after a short silence, and ends a segment that has
//! been silent for long. A failed sync poisons the store; a full disk fails everything queued, and
//! the segment that was written to takes no more frames.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::frame::FrameHeader;
use crate::format::segment::{LogEnd, SegmentHeader, log_file_name};
use crate::limits;
use crate::segment::writer::{LogWriter, Room};
use crate::store::Next;
use crate::store::admission::queued_bytes;
use crate::store::random::Random;
use crate::store::state::{Core, Ended, Pending};
use crate::store::ticket::Ack;
use crate::store::version::{Form, Pin, Segment, Visible};
use crate::time::{SECOND_NS, Timestamp};

/// Silence after which the durability of the last group is put on record.
const WATERMARK_AFTER_NS: u64 = 100_000_000;
/// A segment with this many bytes is worth sealing after a short silence.
const SEAL_BYTES_MIN: u64 = 512 << 10;
/// Silence after which such a segment is sealed.
const SEAL_AFTER_NS: u64 = 5 * SECOND_NS as u64;
/// Age at which such a segment is sealed.
const SEAL_AGE_NS: u64 = 60 * SECOND_NS as u64;
/// Silence after which a smaller one is sealed.
const SEAL_SMALL_AFTER_NS: u64 = 30 * SECOND_NS as u64;
/// Lengths of the first full segments: many small stores must stay small.
const YOUNG_SEGMENTS: [u64; 3] = [1 << 20, 4 << 20, 16 << 20];
/// Declared lengths are multiples of a page.
pub(crate) const LENGTH_STEP: u64 = 4_096;

/// See the module.
pub(crate) struct Committer {
    active: Option<Active>,
    /// Taken from the queue and not yet part of a group.
    taken: VecDeque<Pending>,
    taken_bytes: usize,
    /// The last segment that took frames before the active one.
    log_end: LogEnd,
    next_sequence: u64,
    /// Full segments so far, as far as it matters for the length of the next.
    full_segments: usize,
    random: Random,
}

/// The active segment.
struct Active {
    writer: LogWriter,
    segment: Arc<Segment>,
    first_frame_ns: u64,
    last_append_ns: u64,
}

impl Committer {
    pub(crate) fn new(
        log_end: LogEnd,
        next_sequence: u64,
        full_segments: usize,
        random: Random,
    ) -> Committer {
        Committer {
            active: None,
            taken: VecDeque::new(),
            taken_bytes: 0,
            log_end,
            next_sequence,
            full_segments,
            random,
        }
    }

    /// Goes on in a segment that recovery left open.
    pub(crate) fn resume(&mut self, writer: LogWriter, now_ns: u64) -> Visible {
        let segment = open_segment(&writer);
        let visible = Visible { segment: segment.clone(), summary: writer.summary };
        self.active =
            Some(Active { writer, segment, first_frame_ns: now_ns, last_append_ns: now_ns });
        visible
    }

    /// One step; see the module.
    pub(crate) fn step(&mut self, core: &Core) -> Result<Next> {
        if core.state().is_poisoned() {
            self.drop_taken();
            return Ok(Next::Idle);
        }
        self.work(core).map_err(|error| self.fail_poisoned(core, &error))
    }

    /// An error poisons the store.
    fn work(&mut self, core: &Core) -> Result<Next> {
        let now = core.clock.monotonic_ns();
        if self.active.as_ref().is_some_and(|a| a.is_aged(now)) {
            self.end_active(core)?;
        }
        match self.collect(core)? {
            Some(group) => self.commit(core, group).map(|()| Next::Now),
            None => self.idle(core, now),
        }
    }

    /// Whether nothing is waiting to be written.
    pub(crate) fn is_drained(&self) -> bool {
        self.taken.is_empty()
    }

    /// Takes a group that fits into the active segment, or into a new one if there is none.
    fn collect(&mut self, core: &Core) -> Result<Option<Vec<Pending>>> {
        self.take_queued(core);
        if self.taken.is_empty() {
            return Ok(None);
        }
        loop {
            let mut group = Vec::new();
            let mut room = match &self.active {
                Some(active) => active.writer.room(),
                None => Room::of_new(self.segment_length(core)),
            };
            let mut bytes = 0;
            while let Some(front) = self.taken.front() {
                let mut with = room;
                with.take(&front.batch, front.traces.memory_bytes(), |s| {
                    self.active.as_ref().is_some_and(|a| a.writer.knows(s))
                });
                bytes += queued_bytes(&front.batch);
                // A new segment is made as long as its first frame needs.
                let first = group.is_empty() && self.active.is_none();
                let fits = with.fits() && (group.is_empty() || bytes <= limits::GROUP_BYTES_MAX);
                if !fits && !first {
                    break;
                }
                room = with;
                if let Some(pending) = self.taken.pop_front() {
                    self.taken_bytes -= queued_bytes(&pending.batch);
                    group.push(pending);
                }
            }
            if !group.is_empty() {
                return Ok(Some(group));
            }
            self.full_segments += 1;
            self.end_active(core)?;
        }
    }

    fn take_queued(&mut self, core: &Core) {
        let mut state = core.state();
        while self.taken_bytes < limits::GROUP_BYTES_MAX {
            let Some(pending) = state.queue.pop_front() else { break };
            self.taken_bytes += queued_bytes(&pending.batch);
            self.taken.push_back(pending);
        }
    }

    /// Writes and publishes a group. An error means that the store has to be poisoned; the group's
    /// waiters have been told then.
    fn commit(&mut self, core: &Core, mut group: Vec<Pending>) -> Result<()> {
        let received = core.clock.now();
        let mut retried = false;
        loop {
            if self.active.is_none() {
                match self.create_segment(core, &group) {
                    Ok(()) => {}
                    Err(Failure::Refused(error)) => {
                        self.fail_everything(core, group, &error);
                        return Ok(());
                    }
                    Err(Failure::Broken(error)) => return Err(tell(core, group, error)),
                }
            }
            let firsts = match self.write(&mut group, received) {
                Ok(firsts) => firsts,
                Err(error) if error.kind() == ErrorKind::Full => {
                    // The disk is full: this segment ends where its last durable group ended.
                    if let Err(error) = self.give_up_segment(core) {
                        return Err(tell(core, group, error));
                    }
                    if retried {
                        self.fail_everything(core, group, &error);
                        return Ok(());
                    }
                    retried = true;
                    group.iter_mut().for_each(Pending::renew_filter);
                    continue;
                }
                Err(error) => return Err(tell(core, group, error)),
            };
            return match self.sync(core) {
                Ok(()) => {
                    self.publish(core, group, &firsts, received);
                    Ok(())
                }
                Err(error) => Err(tell(core, group, error)),
            };
        }
    }

    /// Stamps and writes a group; says the first sequence of each batch.
    fn write(&mut self, group: &mut [Pending], received: Timestamp) -> Result<Vec<u64>> {
        let Some(active) = &mut self.active else {
            return Err(Error::closed("no segment is open for writing"));
        };
        active.writer.begin(self.next_sequence);
        let mut firsts = Vec::with_capacity(group.len());
        for pending in group {
            let traces = std::mem::take(&mut pending.traces);
            firsts.push(active.writer.put(&pending.batch, traces, received)?);
        }
        active.writer.write()?;
        Ok(firsts)
    }

    fn sync(&mut self, core: &Core) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let before = core.clock.monotonic_ns();
        active.writer.sync()?;
        core.counters.add_sync(core.clock.monotonic_ns().saturating_sub(before));
        Ok(())
    }

    /// Makes a durable group visible and tells everybody who waits for it.
    fn publish(&mut self, core: &Core, group: Vec<Pending>, firsts: &[u64], received: Timestamp) {
        let Some(active) = &mut self.active else { return };
        let now = core.clock.monotonic_ns();
        if active.writer.summary.frames == group.len() as u64 {
            active.first_frame_ns = now;
        }
        active.last_append_ns = now;
        let summary = active.writer.summary;
        self.next_sequence = summary.next_sequence;
        let mut acks = Vec::with_capacity(group.len());
        let (mut bytes, mut events) = (0, 0);
        let count = group.len();
        let mut state = core.state();
        state.active = Some(Visible { segment: active.segment.clone(), summary });
        state.next_sequence = summary.next_sequence;
        state.durable_position = summary.end_position;
        for (pending, &first_sequence) in group.into_iter().zip(firsts) {
            let FrameHeader { producer_id, epoch, batch_number, .. } = pending.batch.header;
            bytes += queued_bytes(&pending.batch);
            events += u64::from(pending.batch.header.events);
            let numbered = (epoch, batch_number);
            let retries = state.producers.durable(producer_id, numbered, first_sequence, received);
            let first_sequence = Some(first_sequence);
            acks.push((pending.completion, Ack { first_sequence, duplicate: false }));
            for retry in retries {
                acks.push((retry, Ack { first_sequence, duplicate: true }));
            }
        }
        state.in_flight_bytes = state.in_flight_bytes.saturating_sub(bytes);
        drop(state);
        core.counters.add_group(count, events, bytes as u64);
        for (completion, ack) in acks {
            completion.complete(Ok(ack));
        }
    }

    /// Makes the next segment: its header and its name are durable before its first frame.
    fn create_segment(&mut self, core: &Core, group: &[Pending]) -> Result<(), Failure> {
        let mut room = Room::of_new(0);
        for pending in group {
            room.take(&pending.batch, pending.traces.memory_bytes(), |_| false);
        }
        let length = self.segment_length(core).max(room.needed());
        let header = SegmentHeader {
            compacted: false,
            store_id: core.store_id,
            segment_id: self.log_end.segment_id + 1,
            salt: self.random.draw(core.clock.now()),
            base_position: self.log_end.end_position,
            base_sequence: self.next_sequence,
            declared_length: length.next_multiple_of(LENGTH_STEP),
            previous: self.log_end,
        };
        let name = log_file_name(header.segment_id);
        // Where no file could be made there is none; one that was made goes again.
        let file = core.storage.create(&name).map_err(Failure::of)?;
        let writer = match LogWriter::begin_file(file, header) {
            Ok(writer) => writer,
            Err(error) => {
                core.storage.remove(&name).map_err(Failure::Broken)?;
                return Err(Failure::of(error));
            }
        };
        writer.file.sync_all().map_err(Failure::Broken)?;
        core.storage.sync_dir().map_err(Failure::Broken)?;
        let now = core.clock.monotonic_ns();
        self.resume(writer, now);
        Ok(())
    }

    /// After a write that the full disk refused: no frame of it may ever be read, and the segment
    /// takes no more. One without a durable frame goes.
    fn give_up_segment(&mut self, core: &Core) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if active.writer.summary.frames > 0 {
            active.writer.void_group()?;
        }
        self.end_active(core)
    }

    /// Ends the active segment: its footer is maintenance's work. An empty one is removed.
    pub(crate) fn end_active(&mut self, core: &Core) -> Result<()> {
        let Some(Active { writer, segment, .. }) = self.active.take() else { return Ok(()) };
        if writer.summary.frames == 0 {
            core.state().active = None;
            core.storage.remove(&segment.pin.name)?;
            return core.storage.sync_dir();
        }
        self.log_end = writer.header.log_end(writer.summary.end_position);
        let ended = Ended {
            header: writer.header,
            directory: writer.directory().clone(),
            file: writer.file,
            summary: writer.summary,
            digest: writer.digest,
            segment: segment.clone(),
            was_sealed: false,
        };
        let mut state = core.state();
        state.active = None;
        let visible = Visible { segment, summary: ended.summary };
        Arc::make_mut(&mut state.version).segments.push(visible);
        state.ended.push_back(Arc::new(ended));
        drop(state);
        core.maintenance_wake.wake();
        Ok(())
    }

    /// Without a group: a watermark frame, the end of a silent segment, or a time to come back.
    fn idle(&mut self, core: &Core, now: u64) -> Result<Next> {
        let Some(active) = &mut self.active else { return Ok(Next::Idle) };
        let seal_at = active.seal_at();
        if now >= seal_at {
            return self.end_active(core).map(|()| Next::Idle);
        }
        let silent = active.writer.ends_with_watermark || !active.writer.room().fits();
        let watermark_at = active.last_append_ns.saturating_add(WATERMARK_AFTER_NS);
        if silent || now < watermark_at {
            let next = if silent { seal_at } else { seal_at.min(watermark_at) };
            return Ok(Next::At(next));
        }
        self.write_watermark(core).map(|()| Next::At(seal_at))
    }

    fn write_watermark(&mut self, core: &Core) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        active.writer.begin(self.next_sequence);
        let written =
            active.writer.put_watermark(core.clock.now()).and_then(|()| active.writer.write());
        match written {
            Err(error) if error.kind() == ErrorKind::Full => return self.give_up_segment(core),
            other => other?,
        }
        active.writer.sync()?;
        let end = active.writer.summary.end_position;
        let visible = Visible { segment: active.segment.clone(), summary: active.writer.summary };
        let mut state = core.state();
        state.active = Some(visible);
        state.durable_position = end;
        Ok(())
    }

    /// Nothing of what is in flight is stored: every producer can send it again.
    fn fail_everything(&mut self, core: &Core, group: Vec<Pending>, error: &Error) {
        let mut state = core.state();
        let retries = state.producers.fail_all();
        let queued: Vec<_> = state.queue.drain(..).collect();
        state.in_flight_bytes = 0;
        drop(state);
        self.taken_bytes = 0;
        let pending = group.into_iter().chain(self.taken.drain(..)).chain(queued);
        for completion in pending.map(|p| p.completion).chain(retries) {
            completion.complete(Err(error.clone()));
        }
    }

    fn fail_poisoned(&mut self, core: &Core, cause: &Error) -> Error {
        let error = core.poison(cause);
        for pending in self.taken.drain(..) {
            pending.completion.complete(Err(error.clone()));
        }
        self.taken_bytes = 0;
        error
    }

    /// Whoever waits for what was taken is told that the store is gone.
    pub(crate) fn drop_taken(&mut self) {
        self.taken.clear();
        self.taken_bytes = 0;
    }

    fn segment_length(&self, core: &Core) -> u64 {
        let full = core.options.segment_bytes;
        let young = YOUNG_SEGMENTS.get(self.full_segments).copied().unwrap_or(full);
        young.min(full).max(limits::SEGMENT_BYTES_MIN)
    }
}

/// How many full segments must have come before one that is this long.
pub(crate) fn full_segments_before(length: u64) -> usize {
    // More than half of a young segment's length: it was full, or nearly.
    YOUNG_SEGMENTS.iter().take_while(|&&young| length > young / 2).count()
}

/// Why a segment could not be made.
enum Failure {
    /// Nothing has happened; it may work later.
    Refused(Error),
    /// Nobody knows what is on disk.
    Broken(Error),
}

impl Failure {
    /// Before the first sync of a new segment.
    fn of(error: Error) -> Failure {
        if error.changed_nothing() { Failure::Refused(error) } else { Failure::Broken(error) }
    }
}

/// Poisons the store on behalf of a group, whose waiters are told.
fn tell(core: &Core, group: Vec<Pending>, cause: Error) -> Error {
    let error = core.poison(&cause);
    for pending in group {
        pending.completion.complete(Err(error.clone()));
    }
    cause
}

fn open_segment(writer: &LogWriter) -> Arc<Segment> {
    let header = &writer.header;
    Arc::new(Segment {
        pin: Pin::new(log_file_name(header.segment_id), header.salt, header.declared_length),
        segment_id: header.segment_id,
        compacted: false,
        salt: header.salt,
        base_position: header.base_position,
        form: Form::Open { file: writer.file.clone(), directory: writer.directory().clone() },
    })
}

impl Active {
    fn is_large(&self) -> bool {
        let summary = &self.writer.summary;
        summary.end_position - summary.base_position >= SEAL_BYTES_MIN
    }

    fn is_aged(&self, now: u64) -> bool {
        self.is_large() && now >= self.first_frame_ns.saturating_add(SEAL_AGE_NS)
    }

    fn seal_at(&self) -> u64 {
        if !self.is_large() {
            return self.last_append_ns.saturating_add(SEAL_SMALL_AFTER_NS);
        }
        let aged = self.first_frame_ns.saturating_add(SEAL_AGE_NS);
        self.last_append_ns.saturating_add(SEAL_AFTER_NS).min(aged)
    }
}

//! The disk's state, and what becomes of a call.

use std::collections::BTreeMap;
use std::io;

use annal::error::{Error, Result};
use annal::format::frame::{FrameHeader, FrameKind};
use annal::format::segment::SEGMENT_HEADER_BYTES;

use super::faults::{Call, Fault, FaultKind, Lie};
use super::inode::Inode;

/// See the module's documentation for the rules.
#[derive(Default)]
pub(super) struct Disk {
    pub(super) inodes: Vec<Inode>,
    /// As the process sees it.
    pub(super) names: BTreeMap<String, usize>,
    /// As it is found if no pending change of names survives.
    pub(super) durable_names: BTreeMap<String, usize>,
    pub(super) pending_names: Vec<NameChange>,
    pub(super) has_orphans: bool,
    pub(super) writer: Option<String>,
    pub(super) readers: usize,
    /// Calls so far.
    pub(super) calls: u64,
    /// Each of them, if wanted.
    pub(super) record: Option<Vec<Call>>,
    /// Changes so far.
    pub(super) changes: u64,
    /// Power goes at this change.
    pub(super) power_loss_at: Option<u64>,
    /// It is the process that goes then: the page cache stays.
    pub(super) power_stays: bool,
    /// No call succeeds any more.
    pub(super) off: bool,
    pub(super) fault: Option<Fault>,
    pub(super) fault_met: Option<Call>,
    pub(super) lie: Option<Lie>,
    pub(super) syncs: u64,
    pub(super) capacity: Option<u64>,
    pub(super) free_bytes_hidden: bool,
    /// No file can be opened: too many are.
    pub(super) files_open_max: bool,
    /// What the engine did that it must never do.
    pub(super) misuse: Vec<String>,
    /// Behind the last sequence in any frame that was ever written, durable or not.
    pub(super) sequences_given: u64,
}

#[derive(Clone)]
pub(super) struct NameChange {
    pub(super) stamp: u64,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) inode: usize,
}

impl NameChange {
    pub(super) fn apply(&self, names: &mut BTreeMap<String, usize>) {
        if let Some(from) = &self.from
            && names.get(from) == Some(&self.inode)
        {
            names.remove(from);
        }
        if let Some(to) = &self.to {
            names.insert(to.clone(), self.inode);
        }
    }
}

/// What happens to a call.
pub(super) enum Outcome {
    /// It does what it should.
    Done,
    /// It takes effect, and nobody hears of it: power is gone.
    DoneUnheard,
    /// A write takes only half.
    Half,
}

impl Disk {
    /// Counts a call and says what becomes of it.
    pub(super) fn call(&mut self, call: Call, name: &str) -> Result<Outcome> {
        if self.off {
            return Err(power_lost());
        }
        let number = self.calls;
        self.calls += 1;
        if let Some(record) = &mut self.record {
            record.push(call);
        }
        if call.changes() {
            self.changes += 1;
            if self.power_loss_at.is_some_and(|at| self.changes > at) {
                self.off = true;
                return if call.syncs() { Err(power_lost()) } else { Ok(Outcome::DoneUnheard) };
            }
        }
        if self.files_open_max && FaultKind::OpenFiles.suits(call) {
            let attempted = format!("{call:?} {name}");
            return Err(Error::io(attempted, FaultKind::OpenFiles.error()).in_file(name));
        }
        match self.fault {
            Some(fault) if number >= fault.at_call && fault.kind.suits(call) => {
                self.fault = None;
                self.fault_met = Some(call);
                if fault.kind == FaultKind::ShortWrite {
                    return Ok(Outcome::Half);
                }
                let attempted = format!("{call:?} {name}");
                Err(Error::io(attempted, fault.kind.error()).in_file(name))
            }
            _ => Ok(Outcome::Done),
        }
    }

    pub(super) fn heard<T>(&self, value: T) -> Result<T> {
        if self.off { Err(power_lost()) } else { Ok(value) }
    }

    pub(super) fn change_names(&mut self, from: Option<&str>, to: Option<&str>, inode: usize) {
        let (from, to) = (from.map(str::to_owned), to.map(str::to_owned));
        let change = NameChange { stamp: self.changes, from, to, inode };
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    /// Whether a file may grow to this length.
    pub(super) fn check_capacity(&self, inode: usize, length: u64) -> Result<()> {
        let Some(capacity) = self.capacity else { return Ok(()) };
        let used: u64 =
            self.names.values().filter(|&&i| i != inode).map(|&i| self.inodes[i].length).sum();
        let old = self.inodes[inode].length;
        if length > old && used + length > capacity {
            return Err(Error::io("simulated write", FaultKind::NoSpace.error()));
        }
        Ok(())
    }

    /// Looks for stamped frames in what is written to a log file.
    pub(super) fn note_sequences(&mut self, name: &str, offset: u64, bytes: &[u8]) {
        if !name.starts_with("log-") {
            return;
        }
        let mut at = (SEGMENT_HEADER_BYTES as u64).saturating_sub(offset) as usize;
        while let Some(header) = bytes.get(at..).and_then(|b| b.first_chunk())
            && let Ok(frame) = FrameHeader::decode(header)
        {
            let end = frame.first_sequence + u64::from(frame.events);
            if frame.kind == FrameKind::Batch {
                self.sequences_given = self.sequences_given.max(end);
            }
            at += frame.frame_bytes() as usize;
        }
    }

    pub(super) fn changes_frozen(&mut self, inode: usize, what: &str) {
        if self.inodes[inode].frozen {
            self.misuse.push(format!("{what} of a file of which a region was taken"));
        }
    }

    pub(super) fn sync_lies(&mut self) -> bool {
        self.syncs += 1;
        match self.lie {
            Some(Lie::SyncFile) => true,
            Some(Lie::OneSyncIn(of)) => self.syncs.is_multiple_of(of),
            _ => false,
        }
    }
}

pub(super) fn power_lost() -> Error {
    Error::io("simulated disk", io::Error::other("power is gone"))
}

pub(super) fn refused(attempted: &str, name: &str, kind: io::ErrorKind) -> Error {
    Error::io(format!("{attempted} {name}"), kind.into()).in_file(name)
}

//! What admission, committer, maintenance and readers share, under one lock: the queue, the
//! producer table, and what is visible. Nobody touches storage while holding it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use xxhash_rust::xxh3::Xxh3;

use crate::column::Batch;
use crate::error::{Error, ErrorKind, Result};
use crate::format::segment::SegmentHeader;
use crate::index::TraceFilter;
use crate::options::Options;
use crate::segment::{Directory, SegmentSummary};
use crate::storage::{File, Lock, Storage};
use crate::store::committer::Committer;
use crate::store::compaction::{Compactor, Debt};
use crate::store::completion::Completion;
use crate::store::driver::Wake;
use crate::store::maintenance::Maintenance;
use crate::store::producers::ProducerTable;
use crate::store::scrub::Scrubber;
use crate::store::stats::Counters;
use crate::store::version::{ReadContext, Segment, Version, Visible};
use crate::time::Clock;

/// An open store.
pub(crate) struct Core {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) store_id: [u8; 16],
    pub(crate) context: Arc<ReadContext>,
    pub(crate) state: Mutex<State>,
    /// Locked before `state`, never after it.
    pub(crate) committer: Mutex<Committer>,
    /// Locked before `state`, never after it.
    pub(crate) maintenance: Mutex<Maintenance>,
    /// Locked before `maintenance` and `state`, never after them.
    pub(crate) compactor: Mutex<Compactor>,
    /// Locked before `state`, never after it.
    pub(crate) scrubber: Mutex<Scrubber>,
    pub(crate) committer_wake: Wake,
    pub(crate) maintenance_wake: Wake,
    pub(crate) compactor_wake: Wake,
    pub(crate) hurry_wake: Wake,
    pub(crate) scrub_wake: Wake,
    pub(crate) counters: Counters,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
}

/// See the module.
pub(crate) struct State {
    pub(crate) mode: Mode,
    pub(crate) queue: VecDeque<Pending>,
    /// Bytes admitted and not yet durable.
    pub(crate) in_flight_bytes: usize,
    pub(crate) producers: ProducerTable,
    pub(crate) version: Arc<Version>,
    /// The visible part of the active segment.
    pub(crate) active: Option<Visible>,
    /// Segments that take no more frames and wait for their footers, in order.
    pub(crate) ended: VecDeque<Arc<Ended>>,
    /// First sequence that is not visible (WM-1: never decreases).
    pub(crate) next_sequence: u64,
    /// Everything before it is durable.
    pub(crate) durable_position: u64,
    /// Free space is below the low-water mark.
    pub(crate) space_low: bool,
    /// What waits for compaction has become much; as the compactor last saw it.
    pub(crate) debt: Debt,
    /// The compactor does nothing by itself.
    pub(crate) compaction_paused: bool,
}

/// What the store takes.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Everything.
    Open,
    /// Reads only, and was opened so.
    ReadOnly,
    /// No more appends.
    Closed,
    /// Reads only, since a sync or write failed.
    Poisoned(String),
}

/// A batch on its way to the log.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) traces: TraceFilter,
    pub(crate) completion: Completion,
}

impl Pending {
    /// Makes the filter again that was spent on a write that failed.
    pub(crate) fn renew_filter(&mut self) {
        self.traces = TraceFilter::of(&self.batch.summary.trace_hashes);
    }
}

/// A segment without a footer.
pub(crate) struct Ended {
    pub(crate) header: SegmentHeader,
    pub(crate) file: Arc<dyn File>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) summary: SegmentSummary,
    /// Of header and frames.
    pub(crate) digest: Xxh3,
    pub(crate) segment: Arc<Segment>,
    /// It has a footer already, which a process before this one left.
    pub(crate) was_sealed: bool,
}

impl Core {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn committer(&self) -> MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn compactor(&self) -> MutexGuard<'_, Compactor> {
        self.compactor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn scrubber(&self) -> MutexGuard<'_, Scrubber> {
        self.scrubber.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn maintenance(&self) -> MutexGuard<'_, Maintenance> {
        self.maintenance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no more writes from here on: what failed may or may not be stored, and nothing that
    /// comes later could be promised.
    pub(crate) fn poison(&self, cause: &Error) -> Error {
        let mut state = self.state();
        if matches!(state.mode, Mode::Open | Mode::Closed) {
            state.mode = Mode::Poisoned(format!("{cause}"));
        }
        let error = poisoned(&format!("{cause}"));
        let retries = state.producers.fail_all();
        let queued: Vec<_> = state.queue.drain(..).collect();
        state.in_flight_bytes = 0;
        drop(state);
        for completion in queued.into_iter().map(|p| p.completion).chain(retries) {
            completion.complete(Err(error.clone()));
        }
        error
    }
}

impl State {
    /// Whether the store takes batches.
    pub(crate) fn check_open(&self) -> Result<()> {
        match &self.mode {
            Mode::Open => Ok(()),
            Mode::ReadOnly => Err(Error::invalid("the store was opened for reading only")),
            Mode::Closed => Err(Error::closed("the store is closed")),
            Mode::Poisoned(cause) => Err(poisoned(cause)),
        }
    }

    /// Bytes of segment files that no manifest names yet.
    pub(crate) fn log_bytes_unnamed(&self) -> u64 {
        let ended = self.ended.iter().map(|e| e.segment.pin.length());
        ended.chain(self.active.iter().map(|a| a.segment.pin.length())).sum()
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        matches!(self.mode, Mode::Poisoned(_))
    }
}

/// What a poisoned store answers.
fn poisoned(cause: &str) -> Error {
    let what = format!(
        "storage failed ({cause}); what was in flight may or may not be stored; restart the \
         store, then send again"
    );
    Error::new(ErrorKind::Poisoned, what)
}

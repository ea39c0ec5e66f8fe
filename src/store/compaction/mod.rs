//! Compaction: log segments become segments of blocks, small ones become large ones (CMP-1).
//!
//! One step does one piece, so that a crash can come between any two and nobody waits long:
//!
//! 1. Plan the next job from the manifest (`planner`), or say when to look again.
//! 2. Gather a block's events from the inputs and write it to `<name>.tmp` (`job`).
//! 3. At the end: tail, sync, rename, sync of the directory, and one edit of the manifest that names
//!    the new file instead of the inputs; the producer table is checkpointed before a log segment
//!    goes. Inputs are unlinked when no snapshot pins them (MAN-1).
//!
//! Nothing that was acknowledged depends on a job until the manifest names its file: on a full disk,
//! and where an input is damaged, the job is given up and tried again later.

mod job;
mod planner;

use crate::error::{Error, ErrorKind, Result};
use crate::store::Next;
use crate::store::random::Random;
use crate::store::state::{Core, Mode};
use crate::time::SECOND_NS;

pub(crate) use job::Output;

use job::{Job, Progress};
use planner::plan;

/// How far a job has come.
#[derive(Clone, Copy, Debug)]
pub struct CompactProgress {
    /// Bytes of the inputs read so far.
    pub bytes: u64,
    /// Bytes of the inputs.
    pub bytes_total: u64,
}

/// Told about progress; slow ones slow the compaction.
pub type CompactCallback<'a> = &'a mut dyn FnMut(CompactProgress);

/// How often the manifest is looked at when there is nothing to do.
const CHECK_EVERY_NS: u64 = SECOND_NS as u64;
/// A store is quiet when nothing has been sealed for so long and no segment is open.
const QUIET_NS: u64 = 2 * SECOND_NS as u64;
/// Log segments do not wait longer than this, however busy the store is.
const WAIT_NS_MAX: u64 = 60 * SECOND_NS as u64;
/// After a job that failed.
const RETRY_NS: u64 = 30 * SECOND_NS as u64;

/// See the module.
pub(crate) struct Compactor {
    job: Option<Job>,
    random: Random,
    /// The newest log segment that was seen, and when it was seen first.
    newest: (u64, u64),
    /// Since when log segments have been waiting.
    waiting_since_ns: Option<u64>,
    not_before_ns: u64,
}

impl Compactor {
    pub(crate) fn new(random: Random) -> Compactor {
        Compactor { job: None, random, newest: (0, 0), waiting_since_ns: None, not_before_ns: 0 }
    }

    /// One step; see the module. An error has poisoned the store.
    pub(crate) fn step(&mut self, core: &Core) -> Result<Next> {
        if !matches!(core.state().mode, Mode::Open) {
            return Ok(Next::Idle);
        }
        let now = core.clock.monotonic_ns();
        if now < self.not_before_ns {
            return Ok(Next::At(self.not_before_ns));
        }
        match self.work(core, now) {
            Ok(next) => Ok(next),
            Err(error) if self.is_harmless(&error) => {
                self.give_up(core).map_err(|e| core.poison(&e))?;
                core.counters.add_compaction_failure();
                self.not_before_ns = now.saturating_add(RETRY_NS);
                Ok(Next::At(self.not_before_ns))
            }
            Err(error) => Err(core.poison(&error)),
        }
    }

    /// Compacts until nothing is left to do, whether or not the store is quiet.
    pub(crate) fn run_to_end(&mut self, core: &Core, progress: CompactCallback<'_>) -> Result<()> {
        loop {
            core.state().check_open()?;
            if self.job.is_none() && !self.begin(core, true)? {
                return Ok(());
            }
            if let Some(job) = &self.job {
                let (bytes, bytes_total) = job.progress();
                progress(CompactProgress { bytes, bytes_total });
            }
            if let Err(error) = self.advance(core) {
                return Err(match self.is_harmless(&error) {
                    true => self.give_up(core).err().unwrap_or(error),
                    false => core.poison(&error),
                });
            }
        }
    }

    /// A full disk or a damaged input concerns the job alone. Storage that fails does not, whatever
    /// file it failed on.
    fn is_harmless(&self, error: &Error) -> bool {
        error.changed_nothing() || self.job.is_some() && error.kind() == ErrorKind::Corrupt
    }

    fn work(&mut self, core: &Core, now: u64) -> Result<Next> {
        if self.job.is_none() {
            let quiet = self.look(core, now);
            if !self.begin(core, quiet)? {
                return Ok(Next::At(now.saturating_add(CHECK_EVERY_NS)));
            }
        }
        self.advance(core).map(|()| Next::Now)
    }

    /// Whether log segments should be compacted although they are few.
    fn look(&mut self, core: &Core, now: u64) -> bool {
        let newest = core.maintenance().manifest().log_end.segment_id;
        if newest != self.newest.0 {
            self.newest = (newest, now);
            self.waiting_since_ns.get_or_insert(now);
        }
        let silent = {
            let state = core.state();
            state.active.is_none() && state.ended.is_empty() && state.queue.is_empty()
        };
        let waited = self.waiting_since_ns.is_some_and(|since| now >= since + WAIT_NS_MAX);
        silent && now >= self.newest.1 + QUIET_NS || waited
    }

    fn begin(&mut self, core: &Core, quiet: bool) -> Result<bool> {
        let (records, plan) = {
            let maintenance = core.maintenance();
            let segments = &maintenance.manifest().segments;
            let Some(plan) = plan(segments, quiet) else { return Ok(false) };
            (segments.get(plan.inputs.clone()).unwrap_or_default().to_vec(), plan)
        };
        self.waiting_since_ns = None;
        self.job = Job::begin(core, &records, plan.level, &mut self.random)?;
        Ok(self.job.is_some())
    }

    fn advance(&mut self, core: &Core) -> Result<()> {
        let Some(job) = &mut self.job else { return Ok(()) };
        if job.step(core)? == Progress::More {
            return Ok(());
        }
        let output = job.finish(core)?;
        // From here on an error is the manifest's.
        let Some(Job { inputs, .. }) = self.job.take() else { return Ok(()) };
        let replaced = core.maintenance().replace(core, &inputs, output)?;
        if replaced {
            core.counters.add_compaction(inputs.iter().map(|r| r.events).sum());
        }
        core.maintenance_wake.wake();
        Ok(())
    }

    /// Gives the job up: its file goes, the inputs stay.
    pub(crate) fn give_up(&mut self, core: &Core) -> Result<()> {
        match self.job.take() {
            Some(job) => job.give_up(core),
            None => Ok(()),
        }
    }
}

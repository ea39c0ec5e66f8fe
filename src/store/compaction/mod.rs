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
//! Nothing that was acknowledged depends on a job until the manifest names its file: where space is
//! low the job is given up and tried again later; an input that cannot be read is planned around
//! from then on, whatever is wrong with it, and its neighbours are compacted.

mod debt;
mod job;
mod known;
mod planner;
mod source;

use std::collections::{HashSet, VecDeque};

use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::SegmentRecord;
use crate::storage::remove_if_there;
use crate::store::Next;
use crate::store::maintenance::free_bytes_min;
use crate::store::random::Random;
use crate::store::state::{Core, Mode};
use crate::store::version::Form;
use crate::time::SECOND_NS;

pub(crate) use debt::Debt;
pub(crate) use job::Output;

use job::{Job, Progress};
use planner::{Rules, plan};

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
    /// Log segments up to which id were there when.
    seen: VecDeque<(u64, u64)>,
    /// Salts of inputs that could not be read, or have more series than are merged: planned around
    /// until the store is opened anew.
    set_aside: HashSet<u64>,
    /// Files of jobs given up that could not be removed yet.
    leftovers: Vec<String>,
    not_before_ns: u64,
    /// The last job failed, and not for an input: nobody is to wait for the next.
    failing: bool,
}

/// What came of looking for a job.
enum Begun {
    Job,
    /// Nothing is left to do.
    Nothing,
    /// Retention has taken an input meanwhile: plan again.
    Again,
}

impl Compactor {
    pub(crate) fn new(random: Random) -> Compactor {
        Compactor {
            job: None,
            random,
            seen: VecDeque::new(),
            set_aside: HashSet::new(),
            leftovers: Vec::new(),
            not_before_ns: 0,
            failing: false,
        }
    }

    /// One step; see the module. An error has poisoned the store.
    pub(crate) fn step(&mut self, core: &Core) -> Result<Next> {
        if !matches!(core.state().mode, Mode::Open) {
            return Ok(Next::Idle);
        }
        if core.state().compaction_paused {
            return self.rest(core);
        }
        let now = core.clock.monotonic_ns();
        if now < self.not_before_ns {
            return Ok(Next::At(self.not_before_ns));
        }
        // Counted at each step: what follows from it must end as well. Whoever is refused for what
        // waits must not wait until it is worth a job.
        let refuses = self.count_debt(core).refuses;
        let quiet = self.look(core, now) || refuses;
        match self.turn(core, quiet) {
            Ok(true) => Ok(Next::Now),
            Ok(false) => Ok(Next::At(now.saturating_add(CHECK_EVERY_NS))),
            Err(error) => match self.failed(core, error) {
                error if error.kind() == ErrorKind::Poisoned => Err(error),
                // It is planned around from now on.
                error if is_of_input(&error) => Ok(Next::At(now.saturating_add(CHECK_EVERY_NS))),
                _ => {
                    self.not_before_ns = now.saturating_add(RETRY_NS);
                    Ok(Next::At(self.not_before_ns))
                }
            },
        }
    }

    /// While compaction is paused its job waits, unless the space that it holds is needed.
    fn rest(&mut self, core: &Core) -> Result<Next> {
        if self.job.is_none() {
            return Ok(Next::Idle);
        }
        if core.state().space_low {
            return self.give_up(core).map(|()| Next::Idle).map_err(|error| core.poison(&error));
        }
        Ok(Next::At(core.clock.monotonic_ns().saturating_add(CHECK_EVERY_NS)))
    }

    /// Compacts until nothing is left to do, whether or not the store is quiet. What cannot be read
    /// is left out, and is the error in the end.
    pub(crate) fn run_to_end(&mut self, core: &Core, progress: CompactCallback<'_>) -> Result<()> {
        let mut unreadable = None;
        loop {
            core.state().check_open()?;
            match self.turn(core, true) {
                Ok(false) => return unreadable.map_or(Ok(()), Err),
                Ok(true) => {}
                Err(error) => match self.failed(core, error) {
                    error if is_of_input(&error) => drop(unreadable.get_or_insert(error)),
                    error => return Err(error),
                },
            }
            if let Some(job) = &self.job {
                let (bytes, bytes_total) = job.progress();
                progress(CompactProgress { bytes, bytes_total });
            }
        }
    }

    /// Puts on record what waits and what follows from it.
    fn count_debt(&self, core: &Core) -> Debt {
        let mut state = core.state();
        let waits = core.options.compaction && !state.compaction_paused && !self.failing;
        let segments = state.version.segments.iter().map(|v| &v.segment);
        let log = segments.filter(|s| {
            let sealed = matches!(s.form, Form::Sealed { .. });
            waits && sealed && !s.compacted && !self.set_aside.contains(&s.salt)
        });
        let bytes = log.map(|s| s.pin.length()).sum();
        state.debt = state.debt.owing(bytes, core.options.compaction_debt_bytes_max);
        state.debt
    }

    /// Goes on with the job, or begins one; false if there is none.
    fn turn(&mut self, core: &Core, quiet: bool) -> Result<bool> {
        if self.job.is_some() {
            return self.advance(core).map(|()| true);
        }
        Ok(!matches!(self.begin(core, quiet)?, Begun::Nothing))
    }

    /// What comes of an error: a full disk or an unreadable input concerns the job alone, which is
    /// given up. Storage that fails under what is written does not: it poisons the store.
    fn failed(&mut self, core: &Core, error: Error) -> Error {
        let input = self.job.as_ref().filter(|_| is_of_input(&error)).and_then(Job::reading);
        if input.is_none() && !error.changed_nothing() {
            return core.poison(&error);
        }
        let salt = input.map(|record| record.salt);
        self.failing |= salt.is_none();
        self.set_aside.extend(salt);
        self.count_debt(core);
        core.counters.add_compaction_failure(&error);
        match self.give_up(core) {
            Ok(()) => error,
            Err(error) => core.poison(&error),
        }
    }

    /// Whether log segments should be compacted although they are few.
    fn look(&mut self, core: &Core, now: u64) -> bool {
        let (newest, waiting) = {
            let maintenance = core.maintenance();
            let manifest = maintenance.manifest();
            let waits = |s: &&SegmentRecord| s.level == 0 && !self.set_aside.contains(&s.salt);
            let oldest = manifest.segments.iter().find(waits).map(|s| s.segment_id);
            (manifest.log_end.segment_id, oldest)
        };
        if self.seen.back().is_none_or(|seen| seen.0 != newest) {
            self.seen.push_back((newest, now));
        }
        // The last one stays: it says since when nothing has come.
        while self.seen.len() > 1
            && self.seen.front().is_some_and(|seen| waiting.is_none_or(|id| seen.0 < id))
        {
            self.seen.pop_front();
        }
        let since = |seen: Option<&(u64, u64)>| seen.map_or(now, |seen| seen.1);
        let silent = {
            let state = core.state();
            state.active.is_none() && state.ended.is_empty() && state.queue.is_empty()
        };
        let waited = waiting.is_some() && now >= since(self.seen.front()) + WAIT_NS_MAX;
        silent && now >= since(self.seen.back()) + QUIET_NS || waited
    }

    fn begin(&mut self, core: &Core, quiet: bool) -> Result<Begun> {
        self.remove_leftovers(core)?;
        let (records, level) = {
            let maintenance = core.maintenance();
            let segments = &maintenance.manifest().segments;
            let (set_aside, retention) = (&self.set_aside, core.options.retention);
            let rules = Rules { quiet, set_aside, retention };
            let Some(plan) = plan(segments, &rules) else { return Ok(Begun::Nothing) };
            (segments.get(plan.inputs).unwrap_or_default().to_vec(), plan.level)
        };
        check_space(core, records.iter().map(|record| record.file_length).sum())?;
        self.job = Job::begin(core, &records, level, &mut self.random)?;
        Ok(if self.job.is_some() { Begun::Job } else { Begun::Again })
    }

    fn advance(&mut self, core: &Core) -> Result<()> {
        let Some(job) = &mut self.job else { return Ok(()) };
        // What is left of the disk is for ingest.
        check_space(core, 0)?;
        let progress = job.step(core)?;
        core.counters.set_compaction_job(job.progress());
        match progress {
            Progress::More => return Ok(()),
            Progress::Done => {}
            Progress::Pointless => {
                self.set_aside.extend(job.reading().map(|record| record.salt));
                return self.give_up(core);
            }
        }
        let output = job.finish(core)?;
        // From here on an error is the manifest's.
        let Some(Job { inputs, copied, .. }) = self.job.take() else { return Ok(()) };
        core.counters.set_compaction_job((0, 0));
        let written = output.record.file_length;
        let replaced = core.maintenance().replace(core, &inputs, output)?;
        self.failing = false;
        self.count_debt(core);
        if replaced {
            let sum = |of: fn(&SegmentRecord) -> u64| inputs.iter().map(of).sum();
            core.counters.add_compaction(sum(|r| r.events), sum(|r| r.file_length), written);
            core.counters.add_blocks_copied(copied);
        }
        core.maintenance_wake.wake();
        Ok(())
    }

    /// Gives the job up: its file goes, the inputs stay.
    pub(crate) fn give_up(&mut self, core: &Core) -> Result<()> {
        let Some(Job { temporary, .. }) = self.job.take() else { return Ok(()) };
        core.counters.set_compaction_job((0, 0));
        self.leftovers.push(temporary);
        match self.remove_leftovers(core) {
            // They go later; what is left at a stop goes at the next open.
            Err(error) if error.changed_nothing() => Ok(()),
            outcome => outcome,
        }
    }

    fn remove_leftovers(&mut self, core: &Core) -> Result<()> {
        while let Some(name) = self.leftovers.last() {
            remove_if_there(&*core.storage, name)?;
            self.leftovers.pop();
        }
        Ok(())
    }
}

/// `Full` unless so many bytes can be written before ingest has to stop for want of space.
fn check_space(core: &Core, bytes: u64) -> Result<()> {
    let low = core.state().space_low;
    let needed = bytes.saturating_add(free_bytes_min(&core.options));
    let free = if bytes > 0 { core.storage.free_bytes()? } else { None };
    if !low && free.is_none_or(|free| free >= needed) {
        return Ok(());
    }
    let what = format!("compaction leaves what is free to ingest, and needs {bytes} bytes more");
    Err(Error::new(ErrorKind::Full, what))
}

/// Whether an error of a running job says that an input cannot be compacted.
fn is_of_input(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Limit)
}

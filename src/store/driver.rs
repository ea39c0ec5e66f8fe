//! The threads that drive the state machines in production: one for the log, one for maintenance,
//! one for the scrubber, two for compaction. Of those one takes what all else leaves of the
//! processor; the other takes its turn when too much waits. A thread may not give itself back the
//! priority that it gave up, so that one alone could only ever become slower.
//!
//! The home of the engine's threads, but for those that help queries (`workers`); with
//! `Options::manual` there are none.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::store::Next;
use crate::store::state::Core;
use crate::time::SECOND_NS;

/// Ends a wait before its deadline.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    woken: Mutex<bool>,
    condition: Condvar,
}

impl Wake {
    /// The state machine has something to do.
    pub(crate) fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_one();
    }

    /// Waits to be woken, at most so long; a wake that came before counts.
    fn wait(&self, at_most: Option<Duration>) {
        let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut woken = match at_most {
            None => {
                self.condition.wait_while(woken, |w| !*w).unwrap_or_else(PoisonError::into_inner)
            }
            Some(time) => {
                self.condition
                    .wait_timeout_while(woken, time, |w| !*w)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        *woken = false;
    }
}

/// The running threads of a store.
#[derive(Debug)]
pub(crate) struct Threads {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts them.
    pub(crate) fn start(core: &Arc<Core>) -> Result<Threads> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Threads { stop: stop.clone(), running: Vec::new() };
        let (log, maintenance, compaction) = (core.clone(), core.clone(), core.clone());
        let (also_stop, stop_compaction) = (stop.clone(), stop.clone());
        let (scrub, stop_scrub) = (core.clone(), stop.clone());
        let committer = spawn("annal-log", move || {
            run(&log, &also_stop, |c| &c.committer_wake, Core::step_committer);
        });
        let rest = spawn("annal-upkeep", move || {
            run(&maintenance, &stop, |c| &c.maintenance_wake, Core::step_maintenance);
        });
        let scrubber = core.options.scrub.then(|| {
            // On its own: a disk that goes bad may hold up each of its reads for seconds.
            spawn("annal-scrub", move || {
                give_way();
                run(&scrub, &stop_scrub, |c| &c.scrub_wake, |c| Ok(c.step_scrub()));
            })
        });
        let compactors = core.options.compaction.then(|| {
            let (hurry, stop_hurry) = (compaction.clone(), stop_compaction.clone());
            let slow = spawn("annal-compact", move || {
                give_way();
                run(&compaction, &stop_compaction, |c| &c.compactor_wake, step_slowly);
            });
            let fast = spawn("annal-hurry", move || {
                run(&hurry, &stop_hurry, |c| &c.hurry_wake, step_in_a_hurry);
            });
            [slow, fast]
        });
        let others = compactors.into_iter().flatten().chain(scrubber);
        for started in [committer, rest].into_iter().chain(others) {
            match started {
                Ok(thread) => threads.running.push(thread),
                Err(error) => {
                    threads.stop(core);
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    /// Ends them after the step that each is in.
    pub(crate) fn stop(self, core: &Core) {
        self.stop.store(true, Ordering::Release);
        core.committer_wake.wake();
        core.maintenance_wake.wake();
        core.compactor_wake.wake();
        core.hurry_wake.wake();
        core.scrub_wake.wake();
        for thread in self.running {
            // A panic has been printed, and has poisoned the store on its way.
            thread.join().ok();
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the home of the engine's threads")]
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|e| Error::io(format!("start thread {name}"), e))
}

/// How often the thread that gives way looks whether it is its turn again.
const TURN_NS: u64 = SECOND_NS as u64;

fn step_slowly(core: &Core) -> Result<Next> {
    if core.state().debt.hurries {
        core.hurry_wake.wake();
        return Ok(Next::At(core.clock.monotonic_ns().saturating_add(TURN_NS)));
    }
    core.step_compactor()
}

fn step_in_a_hurry(core: &Core) -> Result<Next> {
    if core.state().debt.hurries { core.step_compactor() } else { Ok(Next::Idle) }
}

/// Compaction takes what ingest and queries leave over. Where a thread has no priority of its own
/// nothing happens.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        let own = rustix::thread::gettid();
        rustix::process::setpriority_process(Some(own), COMPACTION_NICENESS).ok();
    }
}

/// Of 19: idle processors are used, busy ones are left to others.
#[cfg(target_os = "linux")]
const COMPACTION_NICENESS: i32 = 10;

/// A bug must not leave producers waiting for ever.
struct PoisonOnPanic<'a>(&'a Core);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison(&Error::closed("a thread of the store panicked"));
            self.0.committer().drop_taken();
        }
    }
}

fn run(
    core: &Core,
    stop: &AtomicBool,
    wake: impl Fn(&Core) -> &Wake,
    step: impl Fn(&Core) -> Result<Next>,
) {
    let _guard = PoisonOnPanic(core);
    // A step that fails has poisoned the store: whoever waits has been told, and so will whoever
    // comes. The thread lives on so that it can be stopped in the usual way.
    while !stop.load(Ordering::Acquire) {
        match step(core).unwrap_or(Next::Idle) {
            Next::Now => {}
            Next::At(ns) => {
                let left = ns.saturating_sub(core.clock.monotonic_ns());
                wake(core).wait(Some(Duration::from_nanos(left)));
            }
            Next::Idle => wake(core).wait(None),
        }
    }
}

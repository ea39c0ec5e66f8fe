//! Threads that help a query, so that a long scan uses more than one processor.
//!
//! A query asks for help and never stands in a queue for it: where all helpers are busy it works
//! alone. So short queries are never held up behind the long ones of others. A query does wait until
//! a helper that it woke has come, be it to find nothing left; where processors are busy that takes
//! a turn of the scheduler, several milliseconds. So a helper that came late is left alone for a
//! while. A store that is stepped by hand has no helpers at all. The threads are rayon's, started
//! when first asked for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

use crate::time::{Clock, SystemClock};

/// A helper on an idle processor is there within a tenth of this.
const LATE_NS: u64 = 500_000;
/// How long nobody is asked after one came late.
const REST_NS: u64 = 100_000_000;

/// The helpers of one store.
#[derive(Debug)]
pub(crate) struct Workers {
    helpers: usize,
    busy: AtomicUsize,
    /// `None` inside: the system gave no threads.
    pool: OnceLock<Option<ThreadPool>>,
    clock: SystemClock,
    /// Until then nobody is asked.
    rest_until_ns: AtomicU64,
}

/// A helper that was taken; given back when it goes.
struct Taken<'w>(&'w Workers);

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Workers {
    /// For queries that use so many threads, that of the caller included.
    pub(crate) fn new(threads: usize) -> Workers {
        Workers {
            helpers: threads.saturating_sub(1),
            busy: AtomicUsize::new(0),
            pool: OnceLock::new(),
            clock: SystemClock::new(),
            rest_until_ns: AtomicU64::new(0),
        }
    }

    /// Threads that one query may use.
    pub(crate) fn threads(&self) -> usize {
        self.helpers + 1
    }

    /// Helpers that nobody has taken at this moment.
    pub(crate) fn idle(&self) -> usize {
        if self.is_resting(self.clock.monotonic_ns()) {
            return 0;
        }
        self.helpers.saturating_sub(self.busy.load(Ordering::Relaxed))
    }

    /// Calls `work` here and, at the same time, on helpers that are idle, at most so many; returns
    /// when all calls have. A panic in one of them goes on here.
    pub(crate) fn together(&self, helpers_max: usize, work: impl Fn() + Sync) {
        self.beside(helpers_max, || (), work);
    }

    /// As [`Workers::together`], but the caller does something else first: helpers work meanwhile.
    pub(crate) fn beside<T>(
        &self,
        helpers_max: usize,
        first: impl FnOnce() -> T,
        work: impl Fn() + Sync,
    ) -> T {
        let mut taken = Vec::new();
        let helpers_max = helpers_max.min(self.idle());
        while taken.len() < helpers_max
            && let Some(helper) = self.take()
        {
            taken.push(helper);
        }
        let pool = if taken.is_empty() { None } else { self.pool() };
        let Some(pool) = pool else {
            let done = first();
            work();
            return done;
        };
        let asked_ns = self.clock.monotonic_ns();
        pool.in_place_scope(|scope| {
            for helper in taken {
                scope.spawn(|_| {
                    let _given_back_at_the_end = helper;
                    self.note_arrival(asked_ns, self.clock.monotonic_ns());
                    work();
                });
            }
            let done = first();
            work();
            done
        })
    }

    /// Whether one came late a short while ago, so that nobody is asked.
    fn is_resting(&self, now_ns: u64) -> bool {
        now_ns < self.rest_until_ns.load(Ordering::Relaxed)
    }

    /// A helper that was asked then is there now.
    fn note_arrival(&self, asked_ns: u64, now_ns: u64) {
        if now_ns.saturating_sub(asked_ns) > LATE_NS {
            self.rest_until_ns.store(now_ns.saturating_add(REST_NS), Ordering::Relaxed);
        }
    }

    fn take(&self) -> Option<Taken<'_>> {
        let free = |busy: usize| (busy < self.helpers).then_some(busy + 1);
        let taken = self.busy.fetch_update(Ordering::AcqRel, Ordering::Acquire, free);
        taken.ok().map(|_| Taken(self))
    }

    fn pool(&self) -> Option<&ThreadPool> {
        let start = || {
            let builder = ThreadPoolBuilder::new().num_threads(self.helpers);
            builder.thread_name(|_| "annal-query".to_owned()).build().ok()
        };
        self.pool.get_or_init(start).as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn add_one(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn idle_helpers_work_at_the_same_time_and_busy_ones_are_not_waited_for() {
        let workers = Workers::new(2);
        let (calls, both) = (AtomicUsize::new(0), Barrier::new(2));
        workers.together(5, || {
            both.wait();
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                // The only helper is in use: this returns although it never becomes free.
                let alone = AtomicUsize::new(0);
                workers.together(5, || add_one(&alone));
                assert_eq!(alone.into_inner(), 1);
            }
            both.wait();
        });
        assert_eq!(calls.into_inner(), 2);
        assert_eq!(workers.busy.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn helpers_work_while_the_caller_does_something_else() {
        let (workers, both, calls) = (Workers::new(2), Barrier::new(2), AtomicUsize::new(0));
        let work = || {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                both.wait();
            }
        };
        // Returns only because a helper is there before the caller has come to the work.
        workers.beside(1, || both.wait(), work);
        assert_eq!(calls.into_inner(), 2);
        let alone = AtomicUsize::new(0);
        assert_eq!(Workers::new(1).beside(1, || 7, || add_one(&alone)), 7);
        assert_eq!(alone.into_inner(), 1);
    }

    #[test]
    fn after_a_helper_came_late_nobody_is_asked_for_a_while() {
        let workers = Workers::new(2);
        workers.note_arrival(7, 7 + LATE_NS);
        assert!(!workers.is_resting(7 + LATE_NS), "in time");
        let now = 8 + LATE_NS;
        workers.note_arrival(7, now);
        assert!(workers.is_resting(now) && workers.is_resting(now + REST_NS - 1));
        assert!(!workers.is_resting(now + REST_NS));
        // For good: whoever would be asked is not.
        workers.rest_until_ns.store(u64::MAX, Ordering::Relaxed);
        let calls = AtomicUsize::new(0);
        workers.together(5, || add_one(&calls));
        assert_eq!((workers.idle(), calls.into_inner()), (0, 1));
    }

    #[test]
    fn who_works_alone_starts_no_threads() {
        let (alone, calls) = (Workers::new(1), AtomicUsize::new(0));
        alone.together(5, || add_one(&calls));
        Workers::new(2).together(0, || add_one(&calls));
        assert_eq!(calls.into_inner(), 2);
        assert!(alone.pool.get().is_none());
    }
}

//! What `/metrics` shows of a store: counters since it was opened, and gauges.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Error;

/// A look at a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Events that became durable since the store was opened.
    pub events: u64,
    /// Batches that became durable.
    pub batches: u64,
    /// Batches answered as duplicates at once.
    pub duplicates: u64,
    /// Bytes of frames that became durable.
    pub bytes: u64,
    /// Groups committed.
    pub groups: u64,
    /// Syncs of log data.
    pub syncs: u64,
    /// Nanoseconds spent in them.
    pub sync_ns: u64,
    /// Segments sealed.
    pub sealed: u64,
    /// Segments removed by retention.
    pub retired: u64,
    /// Bytes admitted and not yet durable.
    pub queue_bytes: u64,
    /// Segments, the active one included.
    pub segments: u64,
    /// Bytes of segment files that belong to the store.
    pub log_bytes: u64,
    /// Bytes of header and frames of the active segment.
    pub active_bytes: u64,
    /// Bytes of files that only snapshots keep.
    pub pinned_bytes: u64,
    /// Jobs of compaction that were finished.
    pub compactions: u64,
    /// Jobs that failed and will be tried again.
    pub compaction_failures: u64,
    /// Events that compaction wrote.
    pub compacted_events: u64,
    /// Bytes of the inputs of jobs that were finished.
    pub compaction_read_bytes: u64,
    /// Bytes of the files that those jobs wrote.
    pub compaction_written_bytes: u64,
    /// Blocks in those files that were copied as they were stored.
    pub compaction_blocks_copied: u64,
    /// Bytes of its inputs that the running job has read, about; 0 without one.
    pub compaction_job_bytes: u64,
    /// Bytes of the inputs of the running job; 0 without one.
    pub compaction_job_bytes_total: u64,
    /// Bytes of files that were read to be held against their digests.
    pub scrubbed_bytes: u64,
    /// Files that were not what their digests say, once for each time that they were read.
    pub scrub_errors: u64,
    /// Bytes of log segments that wait for compaction, the active one included.
    pub compaction_debt_bytes: u64,
    /// Appends are refused until compaction has caught up.
    pub compaction_refuses: bool,
    /// Compaction does nothing by itself: it was paused.
    pub compaction_paused: bool,
    /// Producers remembered.
    pub producers: u64,
    /// First sequence that is not visible.
    pub next_sequence: u64,
    /// A sync failed; no more writes.
    pub poisoned: bool,
    /// Appends are refused until space is free.
    pub full: bool,
}

/// The counters behind it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    events: AtomicU64,
    batches: AtomicU64,
    duplicates: AtomicU64,
    bytes: AtomicU64,
    groups: AtomicU64,
    syncs: AtomicU64,
    sync_ns: AtomicU64,
    sealed: AtomicU64,
    retired: AtomicU64,
    compactions: AtomicU64,
    compaction_failures: AtomicU64,
    compacted_events: AtomicU64,
    compaction_read_bytes: AtomicU64,
    compaction_written_bytes: AtomicU64,
    compaction_blocks_copied: AtomicU64,
    compaction_job_bytes: AtomicU64,
    compaction_job_bytes_total: AtomicU64,
    pinned_bytes: AtomicU64,
    /// What the last job that failed met.
    compaction_error: Mutex<Option<Error>>,
    scrubbed_bytes: AtomicU64,
    scrub_errors: AtomicU64,
    /// The first one.
    scrub_error: Mutex<Option<Error>>,
}

impl Counters {
    pub(crate) fn add_group(&self, batches: usize, events: u64, bytes: u64) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(batches as u64, Ordering::Relaxed);
        self.events.fetch_add(events, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_sync(&self, ns: u64) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_ns.fetch_add(ns, Ordering::Relaxed);
    }

    pub(crate) fn add_duplicates(&self, count: usize) {
        self.duplicates.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_sealed(&self) {
        self.sealed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_retired(&self, count: usize) {
        self.retired.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_compaction(&self, events: u64, read_bytes: u64, written_bytes: u64) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
        self.compacted_events.fetch_add(events, Ordering::Relaxed);
        self.compaction_read_bytes.fetch_add(read_bytes, Ordering::Relaxed);
        self.compaction_written_bytes.fetch_add(written_bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_blocks_copied(&self, count: u64) {
        self.compaction_blocks_copied.fetch_add(count, Ordering::Relaxed);
    }

    /// How far the running job is, of how much; nothing of nothing without one.
    pub(crate) fn set_compaction_job(&self, (bytes, bytes_total): (u64, u64)) {
        self.compaction_job_bytes.store(bytes, Ordering::Relaxed);
        self.compaction_job_bytes_total.store(bytes_total, Ordering::Relaxed);
    }

    pub(crate) fn add_compaction_failure(&self, error: &Error) {
        self.compaction_failures.fetch_add(1, Ordering::Relaxed);
        *self.compaction_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    /// Why the last job that failed did, since the store was opened.
    pub(crate) fn compaction_error(&self) -> Option<Error> {
        self.compaction_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_scrubbed(&self, bytes: u64) {
        self.scrubbed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add_scrub_error(&self, error: &Error) {
        self.scrub_errors.fetch_add(1, Ordering::Relaxed);
        let mut first = self.scrub_error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.clone());
    }

    /// What the scrubber found wrong first.
    pub(crate) fn scrub_error(&self) -> Option<Error> {
        self.scrub_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A gauge that only maintenance knows: asking it would mean waiting for its syncs.
    pub(crate) fn set_pinned_bytes(&self, bytes: u64) {
        self.pinned_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The counters; the other gauges are the caller's.
    pub(crate) fn stats(&self) -> StoreStats {
        StoreStats {
            events: self.events.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            duplicates: self.duplicates.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            groups: self.groups.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            sync_ns: self.sync_ns.load(Ordering::Relaxed),
            sealed: self.sealed.load(Ordering::Relaxed),
            retired: self.retired.load(Ordering::Relaxed),
            compactions: self.compactions.load(Ordering::Relaxed),
            compaction_failures: self.compaction_failures.load(Ordering::Relaxed),
            compacted_events: self.compacted_events.load(Ordering::Relaxed),
            compaction_read_bytes: self.compaction_read_bytes.load(Ordering::Relaxed),
            compaction_written_bytes: self.compaction_written_bytes.load(Ordering::Relaxed),
            compaction_blocks_copied: self.compaction_blocks_copied.load(Ordering::Relaxed),
            compaction_job_bytes: self.compaction_job_bytes.load(Ordering::Relaxed),
            compaction_job_bytes_total: self.compaction_job_bytes_total.load(Ordering::Relaxed),
            pinned_bytes: self.pinned_bytes.load(Ordering::Relaxed),
            scrubbed_bytes: self.scrubbed_bytes.load(Ordering::Relaxed),
            scrub_errors: self.scrub_errors.load(Ordering::Relaxed),
            ..StoreStats::default()
        }
    }
}

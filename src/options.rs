//! How a store is opened. Every default is stated here and in `docs/operations.md`.

use std::path::PathBuf;

use crate::limits;

/// What is deleted, and when. By default nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments whose newest event is older than this many seconds go.
    pub age_s_max: Option<u64>,
    /// The oldest segments go while the store is larger than this many bytes.
    pub store_bytes_max: Option<u64>,
}

/// How sealed files are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadMode {
    /// Read-only mappings.
    #[default]
    Map,
    /// `pread` into memory.
    Read,
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The store's directory; ignored by `Store::open_with`.
    pub directory: PathBuf,
    /// Bytes of a full segment; smaller ones come first in a young store.
    pub segment_bytes: u64,
    /// What is deleted, and when.
    pub retention: Retention,
    /// How sealed files are read.
    pub read_mode: ReadMode,
    /// Compact in the background; without it only [`Store::compact`](crate::Store::compact) does.
    pub compaction: bool,
    /// Threads that one query uses, that of the caller included; others help while they are idle.
    pub scan_threads: usize,
    /// Read sealed and compacted files in the background, slowly, and hold them against their
    /// digests.
    pub scrub: bool,
    /// Bytes of sealed log that may wait for compaction before appends fail with `Busy`; they do
    /// not while compaction is off, paused or failing.
    pub compaction_debt_bytes_max: u64,
    /// Start no threads: the caller steps the state machines.
    pub manual: bool,
    /// Seeds salts and the store id in place of the operating system's randomness (simulator only).
    pub seed: Option<u64>,
    /// Written into `LOCK` for whoever finds it held: this process and its URL.
    pub lock_note: String,
    /// Bytes queued and not yet durable before appends fail with `Busy`.
    pub in_flight_bytes_max: usize,
}

impl Options {
    /// The defaults, for a directory.
    pub fn new(directory: impl Into<PathBuf>) -> Options {
        Options {
            directory: directory.into(),
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            retention: Retention::default(),
            read_mode: ReadMode::default(),
            compaction: true,
            scan_threads: limits::SCAN_THREADS_DEFAULT,
            scrub: true,
            compaction_debt_bytes_max: limits::COMPACTION_DEBT_BYTES_DEFAULT,
            manual: false,
            seed: None,
            lock_note: format!("process {}", std::process::id()),
            in_flight_bytes_max: limits::IN_FLIGHT_BYTES_MAX,
        }
    }

    /// The least that [`Options::compaction_debt_bytes_max`] may be.
    #[must_use]
    pub fn compaction_debt_bytes_min(&self) -> u64 {
        limits::COMPACTION_DEBT_SEGMENTS_MIN.saturating_mul(self.segment_bytes)
    }
}

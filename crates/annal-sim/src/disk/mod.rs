//! A disk that loses power.
//!
//! What the process sees (the page cache) and what survives are two things. The fault model is that
//! of the engine:
//!
//! 1. A sector of 512 bytes is, after power loss, as it was at some moment since the last sync of
//!    its file that succeeded: old or new, never garbage, and each sector for itself.
//! 2. The same goes for a file's length.
//! 3. Created, renamed and removed names are volatile until the directory is synced; any subset of
//!    them may survive. Syncing a file makes no name durable.
//! 4. A sync that returned success holds. After one that failed, the kernel takes the pages for
//!    clean: later syncs do not bring back what was pending.
//!
//! Power goes at a chosen change; from then on every call fails, and [`SimStorage::after`] gives
//! the disk as it is found after the restart, chosen by a [`Loss`]. A killed process leaves the
//! page cache behind, which is [`SimStorage::after_kill`].

mod faults;
mod file;
mod inode;
mod loss;
mod state;
mod storage;
#[cfg(test)]
mod tests;

pub use faults::{Call, Fault, FaultKind, Lie};
pub use loss::Loss;
pub use storage::SimStorage;

/// What a disk writes as a whole.
pub const SECTOR_BYTES: usize = 512;
/// What the kernel usually writes back as a whole.
pub const PAGE_BYTES: usize = 4_096;

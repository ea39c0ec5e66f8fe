//! Read-only mappings of sealed files: the only `unsafe` of the library beside the kernels' (SEG-1).
//!
//! Mapped memory is the page cache of the file itself. That is sound only while nobody changes or
//! shortens the file: a changed byte would change a slice that Rust believes frozen, and a page
//! that is cut off ends the process with SIGBUS. So the constructor makes the caller sign, and the
//! promise is kept by construction:
//!
//! 1. A segment is mapped only after it was sealed and trimmed; from then on no code writes to it.
//! 2. Files are deleted by unlinking, never by truncation: what is mapped stays.
//! 3. The directory has mode 0700 and a lock: other programs keep their hands off, and one that
//!    does not is beyond what a process can defend itself against (`docs/operations.md` says so).

#![allow(unsafe_code, reason = "the home of memory mapping")]
#![allow(clippy::disallowed_types, reason = "storage is the home of std::fs")]

use std::fs;
use std::io;

/// The signature: the file is immutable and is never truncated while the mapping lives.
pub(super) struct NeverChanges(());

impl NeverChanges {
    /// Given where [`crate::storage::File::region`] is served, whose contract demands it.
    pub(super) fn promised_by_the_caller_of_region() -> NeverChanges {
        NeverChanges(())
    }
}

/// A whole file, mapped for reading.
#[derive(Debug)]
pub(super) struct Mapping {
    bytes: memmap2::Mmap,
}

impl Mapping {
    /// Maps the file as long as it is now.
    pub(super) fn new(file: &fs::File, signature: NeverChanges) -> io::Result<Mapping> {
        let NeverChanges(()) = signature;
        // SAFETY: the caller has signed that nothing writes to the file or shortens it while the
        // mapping lives, so the bytes behind the slice are as frozen as Rust takes them to be.
        let bytes = unsafe { memmap2::Mmap::map(file)? };
        Ok(Mapping { bytes })
    }

    /// Bytes that are mapped.
    pub(super) fn length(&self) -> u64 {
        self.bytes.len() as u64
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

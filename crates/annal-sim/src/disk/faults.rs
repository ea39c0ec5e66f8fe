//! What can go wrong on purpose: one operating-system error at one call, power loss at one change,
//! or a disk that lies all the time.

use std::io;

/// "Too many open files" has no kind of its own in the standard library.
const EMFILE: i32 = 24;

/// What a call to the storage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name")]
pub enum Call {
    List,
    Create,
    Open,
    Rename,
    Remove,
    SyncDir,
    Lock,
    FreeBytes,
    Length,
    Read,
    Write,
    Allocate,
    Truncate,
    SyncData,
    SyncAll,
    Region,
}

impl Call {
    /// Whether the call changes what is on the disk, now or for good.
    #[must_use]
    pub fn changes(self) -> bool {
        use Call::{
            Allocate, Create, Lock, Remove, Rename, SyncAll, SyncData, SyncDir, Truncate, Write,
        };
        matches!(
            self,
            Create
                | Rename
                | Remove
                | SyncDir
                | Lock
                | Write
                | Allocate
                | Truncate
                | SyncData
                | SyncAll
        )
    }

    /// Whether the call promises that something is durable.
    #[must_use]
    pub fn syncs(self) -> bool {
        matches!(self, Call::SyncData | Call::SyncAll | Call::SyncDir)
    }
}

/// An error of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// EIO.
    Io,
    /// ENOSPC.
    NoSpace,
    /// EDQUOT.
    Quota,
    /// EMFILE.
    OpenFiles,
    /// Half of the bytes are written, and the call says so.
    ShortWrite,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 5] = [
        FaultKind::Io,
        FaultKind::NoSpace,
        FaultKind::Quota,
        FaultKind::ShortWrite,
        FaultKind::OpenFiles,
    ];

    /// Whether the operating system could answer this call with this error.
    #[must_use]
    pub fn suits(self, call: Call) -> bool {
        match self {
            FaultKind::Io => call != Call::FreeBytes,
            FaultKind::NoSpace | FaultKind::Quota => matches!(
                call,
                Call::Create | Call::Rename | Call::Write | Call::Allocate | Call::SyncData
            ),
            FaultKind::OpenFiles => matches!(call, Call::List | Call::Create | Call::Open),
            FaultKind::ShortWrite => call == Call::Write,
        }
    }

    pub(super) fn error(self) -> io::Error {
        match self {
            FaultKind::Io => io::Error::other("simulated EIO"),
            FaultKind::NoSpace => io::ErrorKind::StorageFull.into(),
            FaultKind::Quota => io::ErrorKind::QuotaExceeded.into(),
            FaultKind::OpenFiles => io::Error::from_raw_os_error(EMFILE),
            FaultKind::ShortWrite => io::Error::other("a short write is no error"),
        }
    }
}

/// One error at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The call, counted over all calls from 0, that fails; if the fault does not suit it, the next
    /// one that it suits.
    pub at_call: u64,
    /// How it fails.
    pub kind: FaultKind,
}

/// A disk, or an engine above it, that breaks a rule: the oracle must notice each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Syncs of files do nothing: as if the engine acknowledged before it synced.
    SyncFile,
    /// Syncs of the directory do nothing: as if the engine had forgotten them.
    SyncDirectory,
    /// One sync of a file in so many does nothing.
    OneSyncIn(u64),
    /// A sync of a file that fails says that all is well: as if the engine did not look.
    FailedSync,
}

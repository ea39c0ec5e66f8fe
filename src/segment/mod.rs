//! One file of the log: its header, its frames, its footer; how they are written, read, recovered.

mod append_vec;
pub(crate) mod blocks;
mod directory;
pub mod directory_codec;
pub(crate) mod overview;
pub(crate) mod scan;
pub mod series;
mod summary;
pub mod tail;
pub mod time_index;
pub(crate) mod window;
pub(crate) mod writer;

pub use append_vec::AppendVec;
pub use directory::{Directory, FrameEntry};
pub use summary::{SUMMARY_BYTES, SegmentSummary};
pub use time_index::TimeIndex;

//! One file of the log: its header, its frames, its footer; how they are written, read, recovered.

mod append_vec;
mod directory;

pub use append_vec::AppendVec;
pub use directory::{Directory, FrameEntry};

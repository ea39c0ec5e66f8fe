//! One file of the log: its header, its frames, its footer; how they are written, read, recovered.

mod directory;

pub use directory::{Directory, FrameEntry};

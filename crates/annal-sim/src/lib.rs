//! A deterministic simulator for annal: a disk that loses power, a clock that is moved by hand, a
//! scheduler that steps the store's state machines, and an oracle that remembers what was
//! acknowledged.
//!
//! Everything follows from a seed; there are no threads, no real files and no sleeping, so a failed
//! run is repeated by its number.

pub mod clock;
pub mod disk;
pub mod oracle;
pub mod random;
pub mod stock;
pub mod world;

pub use clock::ManualClock;
pub use disk::{Call, Fault, FaultKind, Lie, Loss, SimStorage};
pub use oracle::{Finding, Oracle, Violation};
pub use random::Random;
pub use stock::{Load, Stock};
pub use world::{Action, RunReport, Settings, Summary, World, crash_run, guarded};

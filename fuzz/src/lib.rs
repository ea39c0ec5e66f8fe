//! What the fuzz targets do with their bytes: every decoder that sees bytes from outside.
//!
//! Each function takes the bytes as they come, and once more with the checksums put right, so that
//! the fuzzer gets behind them. It may return early; it must not panic, hang or allocate more than
//! the bytes justify. What decodes must lead back to the same bytes or value.

mod blocks;
mod encodings;
mod events;
mod formats;
mod sample;
mod sealed;
mod sections;
mod segment;
mod text;

pub use blocks::{blocks, pack_blocks};
pub use encodings::{encodings, pack_encoded, spans, types};
pub use events::{ndjson, otlp, payload};
pub use formats::{footer, frame, manifest, producers, session};
pub use sealed::{pack_sealed, sealed};
pub use sections::{pack_sections, sections};
pub use segment::{pack_segment, sample_store, segment};
pub use text::query;

use std::sync::atomic::{AtomicU64, Ordering};

use annal::Timestamp;
use annal::time::Clock;

/// 2022-08-22T12:00:00Z.
pub const NOON: Timestamp = Timestamp(1_661_169_600_000_000_000);

/// A clock that stands still but for the ticks of those who ask.
#[derive(Default)]
pub struct FixedClock {
    ticks: AtomicU64,
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOON
    }

    fn monotonic_ns(&self) -> u64 {
        self.ticks.fetch_add(1_000, Ordering::Relaxed)
    }
}

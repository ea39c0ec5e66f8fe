//! Scrub: reads files that nobody else may read for years, slowly, and holds them against the
//! digests in the manifest, so that rot is known while a second copy is still there.
//!
//! One step reads one piece:
//!
//! 1. Take the next sealed or compacted file in the order of ids and pin it (MAN-1). A round over
//!    all files begins once a period; where it stands is forgotten when the store is closed.
//! 2. Read a piece by `pread`, and say when the next one is due: so many bytes a second at most.
//! 3. Behind the last piece compare length and digest. A file that retention or compaction has let
//!    go meanwhile is left at once.
//!
//! What is found is counted and said; nothing is changed, and the store is not poisoned: queries
//! check what they read themselves.

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::error::{Error, Result};
use crate::limits;
use crate::storage::{File, read_exact_at};
use crate::store::Next;
use crate::store::state::{Core, Mode};
use crate::store::version::{Form, Pin};
use crate::time::SECOND_NS;

/// Bytes read in one step.
const PIECE_BYTES: u64 = 1 << 20;
/// The first round leaves the disk to whoever comes back after a start; also the pause after files
/// could not be opened for want of descriptors.
const PAUSE_NS: u64 = 60 * SECOND_NS as u64;
const PERIOD_NS: u64 = limits::SCRUB_PERIOD_S * SECOND_NS as u64;

/// See the module.
#[derive(Default)]
pub(crate) struct Scrubber {
    reading: Option<Reading>,
    /// The last file of this round that is done with, by the id of its segment.
    done: Option<u64>,
    /// When this round began; `None` before the first.
    round_ns: Option<u64>,
    not_before_ns: u64,
    buffer: Vec<u8>,
}

/// A file being read.
struct Reading {
    /// It stays while it is read (MAN-1).
    pin: Arc<Pin>,
    segment_id: u64,
    expected: [u8; 16],
    file: Arc<dyn File>,
    length: u64,
    offset: u64,
    digest: Xxh3,
}

impl Scrubber {
    /// One step; see the module.
    pub(crate) fn step(&mut self, core: &Core) -> Next {
        if !core.options.scrub || !matches!(core.state().mode, Mode::Open) {
            self.reading = None;
            return Next::Idle;
        }
        let now = core.clock.monotonic_ns();
        if self.round_ns.is_none() {
            self.round_ns = Some(now);
            self.not_before_ns = now.saturating_add(PAUSE_NS);
        }
        if now >= self.not_before_ns {
            let wait_ns = self.turn(core, now);
            self.not_before_ns = now.saturating_add(wait_ns);
        }
        Next::At(self.not_before_ns)
    }

    /// Reads a piece; says how long to wait before the next.
    fn turn(&mut self, core: &Core, now: u64) -> u64 {
        self.reading.take_if(|reading| !is_named(core, &reading.pin));
        let Scrubber { reading, buffer, .. } = self;
        let (id, outcome) = match reading {
            Some(reading) => (reading.segment_id, reading.piece(buffer)),
            None => match self.next(core) {
                // Those that are sealed meanwhile are for the next round.
                None => return self.end_round(now),
                Some((_, Err(error))) if error.changed_nothing() => return PAUSE_NS,
                Some((id, opened)) => (id, opened.map(|()| (0, false))),
            },
        };
        let (bytes, ended) = match outcome {
            Ok((bytes, ended)) => {
                core.counters.add_scrubbed(bytes);
                (bytes, ended)
            }
            Err(error) => {
                core.counters.add_scrub_error(&error);
                (PIECE_BYTES, true)
            }
        };
        if ended {
            self.reading = None;
            self.done = Some(id);
        }
        bytes.saturating_mul(SECOND_NS as u64) / limits::SCRUB_BYTES_PER_S
    }

    /// Opens the next file of the round.
    fn next(&mut self, core: &Core) -> Option<(u64, Result<()>)> {
        let (pin, segment_id, expected) = {
            let state = core.state();
            state.version.segments.iter().map(|v| &v.segment).find_map(|s| match s.form {
                Form::Sealed { digest, .. } if self.done.is_none_or(|id| s.segment_id > id) => {
                    Some((s.pin.clone(), s.segment_id, digest))
                }
                _ => None,
            })?
        };
        let opened = core.storage.open(&pin.name, false).and_then(|file| {
            let (length, actual) = (pin.length(), file.length()?);
            if actual != length {
                let what = format!("the file has {actual} bytes, and {length} by the manifest");
                return Err(Error::corrupt(what).at(actual.min(length)));
            }
            Ok((file, length))
        });
        let begun = opened.map_err(|error| error.in_file(&pin.name)).map(|(file, length)| {
            let (offset, digest) = (0, Xxh3::new());
            self.reading =
                Some(Reading { pin, segment_id, expected, file, length, offset, digest });
        });
        Some((segment_id, begun))
    }

    fn end_round(&mut self, now: u64) -> u64 {
        self.buffer = Vec::new();
        self.done = None;
        let due = self.round_ns.unwrap_or(now).saturating_add(PERIOD_NS).max(now);
        self.round_ns = Some(due);
        // A store without files must not be looked at again and again.
        due.saturating_sub(now).max(PAUSE_NS)
    }
}

impl Reading {
    /// Reads on; says how many bytes, and whether they were the last.
    fn piece(&mut self, buffer: &mut Vec<u8>) -> Result<(u64, bool)> {
        let bytes = PIECE_BYTES.min(self.length - self.offset);
        buffer.resize(usize::try_from(bytes).unwrap_or(0), 0);
        read_exact_at(&*self.file, self.offset, buffer)
            .map_err(|error| error.in_file(&self.pin.name).at(self.offset))?;
        self.digest.update(buffer);
        self.offset += bytes;
        let ended = self.offset == self.length;
        if ended && self.digest.digest128().to_be_bytes() != self.expected {
            let what = "the file is not what was written, by its digest in the manifest; \
                        `annal verify` says where, and a backup has it whole";
            return Err(Error::corrupt(what).in_file(&self.pin.name));
        }
        Ok((bytes, ended))
    }
}

/// Whether the store still needs the file.
fn is_named(core: &Core, pin: &Arc<Pin>) -> bool {
    core.state().version.segments.iter().any(|v| Arc::ptr_eq(&v.segment.pin, pin))
}

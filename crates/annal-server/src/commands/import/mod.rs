//! `annal import`: files of events into a store or a server.
//!
//! 1. `split` cuts a file into chunks; `decode` turns each into batches; both are pure functions of
//!    the file. `pipeline` runs them on several threads and keeps the order.
//! 2. The batches are numbered in that order and sent; acknowledged means durable (COM-1).
//! 3. With `--resume` the producer's id is the hash of the file, so that a second run sends the
//!    same batches under the same numbers and the store takes only those that it lacks. Without it
//!    the id is random, and importing twice stores twice.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use annal::ProducerId;
use annal::time::{Clock, SystemClock};

use super::sink::{self, Sink, Totals};
use crate::exit::{self, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::terminal::{Progress, count, duration, rate};

mod decode;
mod identity;
mod pipeline;
mod split;

pub(super) use decode::{decode, is_logs};
pub(crate) use split::{Format, Splitter};

use decode::Decoded;

/// Reads files of events into a store or a server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    to: sink::Destination,
    /// How events stand in the files.
    #[arg(long, value_enum)]
    format: Format,
    /// Go on where an earlier import of the same files with --resume was interrupted.
    #[arg(long)]
    resume: bool,
    /// The files; - reads stdin.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Refusals told one by one, over all files.
const REFUSALS_TOLD_MAX: usize = 20;

/// An import in its course.
struct Import {
    sink: Sink,
    progress: Progress,
    interrupt: Interrupt,
    bytes: u64,
    events: u64,
    rejected: u64,
    refusals_told: usize,
    broken: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    if args.resume && args.files.iter().any(|f| is_stdin(f)) {
        return Err(Failure::usage("stdin cannot be resumed: give files, or leave out --resume"));
    }
    let total = total_bytes(&args.files)?;
    let clock = SystemClock::new();
    let mut import = Import {
        sink: args.to.open()?,
        progress: Progress::bytes(total),
        interrupt: Interrupt::watch(),
        bytes: 0,
        events: 0,
        rejected: 0,
        refusals_told: 0,
        broken: false,
    };
    let imported = args.files.iter().try_for_each(|file| import.file(file, &args, &clock));
    import.progress.finish();
    let Import { sink, bytes, rejected, broken, interrupt, .. } = import;
    // What was sent before a failure still becomes durable, if that is possible.
    let closed = sink.close();
    imported?;
    let totals = closed?;
    summary(totals, bytes, rejected, clock.monotonic_ns());
    if interrupt.is_set() {
        let again = if args.resume { "; the same command goes on from here" } else { "" };
        return Err(Failure::new(exit::INTERRUPTED, format!("interrupted{again}")));
    }
    Ok(if rejected > 0 || broken { exit::NOTHING } else { exit::DONE })
}

impl Import {
    fn file(&mut self, path: &Path, args: &Args, clock: &SystemClock) -> Outcome<()> {
        if self.interrupt.is_set() {
            return Ok(());
        }
        let wrong = |e: std::io::Error| Failure::usage(format!("{}: {e}", path.display()));
        let source: Box<dyn Read + Send> = match is_stdin(path) {
            true => Box::new(std::io::stdin()),
            false => Box::new(File::open(path).map_err(wrong)?),
        };
        self.sink.begin(match args.resume {
            true => identity::of(path, args.format).map_err(wrong)?,
            false => random_id()?,
        })?;
        let now = clock.now();
        let format = args.format;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let ended = pipeline::run(
            Splitter::new(source, format),
            threads,
            |chunk| decode::decode(&chunk, format, now),
            |outcome| match outcome {
                Ok(decoded) => self.take(path, decoded),
                Err(error) => {
                    self.broken = true;
                    self.progress.say(&format!("annal: {}: {error}", path.display()));
                    Ok(())
                }
            },
        );
        match ended {
            Err(failure) if failure.code == exit::INTERRUPTED => Ok(()),
            ended => ended,
        }
    }

    fn take(&mut self, path: &Path, decoded: Decoded) -> Outcome<()> {
        if self.interrupt.is_set() {
            return Err(Failure::new(exit::INTERRUPTED, ""));
        }
        for batch in decoded.batches {
            self.events += batch.events() as u64;
            self.sink.send(batch)?;
        }
        for (record, why) in decoded.refusals {
            if self.refusals_told < REFUSALS_TOLD_MAX {
                self.progress.say(&format!("annal: {}:{record}: {why}", path.display()));
            } else if self.refusals_told == REFUSALS_TOLD_MAX {
                self.progress.say("annal: further refusals are only counted");
            }
            self.refusals_told += 1;
        }
        self.rejected += decoded.rejected;
        self.bytes += decoded.bytes;
        self.progress.set(self.bytes, self.events);
        Ok(())
    }
}

fn summary(totals: Totals, bytes: u64, rejected: u64, elapsed_ns: u64) {
    let took = duration(i64::try_from(elapsed_ns).unwrap_or(i64::MAX));
    let mut line = format!(
        "annal: stored {} events in {} batches from {} in {took} ({})",
        count(totals.events),
        count(totals.batches),
        crate::terminal::bytes(bytes),
        rate(totals.events, elapsed_ns),
    );
    if totals.duplicates > 0 {
        line.push_str(&format!(
            "; {} events in {} batches were there already",
            count(totals.events_before),
            count(totals.duplicates),
        ));
    }
    if rejected > 0 {
        line.push_str(&format!("; refused {}", count(rejected)));
    }
    eprintln!("{line}");
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Bytes of all files, `None` if one of them is stdin. Missing files are told before anything is
/// stored.
fn total_bytes(files: &[PathBuf]) -> Outcome<Option<u64>> {
    let mut total = Some(0);
    for path in files {
        if is_stdin(path) {
            total = None;
            continue;
        }
        let found = std::fs::metadata(path)
            .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
        total = total.map(|t| t + found.len());
    }
    Ok(total)
}

pub(super) fn random_id() -> Outcome<ProducerId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|e| Failure::new(exit::STORAGE, format!("the system gives no randomness: {e}")))?;
    Ok(ProducerId(id))
}

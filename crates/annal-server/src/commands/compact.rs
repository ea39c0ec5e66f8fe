//! `annal compact`: compacts a directory now, without waiting for a server to find the time.

use std::io::{self, Write};
use std::path::PathBuf;

use annal::time::{Clock, SystemClock};
use annal::{Options, Store};
use serde_json::json;

use crate::exit::{self, Outcome};
use crate::terminal::{Progress, bytes, count, duration};

/// Compacts everything that a store holds, until nothing is left to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's directory; no server may be writing it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// One JSON object with what was done.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    let clock = SystemClock::new();
    // Interrupted, the store is as if nothing had begun: a job's file has no name until it is whole.
    crate::interrupt::end_at_once();
    let (store, _) = Store::open(Options { compaction: false, ..Options::new(&args.data) })?;
    let before = store.stats();
    let progress = Progress::bytes(Some(before.compaction_debt_bytes));
    store.compact_with(&mut |at| {
        progress.set_total(at.bytes_total);
        progress.set_file(at.bytes, "compacting");
    })?;
    progress.finish();
    let after = store.stats();
    store.close()?;
    let (segments, events) = (after.segments, after.compacted_events);
    if args.json {
        let line = json!({"jobs": after.compactions, "events": events, "segments": segments,
            "bytes_before": before.log_bytes, "bytes_after": after.log_bytes});
        writeln!(io::stdout().lock(), "{line}")?;
        return Ok(exit::DONE);
    }
    eprintln!(
        "{} events compacted by {} jobs, {} before, {} after in {} segments; {}",
        count(events),
        count(after.compactions),
        bytes(before.log_bytes),
        bytes(after.log_bytes),
        count(segments),
        duration(i64::try_from(clock.monotonic_ns()).unwrap_or(i64::MAX)),
    );
    Ok(exit::DONE)
}

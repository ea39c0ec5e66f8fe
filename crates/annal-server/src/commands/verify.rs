//! `annal verify`: every byte that a store speaks for, each damage with file and offset.
//!
//! A torn tail is told and is no damage: nobody was acknowledged for it. Nothing is changed.

use std::io::{self, Write};
use std::path::PathBuf;

use annal::time::{Clock, SystemClock};
use annal::{Error, Options, Store};
use serde_json::json;

use crate::exit::{self, Outcome};
use crate::terminal::{Paint, Progress, bytes, clean, count, duration};

/// Re-reads everything a store holds and names each damage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's directory; no server may be writing it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// One JSON object a line: each damage, then what was read.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    crate::interrupt::end_at_once();
    let clock = SystemClock::new();
    let progress = Progress::bytes(Some(0));
    let report = Store::verify_directory(&Options::new(&args.data), &mut |at| {
        progress.set_total(at.bytes_total);
        progress.set_file(at.bytes, at.file);
    });
    progress.finish();
    let report = report?;
    let mut out = io::stdout().lock();
    let paint = Paint::stdout();
    for damage in &report.damage {
        match args.json {
            true => writeln!(out, "{}", damage_json(damage))?,
            false => writeln!(out, "{}", damage_line(damage, paint))?,
        }
    }
    let damaged = report.damage.len() as u64;
    if args.json {
        let summary = json!({"files": report.files, "frames": report.frames,
            "events": report.events, "bytes": report.bytes, "torn_bytes": report.torn_bytes,
            "damage": damaged});
        writeln!(out, "{summary}")?;
    }
    if report.torn_bytes > 0 {
        let torn = bytes(report.torn_bytes);
        eprintln!("a torn tail of {torn} that nobody was acknowledged for: no damage");
    }
    let verdict = match damaged {
        0 => Paint::stderr().good("no damage"),
        n => Paint::stderr().error(format!("{} damaged places", count(n))),
    };
    eprintln!(
        "{verdict} in {} files, {} frames, {} events, {}; {}",
        count(report.files),
        count(report.frames),
        count(report.events),
        bytes(report.bytes),
        duration(i64::try_from(clock.monotonic_ns()).unwrap_or(i64::MAX)),
    );
    Ok(if damaged > 0 { exit::DAMAGED } else { exit::DONE })
}

fn damage_json(damage: &Error) -> serde_json::Value {
    json!({"file": damage.file(), "offset": damage.offset(), "kind": damage.kind().to_string(),
        "message": damage.message()})
}

fn damage_line(damage: &Error, paint: Paint) -> String {
    let file = damage.file().unwrap_or("(the directory)");
    let offset = damage.offset().map_or_else(String::new, |offset| format!(":{offset}"));
    format!("{}  {}", paint.error(format!("{file}{offset}")), clean(damage.message()))
}

//! `annal demo`: makes a day of a shop up, serves it, and says what to try.

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use annal::event::Status;
use annal::time::{Clock, SystemClock};
use annal::{BatchBuilder, Event, Options, Query, Store, TimeRange, Timestamp, TraceId};

use super::generate::batches;
use super::serve;
use crate::config::Settings;
use crate::exit::{self, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::terminal::{Paint, Progress, bytes, count, duration, rate};

/// Generates a shop's events, serves them, and says what to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the store here; without this it goes when the demo ends.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How many events to make up.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    events: u64,
    /// Another seed gives another shop.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Address for HTTP [default: 127.0.0.1:7070, or a free port if that is taken]
    #[arg(long, value_name = "ADDR")]
    http: Option<String>,
    /// Address for the native protocol [default: 127.0.0.1:7071, or a free port]
    #[arg(long, value_name = "ADDR")]
    tcp: Option<String>,
    /// Only make the store and show the first trace.
    #[arg(long)]
    no_serve: bool,
}

const DAY_NS: i64 = 86_400_000_000_000;

pub(crate) fn run(args: Args) -> Outcome {
    let keep = args.data.is_some();
    let directory = match &args.data {
        Some(directory) => directory.clone(),
        None => std::env::temp_dir().join(format!("annal-demo-{}", std::process::id())),
    };
    let outcome = demo(&args, &directory);
    if !keep {
        // What cannot be removed lies in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&directory);
    }
    outcome
}

fn demo(args: &Args, directory: &std::path::Path) -> Outcome {
    // Before anything is made: what an interrupted demo leaves behind goes all the same.
    let interrupt = Interrupt::watch();
    let trace = fill(args, directory, &interrupt)?;
    let http = free(args.http.as_deref(), super::target::HTTP_DEFAULT)?;
    let tcp = free(args.tcp.as_deref(), super::target::TCP_DEFAULT)?;
    what_to_try(&http, &tcp, trace)?;
    if args.no_serve {
        return Ok(exit::DONE);
    }
    let settings = Settings {
        data: Some(directory.to_owned()),
        http: Some(http),
        tcp: Some(tcp),
        ..Settings::default()
    };
    serve::run_with(&settings)
}

/// Makes the events up, stores them, and draws one trace that went wrong.
fn fill(
    args: &Args,
    directory: &std::path::Path,
    interrupt: &Interrupt,
) -> Outcome<Option<TraceId>> {
    let clock = SystemClock::new();
    // The day has just ended.
    let start = Timestamp(clock.now().as_ns() - DAY_NS - DAY_NS / 1_440);
    let (store, _) = Store::open(Options::new(directory))?;
    if store.snapshot().next_sequence() > 1 && args.data.is_some() {
        eprintln!("annal: {} holds events already: none are made up", directory.display());
    } else {
        make_up(args, start, &store, &clock, interrupt)?;
    }
    let trace = failed_trace(&store)?;
    if let Some(id) = trace {
        let mut out = io::stdout().lock();
        writeln!(out)?;
        super::trace::draw(id, &store.snapshot().trace(id)?.events, &mut out)?;
        writeln!(out)?;
    }
    store.close()?;
    Ok(trace)
}

fn make_up(
    args: &Args,
    start: Timestamp,
    store: &Store,
    clock: &SystemClock,
    interrupt: &Interrupt,
) -> Outcome<()> {
    let progress = Progress::bytes(None);
    let mut builder = BatchBuilder::new();
    let (mut made, mut stored) = (0u64, 0u64);
    let mut before = None;
    for events in batches(args.seed, start, args.events) {
        if interrupt.is_set() {
            progress.finish();
            return Err(Failure::new(exit::INTERRUPTED, "interrupted"));
        }
        events.iter().try_for_each(|event| builder.push(event))?;
        let batch = builder.finish()?;
        made += events.len() as u64;
        stored += batch.frame_bytes();
        let ticket = store.append(batch)?;
        // One batch is encoded while the one before it is synced.
        if let Some(before) = before.replace(ticket) {
            annal::Ticket::wait(before)?;
        }
        progress.set(stored, made);
    }
    if let Some(last) = before {
        last.wait()?;
    }
    progress.finish();
    let elapsed_ns = clock.monotonic_ns();
    eprintln!(
        "annal: made up a day of a shop: {} events in {}, {} on disk, {:.1} B each ({})",
        count(made),
        duration(i64::try_from(elapsed_ns).unwrap_or(i64::MAX)),
        bytes(stored),
        stored as f64 / made.max(1) as f64,
        rate(made, elapsed_ns),
    );
    Ok(())
}

/// A checkout that failed and was retried, if there is one; else any trace.
fn failed_trace(store: &Store) -> Outcome<Option<TraceId>> {
    let snapshot = store.snapshot();
    let failed = Query::new(TimeRange::ALL)
        .source("checkout")
        .event_type("shop.CheckoutService/PlaceOrder")
        .status(Status::Error)
        .limit(20);
    let any = Query::new(TimeRange::ALL).limit(1);
    let mut found = snapshot.query(&failed)?.events;
    // The longest has been retried.
    found.sort_by_key(|e: &Event| std::cmp::Reverse(e.duration));
    if found.is_empty() {
        found = snapshot.query(&any)?.events;
    }
    Ok(found.first().and_then(|e| e.trace_id))
}

/// The address asked for, or the default one, or any free one if that is taken.
fn free(asked: Option<&str>, default: &str) -> Outcome<String> {
    if let Some(asked) = asked {
        return Ok(asked.to_owned());
    }
    if TcpListener::bind(default).is_ok() {
        return Ok(default.to_owned());
    }
    let any = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    any.map(|address| address.to_string())
        .map_err(|e| Failure::new(exit::UNREACHABLE, format!("no free address: {e}")))
}

fn what_to_try(http: &str, tcp: &str, trace: Option<TraceId>) -> io::Result<()> {
    let program = std::env::args().next().unwrap_or_else(|| "annal".to_owned());
    let mut out = io::stdout().lock();
    let paint = Paint::stdout();
    let at_default = http == super::target::HTTP_DEFAULT;
    let url = if at_default { String::new() } else { format!(" --url http://{http}") };
    let trace = trace.map_or_else(|| "ID".to_owned(), |id| id.to_string());
    let tries = [
        (
            "which services failed",
            format!("query{url} --count --by source --where 'status = error'"),
        ),
        (
            "the slowest checkouts",
            format!("query{url} --source checkout --where 'duration > 2s' --limit 10"),
        ),
        ("what payment said", format!("query{url} --source payment --signal log --limit 20")),
        ("the trace above", format!("trace {trace}{url}")),
        ("more events, live", format!("generate --rate 500 --url tcp://{tcp}")),
    ];
    writeln!(out, "{}", paint.bold("Try, in another terminal:"))?;
    for (what, command) in tries {
        writeln!(out, "  {}", paint.dim(format!("# {what}")))?;
        writeln!(out, "  {program} {command}")?;
    }
    writeln!(out, "  curl 'http://{http}/api/v1/sources'")?;
    writeln!(out)?;
    out.flush()
}

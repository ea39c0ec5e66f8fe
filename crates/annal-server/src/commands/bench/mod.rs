//! `annal bench`: what this machine does, from the encoder to the wire, each figure the median of
//! some runs over the same events, made up or recorded. Everything appended is synced; nothing is
//! timed twice. With `--data`, what a store that is there already answers instead.

mod embedded;
mod material;

use std::io;
use std::path::{Path, PathBuf};

use annal::ingest::{Ingest, IngestOptions};
use annal::net::{BlockingClient, ClientOptions, Server, ServerOptions};
use annal::query::By;
use annal::time::{Clock, SystemClock};
use annal::{Batch, BatchBuilder, Event, Options, Query, Store, TimeRange};
use serde_json::json;

use super::import::{is_logs, random_id};
use crate::exit::{self, Failure, Outcome};
use crate::otlp;
use crate::terminal::{Align, Paint, Table, bytes, count, duration, rate};

use material::Material;

/// Measures this machine: encode, append, ingest, decode, query.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many events each measurement handles.
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    events: u64,
    /// Runs per measurement; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    /// Take the events from this file of OTLP requests (as `import --format otlp-proto` reads it)
    /// instead of making some up.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Stores are made (and removed) below this directory: measure the disk that matters
    /// [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Ask the store in this directory, read-only, in this process, instead: p50 and p99 of
    /// questions made from its own events.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["events", "runs", "file", "dir"])]
    data: Option<PathBuf>,
    /// Questions of each kind.
    #[arg(long, value_name = "N", default_value_t = 300, requires = "data")]
    questions: usize,
    /// Picks the events that questions are made from.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "data")]
    seed: u64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// One line of the answer.
struct Figure {
    name: &'static str,
    /// Nanoseconds of each run, sorted.
    runs_ns: Vec<u64>,
    /// Events that a run handled; 0 if the time itself is the figure.
    events: u64,
}

impl Figure {
    fn median_ns(&self) -> u64 {
        self.runs_ns.get(self.runs_ns.len() / 2).copied().unwrap_or(0)
    }
}

pub(crate) fn run(args: Args) -> Outcome {
    crate::interrupt::end_at_once();
    if args.events == 0 || args.runs == 0 || args.questions == 0 {
        return Err(Failure::usage("--events, --runs and --questions must be above 0"));
    }
    if let Some(data) = &args.data {
        return embedded::run(&args, data);
    }
    let below = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = below.join(format!("annal-bench-{}", std::process::id()));
    let figures = measure(&args, &directory);
    // What cannot be removed lies where the user said.
    let _ = std::fs::remove_dir_all(&directory);
    let (figures, stored) = figures?;
    let mut out = io::stdout().lock();
    if args.json {
        for figure in &figures {
            let per_s = (figure.events > 0)
                .then(|| figure.events as f64 / (figure.median_ns().max(1) as f64 / 1e9));
            let line = json!({"name": figure.name, "median_ns": figure.median_ns(),
                "runs_ns": figure.runs_ns, "events": figure.events, "events_per_s": per_s});
            io::Write::write_fmt(&mut out, format_args!("{line}\n"))?;
        }
        return Ok(exit::DONE);
    }
    table(&figures).write(&mut out, Paint::stdout())?;
    let handled = figures.iter().map(|f| f.events).max().unwrap_or(0);
    let each = stored as f64 / handled.max(1) as f64;
    eprintln!(
        "{} events, {} stored, {each:.1} B each; medians of {} runs below {}",
        count(handled),
        bytes(stored),
        args.runs,
        below.display()
    );
    Ok(exit::DONE)
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new(&[
        ("what", Align::Left),
        ("events/s", Align::Right),
        ("time", Align::Right),
        ("fastest", Align::Right),
        ("slowest", Align::Right),
    ]);
    let took =
        |ns: Option<&u64>| duration(ns.map_or(0, |&ns| i64::try_from(ns).unwrap_or(i64::MAX)));
    for figure in figures {
        let per_s = match figure.events {
            0 => String::new(),
            events => rate(events, figure.median_ns()),
        };
        table.row(vec![
            figure.name.to_owned(),
            per_s,
            took(Some(&figure.median_ns())),
            took(figure.runs_ns.first()),
            took(figure.runs_ns.last()),
        ]);
    }
    table
}

/// Runs `work` some times; it gives the nanoseconds that count.
fn figure(
    args: &Args,
    name: &'static str,
    events: u64,
    mut work: impl FnMut() -> Outcome<u64>,
) -> Outcome<Figure> {
    let mut runs_ns = (0..args.runs).map(|_| work()).collect::<Outcome<Vec<u64>>>()?;
    runs_ns.sort_unstable();
    Ok(Figure { name, runs_ns, events })
}

fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<u64> {
    let clock = SystemClock::new();
    work()?;
    Ok(clock.monotonic_ns())
}

fn measure(args: &Args, directory: &Path) -> Outcome<(Vec<Figure>, u64)> {
    let material = match &args.file {
        Some(path) => Material::recorded(path, args.events)?,
        None => Material::made_up(args.events)?,
    };
    let stored = material.encoded.iter().map(Batch::frame_bytes).sum();
    let n = material.count;
    let mut figures = vec![
        figure(args, "encode events", n, || timed(|| encode(&material.events)))?,
        figure(args, "validate batches", n, || timed(|| validate(&material.encoded)))?,
        figure(args, "decode OTLP", n, || timed(|| decode(&material.requests)))?,
    ];
    let mut runs = 0;
    let mut fresh = || {
        runs += 1;
        directory.join(runs.to_string())
    };
    figures.push(figure(args, "append and sync", n, || append(&material.encoded, &fresh()))?);
    figures.push(figure(args, "TCP, encoded before", n, || {
        tcp(&fresh(), |send| material.encoded.iter().try_for_each(|batch| send(batch.clone())))
    })?);
    figures.push(figure(args, "TCP, encoding events", n, || {
        let mut builder = BatchBuilder::new();
        tcp(&fresh(), |send| {
            material.events.iter().try_for_each(|events| {
                events.iter().try_for_each(|event| builder.push(event))?;
                send(builder.finish()?)
            })
        })
    })?);
    let kept = fresh();
    append(&material.encoded, &kept)?;
    let store = Store::open_read_only(Options::new(&kept))?;
    let snapshot = store.snapshot();
    let all = Query::new(TimeRange::ALL);
    let by = By { source: true, minute: true, ..By::default() };
    figures.push(figure(args, "count by source, minute", n, || {
        timed(|| Ok(snapshot.count(&all, by)?))
    })?);
    let failed = Query::new(TimeRange::ALL).source("payment").status(annal::event::Status::Error);
    figures.push(figure(args, "newest 100 errors", 0, || timed(|| Ok(snapshot.query(&failed)?)))?);
    if let Some(id) = material.trace {
        figures.push(figure(args, "trace by id", 0, || timed(|| Ok(snapshot.trace(id)?)))?);
    }
    Ok((figures, stored))
}

fn encode(events: &[Vec<Event>]) -> Outcome<Vec<Batch>> {
    let mut builder = BatchBuilder::new();
    let mut batches = Vec::with_capacity(events.len());
    for batch in events {
        batch.iter().try_for_each(|event| builder.push(event))?;
        batches.push(builder.finish()?);
    }
    Ok(batches)
}

fn validate(batches: &[Batch]) -> Outcome<()> {
    let now = SystemClock::new().now();
    for batch in batches {
        Batch::from_frame(*batch.header(), batch.payload().clone(), now)?;
    }
    Ok(())
}

fn decode(requests: &[Vec<u8>]) -> Outcome<()> {
    let now = SystemClock::new().now();
    let mut builder = BatchBuilder::new();
    let mut sink = |_| Ok(());
    for request in requests {
        match is_logs(request) {
            false => otlp::decode_traces(request, &mut builder, now, &mut sink)?,
            true => otlp::decode_logs(request, &mut builder, now, &mut sink)?,
        };
    }
    Ok(())
}

/// From the first append to the last acknowledgement.
fn append(batches: &[Batch], directory: &Path) -> Outcome<u64> {
    make_parent(directory)?;
    let (store, _) = Store::open(Options::new(directory))?;
    let clock = SystemClock::new();
    let tickets: Vec<annal::Ticket> =
        batches.iter().map(|b| store.append(b.clone())).collect::<annal::Result<_>>()?;
    for ticket in tickets {
        ticket.wait()?;
    }
    let elapsed_ns = clock.monotonic_ns();
    store.close()?;
    Ok(elapsed_ns)
}

/// The same through a server of this process, over the loopback; `produce` sends all batches.
fn tcp(
    directory: &Path,
    produce: impl FnOnce(&mut dyn FnMut(Batch) -> annal::Result<()>) -> annal::Result<()>,
) -> Outcome<u64> {
    make_parent(directory)?;
    let (store, _) = Store::open(Options::new(directory))?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::new(exit::STORAGE, format!("starting threads: {e}")))?;
    let ingest = runtime.block_on(async { Ingest::new(store, IngestOptions::default()) });
    let options = ServerOptions::default();
    let server = runtime.block_on(Server::bind("127.0.0.1:0", ingest.clone(), options))?;
    let producer = Some((random_id()?, 0));
    let address = server.local_address().to_string();
    let client =
        BlockingClient::connect(&address, ClientOptions { producer, ..ClientOptions::default() })?;
    let clock = SystemClock::new();
    let mut tickets = Vec::new();
    produce(&mut |batch| client.append(batch).map(|ticket| tickets.push(ticket)))?;
    for ticket in tickets {
        ticket.wait()?;
    }
    let elapsed_ns = clock.monotonic_ns();
    client.close();
    runtime.block_on(server.shutdown());
    runtime.block_on(ingest.close())?;
    Ok(elapsed_ns)
}

fn make_parent(directory: &Path) -> Outcome<()> {
    let parent = directory.parent().unwrap_or(directory);
    std::fs::create_dir_all(parent)
        .map_err(|e| Failure::usage(format!("{}: {e}", parent.display())))
}

//! `annal generate`: the made-up shop's events, into a file, a store or a server; at once, or live.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use annal::time::{Clock, SystemClock};
use annal::{Batch, BatchBuilder, Event, Timestamp};

use super::import::{Format, random_id};
use super::sink::{Destination, Sink};
use crate::exit::{self, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::json::{self, time::parse_time};
use crate::shop::{self, EVENTS_PER_REQUEST, Shop};
use crate::terminal::{Progress, bytes, count, duration, rate};

/// Makes up the events of a believable shop; the same seed gives the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many events.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// Another seed gives another shop.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// When the shop's day begins; the events spread over 24 hours from there.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2026-01-05T00:00:00Z",
        allow_hyphen_values = true
    )]
    start: String,
    /// Write to this file; - is stdout.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "url"])]
    out: Option<PathBuf>,
    /// How events stand in the file.
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    #[command(flatten)]
    to: Destination,
    /// Live: this many events a second, happening now, until --events are made or Ctrl-C.
    #[arg(long, value_name = "EVENTS/S", conflicts_with = "start")]
    rate: Option<f64>,
}

/// Events of one request or batch: enough for their columns to compress.
const BATCH_EVENTS: usize = 8_192;
const DAY_S: f64 = 86_400.0;
/// How often a live shop opens its door.
const LIVE_STEP: Duration = Duration::from_millis(100);

pub(crate) fn run(args: Args) -> Outcome {
    let clock = SystemClock::new();
    let mut target = match (&args.out, args.to.data.is_some() || args.to.url.is_some()) {
        (None, false) => Target::file(&PathBuf::from("-"), args.format)?,
        (Some(path), _) => Target::file(path, args.format)?,
        (None, true) => Target::sink(args.to.open()?)?,
    };
    let interrupt = Interrupt::watch();
    let progress = Progress::bytes(None);
    let made = match args.rate {
        Some(rate) => live(&args, rate, &clock, &interrupt, &mut target),
        None => day(&args, &clock, &interrupt, &progress, &mut target),
    };
    progress.finish();
    let ended = target.finish();
    let made = made?;
    ended?;
    let elapsed_ns = clock.monotonic_ns();
    let took = duration(i64::try_from(elapsed_ns).unwrap_or(i64::MAX));
    eprintln!("annal: made {} events in {took} ({})", count(made), rate(made, elapsed_ns));
    Ok(if interrupt.is_set() { exit::INTERRUPTED } else { exit::DONE })
}

/// The events of `--events`, spread over days from the start on.
fn day(
    args: &Args,
    clock: &SystemClock,
    interrupt: &Interrupt,
    progress: &Progress,
    target: &mut Target,
) -> Outcome<u64> {
    let start =
        parse_time(&args.start, clock.now()).map_err(|e| Failure::from(e).during("--start"))?;
    let mut made = 0;
    for events in batches(args.seed, start, args.events) {
        if interrupt.is_set() {
            break;
        }
        made += events.len() as u64;
        target.take(&events)?;
        progress.set(target.bytes(), made);
    }
    Ok(made)
}

/// The shop's events in batches, exactly so many.
pub(super) fn batches(seed: u64, start: Timestamp, total: u64) -> impl Iterator<Item = Vec<Event>> {
    let mut shop = Shop::new(seed, start, total as f64 / EVENTS_PER_REQUEST);
    let mut left = usize::try_from(total).unwrap_or(usize::MAX);
    std::iter::from_fn(move || {
        let mut events = Vec::with_capacity(BATCH_EVENTS + 64);
        while events.len() < BATCH_EVENTS.min(left) {
            events.extend(shop.next_request());
        }
        events.truncate(left);
        left -= events.len();
        (!events.is_empty()).then_some(events)
    })
}

/// Events as they happen, so many a second.
fn live(
    args: &Args,
    per_second: f64,
    clock: &SystemClock,
    interrupt: &Interrupt,
    target: &mut Target,
) -> Outcome<u64> {
    let sane = per_second.is_finite() && per_second > 0.0;
    if !sane {
        return Err(Failure::usage(format!("--rate {per_second}: events a second, above 0")));
    }
    let mut shop = Shop::new(args.seed, clock.now(), per_second * DAY_S / EVENTS_PER_REQUEST);
    let begun = clock.monotonic_ns();
    let mut made = 0u64;
    while made < args.events && !interrupt.is_set() {
        let due = (clock.monotonic_ns() - begun) as f64 / 1e9 * per_second;
        let mut events = Vec::new();
        while made + (events.len() as u64) < (due as u64).min(args.events) {
            // Ends now: a span is told when it is over.
            let mut request = shop.request_at(clock.now());
            let end = |e: &Event| e.time.as_ns() + e.duration.unwrap_or(0);
            let late = request.iter().map(end).max().unwrap_or(0) - clock.now().as_ns();
            request.iter_mut().for_each(|e| shift(e, late.max(0)));
            events.extend(request);
        }
        made += events.len() as u64;
        if !events.is_empty() {
            target.take(&events)?;
            target.flush()?;
        }
        std::thread::sleep(LIVE_STEP);
    }
    Ok(made)
}

/// Moves an event into the past.
fn shift(event: &mut Event, ns: i64) {
    let back = |time: Timestamp| Timestamp(time.as_ns() - ns);
    event.time = back(event.time);
    event.observed = event.observed.map(back);
    for inner in &mut event.events {
        inner.time = back(inner.time);
    }
}

/// Where the events go.
enum Target {
    File { out: Box<dyn Write>, format: Format, written: u64, line: Vec<u8> },
    Sink { sink: Sink, builder: Box<BatchBuilder>, sent: u64 },
}

impl Target {
    fn file(path: &PathBuf, format: Format) -> Outcome<Target> {
        let out: Box<dyn Write> = if path.as_os_str() == "-" {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            let file = File::create(path)
                .map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
            Box::new(BufWriter::with_capacity(1 << 20, file))
        };
        Ok(Target::File { out, format, written: 0, line: Vec::new() })
    }

    fn sink(mut sink: Sink) -> Outcome<Target> {
        sink.begin(random_id()?)?;
        Ok(Target::Sink { sink, builder: Box::default(), sent: 0 })
    }

    fn take(&mut self, events: &[Event]) -> Outcome<()> {
        match self {
            Target::File { out, format: Format::Ndjson, written, line } => {
                for event in events {
                    line.clear();
                    json::write_event(line, event);
                    line.push(b'\n');
                    out.write_all(line)?;
                    *written += line.len() as u64;
                }
            }
            Target::File { out, format: Format::OtlpProto, written, .. } => {
                for request in shop::otlp::requests(events) {
                    let length = u32::try_from(request.len())
                        .map_err(|_| Failure::usage("a request of more than 4 GiB"))?;
                    out.write_all(&length.to_be_bytes())?;
                    out.write_all(&request)?;
                    *written += 4 + u64::from(length);
                }
            }
            Target::Sink { sink, builder, sent } => {
                let mut send = |batch: Batch| {
                    *sent += batch.frame_bytes();
                    sink.send(batch)
                };
                for event in events {
                    builder.push(event)?;
                    if builder.is_full() {
                        send(builder.finish()?)?;
                    }
                }
                if builder.events() > 0 {
                    send(builder.finish()?)?;
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        match self {
            Target::File { written, .. } => *written,
            Target::Sink { sent, .. } => *sent,
        }
    }

    fn flush(&mut self) -> Outcome<()> {
        match self {
            Target::File { out, .. } => out.flush()?,
            Target::Sink { sink, .. } => drop(sink.flush()?),
        }
        Ok(())
    }

    fn finish(self) -> Outcome<()> {
        match self {
            Target::File { mut out, written, .. } => {
                out.flush()?;
                if written > 0 {
                    eprintln!("annal: wrote {}", bytes(written));
                }
            }
            Target::Sink { sink, .. } => drop(sink.close()?),
        }
        Ok(())
    }
}

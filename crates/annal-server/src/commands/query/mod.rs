//! `annal query`: events, or how many, from a directory or a server.
//!
//! Answers come in pages, so that a large `--limit` needs no large memory. What was matched, read
//! and pruned is told on stderr.

use std::io::{self, BufWriter, Write};

use annal::event::Signal;
use annal::query::{By, Order};
use annal::time::{Clock, SystemClock};
use annal::{Options, Query, Snapshot, Store, TimeRange, Timestamp, TraceId};

use super::remote::{CountAnswer, EventsAnswer, ExplainAnswer, Remote};
use super::target::Target;
use crate::exit::{self, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::json::{self, time::parse_time};
use crate::terminal::Paint;

mod caret;
mod print;
mod tally;

use print::{CountRow, CountTable, EventPrinter};

pub(super) use print::parse_events;
use tally::Tally;

/// Finds or counts events.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// From this instant on: 2022-08-22T12:00:00Z, nanoseconds since 1970, or -1h.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Before this instant.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Only of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only of this type.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only of this signal: span, log or event.
    #[arg(long)]
    signal: Option<String>,
    /// Only of this trace.
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// Only if this holds, such as 'duration > 100ms && status = error'.
    #[arg(long = "where", value_name = "EXPR")]
    filter: Option<String>,
    /// At most this many events.
    #[arg(long, value_name = "N", default_value_t = annal::limits::ANSWER_EVENTS_DEFAULT)]
    limit: usize,
    /// newest or oldest first.
    #[arg(long, default_value = "newest", value_name = "ORDER")]
    order: String,
    /// Only say how many; --limit and --order mean nothing then.
    #[arg(long)]
    count: bool,
    /// Count by any of source,type,minute.
    #[arg(long, requires = "count", value_name = "KEYS")]
    by: Option<String>,
    /// Say what would be read and why, without reading it.
    #[arg(long, conflicts_with = "count")]
    explain: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// The deadline of a query on a directory: nobody else waits, and Ctrl-C ends it.
const DEADLINE_MS: u64 = 24 * 3_600_000;

pub(crate) fn run(args: Args) -> Outcome {
    let asked = Asked::new(&args)?;
    let started = SystemClock::new();
    let mut out = BufWriter::new(io::stdout().lock());
    let mut tally = Tally::default();
    let source = Source::open(&args.target)?;
    if args.explain {
        explain(&args, &asked, &source, &mut out)?;
        out.flush()?;
        return Ok(exit::DONE);
    }
    let outcome = match args.count {
        true => count(&args, &asked, &source, &mut tally, &mut out),
        false => events(&args, &asked, &source, &mut tally, &mut out),
    };
    out.flush()?;
    let code = outcome?;
    tally.tell(started.monotonic_ns());
    Ok(code)
}

/// The question, checked.
struct Asked {
    query: Query,
    by: By,
}

impl Asked {
    fn new(args: &Args) -> Outcome<Asked> {
        let now = SystemClock::new().now();
        let instant = |name: &str, text: &Option<String>, default| match text {
            Some(text) => parse_time(text, now).map_err(|e| Failure::from(e).during(name)),
            None => Ok(default),
        };
        let range = TimeRange {
            since: instant("--since", &args.since, Timestamp::MIN)?,
            until: instant("--until", &args.until, Timestamp::MAX)?,
        };
        let mut query = Query::new(range);
        query.source.clone_from(&args.source);
        query.event_type.clone_from(&args.event_type);
        query.signal = args.signal.as_deref().map(signal).transpose()?;
        query.trace = args.trace.as_deref().map(trace_id).transpose()?;
        query.filter = match &args.filter {
            Some(text) => Some(text.parse().map_err(|e| caret::failure(text, &e))?),
            None => None,
        };
        query.order = match args.order.as_str() {
            "newest" => Order::Newest,
            "oldest" => Order::Oldest,
            other => return Err(Failure::usage(format!("--order {other}: newest or oldest"))),
        };
        query.limit = args.limit;
        query.deadline_ms = DEADLINE_MS;
        let by = args.by.as_deref().unwrap_or_default().parse::<By>()?;
        Ok(Asked { query, by })
    }

    /// The same question for a server.
    fn pairs(&self, args: &Args) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        let mut pair = |key, value: Option<String>| pairs.extend(value.map(|value| (key, value)));
        pair("since", args.since.as_ref().map(|_| self.query.range.since.to_string()));
        pair("until", args.until.as_ref().map(|_| self.query.range.until.to_string()));
        pair("source", args.source.clone());
        pair("type", args.event_type.clone());
        pair("signal", args.signal.clone());
        pair("trace", args.trace.clone());
        pair("where", args.filter.clone());
        pairs
    }
}

fn signal(text: &str) -> Outcome<Signal> {
    Signal::from_name(text)
        .ok_or_else(|| Failure::usage(format!("--signal {text}: span, log or event")))
}

/// A trace id of the command line.
pub(super) fn trace_id(text: &str) -> Outcome<TraceId> {
    crate::trace_id::parse(text)
        .ok_or_else(|| Failure::usage(format!("{text:?} is no trace id: 32 or 16 hex digits")))
}

/// Where the answers come from.
pub(super) enum Source {
    Directory(Snapshot, Interrupt),
    Server(Remote),
}

impl Source {
    pub(super) fn open(target: &Target) -> Outcome<Source> {
        match &target.data {
            Some(directory) => {
                let interrupt = Interrupt::watch();
                let store = Store::open_read_only(Options::new(directory))?;
                Ok(Source::Directory(store.snapshot(), interrupt))
            }
            None => {
                crate::interrupt::end_at_once();
                Ok(Source::Server(Remote::new(target.url.as_deref())?))
            }
        }
    }
}

fn events(
    args: &Args,
    asked: &Asked,
    source: &Source,
    tally: &mut Tally,
    out: &mut dyn Write,
) -> Outcome {
    let mut printer = EventPrinter::new(args.json, Paint::stdout());
    match source {
        Source::Directory(snapshot, interrupt) => {
            let mut query = asked.query.clone();
            query.cancel = Some(interrupt.flag());
            loop {
                let answer = snapshot.query(&query)?;
                tally.add(&answer.scanned);
                printer.print(&answer.events, out)?;
                query.limit = query.limit.saturating_sub(answer.events.len());
                tally.truncated = answer.truncated;
                match answer.next {
                    Some(next) if query.limit > 0 => query.cursor = Some(next),
                    _ => break,
                }
            }
        }
        Source::Server(remote) => remote_events(args, asked, remote, tally, &mut printer, out)?,
    }
    tally.given = printer.printed;
    Ok(if printer.printed == 0 { exit::NOTHING } else { exit::DONE })
}

fn remote_events(
    args: &Args,
    asked: &Asked,
    remote: &Remote,
    tally: &mut Tally,
    printer: &mut EventPrinter,
    out: &mut dyn Write,
) -> Outcome<()> {
    let mut left = args.limit as u64;
    let mut cursor = None;
    loop {
        let mut pairs = asked.pairs(args);
        pairs.push(("order", args.order.clone()));
        pairs.push(("limit", left.min(PAGE_EVENTS).to_string()));
        pairs.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let body = remote.get("/api/v1/events", &pairs)?;
        let answer: EventsAnswer = remote.read(&body)?;
        tally.add_remote(&answer.scanned);
        tally.truncated = answer.truncated;
        left = left.saturating_sub(answer.events.len() as u64);
        printer.print_raw(&answer.events, out)?;
        cursor = answer.next;
        if left == 0 || cursor.is_none() || answer.events.is_empty() {
            return Ok(());
        }
    }
}

/// Events asked of a server at a time.
const PAGE_EVENTS: u64 = 10_000;

/// What would be read, and why.
fn explain(args: &Args, asked: &Asked, source: &Source, out: &mut dyn Write) -> Outcome<()> {
    let mut line = Vec::new();
    match source {
        Source::Directory(snapshot, _) => {
            let explain = snapshot.explain(&asked.query)?;
            if args.json {
                json::write_explain(&mut line, &explain);
            } else {
                line = explain.to_string().into_bytes();
            }
        }
        Source::Server(remote) => {
            let mut pairs = asked.pairs(args);
            pairs.push(("order", args.order.clone()));
            line = remote.get("/api/v1/explain", &pairs)?;
            if !args.json {
                line = remote.read::<ExplainAnswer>(&line)?.text.into_bytes();
            }
        }
    }
    line.push(b'\n');
    out.write_all(&line)?;
    Ok(())
}

fn count(
    args: &Args,
    asked: &Asked,
    source: &Source,
    tally: &mut Tally,
    out: &mut dyn Write,
) -> Outcome {
    let mut table = CountTable::new(asked.by, args.json);
    match source {
        Source::Directory(snapshot, interrupt) => {
            let mut query = asked.query.clone();
            query.cancel = Some(interrupt.flag());
            let answer = snapshot.count(&query, asked.by)?;
            tally.add(&answer.scanned);
            for count in answer.counts {
                table.row(CountRow::from(count), out)?;
            }
        }
        Source::Server(remote) => {
            let mut pairs = asked.pairs(args);
            pairs.extend(args.by.clone().map(|by| ("by", by)));
            let body = remote.get("/api/v1/count", &pairs)?;
            let answer: CountAnswer = remote.read(&body)?;
            tally.add_remote(&answer.scanned);
            for row in answer.counts {
                table.row(remote.read::<CountRow>(row.get().as_bytes())?, out)?;
            }
        }
    }
    tally.given = table.finish(out, Paint::stdout())?;
    Ok(exit::DONE)
}

/// Events as JSON, one a line.
pub(super) fn write_json(events: &[annal::Event], out: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::new();
    for event in events {
        line.clear();
        json::write_event(&mut line, event);
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

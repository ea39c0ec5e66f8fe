//! `annal trace`: one trace as a tree, with durations, errors and the logs under their spans.

use std::io::{self, BufWriter, IsTerminal, Write};

use annal::{Event, TraceId};

use super::query::{Source, parse_events, trace_id, write_json};
use super::remote::EventsAnswer;
use super::target::Target;
use crate::exit::{self, Failure, Outcome};
use crate::terminal::{Canvas, Paint, TraceTree, width};

/// Draws a trace as a tree, with its logs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The trace id: 32 hex digits, or 16 for ids of 64 bits.
    id: String,
    #[command(flatten)]
    target: Target,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    let id = trace_id(&args.id)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let events = match Source::open(&args.target)? {
        Source::Directory(snapshot, _) => {
            let answer = snapshot.trace(id)?;
            warn(answer.truncated);
            answer.events
        }
        Source::Server(remote) => {
            let body = match remote.get(&format!("/api/v1/traces/{id}"), &[]) {
                Err(failure) if failure.code == exit::NOTHING => return Err(nothing(id)),
                body => body?,
            };
            let answer: EventsAnswer = remote.read(&body)?;
            warn(answer.truncated);
            if args.json {
                for event in &answer.events {
                    writeln!(out, "{}", event.get())?;
                }
                out.flush()?;
                return ended(id, answer.events.len());
            }
            parse_events(&answer.events)?
        }
    };
    if !events.is_empty() {
        match args.json {
            true => write_json(&events, &mut out)?,
            false => draw(id, &events, &mut out)?,
        }
    }
    out.flush()?;
    ended(id, events.len())
}

/// Draws as wide as the terminal is.
pub(super) fn draw(id: TraceId, events: &[Event], out: &mut dyn Write) -> io::Result<()> {
    let cut = io::stdout().is_terminal();
    let canvas = Canvas { paint: Paint::stdout(), width: width(), cut };
    TraceTree::new(id, events).write(out, canvas)
}

fn ended(id: TraceId, events: usize) -> Outcome {
    if events == 0 { Err(nothing(id)) } else { Ok(exit::DONE) }
}

fn warn(truncated: bool) {
    if truncated {
        eprintln!("annal: the trace is larger than an answer may be: this is its beginning");
    }
}

fn nothing(id: TraceId) -> Failure {
    Failure::new(exit::NOTHING, format!("no event of trace {id}"))
}

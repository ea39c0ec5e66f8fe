//! The commands, one file each, and what the command line looks like.
//!
//! Data goes to stdout, everything else to stderr; colour and progress only to a terminal. The exit
//! codes stand in `exit`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Outcome;

mod bench;
mod compact;
mod demo;
mod generate;
mod import;
mod inspect;
mod query;
mod remote;
mod serve;
mod sink;
mod target;
mod trace;
mod verify;

/// An event store for traces, logs and errors.
#[derive(Debug, Parser)]
#[command(name = "annal", version, about, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Import(import::Args),
    Query(query::Args),
    Trace(trace::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Compact(compact::Args),
    Generate(generate::Args),
    Demo(demo::Args),
    Bench(bench::Args),
}

impl CommandLine {
    /// Runs the command; whatever ended it early is told on stderr.
    pub(crate) fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Serve(args) => serve::run(args),
            Command::Import(args) => import::run(args),
            Command::Query(args) => query::run(args),
            Command::Trace(args) => trace::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Compact(args) => compact::run(args),
            Command::Generate(args) => generate::run(args),
            Command::Demo(args) => demo::run(args),
            Command::Bench(args) => bench::run(args),
        };
        ExitCode::from(outcome_code(outcome))
    }
}

fn outcome_code(outcome: Outcome) -> u8 {
    outcome.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            eprintln!("annal: {}", failure.message);
        }
        failure.code
    })
}

//! The `annal` binary's inside: command line, configuration, and the gateways that turn other
//! protocols into batches.
//!
//! [`run`] reads the command line and calls one of `commands`; `terminal` draws for people. The
//! gateways (`http`, `otlp`, `jaeger`, `json`) know nothing of the command line. A library and not
//! only a binary so that benches and fuzzers reach the decoders.

mod commands;
mod config;
mod descriptors;
mod exit;
pub mod http;
mod interrupt;
pub mod jaeger;
pub mod json;
pub mod otlp;
mod shop;
mod terminal;
mod trace_id;

use std::process::ExitCode;

use clap::Parser;

/// Reads the command line, runs one command and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    commands::CommandLine::parse().run()
}

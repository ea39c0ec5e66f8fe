//! `annal demo`

use crate::exit::{Failure, Outcome};

/// Generates a shop's events, serves them, and says what to try.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("demo is not built into this version"))
}

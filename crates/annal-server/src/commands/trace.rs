//! `annal trace`

use crate::exit::{Failure, Outcome};

/// Draws a trace as a tree, with its logs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("trace is not built into this version"))
}

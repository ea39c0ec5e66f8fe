//! `annal inspect`

use crate::exit::{Failure, Outcome};

/// Shows what a store holds: segments, sizes, times, sources.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("inspect is not built into this version"))
}

//! `annal bench`

use crate::exit::{Failure, Outcome};

/// Measures this machine: encode, append, ingest, decode, query.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("bench is not built into this version"))
}

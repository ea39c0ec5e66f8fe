//! `annal query`

use crate::exit::{Failure, Outcome};

/// Finds or counts events.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("query is not built into this version"))
}

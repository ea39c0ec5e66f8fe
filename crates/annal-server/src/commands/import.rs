//! `annal import`

use crate::exit::{Failure, Outcome};

/// Reads files of events into a store or a server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("import is not built into this version"))
}

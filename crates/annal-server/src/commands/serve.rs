//! `annal serve`

use crate::exit::{Failure, Outcome};

/// Serves a store over HTTP and TCP.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("serve is not built into this version"))
}

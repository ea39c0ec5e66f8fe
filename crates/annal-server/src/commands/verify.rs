//! `annal verify`

use crate::exit::{Failure, Outcome};

/// Re-reads everything a store holds and names each damage.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("verify is not built into this version"))
}

//! `annal generate`

use crate::exit::{Failure, Outcome};

/// Makes up the events of a believable shop.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(args: Args) -> Outcome {
    let _ = args;
    Err(Failure::usage("generate is not built into this version"))
}

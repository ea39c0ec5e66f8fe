//! The `annal` binary: everything is in the library beside it, where benches and fuzzers reach it.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    annal_server::run()
}

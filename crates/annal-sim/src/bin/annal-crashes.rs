//! `annal-crashes [CRASHES] [FIRST_SEED]`: the long run. Every core takes every n-th seed; a line of
//! progress every few seconds, a summary at the end, exit 1 if anything was found.
#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use annal::time::{Clock, SECOND_NS, SystemClock};
use annal_sim::{Settings, Stock, Summary, crash_run};

/// Runs between two looks at the common sum.
const CHUNK: u64 = 500;

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let Ok(crashes) = arguments.next().unwrap_or(Ok(1_000_000)) else { return usage() };
    let Ok(first) = arguments.next().unwrap_or(Ok(0)) else { return usage() };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (stock, settings) = (Stock::new(40), Settings::default());
    let (sum, next_seed) = (Mutex::new(Summary::default()), AtomicU64::new(first));
    let clock = SystemClock::new();
    let elapsed_s = || clock.monotonic_ns() / SECOND_NS as u64;
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next_seed.fetch_add(CHUNK, Ordering::Relaxed);
                    let mut chunk = Summary::default();
                    for seed in seed..seed + CHUNK {
                        chunk.add(seed, crash_run(seed, &settings, &stock));
                    }
                    let Ok(mut sum) = sum.lock() else { return };
                    let tenth = |s: &Summary| s.total.crashes / (crashes / 100).max(1);
                    let before = tenth(&sum);
                    if before >= 100 {
                        return;
                    }
                    for (seed, finding) in &chunk.findings {
                        println!("seed {seed}: {:?}: {}", finding.violation, finding.what);
                    }
                    sum.merge(chunk);
                    if tenth(&sum) > before {
                        println!("{} s: {sum}", elapsed_s());
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_default();
    println!("seeds from {first}, {cores} threads, {} s: {sum}", elapsed_s());
    std::process::ExitCode::from(u8::from(!sum.findings.is_empty()))
}

fn usage() -> std::process::ExitCode {
    println!("usage: annal-crashes [CRASHES] [FIRST_SEED]");
    std::process::ExitCode::from(2)
}

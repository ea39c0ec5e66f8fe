//! What the tests of the simulator share: how often, from which seed, and how to say what was found.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::print_stdout, reason = "each test prints its summary")]

use std::sync::LazyLock;

use annal_sim::{Loss, Stock, Summary, World};

/// Batches that all worlds send.
pub(crate) static STOCK: LazyLock<Stock> = LazyLock::new(|| Stock::new(40));

/// A number from the environment, or the one that CI takes.
pub(crate) fn env(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
        Err(_) => default,
    }
}

/// What the store is found to be on each of the disks that may be left now, the power having gone
/// at this point.
pub(crate) fn lose_power(world: &World<'_>, point: u64, losses: Vec<Loss>, summary: &mut Summary) {
    for loss in losses {
        let mut report = world.imagine(loss);
        report.crashes += 1;
        for finding in &mut report.findings {
            finding.what = format!("{loss:?}: {}", finding.what);
        }
        summary.add(point, report);
    }
}

/// Prints the summary; fails with the seeds of the first runs in which something was wrong.
pub(crate) fn conclude(what: &str, summary: &Summary) {
    println!("{what}: {summary}");
    let first: Vec<String> = summary
        .findings
        .iter()
        .take(5)
        .map(|(seed, found)| format!("run {seed}: {:?}: {}", found.violation, found.what))
        .collect();
    assert!(first.is_empty(), "{what}: {summary}\n{}", first.join("\n"));
}

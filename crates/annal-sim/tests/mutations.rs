//! The oracle can fail: a disk that breaks one rule, which is what an engine looks like that forgot a
//! sync, is caught.

#![allow(clippy::print_stdout, reason = "each test prints its summary")]

mod common;

use annal_sim::{Lie, Settings, Summary, Violation, crash_run};
use common::STOCK;

/// Runs until something is found.
fn found_within(runs: u64, lie: Lie) -> Summary {
    let settings = Settings { lie: Some(lie), fault_percent: 0, ..Settings::default() };
    let mut summary = Summary::default();
    for seed in 0..runs {
        summary.add(seed, crash_run(seed, &settings, &STOCK));
        if !summary.findings.is_empty() {
            break;
        }
    }
    println!("{lie:?}: {summary}");
    summary
}

fn broken(summary: &Summary) -> bool {
    use Violation::{Lost, NotIdempotent, Refused, SequenceReused};
    summary
        .findings
        .iter()
        .any(|(_, f)| matches!(f.violation, Lost | Refused | SequenceReused | NotIdempotent))
}

#[test]
fn an_engine_that_acknowledges_before_it_syncs_is_caught() {
    assert!(broken(&found_within(50, Lie::SyncFile)));
}

#[test]
fn an_engine_that_forgets_to_sync_the_directory_is_caught() {
    assert!(broken(&found_within(50, Lie::SyncDirectory)));
}

#[test]
fn an_engine_that_forgets_one_sync_in_ten_is_caught() {
    assert!(broken(&found_within(500, Lie::OneSyncIn(10))));
}

//! The oracle can fail: a disk that breaks one rule, which is what an engine looks like that forgot a
//! sync, is caught.

#![allow(clippy::print_stdout, reason = "each test prints its summary")]

mod common;

use annal_sim::{
    Action, Call, Fault, FaultKind, Lie, Settings, Summary, Violation, World, crash_run,
};
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

#[test]
fn an_engine_that_acknowledges_the_group_whose_sync_failed_is_caught_at_once() {
    let settings = Settings { lie: Some(Lie::FailedSync), fault_percent: 0, ..Settings::default() };
    let mut world = World::new(1, settings, &STOCK);
    assert!(world.recover(0));
    let send = |world: &mut World<'_>| {
        world.act(Action::SendUnnumbered);
        world.act(Action::Drain);
    };
    send(&mut world);
    // The segment is there: from now on each batch costs the same calls.
    world.disk.record();
    send(&mut world);
    let calls = world.disk.recorded();
    let sync = calls.iter().position(|call| call.syncs()).expect("a batch is synced") as u64;
    world.inject(Fault { at_call: world.disk.calls() + sync, kind: FaultKind::Io });
    assert!(world.findings().is_empty(), "{:?}", world.findings());
    send(&mut world);
    assert_eq!(world.disk.fault_met(), Some(Call::SyncData));
    let found: Vec<_> = world.findings().iter().map(|f| f.violation).collect();
    assert_eq!(found, [Violation::WrongAnswer]);
}

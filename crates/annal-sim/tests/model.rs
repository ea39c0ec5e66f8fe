//! The store against a plain list: random operations, shrunk by proptest when they disagree.
//!
//! `ANNAL_MODEL_CASES` says how many runs of 100 operations.

mod common;

use annal_sim::{Action, Loss, RunReport, Settings, Summary, World, guarded};
use common::{STOCK, conclude, env};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[derive(Clone, Debug)]
enum Operation {
    Do(Action),
    Crash(u64),
    CrashAfter(u64),
    Kill,
    Close,
}

fn operation() -> impl Strategy<Value = Operation> {
    let producer = 0..3usize;
    let action = prop_oneof![
        30 => producer.clone().prop_map(Action::SendNext),
        8 => Just(Action::SendUnnumbered),
        6 => producer.clone().prop_map(Action::Retry),
        1 => producer.clone().prop_map(Action::SendFenced),
        1 => producer.prop_map(Action::SendGap),
        20 => Just(Action::StepCommitter),
        8 => Just(Action::StepMaintenance),
        6 => Just(Action::StepCompactor),
        2 => Just(Action::Compact),
        2 => any::<bool>().prop_map(Action::Pause),
        1 => Just(Action::Seal),
        5 => (0..200u64).prop_map(Action::AdvanceMs),
        3 => (1_000..70_000u64).prop_map(Action::AdvanceMs),
        4 => Just(Action::Look),
        2 => Just(Action::Hold),
        2 => Just(Action::LookAtHeld),
        4 => Just(Action::Drain),
    ];
    prop_oneof![
        94 => action.prop_map(Operation::Do),
        2 => any::<u64>().prop_map(Operation::Crash),
        1 => (0..30u64).prop_map(Operation::CrashAfter),
        1 => Just(Operation::Kill),
        2 => Just(Operation::Close),
    ]
}

fn run(operations: &[Operation], store_bytes_max: Option<u64>) -> RunReport {
    let mut settings = Settings { fault_percent: 0, ..Settings::default() };
    settings.retention.store_bytes_max = store_bytes_max;
    guarded(World::new(1, settings, &STOCK), |world| {
        if !world.recover(0) {
            return;
        }
        for operation in operations {
            match operation {
                Operation::Do(action) => world.act(*action),
                Operation::Crash(seed) => {
                    world.lose_power(Loss::from_seed(*seed, world.disk.changes()));
                }
                Operation::CrashAfter(changes) => world.disk.lose_power_after(*changes),
                Operation::Kill => world.kill(),
                Operation::Close => {
                    world.close();
                }
            }
            if world.disk.is_off() {
                world.lose_power(Loss::Sectors { seed: 1 });
            }
            if !world.is_open() && !world.recover(0) {
                return;
            }
        }
        // With nothing in flight, the store and the list are equal.
        world.disk.lose_power_never();
        world.drain();
        world.look();
    })
}

#[test]
fn a_store_equals_a_plain_list_after_any_operations() {
    let cases = env("ANNAL_MODEL_CASES", 2_000);
    let config = Config { cases: cases as u32, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let summary = std::cell::RefCell::new(Summary::default());
    let inputs = (prop::collection::vec(operation(), 100), prop::option::of(100_000..300_000u64));
    let outcome = runner.run(&inputs, |(operations, store_bytes_max)| {
        let report = run(&operations, store_bytes_max);
        let first = report.findings.first().cloned();
        summary.borrow_mut().add(0, report);
        prop_assert!(first.is_none(), "{first:?}");
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    conclude("model", &summary.into_inner());
}

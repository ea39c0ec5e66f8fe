//! COM-1 at every point: one recorded run, power lost at each of its changes, and from each of these
//! moments many disks: everything volatile lost, nothing, each single change, random subsets, torn.
//!
//! `ANNAL_SUBSETS` says how many random disks per point.

mod common;

use annal_sim::{Loss, Settings, Summary, World};
use common::{STOCK, conclude, env, lose_power};

const ROUNDS: usize = 32;

fn recorded(settings: Settings, changes: Option<u64>) -> World<'static> {
    let mut world = World::new(1, settings, &STOCK);
    if let Some(changes) = changes {
        world.disk.lose_power_after(changes);
    }
    if world.recover(0) {
        world.script(ROUNDS);
        if !world.disk.is_off() {
            world.close();
        }
    }
    world
}

#[test]
fn every_crash_point_of_a_recorded_run_recovers_what_was_acknowledged() {
    let mut settings = Settings { fault_percent: 0, ..Settings::default() };
    settings.retention.store_bytes_max = Some(150_000);
    let whole = recorded(settings, None);
    assert!(whole.findings().is_empty(), "{:?}", whole.findings());
    let changes = whole.disk.changes();
    assert!(changes > 200, "only {changes} changes recorded");
    let subsets = env("ANNAL_SUBSETS", 64);
    let mut summary = Summary::default();
    for point in 0..changes {
        let world = crashed_at(settings, point);
        let pending = world.disk.pending();
        let mut losses = vec![Loss::All, Loss::Nothing];
        losses.extend(pending.iter().map(|&stamp| Loss::One(stamp)));
        losses.extend(pending.last().map(|&stamp| Loss::TornAt { stamp, seed: point }));
        for seed in 0..subsets {
            losses.push(match seed % 3 {
                0 => Loss::Changes { seed, survive_percent: 50 },
                1 => Loss::Sectors { seed },
                _ => Loss::Pages { seed },
            });
        }
        lose_power(&world, point, losses, &mut summary);
    }
    conclude("crash points", &summary);
    assert!(summary.runs >= 5_000 || subsets < 64, "only {} disks", summary.runs);
}

/// The run until the power goes; recovery itself is a crash point like any other.
fn crashed_at(settings: Settings, point: u64) -> World<'static> {
    let mut world = World::new(1, settings, &STOCK);
    world.disk.lose_power_after(point);
    world.open_once();
    if world.is_open() {
        world.script(ROUNDS);
        if !world.disk.is_off() {
            world.close();
        }
    }
    world
}

//! MAN-1 at every point: the process is killed at each change of a recorded run, the next one is
//! interrupted by a power loss at each change of its recovery, and whatever single change was lost
//! then, the store opens and has everything that was acknowledged.

mod common;

use annal_sim::{Loss, Settings, Summary, World};
use common::{STOCK, conclude};

const ROUNDS: usize = 10;

/// A first life that is closed, and a second that is killed at one of its changes, or not at all.
fn killed_at(settings: Settings, point: Option<u64>) -> World<'static> {
    let mut world = World::new(1, settings, &STOCK);
    assert!(world.recover(0));
    world.script(ROUNDS);
    assert!(world.close());
    let before = world.disk.changes();
    if let Some(point) = point {
        world.disk.kill_after(point);
    }
    world.open_once();
    if world.is_open() && !world.disk.is_off() {
        world.script(ROUNDS / 2);
        if !world.disk.is_off() {
            world.close();
        }
    }
    world.report.recovered = world.disk.changes() - before;
    world
}

#[test]
fn a_power_loss_while_a_killed_store_is_opened_takes_nothing_that_was_acknowledged() {
    let mut settings = Settings { fault_percent: 0, ..Settings::default() };
    settings.retention.store_bytes_max = Some(100_000);
    let whole = killed_at(settings, None);
    assert!(whole.findings().is_empty(), "{:?}", whole.findings());
    let changes = whole.report.recovered;
    assert!(changes > 40, "only {changes} changes recorded");
    let mut summary = Summary::default();
    for point in 0..changes {
        for opening in 0.. {
            let mut world = killed_at(settings, Some(point));
            if !world.disk.is_off() {
                break;
            }
            world.kill();
            world.disk.lose_power_after(opening);
            world.open_once();
            if !world.disk.is_off() {
                break;
            }
            let pending = world.disk.pending();
            let losses = [Loss::All, Loss::Nothing].into_iter();
            for loss in losses.chain(pending.into_iter().map(Loss::One)) {
                let mut report = world.imagine(loss);
                report.kills += 1;
                for finding in &mut report.findings {
                    finding.what = format!("power lost at {opening}, {loss:?}: {}", finding.what);
                }
                summary.add(point, report);
            }
        }
    }
    conclude("kill points", &summary);
    assert!(summary.runs > 500, "only {} disks", summary.runs);
}

//! CMP-1 at every point of one merge that copies blocks as they are stored: power is lost at each of
//! its changes, with many disks each, and whichever of old and new files is found then, it has
//! everything that was acknowledged, and footers say of copied blocks what is in them.

mod common;

use annal_sim::{Action, Load, Loss, Settings, Summary, World};
use common::{STOCK, conclude, lose_power};

/// Compacted files until they are merged.
const FILES: usize = 4;

/// A store with one file fewer than are merged, and the log for another: the next step plans it.
fn before_the_merge() -> World<'static> {
    let settings =
        Settings { fault_percent: 0, deep_percent: 0, load: Load::Many, ..Settings::default() };
    let mut world = World::new(1, settings, &STOCK);
    assert!(world.recover(0));
    for file in 1..=FILES {
        for batch in 0..4 {
            world.act(Action::SendNext(batch % 3));
        }
        world.act(Action::Seal);
        if file < FILES {
            world.act(Action::Compact);
        }
    }
    world.look();
    world
}

#[test]
fn power_lost_at_any_change_of_a_merge_that_copies_blocks_costs_nothing() {
    let mut whole = before_the_merge();
    let before = whole.disk.changes();
    whole.act(Action::Compact);
    let changes = whole.disk.changes() - before;
    whole.look();
    whole.verify();
    let copied = whole.store().stats().compaction_blocks_copied;
    assert!(whole.findings().is_empty(), "{:?}", whole.findings());
    assert_eq!(whole.store().snapshot().segments().len(), 1, "one file is left");
    assert!(copied >= 2, "{copied} blocks were copied");
    let mut summary = Summary::default();
    for point in 0..changes {
        let mut world = before_the_merge();
        world.disk.lose_power_after(point);
        world.act(Action::Compact);
        assert!(world.disk.is_off());
        let pending = world.disk.pending();
        let mut losses = vec![Loss::All, Loss::Nothing];
        losses.extend(pending.iter().map(|&stamp| Loss::One(stamp)));
        losses.extend(pending.last().map(|&stamp| Loss::TornAt { stamp, seed: point }));
        losses.extend((0..4).map(|seed| Loss::Sectors { seed }));
        losses.extend((0..2).map(|seed| Loss::Pages { seed }));
        lose_power(&world, point, losses, &mut summary);
    }
    conclude("merge points", &summary);
    assert!(summary.runs > 100, "only {} disks", summary.runs);
}

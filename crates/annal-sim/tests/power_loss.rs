//! COM-1, REC-1, WM-1: whatever is lost when the power goes, what was acknowledged is there, and what
//! is there is a prefix of what was sent. On the way merges copy blocks as they are stored, and what
//! waits for compaction is more than it may: that some do is counted and asserted.
//!
//! `ANNAL_CRASHES` says how many crashes, `ANNAL_SEED` repeats one run.

mod common;

use annal_sim::{Settings, Summary, crash_run};
use common::{STOCK, conclude, env};

#[test]
fn acknowledged_events_survive_20000_power_losses() {
    let settings = Settings::default();
    let mut summary = Summary::default();
    if std::env::var_os("ANNAL_SEED").is_some() {
        let seed = env("ANNAL_SEED", 0);
        summary.add(seed, crash_run(seed, &settings, &STOCK));
    } else {
        let crashes = env("ANNAL_CRASHES", 20_000);
        let mut seed = env("ANNAL_SEED_FIRST", 0);
        while summary.total.crashes < crashes && summary.findings.len() < 20 {
            summary.add(seed, crash_run(seed, &settings, &STOCK));
            seed += 1;
        }
    }
    conclude("power loss", &summary);
    if summary.total.crashes >= 20_000 {
        let total = &summary.total;
        assert!(total.blocks_copied > 100, "merges copied {} blocks", total.blocks_copied);
        assert!(total.refused_for_debt > 100, "{} were refused", total.refused_for_debt);
        assert!(total.debts_worked_off > 10, "{} debts ended", total.debts_worked_off);
    }
}

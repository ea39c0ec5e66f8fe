//! COM-1, REC-1, WM-1: whatever is lost when the power goes, what was acknowledged is there, and what
//! is there is a prefix of what was sent.
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
}

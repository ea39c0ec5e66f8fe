//! Ctrl-C: the first asks the command to end, the second ends the process.
//!
//! Commands that have something to finish (import, generate, demo) take the flag and look at it
//! between two steps; all others leave it to [`end_at_once`]. `serve` has signals of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::INTERRUPTED;

/// Turns true at the first Ctrl-C (or SIGTERM).
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for Ctrl-C from here on.
    pub(crate) fn watch() -> Interrupt {
        let interrupt = Interrupt::default();
        let seen = interrupt.0.clone();
        watch_with(move || {
            if seen.swap(true, Ordering::Relaxed) {
                leave();
            }
        });
        interrupt
    }

    /// Whether the command should end.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for queries that poll one.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

/// Ends the process with code 130 at Ctrl-C.
pub(crate) fn end_at_once() {
    watch_with(leave);
}

#[allow(clippy::disallowed_methods, reason = "a command that only reads has nothing to finish")]
fn leave() {
    std::process::exit(i32::from(INTERRUPTED));
}

/// Calls `seen` at every signal. Where no runtime can be had the signal's default action stays.
fn watch_with(seen: impl Fn() + Send + 'static) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    let (armed, is_armed) = std::sync::mpsc::sync_channel(1);
    let watcher = move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let interrupt = signal(SignalKind::interrupt());
            let terminate = signal(SignalKind::terminate());
            let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else { return };
            let _ = armed.send(());
            loop {
                tokio::select! {
                    _ = interrupt.recv() => seen(),
                    _ = terminate.recv() => seen(),
                }
            }
        });
    };
    if std::thread::Builder::new().name("signals".into()).spawn(watcher).is_ok() {
        // Without this a signal in the first milliseconds would still kill the process.
        let _ = is_armed.recv();
    }
}

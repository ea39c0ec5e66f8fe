//! A bar on stderr while something takes long, if stderr is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::units;

/// Bytes done of bytes to do, and how many events that were.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for this many bytes; without a number it only turns.
    pub(crate) fn bytes(total: Option<u64>) -> Progress {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{wide_bar:.cyan/dim} {bytes}/{total_bytes}  {msg}  {eta}",
            None => "{spinner} {bytes}  {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━ "));
        }
        Progress { bar }
    }

    /// So far.
    pub(crate) fn set(&self, bytes: u64, events: u64) {
        self.bar.set_position(bytes);
        let elapsed = u64::try_from(self.bar.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.bar.set_message(format!(
            "{} events, {}",
            units::count(events),
            units::rate(events, elapsed)
        ));
    }

    /// There is more to do than was known.
    pub(crate) fn set_total(&self, bytes: u64) {
        self.bar.set_length(bytes);
    }

    /// So far, and in which file.
    pub(crate) fn set_file(&self, bytes: u64, file: &str) {
        self.bar.set_position(bytes);
        self.bar.set_message(file.to_owned());
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

//! Drawing for people: colours, units, progress, tables, trees. Nothing here decides what is shown.

mod bars;
mod paint;
mod progress;
mod table;
mod tree;
mod units;

pub(crate) use bars::{Bars, Shade};
pub(crate) use paint::{Paint, clean};
pub(crate) use progress::Progress;
pub(crate) use table::{Align, Table};
pub(crate) use tree::{Canvas, TraceTree, message};
pub(crate) use units::{bytes, count, duration, rate, time};

/// Columns of the terminal, or a width that reads well in a file.
pub(crate) fn width() -> usize {
    console::Term::stdout().size_checked().map_or(WIDTH_ELSEWHERE, |(_, columns)| columns.into())
}

/// Width of what is drawn into a pipe or file.
const WIDTH_ELSEWHERE: usize = 120;

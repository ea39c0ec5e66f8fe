//! Horizontal bars, to an eighth of a character. Without colours they say the same.

use std::io::{self, Write};

use console::{measure_text_width, truncate_str};

use super::{Paint, width};

/// What a bar's bytes are for, which its colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shade {
    /// A field of events.
    Field,
    /// An attribute, or what belongs to a row beside the event's.
    Attribute,
    /// What questions are answered from without reading events.
    Index,
    /// What holds the rest together.
    Overhead,
}

/// Labelled bars, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    bars: Vec<(String, u64, String, Shade)>,
}

impl Bars {
    /// Adds a bar of this length, with a label before it and a figure behind it.
    pub(crate) fn bar(&mut self, label: String, length: u64, figure: String, shade: Shade) {
        self.bars.push((label, length, figure, shade));
    }

    /// Draws them as wide as the terminal.
    pub(crate) fn write(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        self.write_within(width(), out, paint)
    }

    fn write_within(&self, width: usize, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|text| measure_text_width(text)).max().unwrap_or(0)
        };
        let labels = widest(&mut self.bars.iter().map(|bar| &bar.0)).min(width / 3);
        let figures = widest(&mut self.bars.iter().map(|bar| &bar.2));
        let room = width.saturating_sub(labels + figures + 2).max(BAR_WIDTH_MIN);
        let longest = self.bars.iter().map(|bar| bar.1).max().unwrap_or(0).max(1);
        for (label, length, figure, shade) in &self.bars {
            let label = truncate_str(label, labels, "…");
            let space = " ".repeat(labels.saturating_sub(measure_text_width(&label)));
            let blocks = blocks(*length as f64 / longest as f64 * room as f64);
            writeln!(out, "{label}{space} {} {figure}", paint.shade(*shade, blocks))?;
        }
        Ok(())
    }
}

/// Fewer columns than that are no picture.
const BAR_WIDTH_MIN: usize = 10;
/// One to seven eighths of a character.
const EIGHTHS: [&str; 7] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// A bar of so many characters; of something there is always something to be seen.
fn blocks(width: f64) -> String {
    let eighths = ((width * 8.0).round() as usize).max(usize::from(width > 0.0));
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str((eighths % 8).checked_sub(1).and_then(|i| EIGHTHS.get(i)).unwrap_or(&""));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_keep_their_proportion_and_fit_the_width() {
        let mut bars = Bars::default();
        bars.bar("long".into(), 1_600, "1600 B".into(), Shade::Field);
        bars.bar("half".into(), 800, "800 B".into(), Shade::Index);
        bars.bar("käse with a long name".into(), 1, "1 B".into(), Shade::Overhead);
        bars.bar("none".into(), 0, "0 B".into(), Shade::Overhead);
        let mut out = Vec::new();
        bars.write_within(36, &mut out, Paint::PLAIN).unwrap();
        let text = String::from_utf8(out).unwrap();
        let wanted = [
            format!("long         {} 1600 B\n", "█".repeat(16)),
            format!("half         {} 800 B\n", "█".repeat(8)),
            "käse with a… ▏ 1 B\nnone          0 B\n".to_owned(),
        ];
        assert_eq!(text, wanted.concat());
    }
}

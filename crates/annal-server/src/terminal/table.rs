//! Tables with aligned columns. Cells may hold colours; their width is what the eye sees.

use std::io::{self, Write};

use console::measure_text_width;

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells under a head.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        let columns = columns.iter().map(|&(name, align)| (name.to_owned(), align)).collect();
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Writes head and rows, two spaces between columns, no space at the end of a line.
    pub(crate) fn write(&self, out: &mut dyn Write, paint: super::Paint) -> io::Result<()> {
        let width = |column: usize, head: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|c| measure_text_width(c)).fold(measure_text_width(head), usize::max)
        };
        let widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(i, (head, _))| width(i, head)).collect();
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| paint.bold(head)).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut line = String::new();
            for (i, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let space = " ".repeat(width.saturating_sub(measure_text_width(cell)));
                let gap = if i == 0 { "" } else { "  " };
                line.push_str(gap);
                match self.columns.get(i).map(|c| c.1) {
                    Some(Align::Right) => line.extend([space.as_str(), cell]),
                    _ => line.extend([cell, space.as_str()]),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Paint;
    use super::*;

    #[test]
    fn columns_align_whatever_their_colours_are() {
        let mut table = Table::new(&[("source", Align::Left), ("events", Align::Right)]);
        table.row(vec![Paint::COLOURED.error("cart"), "12".into()]);
        table.row(vec!["käse-service".into(), "3".into()]);
        let mut out = Vec::new();
        table.write(&mut out, Paint::PLAIN).unwrap();
        let text = console::strip_ansi_codes(std::str::from_utf8(&out).unwrap()).into_owned();
        assert_eq!(text, "source        events\ncart              12\nkäse-service       3\n");
    }
}

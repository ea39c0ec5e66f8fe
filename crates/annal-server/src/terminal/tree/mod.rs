//! A trace as a tree: who called whom, how long it took, what failed, and what was logged
//! meanwhile.
//!
//! ```text
//! trace 8b51e36eaee3265bec099d0c5c63fd37  2022-08-22T03:52:54.351Z  362 ms
//! 3 spans, 1 log, 2 sources, 1 error
//! frontend  GET /cart           362 ms  ━━━━━━━━━━━━━━━━
//! ├─ cart  AddItem              120 ms    ━━━━━
//! │    +14.1 ms  INFO  added 1 of 9SIQT8TOJO
//! └─ cart  Empty  ✗             3.10 ms          ━
//! ```
//!
//! 1. `shape` orders the spans into trees: every span stands exactly once, whatever its ids claim.
//! 2. Each span and each note under it becomes a row; the spans' left halves are aligned.
//! 3. Rows are written one by one; nothing recurses, so a chain of 50,000 spans is just long.

use std::collections::BTreeSet;
use std::io::{self, Write};

use annal::event::{Signal, Status};
use annal::{Event, Timestamp, TraceId};
use console::{measure_text_width, truncate_str};

use self::shape::{Node, Place, Shape};
use super::{Paint, clean, count, duration, time};

mod notes;
mod shape;

pub(crate) use notes::message;

/// Deepest level that is drawn by indentation; deeper spans say their depth.
const INDENT_LEVELS_MAX: usize = 24;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Canvas {
    /// Colours.
    pub(crate) paint: Paint,
    /// Columns that spans and bars share.
    pub(crate) width: usize,
    /// Cut notes at the width; in a file they stay whole.
    pub(crate) cut: bool,
}

/// The spans of one trace in their order, and what belongs to them.
#[derive(Debug)]
pub(crate) struct TraceTree<'a> {
    id: TraceId,
    events: &'a [Event],
    shape: Shape<'a>,
    begin: i64,
    end: i64,
}

/// A span ready to be drawn.
struct Line {
    node: usize,
    /// What stands before it, and before the notes under it.
    before: String,
    under: String,
}

impl<'a> TraceTree<'a> {
    /// Orders a trace's events, which come in any order.
    pub(crate) fn new(id: TraceId, events: &'a [Event]) -> TraceTree<'a> {
        let spans = || events.iter().filter(|e| e.signal == Signal::Span);
        let begin = spans().chain(events).map(|e| e.time.as_ns()).min().unwrap_or(0);
        let end = spans().map(end_of).max().unwrap_or(begin);
        TraceTree { id, events, shape: Shape::new(id, events), begin, end }
    }

    /// Draws the whole trace.
    pub(crate) fn write(&self, out: &mut dyn Write, canvas: Canvas) -> io::Result<()> {
        self.write_head(out, canvas)?;
        let lines = self.lines();
        let bar_width = (canvas.width / 4).clamp(8, 40);
        let room = canvas.width.saturating_sub(bar_width + DURATION_WIDTH + 4).max(20);
        let widest = lines.iter().map(|l| self.label_width(l)).max().unwrap_or(0).min(room);
        for line in &lines {
            let Some(node) = self.shape.nodes.get(line.node) else { continue };
            self.write_span(out, canvas, line, node, widest, bar_width)?;
            for note in notes::of(node, self.id, &self.shape) {
                let text =
                    format!("{}{}", line.under, note.text(canvas.paint, self.begin_of(node)));
                writeln!(out, "{}", self.cut(canvas, &text))?;
            }
        }
        if !self.shape.loose.is_empty() {
            writeln!(out, "{}", canvas.paint.dim("of no span of this trace:"))?;
            for event in &self.shape.loose {
                let text = format!("  {}", notes::log(event).text(canvas.paint, self.begin));
                writeln!(out, "{}", self.cut(canvas, &text))?;
            }
        }
        Ok(())
    }

    fn write_head(&self, out: &mut dyn Write, canvas: Canvas) -> io::Result<()> {
        let paint = canvas.paint;
        let spans = self.shape.nodes.len();
        let sources: BTreeSet<&str> = self.events.iter().map(|e| e.source.as_str()).collect();
        let errors = self.events.iter().filter(|e| e.status == Status::Error).count();
        writeln!(
            out,
            "trace {}  {}  {}",
            paint.bold(self.id),
            time(Timestamp(self.begin)),
            duration(self.end.saturating_sub(self.begin)),
        )?;
        let mut parts = vec![plural(spans, "span", "spans")];
        let logs = self.events.len() - spans;
        if logs > 0 {
            parts.push(plural(logs, "log", "logs"));
        }
        parts.push(plural(sources.len(), "source", "sources"));
        if self.shape.roots.len() > 1 {
            parts.push(plural(self.shape.roots.len(), "root", "roots"));
        }
        if errors > 0 {
            parts.push(paint.error(plural(errors, "error", "errors")));
        }
        writeln!(out, "{}", parts.join(", "))
    }

    /// All spans, depth first, each with the lines that lead to it.
    fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::with_capacity(self.shape.nodes.len());
        let mut stack: Vec<(usize, usize, String, bool)> =
            self.shape.roots.iter().rev().map(|&root| (root, 0, String::new(), true)).collect();
        while let Some((index, depth, lead, last)) = stack.pop() {
            let Some(node) = self.shape.nodes.get(index) else { continue };
            let (before, inside) = match depth {
                0 => (String::new(), String::new()),
                1..=INDENT_LEVELS_MAX => (
                    format!("{lead}{}", if last { "└─ " } else { "├─ " }),
                    format!("{lead}{}", if last { "   " } else { "│  " }),
                ),
                _ => (format!("{lead}⋯{depth} "), lead.clone()),
            };
            let trunk = if node.children.is_empty() { "  " } else { "│ " };
            lines.push(Line { node: index, before, under: format!("{inside}{trunk}") });
            for (i, &child) in node.children.iter().enumerate().rev() {
                stack.push((child, depth + 1, inside.clone(), i + 1 == node.children.len()));
            }
        }
        lines
    }

    fn label_width(&self, line: &Line) -> usize {
        let label = self.shape.nodes.get(line.node).map(|n| label(n, Paint::PLAIN));
        measure_text_width(&line.before) + label.map_or(0, |l| measure_text_width(&l))
    }

    fn write_span(
        &self,
        out: &mut dyn Write,
        canvas: Canvas,
        line: &Line,
        node: &Node<'_>,
        widest: usize,
        bar_width: usize,
    ) -> io::Result<()> {
        let paint = canvas.paint;
        let left = format!("{}{}", paint.dim(&line.before), label(node, paint));
        let left = truncate_str(&left, widest, "…");
        let space = " ".repeat(widest.saturating_sub(measure_text_width(&left)));
        let took = node.span.duration.map_or("-".to_owned(), duration);
        let bar = self.bar(node, bar_width);
        let bar = match node.span.status {
            Status::Error => paint.error(bar),
            _ => paint.source(&node.span.source, bar),
        };
        let text = format!("{left}{space}  {took:>DURATION_WIDTH$}  {bar}");
        writeln!(out, "{}", text.trim_end())
    }

    /// The span's place in the trace's time, at least one cell wide.
    fn bar(&self, node: &Node<'_>, width: usize) -> String {
        let whole = self.end.saturating_sub(self.begin).max(1) as f64;
        let cell = |at: i64| at.saturating_sub(self.begin) as f64 / whole * width as f64;
        let from = (cell(node.span.time.as_ns()) as usize).min(width - 1);
        let to = (cell(end_of(node.span)).ceil() as usize).clamp(from + 1, width);
        format!("{}{}", " ".repeat(from), "━".repeat(to - from))
    }

    fn begin_of(&self, node: &Node<'_>) -> i64 {
        node.span.time.as_ns()
    }

    fn cut<'t>(&self, canvas: Canvas, text: &'t str) -> std::borrow::Cow<'t, str> {
        if canvas.cut { truncate_str(text, canvas.width, "…") } else { text.into() }
    }
}

/// Columns of a duration.
const DURATION_WIDTH: usize = 9;

fn end_of(span: &Event) -> i64 {
    span.time.as_ns().saturating_add(span.duration.unwrap_or(0).max(0))
}

fn plural(n: usize, one: &str, many: &str) -> String {
    format!("{} {}", count(n as u64), if n == 1 { one } else { many })
}

fn label(node: &Node<'_>, paint: Paint) -> String {
    let span = node.span;
    let mut label = format!(
        "{}  {}",
        paint.source(&span.source, clean(&span.source)),
        clean(&span.event_type),
    );
    if span.status == Status::Error {
        label.push_str(&format!("  {}", paint.error("✗")));
    }
    let remark = match node.place {
        Place::Root | Place::Child => None,
        Place::Orphan => Some("parent missing"),
        Place::Cycle => Some("its own ancestor"),
    };
    let again = node.repeats.then_some("same span id again");
    for remark in [remark, again].into_iter().flatten() {
        label.push_str(&format!("  {}", paint.dim(format!("({remark})"))));
    }
    label
}

#[cfg(test)]
mod tests;

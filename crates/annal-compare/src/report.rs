//! What came out, as one table or as JSON.

use std::path::Path;

use crate::Outcome;

/// The figures of a store.
pub struct Measured {
    pub name: &'static str,
    pub spans: u64,
    /// Seconds spent in the store while loading.
    pub load_s: f64,
    /// Seconds of what the store does in the end.
    pub settle_s: f64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Medians in milliseconds.
    pub questions: Vec<(&'static str, f64)>,
}

impl Measured {
    /// Nothing measured yet.
    pub fn new(name: &'static str) -> Measured {
        let questions = Vec::new();
        Measured { name, spans: 0, load_s: 0.0, settle_s: 0.0, bytes: 0, questions }
    }

    fn rate(&self) -> f64 {
        self.spans as f64 / self.load_s.max(1e-9)
    }

    fn per_span(&self) -> f64 {
        self.bytes as f64 / self.spans.max(1) as f64
    }
}

/// A table in Markdown, a column per store.
pub fn write_table(measured: &[Measured]) {
    let row = |name: &str, cells: Vec<String>| println!("| {name} | {} |", cells.join(" | "));
    let each = |cell: &dyn Fn(&Measured) -> String| measured.iter().map(cell).collect();
    row("", each(&|m| m.name.to_owned()));
    println!("|---|{}", "---|".repeat(measured.len()));
    row("load, k spans/s", each(&|m| format!("{:.0}", m.rate() / 1e3)));
    row("then settle, s", each(&|m| format!("{:.2}", m.settle_s)));
    row("bytes per span", each(&|m| format!("{:.1}", m.per_span())));
    let names = measured.first().map(|m| m.questions.iter().map(|q| q.0).collect::<Vec<_>>());
    for (at, name) in names.unwrap_or_default().into_iter().enumerate() {
        row(&format!("{name}, p50 ms"), each(&|m| format!("{:.3}", m.questions[at].1)));
    }
}

/// One object a line, per store.
pub fn write_json(measured: &[Measured]) {
    for m in measured {
        let questions: serde_json::Map<_, _> =
            m.questions.iter().map(|&(name, ms)| (name.to_owned(), ms.into())).collect();
        let line = serde_json::json!({"store": m.name, "spans": m.spans, "load_spans_per_s": m.rate(),
            "settle_s": m.settle_s, "bytes_per_span": m.per_span(), "p50_ms": questions});
        println!("{line}");
    }
}

/// Bytes of all files below a directory.
pub fn bytes(directory: &Path) -> Outcome<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() { bytes(&entry.path())? } else { about.len() };
    }
    Ok(sum)
}

//! `annal inspect`: what a store's directory holds, and where its bytes go.

mod bytes;
mod space;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use annal::query::Totals;
use annal::store::SegmentView;
use annal::{Options, Snapshot, Store};
use serde_json::json;

use self::space::Space;
use crate::exit::{self, Outcome};
use crate::terminal::{Align, Paint, Table, bytes as size, clean, count, time};

/// Shows what a store holds: segments, sizes, times, sources.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's directory; no server may be writing it.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where every byte of its files goes: columns, indexes, headers, and the rest.
    #[arg(long)]
    bytes: bool,
    /// One JSON object a line: each segment, then each source; with --bytes each part.
    #[arg(long)]
    json: bool,
}

/// A segment with what its file says.
struct Row<'a> {
    segment: &'a SegmentView,
    frames: u64,
    file_bytes: u64,
}

pub(crate) fn run(args: Args) -> Outcome {
    crate::interrupt::end_at_once();
    let store = Store::open_read_only(Options::new(&args.data))?;
    let snapshot = store.snapshot();
    if args.bytes {
        let space = Space::of(&args.data, &snapshot)?;
        let mut out = BufWriter::new(io::stdout().lock());
        match args.json {
            true => bytes::write_json(&space, &mut out)?,
            false => bytes::write_tables(&space, &mut out)?,
        }
        out.flush()?;
        return Ok(exit::DONE);
    }
    let rows = rows(&args, &snapshot)?;
    let sources = snapshot.sources()?;
    let mut out = BufWriter::new(io::stdout().lock());
    match args.json {
        true => write_json(&rows, &sources, &mut out)?,
        false => write_tables(&snapshot, &rows, &sources, &mut out)?,
    }
    out.flush()?;
    Ok(exit::DONE)
}

fn rows<'a>(args: &Args, snapshot: &'a Snapshot) -> Outcome<Vec<Row<'a>>> {
    let mut rows = Vec::new();
    for segment in snapshot.segments() {
        let path = args.data.join(segment.file_name());
        // A file that is gone by now is not ours to judge.
        let file_bytes = std::fs::metadata(path).map_or(0, |m| m.len());
        rows.push(Row { segment, frames: segment.frames_visible() as u64, file_bytes });
    }
    Ok(rows)
}

fn write_json(
    rows: &[Row<'_>],
    sources: &[(String, Totals)],
    out: &mut dyn Write,
) -> io::Result<()> {
    for row in rows {
        let s = row.segment;
        let (first, next) = s.sequences();
        let times = s.times();
        let line = json!({"segment": s.id(), "file": s.file_name(), "bytes": row.file_bytes,
            "frames": row.frames, "events": s.events(),
            "first_sequence": first.to_string(), "next_sequence": next.to_string(),
            "min_time": times.map(|t| t.0.as_ns()), "max_time": times.map(|t| t.1.as_ns())});
        writeln!(out, "{line}")?;
    }
    for (source, totals) in sources {
        let line = json!({"source": source, "events": totals.events, "errors": totals.errors,
            "first": totals.first.as_ns(), "last": totals.last.as_ns()});
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write_tables(
    snapshot: &Snapshot,
    rows: &[Row<'_>],
    sources: &[(String, Totals)],
    out: &mut dyn Write,
) -> io::Result<()> {
    let paint = Paint::stdout();
    let events: u64 = rows.iter().map(|r| r.segment.events()).sum();
    let total: u64 = rows.iter().map(|r| r.file_bytes).sum();
    let id: String = snapshot.store_id().iter().map(|b| format!("{b:02x}")).collect();
    let each = total as f64 / events.max(1) as f64;
    writeln!(out, "store {}  manifest {}", paint.bold(id), snapshot.manifest_version())?;
    writeln!(out, "{} events in {}, {each:.1} B each", count(events), size(total))?;
    writeln!(out)?;
    segments(rows).write(out, paint)?;
    if !sources.is_empty() {
        writeln!(out)?;
        source_table(sources, paint).write(out, paint)?;
    }
    Ok(())
}

fn segments(rows: &[Row<'_>]) -> Table {
    let mut table = Table::new(&[
        ("segment", Align::Left),
        ("size", Align::Right),
        ("frames", Align::Right),
        ("events", Align::Right),
        ("B/event", Align::Right),
        ("from", Align::Left),
        ("to", Align::Left),
    ]);
    for row in rows {
        let s = row.segment;
        let (from, to) = s.times().map_or_else(Default::default, |t| (time(t.0), time(t.1)));
        let each = row.file_bytes as f64 / s.events().max(1) as f64;
        table.row(vec![
            s.file_name().to_owned(),
            size(row.file_bytes),
            count(row.frames),
            count(s.events()),
            format!("{each:.1}"),
            from,
            to,
        ]);
    }
    table
}

fn source_table(sources: &[(String, Totals)], paint: Paint) -> Table {
    let mut table = Table::new(&[
        ("source", Align::Left),
        ("events", Align::Right),
        ("errors", Align::Right),
        ("first", Align::Left),
        ("last", Align::Left),
    ]);
    for (source, totals) in sources {
        let errors = count(totals.errors);
        table.row(vec![
            paint.source(source, clean(source)),
            count(totals.events),
            if totals.errors > 0 { paint.error(errors) } else { errors },
            time(totals.first),
            time(totals.last),
        ]);
    }
    table
}

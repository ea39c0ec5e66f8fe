//! `annal inspect --bytes`: the bytes of a store as a table, as bars, and as JSON.

use std::io::{self, Write};

use annal::column::{Field, Table as Rows};
use serde_json::json;

use super::space::{Group, Part, Share, Space};
use crate::terminal::{Align, Bars, Paint, Shade, Table, bytes, clean, count};

/// Bars that are drawn one by one; what is smaller is drawn as one.
const BARS_MAX: usize = 24;

/// One object a line; the bytes of all lines add up to those of all files.
pub(super) fn write_json(space: &Space, out: &mut dyn Write) -> io::Result<()> {
    for share in &space.shares {
        let bytes = share.tally.bytes;
        let mut line = json!({"group": key(share.group), "part": kind(&share.part), "bytes": bytes,
            "bytes_per_event": space.per_event(share.group, bytes), "share": space.portion(bytes)});
        match &share.part {
            Part::Column(id) => {
                line["column"] = id.path().into();
                line["type"] = format!("{:?}", id.value_type).to_lowercase().into();
                if id.occurrence > 0 {
                    line["occurrence"] = id.occurrence.into();
                }
                line["encodings"] = share.tally.encodings.iter().copied().collect();
            }
            Part::Section(section) => line["kind"] = (*section).into(),
            _ => {}
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A table of each group, largest first, and the bars of all.
pub(super) fn write_tables(space: &Space, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::stdout();
    let mut table = Table::new(&[
        ("part", Align::Left),
        ("encoding", Align::Left),
        ("bytes", Align::Right),
        ("B/event", Align::Right),
        ("share", Align::Right),
    ]);
    for group in [Group::Compacted, Group::Log, Group::Store] {
        let total = space.bytes_of(group);
        if total == 0 {
            continue;
        }
        let mut head = figures(space, group, total).map(|cell| paint.bold(cell)).to_vec();
        head.splice(0..0, [paint.bold(title(space, group)), String::new()]);
        table.row(head);
        for share in space.shares.iter().filter(|share| share.group == group) {
            let encodings: Vec<_> = share.tally.encodings.iter().copied().collect();
            let name = format!("  {}", clean(&share.part.name()));
            let mut row = vec![name, encodings.join(", ")];
            row.extend(figures(space, group, share.tally.bytes));
            table.row(row);
        }
    }
    let mut all = figures(space, Group::Store, space.bytes()).map(|c| paint.bold(c)).to_vec();
    all.splice(0..0, [paint.bold("all files"), String::new()]);
    table.row(all);
    table.write(out, paint)?;
    writeln!(out)?;
    bars(space).write(out, paint)
}

fn figures(space: &Space, group: Group, bytes: u64) -> [String; 3] {
    let portion = 100.0 * space.portion(bytes);
    [count(bytes), format!("{:.3}", space.per_event(group, bytes)), format!("{portion:.2} %")]
}

fn title(space: &Space, group: Group) -> String {
    let of = |counts: &std::collections::HashMap<Group, u64>| {
        count(counts.get(&group).copied().unwrap_or(0))
    };
    let (events, files) = (of(&space.events), of(&space.files));
    match group {
        Group::Compacted => format!("compacted: {events} events, files: {files}"),
        Group::Log => format!("log: {events} events, files: {files}"),
        Group::Store => format!("beside segments, files: {files}"),
    }
}

/// The largest shares of whatever group, largest first.
fn bars(space: &Space) -> Bars {
    let mut shares: Vec<&Share> = space.shares.iter().collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.tally.bytes));
    let mut bars = Bars::default();
    let (drawn, others) = shares.split_at(shares.len().min(BARS_MAX));
    for share in drawn {
        let name = clean(&share.part.name()).into_owned();
        let name = if share.group == Group::Log { format!("log: {name}") } else { name };
        bars.bar(name, share.tally.bytes, bytes(share.tally.bytes), shade(&share.part));
    }
    if !others.is_empty() {
        let rest = others.iter().map(|share| share.tally.bytes).sum();
        let name = format!("{} smaller parts", others.len());
        bars.bar(name, rest, bytes(rest), Shade::Overhead);
    }
    bars
}

fn shade(part: &Part) -> Shade {
    match part {
        Part::Column(id) if id.field == Field::Attribute => Shade::Attribute,
        Part::Column(id) if id.table != Rows::Events => Shade::Attribute,
        Part::Column(_) | Part::Payloads => Shade::Field,
        Part::Section(_) => Shade::Index,
        _ => Shade::Overhead,
    }
}

fn key(group: Group) -> &'static str {
    match group {
        Group::Compacted => "compacted",
        Group::Log => "log",
        Group::Store => "store",
    }
}

fn kind(part: &Part) -> &'static str {
    match part {
        Part::Column(_) => "column",
        Part::BlockHeads => "block_heads",
        Part::Payloads => "payloads",
        Part::FrameHeaders => "frame_headers",
        Part::OtherFrames => "other_frames",
        Part::SegmentHeader => "segment_header",
        Part::Section(_) => "section",
        Part::Footer => "footer",
        Part::Gaps => "gaps",
        Part::Unused => "unused",
        Part::UnnamedSegments => "unnamed_segments",
        Part::Manifests => "manifests",
        Part::Producers => "producers",
        Part::OtherFiles => "other_files",
    }
}

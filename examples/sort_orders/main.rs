//! What an order of the events inside compacted segments would cost and spare, measured: the events
//! of a store, arranged in each order, encoded into the blocks that compaction makes, and asked the
//! usual questions. `docs/adr/0006-sort-order-measured.md` holds what came out.
//!
//! 1. Read all events of a store into memory (about 3 KB each).
//! 2. Arrange them (`orders`) and encode every 8,192 into a block (`blocks`). Sequence and time of
//!    receipt stand in attributes of their own, so that what an order makes of them is measured too.
//! 3. For each question, find the blocks that perfect pruning would leave, and add up the bytes of
//!    the columns that it reads in them (`questions`).
//!
//! ```text
//! annal import --data DIR --format otlp-proto FILE
//! cargo run --release --example sort_orders -- DIR SAMPLES
//! ```
//! SAMPLES: lines of trace id, start, duration in ns, service, operation, user, with tabs between.
#![allow(clippy::print_stdout, reason = "a program")]
#![allow(clippy::disallowed_methods, reason = "reads a list of samples, not a store")]

mod blocks;
mod orders;
mod questions;

use std::collections::{BTreeMap, BTreeSet};

use annal::{Error, Event, Options, Result, Store};

use blocks::Built;
use orders::Order;
use questions::{Cost, Question};

/// Columns that take less than this many bytes per event in every order are shown as one.
const SHOWN_MIN: f64 = 0.05;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, samples] = arguments.as_slice() else {
        return Err(Error::invalid("usage: sort_orders DIR SAMPLES"));
    };
    let samples = std::fs::read_to_string(samples).map_err(|e| Error::io("read the samples", e))?;
    let samples = questions::samples(&samples)?;
    let events = read(directory)?;
    eprintln!("{} events, {} samples", events.len(), samples.len());
    let mut measured = Vec::new();
    for order in Order::ALL {
        let arranged = orders::arrange(&events, order);
        let built = blocks::build(&arranged)?;
        let costs = Question::ALL.map(|question| {
            let asked = if question.has_samples() { samples.as_slice() } else { &samples[..1] };
            median(asked.iter().map(|sample| question.ask(sample, &built)).collect())
        });
        eprintln!("{}: {} blocks", order.name(), built.len());
        measured.push((order, totals(&built), costs));
    }
    print_bytes(&measured, events.len());
    print_costs(&measured);
    Ok(())
}

type Measured = (Order, BTreeMap<String, u64>, [Cost; Question::ALL.len()]);

/// All events of a store, in the order of the log.
fn read(directory: &str) -> Result<Vec<Event>> {
    let store = Store::open_read_only(Options::new(directory))?;
    let mut events = Vec::new();
    for segment in store.snapshot().segments() {
        let frames = segment.directory()?;
        for frame in segment.frames(&frames) {
            let (header, view) = segment.read(frame)?;
            let rows: Vec<u32> = (0..header.events).collect();
            events.extend(view.materialise(&header, &rows)?);
        }
    }
    Ok(events)
}

fn totals(built: &[Built<'_>]) -> BTreeMap<String, u64> {
    let mut totals = BTreeMap::new();
    for (name, bytes) in built.iter().flat_map(|block| &block.columns) {
        *totals.entry(name.clone()).or_default() += bytes;
    }
    totals
}

/// The middle cost, by bytes.
fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by_key(|cost| cost.bytes);
    costs.get(costs.len() / 2).copied().unwrap_or_default()
}

fn heading(measured: &[Measured], first: &str) {
    let names: Vec<_> = measured.iter().map(|m| m.0.name()).collect();
    println!("\n| {first} | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
}

fn print_bytes(measured: &[Measured], events: usize) {
    heading(measured, "bytes per event");
    let names: BTreeSet<&String> = measured.iter().flat_map(|m| m.1.keys()).collect();
    let each =
        |m: &Measured, name: &str| m.1.get(name).copied().unwrap_or(0) as f64 / events as f64;
    let mut rows: Vec<(&str, Vec<f64>)> = names
        .iter()
        .map(|name| (name.as_str(), measured.iter().map(|m| each(m, name)).collect()))
        .collect();
    let largest = |row: &(&str, Vec<f64>)| row.1.iter().copied().fold(0.0, f64::max);
    rows.sort_by(|a, b| largest(b).total_cmp(&largest(a)));
    let (shown, small): (Vec<_>, Vec<_>) = rows.iter().partition(|row| largest(row) >= SHOWN_MIN);
    let sum = |rows: &[&(&str, Vec<f64>)], at: usize| -> f64 { rows.iter().map(|r| r.1[at]).sum() };
    let print = |name: &str, values: Vec<f64>| {
        let cells: Vec<_> = values.iter().map(|value| format!("{value:.2}")).collect();
        println!("| {name} | {} |", cells.join(" | "));
    };
    let orders = 0..measured.len();
    let all: Vec<_> = rows.iter().collect();
    print("**all**", orders.clone().map(|at| sum(&all, at)).collect());
    shown.iter().for_each(|row| print(row.0, row.1.clone()));
    print("the others", orders.map(|at| sum(&small, at)).collect());
}

fn print_costs(measured: &[Measured]) {
    heading(measured, "blocks and KiB to be read, median");
    for (at, question) in Question::ALL.iter().enumerate() {
        let cell = |m: &Measured| {
            let Cost { blocks, bytes } = m.2[at];
            format!("{blocks} / {:.1}", bytes as f64 / 1024.0)
        };
        let cells: Vec<_> = measured.iter().map(cell).collect();
        println!("| {} | {} |", question.name(), cells.join(" | "));
    }
}

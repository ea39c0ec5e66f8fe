//! Events and counts, as lines of JSON or as tables.

use std::io::{self, Write};

use annal::event::{Signal, Status};
use annal::query::{By, Count};
use annal::{Event, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::write_json;
use crate::exit::{self, Failure, Outcome};
use crate::json;
use crate::terminal::{Align, Paint, Table, clean, count, duration, message, time};

/// Prints pages of events.
pub(super) struct EventPrinter {
    json: bool,
    paint: Paint,
    /// Events so far.
    pub(super) printed: u64,
}

impl EventPrinter {
    pub(super) fn new(json: bool, paint: Paint) -> EventPrinter {
        EventPrinter { json, paint, printed: 0 }
    }

    pub(super) fn print(&mut self, events: &[Event], out: &mut dyn Write) -> Outcome<()> {
        self.printed += events.len() as u64;
        if events.is_empty() {
            return Ok(());
        }
        match self.json {
            true => write_json(events, out)?,
            false => self.table(events).write(out, self.paint)?,
        }
        Ok(())
    }

    /// Events as a server gave them: JSON passes through as it is.
    pub(super) fn print_raw(
        &mut self,
        events: &[Box<RawValue>],
        out: &mut dyn Write,
    ) -> Outcome<()> {
        if self.json {
            self.printed += events.len() as u64;
            for event in events {
                writeln!(out, "{}", event.get())?;
            }
            return Ok(());
        }
        self.print(&parse_events(events)?, out)
    }

    fn table(&self, events: &[Event]) -> Table {
        let paint = self.paint;
        let mut table = Table::new(&[
            ("time", Align::Left),
            ("source", Align::Left),
            ("type", Align::Left),
            ("duration", Align::Right),
            ("", Align::Left),
            ("trace", Align::Left),
            ("message", Align::Left),
        ]);
        for event in events {
            let took = event.duration.map_or_else(String::new, duration);
            let trace = event.trace_id.map_or_else(String::new, |id| id.to_string());
            table.row(vec![
                paint.dim(time(event.time)),
                paint.source(&event.source, clean(&event.source)),
                clean(&event.event_type).into_owned(),
                took,
                mark(event, paint),
                paint.dim(trace),
                clean(&message(event)).into_owned(),
            ]);
        }
        table
    }
}

/// Whether it failed, or how severe it is.
fn mark(event: &Event, paint: Paint) -> String {
    match (event.status, event.signal) {
        (Status::Error, _) => paint.error("error"),
        (_, Signal::Span) => String::new(),
        _ if event.severity_text.is_empty() => String::new(),
        _ => paint.severity(event.severity_number, clean(&event.severity_text)),
    }
}

/// Reads events of a server's answer.
pub(in crate::commands) fn parse_events(events: &[Box<RawValue>]) -> Outcome<Vec<Event>> {
    let read = events.iter().map(|e| json::read_event(e.get().as_bytes(), FAR_AHEAD));
    read.collect::<annal::Result<_>>().map_err(|error| {
        let what = format!("the server's answer holds an event that cannot be read: {error}");
        Failure::new(exit::UNREACHABLE, what)
    })
}

/// The server has accepted these times; our clock has no say in it.
const FAR_AHEAD: Timestamp = Timestamp(i64::MAX / 2);

/// One count; only the keys that were asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CountRow {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minute: Option<i64>,
    count: u64,
}

impl From<Count> for CountRow {
    fn from(count: Count) -> CountRow {
        CountRow {
            source: count.source,
            event_type: count.event_type,
            minute: count.minute.map(Timestamp::as_ns),
            count: count.count,
        }
    }
}

/// Prints counts.
pub(super) struct CountTable {
    by: By,
    json: bool,
    table: Table,
    rows: u64,
}

impl CountTable {
    pub(super) fn new(by: By, json: bool) -> CountTable {
        let columns = [
            (by.minute, ("minute", Align::Left)),
            (by.source, ("source", Align::Left)),
            (by.event_type, ("type", Align::Left)),
            (true, ("events", Align::Right)),
        ];
        let columns: Vec<(&str, Align)> =
            columns.into_iter().filter(|c| c.0).map(|c| c.1).collect();
        CountTable { by, json, table: Table::new(&columns), rows: 0 }
    }

    pub(super) fn row(&mut self, row: CountRow, out: &mut dyn Write) -> Outcome<()> {
        self.rows += 1;
        if self.json {
            let line = serde_json::to_string(&row).map_err(io::Error::from)?;
            writeln!(out, "{line}")?;
            return Ok(());
        }
        let paint = Paint::stdout();
        let mut cells = Vec::new();
        if self.by.minute {
            let minute = row.minute.map(|m| time(Timestamp(m)).replace(":00.000Z", "Z"));
            cells.push(minute.unwrap_or_default());
        }
        if self.by.source {
            let source = row.source.unwrap_or_default();
            cells.push(paint.source(&source, clean(&source)));
        }
        if self.by.event_type {
            cells.push(clean(&row.event_type.unwrap_or_default()).into_owned());
        }
        cells.push(count(row.count));
        self.table.row(cells);
        Ok(())
    }

    /// The table, if it is one; gives the number of rows.
    pub(super) fn finish(self, out: &mut dyn Write, paint: Paint) -> Outcome<u64> {
        if !self.json {
            self.table.write(out, paint)?;
        }
        Ok(self.rows)
    }
}

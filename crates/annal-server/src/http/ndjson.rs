//! `POST /api/v1/events`: events as JSON, one a line. Good lines are stored and durable when the
//! answer comes; bad ones are named.

use annal::{Error, Result};
use axum::extract::{Request, State};
use axum::response::Response;

use super::errors::{HttpError, json};
use super::{App, work};
use crate::json::{read_lines, write_text};

const PROTOCOL: &str = "ndjson";
/// Bad lines that are named; the others are counted.
const ERRORS_TOLD_MAX: usize = 100;

/// What became of the lines.
#[derive(Default)]
struct Told {
    accepted: u64,
    rejected: u64,
    /// Number of the line, from 1, and what was wrong.
    errors: Vec<(u64, Error)>,
    reasons: Vec<(&'static str, u64)>,
}

pub(super) async fn post(State(app): State<App>, request: Request) -> Result<Response, HttpError> {
    let clock = app.ingest().map(|ingest| ingest.clock().clone());
    let stored = work::store(&app, request, move |body, builder, batches| {
        let mut told = Told::default();
        read_lines(body, 1, clock?.now(), builder, batches, |line, outcome| match outcome {
            Ok(()) => told.accepted += 1,
            Err(error) => told.reject(line, error),
        })?;
        Ok(told)
    });
    let told = stored.await.inspect_err(|error| {
        if let Ok(ingest) = app.ingest() {
            ingest.counters().reject(PROTOCOL, error.kind().policy().name, 1);
        }
    })?;
    for (reason, events) in &told.reasons {
        app.ingest()?.counters().reject(PROTOCOL, reason, *events);
    }
    Ok(json(told.into_json()))
}

impl Told {
    fn reject(&mut self, line: u64, error: Error) {
        self.rejected += 1;
        let reason = error.kind().policy().name;
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((reason, 1)),
        }
        if self.errors.len() < ERRORS_TOLD_MAX {
            self.errors.push((line, error));
        }
    }

    fn into_json(self) -> Vec<u8> {
        let mut out = format!("{{\"accepted\":{},\"rejected\":[", self.accepted).into_bytes();
        for (i, (line, error)) in self.errors.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            out.extend_from_slice(format!("{comma}{{\"line\":{line},\"error\":").as_bytes());
            write_text(&mut out, &error.to_string());
            out.push(b'}');
        }
        out.push(b']');
        if self.rejected > self.errors.len() as u64 {
            out.extend_from_slice(format!(",\"rejected_lines\":{}", self.rejected).as_bytes());
        }
        out.push(b'}');
        out
    }
}

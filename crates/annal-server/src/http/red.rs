//! `GET /api/v1/red`: rate, errors and durations per source, or source and type, and step.

use annal::query::{Point, PointSeries, SeriesBy};
use annal::{Error, Result};
use axum::extract::{RawQuery, State};

use super::App;
use super::answers::{Answered, answer, write_list, write_scanned};
use super::params::Params;
use crate::json::time::{parse_duration, parse_time};
use crate::json::{write_integer, write_text, write_unsigned};

/// A step unless the caller says otherwise.
const STEP_DEFAULT: &str = "60s";

/// Takes `start`, `end` (exclusive), `step`, `by=source` or `type`, and a selection as other routes
/// do.
pub(super) async fn red(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let mut params = Params::parse(query.as_deref())?;
    let now = app.ingest()?.clock().now();
    let mut query = params.selection(now)?;
    for (name, end) in [("start", &mut query.range.since), ("end", &mut query.range.until)] {
        if let Some(text) = params.take(name) {
            *end = parse_time(&text, now).map_err(|e| e.in_field(name))?;
        }
    }
    let step_ns = step(&params.take("step").unwrap_or_else(|| STEP_DEFAULT.to_owned()))?;
    let by = match params.take("by").as_deref() {
        None | Some("source") => SeriesBy::Source,
        Some("type") => SeriesBy::Type,
        Some(other) => {
            return Err(Error::invalid(format!("{other:?}: source or type")).in_field("by").into());
        }
    };
    params.finish()?;
    answer(&app, query, move |snapshot, query| {
        let answer = snapshot.series(&query, step_ns, by)?;
        let mut out = b"{\"series\":".to_vec();
        write_list(&mut out, &answer.series, write_series);
        write_scanned(&mut out, &answer.scanned);
        out.push(b'}');
        Ok((out, answer.scanned))
    })
    .await
}

fn step(text: &str) -> Result<i64> {
    let bad =
        || Error::invalid(format!("{text:?} is no length of time such as 60s")).in_field("step");
    parse_duration(text).filter(|ns| *ns > 0).ok_or_else(bad)
}

fn write_series(out: &mut Vec<u8>, series: &PointSeries) {
    out.extend_from_slice(b"{\"source\":");
    write_text(out, &series.source);
    if let Some(event_type) = &series.event_type {
        out.extend_from_slice(b",\"type\":");
        write_text(out, event_type);
    }
    out.extend_from_slice(b",\"points\":");
    write_list(out, &series.points, write_point);
    out.push(b'}');
}

fn write_point(out: &mut Vec<u8>, point: &Point) {
    out.extend_from_slice(b"{\"time\":");
    write_integer(out, point.time.0);
    out.extend_from_slice(b",\"count\":");
    write_unsigned(out, point.count);
    out.extend_from_slice(b",\"errors\":");
    write_unsigned(out, point.errors);
    let durations = point.durations.percentiles([50, 90, 99]);
    for (at, name) in [b",\"p50\":", b",\"p90\":", b",\"p99\":"].into_iter().enumerate() {
        out.extend_from_slice(name);
        match durations.and_then(|durations| durations.get(at).copied()) {
            Some(duration) => write_integer(out, duration),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

//! What is asked over HTTP: events, counts, traces, sources and types, as JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use annal::event::Event;
use annal::query::{Answer, By, Catalog, Count, Scanned, Totals};
use annal::{Error, ErrorKind, Query, Result, Snapshot};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;

use super::App;
use super::errors::{HttpError, json};
use super::params::{Params, trace_id};
use crate::json::{write_event, write_explain, write_text};

pub(super) type Answered = Result<Response, HttpError>;
/// A part of the path; what is wrong with it is told as all errors are.
pub(super) type PathText = Result<Path<String>, PathRejection>;

/// Turns the flag of a query when its client has gone: the handler is dropped then.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `GET /api/v1/events`
pub(super) async fn events(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    page(&app, query, |snapshot, query| snapshot.query(query)).await
}

/// `GET /api/v1/traces/{id}/links`
pub(super) async fn links(
    State(app): State<App>,
    hex: PathText,
    RawQuery(query): RawQuery,
) -> Answered {
    let id = trace_id(&text(hex, "trace")?)?;
    page(&app, query, move |snapshot, query| snapshot.links_to(id, query)).await
}

/// Events of a selection, page by page.
async fn page(
    app: &App,
    query: Option<String>,
    ask: impl FnOnce(&Snapshot, &Query) -> Result<Answer> + Send + 'static,
) -> Answered {
    let mut params = Params::parse(query.as_deref())?;
    let query = params.selection(app.ingest()?.clock().now())?;
    let query = params.page(query)?;
    params.finish()?;
    answer(app, query, |snapshot, query| {
        let answer = ask(&snapshot, &query)?;
        let mut out = b"{\"events\":".to_vec();
        write_events(&mut out, &answer.events);
        if let Some(next) = answer.next {
            out.extend_from_slice(format!(",\"next\":\"{next}\"").as_bytes());
        }
        out.extend_from_slice(format!(",\"truncated\":{}", answer.truncated).as_bytes());
        write_scanned(&mut out, &answer.scanned);
        out.push(b'}');
        Ok((out, answer.scanned))
    })
    .await
}

/// `GET /api/v1/count`
pub(super) async fn count(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let mut params = Params::parse(query.as_deref())?;
    let query = params.selection(app.ingest()?.clock().now())?;
    let by: By = params.take("by").unwrap_or_default().parse()?;
    params.finish()?;
    answer(&app, query, move |snapshot, query| {
        let counts = snapshot.count(&query, by)?;
        let mut out = b"{\"counts\":".to_vec();
        write_list(&mut out, &counts.counts, write_count);
        write_scanned(&mut out, &counts.scanned);
        out.push(b'}');
        Ok((out, counts.scanned))
    })
    .await
}

/// `GET /api/v1/explain`: what a selection would read and why, without reading it.
pub(super) async fn explain(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let mut params = Params::parse(query.as_deref())?;
    let query = params.selection(app.ingest()?.clock().now())?;
    let query = params.page(query)?;
    params.finish()?;
    answer(&app, query, |snapshot, query| {
        let mut out = Vec::new();
        write_explain(&mut out, &snapshot.explain(&query)?);
        Ok((out, Scanned::default()))
    })
    .await
}

/// `GET /api/v1/events/{sequence}`
pub(super) async fn event(
    State(app): State<App>,
    sequence: PathText,
    RawQuery(query): RawQuery,
) -> Answered {
    Params::parse(query.as_deref())?.finish()?;
    let sequence = text(sequence, "sequence")?;
    let bad = || Error::invalid(format!("{sequence:?} is no sequence")).in_field("sequence");
    // The parser of integers takes a sign, too.
    let digits = sequence.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = sequence.parse().ok().filter(|_| digits).ok_or_else(bad)?;
    let found = app.ingest()?.query(move |snapshot| snapshot.event(number)).await;
    app.shared.counters.queried(found.is_ok(), &Scanned::default());
    match found? {
        Some(event) => {
            let mut out = Vec::new();
            write_event(&mut out, &event);
            Ok(json(app.shared.unsent.body(out)?))
        }
        None => Err(HttpError::not_found(format!("no event has sequence {number}"))),
    }
}

/// `GET /api/v1/traces/{id}`
pub(super) async fn trace(
    State(app): State<App>,
    hex: PathText,
    RawQuery(query): RawQuery,
) -> Answered {
    Params::parse(query.as_deref())?.finish()?;
    let id = trace_id(&text(hex, "trace")?)?;
    let query = Query::default().trace(id).order(annal::query::Order::Oldest).limit(usize::MAX);
    let (sender, receiver) = std::sync::mpsc::channel();
    let response = answer(&app, query, move |snapshot, query| {
        let answer = snapshot.query(&query)?;
        let _ = sender.send(answer.events.is_empty());
        let mut out = format!("{{\"trace_id\":\"{id}\",\"events\":").into_bytes();
        write_events(&mut out, &answer.events);
        if answer.truncated {
            out.extend_from_slice(b",\"truncated\":true");
        }
        write_scanned(&mut out, &answer.scanned);
        out.push(b'}');
        Ok((out, answer.scanned))
    })
    .await?;
    match receiver.try_recv() {
        Ok(true) => Err(HttpError::not_found(format!("no event of trace {id} is stored"))),
        _ => Ok(response),
    }
}

/// `GET /api/v1/sources`
pub(super) async fn sources(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    Params::parse(query.as_deref())?.finish()?;
    let sources = catalog(&app, Catalog::sources).await?;
    let mut out = b"{\"sources\":".to_vec();
    write_list(&mut out, &sources, |out, (source, totals)| {
        out.extend_from_slice(b"{\"source\":");
        write_text(out, source);
        write_totals(out, totals);
        out.push(b'}');
    });
    out.push(b'}');
    Ok(json(app.shared.unsent.body(out)?))
}

/// `GET /api/v1/types`
pub(super) async fn types(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let mut params = Params::parse(query.as_deref())?;
    let source = params.take("source");
    params.finish()?;
    let types = catalog(&app, move |catalog| catalog.types(source.as_deref())).await?;
    let mut out = b"{\"types\":".to_vec();
    write_list(&mut out, &types, |out, (series, totals)| {
        out.extend_from_slice(b"{\"source\":");
        write_text(out, &series.source);
        out.extend_from_slice(b",\"type\":");
        write_text(out, &series.event_type);
        write_totals(out, totals);
        out.push(b'}');
    });
    out.push(b'}');
    Ok(json(app.shared.unsent.body(out)?))
}

pub(super) fn text(part: PathText, field: &str) -> Result<String> {
    let Path(text) = part.map_err(|e| Error::invalid(e.body_text()).in_field(field))?;
    Ok(text)
}

/// Runs a query on a query thread until it is answered or its client has gone.
pub(super) async fn answer(
    app: &App,
    query: Query,
    work: impl FnOnce(Snapshot, Query) -> Result<(Vec<u8>, Scanned)> + Send + 'static,
) -> Answered {
    let unsent = app.shared.unsent.clone();
    let body = run(app, query, move |snapshot, query| {
        let (answer, scanned) = work(snapshot, query)?;
        // On the thread still: no more than one answer a thread waits for this.
        Ok((unsent.body(answer)?, scanned))
    });
    body.await.map(json)
}

/// As [`answer`], for whatever the work makes.
pub(super) async fn run<T: Send + 'static>(
    app: &App,
    mut query: Query,
    work: impl FnOnce(Snapshot, Query) -> Result<(T, Scanned)> + Send + 'static,
) -> Result<T, HttpError> {
    let cancel = Cancel(Arc::default());
    query.cancel = Some(cancel.0.clone());
    let answered = app.ingest()?.query(move |snapshot| work(snapshot, query)).await;
    drop(cancel);
    match answered {
        Ok((made, scanned)) => {
            app.shared.counters.queried(true, &scanned);
            Ok(made)
        }
        Err(error) => {
            app.shared.counters.queried(false, &Scanned::default());
            Err(error.into())
        }
    }
}

/// Reads what is new since the last look, then the lists. One request reads at a time, and takes
/// one query thread for that; the others wait for it and then find most or all of it read. If
/// nothing is new no thread is needed.
pub(super) async fn catalog<T: Send + 'static>(
    app: &App,
    read: impl FnOnce(&Catalog) -> T + Send + 'static,
) -> Result<T> {
    let listed = listed(app, read).await;
    app.shared.counters.queried(listed.is_ok(), &Scanned::default());
    listed
}

async fn listed<T: Send + 'static>(
    app: &App,
    read: impl FnOnce(&Catalog) -> T + Send + 'static,
) -> Result<T> {
    let ingest = app.ingest()?;
    let cancel = Cancel(Arc::default());
    let query = Query { cancel: Some(cancel.0.clone()), ..Query::default() };
    let at_most = Duration::from_millis(query.deadline_ms);
    let turn = tokio::time::timeout(at_most, app.shared.catalog.clone().lock_owned());
    let mut catalog = turn.await.map_err(|_| {
        Error::new(ErrorKind::Deadline, "the lists are still being read: come back later")
    })?;
    if catalog.is_current(&ingest.snapshot()) {
        return Ok(read(&catalog));
    }
    let refreshed = ingest.query(move |snapshot| {
        catalog.refresh_within(&snapshot, &query)?;
        Ok(read(&catalog))
    });
    refreshed.await
}

fn write_events(out: &mut Vec<u8>, events: &[Event]) {
    write_list(out, events, write_event);
}

pub(super) fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn write_count(out: &mut Vec<u8>, count: &Count) {
    out.push(b'{');
    if let Some(source) = &count.source {
        out.extend_from_slice(b"\"source\":");
        write_text(out, source);
        out.push(b',');
    }
    if let Some(event_type) = &count.event_type {
        out.extend_from_slice(b"\"type\":");
        write_text(out, event_type);
        out.push(b',');
    }
    if let Some(minute) = count.minute {
        out.extend_from_slice(format!("\"minute\":{minute},").as_bytes());
    }
    out.extend_from_slice(format!("\"count\":{}}}", count.count).as_bytes());
}

fn write_totals(out: &mut Vec<u8>, totals: &Totals) {
    let Totals { events, errors, first, last } = totals;
    let text =
        format!(",\"events\":{events},\"errors\":{errors},\"first\":{first},\"last\":{last}");
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn write_scanned(out: &mut Vec<u8>, scanned: &Scanned) {
    let text = format!(
        ",\"scanned\":{{\"segments\":{},\"segments_pruned\":{},\"frames\":{},\"frames_pruned\":{},\
         \"events_read\":{},\"events_matched\":{},\"bytes_read\":{}}}",
        scanned.segments,
        scanned.segments_pruned,
        scanned.frames,
        scanned.frames_pruned,
        scanned.events_read,
        scanned.events_matched,
        scanned.bytes_read
    );
    out.extend_from_slice(text.as_bytes());
}

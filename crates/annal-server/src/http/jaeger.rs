//! `/jaeger/api`: Jaeger's JSON query API. Every answer, refusals included, is the envelope
//! `{"data":..,"total":n,"limit":0,"offset":0,"errors":null}`.

use annal::column::EventView;
use annal::event::{Kind, Signal};
use annal::query::{Dependency, Scanned, Traces};
use annal::{Error, Query, Result, Snapshot, TimeRange, Timestamp, TraceId};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::App;
use super::answers::{PathText, answer, catalog, run, text, write_list};
use super::errors::{HttpError, json, set_retry_after};
use super::params::pairs;
use crate::jaeger::{Asked, trace_bytes, trace_id, write_trace};
use crate::json::{write_text, write_unsigned};

/// How far back dependencies are looked for unless the caller says otherwise: a day.
const LOOKBACK_DEFAULT_MS: i64 = 86_400_000;

/// What stands around the traces of an answer, and the processes of some.
const ENVELOPE_BYTES: usize = 4_096;

type Answered = Result<Response, Refused>;

/// A refusal in Jaeger's words.
pub(super) struct Refused(HttpError);

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused(error.into())
    }
}

impl From<HttpError> for Refused {
    fn from(error: HttpError) -> Refused {
        Refused(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, error) = self.0.parts();
        let mut out = b"{\"data\":null".to_vec();
        let problem = Problem { code: Some(status), text: error.message(), trace: None };
        close(&mut out, 0, &[problem]);
        let mut response = json(out);
        *response.status_mut() = status;
        set_retry_after(&mut response, error);
        response
    }
}

/// Something to tell beside the data.
struct Problem<'t> {
    code: Option<StatusCode>,
    text: &'t str,
    trace: Option<TraceId>,
}

/// Ends the envelope behind its data.
fn close(out: &mut Vec<u8>, total: usize, problems: &[Problem<'_>]) {
    out.extend_from_slice(b",\"total\":");
    write_unsigned(out, total as u64);
    out.extend_from_slice(b",\"limit\":0,\"offset\":0,\"errors\":");
    if problems.is_empty() {
        out.extend_from_slice(b"null}");
        return;
    }
    write_list(out, problems, |out, problem| {
        out.extend_from_slice(b"{\"msg\":");
        write_text(out, problem.text);
        if let Some(code) = problem.code {
            out.extend_from_slice(format!(",\"code\":{}", code.as_u16()).as_bytes());
        }
        if let Some(id) = problem.trace {
            out.extend_from_slice(format!(",\"traceID\":\"{id}\"").as_bytes());
        }
        out.push(b'}');
    });
    out.push(b'}');
}

/// A list in its envelope.
fn list<T>(app: &App, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) -> Answered {
    let mut out = b"{\"data\":".to_vec();
    write_list(&mut out, items, write);
    close(&mut out, items.len(), &[]);
    Ok(json(app.shared.unsent.body(out)?))
}

/// The first value of a parameter that is not empty.
fn one<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    let values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    values.into_iter().find(|value| !value.is_empty())
}

/// `GET /jaeger/api/services`
pub(super) async fn services(State(app): State<App>) -> Answered {
    let services = catalog(&app, |catalog| catalog.services()).await?;
    list(&app, &services, |out, service| write_text(out, service))
}

/// `GET /jaeger/api/services/{service}/operations`
pub(super) async fn operation_names(State(app): State<App>, service: PathText) -> Answered {
    let service = text(service, "service")?;
    let operations = catalog(&app, move |catalog| catalog.operations(Some(&service))).await?;
    list(&app, &operations, |out, (series, _)| write_text(out, &series.event_type))
}

/// `GET /jaeger/api/operations?service=&spanKind=`
pub(super) async fn operations(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let pairs = pairs(query.as_deref())?;
    let required = || Error::invalid("parameter 'service' is required").in_field("service");
    let service = one(&pairs, "service").ok_or_else(required)?.to_owned();
    let wanted = one(&pairs, "spanKind");
    let operations = catalog(&app, move |catalog| catalog.operations(Some(&service))).await?;
    let named = |kind: Kind| if kind == Kind::Unspecified { "" } else { kind.name() };
    let each = operations.iter().flat_map(|(series, kinds)| {
        kinds.iter().map(move |kind| (series.event_type.as_str(), named(kind)))
    });
    let each: Vec<_> = each.filter(|(_, kind)| wanted.is_none_or(|w| w == *kind)).collect();
    list(&app, &each, |out, (name, kind)| {
        out.extend_from_slice(b"{\"name\":");
        write_text(out, name);
        out.extend_from_slice(b",\"spanKind\":");
        write_text(out, kind);
        out.push(b'}');
    })
}

/// `GET /jaeger/api/traces`: a search, or traces by their ids.
pub(super) async fn traces(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let now = app.ingest()?.clock().now();
    let asked = Asked::read(&pairs(query.as_deref())?, now)?;
    // What the client's going away cancels, and how much may be answered.
    let answered = answer(&app, Query::default(), move |snapshot, whole| match asked {
        Asked::Ids(ids) => written(&snapshot, &ids, whole, true),
        Asked::Search(mut query, limit) => {
            query.cancel.clone_from(&whole.cancel);
            let matching = snapshot.find_traces(&query, limit)?;
            let (out, mut scanned) = written(&snapshot, &matching.ids, whole, false)?;
            add(&mut scanned, &matching.scanned);
            Ok((out, scanned))
        }
    });
    Ok(answered.await?)
}

/// `GET /jaeger/api/traces/{id}`
pub(super) async fn trace(State(app): State<App>, id: PathText) -> Answered {
    let id = trace_id(&text(id, "traceID")?)?;
    let unsent = app.shared.unsent.clone();
    let body = run(&app, Query::default(), move |snapshot, whole| {
        snapshot.with_traces(&[id], &whole.signal(Signal::Span), |found| {
            let any = found.traces.iter().any(|spans| !spans.is_empty());
            let body = any.then(|| unsent.body(write_traces(&[id], &found, false)));
            Ok((body.transpose()?, found.scanned))
        })?
    });
    // Clients read the first trace without looking whether there is one: never an empty list.
    let body = body.await?.ok_or_else(|| HttpError::not_found("trace not found"))?;
    Ok(json(body))
}

/// `GET /jaeger/api/dependencies?endTs=&lookback=`, both in milliseconds.
pub(super) async fn dependencies(State(app): State<App>, RawQuery(query): RawQuery) -> Answered {
    let pairs = pairs(query.as_deref())?;
    let millis = |name: &'static str| match one(&pairs, name) {
        None => Ok(None),
        Some(text) => text.parse::<i64>().map(Some).map_err(|error| {
            Error::invalid(format!("unable to parse param '{name}': {error}")).in_field(name)
        }),
    };
    let now_ms = app.ingest()?.clock().now().0 / 1_000_000;
    let end_ms = millis("endTs")?.unwrap_or(now_ms);
    let lookback_ms = millis("lookback")?.unwrap_or(LOOKBACK_DEFAULT_MS);
    let ns = |ms: i64| Timestamp(ms.saturating_mul(1_000_000));
    let (since, until) = (end_ms.saturating_sub(lookback_ms), end_ms.saturating_add(1));
    let service = one(&pairs, "service").map(str::to_owned);
    let range = TimeRange { since: ns(since), until: ns(until) };
    let found = run(&app, Query::new(range), |snapshot, query| {
        let found = snapshot.dependencies(&query)?;
        Ok((found.dependencies, found.scanned))
    });
    let mut found: Vec<Dependency> = found.await?;
    found.retain(|d| service.as_ref().is_none_or(|s| *s == d.parent || *s == d.child));
    list(&app, &found, |out, dependency| {
        out.extend_from_slice(b"{\"parent\":");
        write_text(out, &dependency.parent);
        out.extend_from_slice(b",\"child\":");
        write_text(out, &dependency.child);
        out.extend_from_slice(b",\"callCount\":");
        write_unsigned(out, dependency.calls);
        out.push(b'}');
    })
}

/// The spans of these traces, and what it cost to find them.
fn written(
    snapshot: &Snapshot,
    ids: &[TraceId],
    query: Query,
    name_missing: bool,
) -> Result<(Vec<u8>, Scanned)> {
    snapshot.with_traces(ids, &query.signal(Signal::Span), |found| {
        (write_traces(ids, &found, name_missing), found.scanned)
    })
}

/// The traces that were found, in their envelope; those that were not are named if asked by id.
fn write_traces(ids: &[TraceId], found: &Traces<EventView<'_>>, name_missing: bool) -> Vec<u8> {
    let bytes: usize = found.traces.iter().map(|spans| trace_bytes(spans)).sum();
    let mut out = Vec::with_capacity(bytes + ENVELOPE_BYTES);
    out.extend_from_slice(b"{\"data\":");
    let whole = ids.iter().zip(&found.traces);
    let there: Vec<_> = whole.clone().filter(|(_, spans)| !spans.is_empty()).collect();
    write_list(&mut out, &there, |out, (id, spans)| write_trace(out, **id, spans));
    let mut problems = Vec::new();
    if name_missing {
        let missing = whole.filter(|(_, spans)| spans.is_empty());
        problems.extend(missing.map(|(id, _)| Problem {
            code: None,
            text: "trace not found",
            trace: Some(*id),
        }));
    }
    if found.truncated {
        let text = "the answer is too large: traces are cut off, ask for fewer";
        problems.push(Problem { code: None, text, trace: None });
    }
    close(&mut out, there.len(), &problems);
    out
}

/// What both steps of a search have cost.
fn add(sum: &mut Scanned, other: &Scanned) {
    sum.frames += other.frames;
    sum.frames_pruned += other.frames_pruned;
    sum.events_read += other.events_read;
    sum.events_matched += other.events_matched;
    sum.bytes_read += other.bytes_read;
}

//! `POST /v1/traces` and `/v1/logs`: OTLP/HTTP.
//!
//! Answers are in the encoding of the request: an `Export*ServiceResponse`, or a
//! `google.rpc.Status`. 200 means durable. Refused records are a partial success; clients do not
//! send those again.

use annal::{BatchBuilder, Error, Result, Timestamp};
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::errors::{HttpError, set_retry_after, status_of, with_type};
use super::{App, body, work};
use crate::json::write_text;
use crate::otlp::{self, Rejections, Sink};

const PROTOCOL: &str = "otlp";
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

type Decode = fn(&[u8], &mut BatchBuilder, Timestamp, Sink<'_>) -> Result<Rejections>;

pub(super) async fn traces(State(app): State<App>, request: Request) -> Response {
    export(app, otlp::decode_traces, request).await
}

pub(super) async fn logs(State(app): State<App>, request: Request) -> Response {
    export(app, otlp::decode_logs, request).await
}

async fn export(app: App, decode: Decode, request: Request) -> Response {
    let media_type = media_type(&request);
    if media_type != PROTOBUF {
        let error = unknown_type(&media_type);
        count(&app, &error);
        body::drain(request.into_body());
        return refuse(&media_type, error);
    }
    match store(&app, decode, request).await {
        Ok(rejections) => {
            if let Ok(ingest) = app.ingest() {
                for (reason, events) in &rejections.reasons {
                    ingest.counters().reject(PROTOCOL, reason, *events);
                }
            }
            with_type(PROTOBUF, otlp::partial_success(&rejections))
        }
        Err(error) => {
            count(&app, &error);
            refuse(PROTOBUF, error)
        }
    }
}

async fn store(app: &App, decode: Decode, request: Request) -> Result<Rejections> {
    let clock = app.ingest().map(|ingest| ingest.clock().clone());
    work::store(app, request, move |body, builder, batches| {
        let now = clock?.now();
        decode(body, builder, now, &mut |batch| {
            batches.push(batch);
            Ok(())
        })
    })
    .await
}

fn media_type(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE);
    let value = value.and_then(|v| v.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unknown_type(media_type: &str) -> Error {
    let what = match media_type {
        JSON => "OTLP in JSON is not supported yet: send application/x-protobuf \
                 (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)"
            .to_owned(),
        "" => "the content type is missing: OTLP is sent as application/x-protobuf".to_owned(),
        other => format!("content type {other:?}: OTLP is sent as application/x-protobuf"),
    };
    Error::unsupported(what).in_field("content-type")
}

fn count(app: &App, error: &Error) {
    if let Ok(ingest) = app.ingest() {
        ingest.counters().reject(PROTOCOL, error.kind().policy().name, 1);
    }
}

/// Says what was wrong, in the encoding of the request as far as it has one.
fn refuse(media_type: &str, error: Error) -> Response {
    let status = status_of(error.kind());
    let mut response = match media_type {
        PROTOBUF => with_type(PROTOBUF, otlp::status(error.kind(), &error.to_string())),
        JSON => {
            let mut body = b"{\"code\":12,\"message\":".to_vec();
            write_text(&mut body, &error.to_string());
            body.extend_from_slice(b",\"details\":[]}");
            with_type(JSON, body)
        }
        _ => return HttpError::from(error).into_response(),
    };
    *response.status_mut() = status;
    set_retry_after(&mut response, &error);
    response
}

//! Which path leads where.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::errors::{HttpError, with_type};
use super::{App, answers, jaeger, metrics, ndjson, otlp, red};

/// All routes. OTLP's stand also under `/otlp`, where exporters with a path in their endpoint look.
pub(super) fn router(app: App) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics::show))
        .route("/v1/traces", post(otlp::traces))
        .route("/v1/logs", post(otlp::logs))
        .route("/otlp/v1/traces", post(otlp::traces))
        .route("/otlp/v1/logs", post(otlp::logs))
        .route("/api/v1/events", get(answers::events).post(ndjson::post))
        .route("/api/v1/events/{sequence}", get(answers::event))
        .route("/api/v1/count", get(answers::count))
        .route("/api/v1/explain", get(answers::explain))
        .route("/api/v1/traces/{id}", get(answers::trace))
        .route("/api/v1/traces/{id}/links", get(answers::links))
        .route("/api/v1/sources", get(answers::sources))
        .route("/api/v1/types", get(answers::types))
        .route("/api/v1/red", get(red::red))
        .route("/jaeger/api/services", get(jaeger::services))
        .route("/jaeger/api/services/{service}/operations", get(jaeger::operation_names))
        .route("/jaeger/api/operations", get(jaeger::operations))
        .route("/jaeger/api/traces", get(jaeger::traces))
        .route("/jaeger/api/traces/{id}", get(jaeger::trace))
        .route("/jaeger/api/dependencies", get(jaeger::dependencies))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .with_state(app)
}

/// Alive: says nothing of the store.
async fn health() -> Response {
    with_type("text/plain; charset=utf-8", "ok\n")
}

/// 200 once recovery is done and as long as the store takes writes.
async fn ready(State(app): State<App>) -> Result<Response, HttpError> {
    if app.ingest()?.store().is_poisoned() {
        let what = "storage has failed: the store takes no more writes";
        return Err(annal::Error::new(annal::ErrorKind::Poisoned, what).into());
    }
    Ok(with_type("text/plain; charset=utf-8", "ready\n"))
}

async fn not_found() -> Response {
    HttpError::not_found("nothing is served under this path").into_response()
}

async fn wrong_method() -> Response {
    HttpError::wrong_method().into_response()
}

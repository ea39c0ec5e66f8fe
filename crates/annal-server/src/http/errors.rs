//! Errors as HTTP answers: one JSON object, the status of the kind.

use annal::{Error, ErrorKind};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::json::write_text;

/// When a sender that is told to come back without a time should.
const RETRY_AFTER_MS_DEFAULT: u64 = 1_000;

/// What a handler refuses with.
#[derive(Debug)]
pub(super) struct HttpError {
    status: StatusCode,
    /// The kind's name; those that only HTTP has are not an [`ErrorKind`].
    name: &'static str,
    error: Error,
}

impl From<Error> for HttpError {
    fn from(error: Error) -> HttpError {
        let policy = error.kind().policy();
        let status = StatusCode::from_u16(policy.http_status);
        HttpError {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            name: policy.name,
            error,
        }
    }
}

impl HttpError {
    /// There is nothing under this path, or no event with this id.
    pub(super) fn not_found(what: impl Into<String>) -> HttpError {
        let error = Error::invalid(what);
        HttpError { status: StatusCode::NOT_FOUND, name: "NotFound", error }
    }

    /// The path is there, but not for this method.
    pub(super) fn wrong_method() -> HttpError {
        let error = Error::invalid("this path does not take this method");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        HttpError { status, name: "MethodNotAllowed", error }
    }
}

impl HttpError {
    /// The status and what is wrong, for interfaces that say it in words of their own.
    pub(super) fn parts(&self) -> (StatusCode, &Error) {
        (self.status, &self.error)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let mut body = b"{\"error\":{\"kind\":".to_vec();
        write_text(&mut body, self.name);
        body.extend_from_slice(b",\"message\":");
        write_text(&mut body, self.error.message());
        if let Some(field) = self.error.field() {
            body.extend_from_slice(b",\"field\":");
            write_text(&mut body, field);
        }
        if let Some(offset) = self.error.offset() {
            body.extend_from_slice(format!(",\"offset\":{offset}").as_bytes());
        }
        if let Some(ms) = retry_after_ms(self.status, &self.error) {
            body.extend_from_slice(format!(",\"retry_after_ms\":{ms}").as_bytes());
        }
        body.extend_from_slice(b"}}");
        let mut response = json(body);
        *response.status_mut() = self.status;
        set_retry_after(&mut response, &self.error);
        response
    }
}

/// When to come back: wherever that makes sense, and wherever the error says so.
fn retry_after_ms(status: StatusCode, error: &Error) -> Option<u64> {
    let passing = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    let default = passing.contains(&status).then_some(RETRY_AFTER_MS_DEFAULT);
    error.retry_after().or(default)
}

/// Says when to come back, in whole seconds.
pub(super) fn set_retry_after(response: &mut Response, error: &Error) {
    if let Some(ms) = retry_after_ms(response.status(), error) {
        let seconds = HeaderValue::from(ms.div_ceil(1_000).max(1));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
}

/// An answer in JSON.
pub(super) fn json(body: impl Into<Body>) -> Response {
    with_type("application/json", body)
}

/// An answer of this media type.
pub(super) fn with_type(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// The status of a kind.
pub(super) fn status_of(kind: ErrorKind) -> StatusCode {
    StatusCode::from_u16(kind.policy().http_status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_may_come_back_is_told_when_in_head_and_body() {
        for policy in ErrorKind::POLICY {
            let passing = matches!(policy.http_status, 429 | 503);
            for asked in [None, Some(2_500)] {
                let error = Error::new(policy.kind, "x");
                let error = asked.map_or(error.clone(), |ms| error.retry_after_ms(ms));
                let response = HttpError::from(error).into_response();
                assert_eq!(response.status().as_u16(), policy.http_status);
                let head = response.headers().get(header::RETRY_AFTER).cloned();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let told = body["error"]["retry_after_ms"].as_u64();
                assert_eq!(told, asked.or(passing.then_some(1_000)), "{}", policy.name);
                let seconds = head.map(|value| value.to_str().unwrap().parse().unwrap());
                assert_eq!(seconds, told.map(|ms| ms.div_ceil(1_000)), "{}", policy.name);
            }
        }
    }
}

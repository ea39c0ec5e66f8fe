//! A server's HTTP interface, as the reading commands use it.

use std::time::Duration;

use annal::ErrorKind;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::target::HTTP_DEFAULT;
use crate::exit::{self, Failure, Outcome};

/// Bytes of an answer that are read at most; the server's own limit is far below.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// For the connection and for the answer to begin; queries have deadlines of their own.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A server.
pub(crate) struct Remote {
    base: String,
    agent: ureq::Agent,
}

/// `GET /api/v1/events` and `/api/v1/traces/{id}`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct EventsAnswer {
    pub(crate) events: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) next: Option<String>,
    #[serde(default)]
    pub(crate) truncated: bool,
    #[serde(default)]
    pub(crate) scanned: ScannedAnswer,
}

/// `GET /api/v1/count`.
#[derive(Debug, Deserialize)]
pub(crate) struct CountAnswer {
    pub(crate) counts: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(crate) scanned: ScannedAnswer,
}

/// What the server read; names as in `annal::query::Scanned`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ScannedAnswer {
    pub(crate) segments: u64,
    pub(crate) segments_pruned: u64,
    pub(crate) frames: u64,
    pub(crate) frames_pruned: u64,
    pub(crate) events_read: u64,
    pub(crate) events_matched: u64,
    pub(crate) bytes_read: u64,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorDetail,
}

#[derive(Deserialize)]
struct ErrorDetail {
    kind: String,
    message: String,
    #[serde(default)]
    field: Option<String>,
}

/// The answer of `/api/v1/explain`, of which only the text is read.
#[derive(Deserialize)]
pub(crate) struct ExplainAnswer {
    pub(crate) text: String,
}

impl Remote {
    /// The server at this URL, or at the default address.
    pub(crate) fn new(url: Option<&str>) -> Outcome<Remote> {
        let base = url.map_or_else(|| format!("http://{HTTP_DEFAULT}"), str::to_owned);
        if !base.starts_with("http://") {
            let what = format!("--url {base}: reading goes over http://HOST:PORT");
            return Err(Failure::usage(what));
        }
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_MAX))
            .http_status_as_error(false)
            .build();
        Ok(Remote { base: base.trim_end_matches('/').to_owned(), agent: config.into() })
    }

    /// Asks, and reads the whole answer. What the server refuses is a failure with its words.
    pub(crate) fn get(&self, path: &str, pairs: &[(&str, String)]) -> Outcome<Vec<u8>> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (key, value) in pairs {
            request = request.query(key, value);
        }
        let mut response = request.call().map_err(|e| self.unreachable(&e))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|e| self.unreachable(&e))?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        Err(self.refused(status, &body))
    }

    /// Reads the answer as JSON.
    pub(crate) fn read<'a, T: Deserialize<'a>>(&self, body: &'a [u8]) -> Outcome<T> {
        serde_json::from_slice(body).map_err(|e| {
            let what = format!("{} does not answer as annal does: {e}", self.base);
            Failure::new(exit::UNREACHABLE, what)
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let hint = "is `annal serve` running there? --data DIR reads a directory without a server";
        let base = &self.base;
        Failure::new(exit::UNREACHABLE, format!("{base} cannot be reached: {error}; {hint}"))
    }

    fn refused(&self, status: u16, body: &[u8]) -> Failure {
        let Ok(ErrorAnswer { error }) = serde_json::from_slice::<ErrorAnswer>(body) else {
            let what = format!("{} answers {status}; is this an annal server?", self.base);
            return Failure::new(exit::UNREACHABLE, what);
        };
        let row = ErrorKind::POLICY.iter().find(|row| row.name == error.kind);
        let code = match (status, row) {
            (404, _) => exit::NOTHING,
            // Not ready, too busy: somebody is there but does not serve now.
            (503 | 429, None) => exit::UNREACHABLE,
            (_, row) => row.map_or(exit::NOTHING, |row| row.exit_code),
        };
        let field = error.field.map_or_else(String::new, |field| format!(", in {field}"));
        Failure::new(code, format!("{}: {}{field}", self.base, error.message))
    }
}

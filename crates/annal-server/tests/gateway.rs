//! The HTTP gateway from outside: a server in this process on a free port, a store in a fresh
//! directory, and a plain client.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "gateway/fixtures.rs"]
mod fixtures;
#[path = "gateway/harness.rs"]
mod harness;
#[path = "gateway/jaeger.rs"]
mod jaeger;
#[path = "gateway/otlp_json.rs"]
mod otlp_json;
#[path = "gateway/readers.rs"]
mod readers;
#[path = "gateway/red.rs"]
mod red;
#[path = "gateway/refusals.rs"]
mod refusals;
#[path = "gateway/routes.rs"]
mod routes;

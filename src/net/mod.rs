//! The TCP protocol: messages, connections, server and clients. See `docs/wire-protocol.md`.
//!
//! Parsing ([`envelope`], [`message`]) is pure and only ever sees bytes; sockets only move them.

mod blocking;
mod client;
mod connection;
pub mod envelope;
pub mod message;
mod producers;
mod queries;
mod reader;
mod server;
mod session;
mod writer;

pub use blocking::{BlockingClient, BlockingQuery};
pub use client::{Client, ClientOptions, QueryStream, Ticket};
pub use server::{Server, ServerOptions};

/// The version of the protocol that this build speaks, and the only one.
pub const PROTOCOL_VERSION: u16 = 1;

/// The protocol's name in metrics.
const PROTOCOL: &str = "tcp";

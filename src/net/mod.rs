//! The TCP protocol: messages, connections, server and clients. See `docs/wire-protocol.md`.
//!
//! Parsing ([`envelope`], [`message`]) is pure and only ever sees bytes; sockets only move them.

pub mod envelope;
pub mod message;

/// The version of the protocol that this build speaks, and the only one.
pub const PROTOCOL_VERSION: u16 = 1;

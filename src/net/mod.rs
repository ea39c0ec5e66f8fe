//! The TCP protocol: messages, connections, server and clients. See `docs/wire-protocol.md`.

//! Events as JSON, both ways: the one object that HTTP, `--json`, NDJSON and tail share.
//!
//! | field | form |
//! |---|---|
//! | `sequence` | string; ignored on input, as is `received` |
//! | `time`, `received`, `observed` | integer, ns since 1970; on input also RFC 3339 |
//! | `time_absent`, `trace_id_64`, `type_from_event_name`, `shared`, `debug` | `true` or left out |
//! | `signal`, `kind`, `status` | names; unspecified kind and unset status are left out |
//! | `source`, `type`, `status_message`, `trace_state`, `severity` | text |
//! | `severity_number`, `flags`, `dropped_attributes`, `dropped_events`, `dropped_links` | integer, left out if 0 |
//! | `trace_id`, `span_id`, `parent_span_id` | hex |
//! | `duration` | signed integer, ns |
//! | `message` | the body, if it is text |
//! | `body` | any other body, as OTLP JSON |
//! | `links` | `trace_id`, `span_id`, `trace_state`, `flags`, `dropped_attributes`, `attributes` |
//! | `events` | `time`, `name`, `dropped_attributes`, `attributes` |
//! | `remote` | `service`, `ipv4`, `ipv6`, `port` |
//! | `resource`, `attributes` | keys and values; a key may come twice |
//! | `resource_dropped_attributes`, `resource_schema_url` | as the names say |
//! | `scope` | `name`, `version`, `schema_url`, `dropped_attributes`, `attributes` |
//!
//! An attribute's value is text, a number (with a point or exponent: a double), a boolean, `null`
//! (a key without a value) or one of `{"int64":"9007199254740993"}`, `{"double":"NaN"}`,
//! `{"bytes":"base64"}`, `{"arrayValue":...}`, `{"kvlistValue":...}`. On input, plain arrays and
//! other objects are nested values too.

mod explain;
mod lines;
mod nested;
mod read;
#[cfg(test)]
mod tests;
pub mod time;
mod write;

pub(crate) use explain::write_explain;
pub(crate) use lines::read_lines;
pub use read::read_event;
pub(crate) use write::{
    name_of_double, write_base64, write_finite, write_hex, write_integer, write_unsigned,
};
pub use write::{write_event, write_text};

/// Integers beyond this lose digits in readers that know doubles only.
pub(crate) const EXACT_INTEGER_MAX: u64 = 1 << 53;

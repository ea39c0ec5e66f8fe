//! How a query would run, as JSON: `text` for people, the same in numbers for scripts.

use annal::query::{Explain, Order};

use super::{write_text, write_unsigned};

/// Appends an object.
pub(crate) fn write_explain(out: &mut Vec<u8>, explain: &Explain) {
    let steps = &explain.steps;
    let order = match explain.order {
        Order::Newest => "newest",
        Order::Oldest => "oldest",
    };
    out.extend_from_slice(b"{\"text\":");
    write_text(out, &explain.to_string());
    out.extend_from_slice(b",\"order\":");
    write_text(out, order);
    for (name, number) in [
        ("segments", steps.segments),
        ("segments_by_time", steps.segments_by_time),
        ("segments_by_sequence", steps.segments_by_sequence),
        ("frames", steps.frames),
        ("frames_by_time", steps.frames_by_time),
        ("frames_by_sequence", steps.frames_by_sequence),
        ("frames_by_trace", steps.frames_by_trace),
        ("frames_by_series", steps.frames_by_series),
        ("frames_by_attribute", steps.frames_by_attribute),
        ("frames_by_link", steps.frames_by_link),
        ("frames_read_max", explain.frames),
        ("events_read_max", explain.events),
        ("events_certain", explain.events_certain),
        ("bytes_read_max", explain.bytes),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_unsigned(out, number);
    }
    out.push(b'}');
}

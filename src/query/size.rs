//! What an event weighs in an answer: roughly the bytes of its JSON.

use crate::column::EventView;
use crate::event::{Attribute, Event, ValueRef};

/// Names, braces, ids and numbers of an event without attributes: no event weighs less.
pub(super) const FIXED_BYTES: usize = 256;
/// Quotes, colon and comma around an attribute, or a link's or span event's fixed part.
const PUNCTUATION_BYTES: usize = 8;

/// Approximate bytes of an event in an answer, its resource and scope included.
pub(super) fn event_bytes(event: &Event) -> usize {
    let scope = event.scope.as_ref().map_or(0, |s| attributes_bytes(&s.attributes));
    let links: usize = event.links.iter().map(|l| 80 + attributes_bytes(&l.attributes)).sum();
    let inner = event.events.iter();
    let inner: usize = inner.map(|e| 40 + e.name.len() + attributes_bytes(&e.attributes)).sum();
    FIXED_BYTES
        + event.source.len()
        + event.event_type.len()
        + event.status_message.len()
        + event.trace_state.len()
        + event.severity_text.len()
        + event.body.as_ref().map_or(0, |body| value_bytes(body.as_ref()))
        + attributes_bytes(&event.attributes)
        + attributes_bytes(&event.resource.attributes)
        + scope
        + links
        + inner
}

/// As [`event_bytes`], of an event that is read where it stands.
pub(super) fn view_bytes(view: &EventView<'_>) -> usize {
    let own = view.attributes().map(|(key, value)| attribute_bytes(key, value));
    event_bytes(view.event) + own.sum::<usize>()
}

fn attributes_bytes(attributes: &[Attribute]) -> usize {
    attributes.iter().map(|a| attribute_bytes(&a.key, a.value.as_ref())).sum()
}

fn attribute_bytes(key: &str, value: ValueRef<'_>) -> usize {
    PUNCTUATION_BYTES + key.len() + value_bytes(value)
}

fn value_bytes(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::String(text) => text.len(),
        ValueRef::Bytes(bytes) | ValueRef::Nested(bytes) => bytes.len() * 2,
        _ => 8,
    }
}

//! What stands under a span: why it failed, its links, what happened in it, what was logged.

use annal::event::{Attribute, Link, SpanEvent, Status};
use annal::{Event, TraceId, Value};

use super::super::{Paint, clean, duration};
use super::shape::{Node, Shape};

/// One line under a span.
#[derive(Debug)]
pub(super) struct Note {
    /// When, in nanoseconds since the epoch; notes without a time stand first.
    time: Option<i64>,
    /// `ERROR`, `exception`, `link`.
    head: String,
    severity: u8,
    text: String,
}

impl Note {
    /// The line, its time counted from `begin`.
    pub(super) fn text(&self, paint: Paint, begin: i64) -> String {
        let at = self.time.map(|time| {
            let offset = time.saturating_sub(begin);
            let sign = if offset < 0 { "" } else { "+" };
            format!("{}  ", paint.dim(format!("{sign}{}", duration(offset))))
        });
        let head = paint.severity(self.severity, clean(&self.head));
        format!("  {}{head}  {}", at.unwrap_or_default(), clean(&self.text))
    }
}

/// All notes of a span, those without a time first, then by time.
pub(super) fn of(node: &Node<'_>, trace: TraceId, shape: &Shape<'_>) -> Vec<Note> {
    let span = node.span;
    let mut notes = Vec::new();
    if span.status == Status::Error && !span.status_message.is_empty() {
        let text = span.status_message.clone();
        notes.push(Note { time: None, head: "error".into(), severity: ERROR, text });
    }
    notes.extend(span.links.iter().map(|l| link(l, trace, shape)));
    notes.extend(span.events.iter().map(span_event));
    notes.extend(node.logs.iter().map(|event| log(event)));
    notes.sort_by_key(|note| note.time);
    notes
}

/// A log or plain event.
pub(super) fn log(event: &Event) -> Note {
    let head = match (&*event.severity_text, event.severity_number) {
        ("", 0) => event.event_type.clone(),
        ("", number) => SEVERITIES
            .get(usize::from(number.saturating_sub(1)) / 4)
            .map_or_else(|| number.to_string(), |name| (*name).to_owned()),
        (text, _) => text.to_uppercase(),
    };
    let text = match &event.body {
        Some(_) => message(event),
        None => event.event_type.clone(),
    };
    Note { time: Some(event.time.as_ns()), head, severity: event.severity_number, text }
}

/// What an event says in words: its body, or why it failed.
pub(crate) fn message(event: &Event) -> String {
    let text = event.body.as_ref().map_or_else(|| event.status_message.clone(), plain);
    text.trim_end().to_owned()
}

fn span_event(event: &SpanEvent) -> Note {
    let exception = event.name == "exception";
    let text = if exception {
        let parts = ["exception.type", "exception.message"].map(|key| find(&event.attributes, key));
        parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
    } else {
        let pairs = event.attributes.iter().map(|a| format!("{}={}", a.key, plain(&a.value)));
        pairs.collect::<Vec<_>>().join(" ")
    };
    let severity = if exception { ERROR } else { 0 };
    Note { time: Some(event.time.as_ns()), head: event.name.clone(), severity, text }
}

fn link(link: &Link, trace: TraceId, shape: &Shape<'_>) -> Note {
    let text = match shape.find(link.span_id).filter(|_| link.trace_id == trace) {
        Some(index) => {
            let span = shape.nodes.get(index).map(|node| node.span);
            span.map_or_else(String::new, |s| format!("{}  {}", s.source, s.event_type))
        }
        None => match link.span_id {
            Some(span) => format!("trace {} span {span}", link.trace_id),
            None => format!("trace {}", link.trace_id),
        },
    };
    Note { time: None, head: "link →".into(), severity: 0, text }
}

fn find(attributes: &[Attribute], key: &str) -> Option<String> {
    attributes.iter().find(|a| a.key == key).map(|a| plain(&a.value))
}

/// A value as a person reads it; nested ones only say that they are.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::String(text) => text.clone(),
        Value::Int(n) => n.to_string(),
        Value::Double(bits) => bits.get().to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Nested(_) => "{…}".to_owned(),
    }
}

/// OpenTelemetry's first error severity.
const ERROR: u8 = 17;
/// Names of OpenTelemetry's six ranges of four.
const SEVERITIES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

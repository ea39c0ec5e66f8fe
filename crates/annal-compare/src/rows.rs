//! Spans as flat rows: what each store has to give back, byte for byte. Attributes of the resource
//! and the scope stand among those of the span, under a prefix; a row has no other parts.
//!
//! What a row cannot hold (links, span events, nested values) is refused when it is met: a store that
//! left it out would look better than it is.

use std::collections::BTreeMap;

use annal::Event;
use annal::codec::{Cursor, put_varint};
use annal::event::{Attribute, Signal, Value};

use crate::Outcome;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Text(String),
    Int(i64),
}

/// A span.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Nanoseconds since 1970.
    pub time: i64,
    /// Nanoseconds.
    pub duration: i64,
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub parent: Option<[u8; 8]>,
    pub kind: u8,
    pub status: u8,
    pub service: String,
    pub operation: String,
    /// By the number of the key, ascending.
    pub attributes: Vec<(u16, Cell)>,
}

/// The keys of all attributes and whether their values are integers, numbered in their order.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    numbers: BTreeMap<String, (u16, bool)>,
}

impl Keys {
    /// The keys that these rows' events have, and those known before.
    pub fn learn(&mut self, event: &Event) -> Outcome<()> {
        for (key, attribute) in flat(event) {
            let is_int = matches!(cell(&attribute)?, Cell::Int(_));
            let known = self.numbers.entry(key.clone()).or_insert((0, is_int));
            if known.1 != is_int {
                return Err(format!("{key} has values of two types").into());
            }
        }
        Ok(())
    }

    /// Numbers what was learnt.
    pub fn number(&mut self) {
        (0..).zip(self.numbers.values_mut()).for_each(|(number, known)| known.0 = number);
    }

    /// Key, number, and whether its values are integers, in the order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u16, bool)> {
        self.numbers.iter().map(|(key, known)| (key.as_str(), known.0, known.1))
    }

    /// The number of a key.
    pub fn of(&self, key: &str) -> Outcome<u16> {
        let known = self.numbers.get(key).ok_or_else(|| format!("no span has {key}"))?;
        Ok(known.0)
    }

    /// A span as a row.
    pub fn row(&self, event: &Event) -> Outcome<Row> {
        let plain = event.signal == Signal::Span
            && event.links.is_empty()
            && event.events.is_empty()
            && event.status_message.is_empty()
            && event.trace_state.is_empty()
            && event.flags == 0;
        let ids = event.trace_id.zip(event.span_id).filter(|_| plain);
        let ((trace, span), duration) = ids
            .zip(event.duration)
            .ok_or("an event is no plain span: a row cannot hold all of it")?;
        let mut attributes = Vec::new();
        for (key, attribute) in flat(event) {
            attributes.push((self.of(&key)?, cell(&attribute)?));
        }
        attributes.sort();
        Ok(Row {
            time: event.time.as_ns(),
            duration,
            trace: trace.0,
            span: span.0,
            parent: event.parent_span_id.map(|id| id.0),
            kind: event.kind as u8,
            status: event.status as u8,
            service: event.source.clone(),
            operation: event.event_type.clone(),
            attributes,
        })
    }
}

/// The attributes of an event, its resource and its scope.
fn flat(event: &Event) -> Vec<(String, Attribute)> {
    let mut all: Vec<(String, Attribute)> = Vec::new();
    let mut add = |prefix: &str, attributes: &[Attribute]| {
        let named = |a: &Attribute| (format!("{prefix}{}", a.key), a.clone());
        all.extend(attributes.iter().map(named));
    };
    add("", &event.attributes);
    add("resource.", &event.resource.attributes);
    if let Some(scope) = &event.scope {
        add("scope.", &scope.attributes);
        for (key, text) in [("scope.name", &scope.name), ("scope.version", &scope.version)] {
            if !text.is_empty() {
                all.push((key.into(), Attribute::new(key, Value::String(text.clone()))));
            }
        }
    }
    all
}

fn cell(attribute: &Attribute) -> Outcome<Cell> {
    match &attribute.value {
        Value::String(text) => Ok(Cell::Text(text.clone())),
        Value::Int(number) => Ok(Cell::Int(*number)),
        _ => Err(format!("{} is neither text nor an integer", attribute.key).into()),
    }
}

impl Row {
    /// The row as bytes, for stores that know keys and values only; what is added up over all rows
    /// stands in front.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.time.to_le_bytes());
        out.extend_from_slice(&self.duration.to_le_bytes());
        out.extend_from_slice(&[self.status, self.kind]);
        put_text(out, &self.service);
        put_text(out, &self.operation);
        out.extend_from_slice(&self.trace);
        out.extend_from_slice(&self.span);
        out.push(u8::from(self.parent.is_some()));
        out.extend_from_slice(&self.parent.unwrap_or_default());
        put_varint(out, self.attributes.len() as u64);
        for (key, cell) in &self.attributes {
            match cell {
                Cell::Text(text) => {
                    put_varint(out, u64::from(*key) << 1);
                    put_text(out, text);
                }
                Cell::Int(number) => {
                    put_varint(out, u64::from(*key) << 1 | 1);
                    out.extend_from_slice(&number.to_le_bytes());
                }
            }
        }
    }

    /// What `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Outcome<Row> {
        let mut c = Cursor::new(bytes);
        let mut row = Row::decode_front(&mut c)?;
        row.operation = text(&mut c)?;
        (row.trace, row.span) = (c.array()?, c.array()?);
        let (has_parent, parent) = (c.u8()? == 1, c.array()?);
        row.parent = has_parent.then_some(parent);
        for _ in 0..c.varint()? {
            let key = c.varint()?;
            let number = u16::try_from(key >> 1)?;
            let cell = match key & 1 {
                0 => Cell::Text(text(&mut c)?),
                _ => Cell::Int(i64::from_le_bytes(c.array()?)),
            };
            row.attributes.push((number, cell));
        }
        Ok(row)
    }

    /// Time, duration, status, kind and service of what `encode` wrote.
    pub fn decode_front(c: &mut Cursor<'_>) -> Outcome<Row> {
        let (time, duration) = (i64::from_le_bytes(c.array()?), i64::from_le_bytes(c.array()?));
        let (status, kind, service) = (c.u8()?, c.u8()?, text(c)?);
        Ok(Row { time, duration, status, kind, service, ..Row::default() })
    }

    /// The text of an attribute.
    pub fn text(&self, key: u16) -> Option<&str> {
        match self.attributes.iter().find(|attribute| attribute.0 == key) {
            Some((_, Cell::Text(text))) => Some(text),
            _ => None,
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn text(c: &mut Cursor<'_>) -> Outcome<String> {
    let length = usize::try_from(c.varint()?)?;
    Ok(std::str::from_utf8(c.take(length)?)?.to_owned())
}

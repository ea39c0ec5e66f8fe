//! Events that are read where they stand: all but their own attributes are at hand, and these, of
//! which there are the most, are still slices of the columns, but for those whose encoding has to
//! put them together. Who writes an answer needs no more.

use std::borrow::Cow;

use crate::column::decode::{Dense, check_built};
use crate::column::schema::ColumnId;
use crate::error::{Error, Result};
use crate::event::{Attribute, Event, ValueRef};

/// Some events of a view; see the module.
#[derive(Debug, Default)]
pub struct EventViews<'v> {
    /// Their own attributes are not looked at.
    events: Cow<'v, [Event]>,
    /// Those of one event after those of another.
    attributes: Vec<(&'v str, OwnValue<'v>)>,
    /// Where those of each event end.
    ends: Vec<usize>,
    /// Texts that stand nowhere else.
    built: String,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'r> {
    /// The event; of its own attributes nothing is said here, but by [`EventView::attributes`].
    pub event: &'r Event,
    attributes: &'r [(&'r str, OwnValue<'r>)],
    built: &'r str,
}

impl<'r> EventView<'r> {
    /// Its own attributes, key and value.
    pub fn attributes(&self) -> impl Iterator<Item = (&'r str, ValueRef<'r>)> + use<'r> {
        let built = self.built;
        self.attributes.iter().map(move |(key, value)| (*key, value.read(built)))
    }

    /// The event with all that belongs to it.
    #[must_use]
    pub fn to_event(&self) -> Event {
        Event { attributes: owned(self.attributes()), ..self.event.clone() }
    }
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub(super) enum OwnValue<'v> {
    /// It stands in its column, as it is.
    Standing(ValueRef<'v>),
    /// It is among the texts that were built.
    Built { start: usize, end: usize },
}

/// Texts that stand nowhere else, taken over from columns once each.
#[derive(Debug, Default)]
pub(super) struct Built<'v> {
    texts: String,
    /// Whose were taken last, and where they begin.
    last: Option<(&'v ColumnId, usize)>,
}

impl<'v> OwnValue<'v> {
    fn read<'r>(&self, built: &'r str) -> ValueRef<'r>
    where
        'v: 'r,
    {
        match *self {
            OwnValue::Standing(value) => value,
            OwnValue::Built { start, end } => {
                ValueRef::String(built.get(start..end).unwrap_or_default())
            }
        }
    }
}

impl<'v> Built<'v> {
    /// The value of a row of a column, whose values come one after another. `Limit` if all texts
    /// together are longer than those of a block may be.
    pub(super) fn value(
        &mut self,
        id: &'v ColumnId,
        dense: &Dense<'v>,
        at: usize,
    ) -> Result<Option<OwnValue<'v>>> {
        if let Some(value) = dense.standing(id.value_type, at) {
            return Ok(Some(OwnValue::Standing(value)));
        }
        let Some(texts) = dense.texts() else { return Ok(None) };
        let range = texts.codes.get(at).and_then(|code| texts.range(*code));
        let Some(range) = range else { return Ok(None) };
        let first = match self.last {
            Some((last, first)) if std::ptr::eq(last, id) => first,
            _ => {
                let first = self.texts.len();
                check_built(first + texts.bytes.len(), id)?;
                let whole = std::str::from_utf8(&texts.bytes);
                self.texts.push_str(whole.map_err(|error| not_text(id, error))?);
                self.last = Some((id, first));
                first
            }
        };
        Ok(Some(OwnValue::Built { start: first + range.start, end: first + range.end }))
    }
}

fn not_text(id: &ColumnId, error: std::str::Utf8Error) -> Error {
    Error::invalid(format!("text is not UTF-8: {error}")).in_field(id.path())
}

/// An attribute of one of the events, which are numbered from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'v> {
    pub(super) item: usize,
    pub(super) key: &'v str,
    pub(super) value: OwnValue<'v>,
}

impl<'v> EventViews<'v> {
    /// The events, and the attributes of all of them; those of one event stay in their order.
    pub(super) fn new(
        events: Vec<Event>,
        placed: &[Placed<'v>],
        built: Built<'_>,
    ) -> EventViews<'v> {
        // Where the next attribute of each event goes; in the end, where its attributes end.
        let mut ends = vec![0; events.len()];
        for attribute in placed {
            if let Some(count) = ends.get_mut(attribute.item + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut ends {
            sum += *start;
            *start = sum;
        }
        let mut attributes = vec![("", OwnValue::Standing(ValueRef::Empty)); placed.len()];
        for attribute in placed {
            let Some(next) = ends.get_mut(attribute.item) else { continue };
            if let Some(to) = attributes.get_mut(*next) {
                *to = (attribute.key, attribute.value);
            }
            *next += 1;
        }
        EventViews { events: events.into(), attributes, built: built.texts, ends }
    }

    /// Events that somebody else keeps.
    #[must_use]
    pub fn of(events: &'v [Event]) -> EventViews<'v> {
        let (mut attributes, mut ends) = (Vec::new(), Vec::with_capacity(events.len()));
        for event in events {
            let own = event.attributes.iter();
            attributes.extend(own.map(|a| (a.key.as_str(), OwnValue::Standing(a.value.as_ref()))));
            ends.push(attributes.len());
        }
        EventViews { events: events.into(), attributes, built: String::new(), ends }
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events, in their order.
    pub fn iter(&self) -> impl Iterator<Item = EventView<'_>> {
        self.events.iter().enumerate().map(|(at, event)| self.view(at, event))
    }

    fn view<'r>(&'r self, at: usize, event: &'r Event) -> EventView<'r> {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(at).copied().unwrap_or(0);
        let attributes = self.attributes.get(start.unwrap_or(0)..end).unwrap_or_default();
        EventView { event, attributes, built: &self.built }
    }

    /// The events with all that belongs to them.
    #[must_use]
    pub fn into_events(mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events).into_owned();
        for (at, event) in events.iter_mut().enumerate() {
            event.attributes = owned(self.view(at, &Event::default()).attributes());
        }
        events
    }
}

fn owned<'r>(attributes: impl Iterator<Item = (&'r str, ValueRef<'r>)>) -> Vec<Attribute> {
    attributes.map(|(key, value)| Attribute::new(key, value.to_value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Field, Table};
    use crate::event::{Value, ValueType};

    #[test]
    fn attributes_stay_in_their_order_with_the_event_they_belong_to() {
        let int = |value| OwnValue::Standing(ValueRef::Int(value));
        let place = |item, key, value| Placed { item, key, value: int(value) };
        let placed = [
            place(0, "a", 1),
            place(2, "a", 2),
            place(0, "b", 3),
            place(3, "b", 4),
            place(2, "b", 5),
        ];
        let views = EventViews::new(vec![Event::default(); 5], &placed, Built::default());
        let of = |pairs: &[(&str, i64)]| -> Vec<Attribute> {
            pairs.iter().map(|(key, value)| Attribute::new(*key, Value::Int(*value))).collect()
        };
        let expected = [
            of(&[("a", 1), ("b", 3)]),
            of(&[]),
            of(&[("a", 2), ("b", 5)]),
            of(&[("b", 4)]),
            of(&[]),
        ];
        let there: Vec<_> = views.iter().map(|view| view.to_event().attributes).collect();
        assert_eq!(there, expected);
        let whole: Vec<_> = views.into_events().into_iter().map(|event| event.attributes).collect();
        assert_eq!(whole, expected);
    }

    #[test]
    fn texts_that_were_built_are_bounded_together() {
        let mut texts = crate::column::encoding::texts::Decoded {
            bytes: vec![b'x'; crate::limits::BATCH_EXPANDED_BYTES_MAX / 4].into(),
            offsets: vec![0, 2, 5],
            codes: vec![1, 0],
        };
        let id = || ColumnId::fixed(Table::Events, Field::Attribute, ValueType::String);
        let ids: Vec<ColumnId> = (0..5).map(|_| id()).collect();
        let mut built = Built::default();
        for id in &ids[..4] {
            let dense = Dense::Texts(texts);
            for (at, length) in [3, 2].into_iter().enumerate() {
                let value = built.value(id, &dense, at).unwrap().unwrap();
                let ValueRef::String(text) = value.read(&built.texts) else { panic!("{value:?}") };
                assert_eq!(text.len(), length);
            }
            let Dense::Texts(again) = dense else { unreachable!() };
            texts = again;
        }
        let error = built.value(&ids[4], &Dense::Texts(texts), 0).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Limit);
    }
}

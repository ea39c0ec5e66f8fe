//! Events that are read where they stand: all but their own attributes are at hand, and these, of
//! which there are the most, are still slices of the columns, but for those whose encoding has to
//! put them together. Who writes an answer needs no more.

use std::borrow::Cow;

use crate::column::decode::Dense;
use crate::column::schema::ColumnId;
use crate::event::{Attribute, Event, ValueRef};

/// Some events of a view; see the module.
#[derive(Debug, Default)]
pub struct EventViews<'v> {
    /// Their own attributes are not looked at.
    events: Cow<'v, [Event]>,
    /// Those of one event after those of another.
    attributes: Vec<(&'v str, Place<'v>)>,
    /// Texts that stand nowhere else.
    built: String,
    /// Where those of each event end.
    ends: Vec<usize>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'r> {
    /// The event. Its own attributes are not here, whatever there is: [`EventView::attributes`].
    pub event: &'r Event,
    attributes: &'r [(&'r str, Place<'r>)],
    built: &'r str,
}

impl<'r> EventView<'r> {
    /// Its own attributes, key and value.
    pub fn attributes(&self) -> impl Iterator<Item = (&'r str, ValueRef<'r>)> + use<'r> {
        let built = self.built;
        self.attributes.iter().map(move |(key, place)| (*key, place.value(built)))
    }

    /// The event with all that belongs to it.
    #[must_use]
    pub fn to_event(&self) -> Event {
        Event { attributes: owned(self.attributes()), ..self.event.clone() }
    }
}

/// Where a value is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'v> {
    /// In its column, as it is.
    Column(ValueRef<'v>),
    /// Among the texts that were built.
    Built { start: usize, end: usize },
}

/// Texts that stand nowhere else, taken over from columns once each.
#[derive(Debug, Default)]
pub(super) struct Built<'v> {
    texts: String,
    /// Whose were taken last, and where they begin.
    last: Option<(&'v ColumnId, usize)>,
}

impl<'v> Place<'v> {
    fn value<'r>(&self, built: &'r str) -> ValueRef<'r>
    where
        'v: 'r,
    {
        match *self {
            Place::Column(value) => value,
            Place::Built { start, end } => {
                ValueRef::String(built.get(start..end).unwrap_or_default())
            }
        }
    }
}

impl<'v> Built<'v> {
    /// The value of a row of a column, whose values come one after another.
    pub(super) fn place(
        &mut self,
        id: &'v ColumnId,
        dense: &Dense<'v>,
        at: usize,
    ) -> Option<Place<'v>> {
        if let Some(value) = dense.standing(id.value_type, at) {
            return Some(Place::Column(value));
        }
        let texts = dense.texts()?;
        let place = texts.place(*texts.codes.get(at)?)?;
        let first = match self.last {
            Some((last, first)) if std::ptr::eq(last, id) => first,
            _ => {
                let first = self.texts.len();
                self.texts.push_str(std::str::from_utf8(&texts.bytes).ok()?);
                self.last = Some((id, first));
                first
            }
        };
        Some(Place::Built { start: first + place.start, end: first + place.end })
    }
}

/// An attribute of one of the events, which are numbered from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'v> {
    pub(super) item: usize,
    pub(super) key: &'v str,
    pub(super) place: Place<'v>,
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
        let mut attributes = vec![("", Place::Column(ValueRef::Empty)); placed.len()];
        for attribute in placed {
            let Some(next) = ends.get_mut(attribute.item) else { continue };
            if let Some(to) = attributes.get_mut(*next) {
                *to = (attribute.key, attribute.place);
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
            attributes.extend(own.map(|a| (a.key.as_str(), Place::Column(a.value.as_ref()))));
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
    use crate::event::Value;

    #[test]
    fn attributes_stay_in_their_order_with_the_event_they_belong_to() {
        let int = |value| Place::Column(ValueRef::Int(value));
        let place = |item, key, value| Placed { item, key, place: int(value) };
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
}

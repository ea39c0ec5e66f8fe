//! Events that are read where they stand: all but their own attributes are at hand, and these, of
//! which there are the most, are still slices of the columns. Who writes an answer needs no more.

use std::borrow::Cow;

use crate::event::{Attribute, Event, ValueRef};

/// Some events of a view; see the module.
#[derive(Debug, Default)]
pub struct EventViews<'v> {
    /// Their own attributes are not looked at.
    events: Cow<'v, [Event]>,
    /// Those of one event after those of another.
    attributes: Vec<(&'v str, ValueRef<'v>)>,
    /// Where those of each event end.
    ends: Vec<usize>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'r> {
    /// The event. Its own attributes are to be taken from below, whatever stands here.
    pub event: &'r Event,
    /// Its own attributes, key and value.
    pub attributes: &'r [(&'r str, ValueRef<'r>)],
}

impl EventView<'_> {
    /// The event with all that belongs to it.
    #[must_use]
    pub fn to_event(&self) -> Event {
        Event { attributes: owned(self.attributes), ..self.event.clone() }
    }
}

/// An attribute of one of the events, which are numbered from 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'v> {
    pub(super) item: usize,
    pub(super) key: &'v str,
    pub(super) value: ValueRef<'v>,
}

impl<'v> EventViews<'v> {
    /// The events, and the attributes of all of them; those of one event stay in their order.
    pub(super) fn new(events: Vec<Event>, placed: &[Placed<'v>]) -> EventViews<'v> {
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
        let mut attributes = vec![("", ValueRef::Empty); placed.len()];
        for attribute in placed {
            let Some(next) = ends.get_mut(attribute.item) else { continue };
            if let Some(to) = attributes.get_mut(*next) {
                *to = (attribute.key, attribute.value);
            }
            *next += 1;
        }
        EventViews { events: events.into(), attributes, ends }
    }

    /// Events that somebody else keeps.
    #[must_use]
    pub fn of(events: &'v [Event]) -> EventViews<'v> {
        let (mut attributes, mut ends) = (Vec::new(), Vec::with_capacity(events.len()));
        for event in events {
            let own = event.attributes.iter();
            attributes.extend(own.map(|a| (a.key.as_str(), a.value.as_ref())));
            ends.push(attributes.len());
        }
        EventViews { events: events.into(), attributes, ends }
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
        let attributes = (0..self.ends.len()).map(|at| self.attributes(at));
        let each = self.events.iter().zip(attributes);
        each.map(|(event, attributes)| EventView { event, attributes })
    }

    fn attributes(&self, at: usize) -> &[(&'v str, ValueRef<'v>)] {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let end = self.ends.get(at).copied().unwrap_or(0);
        self.attributes.get(start.unwrap_or(0)..end).unwrap_or_default()
    }

    /// The events with all that belongs to them.
    #[must_use]
    pub fn into_events(mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events).into_owned();
        for (at, event) in events.iter_mut().enumerate() {
            event.attributes = owned(self.attributes(at));
        }
        events
    }
}

fn owned(attributes: &[(&str, ValueRef<'_>)]) -> Vec<Attribute> {
    let own = |(key, value): &(&str, ValueRef<'_>)| Attribute::new(*key, value.to_value());
    attributes.iter().map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Value;

    #[test]
    fn attributes_stay_in_their_order_with_the_event_they_belong_to() {
        let place = |item, key, value| Placed { item, key, value: ValueRef::Int(value) };
        let placed = [
            place(0, "a", 1),
            place(2, "a", 2),
            place(0, "b", 3),
            place(3, "b", 4),
            place(2, "b", 5),
        ];
        let views = EventViews::new(vec![Event::default(); 5], &placed);
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

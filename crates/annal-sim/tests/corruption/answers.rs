//! What a store is asked to find out whether it is whole: through every index and none.

use annal::event::Value;
use annal::query::{By, Count, Order, PointSeries, SeriesBy};
use annal::{Event, Query, Snapshot, TimeRange, Timestamp, TraceId};

const MINUTE_NS: i64 = 60_000_000_000;

/// Questions of all that are asked if a few must do.
pub(crate) const FEW: usize = 3;

/// Parts of the time between first and last event that are asked for one by one.
const PARTS: i64 = 8;

/// Questions about one store.
#[derive(Clone, Debug)]
pub(crate) struct Questions {
    ranges: Vec<TimeRange>,
    trace: TraceId,
    sequence: u64,
    /// For events with a value that one of them has.
    attribute: Query,
    /// A trace that events link to, if any do.
    linked: TraceId,
}

/// What one question is answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Answer {
    /// The frames of a segment that a range of times may need.
    Frames(Vec<u32>),
    Events(Vec<Event>),
    Counts(Vec<Count>),
    Traces(Vec<TraceId>),
    /// Minute by minute.
    Series(Vec<PointSeries>),
    /// Events of each source.
    Sources(Vec<(String, u64)>),
}

impl Questions {
    pub(crate) fn of(snapshot: &Snapshot) -> Questions {
        let all = snapshot.query(&Query::default().limit(usize::MAX)).unwrap().events;
        let (newest, oldest) = (all.first().unwrap(), all.last().unwrap());
        let part = (newest.time.0 - oldest.time.0) / PARTS;
        let at = |i: i64| Timestamp(oldest.time.0 + i * part);
        let range = |i| TimeRange { since: at(i), until: at(i + 1) };
        let middle = &all[all.len() / 2];
        let trace = middle.trace_id.expect("a traced event");
        let linked = all.iter().find_map(|event| event.links.first()).map(|link| link.trace_id);
        let attributes = all.iter().flat_map(|event| &event.resource.attributes);
        let mut texts = attributes.filter_map(|a| match &a.value {
            Value::String(text) => Some((&a.key, text)),
            _ => None,
        });
        let (key, text) = texts.next_back().expect("an attribute of text");
        let attribute = Query::default().filter(&format!("resource.{key} = {text:?}"));
        Questions {
            ranges: (0..PARTS).map(range).collect(),
            trace,
            sequence: middle.sequence,
            linked: linked.unwrap_or(trace),
            attribute: attribute.expect("an expression"),
        }
    }

    /// One answer or error for each question, asked as the iterator goes: damage to what one of them
    /// needs says nothing about the others. The last few read every event, one column, one trace;
    /// `all` are more, those of the smallest parts first.
    pub(crate) fn ask<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        all: bool,
    ) -> impl Iterator<Item = annal::Result<Answer>> + 'a {
        let events = |query: Query| {
            ask(move || snapshot.query(&query).map(|answer| Answer::Events(answer.events)))
        };
        let counts = |query: Query, by| {
            ask(move || snapshot.count(&query, by).map(|answer| Answer::Counts(answer.counts)))
        };
        let links = |id: TraceId| {
            let all = Query::default().limit(usize::MAX);
            ask(move || snapshot.links_to(id, &all).map(|answer| Answer::Events(answer.events)))
        };
        let slow = Query::default().filter("duration > 500ms").expect("an expression");
        let mut questions = Vec::new();
        if all {
            for segment in snapshot.segments() {
                let frames =
                    |range| ask(move || segment.frames_overlapping(range).map(Answer::Frames));
                questions.extend(self.ranges.iter().map(frames));
            }
            let by = By { source: true, event_type: true, minute: true };
            let traces = slow.clone();
            questions.extend([
                ask(|| {
                    let sources = snapshot.sources()?.into_iter();
                    Ok(Answer::Sources(sources.map(|(name, t)| (name, t.events)).collect()))
                }),
                events(Query::new(self.ranges[3]).order(Order::Oldest).limit(usize::MAX)),
                events(slow.clone().limit(3)),
                counts(Query::default(), By::default()),
                counts(Query::default(), by),
                ask(|| {
                    let minutes = snapshot.series(&Query::default(), MINUTE_NS, SeriesBy::Source);
                    minutes.map(|answer| Answer::Series(answer.series))
                }),
                counts(self.attribute.clone(), By::default()),
                // A trace that stands in blocks, and one that is only linked to.
                links(self.trace),
                links(self.linked),
                ask(|| snapshot.event(self.sequence).map(|e| Answer::Events(Vec::from_iter(e)))),
                ask(move || snapshot.find_traces(&traces, 5).map(|f| Answer::Traces(f.ids))),
            ]);
        }
        let few: [Question<'a>; FEW] = [
            events(Query::default().limit(usize::MAX)),
            counts(slow, By { source: true, ..By::default() }),
            ask(|| snapshot.trace(self.trace).map(|answer| Answer::Events(answer.events))),
        ];
        questions.extend(few);
        questions.into_iter().map(|question| question())
    }
}

type Question<'a> = Box<dyn Fn() -> annal::Result<Answer> + 'a>;

fn ask<'a>(question: impl Fn() -> annal::Result<Answer> + 'a) -> Question<'a> {
    Box::new(question)
}

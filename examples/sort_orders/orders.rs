//! The orders that are compared.

use std::collections::HashMap;

use annal::limits::BLOCK_EVENTS_MAX;
use annal::{Event, TraceId};

/// An order of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// As the events came.
    Log,
    /// By (source, type, time) inside each hour.
    SeriesInHours,
    /// Whole traces, by their first times, inside each hour; the spans of one by time.
    TracesInHours,
    /// By (source, type, time) inside each minute.
    SeriesInMinutes,
    /// As the events came, but inside each block as [`Order::TracesInHours`]: no event changes its
    /// block.
    TracesInBlocks,
}

const MINUTE_NS: i64 = 60 * 1_000_000_000;
const HOUR_NS: i64 = 60 * MINUTE_NS;

impl Order {
    /// All of them.
    pub(crate) const ALL: [Order; 5] = [
        Order::Log,
        Order::SeriesInHours,
        Order::TracesInHours,
        Order::SeriesInMinutes,
        Order::TracesInBlocks,
    ];

    /// How the tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Order::Log => "log",
            Order::SeriesInHours => "series, hours",
            Order::TracesInHours => "traces, hours",
            Order::SeriesInMinutes => "series, minutes",
            Order::TracesInBlocks => "traces, blocks",
        }
    }
}

/// The events in an order; `events` are in that of the log, and ties stay in it.
pub(crate) fn arrange(events: &[Event], order: Order) -> Vec<&Event> {
    let mut arranged: Vec<&Event> = events.iter().collect();
    match order {
        Order::Log => {}
        Order::SeriesInHours => by_series(&mut arranged, HOUR_NS),
        Order::SeriesInMinutes => by_series(&mut arranged, MINUTE_NS),
        Order::TracesInHours => by_traces(&mut arranged),
        Order::TracesInBlocks => arranged.chunks_mut(BLOCK_EVENTS_MAX).for_each(by_traces),
    }
    arranged
}

fn window(event: &Event, window_ns: i64) -> i64 {
    event.time.as_ns().div_euclid(window_ns)
}

fn by_series(events: &mut [&Event], window_ns: i64) {
    events.sort_by(|a, b| {
        let windows = window(a, window_ns).cmp(&window(b, window_ns));
        let series = (&a.source, &a.event_type, a.time).cmp(&(&b.source, &b.event_type, b.time));
        windows.then(series)
    });
}

fn by_traces(events: &mut [&Event]) {
    let mut first: HashMap<(i64, TraceId), i64> = HashMap::new();
    for event in events.iter() {
        let Some(trace) = event.trace_id else { continue };
        let time = event.time.as_ns();
        let entry = first.entry((window(event, HOUR_NS), trace)).or_insert(time);
        *entry = time.min(*entry);
    }
    events.sort_by_cached_key(|event| {
        let (hour, time) = (window(event, HOUR_NS), event.time.as_ns());
        let begun = event.trace_id.and_then(|trace| first.get(&(hour, trace)).copied());
        (hour, begun.unwrap_or(time), event.trace_id, time)
    });
}

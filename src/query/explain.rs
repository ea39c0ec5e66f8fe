//! What a query would read and why, without reading it.

use std::fmt;

use crate::error::Result;
use crate::query::guard::Guard;
use crate::query::plan::{Steps, plan};
use crate::query::request::{Order, Query};
use crate::query::source::{Segment, Source};

/// How a query would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explain {
    /// The expression, as it was understood.
    pub filter: Option<String>,
    /// What each step leaves out.
    pub steps: Steps,
    /// Frames to read, at most: newest or oldest first may stop early.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Stored bytes of them.
    pub bytes: u64,
    /// Events that are known to match without reading them.
    pub events_certain: u64,
    /// Order of the answer.
    pub order: Order,
    /// Everything is read, see [`Query::full_scan`].
    pub full_scan: bool,
}

/// Plans and counts.
pub(super) fn explain<S: Segment>(source: &Source<'_, S>, query: &Query) -> Result<Explain> {
    let plan = plan(source, query, &mut Guard::new(query))?;
    let mut explain = Explain {
        filter: query.filter.as_ref().map(ToString::to_string),
        steps: plan.steps,
        frames: plan.frames.len() as u64,
        events: 0,
        bytes: 0,
        events_certain: 0,
        order: query.order,
        full_scan: query.full_scan,
    };
    for frame in &plan.frames {
        if let Some((_, entry)) = plan.entry(frame) {
            explain.events += u64::from(entry.events);
            explain.bytes += u64::from(entry.stored_length);
            if frame.inside && frame.certain {
                explain.events_certain += u64::from(entry.events);
            }
        }
    }
    Ok(explain)
}

impl fmt::Display for Explain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explain { steps: s, .. } = self;
        if let Some(filter) = &self.filter {
            writeln!(f, "where     {filter}")?;
        }
        let segments = s.segments - s.segments_by_time - s.segments_by_sequence;
        writeln!(f, "segments  {} of {}", segments, s.segments)?;
        writeln!(f, "          {} out by time", s.segments_by_time)?;
        writeln!(f, "          {} out by sequence", s.segments_by_sequence)?;
        writeln!(f, "frames    {} of {}", self.frames, s.frames)?;
        writeln!(f, "          {} out by time", s.frames_by_time)?;
        writeln!(f, "          {} out by sequence", s.frames_by_sequence)?;
        writeln!(f, "          {} out by trace filter", s.frames_by_trace)?;
        writeln!(f, "          {} out by source and type", s.frames_by_series)?;
        writeln!(f, "          {} out by attributes", s.frames_by_attribute)?;
        writeln!(f, "          {} out by links", s.frames_by_link)?;
        writeln!(f, "events    {}, {} certain to match", self.events, self.events_certain)?;
        writeln!(f, "bytes     {}", self.bytes)?;
        let order = match self.order {
            Order::Newest => "newest first",
            Order::Oldest => "oldest first",
        };
        let end = match self.full_scan {
            true => "reads everything",
            false => "stops once nothing left can be among the answer",
        };
        write!(f, "order     {order}; {end}")
    }
}

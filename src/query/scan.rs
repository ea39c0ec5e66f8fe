//! Reads one frame of a plan and says which of its events match.

use std::sync::Arc;

use crate::column::{BatchView, Field, Table};
use crate::error::Result;
use crate::event::Event;
use crate::format::frame::FrameHeader;
use crate::query::decoded::Columns;
use crate::query::evaluate;
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame};
use crate::query::selection::Selection;
use crate::query::source::{Segment, damaged};

/// Matching events of one frame, as columns: what the engine gives before it makes [`Event`]s.
#[derive(Debug)]
pub struct Selected {
    pub(super) header: FrameHeader,
    pub(super) view: Arc<BatchView>,
    pub(super) rows: Vec<u32>,
}

impl Selected {
    /// The frame's header.
    #[must_use]
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The frame's columns, those of events that do not match included.
    #[must_use]
    pub fn view(&self) -> &BatchView {
        &self.view
    }

    /// The matching rows, ascending.
    #[must_use]
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Their sequences.
    pub fn sequences(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter().map(|row| self.header.first_sequence + u64::from(*row))
    }

    /// Them as events, in order of sequence.
    pub fn events(&self) -> Result<Vec<Event>> {
        self.view.materialise(&self.header, &self.rows)
    }
}

/// Reads and hands the columns and the matching rows to `with`; `None` for damage that is
/// tolerated.
pub(super) fn frame<S: Segment, T>(
    plan: &Plan<'_, S>,
    frame: &PlannedFrame,
    guard: &mut Guard,
    with: impl FnOnce(&mut Columns<'_>, &Selection) -> Result<T>,
) -> Result<Option<(FrameHeader, Arc<BatchView>, T)>> {
    let Some((segment, entry)) = plan.entry(frame) else {
        return Ok(None);
    };
    guard.check(u64::from(entry.events))?;
    let Some((header, view)) = guard.tolerate(segment.read(entry))? else {
        return Ok(None);
    };
    guard.scanned.events_read += u64::from(entry.events);
    guard.scanned.bytes_read += u64::from(entry.stored_length);
    let mut matched = 0;
    let mut columns = Columns::new(&header, &view, plan.kernels);
    let outcome = matching(plan, frame, &mut columns).and_then(|rows| {
        matched = rows.count() as u64;
        with(&mut columns, &rows)
    });
    drop(columns);
    let outcome = outcome.map_err(|error| damaged(error, segment, entry));
    let outcome = guard.tolerate(outcome)?;
    if outcome.is_some() {
        guard.scanned.events_matched += matched;
    }
    Ok(outcome.map(|value| (header, view, value)))
}

fn matching<S: Segment>(
    plan: &Plan<'_, S>,
    frame: &PlannedFrame,
    columns: &mut Columns<'_>,
) -> Result<Selection> {
    let mut within = Selection::all(columns.view.events());
    if !frame.inside {
        let times = columns.every_int(Table::Events, Field::Time)?;
        within = plan.bounds.select(&times.values, columns.header.first_sequence, columns.kernels);
    }
    if frame.certain {
        return Ok(within);
    }
    evaluate::select(columns, &plan.predicate, &within)
}

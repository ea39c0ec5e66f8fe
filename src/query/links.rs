//! Who links to a trace: the question, and how the links of compacted segments leave frames out of
//! it and of every other that asks for `link:traceID`.

use crate::error::{Error, Result};
use crate::event::TraceId;
use crate::index::trace_hash;
use crate::query::ast::Intrinsic;
use crate::query::plan::PlannedFrame;
use crate::query::predicate::Predicate;
use crate::query::request::Query;
use crate::query::source::Segment;
use crate::query::{Answer, Snapshot};

impl Snapshot {
    /// The events of a query that link to a trace: those for which `link:traceID = "id"` holds too.
    pub fn links_to(&self, id: TraceId, query: &Query) -> Result<Answer> {
        let linking = query.clone().intrinsic(Intrinsic::LinkTraceId).eq(id.to_string());
        self.query(&linking)
    }
}

/// The traces to one of which each event of an answer links, as hashes.
#[derive(Debug)]
pub(super) struct Targets(Vec<u64>);

impl Targets {
    /// The targets of a predicate; `None` if events without a link may match.
    pub(super) fn of(predicate: &Predicate) -> Option<Targets> {
        predicate.linked().map(|ids| Targets(ids.iter().map(trace_hash).collect()))
    }

    /// Keeps those frames of a segment of so many blocks that may link to one of the targets: all
    /// of them if the segment does not know.
    pub(super) fn keep(
        &self,
        segment: &impl Segment,
        blocks: usize,
        frames: &mut Vec<PlannedFrame>,
    ) -> Result<()> {
        let Some(links) = segment.links()? else { return Ok(()) };
        if links.blocks() != blocks {
            let what = "the links are of other blocks than the directory has";
            return Err(Error::corrupt(what).in_file(segment.file_name()));
        }
        let may_link = |frame: &PlannedFrame, target| {
            links.may_link(frame.frame as usize, target).unwrap_or(true)
        };
        frames.retain(|frame| self.0.iter().any(|target| may_link(frame, *target)));
        Ok(())
    }
}

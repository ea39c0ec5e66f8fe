//! Which frames a query has to read: those that times, sequences, trace filters, series, attributes
//! and links cannot leave out. No event is read for it.

use std::sync::Arc;

use crate::column::Kernels;
use crate::error::{Error, Result};
use crate::index::trace_hash;
use crate::query::attributes::{Probe, SegmentProbe};
use crate::query::guard::Guard;
use crate::query::links::Targets;
use crate::query::predicate::{self, Predicate};
use crate::query::request::{Order, Query};
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::segment::{Directory, FrameEntry};
use crate::store::SegmentAttributes;
use crate::time::{TimeRange, Timestamp};

/// The frames to read and what is already known of them.
pub(super) struct Plan<'a, S> {
    /// What an event has to pass beside the bounds.
    pub(super) predicate: Predicate,
    /// What its time and sequence have to pass.
    pub(super) bounds: Bounds,
    /// Segments with frames to read.
    pub(super) segments: Vec<PlannedSegment<'a, S>>,
    /// The frames to read, by segment and position.
    pub(super) frames: Vec<PlannedFrame>,
    /// What was left out, and why.
    pub(super) steps: Steps,
    /// What compares values.
    pub(super) kernels: Kernels,
}

/// A segment with frames to read.
pub(super) struct PlannedSegment<'a, S> {
    pub(super) segment: &'a S,
    pub(super) directory: Arc<Directory>,
}

/// A frame to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedFrame {
    /// Index into [`Plan::segments`].
    pub(super) segment: u32,
    /// Index into the segment's directory.
    pub(super) frame: u32,
    /// All its events lie within the bounds.
    pub(super) inside: bool,
    /// The predicate holds for all its events.
    pub(super) certain: bool,
    /// Least and greatest time.
    pub(super) times: (Timestamp, Timestamp),
}

/// Times, sequences and page that an event has to lie in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) range: TimeRange,
    /// First sequence inside, first one after.
    pub(super) sequences: (u64, u64),
    /// Only events behind this (time, sequence), in this order.
    pub(super) after: Option<(Timestamp, u64, Order)>,
}

/// How many segments and frames each step of pruning left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Segments in all.
    pub segments: u64,
    /// Of those, left out by their times.
    pub segments_by_time: u64,
    /// Of the rest, left out by their sequences.
    pub segments_by_sequence: u64,
    /// Frames of the segments that are left.
    pub frames: u64,
    /// Of those, left out by their times.
    pub frames_by_time: u64,
    /// Of the rest, left out by their sequences.
    pub frames_by_sequence: u64,
    /// Of the rest, left out by their trace filters.
    pub frames_by_trace: u64,
    /// Of the rest, left out by their sources and types.
    pub frames_by_series: u64,
    /// Of the rest, left out by their attributes.
    pub frames_by_attribute: u64,
    /// Of the rest, left out because they link to other traces or none.
    pub frames_by_link: u64,
}

impl Bounds {
    pub(super) fn new(query: &Query, next_sequence: u64) -> Bounds {
        let mut range = query.range;
        let mut sequences = query.sequences.as_ref().map_or((0, u64::MAX), |s| (s.start, s.end));
        sequences.1 = sequences.1.min(next_sequence);
        let after = query.cursor.map(|cursor| {
            sequences.1 = sequences.1.min(cursor.upper_sequence);
            let behind = Timestamp(cursor.time.0.saturating_add(1));
            match query.order {
                Order::Newest => range.until = range.until.min(behind),
                Order::Oldest => range.since = range.since.max(cursor.time),
            }
            (cursor.time, cursor.sequence, query.order)
        });
        Bounds { range, sequences, after }
    }

    fn overlaps_sequences(&self, first: u64, end: u64) -> bool {
        first < self.sequences.1 && self.sequences.0 < end
    }

    /// Whether all events of a frame lie inside.
    fn contain(&self, entry: &FrameEntry) -> bool {
        let end = entry.first_sequence + u64::from(entry.events);
        let behind = match self.after {
            None => true,
            Some((time, _, Order::Newest)) => entry.max_time < time,
            Some((time, _, Order::Oldest)) => time < entry.min_time,
        };
        behind
            && self.range.contains(entry.min_time)
            && self.range.contains(entry.max_time)
            && self.sequences.0 <= entry.first_sequence
            && end <= self.sequences.1
    }

    /// The rows of a frame that lie inside, whose events have these times.
    pub(super) fn select(&self, times: &[i64], first_sequence: u64, kernels: Kernels) -> Selection {
        let rows = times.len();
        let end = first_sequence.saturating_add(rows as u64);
        let whole = self.sequences.0 <= first_sequence && end <= self.sequences.1;
        if self.after.is_none() && whole {
            // A range that ends where it begins, or before, holds nothing.
            let Some(last) = self.range.until.0.checked_sub(1) else {
                return Selection::none(rows);
            };
            return Selection::of_words(kernels.between(times, self.range.since.0, last), rows);
        }
        Selection::of(rows, |row| {
            let time = times.get(row).copied().unwrap_or(0);
            self.admit(Timestamp(time), first_sequence + row as u64)
        })
    }

    /// Whether an event lies inside.
    fn admit(&self, time: Timestamp, sequence: u64) -> bool {
        let behind = match self.after {
            None => true,
            Some((t, s, Order::Newest)) => (time, sequence) < (t, s),
            Some((t, s, Order::Oldest)) => (time, sequence) > (t, s),
        };
        behind
            && self.range.contains(time)
            && self.sequences.0 <= sequence
            && sequence < self.sequences.1
    }
}

/// Frames that are planned between two looks at the deadline.
const FRAMES_PER_CHECK: usize = 64;

/// What a segment is asked beside its directory's times, sequences and series.
struct Indexes<'i> {
    /// Hashes of the traces wanted.
    traces: Option<&'i [u64]>,
    attributes: Option<(SegmentProbe, &'i SegmentAttributes)>,
    targets: Option<&'i Targets>,
}

/// Prunes; only directories and indexes are read.
pub(super) fn plan<'a, S: Segment>(
    source: &Source<'a, S>,
    query: &Query,
    guard: &mut Guard,
) -> Result<Plan<'a, S>> {
    let predicate = predicate::compile(query)?;
    let bounds = Bounds::new(query, source.next_sequence);
    let hashes = predicate.traces().map(|ids| ids.iter().map(trace_hash).collect::<Vec<_>>());
    let (probe, targets) = (Probe::of(&predicate), Targets::of(&predicate));
    let mut plan = Plan {
        predicate,
        bounds,
        segments: Vec::new(),
        frames: Vec::new(),
        steps: Steps::default(),
        kernels: query.kernels,
    };
    for segment in source.segments {
        plan.steps.segments += 1;
        guard.check(0)?;
        if query.full_scan {
            if let Some(directory) = guard.tolerate(segment.directory())? {
                plan.add_all(segment, directory);
            }
            continue;
        }
        let (first, end) = segment.sequences();
        if segment.times().is_none_or(|(min, max)| !bounds.range.overlaps(min, max)) {
            plan.steps.segments_by_time += 1;
        } else if !bounds.overlaps_sequences(first, end) {
            plan.steps.segments_by_sequence += 1;
        } else if guard.tolerate(segment.may_overlap(&bounds.range))? == Some(false) {
            plan.steps.segments_by_time += 1;
        } else if let Some(directory) = guard.tolerate(segment.directory())? {
            let attributes = match &probe {
                Some(_) => guard.tolerate(segment.attributes())?.flatten(),
                None => None,
            };
            let blocks = directory.frames.len();
            if attributes.as_ref().is_some_and(|attributes| attributes.blocks() != blocks) {
                let what = "the attributes are of other blocks than the directory has";
                guard.tolerate::<()>(Err(Error::corrupt(what).in_file(segment.file_name())))?;
            }
            let attributes = attributes.as_ref().filter(|a| a.blocks() == blocks);
            let probe = probe.as_ref().zip(attributes).map(|(p, a)| (p.of_segment(a), a));
            let (traces, targets) = (hashes.as_deref(), targets.as_ref());
            let indexes = Indexes { traces, attributes: probe, targets };
            plan.add(segment, directory, &indexes, guard)?;
        }
    }
    let steps = &plan.steps;
    guard.scanned.segments = steps.segments;
    guard.scanned.segments_pruned = steps.segments_by_time + steps.segments_by_sequence;
    guard.scanned.frames = steps.frames;
    guard.scanned.frames_pruned = steps.frames_pruned();
    Ok(plan)
}

impl<'a, S: Segment> Plan<'a, S> {
    fn add(
        &mut self,
        segment: &'a S,
        directory: Arc<Directory>,
        indexes: &Indexes<'_>,
        guard: &mut Guard,
    ) -> Result<()> {
        let at = self.segments.len() as u32;
        let before = self.frames.len();
        let mut verdicts = None;
        let visible = segment.frames_visible().min(directory.frames.len());
        let candidates = self.by_trace(segment, &directory, indexes);
        let candidates = candidates.unwrap_or_else(|| (0..visible).collect());
        let skipped = (visible - candidates.len()) as u64;
        self.steps.frames += skipped;
        self.steps.frames_by_trace += skipped;
        for (number, index) in candidates.into_iter().enumerate() {
            let Some(entry) = directory.frames.get(index) else {
                break;
            };
            if number.is_multiple_of(FRAMES_PER_CHECK) {
                guard.check(0)?;
            }
            self.steps.frames += 1;
            if let Some((inside, certain)) = self.verdict(entry, &directory, &mut verdicts, indexes)
            {
                let times = (entry.min_time, entry.max_time);
                let frame = index as u32;
                self.frames.push(PlannedFrame { segment: at, frame, inside, certain, times });
            }
        }
        // Looked at last: mostly no frame is left by then, and the segment's links stay unread.
        if let Some(targets) = indexes.targets.filter(|_| self.frames.len() > before) {
            let mut left = self.frames.split_off(before);
            let all = left.len();
            guard.tolerate(targets.keep(segment, directory.frames.len(), &mut left))?;
            self.steps.frames_by_link += (all - left.len()) as u64;
            self.frames.append(&mut left);
        }
        if self.frames.len() > before {
            self.segments.push(PlannedSegment { segment, directory });
        }
        Ok(())
    }

    /// The frames that may have the traces wanted, if that is all there is to ask: the segment is
    /// whole and lies within the bounds.
    fn by_trace(
        &self,
        segment: &S,
        directory: &Directory,
        indexes: &Indexes<'_>,
    ) -> Option<Vec<usize>> {
        let hashes = indexes.traces?;
        let (min, max) = segment.times()?;
        let (first, end) = segment.sequences();
        let Bounds { range, sequences, .. } = self.bounds;
        let inside = range.contains(min)
            && range.contains(max)
            && sequences.0 <= first
            && end <= sequences.1
            && segment.digest().is_some()
            && segment.frames_visible() == directory.frames.len();
        inside.then(|| directory.trace_filters().may_contain_any(hashes))
    }

    /// Adds every frame of a segment, with nothing known of it.
    fn add_all(&mut self, segment: &'a S, directory: Arc<Directory>) {
        let at = self.segments.len() as u32;
        for (index, entry) in directory.frames.iter().take(segment.frames_visible()).enumerate() {
            self.steps.frames += 1;
            self.frames.push(PlannedFrame {
                segment: at,
                frame: index as u32,
                inside: false,
                certain: false,
                times: (entry.min_time, entry.max_time),
            });
        }
        self.segments.push(PlannedSegment { segment, directory });
    }

    /// `None` if the frame can be left out, else whether bounds and predicate hold for all of it.
    /// Series are judged when the first frame is asked for its own.
    fn verdict(
        &mut self,
        entry: &FrameEntry,
        directory: &Directory,
        verdicts: &mut Option<Vec<(bool, bool)>>,
        indexes: &Indexes<'_>,
    ) -> Option<(bool, bool)> {
        let Plan { steps, predicate, bounds, .. } = self;
        if !bounds.range.overlaps(entry.min_time, entry.max_time) {
            steps.frames_by_time += 1;
            return None;
        }
        let end = entry.first_sequence + u64::from(entry.events);
        if !bounds.overlaps_sequences(entry.first_sequence, end) {
            steps.frames_by_sequence += 1;
            return None;
        }
        // Of thousands of frames few have a trace, so that few are asked anything else.
        if indexes.traces.is_some_and(|ids| !ids.iter().any(|id| entry.traces.may_contain(*id))) {
            steps.frames_by_trace += 1;
            return None;
        }
        let verdicts = verdicts.get_or_insert_with(|| {
            directory.series.iter().map(|series| predicate.verdict(series)).collect()
        });
        // A series the directory does not know proves nothing.
        let of = |series: &u32| verdicts.get(*series as usize).copied().unwrap_or((true, true));
        let constant = entry.series.is_empty() || verdicts.is_empty();
        if !constant && !entry.series.iter().any(|s| of(s).0) {
            steps.frames_by_series += 1;
            return None;
        }
        let may_hold = |(probe, attributes): &(SegmentProbe, &SegmentAttributes)| {
            attributes.block(entry.index as usize).map(|block| probe.may_hold(&block))
        };
        if indexes.attributes.as_ref().and_then(may_hold) == Some(false) {
            steps.frames_by_attribute += 1;
            return None;
        }
        let certain = !constant && !entry.series.iter().any(|s| of(s).1);
        Some((bounds.contain(entry), certain))
    }

    /// Segment and directory entry of a planned frame.
    pub(super) fn entry(&self, frame: &PlannedFrame) -> Option<(&'a S, &FrameEntry)> {
        let planned = self.segments.get(frame.segment as usize)?;
        let entry = planned.directory.frames.get(frame.frame as usize)?;
        Some((planned.segment, entry))
    }
}

impl Steps {
    /// Frames that were left out.
    #[must_use]
    pub fn frames_pruned(&self) -> u64 {
        self.frames_by_time
            + self.frames_by_sequence
            + self.frames_by_series
            + self.frames_by_trace
            + self.frames_by_attribute
            + self.frames_by_link
    }
}

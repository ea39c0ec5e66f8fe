//! One event by its sequence: a binary search over segments, one over frames, one frame read.

use crate::error::Result;
use crate::event::Event;
use crate::query::source::{Segment, Source, damaged};

/// The event with this sequence, while it is kept.
pub(super) fn event<S: Segment>(source: &Source<'_, S>, sequence: u64) -> Result<Option<Event>> {
    if sequence >= source.next_sequence {
        return Ok(None);
    }
    let after = source.segments.partition_point(|s| s.sequences().0 <= sequence);
    // Segments without events may stand between.
    let candidates = source.segments.get(..after).unwrap_or_default().iter().rev();
    for segment in candidates {
        let (first, end) = segment.sequences();
        if first == end {
            continue;
        }
        return if sequence < end { in_segment(segment, sequence) } else { Ok(None) };
    }
    Ok(None)
}

fn in_segment<S: Segment>(segment: &S, sequence: u64) -> Result<Option<Event>> {
    let directory = segment.directory()?;
    let (mut low, mut high) = (0, segment.frames_visible());
    while low < high {
        let middle = low + (high - low) / 2;
        match directory.frames.get(middle) {
            Some(entry) if entry.first_sequence <= sequence => low = middle + 1,
            _ => high = middle,
        }
    }
    let Some(entry) = low.checked_sub(1).and_then(|index| directory.frames.get(index)) else {
        return Ok(None);
    };
    let Ok(row) = u32::try_from(sequence - entry.first_sequence) else {
        return Ok(None);
    };
    if row >= entry.events {
        return Ok(None);
    }
    let (header, view) = segment.read(entry)?;
    let events = view.materialise(&header, &[row]);
    let events = events.map_err(|error| damaged(error, segment, entry))?;
    Ok(events.into_iter().next())
}

//! Work that can be done elsewhere: a run of frames of one file, named so that anybody who has the
//! store's files (or a copy of the sealed ones) can scan it alone and in any order. The ordered
//! merge sits on top.

use crate::codec::{Cursor, crc32, put_varint};
use crate::error::{Error, Result};
use crate::query::guard::Guard;
use crate::query::plan::{Plan, PlannedFrame, plan};
use crate::query::request::Query;
use crate::query::scan::{self, Selected};
use crate::query::source::{Segment, Source};

/// First byte of a unit's bytes: the version of their form.
const VERSION: u8 = 1;
/// Bytes of a file name.
const FILE_BYTES_MAX: usize = 255;

/// A run of frames to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanUnit {
    /// Identity of the store.
    pub store_id: [u8; 16],
    /// Version of the manifest that it was planned under.
    pub manifest_version: u64,
    /// The segment.
    pub segment_id: u64,
    /// The segment's file.
    pub file: String,
    /// The file's digest; `None` for the active segment, which still grows.
    pub digest: Option<[u8; 16]>,
    /// The frames, as places in the segment's directory.
    pub frames: std::ops::Range<u32>,
    /// Events in them.
    pub events: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Whether all of their events lie in the query's times and sequences.
    pub bounds_exact: bool,
    /// Whether its conditions hold for all of their events.
    pub conditions_exact: bool,
}

impl ScanUnit {
    /// The number of matching events, if it is known without a scan.
    #[must_use]
    pub fn exact_count(&self) -> Option<u64> {
        (self.bounds_exact && self.conditions_exact).then_some(self.events)
    }

    /// The unit as bytes, under a checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let flags = u8::from(self.digest.is_some())
            | u8::from(self.bounds_exact) << 1
            | u8::from(self.conditions_exact) << 2;
        let mut out = vec![VERSION, flags];
        out.extend_from_slice(&self.store_id);
        out.extend_from_slice(&self.digest.unwrap_or_default());
        let numbers = [
            self.manifest_version,
            self.segment_id,
            u64::from(self.frames.start),
            u64::from(self.frames.end),
            self.events,
            self.bytes,
            self.file.len() as u64,
        ];
        numbers.iter().for_each(|n| put_varint(&mut out, *n));
        out.extend_from_slice(self.file.as_bytes());
        let crc = crc32(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads what `encode` wrote.
    pub fn decode(bytes: &[u8]) -> Result<ScanUnit> {
        let wrong = |what: &str| Error::invalid(format!("not a scan unit: {what}"));
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| wrong("too short"))?;
        if crc32(body).to_le_bytes() != *crc {
            return Err(wrong("its checksum is wrong"));
        }
        let mut c = Cursor::new(body);
        let version = c.u8()?;
        if version != VERSION {
            let what = format!("scan unit of version {version}; this build reads {VERSION}");
            return Err(Error::unsupported(what));
        }
        let flags = c.u8()?;
        if flags > 7 {
            return Err(wrong("unknown flags"));
        }
        let (store_id, digest) = (c.array()?, c.array()?);
        let (manifest_version, segment_id) = (c.varint()?, c.varint()?);
        let frame = |n: u64| u32::try_from(n).map_err(|_| wrong("a frame's place is too large"));
        let frames = frame(c.varint()?)?..frame(c.varint()?)?;
        let (events, bytes) = (c.varint()?, c.varint()?);
        let length = c.length(FILE_BYTES_MAX, "bytes of a file name")?;
        let file = std::str::from_utf8(c.take(length)?).map_err(|_| wrong("a file name"))?;
        c.finish()?;
        Ok(ScanUnit {
            store_id,
            manifest_version,
            segment_id,
            file: file.to_owned(),
            digest: Some(digest).filter(|_| flags & 1 != 0),
            frames,
            events,
            bytes,
            bounds_exact: flags & 2 != 0,
            conditions_exact: flags & 4 != 0,
        })
    }
}

/// The units that a query has to scan: runs of neighbouring frames of which the same is known.
pub(super) fn units<S: Segment>(source: &Source<'_, S>, query: &Query) -> Result<Vec<ScanUnit>> {
    let plan = plan(source, query, &mut Guard::new(query))?;
    let mut units: Vec<ScanUnit> = Vec::new();
    for frame in &plan.frames {
        let Some((segment, entry)) = plan.entry(frame) else {
            continue;
        };
        let (events, bytes) = (u64::from(entry.events), u64::from(entry.stored_length));
        match units.last_mut() {
            Some(unit)
                if unit.segment_id == segment.id()
                    && unit.frames.end == frame.frame
                    && unit.bounds_exact == frame.inside
                    && unit.conditions_exact == frame.certain =>
            {
                unit.frames.end += 1;
                unit.events += events;
                unit.bytes += bytes;
            }
            _ => units.push(ScanUnit {
                store_id: source.store_id,
                manifest_version: source.manifest_version,
                segment_id: segment.id(),
                file: segment.file_name().to_owned(),
                digest: segment.digest(),
                frames: frame.frame..frame.frame + 1,
                events,
                bytes,
                bounds_exact: frame.inside,
                conditions_exact: frame.certain,
            }),
        }
    }
    Ok(units)
}

/// Reads the next frame that has matching events.
type Step<'a> = dyn FnMut(&mut Guard) -> Option<Result<Selected>> + 'a;

/// Scans a unit frame by frame, in order of position; see [`crate::Snapshot::scan`].
pub struct Scan<'a> {
    guard: Guard,
    step: Box<Step<'a>>,
}

impl Scan<'_> {
    /// What was left out as damaged so far, the first 100; empty unless [`Query::partial`].
    #[must_use]
    pub fn damage(&self) -> &[Error] {
        &self.guard.damage
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<Selected>;

    fn next(&mut self) -> Option<Result<Selected>> {
        (self.step)(&mut self.guard)
    }
}

/// Begins to scan a unit. Limit and order of the query mean nothing here.
pub(super) fn scan<'a, S: Segment>(
    source: &Source<'a, S>,
    unit: &ScanUnit,
    query: &Query,
) -> Result<Scan<'a>> {
    let gone = |what: &str| Error::invalid(format!("{what}: plan the query anew"));
    if unit.store_id != source.store_id {
        return Err(gone("the scan unit is of another store"));
    }
    let place = source.segments.iter().position(|s| s.id() == unit.segment_id);
    let segments = place.and_then(|p| source.segments.get(p..=p));
    let segments = segments.ok_or_else(|| gone("the scan unit's segment is not here any more"))?;
    // A compacted segment has the id of a log segment that it stands for.
    if segments.iter().any(|s| s.file_name() != unit.file) {
        return Err(gone("the scan unit's file is not here any more"));
    }
    if segments.iter().any(|s| unit.digest.is_some_and(|d| s.digest().is_some_and(|o| o != d))) {
        return Err(gone("the scan unit's file has changed"));
    }
    let mut guard = Guard::new(query);
    let plan: Plan<'a, S> = plan(&Source { segments, ..*source }, query, &mut guard)?;
    let range = unit.frames.clone();
    let frames: Vec<PlannedFrame> =
        plan.frames.iter().filter(|f| range.contains(&f.frame)).copied().collect();
    let mut frames = frames.into_iter();
    let step = move |guard: &mut Guard| {
        loop {
            let frame = frames.next()?;
            let rows = scan::frame(&plan, &frame, guard, |_, rows| {
                Ok(rows.iter().map(|row| row as u32).collect::<Vec<u32>>())
            });
            match rows {
                Ok(Some((header, view, rows))) if !rows.is_empty() => {
                    return Some(Ok(Selected { header, view, rows }));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    };
    Ok(Scan { guard, step: Box::new(step) })
}

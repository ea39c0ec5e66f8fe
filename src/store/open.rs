//! Opening: look, decide, repair, serve. See `recovery` for the verdicts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::error::{Error, ErrorKind, Result};
use crate::format::manifest::{Manifest, SegmentRecord};
use crate::limits;
use crate::options::Options;
use crate::segment::Directory;
use crate::storage::{File, LockMode, Storage};
use crate::store::OpenReport;
use crate::store::cache::DirectoryCache;
use crate::store::committer::{Committer, full_segments_before};
use crate::store::compaction::{Compactor, Debt};
use crate::store::driver::Wake;
use crate::store::maintenance::{Maintenance, sealed_segment};
use crate::store::manifest_log::ManifestLog;
use crate::store::random::Random;
use crate::store::recovery::{Inspection, NewerSegment, inspect, leftovers};
use crate::store::repair::{Repaired, repair};
use crate::store::state::{Core, Ended, Mode, State};
use crate::store::stats::Counters;
use crate::store::version::{Form, Pin, ReadContext, Segment, Version, Visible};
use crate::store::views::ViewCache;
use crate::store::workers::Workers;
use crate::time::Clock;

/// How an open ends.
pub(crate) struct Opened {
    pub(crate) core: Core,
    pub(crate) report: OpenReport,
}

/// Opens for writing; makes the store if the directory is empty.
pub(crate) fn open(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    options: Options,
) -> Result<Opened> {
    check_options(&options)?;
    let started = clock.monotonic_ns();
    let lock = storage.lock(LockMode::Exclusive, &options.lock_note)?;
    let mut random = Random::new(options.seed);
    let mut found = match inspect(&*storage)? {
        Some(found) => found,
        None => make_store(&*storage, random.store_id(clock.now()))?,
    };
    if !found.clean {
        keep_sequences(&*storage, &mut found)?;
    }
    let mut report = report_on(&found);
    let Repaired { adopted, active } = repair(&*storage, &mut found, random.draw(clock.now()))?;
    let log_end = match (&active, adopted.last()) {
        (_, Some((segment, _))) => segment.log_end(),
        _ => found.manifest.log_end,
    };
    let log_end = active.as_ref().map_or(log_end, |writer| writer.header.previous);
    let mut durable_position = log_end.end_position;
    let compactor = Compactor::new(random.split());
    // What a compacted file stands for was as long as this on average, however long it is itself.
    let log_bytes = |s: &SegmentRecord| {
        let count = s.last_segment_id.saturating_sub(s.segment_id).saturating_add(1);
        s.end_position.saturating_sub(s.base_position) / count
    };
    let full = found.manifest.segments.iter().map(|s| full_segments_before(log_bytes(s))).max();
    let mut committer = Committer::new(log_end, found.next_sequence, full.unwrap_or(0), random);
    let mut version = version_of(&found);
    let ended: VecDeque<_> =
        adopted.into_iter().map(|(segment, file)| Arc::new(ended_segment(segment, file))).collect();
    version.segments.extend(ended.iter().map(|e| visible(e)));
    let active = active.map(|writer| {
        durable_position = writer.summary.end_position;
        committer.resume(writer, clock.monotonic_ns())
    });
    let mode = Mode::Open;
    let state = State {
        mode,
        queue: VecDeque::new(),
        in_flight_bytes: 0,
        producers: found.producers,
        version: Arc::new(version),
        active,
        ended,
        next_sequence: found.next_sequence,
        durable_position,
        space_low: false,
        debt: Debt::default(),
        compaction_paused: false,
    };
    report.elapsed_ns = clock.monotonic_ns().saturating_sub(started);
    let core = Core {
        store_id: found.manifest.store_id,
        context: Arc::new(ReadContext {
            storage: storage.clone(),
            directories: DirectoryCache::default(),
            views: ViewCache::default(),
            workers: workers(&options),
        }),
        storage,
        clock,
        options,
        state: Mutex::new(state),
        committer: Mutex::new(committer),
        maintenance: Mutex::new(Maintenance::new(ManifestLog::new(found.manifest))),
        compactor: Mutex::new(compactor),
        scrubber: Mutex::default(),
        committer_wake: Wake::default(),
        maintenance_wake: Wake::default(),
        compactor_wake: Wake::default(),
        hurry_wake: Wake::default(),
        scrub_wake: Wake::default(),
        counters: Counters::default(),
        lock: Mutex::new(Some(lock)),
    };
    Ok(Opened { core, report })
}

/// A store that is stepped by hand is the caller's alone.
fn workers(options: &Options) -> Workers {
    Workers::new(if options.manual { 1 } else { options.scan_threads })
}

/// The first manifest; what a crash left of an earlier one goes.
fn make_store(storage: &dyn Storage, store_id: [u8; 16]) -> Result<Inspection> {
    for name in leftovers(&storage.list()?) {
        storage.remove(&name)?;
    }
    let mut log = ManifestLog::new(Manifest { store_id, ..Manifest::default() });
    log.commit(storage, |_| {})?;
    let lost = || Error::new(ErrorKind::Io, "the first manifest was written and is not there");
    inspect(storage)?.ok_or_else(lost)
}

/// Puts on record which sequences may have been given to what is lost, before repair removes the
/// files that show it: a crash from here on must not lead back to them.
fn keep_sequences(storage: &dyn Storage, found: &mut Inspection) -> Result<()> {
    for name in leftovers(&storage.list()?) {
        storage.remove(&name)?;
    }
    let mut log = ManifestLog::new(found.manifest.clone());
    log.commit(storage, |manifest| manifest.next_sequence = found.next_sequence)?;
    found.manifest = log.newest().clone();
    // Those are gone, and on a full disk old manifests too.
    let entries = storage.list()?;
    found.remove.retain(|name| entries.iter().any(|e| e.name == *name));
    Ok(())
}

/// Opens for reading beside no writer; shows what an open for writing would keep, and changes
/// nothing.
pub(crate) fn open_read_only(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    options: Options,
) -> Result<Opened> {
    let started = clock.monotonic_ns();
    let lock = storage.lock(LockMode::Shared, &options.lock_note)?;
    let none = || Error::invalid("there is no store in the directory");
    let mut found = inspect(&*storage)?.ok_or_else(none)?;
    let mut report = report_on(&found);
    let mut version = version_of(&found);
    let newer: Vec<_> = found.adopted.drain(..).chain(found.last.take()).collect();
    let mut log_end = found.manifest.log_end;
    for segment in newer {
        if segment.scan.summary.frames == 0 {
            continue;
        }
        log_end = segment.log_end();
        let file = storage.open(&segment.name, false)?;
        version.segments.push(visible(&ended_segment(segment, file)));
    }
    let state = State {
        mode: Mode::ReadOnly,
        queue: VecDeque::new(),
        in_flight_bytes: 0,
        producers: found.producers,
        version: Arc::new(version),
        active: None,
        ended: VecDeque::new(),
        next_sequence: found.next_sequence,
        durable_position: log_end.end_position,
        space_low: false,
        debt: Debt::default(),
        compaction_paused: false,
    };
    report.elapsed_ns = clock.monotonic_ns().saturating_sub(started);
    let mut random = Random::new(options.seed);
    let compactor = Compactor::new(random.split());
    let core = Core {
        store_id: found.manifest.store_id,
        context: Arc::new(ReadContext {
            storage: storage.clone(),
            directories: DirectoryCache::default(),
            views: ViewCache::default(),
            workers: workers(&options),
        }),
        storage,
        clock,
        options,
        state: Mutex::new(state),
        committer: Mutex::new(Committer::new(log_end, found.next_sequence, 0, random)),
        maintenance: Mutex::new(Maintenance::new(ManifestLog::new(found.manifest))),
        compactor: Mutex::new(compactor),
        scrubber: Mutex::default(),
        committer_wake: Wake::default(),
        maintenance_wake: Wake::default(),
        compactor_wake: Wake::default(),
        hurry_wake: Wake::default(),
        scrub_wake: Wake::default(),
        counters: Counters::default(),
        lock: Mutex::new(Some(lock)),
    };
    Ok(Opened { core, report })
}

fn check_options(options: &Options) -> Result<()> {
    let (min, max) = (limits::SEGMENT_BYTES_MIN, limits::SEGMENT_BYTES_MAX);
    let segment_bytes = options.segment_bytes;
    if !(min..=max).contains(&segment_bytes) {
        let what = format!("segment_bytes is {segment_bytes}, allowed are {min} to {max}");
        return Err(Error::invalid(what).in_field("segment_bytes"));
    }
    let (threads, most) = (options.scan_threads, limits::SCAN_THREADS_MAX);
    if !(1..=most).contains(&threads) {
        let what = format!("scan_threads is {threads}, allowed are 1 to {most}");
        return Err(Error::invalid(what).in_field("scan_threads"));
    }
    let (debt, least) = (options.compaction_debt_bytes_max, options.compaction_debt_bytes_min());
    if debt < least {
        let what = format!("compaction_debt_bytes_max is {debt}, at least {least} must be allowed");
        return Err(Error::invalid(what).in_field("compaction_debt_bytes_max"));
    }
    Ok(())
}

fn report_on(found: &Inspection) -> OpenReport {
    let newer = found.adopted.iter().chain(&found.last);
    let summaries: Vec<_> = newer.map(|n| n.scan.summary).collect();
    OpenReport {
        frames_recovered: summaries.iter().map(|s| s.frames).sum(),
        events_recovered: summaries.iter().map(|s| s.events).sum(),
        torn_bytes: found.torn_bytes,
        clean: found.clean,
        elapsed_ns: 0,
    }
}

/// The segments that the manifest names.
fn version_of(found: &Inspection) -> Version {
    let segments = found.named.iter().map(|named| {
        let pin = Pin::new(named.record.file_name(), named.record.salt, named.record.file_length);
        let segment = sealed_segment(pin, &named.record, named.tail.sections.clone());
        Visible { segment: Arc::new(segment), summary: named.tail.summary }
    });
    Version { manifest_number: found.manifest.number, segments: segments.collect() }
}

/// A recovered segment that takes no more frames.
fn ended_segment(segment: NewerSegment, file: Arc<dyn File>) -> Ended {
    let NewerSegment { name, header, scan, sealed_length } = segment;
    let directory: Arc<Directory> = scan.builder.directory;
    let length = sealed_length.unwrap_or(header.declared_length);
    let form = Form::Open { file: file.clone(), directory: directory.clone() };
    let segment = Arc::new(Segment {
        pin: Pin::new(name, header.salt, length),
        segment_id: header.segment_id,
        compacted: false,
        salt: header.salt,
        base_position: header.base_position,
        form,
    });
    let (summary, digest) = (scan.summary, scan.digest);
    let was_sealed = sealed_length.is_some();
    Ended { header, file, directory, summary, digest, segment, was_sealed }
}

fn visible(ended: &Ended) -> Visible {
    Visible { segment: ended.segment.clone(), summary: ended.summary }
}

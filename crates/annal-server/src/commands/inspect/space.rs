//! Where the bytes of a store's files go: every byte of the directory is counted once, under the
//! part that it belongs to.
//!
//! 1. Segments that the store shows: header, frames, sections, footer, and what lies between them.
//!    Of blocks each column is a part; of a log segment all columns are compressed together, so that
//!    there the payload is one.
//! 2. All other files, by their names, whole.
//!
//! Sections are told apart by their kind alone: one that this build does not know is counted too.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use annal::Snapshot;
use annal::column::{ColumnId, Field};
use annal::format::footer::{SECTION_BYTES, TRAILER_BYTES, section_name};
use annal::format::frame::{FRAME_HEADER_BYTES, FrameHeader};
use annal::format::manifest::parse_manifest_file_name;
use annal::format::producers::parse_producers_file_name;
use annal::format::segment::{
    SEGMENT_HEADER_BYTES, parse_compacted_file_name, parse_log_file_name,
};
use annal::segment::FrameEntry;
use annal::store::SegmentView;

use crate::exit::{self, Failure, Outcome};

/// Which files a part belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Group {
    /// Segments of blocks.
    Compacted,
    /// Segments of batches as they came.
    Log,
    /// Everything that is no segment.
    Store,
}

/// What bytes are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// Chunks of a column of blocks.
    Column(ColumnId),
    /// What says where the chunks of a block are.
    BlockHeads,
    /// Batches, compressed.
    Payloads,
    /// Headers of frames with events, and zeroes up to a multiple of 8.
    FrameHeaders,
    /// Frames without events, such as watermarks.
    OtherFrames,
    /// First page of a segment.
    SegmentHeader,
    /// A section of a footer, by its kind.
    Section(u16),
    /// List of sections, and trailer.
    Footer,
    /// Between frames, sections and footer.
    Gaps,
    /// Behind the last frame of a file without a footer that counts.
    Unused,
    /// Segments that the store does not show: empty, or left over.
    UnnamedSegments,
    /// The newest manifest and those before it.
    Manifests,
    /// Producer checkpoints.
    Producers,
    /// Anything else.
    OtherFiles,
}

/// Bytes of one part.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) bytes: u64,
    /// Of a column: the names of its encodings.
    pub(super) encodings: BTreeSet<&'static str>,
}

/// A part with its bytes.
#[derive(Debug)]
pub(super) struct Share {
    pub(super) group: Group,
    pub(super) part: Part,
    pub(super) tally: Tally,
}

/// All of a store's bytes.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// By group, then largest first.
    pub(super) shares: Vec<Share>,
    /// Events and files of each group; those of the store itself: all events.
    pub(super) events: HashMap<Group, u64>,
    pub(super) files: HashMap<Group, u64>,
    tallies: HashMap<(Group, Part), Tally>,
}

impl Space {
    /// Counts the bytes of a directory, of which the snapshot is.
    pub(super) fn of(directory: &Path, snapshot: &Snapshot) -> Outcome<Space> {
        let mut space = Space::default();
        let mut sizes = sizes(directory)?;
        for segment in snapshot.segments() {
            let gone = || failure(directory, format!("{} is gone", segment.file_name()));
            let length = sizes.remove(segment.file_name()).ok_or_else(gone)?;
            space.segment(segment, length)?;
        }
        for (name, bytes) in sizes {
            let (group, part) = file_part(&name);
            space.put(group, part, bytes);
            *space.files.entry(group).or_default() += 1;
        }
        let all: u64 = snapshot.segments().iter().map(SegmentView::events).sum();
        space.events.insert(Group::Store, all);
        let tallies = std::mem::take(&mut space.tallies);
        let shares = tallies.into_iter().filter(|(_, tally)| tally.bytes > 0);
        space.shares = shares.map(|((group, part), tally)| Share { group, part, tally }).collect();
        space.shares.sort_by_cached_key(|share| {
            (share.group, u64::MAX - share.tally.bytes, share.part.name())
        });
        Ok(space)
    }

    /// Bytes of a group's files.
    pub(super) fn bytes_of(&self, group: Group) -> u64 {
        let of_group = self.shares.iter().filter(|share| share.group == group);
        of_group.map(|share| share.tally.bytes).sum()
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.shares.iter().map(|share| share.tally.bytes).sum()
    }

    /// Bytes per event of a share's group.
    pub(super) fn per_event(&self, group: Group, bytes: u64) -> f64 {
        bytes as f64 / self.events.get(&group).copied().unwrap_or(0).max(1) as f64
    }

    /// Part of all bytes, 0 to 1.
    pub(super) fn portion(&self, bytes: u64) -> f64 {
        bytes as f64 / self.bytes().max(1) as f64
    }

    fn put(&mut self, group: Group, part: Part, bytes: u64) -> &mut Tally {
        let tally = self.tallies.entry((group, part)).or_default();
        tally.bytes += bytes;
        tally
    }

    fn segment(&mut self, segment: &SegmentView, length: u64) -> Outcome<()> {
        let group = if segment.is_compacted() { Group::Compacted } else { Group::Log };
        *self.events.entry(group).or_default() += segment.events();
        *self.files.entry(group).or_default() += 1;
        let mut rest = length;
        let mut put = |space: &mut Space, part, bytes: u64| {
            rest = rest.saturating_sub(bytes);
            space.put(group, part, bytes);
        };
        put(self, Part::SegmentHeader, SEGMENT_HEADER_BYTES as u64);
        let directory = segment.directory()?;
        let mut frames = 0;
        for entry in segment.frames(&directory) {
            let whole = frame_bytes(entry);
            let stored = u64::from(entry.stored_length);
            frames += whole;
            put(self, Part::FrameHeaders, whole - stored);
            if group == Group::Log {
                put(self, Part::Payloads, stored);
                continue;
            }
            let (_, block) = segment.read(entry)?;
            let mut head = stored;
            for (at, id) in block.columns().iter().enumerate() {
                let bytes = block.stored_bytes(at) as u64;
                head = head.saturating_sub(bytes);
                put(self, Part::Column(id.clone()), bytes);
                let tally = self.put(group, Part::Column(id.clone()), 0);
                tally.encodings.extend(block.encoding(at));
            }
            put(self, Part::BlockHeads, head);
        }
        let without_events = segment.log_bytes() - SEGMENT_HEADER_BYTES as u64 - frames;
        put(self, Part::OtherFrames, without_events);
        let Some(sections) = segment.sections() else {
            self.put(group, Part::Unused, rest);
            return Ok(());
        };
        for section in sections {
            put(self, Part::Section(section.kind), u64::from(section.stored_length));
        }
        put(self, Part::Footer, (sections.len() * SECTION_BYTES + TRAILER_BYTES) as u64);
        self.put(group, Part::Gaps, rest);
        Ok(())
    }
}

impl Part {
    /// What it is called in a table.
    pub(super) fn name(&self) -> String {
        match self {
            Part::Column(id) => {
                let again = match id.occurrence {
                    0 => String::new(),
                    n => format!(" #{}", n + 1),
                };
                let typed = match id.field {
                    Field::Attribute | Field::Body => format!(" ({:?})", id.value_type),
                    _ => String::new(),
                };
                format!("{}{again}{}", id.path(), typed.to_lowercase())
            }
            Part::BlockHeads => "heads of blocks".into(),
            Part::Payloads => "payloads of batches".into(),
            Part::FrameHeaders => "frame headers, padding".into(),
            Part::OtherFrames => "frames without events".into(),
            Part::SegmentHeader => "segment header".into(),
            Part::Section(kind) => match section_name(*kind) {
                Some(name) => format!("section: {name}"),
                None => format!("section of kind {kind}"),
            },
            Part::Footer => "footer, trailer".into(),
            Part::Gaps => "gaps".into(),
            Part::Unused => "behind the last frame".into(),
            Part::UnnamedSegments => "segments not in use".into(),
            Part::Manifests => "manifests".into(),
            Part::Producers => "producers".into(),
            Part::OtherFiles => "other files".into(),
        }
    }
}

/// Which files no segment of a snapshot stands for, and what they are for.
fn file_part(name: &str) -> (Group, Part) {
    if parse_log_file_name(name).is_some() {
        (Group::Log, Part::UnnamedSegments)
    } else if parse_compacted_file_name(name).is_some() {
        (Group::Compacted, Part::UnnamedSegments)
    } else if parse_manifest_file_name(name).is_some() {
        (Group::Store, Part::Manifests)
    } else if parse_producers_file_name(name).is_some() {
        (Group::Store, Part::Producers)
    } else {
        (Group::Store, Part::OtherFiles)
    }
}

fn frame_bytes(entry: &FrameEntry) -> u64 {
    let header = FrameHeader { stored_length: entry.stored_length, ..FrameHeader::default() };
    header.frame_bytes().max(FRAME_HEADER_BYTES as u64)
}

/// Lengths of the files of a directory and of those in directories below it, by path.
fn sizes(directory: &Path) -> Outcome<HashMap<String, u64>> {
    let mut sizes = HashMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(|e| failure(&folder, e))? {
            let entry = entry.map_err(|e| failure(&folder, e))?;
            let path = entry.path();
            let about = entry.metadata().map_err(|e| failure(&path, e))?;
            if about.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap_or(&path);
                sizes.insert(name.to_string_lossy().into_owned(), about.len());
            }
        }
    }
    Ok(sizes)
}

fn failure(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(exit::STORAGE, format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_of_a_later_version_is_shown_by_its_kind() {
        assert_eq!(Part::Section(9_999).name(), "section of kind 9999");
        assert_eq!(
            Part::Section(annal::format::footer::SECTION_SERIES).name(),
            "section: totals per series"
        );
    }

    #[test]
    fn every_file_has_a_part() {
        assert_eq!(file_part("manifest-000000000000000a"), (Group::Store, Part::Manifests));
        assert_eq!(file_part("log-0000000000000001.seg"), (Group::Log, Part::UnnamedSegments));
        assert_eq!(file_part("orphans/log-0000000000000001.seg").1, Part::OtherFiles);
    }
}

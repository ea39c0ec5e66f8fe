//! What the footer of a compacted input says of its blocks, so that they can be copied without
//! their columns being read: totals and minutes of the whole segment, which add up to those of the
//! file that is written, attributes and links of each block. Series and traces of each block stand
//! in the directory.
//!
//! A segment may lack one of these sections (too many attributes or minutes, or an older writer):
//! then nothing of the job is copied, and all of it is gathered anew.

use crate::column::SeriesTotals;
use crate::error::{Error, Result};
use crate::format::footer::{
    SECTION_ATTRIBUTES, SECTION_LINKS, SECTION_MINUTES, SECTION_SERIES, Section,
};
use crate::format::frame::Codec;
use crate::index::attributes::AttributeFilters;
use crate::index::links::LinkFilters;
use crate::index::minutes::{Minutes, decode_minutes};
use crate::segment::series::decode_series;
use crate::segment::tail::{Tail, damaged, find_section, open_section};
use crate::storage::{File, Region, read_exact_at};

/// See the module.
pub(super) struct Known {
    pub(super) totals: Vec<SeriesTotals>,
    pub(super) minutes: Minutes,
    pub(super) attributes: AttributeFilters<Region>,
    /// `None`: nothing links, or an older writer has not said so.
    pub(super) links: Option<LinkFilters<Region>>,
}

/// Whether a footer has all of it.
pub(super) fn is_known(sections: &[Section]) -> bool {
    [SECTION_SERIES, SECTION_MINUTES, SECTION_ATTRIBUTES]
        .into_iter()
        .all(|kind| find_section(sections, kind).is_some())
}

impl Known {
    /// Reads the sections of a file by `pread`. What contradicts the summary is damage.
    pub(super) fn read(file: &dyn File, tail: &Tail) -> Result<Known> {
        let (events, blocks) = (tail.summary.events, tail.summary.frames);
        let totals = section(file, tail, SECTION_SERIES, |bytes| {
            let totals = decode_series(&bytes)?;
            let sum = totals.iter().try_fold(0_u64, |sum, t| sum.checked_add(t.events));
            if sum != Some(events) {
                return Err(Error::corrupt("series have other events than the segment"));
            }
            Ok(totals)
        })?;
        let minutes = section(file, tail, SECTION_MINUTES, |bytes| {
            let mut minutes = Minutes::new();
            decode_minutes(&bytes, events, |source, number, minute| {
                match minutes.get_mut(source) {
                    Some(cells) => drop(cells.insert(number, minute)),
                    None => drop(minutes.insert(source.to_owned(), [(number, minute)].into())),
                }
            })?;
            Ok(minutes)
        })?;
        let attributes = section(file, tail, SECTION_ATTRIBUTES, |bytes| {
            let attributes = AttributeFilters::new(bytes)?;
            if attributes.blocks() as u64 != blocks {
                return Err(Error::corrupt("attributes are of other blocks than the segment"));
            }
            Ok(attributes)
        })?;
        let links = match find_section(&tail.sections, SECTION_LINKS) {
            None => None,
            Some(_) => Some(section(file, tail, SECTION_LINKS, |bytes| {
                let links = LinkFilters::new(bytes)?;
                if links.blocks() as u64 != blocks {
                    return Err(Error::corrupt("links are of other blocks than the segment"));
                }
                Ok(links)
            })?),
        };
        Ok(Known { totals, minutes, attributes, links })
    }
}

fn section<T>(
    file: &dyn File,
    tail: &Tail,
    kind: u16,
    decode: impl FnOnce(Region) -> Result<T>,
) -> Result<T> {
    let missing = || Error::corrupt(format!("the footer lists no section of kind {kind}"));
    let section = find_section(&tail.sections, kind).ok_or_else(missing)?;
    let is_filters = matches!(kind, SECTION_ATTRIBUTES | SECTION_LINKS);
    if is_filters && section.codec != Codec::None {
        return Err(Error::corrupt("filters of blocks are compressed").at(section.offset));
    }
    let mut stored = vec![0; section.stored_length as usize];
    read_exact_at(file, section.offset, &mut stored)?;
    open_section(section, Region::from_bytes(stored.into()))
        .and_then(|raw| decode(raw).map_err(|e| damaged(e, section.offset)))
}

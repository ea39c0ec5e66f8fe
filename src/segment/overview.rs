//! What a compacted segment knows of its blocks beside the directory, added up block by block:
//! totals per series, minutes of sources, attributes, targets of links. Made when the segment is
//! written, and again when it is verified.

use crate::column::SeriesTotals;
use crate::format::footer::{SECTION_ATTRIBUTES, SECTION_LINKS, SECTION_MINUTES, SECTION_SERIES};
use crate::index::attributes::{AttributesBuilder, BlockAttributes};
use crate::index::links::LinksBuilder;
use crate::index::minutes::{self, Minutes, encode_minutes};
use crate::limits;
use crate::segment::series::{Totals, encode_series};
use crate::segment::tail::Optional;

/// See the module.
pub(crate) struct Overview {
    totals: Totals,
    /// `None`: they became too many.
    minutes: Option<Minutes>,
    /// Block by block, as the links are.
    pub(crate) attributes: AttributesBuilder,
    pub(crate) links: LinksBuilder,
}

impl Default for Overview {
    fn default() -> Overview {
        Overview {
            totals: Totals::default(),
            minutes: Some(Minutes::new()),
            attributes: AttributesBuilder::default(),
            links: LinksBuilder::default(),
        }
    }
}

impl Overview {
    /// Adds what a block says.
    pub(crate) fn add(
        &mut self,
        totals: &[SeriesTotals],
        minutes: &Minutes,
        attributes: &BlockAttributes,
        links: &[u64],
    ) {
        self.add_totals(totals, minutes);
        self.attributes.push(attributes);
        self.links.push(links);
    }

    /// Adds the totals of a block, or of many together.
    pub(crate) fn add_totals(&mut self, totals: &[SeriesTotals], minutes: &Minutes) {
        self.totals.add(totals);
        if let Some(sum) = &mut self.minutes {
            minutes::merge(sum, minutes);
        }
        self.minutes.take_if(|minutes| minutes::cells(minutes) > limits::MINUTE_CELLS_MAX);
    }

    /// Number of series so far.
    pub(crate) fn series(&self) -> usize {
        self.totals.len()
    }

    /// Events of the totals so far.
    pub(crate) fn events(&self) -> u64 {
        self.totals.events()
    }

    /// The sections of the footer.
    pub(crate) fn into_sections(self) -> Vec<Optional> {
        let sections = [
            Some((SECTION_SERIES, true, encode_series(&self.totals.into_vec()))),
            self.minutes.map(|minutes| (SECTION_MINUTES, true, encode_minutes(&minutes))),
            // Read where it stands, a block at a time.
            self.attributes.encode().map(|bytes| (SECTION_ATTRIBUTES, false, bytes)),
            self.links.encode().map(|bytes| (SECTION_LINKS, false, bytes)),
        ];
        let section = |(kind, compressed, bytes)| Optional { kind, compressed, bytes };
        sections.into_iter().flatten().map(section).collect()
    }
}

//! Which source, type and minute the events of a frame are of, from columns alone. Inside a frame a
//! group is a packed number; names are looked up once per group.

use std::rc::Rc;

use crate::column::{Field, Ints, Table, Texts};
use crate::error::{Error, Result};
use crate::query::By;
use crate::query::count::Packed;
use crate::query::decoded::Columns;
use crate::query::evaluate::referred;
use crate::query::selection::Selection;
use crate::time::{MINUTE_NS, Timestamp};

/// Cells of a table of counts.
const CELLS_MAX: usize = 1 << 14;

/// What tells the groups of one frame apart.
pub(super) struct Grouping {
    resources: Option<(Rc<Ints>, Rc<Texts>)>,
    types: Option<Rc<Texts>>,
    times: Option<Rc<Ints>>,
    first_minute: i64,
}

/// A group's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names<'a> {
    pub(super) source: Option<&'a str>,
    pub(super) event_type: Option<&'a str>,
    pub(super) minute: Option<Timestamp>,
}

/// The number of a time's minute since the epoch.
pub(super) fn minute_of(time: Timestamp) -> i64 {
    time.0.div_euclid(MINUTE_NS)
}

/// Where a minute begins. That of the first times there are would begin before them: it wraps.
pub(super) fn minute_start(number: i64) -> Timestamp {
    Timestamp(number.wrapping_mul(MINUTE_NS))
}

impl Grouping {
    /// Decodes the columns that are needed.
    pub(super) fn new(columns: &mut Columns<'_>, by: By) -> Result<Grouping> {
        let missing = |what: &str| Error::corrupt(format!("the frame has no column of {what}"));
        let resources = if by.source {
            let rows = columns.every_int(Table::Events, Field::Resource)?;
            let sources = columns.field_texts(Table::Resources, Field::Source)?;
            Some((rows, sources.ok_or_else(|| missing("sources"))?))
        } else {
            None
        };
        let types = if by.event_type {
            let types = columns.field_texts(Table::Events, Field::Type)?;
            Some(types.ok_or_else(|| missing("types"))?)
        } else {
            None
        };
        let times =
            if by.minute { Some(columns.every_int(Table::Events, Field::Time)?) } else { None };
        let first_minute = minute_of(columns.header.min_time);
        Ok(Grouping { resources, types, times, first_minute })
    }

    /// The group of a row: codes of source and type, 16 bits each, and minutes since the frame's
    /// first, 32 bits (there are fewer in all of time).
    pub(super) fn key(&self, row: usize) -> u64 {
        let source = self.resources.as_ref().map_or(0, |(rows, sources)| {
            let resource = referred(rows, row);
            resource.and_then(|r| sources.codes.get(r)).map_or(0xffff, |c| u64::from(*c) & 0xffff)
        });
        let event_type = self
            .types
            .as_ref()
            .map_or(0, |types| types.codes.get(row).map_or(0xffff, |c| u64::from(*c) & 0xffff));
        let minute = self.times.as_ref().map_or(0, |times| {
            let time = Timestamp(times.values.get(row).copied().unwrap_or(0));
            minute_of(time).wrapping_sub(self.first_minute) as u64 & 0xffff_ffff
        });
        source << 48 | event_type << 32 | minute
    }

    /// How many of the rows are of each group that occurs.
    pub(super) fn count(&self, rows: &Selection, last: Timestamp) -> Vec<(u64, u64)> {
        let Some([sources, types, minutes]) = self.dense(last) else {
            let mut counts: Packed<u64> = Packed::default();
            rows.iter().for_each(|row| *counts.entry(self.key(row)).or_default() += 1);
            return counts.into_iter().collect();
        };
        // Few groups are possible: a cell for each beats hashing.
        let mut cells = vec![0u64; sources * types * minutes];
        let mut strays: Packed<u64> = Packed::default();
        for row in rows.iter() {
            let key = self.key(row);
            let (source, event_type) = ((key >> 48) as usize, (key >> 32 & 0xffff) as usize);
            let minute = (key & 0xffff_ffff) as usize;
            let inside = source < sources && event_type < types && minute < minutes;
            let place = (source * types + event_type) * minutes + minute;
            match cells.get_mut(place).filter(|_| inside) {
                Some(cell) => *cell += 1,
                None => *strays.entry(key).or_default() += 1,
            }
        }
        let key = |place: usize| {
            let (rest, minute) = (place / minutes, place % minutes);
            ((rest / types) as u64) << 48 | ((rest % types) as u64) << 32 | minute as u64
        };
        let counted = cells.into_iter().enumerate().filter(|(_, events)| *events > 0);
        counted.map(|(place, events)| (key(place), events)).chain(strays).collect()
    }

    /// Numbers of sources, types and minutes that can occur, if their product is small.
    fn dense(&self, last: Timestamp) -> Option<[usize; 3]> {
        let distinct = |texts: &Texts| texts.offsets.len().saturating_sub(1).max(1);
        let sources = self.resources.as_ref().map_or(1, |(_, sources)| distinct(sources));
        let types = self.types.as_ref().map_or(1, |types| distinct(types));
        let minutes = match &self.times {
            Some(_) => minute_of(last).checked_sub(self.first_minute)?.checked_add(1)?,
            None => 1,
        };
        let minutes = usize::try_from(minutes).ok().filter(|m| *m <= CELLS_MAX)?;
        let cells = sources.checked_mul(types)?.checked_mul(minutes)?;
        (cells <= CELLS_MAX).then_some([sources, types, minutes])
    }

    /// The names of a group.
    pub(super) fn names(&self, key: u64) -> Result<Names<'_>> {
        fn text(texts: &Texts, code: u64) -> Result<&str> {
            let text = texts.value(code as u32).and_then(|t| std::str::from_utf8(t).ok());
            text.ok_or_else(|| Error::corrupt("a source or type is missing or no text"))
        }
        Ok(Names {
            source: match &self.resources {
                Some((_, sources)) => Some(text(sources, key >> 48)?),
                None => None,
            },
            event_type: match &self.types {
                Some(types) => Some(text(types, key >> 32 & 0xffff)?),
                None => None,
            },
            minute: self.times.as_ref().map(|_| {
                let minute = self.first_minute.wrapping_add((key & 0xffff_ffff) as i64);
                minute_start(minute)
            }),
        })
    }
}

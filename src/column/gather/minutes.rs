//! What happened at each source of a block, minute by minute.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Gather;
use crate::column::buffer::Values;
use crate::column::schema::{Field, Table};
use crate::event::Signal;
use crate::index::minutes::{Minute, Minutes};
use crate::time::MINUTE_NS;

impl Gather {
    /// Totals of what was gathered per source and minute.
    #[must_use]
    pub fn minutes(&self) -> Minutes {
        let ints = |field| self.integers(Table::Events, field).unwrap_or_default();
        let times = ints(Field::Time).0;
        let mut cells: HashMap<(u16, i64), Minute, RandomState> = HashMap::default();
        let sources = match self.find(Table::Resources, Field::Source).map(|c| &c.values) {
            Some(Values::Texts(texts)) => texts,
            _ => return Minutes::new(),
        };
        let (resources, signals) = (ints(Field::Resource).0, ints(Field::Signal).0);
        let failed = self.failed();
        let source = |row: usize| {
            let resource = resources.get(row).copied().unwrap_or(0);
            sources.codes.get(resource as usize).copied().unwrap_or(0)
        };
        let number = |row: usize| times.get(row).map_or(0, |time| time.div_euclid(MINUTE_NS));
        for row in 0..times.len() {
            let cell = cells.entry((source(row), number(row))).or_default();
            cell.events += 1;
            cell.errors += u64::from(failed.get(row).copied().unwrap_or(false));
        }
        let (durations, rows) = ints(Field::Duration);
        for (&duration, &row) in durations.iter().zip(rows) {
            let row = usize::from(row);
            if signals.get(row) == Some(&(Signal::Span as i64))
                && let Some(cell) = cells.get_mut(&(source(row), number(row)))
            {
                cell.durations.record(duration);
            }
        }
        let mut minutes = Minutes::new();
        for ((source, number), minute) in cells {
            let name = String::from_utf8_lossy(sources.entry(source)).into_owned();
            minutes.entry(name).or_default().insert(number, minute);
        }
        minutes
    }
}

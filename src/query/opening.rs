//! Decompresses columns ahead of their reader, on all threads that are idle: for some dozens of
//! events of one block that is most of the work.
//!
//! An idle processor takes longer to wake than most columns to decompress. So helpers are called
//! before it is known which rows are wanted, if there is a block in which some are: they begin with
//! the columns that every row has a value in, and go on with those that the rows found have.

use std::cmp::Reverse;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::column::{BatchView, Field, Table};
use crate::error::Result;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::store::Workers;

/// Fewer bytes to decompress than this are not worth waking anybody for.
const SHARED_BYTES_MIN: usize = 32 << 10;
/// Nor fewer than this before it is known which rows are wanted. Blocks that were read before have
/// none: those columns are open.
const EARLY_BYTES_MIN: usize = 16 << 10;
/// So many rows say which columns are wanted; what only later ones have is opened by its reader.
pub(super) const ROWS_LOOKED_AT: usize = 256;

/// Decompresses what these rows of blocks have values in, the largest column first.
pub(super) fn open<'v>(
    workers: Option<&Workers>,
    blocks: impl Iterator<Item = (&'v BatchView, Vec<u32>)>,
    guard: &mut Guard,
) -> Result<()> {
    let mut columns = Vec::new();
    for (view, rows) in blocks {
        guard.check(0)?;
        let wanted = view.unopened().filter(|(column, _)| view.has_any(*column, &rows));
        columns.extend(wanted.map(|(column, bytes)| (view, column, bytes)));
    }
    if columns.iter().map(|(.., bytes)| bytes).sum::<usize>() < SHARED_BYTES_MIN {
        return Ok(());
    }
    columns.sort_unstable_by_key(|(.., bytes)| Reverse(*bytes));
    let open = |(): &mut (), (view, column, _): &(&BatchView, usize, usize), guard: &mut Guard| {
        guard.check(0)?;
        view.open_column(*column);
        Ok(())
    };
    fold(workers, &columns, guard, || (), open).map(drop)
}

/// Looks up which rows of a block are wanted, by their traces, while helpers decompress what these
/// rows will need. `rows_of` says the rows of what was found.
pub(super) fn open_meanwhile<T>(
    workers: Option<&Workers>,
    view: &BatchView,
    look_up: impl FnOnce() -> Result<T>,
    rows_of: impl FnOnce(&T) -> Vec<u32>,
) -> Result<T> {
    // Whoever looks up traces opens their column.
    let trace_column = view.find(Table::Events, Field::TraceId);
    let mut unopened: Vec<_> =
        view.unopened().filter(|(column, _)| Some(*column) != trace_column).collect();
    // The largest last, which is taken first.
    unopened.sort_unstable_by_key(|(_, bytes)| *bytes);
    let bytes_of = |columns: &[(usize, usize)]| columns.iter().map(|(_, bytes)| bytes).sum();
    let bytes: usize = bytes_of(&unopened);
    let (always, other): (Vec<_>, Vec<_>) =
        unopened.into_iter().partition(|(column, _)| view.is_everywhere(*column));
    let is_worth = bytes >= SHARED_BYTES_MIN && bytes_of(&always) >= EARLY_BYTES_MIN;
    let Some(workers) = workers.filter(|workers| is_worth && workers.idle() > 0) else {
        return look_up();
    };
    let helpers_max = always.len().min(bytes / SHARED_BYTES_MIN);
    let waiting = Waiting { view, columns: Mutex::new(always) };
    let look_up_and_add = || {
        let found = look_up();
        let rows = found.as_ref().map(rows_of).unwrap_or_default();
        waiting.go_on(&rows, &other);
        found
    };
    workers.beside(helpers_max, look_up_and_add, || waiting.open_all())
}

/// Columns of a block that wait to be decompressed, each with the bytes that it will take; the last
/// is taken first.
struct Waiting<'v> {
    view: &'v BatchView,
    columns: Mutex<Vec<(usize, usize)>>,
}

impl Waiting<'_> {
    /// Decompresses until none is left.
    fn open_all(&self) {
        let take = || self.lock().pop();
        while let Some((column, _)) = take() {
            self.view.open_column(column);
        }
    }

    /// These rows are wanted: of these columns those that they have values in will be, too. Without
    /// any row nothing is.
    fn go_on(&self, rows: &[u32], other: &[(usize, usize)]) {
        let wanted = other.iter().filter(|(column, _)| self.view.has_any(*column, rows));
        let wanted: Vec<(usize, usize)> = wanted.copied().collect();
        let mut columns = self.lock();
        if rows.is_empty() {
            columns.clear();
        } else if !columns.is_empty() {
            // Else the helpers have gone or are about to, and who reads the rows calls them again.
            columns.extend(wanted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(usize, usize)>> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{BatchBuilder, Gather};
    use crate::event::{Attribute, Event, TraceId, Value};
    use crate::time::Timestamp;

    const EVENTS: u8 = 200;

    /// Events with long texts, of which one in ten has a much longer one.
    fn block() -> BatchView {
        let text =
            |of: u8, key: &str, words: usize| Value::String(format!("{key} {of} ").repeat(words));
        let mut builder = BatchBuilder::new();
        for of in 1..=EVENTS {
            let mut attributes = vec![Attribute::new("all", text(of, "all", 100))];
            if of % 10 == 0 {
                attributes.push(Attribute::new("some", text(of, "some", 1_000)));
            }
            let (time, trace_id) = (Timestamp(i64::from(of)), Some(TraceId([of; 16])));
            builder.push(&Event { time, trace_id, attributes, ..Event::default() }).unwrap();
        }
        let batch = builder.finish().unwrap();
        let view = BatchView::open(batch.header(), batch.payload()).unwrap();
        let mut gather = Gather::new();
        gather.add(batch.header(), &view, 0..usize::from(EVENTS)).unwrap();
        let block = gather.finish().unwrap();
        BatchView::open_block(&block.header, block.bytes.into()).unwrap()
    }

    /// Keys of the attributes that are not open yet.
    fn unopened(view: &BatchView) -> String {
        let keys = view.unopened().filter_map(|(at, _)| Some(view.columns().get(at)?.key.as_str()));
        keys.filter(|key| !key.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_the_rows_found_have_is_open_and_nothing_that_only_others_have() {
        for (rows, left) in [(vec![3, 8], "some"), (vec![3, 9], "")] {
            let (meanwhile, after) = (block(), block());
            let large = meanwhile.unopened().filter(|(_, bytes)| *bytes > SHARED_BYTES_MIN);
            assert_eq!((large.count(), unopened(&meanwhile).as_str()), (2, "all some"));
            // Of its own: who comes late is not asked again for a while.
            let workers = Workers::new(2);
            let look_up = || Ok(rows.clone());
            open_meanwhile(Some(&workers), &meanwhile, look_up, Clone::clone).unwrap();
            for view in [&meanwhile, &after] {
                let mut guard = Guard::new(&crate::Query::default());
                let blocks = [(view, rows.clone())].into_iter();
                open(Some(&workers), blocks, &mut guard).unwrap();
                assert_eq!(unopened(view), left);
            }
        }
    }

    #[test]
    fn what_waits_goes_on_with_what_rows_have_if_there_are_rows_and_it_still_waits() {
        for (is_waiting, rows, left) in [
            (true, &[3, 9][..], ""),
            (true, &[3, 8], "some"),
            (true, &[], "all some"),
            (false, &[3, 9], "some"),
        ] {
            let view = block();
            let (always, other): (Vec<_>, Vec<_>) =
                view.unopened().partition(|(column, _)| view.is_everywhere(*column));
            let waiting = Waiting { view: &view, columns: Mutex::new(always) };
            if !is_waiting {
                waiting.open_all();
            }
            waiting.go_on(rows, &other);
            waiting.open_all();
            assert_eq!(unopened(&view), left, "{rows:?}");
        }
    }

    #[test]
    fn an_error_of_the_look_up_is_the_answer_and_who_is_alone_opens_nothing() {
        let failed = || Err::<Vec<u32>, _>(crate::Error::invalid("thirteen"));
        let error = open_meanwhile(Some(&Workers::new(2)), &block(), failed, Vec::clone);
        assert_eq!(error.unwrap_err().message(), "thirteen");
        let view = block();
        for alone in [None, Some(&Workers::new(1))] {
            open_meanwhile(alone, &view, || Ok(vec![3, 9]), Vec::clone).unwrap();
        }
        assert_eq!(unopened(&view), "all some");
    }
}

//! Decompresses columns ahead of their reader, on all threads that are idle: for some dozens of
//! events of one block that is most of the work.
//!
//! An idle processor takes as long to wake as a column takes to decompress. So helpers are called
//! before it is known which rows are wanted, if there is a block in which some are: they begin with
//! the columns that every row has a value in, and go on with those that the rows found have.

use std::cmp::Reverse;
use std::sync::{Mutex, PoisonError};

use crate::column::{BatchView, Field, Table};
use crate::error::Result;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::store::Workers;

/// Fewer bytes to decompress than this are not worth waking anybody for.
const SHARED_BYTES_MIN: usize = 64 << 10;
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
    let waiting = Mutex::new(always);
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let take = || lock().pop();
    let open_all = || {
        while let Some((column, _)) = take() {
            view.open_column(column);
        }
    };
    let look_up_and_add = || {
        let found = look_up();
        let rows = found.as_ref().map(rows_of).unwrap_or_default();
        let wanted = other.iter().filter(|(column, _)| view.has_any(*column, &rows));
        let wanted: Vec<(usize, usize)> = wanted.copied().collect();
        let mut waiting = lock();
        if rows.is_empty() {
            waiting.clear();
        } else if !waiting.is_empty() {
            // Else the helpers have gone, and who reads the rows calls them again.
            waiting.extend(wanted);
        }
        found
    };
    workers.beside(helpers_max, look_up_and_add, open_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{BatchBuilder, Gather};
    use crate::event::{Attribute, Event, TraceId, Value};
    use crate::time::Timestamp;

    const EVENTS: u8 = 200;

    /// Events with long texts, of which one in ten has one more.
    fn block() -> BatchView {
        let text = |of: u8, key: &str| Value::String(format!("{key} {of} ").repeat(100));
        let mut builder = BatchBuilder::new();
        for of in 1..=EVENTS {
            let mut attributes = vec![Attribute::new("all", text(of, "all"))];
            if of % 10 == 0 {
                attributes.push(Attribute::new("some", text(of, "some")));
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
        let workers = Workers::new(2);
        for (rows, left) in [(vec![3, 8], "some"), (vec![3, 9], "")] {
            let (meanwhile, after) = (block(), block());
            assert_eq!(unopened(&meanwhile), "all some");
            let look_up = || Ok(rows.clone());
            open_meanwhile(Some(&workers), &meanwhile, look_up, Clone::clone).unwrap();
            let mut guard = Guard::new(&crate::Query::default());
            open(Some(&workers), [(&after, rows)].into_iter(), &mut guard).unwrap();
            assert_eq!((unopened(&meanwhile), unopened(&after)), (left.into(), left.into()));
        }
    }

    #[test]
    fn who_finds_nothing_or_an_error_opens_no_more_and_who_is_alone_nothing_at_all() {
        let view = block();
        open_meanwhile(None, &view, || Ok(vec![3]), Clone::clone).unwrap();
        assert_eq!(unopened(&view), "all some");
        let alone = Workers::new(1);
        open_meanwhile(Some(&alone), &view, || Ok(Vec::new()), Vec::clone).unwrap();
        assert_eq!(unopened(&view), "all some");
        let failed = || Err::<Vec<u32>, _>(crate::Error::invalid("thirteen"));
        let error = open_meanwhile(Some(&alone), &view, failed, Vec::clone).unwrap_err();
        assert_eq!(error.message(), "thirteen");
        assert_eq!(unopened(&view), "all some");
    }
}

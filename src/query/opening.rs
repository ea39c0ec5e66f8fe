//! Decompresses columns ahead of their reader, on all threads that are idle: for some dozens of
//! events of one block that is most of the work.
//!
//! An idle processor takes as long to wake as a column takes to decompress. So helpers are called
//! before it is known which rows are wanted, if there is a block in which some are: they begin with
//! the columns that every row has a value in, and go on with those that the rows found have.

use std::sync::{Mutex, PoisonError};

use crate::column::{BatchView, Field, Table};
use crate::error::Result;
use crate::query::fold::fold;
use crate::query::guard::Guard;
use crate::store::Workers;

/// Fewer bytes to decompress than this are not worth waking anybody for.
const SHARED_BYTES_MIN: usize = 64 << 10;
/// Rows whose columns are decompressed ahead; what only others have a value in is opened with them.
const ROWS_LOOKED_AT: usize = 256;

/// Decompresses what these rows of blocks have values in, the largest column first.
pub(super) fn open(
    workers: Option<&Workers>,
    blocks: &[(&BatchView, Vec<u32>)],
    guard: &mut Guard,
) -> Result<()> {
    let mut columns = Vec::new();
    for (view, rows) in blocks {
        guard.check(0)?;
        let wanted = view.unopened().filter(|(column, _)| has_any(view, *column, rows));
        columns.extend(wanted.map(|(column, bytes)| (*view, column, bytes)));
    }
    if columns.iter().map(|(.., bytes)| bytes).sum::<usize>() < SHARED_BYTES_MIN {
        return Ok(());
    }
    columns.sort_unstable_by_key(|(.., bytes)| std::cmp::Reverse(*bytes));
    let open = |(): &mut (), (view, column, _): &(&BatchView, usize, usize), guard: &mut Guard| {
        guard.check(0)?;
        view.open_column(*column);
        Ok(())
    };
    fold(workers, &columns, guard, || (), open).map(drop)
}

/// Looks up which rows of a block are wanted, by their traces, while helpers decompress what they
/// will need.
pub(super) fn open_meanwhile<T>(
    workers: Option<&Workers>,
    view: &BatchView,
    look_up: impl FnOnce() -> Result<T>,
    rows_of: impl FnOnce(&T) -> Vec<u32>,
) -> Result<T> {
    // Whoever looks up traces opens their column.
    let traces = view.find(Table::Events, Field::TraceId);
    let mut unopened: Vec<_> = view.unopened().filter(|(at, _)| Some(*at) != traces).collect();
    let bytes: usize = unopened.iter().map(|(_, bytes)| bytes).sum();
    let Some(workers) = workers.filter(|_| bytes >= SHARED_BYTES_MIN) else {
        return look_up();
    };
    // The largest last, which is taken first.
    unopened.sort_unstable_by_key(|(_, bytes)| *bytes);
    let (always, other): (Vec<_>, Vec<_>) =
        unopened.into_iter().partition(|(column, _)| view.is_everywhere(*column));
    let waiting = Mutex::new(always);
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let take = || lock().pop();
    let open_all = || {
        while let Some((column, _)) = take() {
            view.open_column(column);
        }
    };
    let look_up = || {
        let found = look_up();
        let rows = found.as_ref().map(rows_of).unwrap_or_default();
        match rows.is_empty() {
            true => lock().clear(),
            false => lock().extend(other.iter().filter(|(at, _)| has_any(view, *at, &rows))),
        }
        found
    };
    workers.beside(bytes / SHARED_BYTES_MIN, look_up, open_all)
}

/// Whether one of these rows, of which not all are looked at, has a value.
fn has_any(view: &BatchView, column: usize, rows: &[u32]) -> bool {
    let rows = rows.get(..ROWS_LOOKED_AT).unwrap_or(rows);
    view.has_any(column, rows)
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
            open(Some(&workers), &[(&after, rows)], &mut guard).unwrap();
            assert_eq!((unopened(&meanwhile), unopened(&after)), (left.into(), left.into()));
        }
    }

    #[test]
    fn who_finds_nothing_or_an_error_opens_no_more_and_who_is_alone_nothing_at_all() {
        let view = block();
        open_meanwhile(None, &view, || Ok(vec![3]), Clone::clone).unwrap();
        assert_eq!(unopened(&view), "all some");
        let nothing = Workers::new(1);
        open_meanwhile(Some(&nothing), &view, || Ok(Vec::new()), Vec::clone).unwrap();
        assert_eq!(unopened(&view), "all some");
        let failed = || Err::<Vec<u32>, _>(crate::Error::invalid("thirteen"));
        let error = open_meanwhile(Some(&nothing), &view, failed, Vec::clone).unwrap_err();
        assert_eq!(error.message(), "thirteen");
        assert_eq!(unopened(&view), "all some");
    }
}

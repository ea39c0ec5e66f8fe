//! Adds up pieces of work, mostly frames, on all threads that are idle.
//!
//! Who is free takes the next piece, so that no thread waits for another. Each adds up its own sum;
//! what the sums are made of must not depend on who took which piece, nor on the order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::query::guard::Guard;
use crate::query::request::Query;
use crate::store::Workers;

/// What one thread has added up.
struct Part<A> {
    sum: A,
    guard: Guard,
    /// The first piece that failed, and why.
    failed: Option<(usize, Error)>,
}

/// Sums of all pieces, one for each thread that took part; the first error in the order of the
/// pieces, if any failed. What was scanned is added to the guard's.
pub(super) fn fold<P: Sync, A: Send>(
    workers: Option<&Workers>,
    pieces: &[P],
    guard: &mut Guard,
    new: impl Fn() -> A + Sync,
    add: impl Fn(&mut A, &P, &mut Guard) -> Result<()> + Sync,
) -> Result<Vec<A>> {
    let (next, parts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let base = Mutex::new(&mut *guard);
    let work = || {
        let forked = lock(&base).fork();
        let mut part = Part { sum: new(), guard: forked, failed: None };
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(at) else { break };
            if let Err(error) = add(&mut part.sum, piece, &mut part.guard) {
                // The others have nothing to add to.
                next.store(pieces.len(), Ordering::Relaxed);
                part.failed = Some((at, error));
                break;
            }
        }
        lock(&parts).push(part);
    };
    match workers {
        Some(workers) if pieces.len() > 1 => workers.together(pieces.len() - 1, work),
        _ => work(),
    }
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.iter_mut().for_each(|part| guard.join(&mut part.guard));
    let failed = parts.iter_mut().filter_map(|part| part.failed.take()).min_by_key(|(at, _)| *at);
    match failed {
        Some((_, error)) => Err(error),
        None => Ok(parts.into_iter().map(|part| part.sum).collect()),
    }
}

/// What becomes of each piece, in their order.
pub(super) fn map<'p, P: Sync, T: Send>(
    workers: Option<&Workers>,
    pieces: &'p [P],
    guard: &mut Guard,
    make: impl Fn(&'p P, &mut Guard) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let numbered: Vec<(usize, &'p P)> = pieces.iter().enumerate().collect();
    let add = |made: &mut Vec<(usize, T)>, (at, piece): &(usize, &'p P), guard: &mut Guard| {
        made.push((*at, make(piece, guard)?));
        Ok(())
    };
    let parts = fold(workers, &numbered, guard, Vec::new, add)?;
    let mut made: Vec<(usize, T)> = parts.into_iter().flatten().collect();
    made.sort_unstable_by_key(|(at, _)| *at);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}

/// How many frames are read at a time where each may show that the rest need not be read: one at
/// first, which is often enough, then one for each thread that is idle. None is read ahead of others
/// where what may be read is limited: it could take from what those are allowed.
pub(super) fn wave(workers: Option<&Workers>, query: &Query, frames_read: usize) -> usize {
    if frames_read == 0 || query.events_read_max < u64::MAX {
        return 1;
    }
    1 + workers.map_or(0, Workers::idle)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn sum_of(workers: &Workers, pieces: &[u64], query: &Query) -> Result<(u64, u64)> {
        let mut guard = Guard::new(query);
        let add = |sum: &mut u64, piece: &u64, guard: &mut Guard| {
            guard.check(1)?;
            guard.scanned.events_read += 1;
            *sum += piece;
            if *piece == 13 { Err(Error::invalid("thirteen")) } else { Ok(()) }
        };
        let sums = fold(Some(workers), pieces, &mut guard, || 0, add)?;
        Ok((sums.iter().sum(), guard.scanned.events_read))
    }

    #[test]
    fn every_piece_is_added_once_whoever_takes_it() {
        let query = Query::default();
        for threads in 1..4 {
            let workers = Workers::new(threads);
            for count in [0, 1, 2, 100, 10_000] {
                let pieces: Vec<u64> = (100..100 + count).collect();
                let found = sum_of(&workers, &pieces, &query).unwrap();
                assert_eq!(found, (pieces.iter().sum(), count));
            }
        }
    }

    #[test]
    fn what_is_made_of_pieces_comes_in_their_order() {
        let (workers, query) = (Workers::new(3), Query::default());
        let pieces: Vec<u64> = (0..5_000).collect();
        let made = map(Some(&workers), &pieces, &mut Guard::new(&query), |p, _| Ok(p * 2)).unwrap();
        assert!(made.iter().copied().eq(pieces.iter().map(|p| p * 2)));
    }

    #[test]
    fn an_error_of_one_piece_or_a_limit_passed_together_is_the_answer() {
        let workers = Workers::new(2);
        let pieces: Vec<u64> = (0..1_000).collect();
        let error = sum_of(&workers, &pieces, &Query::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let query = Query { events_read_max: 900, ..Query::default() };
        let error = sum_of(&workers, &pieces[14..], &query).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}

//! Answers that clients have not read yet: what they hold of memory is bounded, over all
//! connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use annal::{Error, Result};
use axum::body::Body;
use bytes::Bytes;

/// Answers up to this size are not counted: small questions are answered while large answers wait.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// When to come back if there is no room for another answer.
const RETRY_AFTER_MS: u64 = 1_000;

/// Bytes of answers that wait to be read.
#[derive(Clone, Debug)]
pub(super) struct Unsent {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// An answer; counted until it has been handed to the kernel or its connection has ended.
struct Held {
    answer: Vec<u8>,
    counted: usize,
    bytes: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl Unsent {
    pub(super) fn new(bytes_max: usize) -> Unsent {
        Unsent { bytes: Arc::default(), bytes_max }
    }

    /// How many there are.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The answer as a body; `Busy` if those before it leave no room. One always has room.
    pub(super) fn body(&self, answer: Vec<u8>) -> Result<Body> {
        let counted = answer.capacity();
        if counted <= SMALL_BYTES_MAX {
            return Ok(Body::from(answer));
        }
        let with_it = |waiting: usize| {
            let sum = waiting.checked_add(counted)?;
            (waiting == 0 || sum <= self.bytes_max).then_some(sum)
        };
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it).is_err() {
            let what = "too many answers wait for clients to read them: come back later";
            return Err(Error::busy(what).retry_after_ms(RETRY_AFTER_MS));
        }
        let held = Held { answer, counted, bytes: self.bytes.clone() };
        Ok(Body::from(Bytes::from_owner(held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_until_they_are_gone_and_small_ones_always_find_room() {
        let unsent = Unsent::new(1 << 20);
        let answer = |bytes: usize| vec![b'x'; bytes];
        // Larger than the bound, and the only one.
        let first = unsent.body(answer(2 << 20)).unwrap();
        assert_eq!(unsent.bytes(), 2 << 20);
        let error = unsent.body(answer(100_000)).unwrap_err();
        assert_eq!(error.kind(), annal::ErrorKind::Busy);
        assert_eq!(error.retry_after(), Some(RETRY_AFTER_MS));
        let small = unsent.body(answer(SMALL_BYTES_MAX)).unwrap();
        drop(first);
        let several: Vec<_> = (0..10).map(|_| unsent.body(answer(100_000)).unwrap()).collect();
        assert_eq!(unsent.bytes(), 1_000_000);
        drop((several, small));
        assert_eq!(unsent.bytes(), 0);
    }
}

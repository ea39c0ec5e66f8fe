//! One budget of bytes for everything that has come in and is not yet durable.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::error::{Error, Result};

/// The budget; first come, first served, so that a large request is not starved by small ones.
pub(super) struct Budget {
    bytes_max: usize,
    free: Arc<Semaphore>,
}

/// Bytes of the budget; they are free again when it is dropped.
#[derive(Debug)]
#[must_use = "a dropped permit admits nothing"]
pub struct Permit {
    held: OwnedSemaphorePermit,
    free: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Budget {
        let bytes_max = bytes_max.min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Budget { bytes_max, free: Arc::new(Semaphore::new(bytes_max)) }
    }

    pub(super) async fn admit(&self, bytes: usize) -> Result<Permit> {
        let wanted = self.wanted(bytes)?;
        let held = self.free.clone().acquire_many_owned(wanted).await;
        let held = held.map_err(|_| super::closing())?;
        Ok(Permit { held, free: self.free.clone() })
    }

    pub(super) fn try_admit(&self, bytes: usize) -> Result<Permit> {
        let held = take(&self.free, self.wanted(bytes)?)?;
        Ok(Permit { held, free: self.free.clone() })
    }

    pub(super) fn in_flight(&self) -> usize {
        self.bytes_max - self.free.available_permits().min(self.bytes_max)
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    pub(super) fn close(&self) {
        self.free.close();
    }

    fn wanted(&self, bytes: usize) -> Result<u32> {
        u32::try_from(bytes).ok().filter(|_| bytes <= self.bytes_max).ok_or_else(|| {
            let max = self.bytes_max;
            Error::limit(format!("{bytes} bytes at once; the server admits at most {max}"))
        })
    }
}

impl Permit {
    /// Bytes it stands for.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.held.num_permits()
    }

    /// Takes more of the budget, or fails with `Busy` and keeps what it has.
    pub fn try_grow(&mut self, bytes: usize) -> Result<()> {
        let more = u32::try_from(bytes).map_err(|_| Error::limit("more bytes than any budget"))?;
        self.held.merge(take(&self.free, more)?);
        Ok(())
    }

    /// Gives back what exceeds this many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        drop(self.held.split(self.bytes().saturating_sub(bytes)));
    }
}

fn take(free: &Arc<Semaphore>, bytes: u32) -> Result<OwnedSemaphorePermit> {
    free.clone().try_acquire_many_owned(bytes).map_err(|error| match error {
        TryAcquireError::Closed => super::closing(),
        TryAcquireError::NoPermits => {
            Error::busy("too many bytes wait to become durable: come back later")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn the_budget_is_never_exceeded_and_comes_back_with_the_permit() {
        let budget = Budget::new(100);
        let mut first = budget.try_admit(60).unwrap();
        assert_eq!(budget.try_admit(41).unwrap_err().kind(), ErrorKind::Busy);
        assert_eq!(first.try_grow(41).unwrap_err().kind(), ErrorKind::Busy);
        first.try_grow(40).unwrap();
        assert_eq!((first.bytes(), budget.in_flight()), (100, 100));
        first.shrink_to(10);
        assert_eq!((first.bytes(), budget.in_flight()), (10, 10));
        drop(first);
        assert_eq!(budget.in_flight(), 0);
        assert_eq!(budget.try_admit(101).unwrap_err().kind(), ErrorKind::Limit);
    }

    #[tokio::test]
    async fn who_waits_for_the_budget_gets_it_when_it_is_free() {
        let budget = Arc::new(Budget::new(100));
        let first = budget.try_admit(80).unwrap();
        let waiter = tokio::spawn({
            let budget = budget.clone();
            async move { budget.admit(50).await.map(|p| p.bytes()) }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(first);
        assert_eq!(waiter.await.unwrap().unwrap(), 50);
    }

    #[tokio::test]
    async fn a_closed_budget_admits_nothing() {
        let budget = Budget::new(100);
        budget.close();
        assert_eq!(budget.try_admit(1).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(budget.admit(1).await.unwrap_err().kind(), ErrorKind::Closed);
    }
}

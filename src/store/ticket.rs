//! The promise of an acknowledgement: wait for it on a thread, or await it under any runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

/// What the producer is told once its batch is durable (COM-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Sequence of the batch's first event; `None` for a duplicate too old to be remembered.
    pub first_sequence: Option<u64>,
    /// The batch had been stored before.
    pub duplicate: bool,
}

#[derive(Default)]
struct State {
    /// It stays, so that whoever asks again is answered again.
    outcome: Option<Result<Ack>>,
    taken: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    completed: Condvar,
}

/// An acknowledgement to come.
#[must_use = "an append that is not waited for may fail unseen"]
pub struct Ticket {
    shared: Arc<Shared>,
}

/// The committer's end of a ticket. Dropped without an outcome it completes with `Closed`.
pub(crate) struct Completer {
    shared: Option<Arc<Shared>>,
}

/// A ticket and its other end.
pub(crate) fn ticket() -> (Ticket, Completer) {
    let shared = Arc::new(Shared::default());
    (Ticket { shared: shared.clone() }, Completer { shared: Some(shared) })
}

impl Ticket {
    /// Blocks until the batch is durable or failed.
    pub fn wait(self) -> Result<Ack> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(outcome) = &state.outcome {
                return outcome.clone();
            }
            state = self.shared.completed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The outcome if there is one already; at most once. [`Ticket::wait`] still gives it then.
    pub fn try_take(&self) -> Option<Result<Ack>> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !state.taken;
        state.taken = state.outcome.is_some();
        state.outcome.clone().filter(|_| is_first)
    }
}

impl Future for Ticket {
    type Output = Result<Ack>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Ack>> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Completer {
    /// Tells the waiter.
    pub(crate) fn complete(mut self, outcome: Result<Ack>) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Result<Ack>) {
        if let Some(shared) = self.shared.take() {
            let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.outcome = Some(outcome);
            let waker = state.waker.take();
            drop(state);
            shared.completed.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for Completer {
    fn drop(&mut self) {
        self.finish(Err(Error::closed("the store closed before the batch was durable")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_taken_at_most_once_and_waited_for_all_the_same() {
        let (waiter, completer) = ticket();
        assert!(waiter.try_take().is_none());
        let ack = Ack { first_sequence: Some(7), duplicate: false };
        completer.complete(Ok(ack));
        assert_eq!(waiter.try_take().unwrap().unwrap(), ack);
        assert!(waiter.try_take().is_none());
        assert_eq!(waiter.wait().unwrap(), ack);
    }
}

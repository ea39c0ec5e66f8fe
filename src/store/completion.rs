//! Who is told when a batch is durable: one ticket, or one of several parts of a ticket.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::store::ticket::{Ack, Completer};

/// The waiter of one batch.
pub(crate) enum Completion {
    /// The ticket is this batch's alone.
    Whole(Completer),
    /// The ticket waits for several batches.
    Part(Part),
}

impl Completion {
    pub(crate) fn complete(self, outcome: Result<Ack>) {
        match self {
            Completion::Whole(completer) => completer.complete(outcome),
            Completion::Part(part) => part.complete(outcome),
        }
    }
}

/// One batch of a request.
pub(crate) struct Part {
    request: Arc<Mutex<Request>>,
    index: usize,
}

/// The ticket completes with the last of its batches, or with the first that fails.
struct Request {
    completer: Option<Completer>,
    waiting: usize,
    ack: Ack,
}

/// The parts of a ticket, in order.
pub(crate) fn parts(completer: Completer, count: usize) -> impl Iterator<Item = Completion> {
    let ack = Ack { first_sequence: None, duplicate: true };
    let request = Request { completer: Some(completer), waiting: count, ack };
    let request = Arc::new(Mutex::new(request));
    (0..count).map(move |index| Completion::Part(Part { request: request.clone(), index }))
}

impl Part {
    fn complete(self, outcome: Result<Ack>) {
        let mut request = self.request.lock().unwrap_or_else(PoisonError::into_inner);
        request.waiting = request.waiting.saturating_sub(1);
        let finished = match outcome {
            Ok(ack) => {
                request.ack.duplicate &= ack.duplicate;
                if self.index == 0 {
                    request.ack.first_sequence = ack.first_sequence;
                }
                if request.waiting > 0 {
                    return;
                }
                Ok(request.ack)
            }
            Err(error) => Err(error),
        };
        let completer = request.completer.take();
        drop(request);
        if let Some(completer) = completer {
            completer.complete(finished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::store::ticket::ticket;

    fn ack(first: u64, duplicate: bool) -> Result<Ack> {
        Ok(Ack { first_sequence: Some(first), duplicate })
    }

    #[test]
    fn a_request_is_acknowledged_with_its_last_batch_and_the_sequence_of_its_first() {
        let (waiter, completer) = ticket();
        let mut all: Vec<_> = parts(completer, 3).collect();
        all.pop().unwrap().complete(ack(30, true));
        all.remove(0).complete(ack(10, true));
        assert!(waiter.try_take().is_none());
        all.pop().unwrap().complete(ack(20, false));
        let expected = Ack { first_sequence: Some(10), duplicate: false };
        assert_eq!(waiter.wait().unwrap(), expected);
    }

    #[test]
    fn a_request_fails_with_its_first_failure_and_never_waits_for_the_lost() {
        let (waiter, completer) = ticket();
        let mut all: Vec<_> = parts(completer, 3).collect();
        all.pop().unwrap().complete(Err(Error::busy("x")));
        assert_eq!(waiter.wait().unwrap_err().kind(), crate::ErrorKind::Busy);
        let (waiter, completer) = ticket();
        drop(parts(completer, 2).collect::<Vec<_>>());
        assert_eq!(waiter.wait().unwrap_err().kind(), crate::ErrorKind::Closed);
    }
}

//! An append that is queued: the store's ticket, and the permit that ends with it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::error::Result;
use crate::ingest::{Ack, Ingest, Permit};
use crate::store::Ticket;

/// The acknowledgement to come. Its bytes stay taken until the store has answered; dropped before,
/// it gives them back early and the batch is stored all the same.
#[must_use = "an append that is not waited for may fail unseen"]
pub struct Pending {
    ingest: Ingest,
    permit: Option<Permit>,
    ticket: Ticket,
    events: u64,
}

impl Pending {
    pub(super) fn new(ingest: Ingest, permit: Permit, ticket: Ticket, events: u64) -> Pending {
        Pending { ingest, permit: Some(permit), ticket, events }
    }
}

impl Pending {
    /// Events of its batches.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }
}

impl Future for Pending {
    type Output = Result<Ack>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Ack>> {
        let outcome = ready!(Pin::new(&mut self.ticket).poll(context));
        self.permit = None;
        match &outcome {
            Ok(ack) => self.ingest.counters().accept(ack.duplicate, self.events),
            Err(error) => self.ingest.notice(error),
        }
        Poll::Ready(outcome)
    }
}

//! One connection per producer: the newest one.
//!
//! A producer that reconnects resends what was not answered. The old connection may still hold the
//! same batches in its buffers; if both went on, a batch that the client has renumbered meanwhile
//! could be stored under both numbers. So the old connection is ended before the new one is
//! welcomed, and what it had not queued by then is dropped: the client sends it again.

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use tokio::sync::watch;

use crate::event::ProducerId;

/// The connections that speak for a producer.
#[derive(Default)]
pub(super) struct Producers {
    claims: Mutex<HashMap<ProducerId, Arc<Claim>, foldhash::fast::FixedState>>,
}

#[derive(Default)]
struct Claim {
    /// A newer connection has come.
    revoked: watch::Sender<bool>,
    /// The connection will queue nothing more.
    ended: watch::Sender<bool>,
    /// Whom it took over from, as long as that one may go on.
    before: Mutex<Option<Arc<Claim>>>,
}

/// A connection's right to speak for its producer; ends when dropped.
pub(super) struct Held {
    producers: Arc<Producers>,
    id: ProducerId,
    claim: Arc<Claim>,
}

impl Producers {
    /// Takes over from the connection that spoke for the producer before, once it has ended.
    pub(super) async fn claim(self: &Arc<Producers>, id: ProducerId) -> Held {
        let claim = Arc::new(Claim::default());
        let held = Held { producers: self.clone(), id, claim: claim.clone() };
        {
            let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
            *held.claim.before() = claims.insert(id, claim);
        }
        // Whoever gave up waiting left behind whom it waited for.
        while let Some(before) = { held.claim.before().clone() } {
            before.revoked.send_replace(true);
            // The sender is held by `before`.
            let _ = before.ended.subscribe().wait_for(|ended| *ended).await;
            let earlier = before.before().take();
            *held.claim.before() = earlier;
        }
        held
    }
}

impl Claim {
    fn before(&self) -> std::sync::MutexGuard<'_, Option<Arc<Claim>>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Completes when a newer connection speaks for the producer.
    pub(super) async fn revoked(&self) {
        // The sender is held by the claim.
        let _ = self.claim.revoked.subscribe().wait_for(|revoked| *revoked).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut claims = self.producers.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.get(&self.id).is_some_and(|claim| Arc::ptr_eq(claim, &self.claim)) {
            claims.remove(&self.id);
        }
        drop(claims);
        self.claim.ended.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_newer_connection_waits_until_the_older_one_has_ended() {
        let producers = Arc::new(Producers::default());
        let id = ProducerId([1; 16]);
        let old = producers.claim(id).await;
        let new = tokio::spawn({
            let producers = producers.clone();
            async move { producers.claim(id).await }
        });
        old.revoked().await;
        assert!(!new.is_finished());
        drop(old);
        let new = new.await.unwrap();
        assert_eq!(producers.claims.lock().unwrap().len(), 1);
        drop(new);
        assert!(producers.claims.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_lets_nobody_pass_the_one_it_waited_for() {
        let producers = Arc::new(Producers::default());
        let id = ProducerId([1; 16]);
        let claim = |producers: Arc<Producers>| async move { producers.claim(id).await };
        let first = producers.claim(id).await;
        let second = tokio::spawn(claim(producers.clone()));
        first.revoked().await;
        let third = tokio::spawn(claim(producers.clone()));
        tokio::task::yield_now().await;
        second.abort();
        assert!(second.await.is_err());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(!third.is_finished());
        drop(first);
        third.await.unwrap();
    }
}

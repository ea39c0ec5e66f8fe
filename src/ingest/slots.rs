//! Threads for work that blocks or takes long, a few at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::Result;

/// So many pieces of work at a time. The place belongs to the work and not to whoever waits for
/// it: a client that goes away frees nothing that is still in use.
#[derive(Clone, Debug)]
pub struct Slots {
    free: Arc<Semaphore>,
}

impl Slots {
    /// So many at a time, at least one.
    #[must_use]
    pub fn new(at_a_time: usize) -> Slots {
        Slots { free: Arc::new(Semaphore::new(at_a_time.max(1))) }
    }

    /// Runs the work as soon as a place is free. Dropped before that, it is never begun; dropped
    /// later, it goes on to its end. A panic of the work goes on here.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = self.free.clone().acquire_owned().await.map_err(|_| super::closing())?;
        let work = move || {
            let _place = place;
            work()
        };
        super::blocking(work).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_stops_waiting_frees_no_place_before_the_work_has_ended() {
        let slots = Slots::new(1);
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, may_end) = mpsc::channel::<()>();
        let waiter = tokio::spawn({
            let slots = slots.clone();
            async move {
                let work = move || {
                    let _ = begun.send(());
                    let _ = may_end.recv();
                    Ok(())
                };
                slots.run(work).await
            }
        });
        has_begun.await.unwrap();
        waiter.abort();
        assert!(waiter.await.is_err());
        assert_eq!(slots.free.available_permits(), 0);
        drop(go_on);
        assert_eq!(slots.run(|| Ok(7)).await.unwrap(), 7);
    }
}

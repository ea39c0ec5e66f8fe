//! A connection's stream that waits for its peer so long and no longer: a client that does not read
//! would hold its answer for ever.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Passes everything on; fails once nothing could be written for `at_most`.
pub(super) struct Patient<S> {
    stream: S,
    at_most: Duration,
    /// Streams that failed so.
    given_up: Arc<AtomicU64>,
    /// Runs while a write waits; most never do.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, at_most: Duration, given_up: Arc<AtomicU64>) -> Patient<S> {
        Patient { stream, at_most, given_up, waiting: None }
    }

    /// Any progress begins the wait anew.
    fn wait(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let at_most = self.at_most;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(at_most)));
        ready!(waiting.as_mut().poll(context));
        self.given_up.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wait(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.wait(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn who_reads_slowly_gets_everything_and_who_stops_reading_is_given_up() {
        let given_up = Arc::new(AtomicU64::new(0));
        let (near, mut far) = duplex(10);
        let mut patient = Patient::new(near, Duration::from_millis(200), given_up.clone());
        let reader = tokio::spawn(async move {
            let mut read = [0; 10];
            // Longer than the wait, altogether.
            for _ in 0..40 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                far.read_exact(&mut read).await.unwrap();
            }
            far
        });
        patient.write_all(&[7; 400]).await.unwrap();
        assert_eq!(given_up.load(Ordering::Relaxed), 0);
        let far = reader.await.unwrap();
        let error = patient.write_all(&[7; 11]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(given_up.load(Ordering::Relaxed), 1);
        drop(far);
    }
}

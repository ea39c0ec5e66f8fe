//! From a body to batches to an acknowledgement: what all ways in share.

use annal::ingest::{Ingest, Permit};
use annal::{Batch, BatchBuilder, Result};
use axum::extract::Request;

use super::App;
use super::body::{self, Encoding, Received};

/// Bodies up to this size are decoded where they were read: the hop to another thread would cost
/// more than the delay that other connections see (1.3 us a span of 480 bytes).
const INLINE_BYTES_MAX: usize = 1 << 20;

/// Reads the request's body, decodes it into batches, and waits until they are durable. What the
/// decoder has to tell comes back.
pub(super) async fn store<T: Send + 'static>(
    app: &App,
    request: Request,
    decode: impl FnOnce(&[u8], &mut BatchBuilder, &mut Vec<Batch>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (head, body) = request.into_parts();
    let before = || -> Result<_> {
        let ingest = app.ingest()?;
        let encoding = Encoding::of(&head.headers)?;
        let (permit, length) = body::admit(ingest, &head.headers)?;
        Ok((ingest, encoding, permit, length))
    };
    let (ingest, encoding, permit, length) = match before() {
        Ok(admitted) => admitted,
        Err(error) => {
            body::drain(body);
            return Err(error);
        }
    };
    let received = body::read(body, permit, length).await?;
    let pool = app.clone();
    let work = move || {
        let Received { bytes, permit } = body::decompress(encoding, received)?;
        let mut batches = Vec::new();
        let told = pool.with_builder(|builder| decode(&bytes, builder, &mut batches))?;
        Ok((told, batches, permit))
    };
    let (told, batches, permit) = match encoding {
        Encoding::Identity if length.is_some_and(|length| length <= INLINE_BYTES_MAX) => work()?,
        _ => app.shared.decoding.run(work).await?,
    };
    append(ingest, permit, batches).await?;
    Ok(told)
}

/// Durable when it returns; no batches are durable at once.
async fn append(ingest: &Ingest, mut permit: Permit, batches: Vec<Batch>) -> Result<()> {
    if batches.is_empty() {
        return Ok(());
    }
    // The body is gone; what waits now is what was made of it.
    let bytes: u64 = batches.iter().map(Batch::frame_bytes).sum();
    permit.shrink_to(usize::try_from(bytes).unwrap_or(usize::MAX));
    ingest.append(permit, batches).await.map(|_| ())
}

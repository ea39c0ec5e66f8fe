//! Bodies of requests: admitted before they are read, read at a minimum rate, and decompressed
//! within bounds.
//!
//! A body's announced length is checked against the limit and against what the budget has free, but
//! only what has arrived is held against the budget: a sender that announces much and sends nothing
//! takes nothing from the others.

use std::io::Read;
use std::time::Duration;

use annal::ingest::{Ingest, Permit};
use annal::{Error, ErrorKind, Result, limits};
use axum::body::Body;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

/// Asked for when no length is announced, and the step in which decompression takes more.
const STEP_BYTES: usize = 64 << 10;
/// Room made for an announced length when its first bytes have arrived.
const CAPACITY_BYTES_MAX: usize = 1 << 20;
/// A sender may begin slowly...
const GRACE: Duration = Duration::from_secs(10);
/// ...but must keep up this rate on the whole.
const RATE_BYTES_PER_S_MIN: u64 = 16 << 10;
/// For reading away what a refused sender still sends, so that it sees the answer.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// Log2 of the largest zstd window.
const ZSTD_WINDOW_LOG_MAX: u32 = limits::ZSTD_WINDOW_BYTES_MAX.ilog2();

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
    Deflate,
}

impl Encoding {
    /// What the headers say.
    pub(super) fn of(headers: &HeaderMap) -> Result<Encoding> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else {
            return Ok(Encoding::Identity);
        };
        let name = value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        match name.as_str() {
            "" | "identity" => Ok(Encoding::Identity),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            "deflate" => Ok(Encoding::Deflate),
            _ => {
                let what = format!("content encoding {name:?}: gzip, zstd and deflate are known");
                Err(Error::unsupported(what).in_field("content-encoding"))
            }
        }
    }
}

/// A body as it came, and its share of the budget.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    pub(super) permit: Permit,
}

/// Admits a body before anything of it is read: it would fit now. The permit stands for what has
/// arrived, which is nothing yet.
pub(super) fn admit(ingest: &Ingest, headers: &HeaderMap) -> Result<(Permit, Option<usize>)> {
    let length = match headers.get(header::CONTENT_LENGTH) {
        None => None,
        Some(value) => {
            value.to_str().ok().and_then(|v| v.parse::<usize>().ok()).or(Some(usize::MAX))
        }
    };
    if length.is_some_and(|length| length > limits::REQUEST_BYTES_MAX) {
        return Err(too_large());
    }
    let mut permit = ingest.try_admit(length.unwrap_or(STEP_BYTES))?;
    permit.shrink_to(0);
    Ok((permit, length))
}

/// Reads an admitted body; its share of the budget grows as it arrives.
pub(super) async fn read(
    mut body: Body,
    mut permit: Permit,
    length: Option<usize>,
) -> Result<Received> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    loop {
        let earned = Duration::from_secs(bytes.len() as u64 / RATE_BYTES_PER_S_MIN);
        let frame = tokio::time::timeout_at(begun + GRACE + earned, body.frame());
        let frame = match frame.await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                return Err(Error::invalid(format!("reading the body: {error}")));
            }
            Ok(None) => return Ok(Received { bytes, permit }),
            Err(_) => {
                let what = format!("the body came at less than {RATE_BYTES_PER_S_MIN} bytes/s");
                return Err(Error::new(ErrorKind::Deadline, what));
            }
        };
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limits::REQUEST_BYTES_MAX {
                return Err(too_large());
            }
            permit.try_grow((bytes.len() + data.len()).saturating_sub(permit.bytes()))?;
            if bytes.is_empty() {
                bytes.reserve(length.unwrap_or(data.len()).min(CAPACITY_BYTES_MAX));
            }
            bytes.extend_from_slice(data);
        }
    }
}

/// Decompresses a body within the limit of a request; its share of the budget grows with it.
pub(super) fn decompress(encoding: Encoding, received: Received) -> Result<Received> {
    let Received { bytes, mut permit } = received;
    let input = bytes.as_slice();
    let raw = match encoding {
        Encoding::Identity => return Ok(Received { bytes, permit }),
        Encoding::Gzip => inflate(flate2::read::MultiGzDecoder::new(input), &mut permit),
        Encoding::Deflate => inflate(flate2::read::ZlibDecoder::new(input), &mut permit),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)
                .map_err(|e| Error::invalid(format!("zstd: {e}")))?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(|e| Error::invalid(format!("zstd: {e}")))?;
            inflate(decoder, &mut permit)
        }
    }
    .map_err(|error| error.in_field("content-encoding"))?;
    Ok(Received { bytes: raw, permit })
}

fn inflate(mut decoder: impl Read, permit: &mut Permit) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut filled = 0;
    loop {
        if filled == raw.len() {
            if filled > limits::REQUEST_BYTES_MAX {
                return Err(too_large());
            }
            let size = (filled * 2).clamp(STEP_BYTES, limits::REQUEST_BYTES_MAX + 1);
            grow(permit, size.min(limits::REQUEST_BYTES_MAX))?;
            raw.resize(size, 0);
        }
        let Some(space) = raw.get_mut(filled..) else { break };
        match decoder.read(space) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                return Err(Error::invalid(format!("the body cannot be decompressed: {error}")));
            }
        }
    }
    raw.truncate(filled);
    Ok(raw)
}

/// Reads away what is left of a body whose request was refused, in the background: closing at once
/// would let the refusal get lost with the connection.
pub(super) fn drain(body: Body) {
    use axum::body::HttpBody as _;
    if body.is_end_stream() {
        return;
    }
    tokio::spawn(async move {
        let _ = tokio::time::timeout(DRAIN_MAX, read_away(body)).await;
    });
}

async fn read_away(mut body: Body) {
    let mut left = limits::REQUEST_BYTES_MAX;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, bytes::Bytes::len);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

fn grow(permit: &mut Permit, bytes: usize) -> Result<()> {
    match bytes.checked_sub(permit.bytes()) {
        None | Some(0) => Ok(()),
        Some(missing) => permit.try_grow(missing.next_multiple_of(STEP_BYTES)),
    }
}

fn too_large() -> Error {
    let what = format!("a request is larger than {} bytes", limits::REQUEST_BYTES_MAX);
    Error::limit(what).in_field("body")
}

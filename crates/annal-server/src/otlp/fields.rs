//! Ids and times as both spans and logs have them.

use annal::event::{SpanId, TraceId};
use annal::{Timestamp, column};

use super::request::Refusal;

/// 16 bytes, or absent: empty or all zero.
#[inline]
pub(super) fn trace_id(bytes: &[u8]) -> Result<Option<TraceId>, Refusal> {
    match <[u8; 16]>::try_from(bytes) {
        Ok(id) => Ok(Some(TraceId(id)).filter(|id| !id.is_zero())),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(wrong_length("trace_id", bytes.len(), 16)),
    }
}

/// 8 bytes, or absent: empty or all zero.
#[inline]
pub(super) fn span_id(field: &'static str, bytes: &[u8]) -> Result<Option<SpanId>, Refusal> {
    match <[u8; 8]>::try_from(bytes) {
        Ok(id) => Ok(Some(SpanId(id)).filter(|id| !id.is_zero())),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(wrong_length(field, bytes.len(), 8)),
    }
}

/// What a record cannot do without.
#[inline]
pub(super) fn wanted<T>(field: &'static str, id: Option<T>) -> Result<T, Refusal> {
    id.ok_or_else(|| Refusal::of(field, "missing or all zero"))
}

/// The time of an event, within what the clock allows.
#[inline]
pub(super) fn event_time(
    field: &'static str,
    ns: u64,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    let time = Timestamp(i64::try_from(ns).unwrap_or(i64::MAX));
    match column::check_time(time, now) {
        Ok(()) => Ok(time),
        Err(error) => Err(Refusal::of(field, error.message())),
    }
}

/// Any time that 63 bits hold.
#[inline]
pub(super) fn any_time(field: &'static str, ns: u64) -> Result<Timestamp, Refusal> {
    let too_large = || Refusal::of(field, format!("{ns} ns do not fit 63 bits"));
    i64::try_from(ns).map(Timestamp).map_err(|_| too_large())
}

#[cold]
fn wrong_length(field: &'static str, length: usize, wanted: usize) -> Refusal {
    Refusal::of(field, format!("{length} bytes, {wanted} are wanted"))
}

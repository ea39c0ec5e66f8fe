//! Instants as people and tools write them: integers in ns, RFC 3339, or relative to now.

use annal::{Error, Result, Timestamp};

/// Reads `1661169600000000000`, `2022-08-22T12:00:00Z`, `now`, or `-1h30m` (before now; units ns,
/// us, ms, s, m, h, d, w).
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Ok(ns) = text.parse::<i64>() {
        return Ok(Timestamp(ns));
    }
    if let Some(before) = text.strip_prefix('-') {
        let back = parse_duration(before).ok_or_else(|| unreadable(text))?;
        return now.0.checked_sub(back).map(Timestamp).ok_or_else(|| unreadable(text));
    }
    let instant: jiff::Timestamp = text.parse().map_err(|_| unreadable(text))?;
    i64::try_from(instant.as_nanosecond()).map(Timestamp).map_err(|_| unreadable(text))
}

/// Reads `90s`, `1h30m`, `1.5ms`, in nanoseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_ends);
        let unit_ends = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_ends);
        let (_, unit_ns) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *unit_ns)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

const UNITS: [(&str, i64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// A decimal number of units, exactly.
fn scaled(number: &str, unit_ns: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut total = whole.parse::<i64>().ok()?.checked_mul(unit_ns)?;
    let mut weight = unit_ns;
    for digit in fraction.bytes() {
        weight /= 10;
        total =
            total.checked_add(i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?) * weight)?;
    }
    Some(total)
}

fn unreadable(text: &str) -> Error {
    Error::invalid(format!(
        "{text:?} is no time: write nanoseconds since 1970, RFC 3339 (2022-08-22T12:00:00Z), \
         or a time before now such as -1h"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_nanoseconds_rfc_3339_and_relative_to_now() {
        let now = Timestamp(1_661_169_600_000_000_000);
        let is = |text: &str, ns: i64| assert_eq!(parse_time(text, now).unwrap().0, ns, "{text}");
        is("1661169600000000001", now.0 + 1);
        is("2022-08-22T12:00:00Z", now.0);
        is("2022-08-22T14:00:00.5+02:00", now.0 + 500_000_000);
        is("now", now.0);
        is("-1h", now.0 - 3_600_000_000_000);
        is("-1h30m", now.0 - 5_400_000_000_000);
        is("-1.5ms", now.0 - 1_500_000);
        is("-5", -5);
        for bad in ["", "yesterday", "-", "-1x", "-1.x", "1h", "2022-08-22", "-99999999w", "-1..5s"]
        {
            assert!(parse_time(bad, now).is_err(), "{bad}");
        }
    }
}

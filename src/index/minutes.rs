//! Totals per source and minute of a compacted segment: how often, how many errors, how long. Rates,
//! errors and durations over long times come from here, without reading an event.
//!
//! What is the same of all cells stands together (minutes, counts, buckets, counts of buckets), so
//! that zstd finds it. See `storage-format.md`, "Minutes section".

use std::collections::BTreeMap;

use crate::codec::{Cursor, put_varint, unzigzag, zigzag};
use crate::error::{Error, Result};
use crate::index::histogram::Histogram;
use crate::limits;

/// What happened at a source in a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Its events.
    pub events: u64,
    /// Those with status error or a severity of 17 or more.
    pub errors: u64,
    /// How long its spans took; spans without an end and other signals are not in it.
    pub durations: Histogram,
}

/// By source and number of the minute since the epoch.
pub type Minutes = BTreeMap<String, BTreeMap<i64, Minute>>;

/// Adds what another part of the events says.
pub fn merge(into: &mut Minutes, other: &Minutes) {
    for (source, minutes) in other {
        if !into.contains_key(source) {
            into.insert(source.clone(), minutes.clone());
            continue;
        }
        let Some(own) = into.get_mut(source) else { continue };
        for (number, minute) in minutes {
            let sum = own.entry(*number).or_default();
            sum.events += minute.events;
            sum.errors += minute.errors;
            sum.durations.merge(minute.durations.clone());
        }
    }
}

/// Number of cells.
#[must_use]
pub fn cells(minutes: &Minutes) -> usize {
    minutes.values().map(BTreeMap::len).sum()
}

/// The section's bytes before compression.
#[must_use]
pub fn encode_minutes(minutes: &Minutes) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, minutes.len() as u64);
    for (source, cells) in minutes {
        put_varint(&mut out, source.len() as u64);
        out.extend_from_slice(source.as_bytes());
        put_varint(&mut out, cells.len() as u64);
    }
    for cells in minutes.values() {
        let mut before = 0;
        for number in cells.keys() {
            put_varint(&mut out, zigzag(number.wrapping_sub(before)));
            before = *number;
        }
    }
    let all = || minutes.values().flat_map(BTreeMap::values);
    all().for_each(|minute| put_varint(&mut out, minute.events));
    all().for_each(|minute| put_varint(&mut out, minute.errors));
    let mut counts = Vec::new();
    all().for_each(|minute| minute.durations.encode(&mut out, &mut counts));
    out.extend_from_slice(&counts);
    out
}

/// Reads what [`encode_minutes`] wrote of a segment of so many events, cell by cell: source, number
/// of the minute, what happened.
pub fn decode_minutes<'a>(
    bytes: &'a [u8],
    events_all: u64,
    mut each: impl FnMut(&'a str, i64, Minute),
) -> Result<()> {
    let mut c = Cursor::new(bytes);
    let sources = c.length(bytes.len(), "number of sources")?;
    let mut named: Vec<(&str, usize)> = Vec::new();
    let mut total = 0;
    for _ in 0..sources {
        let length = c.length(limits::NAME_BYTES_MAX, "length of a name")?;
        let name = std::str::from_utf8(c.take(length)?);
        let name = name.map_err(|_| Error::invalid("a name is not UTF-8"))?;
        let cells = c.length(c.remaining(), "minutes of a source")?;
        if cells == 0 || named.last().is_some_and(|before| before.0 >= name) {
            return Err(c.error("sources without minutes, out of order, or twice"));
        }
        named.push((name, cells));
        total += cells;
        let max = limits::MINUTE_CELLS_MAX;
        if total > max {
            return Err(c.error(format!("more than {max} cells")));
        }
    }
    let mut numbers = Vec::with_capacity(total.min(c.remaining()));
    for (_, cells) in &named {
        let mut before = None;
        for _ in 0..*cells {
            let step = unzigzag(c.varint()?);
            let number = before.unwrap_or(0i64).wrapping_add(step);
            if before.is_some_and(|before| number <= before) {
                return Err(c.error("minutes out of order"));
            }
            numbers.push(number);
            before = Some(number);
        }
    }
    let mut varints = || (0..total).map(|_| c.varint()).collect::<Result<Vec<u64>>>();
    let (events, errors) = (varints()?, varints()?);
    let sum = events.iter().try_fold(0_u64, |sum, events| sum.checked_add(*events));
    if sum != Some(events_all) {
        return Err(c.error("minutes have other events than the segment"));
    }
    // A histogram has no more buckets than its minute has events: that bounds all of them.
    let heads = events
        .iter()
        .map(|events| Histogram::decode_buckets(&mut c, usize::try_from(*events).unwrap_or(0)))
        .collect::<Result<Vec<_>>>()?;
    let names = named.iter().flat_map(|(name, cells)| std::iter::repeat_n(*name, *cells));
    let cells = names.zip(numbers).zip(events).zip(errors).zip(heads);
    for ((((source, number), events), errors), head) in cells {
        let durations = Histogram::decode_counts(head, &mut c)?;
        if events == 0 || errors > events || durations.count() > events {
            return Err(c.error("the totals of a minute contradict themselves"));
        }
        each(source, number, Minute { events, errors, durations });
    }
    c.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Minutes {
        let mut minutes = Minutes::new();
        for i in 0..1_000_i64 {
            let source = ["cart", "checkout", "pay"][(i % 3) as usize];
            let number = [-5, 0, 27_686_160, 27_686_161][(i % 4) as usize];
            let mut durations = Histogram::default();
            if i % 5 != 0 {
                durations.record(i * i * 7_919 - 50);
            }
            let one = Minute { events: 1, errors: u64::from(i % 10 == 0), durations };
            let cells = BTreeMap::from([(number, one)]);
            merge(&mut minutes, &Minutes::from([(source.to_owned(), cells)]));
        }
        minutes
    }

    #[test]
    fn minutes_lead_back_and_no_cut_or_contradiction_is_taken() {
        let minutes = sample();
        let bytes = encode_minutes(&minutes);
        let mut read = Minutes::new();
        decode_minutes(&bytes, 1_000, |source, number, minute| {
            read.entry(source.to_owned()).or_default().insert(number, minute);
        })
        .unwrap();
        assert_eq!(read, minutes);
        assert_eq!(cells(&read), 12);
        for length in 0..bytes.len() {
            assert!(
                decode_minutes(&bytes[..length], 1_000, |_, _, _| {}).is_err(),
                "{length} bytes"
            );
        }
        let mut wrong = minutes.clone();
        wrong.get_mut("pay").unwrap().get_mut(&0).unwrap().errors = 1_000;
        assert!(decode_minutes(&encode_minutes(&wrong), 1_000, |_, _, _| {}).is_err());
        assert!(decode_minutes(&bytes, 999, |_, _, _| {}).is_err());
        wrong.get_mut("pay").unwrap().get_mut(&0).unwrap().events = 0;
        assert!(decode_minutes(&encode_minutes(&wrong), 1_000, |_, _, _| {}).is_err());
    }
}

//! Totals per series of a compacted segment: lists of sources and types come from here, without
//! reading an event. See `storage-format.md`, "Series section".

use std::collections::BTreeMap;

use crate::codec::{Cursor, put_varint, unzigzag, zigzag};
use crate::column::{Series, SeriesTotals};
use crate::error::{Error, Result};
use crate::limits;
use crate::time::Timestamp;

/// Totals of several blocks, added up.
#[derive(Default)]
pub(crate) struct Totals {
    by_series: BTreeMap<Series, SeriesTotals>,
}

impl Totals {
    /// Adds those of a block.
    pub(crate) fn add(&mut self, block: &[SeriesTotals]) {
        for totals in block {
            self.by_series
                .entry(totals.series.clone())
                .and_modify(|sum| {
                    sum.events += totals.events;
                    sum.errors += totals.errors;
                    sum.first = sum.first.min(totals.first);
                    sum.last = sum.last.max(totals.last);
                    sum.kinds |= totals.kinds;
                })
                .or_insert_with(|| totals.clone());
        }
    }

    /// Number of series.
    pub(crate) fn len(&self) -> usize {
        self.by_series.len()
    }

    /// Events of all series.
    pub(crate) fn events(&self) -> u64 {
        self.by_series.values().map(|totals| totals.events).sum()
    }

    /// In the order of the series.
    pub(crate) fn into_vec(self) -> Vec<SeriesTotals> {
        self.by_series.into_values().collect()
    }
}

/// The section's bytes: of each series its names, events, errors, kinds, first and last time.
#[must_use]
pub fn encode_series(totals: &[SeriesTotals]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, totals.len() as u64);
    for t in totals {
        for text in [&t.series.source, &t.series.event_type] {
            put_varint(&mut out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        put_varint(&mut out, t.events);
        put_varint(&mut out, t.errors);
        out.push(t.kinds);
        put_varint(&mut out, zigzag(t.first.0));
        put_varint(&mut out, t.last.0.wrapping_sub(t.first.0) as u64);
    }
    out
}

/// Reads what [`encode_series`] wrote.
pub fn decode_series(bytes: &[u8]) -> Result<Vec<SeriesTotals>> {
    let mut c = Cursor::new(bytes);
    let count = c.length(bytes.len(), "number of series")?;
    let mut totals: Vec<SeriesTotals> = Vec::new();
    for _ in 0..count {
        let series = Series { source: text(&mut c)?, event_type: text(&mut c)? };
        let (events, errors, kinds) = (c.varint()?, c.varint()?, c.u8()?);
        let first = unzigzag(c.varint()?);
        let last = first.wrapping_add(c.varint()? as i64);
        if last < first || errors > events || events == 0 {
            return Err(c.error("the totals of a series contradict themselves"));
        }
        if totals.last().is_some_and(|before| before.series >= series) {
            return Err(c.error("series out of order or twice"));
        }
        let (first, last) = (Timestamp(first), Timestamp(last));
        totals.push(SeriesTotals { series, events, errors, first, last, kinds });
    }
    c.finish()?;
    Ok(totals)
}

fn text(c: &mut Cursor<'_>) -> Result<String> {
    let length = c.length(limits::NAME_BYTES_MAX, "length of a name")?;
    let bytes = c.take(length)?;
    let text = std::str::from_utf8(bytes).map_err(|_| Error::invalid("a name is not UTF-8"));
    text.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_lead_back_and_contradictions_are_refused() {
        let one = |source: &str, events, errors| SeriesTotals {
            series: Series { source: source.into(), event_type: "t".into() },
            events,
            errors,
            first: Timestamp(-5),
            last: Timestamp(7),
            kinds: 5,
        };
        let totals = vec![one("a", 3, 1), one("b", 1, 0)];
        let bytes = encode_series(&totals);
        assert_eq!(decode_series(&bytes).unwrap(), totals);
        for length in 0..bytes.len() {
            assert!(decode_series(&bytes[..length]).is_err(), "{length} bytes");
        }
        for wrong in
            [vec![one("b", 1, 0), one("a", 1, 0)], vec![one("a", 0, 0)], vec![one("a", 1, 2)]]
        {
            assert!(decode_series(&encode_series(&wrong)).is_err(), "{wrong:?}");
        }
    }
}

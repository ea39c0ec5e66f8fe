//! What a URL asks: pairs of names and values, each used once, none unknown.

use annal::event::Signal;
use annal::query::{Cursor, Order};
use annal::{Error, Query, Result, Timestamp, TraceId};

use crate::json::time::parse_time;

/// The query part of a URL. Each reader takes out what it knows; what is left is unknown.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads `a=1&b=2`, with `%` and `+` decoded.
    pub(super) fn parse(query: Option<&str>) -> Result<Params> {
        let pairs = pairs(query)?;
        for (at, (name, _)) in pairs.iter().enumerate() {
            if pairs.iter().take(at).any(|(known, _)| known == name) {
                return Err(Error::invalid("given twice").in_field(name.clone()));
            }
        }
        Ok(Params { pairs })
    }

    /// Takes a value out; an empty one counts as not given.
    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.pairs.swap_remove(at);
        Some(value).filter(|value| !value.is_empty())
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<()> {
        match self.pairs.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::invalid(format!("unknown parameter {name:?}")).in_field(name))
            }
        }
    }

    /// Takes out the selection: which events are meant.
    pub(super) fn selection(&mut self, now: Timestamp) -> Result<Query> {
        let mut query = Query::default();
        for (name, end) in [("since", &mut query.range.since), ("until", &mut query.range.until)] {
            if let Some(text) = self.take(name) {
                *end = parse_time(&with_plus(text), now).map_err(|e| e.in_field(name))?;
            }
        }
        query.source = self.take("source");
        query.event_type = self.take("type");
        if let Some(name) = self.take("signal") {
            let signal = Signal::from_name(&name);
            let unknown =
                || Error::invalid(format!("{name:?}: span, log or event")).in_field("signal");
            query.signal = Some(signal.ok_or_else(unknown)?);
        }
        if let Some(hex) = self.take("trace") {
            query.trace = Some(trace_id(&hex)?);
        }
        match self.take("where") {
            Some(text) => query.filter(&text).map_err(|e| e.in_field("where")),
            None => Ok(query),
        }
    }

    /// Takes out how much of the selection is wanted, and in which order.
    pub(super) fn page(&mut self, mut query: Query) -> Result<Query> {
        if let Some(text) = self.take("limit") {
            let bad = || Error::invalid(format!("{text:?} is no count")).in_field("limit");
            query.limit = text.parse().map_err(|_| bad())?;
        }
        query.order = match self.take("order").as_deref() {
            None | Some("newest") => Order::Newest,
            Some("oldest") => Order::Oldest,
            Some(other) => {
                let what = format!("{other:?}: newest or oldest");
                return Err(Error::invalid(what).in_field("order"));
            }
        };
        if let Some(text) = self.take("cursor") {
            let cursor: Cursor = text.parse().map_err(|e: Error| e.in_field("cursor"))?;
            query.cursor = Some(cursor);
        }
        Ok(query)
    }
}

/// All pairs of a URL's query part in their order, `%` and `+` decoded; a name may come again.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// A trace id in a URL: hex, 32 digits, or 16 for ids of 64 bits.
pub(super) fn trace_id(hex: &str) -> Result<TraceId> {
    let bad = || Error::invalid(format!("{hex:?} is no trace id in hex")).in_field("trace");
    crate::trace_id::parse(hex).ok_or_else(bad)
}

/// An offset's `+` that was not encoded came out as a space: `2022-08-22T14:00:00 02:00`.
fn with_plus(mut time: String) -> String {
    if let Some(at) = time.len().checked_sub("+02:00".len())
        && time.get(at..).is_some_and(|offset| offset.starts_with(' ') && offset.contains(':'))
    {
        time.replace_range(at..=at, "+");
    }
    time
}

fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let digits = tail.get(..2).and_then(|d| std::str::from_utf8(d).ok());
                let byte = digits.and_then(|d| u8::from_str_radix(d, 16).ok());
                rest = tail.get(2..).unwrap_or_default();
                byte.ok_or_else(|| Error::invalid("% without two hex digits in the URL"))?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid("the URL is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_661_169_600_000_000_000);

    fn query(text: &str) -> Result<Query> {
        let mut params = Params::parse(Some(text))?;
        let query = params.selection(NOW)?;
        let query = params.page(query)?;
        params.finish()?;
        Ok(query)
    }

    #[test]
    fn a_url_says_which_events_how_many_and_in_which_order() {
        let query = query(
            "since=-1h&until=2022-08-22T12:00:00Z&source=a+b%26c&type=Add%2FItem&signal=span\
             &trace=0102030405060708090a0b0c0d0e0f10&limit=7&order=oldest&cursor=5.6.7",
        )
        .unwrap();
        assert_eq!(query.range.since.0, NOW.0 - 3_600_000_000_000);
        assert_eq!(query.range.until, NOW);
        assert_eq!(query.source.as_deref(), Some("a b&c"));
        assert_eq!(query.event_type.as_deref(), Some("Add/Item"));
        assert_eq!((query.limit, query.order), (7, Order::Oldest));
        assert_eq!(query.cursor.map(|c| c.sequence), Some(6));
        assert!(query.trace.is_some() && query.signal == Some(Signal::Span));
    }

    #[test]
    fn an_offset_from_utc_may_stand_in_a_url_as_it_is_written() {
        for time in ["2022-08-22T14:00:00+02:00", "2022-08-22T14:00:00%2B02:00"] {
            assert_eq!(query(&format!("since={time}")).unwrap().range.since, NOW, "{time}");
        }
        assert_eq!(query("since=2022-08-22+12:00:00Z").unwrap().range.since, NOW);
    }

    #[test]
    fn what_is_wrong_in_a_url_is_named() {
        for (text, field) in [
            ("limit=many", "limit"),
            ("order=random", "order"),
            ("signal=metric", "signal"),
            ("trace=xyz", "trace"),
            ("since=yesterday", "since"),
            ("cursor=x", "cursor"),
            ("colour=red", "colour"),
            ("limit=1&limit=2", "limit"),
        ] {
            assert_eq!(query(text).unwrap_err().field(), Some(field), "{text}");
        }
        assert!(query("source=%zz").is_err());
        assert!(query("source=%ff").is_err());
    }
}

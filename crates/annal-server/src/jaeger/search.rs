//! What `/api/traces` is asked: traces by their ids, or those with a span that satisfies everything.
//!
//! Parameters that are empty count as not given (the UI sends them so), unknown ones are passed over
//! (`lookback=1h` beside a start is for the UI alone), names may repeat where Jaeger's do.

use annal::event::Signal;
use annal::query::{Intrinsic, Literal};
use annal::{Error, Query, Result, TimeRange, Timestamp, TraceId};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value as Json;

use super::tags::tag;
use crate::json::time::parse_duration;

/// Traces in an answer unless the caller says otherwise.
const TRACES_DEFAULT: usize = 100;
/// How far back is looked unless the caller says otherwise: what Grafana relies on.
const LOOKBACK_DEFAULT_NS: i64 = 48 * 3_600 * 1_000_000_000;

/// A question for traces.
#[derive(Clone, Debug)]
pub enum Asked {
    /// These traces.
    Ids(Vec<TraceId>),
    /// The newest traces with a span that the query matches, at most so many.
    Search(Box<Query>, usize),
}

impl Asked {
    /// Reads the parameters; `now` is when the default range ends.
    pub fn read(pairs: &[(String, String)], now: Timestamp) -> Result<Asked> {
        let given = Given(pairs);
        let ids: Vec<TraceId> = given.all("traceID").map(trace_id).collect::<Result<_>>()?;
        if !ids.is_empty() {
            return Ok(Asked::Ids(ids));
        }
        let service = given
            .one("service")
            .ok_or_else(|| Error::invalid("parameter 'service' is required").in_field("service"))?;
        let mut query = Query::new(range(given, now)?).signal(Signal::Span).source(service);
        query.event_type = given.one("operation").map(str::to_owned);
        query = durations(given, query)?;
        for text in given.all("tag") {
            let (key, value) = text.split_once(':').ok_or_else(|| {
                let what = "malformed 'tag' parameter, expecting key:value, received: ";
                Error::invalid(format!("{what}{text}")).in_field("tag")
            })?;
            query = query.and(tag(key, value));
        }
        for text in given.all("tags") {
            for (key, value) in tags_of(text)? {
                query = query.and(tag(&key, &value));
            }
        }
        let limit = match given.one("limit") {
            None => TRACES_DEFAULT,
            Some(text) => text.parse().map_err(|_| unreadable("limit", text, "no count"))?,
        };
        Ok(Asked::Search(Box::new(query), limit))
    }
}

/// A trace id: 1 to 32 hex digits in either case, or 16 or 8 bytes in base64.
pub fn trace_id(text: &str) -> Result<TraceId> {
    let bad = || Error::invalid(format!("{text:?} is no trace id")).in_field("traceID");
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    let id = if is_hex && (1..=32).contains(&text.len()) {
        u128::from_str_radix(text, 16).map_err(|_| bad())?
    } else {
        let plain = text.trim_end_matches('=');
        let bytes = URL_SAFE_NO_PAD.decode(plain).or_else(|_| STANDARD_NO_PAD.decode(plain));
        match bytes.map_err(|_| bad())?.as_slice() {
            long if long.len() == 16 => u128::from_be_bytes(long.try_into().unwrap_or_default()),
            short if short.len() == 8 => {
                u64::from_be_bytes(short.try_into().unwrap_or_default()).into()
            }
            _ => return Err(bad()),
        }
    };
    if id == 0 { Err(bad()) } else { Ok(TraceId(id.to_be_bytes())) }
}

/// The parameters as they came.
#[derive(Clone, Copy)]
struct Given<'p>(&'p [(String, String)]);

impl<'p> Given<'p> {
    /// All values of a name but empty ones.
    fn all(self, name: &str) -> impl Iterator<Item = &'p str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The first value, as Jaeger takes it.
    fn one(self, name: &str) -> Option<&'p str> {
        self.all(name).next()
    }
}

/// Both ends are inside, as long as the microsecond in which they are shown.
fn range(given: Given<'_>, now: Timestamp) -> Result<TimeRange> {
    let micros = |name: &str| match given.one(name) {
        None => Ok(None),
        Some(text) => match text.parse::<i64>() {
            Ok(micros) => Ok(Some(micros.saturating_mul(1_000))),
            Err(error) => Err(unreadable(name, text, &error.to_string())),
        },
    };
    let until = micros("end")?.unwrap_or(now.0);
    let back = given.one("lookback").and_then(parse_duration).unwrap_or(LOOKBACK_DEFAULT_NS);
    let since = micros("start")?.unwrap_or(until.saturating_sub(back));
    Ok(TimeRange { since: Timestamp(since), until: Timestamp(until.saturating_add(1_000)) })
}

/// Both bounds are inside; 0 is no bound.
fn durations(given: Given<'_>, mut query: Query) -> Result<Query> {
    let bound = |name: &str| match given.one(name) {
        None | Some("0") => Ok(None),
        Some(text) => {
            // Go writes the sign for micro in two ways.
            let bound = parse_duration(&text.replace('\u{3bc}', "u"));
            let bound = bound.ok_or_else(|| unreadable(name, text, "no duration such as 4500us"));
            Ok(Some(bound?).filter(|ns| *ns > 0))
        }
    };
    let (least, most) = (bound("minDuration")?, bound("maxDuration")?);
    if let (Some(least), Some(most)) = (least, most)
        && most < least
    {
        let what = "'maxDuration' should be greater than 'minDuration'";
        return Err(Error::invalid(what).in_field("maxDuration"));
    }
    if let Some(least) = least {
        query = query.intrinsic(Intrinsic::Duration).ge(Literal::Duration(least));
    }
    if let Some(most) = most {
        query = query.intrinsic(Intrinsic::Duration).le(Literal::Duration(most));
    }
    Ok(query)
}

/// A JSON object; numbers and booleans are taken for their text, which Jaeger refuses.
fn tags_of(text: &str) -> Result<Vec<(String, String)>> {
    let malformed = |why: &dyn std::fmt::Display| {
        let what = format!("malformed 'tags' parameter, cannot unmarshal JSON: {why}");
        Error::invalid(what).in_field("tags")
    };
    let object: serde_json::Map<String, Json> =
        serde_json::from_str(text).map_err(|error| malformed(&error))?;
    let value = |(key, value): (String, Json)| match value {
        Json::String(text) => Ok((key, text)),
        Json::Bool(value) => Ok((key, value.to_string())),
        Json::Number(number) => Ok((key, number.to_string())),
        other => Err(malformed(&format!("{other} is no text"))),
    };
    object.into_iter().map(value).collect()
}

fn unreadable(name: &str, text: &str, why: &str) -> Error {
    let what = format!("unable to parse param '{name}': {text:?}: {why}");
    Error::invalid(what).in_field(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_661_169_600_000_000_000);

    fn read(pairs: &[(&str, &str)]) -> Result<Asked> {
        let owned = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Asked::read(&owned.collect::<Vec<_>>(), NOW)
    }

    fn search(pairs: &[(&str, &str)]) -> (Query, usize) {
        let mut all = vec![("service", "cart")];
        all.extend(pairs);
        match read(&all).unwrap() {
            Asked::Search(query, limit) => (*query, limit),
            Asked::Ids(ids) => panic!("{ids:?}"),
        }
    }

    #[test]
    fn a_search_is_about_spans_of_one_service_in_a_range_with_both_ends_inside() {
        let (query, limit) = search(&[
            ("operation", "GET /a"),
            ("start", "1000"),
            ("end", "2000"),
            ("minDuration", "4500us"),
            ("maxDuration", "1.5s"),
            ("limit", "7"),
            ("lookback", "1h"),
            ("raw", "true"),
        ]);
        assert_eq!((query.source.as_deref(), query.signal), (Some("cart"), Some(Signal::Span)));
        assert_eq!((query.event_type.as_deref(), limit), (Some("GET /a"), 7));
        assert_eq!((query.range.since.0, query.range.until.0), (1_000_000, 2_001_000));
        let filter = query.filter.unwrap().to_string();
        assert_eq!(filter, "duration >= 4500000ns && duration <= 1500000000ns");
    }

    #[test]
    fn what_is_empty_counts_as_not_given_and_the_range_has_a_default() {
        let (query, limit) = search(&[
            ("operation", ""),
            ("minDuration", ""),
            ("maxDuration", "0"),
            ("tags", ""),
            ("start", ""),
        ]);
        assert_eq!((query.event_type, query.filter, limit), (None, None, 100));
        assert_eq!(query.range.since.0, NOW.0 - LOOKBACK_DEFAULT_NS);
        assert!(query.range.contains(NOW));
        let (query, _) = search(&[("end", "7200000000"), ("lookback", "1h")]);
        assert_eq!(query.range.since.0, 3_600_000_000_000);
        assert_eq!(search(&[("lookback", "custom")]).0.range.since.0, NOW.0 - LOOKBACK_DEFAULT_NS);
    }

    #[test]
    fn what_is_wrong_is_named_as_jaeger_names_it() {
        for (pairs, words) in [
            (&[("operation", "a")][..], "parameter 'service' is required"),
            (&[("service", "a"), ("start", "x")], "unable to parse param 'start'"),
            (&[("service", "a"), ("limit", "x")], "unable to parse param 'limit'"),
            (&[("service", "a"), ("minDuration", "5")], "unable to parse param 'minDuration'"),
            (
                &[("service", "a"), ("minDuration", "2s"), ("maxDuration", "1s")],
                "'maxDuration' should be greater than 'minDuration'",
            ),
            (&[("service", "a"), ("tag", "x")], "malformed 'tag' parameter, expecting key:value"),
            (&[("service", "a"), ("tags", "[1]")], "malformed 'tags' parameter"),
            (&[("service", "a"), ("tags", "{\"a\":{}}")], "malformed 'tags' parameter"),
            (&[("traceID", "xyz")], "no trace id"),
        ] {
            let error = read(pairs).unwrap_err();
            assert!(error.message().contains(words), "{pairs:?}: {error}");
            assert_eq!(error.kind(), annal::ErrorKind::Invalid);
        }
    }

    #[test]
    fn ids_are_hex_of_any_length_or_base64() {
        let long = TraceId::from_hex("0102030405060708090a0b0c0d0e0f10").unwrap();
        for text in ["0102030405060708090A0b0c0d0e0f10", "102030405060708090a0b0c0d0e0f10"] {
            assert_eq!(trace_id(text).unwrap(), long, "{text}");
        }
        assert_eq!(trace_id("AQIDBAUGBwgJCgsMDQ4PEA==").unwrap(), long);
        assert_eq!(trace_id("AQIDBAUGBwgJCgsMDQ4PEA").unwrap(), long);
        assert_eq!(trace_id("7b").unwrap().0[15], 0x7b);
        for bad in ["", "0", "00000000000000000000000000000000", "xyz", &"1".repeat(33)] {
            assert!(trace_id(bad).is_err(), "{bad}");
        }
    }
}

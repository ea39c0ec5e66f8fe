//! What is asked: a range of times, a few conditions that indexes know, an expression for the rest,
//! and how much answer is wanted at most.
//!
//! A query is put together by its methods, or its fields are set; its expression comes from
//! [`Query::filter`] as text or from [`Query::attr`] and its like.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::column::Kernels;
use crate::error::{Error, Result};
use crate::event::{Signal, SpanId, Status, TraceId};
use crate::limits;
use crate::query::ast::{AttributeScope, Expr, Intrinsic, Literal, Operator, Reference};
use crate::time::{TimeRange, Timestamp};

/// In which order events come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Descending (time, sequence).
    #[default]
    Newest,
    /// Ascending (time, sequence).
    Oldest,
}

/// Where a page ended: the next page goes on behind it, among the events that were visible then.
/// `Display` and `FromStr` are its form in URLs: `time.sequence.upper_sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Time of the last event given.
    pub time: Timestamp,
    /// Its sequence.
    pub sequence: u64,
    /// First sequence that the first page did not see.
    pub upper_sequence: u64,
}

/// A question.
#[derive(Clone, Debug)]
pub struct Query {
    /// Events of these times.
    pub range: TimeRange,
    /// Of this source.
    pub source: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this signal.
    pub signal: Option<Signal>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// Of these sequences.
    pub sequences: Option<Range<u64>>,
    /// For which this holds.
    pub filter: Option<Expr>,
    /// Most events to give.
    pub limit: usize,
    /// In this order.
    pub order: Order,
    /// Behind this event.
    pub cursor: Option<Cursor>,
    /// Stop with `Deadline` after this many milliseconds.
    pub deadline_ms: u64,
    /// Stop (and say so) when the events given exceed this many bytes.
    pub bytes_max: usize,
    /// Stop with `Limit` when more events than this have been read.
    pub events_read_max: u64,
    /// Stop with `Cancelled` when this turns true.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Leave damaged frames out and say so, instead of failing with `Corrupt`.
    pub partial: bool,
    /// Every event is read: no index, summary or order of frames leaves anything out. For holding
    /// the answers of indexes against; `false` unless set.
    pub full_scan: bool,
    /// What compares values; the fastest unless set.
    pub kernels: Kernels,
}

impl Default for Query {
    fn default() -> Query {
        Query::new(TimeRange::ALL)
    }
}

impl Query {
    /// Everything in a range of times: the newest 100.
    pub fn new(range: impl Into<TimeRange>) -> Query {
        Query {
            range: range.into(),
            source: None,
            event_type: None,
            signal: None,
            trace: None,
            sequences: None,
            filter: None,
            limit: limits::ANSWER_EVENTS_DEFAULT,
            order: Order::default(),
            cursor: None,
            deadline_ms: limits::QUERY_DEADLINE_S_DEFAULT * 1_000,
            bytes_max: limits::ANSWER_BYTES_DEFAULT,
            events_read_max: u64::MAX,
            cancel: None,
            partial: false,
            full_scan: false,
            kernels: Kernels::default(),
        }
    }

    /// Only of this source.
    #[must_use]
    pub fn source(mut self, source: impl Into<String>) -> Query {
        self.source = Some(source.into());
        self
    }

    /// Only of this type.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<String>) -> Query {
        self.event_type = Some(event_type.into());
        self
    }

    /// Only of this signal.
    #[must_use]
    pub fn signal(mut self, signal: Signal) -> Query {
        self.signal = Some(signal);
        self
    }

    /// Only of this trace.
    #[must_use]
    pub fn trace(mut self, trace: TraceId) -> Query {
        self.trace = Some(trace);
        self
    }

    /// Only with these sequences.
    #[must_use]
    pub fn sequences(mut self, sequences: Range<u64>) -> Query {
        self.sequences = Some(sequences);
        self
    }

    /// Only with this span id.
    #[must_use]
    pub fn span(self, span: SpanId) -> Query {
        self.intrinsic(Intrinsic::SpanId).eq(span.to_string())
    }

    /// Only with this status.
    #[must_use]
    pub fn status(self, status: Status) -> Query {
        self.intrinsic(Intrinsic::Status).eq(status)
    }

    /// Only at least this severe: 1 to 24, errors begin at 17.
    #[must_use]
    pub fn severity_at_least(self, number: u8) -> Query {
        self.intrinsic(Intrinsic::SeverityNumber).ge(i64::from(number))
    }

    /// Only of a duration in this range of nanoseconds.
    #[must_use]
    pub fn duration_ns(self, range: Range<i64>) -> Query {
        let (start, end) = (range.start, range.end);
        let query = self.intrinsic(Intrinsic::Duration).ge(Literal::Duration(start));
        query.intrinsic(Intrinsic::Duration).lt(Literal::Duration(end))
    }

    /// Only with a message that contains this text.
    #[must_use]
    pub fn message_contains(self, text: &str) -> Query {
        self.intrinsic(Intrinsic::Message).contains(text)
    }

    /// Asks something of an attribute, wherever it stands.
    pub fn attr(self, key: impl Into<String>) -> Condition {
        self.reference(Reference::attribute(key))
    }

    /// Asks something of an attribute in one place.
    pub fn attr_in(self, scope: AttributeScope, key: impl Into<String>) -> Condition {
        self.reference(Reference::Attribute { scope: Some(scope), key: key.into() })
    }

    /// Asks something of a field of the event.
    pub fn intrinsic(self, intrinsic: Intrinsic) -> Condition {
        self.reference(Reference::Intrinsic(intrinsic))
    }

    /// Asks something of anything an event has.
    pub fn reference(self, reference: Reference) -> Condition {
        Condition { query: self, reference }
    }

    /// Only if the text's condition holds too; `docs/query.md` has the grammar. Errors are
    /// `Invalid` or `Limit`, with the byte offset in the text.
    pub fn filter(self, text: &str) -> Result<Query> {
        let expr = text.parse()?;
        Ok(self.and(expr))
    }

    /// Only if this holds too.
    #[must_use]
    pub fn and(mut self, expr: Expr) -> Query {
        self.filter = Some(match self.filter.take() {
            None => expr,
            Some(Expr::All(mut parts)) => {
                parts.push(expr);
                Expr::All(parts)
            }
            Some(other) => Expr::All(vec![other, expr]),
        });
        self
    }

    /// At most this many events.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Query {
        self.limit = limit;
        self
    }

    /// In this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Query {
        self.order = order;
        self
    }

    /// Going on behind an earlier page of the same query.
    #[must_use]
    pub fn after(mut self, cursor: Cursor) -> Query {
        self.cursor = Some(cursor);
        self
    }

    /// Leaving damaged frames out.
    #[must_use]
    pub fn partial(mut self, partial: bool) -> Query {
        self.partial = partial;
        self
    }

    /// Reads every event, whatever indexes say.
    #[must_use]
    pub fn full_scan(mut self, full_scan: bool) -> Query {
        self.full_scan = full_scan;
        self
    }

    /// Compares values with these kernels.
    #[must_use]
    pub fn kernels(mut self, kernels: Kernels) -> Query {
        self.kernels = kernels;
        self
    }
}

/// A query whose next condition has begun: the methods say what is asked and give the query back.
/// As in the text form, what is absent passes none of them but [`Condition::is_absent`].
#[must_use = "a condition that asks nothing gives no query back"]
#[derive(Clone, Debug)]
pub struct Condition {
    query: Query,
    reference: Reference,
}

macro_rules! conditions {
    ($($(#[$doc:meta])* $name:ident $operator:ident;)*) => {
        $($(#[$doc])* pub fn $name(self, value: impl Into<Literal>) -> Query {
            self.compare(Operator::$operator, value)
        })*
    };
}

#[allow(clippy::should_implement_trait, reason = "the words of comparisons, as builders have them")]
impl Condition {
    conditions! {
        /// Equals the value.
        eq Equal;
        /// Is there and differs from the value.
        ne NotEqual;
        /// Is less than the value.
        lt Less;
        /// Is at most the value.
        le LessOrEqual;
        /// Is greater than the value.
        gt Greater;
        /// Is at least the value.
        ge GreaterOrEqual;
    }

    /// Matches the regular expression as a whole. A bad one fails when the query runs.
    pub fn matches(self, pattern: &str) -> Query {
        self.compare(Operator::Matches, pattern)
    }

    /// Is text that does not match the regular expression.
    pub fn matches_not(self, pattern: &str) -> Query {
        self.compare(Operator::NotMatches, pattern)
    }

    /// Is text that contains this.
    pub fn contains(self, text: &str) -> Query {
        let pattern = format!(".*{}.*", regex::escape(text));
        self.compare(Operator::Matches, pattern)
    }

    /// Is there.
    pub fn exists(self) -> Query {
        self.compare(Operator::NotEqual, Literal::Nil)
    }

    /// Is not there.
    pub fn is_absent(self) -> Query {
        self.compare(Operator::Equal, Literal::Nil)
    }

    /// Any comparison.
    pub fn compare(self, operator: Operator, value: impl Into<Literal>) -> Query {
        self.query.and(Expr::compare(self.reference, operator, value))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.time, self.sequence, self.upper_sequence)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Cursor> {
        let mut parts = text.split('.');
        let mut next = || parts.next();
        let cursor = (|| {
            let time = Timestamp(next()?.parse().ok()?);
            let (sequence, upper_sequence) = (next()?.parse().ok()?, next()?.parse().ok()?);
            next().is_none().then_some(Cursor { time, sequence, upper_sequence })
        })();
        cursor.ok_or_else(|| {
            let what = "not a cursor: give the `next` of an earlier answer as it was";
            Error::invalid(what).in_field("cursor")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_itself_and_nothing_else_is_one() {
        let cursor = Cursor { time: Timestamp(-5), sequence: 7, upper_sequence: u64::MAX };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "1", "1.2", "1.2.3.4", "a.2.3", "1.-2.3", " 1.2.3"] {
            assert_eq!(bad.parse::<Cursor>().unwrap_err().field(), Some("cursor"), "{bad}");
        }
    }

    #[test]
    fn conditions_add_up_to_one_expression() {
        let query = Query::new(Timestamp(0)..Timestamp(9))
            .source("cart")
            .attr("user.id")
            .eq("u-7")
            .duration_ns(5..10)
            .message_contains("a.b")
            .attr("x y")
            .exists()
            .limit(20);
        let text = query.filter.unwrap().to_string();
        let wanted = ".user.id = \"u-7\" && duration >= 5ns && duration < 10ns \
                      && message =~ \".*a\\\\.b.*\" && .\"x y\" != nil";
        assert_eq!(text, wanted);
    }
}

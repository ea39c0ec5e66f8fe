//! A question, its events and its end.

use bytes::Bytes;

use crate::codec::Cursor;
use crate::error::{Error, Result};
use crate::event::{Signal, TraceId};
use crate::format::frame::FRAME_HEADER_BYTES;
use crate::limits;
use crate::net::message::{known_flags, text};
use crate::query::{self, Expr, Order, Query, Scanned};
use crate::time::{TimeRange, Timestamp};

/// An answer pins a snapshot: no deadline goes beyond the age that a server allows one.
const DEADLINE_MS_MAX: u64 = limits::SNAPSHOT_AGE_MIN_MAX * 60_000;

const HAS_TRACE: u16 = 1;
const HAS_CURSOR: u16 = 2;
const HAS_SIGNAL: u16 = 4;
const OLDEST_FIRST: u16 = 8;
const HAS_SEQUENCES: u16 = 16;
const FLAGS: u16 = HAS_TRACE | HAS_CURSOR | HAS_SIGNAL | OLDEST_FIRST | HAS_SEQUENCES;

const TRUNCATED: u16 = 1;
const HAS_NEXT: u16 = 2;

/// A question as it is asked: the expression is text still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryText {
    /// Events of these times.
    pub range: TimeRange,
    /// Most events to give.
    pub limit: u32,
    /// In this order.
    pub order: Order,
    /// Of this signal.
    pub signal: Option<Signal>,
    /// Of this trace.
    pub trace: Option<TraceId>,
    /// Behind this event.
    pub cursor: Option<query::Cursor>,
    /// Of these sequences.
    pub sequences: Option<std::ops::Range<u64>>,
    /// Stop after this many milliseconds; 0: the server's default.
    pub deadline_ms: u32,
    /// Of this source; empty: of any.
    pub source: String,
    /// Of this type; empty: of any.
    pub event_type: String,
    /// An expression as in `docs/query.md`; empty: none.
    pub expression: String,
}

/// Some of the events of an answer, as the rows of a batch, in the order asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryData {
    /// The sequence of each event: an answer's are not consecutive, as a stored batch's are.
    pub sequences: Vec<u64>,
    /// When the store received each event.
    pub received: Vec<Timestamp>,
    /// A frame as in an append.
    pub frame: Bytes,
}

/// The end of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryEnd {
    /// More events match than were given.
    pub truncated: bool,
    /// Where the next page begins.
    pub next: Option<query::Cursor>,
    /// Events given.
    pub events: u64,
    /// What it cost.
    pub scanned: Scanned,
}

impl QueryText {
    /// Bytes before the texts.
    pub const FIXED_BYTES: usize = 92;

    /// A question as text; `Limit` names what is longer than a message may hold.
    pub fn of(query: &Query) -> Result<QueryText> {
        let text = QueryText {
            range: query.range,
            limit: u32::try_from(query.limit).unwrap_or(u32::MAX),
            order: query.order,
            signal: query.signal,
            trace: query.trace,
            cursor: query.cursor,
            sequences: query.sequences.clone(),
            deadline_ms: u32::try_from(query.deadline_ms).unwrap_or(u32::MAX),
            source: query.source.clone().unwrap_or_default(),
            event_type: query.event_type.clone().unwrap_or_default(),
            expression: query.filter.as_ref().map(Expr::to_string).unwrap_or_default(),
        };
        within_limits(text.source.len(), text.event_type.len(), text.expression.len())?;
        Ok(text)
    }

    /// The question, its expression parsed; a deadline beyond the age of a server's snapshots is cut.
    pub fn to_query(&self) -> Result<Query> {
        let mut query = Query::new(self.range).limit(self.limit as usize).order(self.order);
        query.source = Some(self.source.clone()).filter(|s| !s.is_empty());
        query.event_type = Some(self.event_type.clone()).filter(|s| !s.is_empty());
        (query.signal, query.trace, query.cursor) = (self.signal, self.trace, self.cursor);
        query.sequences = self.sequences.clone();
        if self.deadline_ms > 0 {
            query.deadline_ms = u64::from(self.deadline_ms).min(DEADLINE_MS_MAX);
        }
        match self.expression.is_empty() {
            true => Ok(query),
            false => query.filter(&self.expression),
        }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags = self.trace.map_or(0, |_| HAS_TRACE)
            | self.cursor.map_or(0, |_| HAS_CURSOR)
            | self.signal.map_or(0, |_| HAS_SIGNAL)
            | self.sequences.as_ref().map_or(0, |_| HAS_SEQUENCES)
            | if self.order == Order::Oldest { OLDEST_FIRST } else { 0 };
        out.extend_from_slice(&self.range.since.0.to_le_bytes());
        out.extend_from_slice(&self.range.until.0.to_le_bytes());
        out.extend_from_slice(&self.limit.to_le_bytes());
        out.extend_from_slice(&self.deadline_ms.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.signal.map_or(0, |s| s as u16).to_le_bytes());
        out.extend_from_slice(&self.trace.map_or([0; 16], |t| t.0));
        put_cursor(self.cursor, out);
        let sequences = self.sequences.clone().unwrap_or_default();
        out.extend_from_slice(&sequences.start.to_le_bytes());
        out.extend_from_slice(&sequences.end.to_le_bytes());
        out.extend_from_slice(&(self.source.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.event_type.len() as u16).to_le_bytes());
        out.extend_from_slice(&(self.expression.len() as u32).to_le_bytes());
        out.extend_from_slice(self.source.as_bytes());
        out.extend_from_slice(self.event_type.as_bytes());
        out.extend_from_slice(self.expression.as_bytes());
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<QueryText> {
        let range = TimeRange { since: Timestamp(c.i64()?), until: Timestamp(c.i64()?) };
        let (limit, deadline_ms) = (c.u32()?, c.u32()?);
        let flags = known_flags(c.u16()?, FLAGS)?;
        let signal = signal(c.u16()?, flags)?;
        let trace = Some(TraceId(c.array()?)).filter(|_| flags & HAS_TRACE != 0);
        let cursor = Some(cursor(c)?).filter(|_| flags & HAS_CURSOR != 0);
        let sequences = Some(c.u64()?..c.u64()?).filter(|_| flags & HAS_SEQUENCES != 0);
        let (source_length, type_length) = (usize::from(c.u16()?), usize::from(c.u16()?));
        let expression_length = c.u32()? as usize;
        within_limits(source_length, type_length, expression_length)?;
        Ok(QueryText {
            range,
            limit,
            order: if flags & OLDEST_FIRST != 0 { Order::Oldest } else { Order::Newest },
            signal,
            trace,
            cursor,
            sequences,
            deadline_ms,
            source: text(c, source_length, "source")?,
            event_type: text(c, type_length, "type")?,
            expression: text(c, expression_length, "expression")?,
        })
    }
}

impl QueryData {
    /// Most events in one message.
    pub const EVENTS_MAX: usize = limits::BATCH_EVENTS_MAX;
    /// Bytes of the longest body.
    pub const BYTES_MAX: usize =
        8 + 16 * QueryData::EVENTS_MAX + FRAME_HEADER_BYTES + limits::BATCH_STORED_BYTES_MAX;

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert_eq!(self.sequences.len(), self.received.len(), "one of each per event");
        out.extend_from_slice(&(self.sequences.len() as u64).to_le_bytes());
        self.sequences.iter().for_each(|s| out.extend_from_slice(&s.to_le_bytes()));
        self.received.iter().for_each(|t| out.extend_from_slice(&t.0.to_le_bytes()));
        out.extend_from_slice(&self.frame);
    }

    /// Reads the body; the frame stays a slice of it.
    pub fn decode(body: &Bytes) -> Result<QueryData> {
        let mut c = Cursor::new(body);
        let events = usize::try_from(c.u64()?).unwrap_or(usize::MAX);
        bounded(events, QueryData::EVENTS_MAX, "events")?;
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap_or_default());
        let sequences = c.take(events * 8)?.chunks_exact(8).map(word).collect();
        let time = |b| Timestamp(word(b) as i64);
        let received = c.take(events * 8)?.chunks_exact(8).map(time).collect();
        Ok(QueryData { sequences, received, frame: body.slice(c.offset()..) })
    }
}

impl QueryEnd {
    /// Bytes of the body.
    pub const BYTES: usize = 96;

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags = if self.truncated { TRUNCATED } else { 0 } | self.next.map_or(0, |_| HAS_NEXT);
        out.extend_from_slice(&u64::from(flags).to_le_bytes());
        out.extend_from_slice(&self.events.to_le_bytes());
        put_cursor(self.next, out);
        let s = &self.scanned;
        let counts = [
            s.segments,
            s.segments_pruned,
            s.frames,
            s.frames_pruned,
            s.events_read,
            s.events_matched,
            s.bytes_read,
        ];
        counts.iter().for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
    }

    /// Reads the body.
    pub fn decode(c: &mut Cursor<'_>) -> Result<QueryEnd> {
        let flags = u16::try_from(c.u64()?).unwrap_or(u16::MAX);
        let flags = known_flags(flags, TRUNCATED | HAS_NEXT)?;
        let events = c.u64()?;
        let next = Some(cursor(c)?).filter(|_| flags & HAS_NEXT != 0);
        let scanned = Scanned {
            segments: c.u64()?,
            segments_pruned: c.u64()?,
            frames: c.u64()?,
            frames_pruned: c.u64()?,
            events_read: c.u64()?,
            events_matched: c.u64()?,
            bytes_read: c.u64()?,
        };
        Ok(QueryEnd { truncated: flags & TRUNCATED != 0, next, events, scanned })
    }
}

fn put_cursor(cursor: Option<query::Cursor>, out: &mut Vec<u8>) {
    let (time, sequence, upper) =
        cursor.map_or((0, 0, 0), |c| (c.time.0, c.sequence, c.upper_sequence));
    out.extend_from_slice(&time.to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&upper.to_le_bytes());
}

fn cursor(c: &mut Cursor<'_>) -> Result<query::Cursor> {
    let (time, sequence, upper_sequence) = (Timestamp(c.i64()?), c.u64()?, c.u64()?);
    Ok(query::Cursor { time, sequence, upper_sequence })
}

fn signal(code: u16, flags: u16) -> Result<Option<Signal>> {
    if flags & HAS_SIGNAL == 0 {
        return Ok(None);
    }
    let signal = u8::try_from(code).ok().and_then(Signal::from_code);
    signal.map(Some).ok_or_else(|| Error::invalid(format!("signal {code}")).in_field("signal"))
}

/// Lengths of the texts of a question.
fn within_limits(source: usize, event_type: usize, expression: usize) -> Result<()> {
    bounded(source, limits::NAME_BYTES_MAX, "source")?;
    bounded(event_type, limits::NAME_BYTES_MAX, "type")?;
    bounded(expression, limits::QUERY_TEXT_BYTES_MAX, "expression")
}

fn bounded(value: usize, max: usize, field: &str) -> Result<()> {
    if value <= max {
        return Ok(());
    }
    Err(Error::limit(format!("{field} is {value}, at most {max} is allowed")).in_field(field))
}

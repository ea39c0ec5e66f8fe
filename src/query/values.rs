//! Which values something has, and how often: of an attribute, or of a field of the event.
//!
//! An event counts once for each distinct value that it has: elements of arrays, repeated keys, span
//! events and links give several. Values of different types differ (`1`, `1.0` and `"1"`); maps and
//! bytes, which compare with nothing, are left out, as are the elements of inner arrays.
//!
//! 1. Where a frame has one column with at most one value per event, its dictionary is counted: a
//!    number per code, a resource once for all its events.
//! 2. Elsewhere values are taken row by row.
//! 3. Up to a named limit all values are kept and every number is exact. Beyond it new values are
//!    passed over and the answer says so; numbers of the values that were kept stay exact.

use crate::column::{Field, Ints, Table, Texts};
use crate::error::{Error, Result};
use crate::event::{DoubleBits, Kind, Signal, SpanId, Status, TraceId, Value};
use crate::limits;
use crate::query::ast::{AttributeScope, Intrinsic, Reference};
use crate::query::decoded::{Column, Columns, Form, Place, Values};
use crate::query::evaluate::referred;
use crate::query::guard::Guard;
use crate::query::plan::plan;
use crate::query::request::Query;
use crate::query::selection::Selection;
use crate::query::source::{Segment, Source};
use crate::query::value::{Number, Scalar};
use crate::query::{Scanned, fold, pairs, scan};
use crate::store::{Snapshot, Workers};

/// Frames that a thread counts before its numbers are added to those of others.
const FRAMES_PER_THREAD: usize = 8;

/// A value, and how many events have it.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueCount {
    /// The value: words and ids as text.
    pub value: Value,
    /// Its events.
    pub count: u64,
}

/// The values that most events have, and how they were found.
#[derive(Clone, Debug, Default)]
pub struct TopValues {
    /// The values, that of the most events first; of equal ones the lesser value first.
    pub values: Vec<ValueCount>,
    /// How many distinct values there are, or were kept.
    pub distinct: u64,
    /// False: there were more distinct values than could be kept.
    pub exact: bool,
    /// What it cost.
    pub scanned: Scanned,
    /// What was left out as damaged, the first 100; empty unless [`Query::partial`].
    pub damage: Vec<Error>,
}

impl Snapshot {
    /// The values of an attribute or field that most matching events have. Limit, order and cursor
    /// of the query mean nothing here.
    pub fn top_values(&self, query: &Query, of: &Reference, limit: usize) -> Result<TopValues> {
        top(&self.source(), query, of, limit, Room::default())
    }

    /// How many distinct values an attribute or field has in the matching events, and whether that
    /// is all: see [`TopValues::distinct`] and [`TopValues::exact`].
    pub fn distinct_values(&self, query: &Query, of: &Reference) -> Result<TopValues> {
        self.top_values(query, of, 0)
    }
}

/// How many values are kept.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) values: usize,
    pub(super) bytes: usize,
}

impl Default for Room {
    fn default() -> Room {
        Room { values: limits::DISTINCT_VALUES_MAX, bytes: limits::DISTINCT_BYTES_MAX }
    }
}

pub(super) fn top<S: Segment>(
    source: &Source<'_, S>,
    query: &Query,
    of: &Reference,
    limit: usize,
    room: Room,
) -> Result<TopValues> {
    let query = Query { cursor: None, ..query.clone() };
    // A severity is a number unless it is compared with text.
    let of = match of {
        Reference::Intrinsic(Intrinsic::Severity) => {
            Reference::Intrinsic(Intrinsic::SeverityNumber)
        }
        other => other.clone(),
    };
    let mut guard = Guard::new(&query);
    let plan = plan(source, &query, &mut guard)?;
    let mut tally = Tally { room, ..Tally::default() };
    // Once there is no room, which values are kept depends on their order: it is that of the frames,
    // whoever reads them.
    let portion = FRAMES_PER_THREAD * source.workers.map_or(1, Workers::threads);
    for frames in plan.frames.chunks(portion) {
        let read = fold::map(source.workers, frames, &mut guard, |frame, guard| {
            let read = scan::frame(&plan, frame, guard, |c, rows| in_frame(c, rows, &of))?;
            Ok(read.map(|(_, _, counts)| counts).unwrap_or_default())
        })?;
        read.into_iter().flatten().for_each(|(key, count)| tally.add(key, count));
    }
    let distinct = tally.counts.len() as u64;
    let mut counts: Vec<(Key, u64)> = tally.counts.into_iter().collect();
    let order = |a: &(Key, u64), b: &(Key, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0));
    if limit < counts.len() {
        if let Some(last) = limit.checked_sub(1) {
            counts.select_nth_unstable_by(last, order);
        }
        counts.truncate(limit);
    }
    counts.sort_unstable_by(order);
    let counted = |(key, count): (Key, u64)| ValueCount { value: key.into_value(&of), count };
    Ok(TopValues {
        values: counts.into_iter().map(counted).collect(),
        distinct,
        exact: !tally.overflowed,
        scanned: guard.scanned,
        damage: guard.damage,
    })
}

/// A value by which events are counted; types stand in this order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Bool(bool),
    Int(i64),
    /// As bits: a NaN is a value, too.
    Double(u64),
    Code(i64),
    Text(Vec<u8>),
    Id(Vec<u8>),
}

impl Key {
    fn of(scalar: Scalar<'_>) -> Option<Key> {
        Some(match scalar {
            Scalar::Text(text) => Key::Text(text.to_vec()),
            Scalar::Number(Number::Int(value)) => Key::Int(value),
            Scalar::Number(Number::Float(value)) => Key::Double(value.to_bits()),
            Scalar::Bool(value) => Key::Bool(value),
            Scalar::Code(code) => Key::Code(code),
            Scalar::Id(id) => Key::Id(id.to_vec()),
            Scalar::Other => return None,
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Key::Text(bytes) | Key::Id(bytes) => bytes.len(),
            _ => 0,
        }
    }

    fn into_value(self, of: &Reference) -> Value {
        match self {
            Key::Bool(value) => Value::Bool(value),
            Key::Int(value) => Value::Int(value),
            Key::Double(bits) => Value::Double(DoubleBits(bits)),
            Key::Code(code) => Value::String(word(code, of).to_owned()),
            Key::Text(text) => Value::String(String::from_utf8_lossy(&text).into_owned()),
            Key::Id(id) => Value::String(hex(&id)),
        }
    }
}

/// The name of a code of a status, kind or signal.
fn word(code: i64, of: &Reference) -> &'static str {
    let code = u8::try_from(code).unwrap_or(u8::MAX);
    let name = match of {
        Reference::Intrinsic(Intrinsic::Status) => Status::from_code(code).map(Status::name),
        Reference::Intrinsic(Intrinsic::Kind) => Kind::from_code(code).map(Kind::name),
        _ => Signal::from_code(code).map(Signal::name),
    };
    name.unwrap_or("unknown")
}

fn hex(id: &[u8]) -> String {
    if let Ok(id) = id.try_into() {
        return TraceId(id).to_string();
    }
    id.try_into().map_or_else(|_| String::new(), |id| SpanId(id).to_string())
}

/// Values over all frames.
#[derive(Default)]
struct Tally {
    counts: hashbrown::HashMap<Key, u64, foldhash::fast::RandomState>,
    bytes: usize,
    room: Room,
    overflowed: bool,
}

impl Tally {
    fn add(&mut self, key: Key, count: u64) {
        if let Some(sum) = self.counts.get_mut(&key) {
            *sum += count;
            return;
        }
        let bytes = self.bytes + key.bytes();
        if self.counts.len() >= self.room.values || bytes > self.room.bytes {
            self.overflowed = true;
            return;
        }
        self.bytes = bytes;
        self.counts.insert(key, count);
    }
}

/// Values and numbers of a frame's events; a value may come several times, for other events.
fn in_frame(
    columns: &mut Columns<'_>,
    rows: &Selection,
    of: &Reference,
) -> Result<Vec<(Key, u64)>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(places) = plain_places(columns, of) {
        return match places.first() {
            Some(place) => of_column(columns, rows, *place),
            None => Ok(Vec::new()),
        };
    }
    let mut counts: hashbrown::HashMap<Key, u64, foldhash::fast::RandomState> =
        hashbrown::HashMap::default();
    for values in pairs::reference(columns, of, rows)? {
        let mut keys: Vec<Key> = values.iter().filter_map(|v| Key::of(v.scalar())).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
    }
    Ok(counts.into_iter().collect())
}

/// The one column of the values, or none, if an event has at most one; `None` if it may have more,
/// or if values are not in a column.
fn plain_places(columns: &Columns<'_>, of: &Reference) -> Option<Vec<Place>> {
    let places = match of {
        Reference::Intrinsic(
            Intrinsic::Sequence | Intrinsic::Received | Intrinsic::EventTimeSinceStart,
        ) => return None,
        Reference::Intrinsic(intrinsic) => {
            let places = columns.intrinsic(*intrinsic);
            // All events have code 0 where nothing is said.
            if places.is_empty() && crate::query::decoded::home(*intrinsic).2 == Form::Code {
                return None;
            }
            places
        }
        Reference::Attribute { scope: Some(scope), key } => columns.attribute(*scope, key),
        Reference::Attribute { scope: None, key } => {
            AttributeScope::ALL.iter().flat_map(|scope| columns.attribute(*scope, key)).collect()
        }
    };
    let plain = |place: &Place| {
        place.form != Form::Nested && !matches!(place.table, Table::Links | Table::SpanEvents)
    };
    (places.len() < 2 && places.iter().all(plain)).then_some(places)
}

/// Counts the values of a column of events, resources or scopes.
fn of_column(columns: &mut Columns<'_>, rows: &Selection, place: Place) -> Result<Vec<(Key, u64)>> {
    let column = columns.column(place)?;
    let field = match place.table {
        Table::Events => return Ok(count(&column, rows.iter().map(|row| (row, 1)))),
        Table::Scopes => Field::Scope,
        _ => Field::Resource,
    };
    let Some(owners) = columns.field_ints(Table::Events, field)? else {
        return Ok(Vec::new());
    };
    let events = events_of(&owners, rows, columns.view.rows(place.table));
    let weighed = events.into_iter().enumerate().filter(|(_, events)| *events > 0);
    Ok(count(&column, weighed))
}

/// How many of the events refer to each row of another table.
fn events_of(owners: &Ints, rows: &Selection, table_rows: usize) -> Vec<u64> {
    let mut events = vec![0; table_rows];
    for row in rows.iter() {
        if let Some(sum) = referred(owners, row).and_then(|owner| events.get_mut(owner)) {
            *sum += 1;
        }
    }
    events
}

/// The values of rows, each of which stands for so many events.
fn count(column: &Column, rows: impl Iterator<Item = (usize, u64)>) -> Vec<(Key, u64)> {
    let mut found = Vec::new();
    let Values::Texts(texts) = &column.values else {
        let mut counts: hashbrown::HashMap<Key, u64, foldhash::fast::RandomState> =
            hashbrown::HashMap::default();
        for (row, events) in rows {
            column.visit(row, |scalar| {
                if let Some(key) = Key::of(scalar) {
                    *counts.entry(key).or_default() += events;
                }
            });
        }
        return counts.into_iter().collect();
    };
    let mut counts = vec![0u64; texts.offsets.len().saturating_sub(1)];
    for (row, events) in rows {
        let code = texts.codes.get(row).copied().unwrap_or(Texts::ABSENT);
        if let Some(sum) = counts.get_mut(code as usize) {
            *sum += events;
        }
    }
    for (code, events) in counts.into_iter().enumerate().filter(|(_, events)| *events > 0) {
        column.visit_code(texts, code as u32, |scalar| {
            found.extend(Key::of(scalar).map(|key| (key, events)));
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Attribute, Event};
    use crate::storage::MemoryStorage;
    use crate::time::{SystemClock, Timestamp};
    use crate::{BatchBuilder, Options, Store};

    #[test]
    fn beyond_the_room_for_values_an_answer_says_so_and_its_numbers_stay_exact() {
        let storage = Arc::new(MemoryStorage::new());
        let (store, _) =
            Store::open_with(storage, Arc::new(SystemClock::new()), Options::new("unused"))
                .unwrap();
        for _ in 0..3 {
            let mut builder = BatchBuilder::new();
            for number in 0..90 {
                let value = Value::String(format!("value {}", number % 30));
                let attributes = vec![Attribute::new("k", value)];
                let event = Event { time: Timestamp(number), attributes, ..Event::default() };
                builder.push(&event).unwrap();
            }
            store.append(builder.finish().unwrap()).unwrap().wait().unwrap();
        }
        let snapshot = store.snapshot();
        let ask = |room| {
            let of = Reference::attribute("k");
            top(&snapshot.source(), &Query::default(), &of, 100, room).unwrap()
        };
        let whole = ask(Room::default());
        assert_eq!((whole.distinct, whole.exact), (30, true));
        for room in [Room { values: 7, ..Room::default() }, Room { bytes: 50, ..Room::default() }] {
            let part = ask(room);
            assert!(part.distinct < 30 && part.distinct > 4 && !part.exact);
            assert!(part.values.iter().all(|v| v.count == 9));
        }
    }
}

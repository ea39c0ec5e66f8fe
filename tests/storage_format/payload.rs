//! The payload, read by hand as the document says: an independent reader of its directory, and of
//! the bodies in the encodings that a small batch has.

use std::collections::BTreeMap;

use annal::codec::{Cursor, unzigzag};
use annal::column::{Field, Table, marks};
use annal::event::{Attribute, Kind, Resource, Signal, Status, TraceId, Value, ValueType};
use annal::format::frame::{Codec, FrameHeader};
use annal::{Batch, BatchBuilder, Event, SpanId, Timestamp};
use bytes::Bytes;

use crate::document::{Document, annotate};
use crate::{NOON_NS, format_document};

/// Code to name, of the rows of a table `name | code | ...`.
fn names_of(document: &Document, head: &str) -> BTreeMap<u8, String> {
    let rows = document.table_of(head);
    rows.into_iter().map(|r| (r[1].parse().unwrap(), r[0].clone())).collect()
}

fn events() -> Vec<Event> {
    let zone = Attribute::new("zone", Value::String("eu".into()));
    let resource = Resource { attributes: vec![zone], ..Resource::default() };
    let first = Event {
        time: Timestamp(NOON_NS),
        signal: Signal::Span,
        source: "cart".into(),
        event_type: "AddItem".into(),
        trace_id: Some(TraceId(*b"trace id 0123456")),
        span_id: Some(SpanId(*b"span id1")),
        duration: Some(1_500),
        status: Status::Error,
        resource: resource.into(),
        ..Event::default()
    };
    let second = Event {
        time: Timestamp(NOON_NS + 10),
        event_type: "GetCart".into(),
        span_id: Some(SpanId(*b"span id2")),
        duration: Some(-2),
        status: Status::Unset,
        ..first.clone()
    };
    vec![first, second]
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::new();
    events().iter().for_each(|e| builder.push(e).unwrap());
    builder.finish().unwrap()
}

fn raw_payload(batch: &Batch) -> Vec<u8> {
    let header = batch.header();
    let raw = match header.codec {
        Codec::None => batch.payload().to_vec(),
        Codec::Zstd => zstd::bulk::decompress(batch.payload(), header.raw_length as usize).unwrap(),
    };
    assert_eq!(raw.len(), header.raw_length as usize);
    raw
}

/// A column as its entry describes it.
struct Column {
    name: String,
    encoding: u8,
    length: usize,
    tail: usize,
    rows: usize,
}

/// Reads on and notes what was read.
struct Reader<'a> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
    notes: String,
}

impl<'a> Reader<'a> {
    fn note(&mut self, from: usize, what: &str) {
        annotate(&mut self.notes, from, &self.bytes[from..self.cursor.offset()], what, "bytes");
    }

    fn varint(&mut self) -> usize {
        usize::try_from(self.cursor.varint().unwrap()).unwrap()
    }

    fn head(&mut self) -> Vec<usize> {
        let at = self.cursor.offset();
        let version = self.cursor.u8().unwrap();
        self.note(at, &format!("payload version {version}"));
        let at = self.cursor.offset();
        let rows: Vec<usize> = (0..5).map(|_| self.varint()).collect();
        self.note(at, &format!("rows {rows:?}"));
        rows
    }

    /// The rows that each presence names.
    fn presences(&mut self, rows: &[usize]) -> Vec<Vec<usize>> {
        let at = self.cursor.offset();
        let count = self.varint();
        self.note(at, &format!("presences {count}"));
        (0..count).map(|_| self.presence(rows)).collect()
    }

    fn presence(&mut self, rows: &[usize]) -> Vec<usize> {
        let at = self.cursor.offset();
        let table = usize::from(self.cursor.u8().unwrap());
        let form = self.cursor.u8().unwrap();
        let mut named = Vec::new();
        if form == 0 {
            let bits = self.cursor.take(rows[table].div_ceil(8)).unwrap();
            named.extend((0..rows[table]).filter(|r| bits[r / 8] >> (r % 8) & 1 == 1));
        } else {
            let mut next = 0;
            for _ in 0..self.varint() {
                next += self.varint();
                named.push(next);
                next += 1;
            }
        }
        self.note(at, &format!("presence in table {table}, form {form}: rows {named:?}"));
        named
    }

    fn columns(
        &mut self,
        document: &Document,
        rows: &[usize],
        named: &[Vec<usize>],
    ) -> Vec<Column> {
        let (tables, fields) = (names_of(document, "table"), names_of(document, "field"));
        let (types, encodings) = (names_of(document, "value type"), names_of(document, "encoding"));
        let at = self.cursor.offset();
        let count = self.varint();
        self.note(at, &format!("columns {count}"));
        let mut columns = Vec::new();
        for _ in 0..count {
            let at = self.cursor.offset();
            let [table, field, value_type] = self.cursor.array().unwrap();
            let mut name = format!("{}.{}", tables[&table], fields[&field]);
            if fields[&field] == "attribute" {
                let length = self.varint();
                let key = std::str::from_utf8(self.cursor.take(length).unwrap()).unwrap();
                let occurrence = self.varint();
                name = format!("{name} {key} {occurrence}");
            }
            let presence = self.varint();
            let encoding = self.cursor.u8().unwrap();
            let (length, tail) = (self.varint(), self.varint());
            let which = match presence {
                0 => rows[usize::from(table)],
                n => named[n - 1].len(),
            };
            let what = format!("{name}: {}, {}", types[&value_type], encodings[&encoding]);
            self.note(at, &what);
            columns.push(Column { name, encoding, length, tail, rows: which });
        }
        columns
    }

    /// Bodies in the order of places, then tails; integers and distinct texts as they are read.
    fn bodies(&mut self, document: &Document, columns: &[Column]) -> BTreeMap<String, String> {
        let encodings = document.table_of("encoding");
        let place = |code: u8| {
            let row = encodings.iter().find(|r| r[1] == code.to_string()).unwrap();
            row[2].parse::<usize>().unwrap()
        };
        let mut order: Vec<&Column> = columns.iter().collect();
        order.sort_by_key(|c| place(c.encoding));
        let mut bodies = BTreeMap::new();
        for column in order {
            let at = self.cursor.offset();
            bodies.insert(&column.name, self.cursor.take(column.length).unwrap());
            if column.length > 0 {
                self.note(at, &column.name);
            }
        }
        let mut values = BTreeMap::new();
        for column in columns {
            let at = self.cursor.offset();
            let tail = self.cursor.take(column.tail).unwrap();
            if column.tail > 0 {
                self.note(at, &format!("{}, tail", column.name));
            }
            values.insert(column.name.clone(), read_body(column, bodies[&column.name], tail));
        }
        self.cursor.finish().unwrap();
        values
    }
}

/// The values of a body as text, in the encodings that a small batch has.
fn read_body(column: &Column, body: &[u8], tail: &[u8]) -> String {
    let mut c = Cursor::new(body);
    let value = match column.encoding {
        1 => format!("{}", unzigzag(c.varint().unwrap())),
        4 => {
            let entries: Vec<i64> =
                (0..c.varint().unwrap()).map(|_| unzigzag(c.varint().unwrap())).collect();
            let codes = c.take(if entries.len() > 1 { column.rows } else { 0 }).unwrap();
            format!("{:?}", codes.iter().map(|&i| entries[usize::from(i)]).collect::<Vec<_>>())
        }
        // One miniblock: two packed values, or the difference between two.
        2 | 3 => {
            let numbers: Vec<i64> =
                (0..column.encoding - 1).map(|_| unzigzag(c.varint().unwrap())).collect();
            let width = u32::from(c.u8().unwrap());
            let bits = tail.iter().rev().fold(0u128, |bits, &b| bits << 8 | u128::from(b));
            let at = |i: u32| (bits >> (i * width)) as i64 & ((1 << width) - 1);
            c.finish().unwrap();
            return match numbers[..] {
                [least] => format!("{:?}", [least + at(0), least + at(1)]),
                [first, least] => format!("{:?}", [first, first + least + at(0)]),
                _ => unreachable!(),
            };
        }
        16 | 17 => {
            let entries = if column.encoding == 16 { c.varint().unwrap() } else { 2 };
            let lengths: Vec<u64> = (0..entries).map(|_| c.varint().unwrap()).collect();
            let text = |n: &u64| String::from_utf8(c.take(*n as usize).unwrap().to_vec()).unwrap();
            let texts: Vec<String> = lengths.iter().map(text).collect();
            if column.encoding == 16 && entries > 1 {
                c.take(column.rows).unwrap();
            }
            texts.join(" ")
        }
        24 | 25 => {
            let size = if column.name.ends_with("trace_id") { 16 } else { 8 };
            let codes = if column.encoding == 24 && tail.len() > size { column.rows } else { 0 };
            c.take(codes).unwrap();
            return String::from_utf8_lossy(tail).into_owned();
        }
        other => panic!("{}: encoding {other} in a small batch", column.name),
    };
    c.finish().unwrap();
    assert!(tail.is_empty(), "{}: a tail", column.name);
    value
}

#[test]
fn a_payload_is_read_by_hand_as_the_text_says() {
    let (document, raw) = (format_document(), raw_payload(&batch()));
    let mut reader = Reader { bytes: &raw, cursor: Cursor::new(&raw), notes: String::new() };
    let rows = reader.head();
    assert_eq!(rows, [1, 0, 2, 0, 0]);
    let named = reader.presences(&rows);
    let columns = reader.columns(&document, &rows, &named);
    let values = reader.bodies(&document, &columns);
    assert_eq!(values["resources.source"], "cart");
    assert_eq!(values["resources.attribute zone 0"], "eu");
    assert_eq!(values["events.type"], "AddItem GetCart");
    assert_eq!(values["events.trace_id"], "trace id 0123456");
    assert_eq!(values["events.span_id"], "span id1span id2");
    assert_eq!(values["events.time"], format!("{:?}", [NOON_NS, NOON_NS + 10]));
    assert_eq!(values["events.duration"], "[1500, -2]");
    assert_eq!(values["events.signal"], "0");
    assert_eq!(values["events.status"], "2");
    assert!(!values.contains_key("events.kind"), "a column without values");
    assert!(
        document.hex_block("payload").trim_end() == reader.notes.trim_end(),
        "the example payload should read\n```hex payload\n{}```\n",
        reader.notes
    );
}

/// The field table's code, type and tables are those that validation accepts: each (table, field,
/// type) that the document does not list is refused, and so is each encoding.
#[test]
fn what_the_document_does_not_list_is_refused() {
    let batch = batch();
    let raw = raw_payload(&batch);
    let document = format_document();
    let mut encodings = names_of(&document, "encoding");
    let rows = document.table_of("encoding");
    let of_blocks: Vec<u8> = rows
        .iter()
        .filter(|row| row[3].contains("in blocks only"))
        .map(|row| row[1].parse().unwrap())
        .collect();
    assert_eq!(of_blocks.len(), 3);
    // A batch may not have them.
    of_blocks.iter().for_each(|code| drop(encodings.remove(code)));
    // The first column's entry follows the version, five row counts, the presences and the count.
    let accepted = |at: usize, byte: u8| {
        let mut changed = raw.clone();
        changed[at] = byte;
        let header = FrameHeader {
            codec: Codec::None,
            stored_length: changed.len() as u32,
            payload_crc: annal::codec::crc32(&changed),
            ..*batch.header()
        };
        Batch::from_frame(header, Bytes::from(changed), Timestamp(NOON_NS + 1_000))
    };
    accepted(0, raw[0]).unwrap();
    for version in (0..=u8::MAX).filter(|v| *v != raw[0]) {
        assert!(accepted(0, version).is_err(), "payload version {version}");
    }
    let text = String::from_utf8_lossy(&raw).into_owned();
    let key = text.find("zone").expect("the key stands in the entry");
    let encoding = key + "zone".len() + 2;
    assert!(encodings.contains_key(&raw[encoding]), "{} is no encoding", raw[encoding]);
    for code in (0..=u8::MAX).filter(|c| !encodings.contains_key(c)) {
        assert!(accepted(encoding, code).is_err(), "encoding {code}");
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Code to name of the rows `head name | code` of the table of small enums.
fn codes_of(document: &Document, head: &str) -> BTreeMap<u8, String> {
    let rows = document.table_of("code of");
    let own = rows.iter().filter_map(|r| Some((r, r[0].strip_prefix(head)?.strip_prefix(' ')?)));
    own.map(|(r, name)| (r[1].parse().unwrap(), name.to_owned())).collect()
}

/// Holds each row of a table of codes against `Type::Name as u8`, all of them, in order.
macro_rules! check_codes {
    ($names:ident, $head:literal, $type:ident { $($name:ident)* }) => {
        let of_code: BTreeMap<u8, String> =
            [$(($type::$name as u8, snake(stringify!($name)))),*].into();
        assert_eq!($names(&format_document(), $head), of_code, "{}", $head);
        // Codes are given in order, without gaps: one that is skipped was lost.
        assert!(of_code.keys().copied().eq(0..of_code.len() as u8), "{}", $head);
    };
}

#[test]
fn the_codes_inside_a_payload_are_for_ever() {
    check_codes!(names_of, "table", Table { Resources Scopes Events Links SpanEvents });
    check_codes!(names_of, "value type", ValueType { Empty String Int Double Bool Bytes Nested });
    check_codes!(codes_of, "signal", Signal { Span Log Event });
    check_codes!(codes_of, "kind", Kind { Unspecified Internal Server Client Producer Consumer });
    check_codes!(codes_of, "status", Status { Unset Ok Error });
    check_codes!(names_of, "field", Field {
        Attribute Source SchemaUrl DroppedAttributes Name Version Owner Resource Scope Time
        Observed Signal Type TraceId SpanId ParentSpanId Duration Kind Status StatusMessage
        TraceState Flags SeverityNumber SeverityText Body Marks DroppedEvents DroppedLinks
        RemoteService RemoteIpv4 RemoteIpv6 RemotePort Received
    });
    let of_code = [
        ("TIME_ABSENT", marks::TIME_ABSENT),
        ("TRACE_ID_64", marks::TRACE_ID_64),
        ("TYPE_FROM_EVENT_NAME", marks::TYPE_FROM_EVENT_NAME),
        ("SHARED", marks::SHARED),
        ("DEBUG", marks::DEBUG),
    ];
    let documented = names_of(&format_document(), "mark");
    let of_code: BTreeMap<u8, String> =
        of_code.iter().map(|(name, bit)| (*bit as u8, (*name).to_owned())).collect();
    assert_eq!(documented, of_code);
    assert_eq!(of_code.keys().map(|bit| i64::from(*bit)).sum::<i64>(), marks::ALL);
}

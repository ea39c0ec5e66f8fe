//! Record batches back into events, as any reader of Arrow could: by the names of columns.

use std::sync::Arc;

use annal::event::{
    Attribute, DoubleBits, Endpoint, Kind, Link, Resource, Scope, Signal, SpanEvent, Status, Value,
};
use annal::{Event, SpanId, Timestamp, TraceId};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};

/// A struct, or a batch as one.
pub(crate) struct Row<'a> {
    of: &'a StructArray,
    row: usize,
}

impl Row<'_> {
    /// The column, if it is not null in this row.
    fn get(&self, name: &str) -> Option<&ArrayRef> {
        let column = self.of.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        column.is_valid(self.row).then_some(column)
    }

    fn text(&self, name: &str) -> String {
        let text = self.get(name).map(|c| c.as_string_view().value(self.row).to_owned());
        assert_ne!(text.as_deref(), Some(""), "{name}: the empty text is null");
        text.unwrap_or_default()
    }

    fn word(&self, name: &str) -> Option<String> {
        let column = self.get(name)?.as_dictionary::<Int32Type>();
        let key = column.key(self.row).unwrap();
        Some(column.values().as_string::<i32>().value(key).to_owned())
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        let times = self.get(name)?.as_primitive::<TimestampNanosecondType>();
        assert_eq!(times.timezone(), Some("UTC"));
        Some(Timestamp(times.value(self.row)))
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).unwrap().as_boolean().value(self.row)
    }

    fn count(&self, name: &str) -> u32 {
        self.get(name).unwrap().as_primitive::<UInt32Type>().value(self.row)
    }

    fn bytes<const N: usize>(&self, name: &str) -> Option<[u8; N]> {
        Some(self.get(name)?.as_fixed_size_binary().value(self.row).try_into().unwrap())
    }

    fn inner(&self, name: &str) -> Option<Row<'_>> {
        Some(Row { of: self.get(name)?.as_struct(), row: self.row })
    }

    fn value(&self) -> Value {
        let mut values = Vec::new();
        let row = self.row;
        values.extend(self.get("string").map(|c| {
            let text = c.as_string_view().value(row);
            Value::String(text.to_owned())
        }));
        values
            .extend(self.get("int").map(|c| Value::Int(c.as_primitive::<Int64Type>().value(row))));
        values.extend(self.get("double").map(|c| {
            let bits = c.as_primitive::<Float64Type>().value(row).to_bits();
            Value::Double(DoubleBits(bits))
        }));
        values.extend(self.get("bool").map(|c| Value::Bool(c.as_boolean().value(row))));
        let bytes = |c: &ArrayRef| c.as_binary_view().value(row).to_vec();
        values.extend(self.get("bytes").map(|c| Value::Bytes(bytes(c))));
        values.extend(self.get("nested").map(|c| Value::Nested(bytes(c))));
        assert!(values.len() < 2, "a value has one type: {values:?}");
        values.pop().unwrap_or(Value::Empty)
    }

    fn attributes(&self) -> Vec<Attribute> {
        let entries = self.get("attributes").unwrap().as_map().value(self.row);
        let keys = entries.column(0).as_string_view();
        let value = |row| Row { of: entries.column(1).as_struct(), row }.value();
        (0..entries.len()).map(|row| Attribute::new(keys.value(row), value(row))).collect()
    }

    fn list<T>(&self, name: &str, item: impl Fn(Row<'_>) -> T) -> Vec<T> {
        let items = self.get(name).unwrap().as_list::<i32>().value(self.row);
        (0..items.len()).map(|row| item(Row { of: items.as_struct(), row })).collect()
    }

    /// The value of a column for one attribute.
    fn asked(&self, name: &str) -> Option<Value> {
        let column = self.get(name)?;
        let row = self.row;
        Some(match column.data_type() {
            arrow_schema::DataType::Int64 => {
                Value::Int(column.as_primitive::<Int64Type>().value(row))
            }
            arrow_schema::DataType::Float64 => {
                let bits = column.as_primitive::<Float64Type>().value(row).to_bits();
                Value::Double(DoubleBits(bits))
            }
            arrow_schema::DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
            arrow_schema::DataType::BinaryView => {
                Value::Bytes(column.as_binary_view().value(row).to_vec())
            }
            _ => Value::String(self.word(name).unwrap()),
        })
    }
}

/// The events of a batch.
pub(crate) fn events(batch: &RecordBatch) -> Vec<Event> {
    let all = StructArray::from(batch.clone());
    (0..batch.num_rows()).map(|row| event(&Row { of: &all, row })).collect()
}

fn event(row: &Row<'_>) -> Event {
    let (message, body) = (row.get("message"), row.inner("body"));
    assert!(message.is_none() || body.is_none(), "a body is one or the other");
    let text = |column: &ArrayRef| column.as_string_view().value(row.row).to_owned();
    let mut event = Event {
        sequence: row.get("sequence").unwrap().as_primitive::<UInt64Type>().value(row.row),
        time: row.time("time").unwrap(),
        time_absent: row.flag("time_absent"),
        received: row.time("received").unwrap(),
        observed: row.time("observed"),
        signal: Signal::from_name(&row.word("signal").unwrap()).unwrap(),
        source: row.word("source").unwrap(),
        event_type: row.word("type").unwrap(),
        type_from_event_name: row.flag("type_from_event_name"),
        trace_id: row.bytes("trace_id").map(TraceId),
        trace_id_64: row.flag("trace_id_64"),
        span_id: row.bytes("span_id").map(SpanId),
        parent_span_id: row.bytes("parent_span_id").map(SpanId),
        duration: row.get("duration_ns").map(|c| c.as_primitive::<Int64Type>().value(row.row)),
        kind: Kind::from_name(&row.word("kind").unwrap()).unwrap(),
        status: Status::from_name(&row.word("status").unwrap()).unwrap(),
        status_message: row.text("status_message"),
        trace_state: row.text("trace_state"),
        flags: row.count("flags"),
        shared: row.flag("shared"),
        debug: row.flag("debug"),
        remote: row.inner("remote").map(|remote| Endpoint {
            service: remote.text("service"),
            ipv4: remote.bytes("ipv4"),
            ipv6: remote.bytes("ipv6"),
            port: remote.get("port").map_or(0, |c| c.as_primitive::<UInt16Type>().value(row.row)),
        }),
        severity_number: row
            .get("severity_number")
            .map_or(0, |c| c.as_primitive::<UInt8Type>().value(row.row)),
        severity_text: row.text("severity_text"),
        body: message.map(|m| Value::String(text(m))).or_else(|| body.map(|b| b.value())),
        attributes: row.attributes(),
        links: row.list("links", |link| Link {
            trace_id: TraceId(link.bytes("trace_id").unwrap()),
            span_id: link.bytes("span_id").map(SpanId),
            trace_state: link.text("trace_state"),
            attributes: link.attributes(),
            dropped_attributes: link.count("dropped_attributes"),
            flags: link.count("flags"),
        }),
        events: row.list("span_events", |event| SpanEvent {
            time: event.time("time").unwrap(),
            name: event.text("name"),
            attributes: event.attributes(),
            dropped_attributes: event.count("dropped_attributes"),
        }),
        dropped_attributes: row.count("dropped_attributes"),
        dropped_events: row.count("dropped_events"),
        dropped_links: row.count("dropped_links"),
        ..Event::default()
    };
    let mut resource = row.inner("resource").map(|r| resource(&r)).unwrap();
    let mut scope = row.inner("scope").map(|s| scope(&s));
    for name in row.of.column_names() {
        let Some(((scope_name, key), value)) = name.split_once('.').zip(row.asked_if(name)) else {
            continue;
        };
        let of = match scope_name {
            "span" => &mut event.attributes,
            "resource" => &mut resource.attributes,
            _ => &mut scope.as_mut().unwrap().attributes,
        };
        of.push(Attribute::new(key, value));
    }
    Event { resource: Arc::new(resource), scope: scope.map(Arc::new), ..event }
}

impl Row<'_> {
    fn asked_if(&self, name: &str) -> Option<Value> {
        name.contains('.').then(|| self.asked(name)).flatten()
    }
}

fn resource(row: &Row<'_>) -> Resource {
    Resource {
        attributes: row.attributes(),
        dropped_attributes: row.count("dropped_attributes"),
        schema_url: row.text("schema_url"),
    }
}

fn scope(row: &Row<'_>) -> Scope {
    Scope {
        name: row.text("name"),
        version: row.text("version"),
        attributes: row.attributes(),
        dropped_attributes: row.count("dropped_attributes"),
        schema_url: row.text("schema_url"),
    }
}

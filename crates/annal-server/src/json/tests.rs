//! The two directions against each other, and the contract's example by the letter.

use std::sync::Arc;

use annal::event::{
    Attribute, DoubleBits, Endpoint, Event, Kind, Link, Resource, Scope, Signal, SpanEvent, SpanId,
    Status, TraceId, Value,
};
use annal::{ErrorKind, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{read_event, write_event};

const NOW: Timestamp = Timestamp(1_661_169_600_000_000_000);

fn written(event: &Event) -> String {
    let mut out = Vec::new();
    write_event(&mut out, event);
    String::from_utf8(out).unwrap()
}

fn read(line: &str) -> annal::Result<Event> {
    read_event(line.as_bytes(), NOW)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{0,8}", "\\PC{0,8}", Just("\"\\\n\r\t\u{1}\u{7f}é\u{1F600}".to_owned())]
}

fn nested() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(serde_json::json!({})),
        text().prop_map(|v| serde_json::json!({"stringValue": v})),
        any::<i64>().prop_map(|v| serde_json::json!({"intValue": v.to_string()})),
        any::<bool>().prop_map(|v| serde_json::json!({"boolValue": v})),
        (-1e300f64..1e300).prop_map(|v| serde_json::json!({"doubleValue": v})),
        Just(serde_json::json!({"doubleValue": "-Infinity"})),
        Just(serde_json::json!({"bytesValue": "AP8="})),
    ];
    let any = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4)
                .prop_map(|values| serde_json::json!({"arrayValue": {"values": values}})),
            vec((text(), inner), 0..4).prop_map(|entries| {
                let entry = |(key, value)| serde_json::json!({"key": key, "value": value});
                let values: Vec<_> = entries.into_iter().map(entry).collect();
                serde_json::json!({"kvlistValue": {"values": values}})
            }),
        ]
    });
    any.prop_map(|json| super::nested::read_any(&json).unwrap())
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Empty),
        text().prop_map(Value::String),
        any::<i64>().prop_map(Value::Int),
        (-(1i64 << 53) - 2..(1i64 << 53) + 2).prop_map(Value::Int),
        any::<f64>().prop_map(|v| Value::Double(if v.is_nan() {
            f64::NAN.into()
        } else {
            v.into()
        })),
        prop_oneof![Just(-0.0), Just(1.0), Just(f64::NAN), Just(f64::NEG_INFINITY), Just(1e22)]
            .prop_map(|v: f64| Value::Double(DoubleBits::from(v))),
        any::<bool>().prop_map(Value::Bool),
        vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        nested().prop_filter("scalars have short forms", |v| matches!(v, Value::Nested(_))),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<Attribute>> {
    vec((prop_oneof![text(), Just("twice".into())], value()), 0..5)
        .prop_map(|all| all.into_iter().map(|(key, value)| Attribute { key, value }).collect())
}

fn trace_id() -> impl Strategy<Value = TraceId> {
    any::<[u8; 16]>().prop_map(TraceId)
}

fn span_id() -> impl Strategy<Value = SpanId> {
    any::<[u8; 8]>().prop_map(SpanId)
}

fn event() -> impl Strategy<Value = Event> {
    let times = (0..NOW.0, any::<bool>(), option::of((0..NOW.0).prop_map(Timestamp)));
    let names = (0u8..3, text(), text(), any::<bool>());
    let ids = (option::of(trace_id()), any::<bool>(), option::of(span_id()), option::of(span_id()));
    let span = (option::of(any::<i64>()), 0u8..6, 0u8..3, text(), text());
    let marks = (any::<u32>(), any::<bool>(), any::<bool>(), 0u8..25, text());
    let link = (trace_id(), option::of(span_id()), text(), attributes(), any::<u32>());
    let links = vec(link, 0..3);
    let inner = vec((any::<i64>(), text(), attributes(), 0u32..3), 0..3);
    let counts = (any::<u32>(), 0u32..3, 0u32..3);
    let around = (attributes(), 0u32..3, text(), option::of((text(), text(), attributes())));
    let remote = (text(), any::<Option<[u8; 4]>>(), any::<Option<[u8; 16]>>(), any::<u16>());
    let body = option::of(prop_oneof![value(), nested()]);
    let more = (body, attributes(), option::of(remote));
    ((times, names, ids, span, marks), (links, inner, counts, around, more)).prop_map(
        |((times, names, ids, span, marks), (links, inner, counts, around, more))| Event {
            time: Timestamp(times.0),
            time_absent: times.1,
            observed: times.2,
            signal: Signal::from_code(names.0).unwrap(),
            source: names.1,
            event_type: names.2,
            type_from_event_name: names.3,
            trace_id: ids.0,
            trace_id_64: ids.1,
            span_id: ids.2,
            parent_span_id: ids.3,
            duration: span.0,
            kind: Kind::from_code(span.1).unwrap(),
            status: Status::from_code(span.2).unwrap(),
            status_message: span.3,
            trace_state: span.4,
            flags: marks.0,
            shared: marks.1,
            debug: marks.2,
            severity_number: marks.3,
            severity_text: marks.4,
            body: more.0,
            attributes: more.1,
            remote: more.2.map(|(service, ipv4, ipv6, port)| Endpoint {
                service,
                ipv4,
                ipv6,
                port,
            }),
            links: links.into_iter().map(link_of).collect(),
            events: inner.into_iter().map(span_event_of).collect(),
            dropped_attributes: counts.0,
            dropped_events: counts.1,
            dropped_links: counts.2,
            resource: Arc::new(Resource {
                attributes: around.0,
                dropped_attributes: around.1,
                schema_url: around.2,
            }),
            scope: around.3.map(|(name, version, attributes)| {
                Arc::new(Scope { name, version, attributes, ..Scope::default() })
            }),
            ..Event::default()
        },
    )
}

fn link_of(
    (trace_id, span_id, trace_state, attributes, flags): (
        TraceId,
        Option<SpanId>,
        String,
        Vec<Attribute>,
        u32,
    ),
) -> Link {
    Link { trace_id, span_id, trace_state, attributes, dropped_attributes: flags / 2, flags }
}

fn span_event_of(
    (time, name, attributes, dropped_attributes): (i64, String, Vec<Attribute>, u32),
) -> SpanEvent {
    SpanEvent { time: Timestamp(time), name, attributes, dropped_attributes }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn an_event_survives_the_way_to_json_and_back(event in event()) {
        let line = written(&event);
        prop_assert!(!line.contains('\n'));
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        prop_assert_eq!(read(&line).unwrap(), event, "{}", line);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_panic(bytes in vec(any::<u8>(), 0..100)) {
        let _ = read_event(&bytes, NOW);
    }
}

#[test]
fn an_event_is_written_as_the_contract_shows() {
    let event = Event {
        sequence: 184,
        time: NOW,
        signal: Signal::Span,
        source: "cart".into(),
        event_type: "AddItem".into(),
        kind: Kind::Server,
        status: Status::Error,
        trace_id: Some(TraceId([0xab; 16])),
        span_id: Some(SpanId([1; 8])),
        duration: Some(-5),
        resource: Arc::new(Resource {
            attributes: vec![Attribute::new("service.name", Value::String("cart".into()))],
            ..Resource::default()
        }),
        attributes: vec![
            Attribute::new("exact", Value::Int(1 << 53)),
            Attribute::new("big", Value::Int((1 << 53) + 1)),
            Attribute::new("one", Value::Double(1.0.into())),
            Attribute::new("nan", Value::Double(f64::NAN.into())),
            Attribute::new("raw", Value::Bytes(vec![0, 255])),
            Attribute::new("none", Value::Empty),
            Attribute::new("list", Value::Nested(vec![5 << 3 | 2, 4, 10, 2, 2 << 3, 1])),
        ],
        ..Event::default()
    };
    let expected = concat!(
        r#"{"sequence":"184","time":1661169600000000000,"signal":"span","source":"cart","#,
        r#""type":"AddItem","kind":"server","status":"error","duration":-5,"#,
        r#""trace_id":"abababababababababababababababab","span_id":"0101010101010101","#,
        r#""resource":{"service.name":"cart"},"attributes":{"exact":9007199254740992,"#,
        r#""big":{"int64":"9007199254740993"},"one":1.0,"nan":{"double":"NaN"},"#,
        r#""raw":{"bytes":"AP8="},"none":null,"#,
        r#""list":{"arrayValue":{"values":[{"boolValue":true}]}}}}"#,
    );
    assert_eq!(written(&event), expected);
}

#[test]
fn the_short_forms_of_people_are_read() {
    let line = r#"{"time":"2022-08-22T12:00:00Z","source":"cart","type":"sale","message":"hi",
        "attributes":{"tags":["a",1],"cart":{"items":2},"n":7,"x":7.0},"sequence":"9","received":5}"#;
    let event = read(line).unwrap();
    assert_eq!((event.time, event.sequence, event.received.0), (NOW, 0, 0));
    assert_eq!((event.signal, &*event.source, &*event.event_type), (Signal::Event, "cart", "sale"));
    assert_eq!(event.body, Some(Value::String("hi".into())));
    assert_eq!(event.attributes[2].value, Value::Int(7));
    assert_eq!(event.attributes[3].value, Value::Double(7.0.into()));
    let json = written(&event);
    assert!(json.contains(r#""tags":{"arrayValue":{"values":[{"stringValue":"a"},"#), "{json}");
    let log = read(r#"{"signal":"log","message":"no time"}"#).unwrap();
    assert_eq!((log.time, log.time_absent, &*log.event_type), (NOW, true, "log"));
}

#[test]
fn what_a_line_breaks_is_named() {
    for (line, what) in [
        (r#"{"time":1,"type":"x","colour":"red"}"#, "unknown field `colour`"),
        (r#"{"time":1,"type":"x","time":2}"#, "duplicate field `time`"),
        (r#"{"type":"x"}"#, "in field time"),
        (r#"{"time":1}"#, "in field type"),
        (r#"{"time":-1,"type":"x"}"#, "1970"),
        (r#"{"time":9000000000000000000,"type":"x"}"#, "in field time"),
        (r#"{"time":1,"type":"x","observed":-5}"#, "in field observed"),
        (r#"{"time":1,"type":"x","trace_id":"abc"}"#, "in field trace_id"),
        (r#"{"time":1,"type":"x","kind":"boss"}"#, "in field kind"),
        (r#"{"time":1,"type":"x","message":"a","body":{}}"#, "in field body"),
        (r#"{"time":1,"type":"x","attributes":{"a":18446744073709551615}}"#, "attributes.a"),
        (r#"{"time":1,"type":"x","attributes":{"a":{"bytes":"?"}}}"#, "attributes.a"),
        (r#"{"time":1,"type":"x""#, "EOF"),
        (r#"[1]"#, "invalid"),
        ("", "EOF"),
        ("{\"time\":1,\"type\":\"\u{1}\"}", "control character"),
    ] {
        let error = read(line).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{line}");
        assert!(error.to_string().contains(what), "{line}: {error}");
    }
    let deep = format!(r#"{{"time":1,"type":"x","attributes":{{"a":{}}}}}"#, "[".repeat(100_000));
    assert!(read(&deep).is_err());
    assert!(read_event(b"{\"time\":1,\"type\":\"\xff\"}", NOW).is_err());
}

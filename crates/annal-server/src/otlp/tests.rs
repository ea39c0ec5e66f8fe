//! The decoder against prost: whatever a writer may send becomes the events that a plain conversion
//! of prost's objects gives.

mod any;
mod cases;
mod reference;

use annal::codec::put_varint;
use annal::column::BatchView;
use annal::{BatchBuilder, Event, Result, Timestamp};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use proptest::prelude::*;
use prost::Message as _;

use super::{Rejections, Sink, decode_logs, decode_traces};

/// 2022-08-22T12:00:00Z.
const NOW: Timestamp = Timestamp(1_661_169_600_000_000_000);

type Decode = fn(&[u8], &mut BatchBuilder, Timestamp, Sink<'_>) -> Result<Rejections>;

fn decoded(decode: Decode, body: &[u8]) -> Result<(Vec<Event>, Rejections)> {
    let mut builder = BatchBuilder::new();
    decoded_with(decode, body, &mut builder).map(|(events, rejections, _)| (events, rejections))
}

fn decoded_with(
    decode: Decode,
    body: &[u8],
    builder: &mut BatchBuilder,
) -> Result<(Vec<Event>, Rejections, usize)> {
    let mut batches = Vec::new();
    let outcome = decode(body, builder, NOW, &mut |batch| {
        batches.push(batch);
        Ok(())
    });
    assert_eq!(builder.events(), 0, "the builder is left empty");
    let rejections = outcome?;
    let mut events = Vec::new();
    for batch in &batches {
        let view = BatchView::open(batch.header(), batch.payload()).unwrap();
        let rows: Vec<u32> = (0..view.events() as u32).collect();
        events.extend(view.materialise(batch.header(), &rows).unwrap());
    }
    Ok((events, rejections, batches.len()))
}

/// What two ways to the same event may differ in: the order of attributes, and what the store
/// gives.
fn canonical(mut events: Vec<Event>) -> Vec<Event> {
    let sort = |attributes: &mut Vec<annal::event::Attribute>| {
        attributes.sort_by(|a, b| (&a.key, format!("{a:?}")).cmp(&(&b.key, format!("{b:?}"))));
    };
    for event in &mut events {
        event.sequence = 0;
        event.received = Timestamp(0);
        sort(&mut event.attributes);
        event.links.iter_mut().for_each(|link| sort(&mut link.attributes));
        event.events.iter_mut().for_each(|inner| sort(&mut inner.attributes));
        sort(&mut std::sync::Arc::make_mut(&mut event.resource).attributes);
        if let Some(scope) = &mut event.scope {
            sort(&mut std::sync::Arc::make_mut(scope).attributes);
        }
    }
    events
}

/// Messages whose fields are put into another order: number of the field, what it holds.
#[derive(Clone, Copy)]
struct Shape(&'static [(u64, Shape)]);

const LEAF: Shape = Shape(&[]);
const KEY_VALUE: Shape = Shape(&[]);
const RESOURCE: Shape = Shape(&[(1, KEY_VALUE)]);
const SCOPE: Shape = Shape(&[(3, KEY_VALUE)]);
const SPAN: Shape = Shape(&[
    (9, KEY_VALUE),
    (11, Shape(&[(3, KEY_VALUE)])),
    (13, Shape(&[(4, KEY_VALUE)])),
    (15, LEAF),
]);
const LOG: Shape = Shape(&[(6, KEY_VALUE)]);
const TRACES: Shape = Shape(&[(1, Shape(&[(1, RESOURCE), (2, Shape(&[(1, SCOPE), (2, SPAN)]))]))]);
const LOGS: Shape = Shape(&[(1, Shape(&[(1, RESOURCE), (2, Shape(&[(1, SCOPE), (2, LOG)]))]))]);

/// Writes the fields of a message in descending order of their numbers, those of one number as they
/// were, and an unknown field between them.
fn reordered(bytes: &[u8], shape: Shape) -> Vec<u8> {
    let mut fields: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut rest = super::wire::Fields::new(bytes);
    let mut start = 0;
    while let Some((number, content)) = rest.next().unwrap() {
        let mut raw = bytes[start..rest.at()].to_vec();
        if let (Some((_, shape)), super::wire::Content::Bytes(inner)) =
            (shape.0.iter().find(|(n, _)| *n == number), content)
        {
            let inner = reordered(inner, *shape);
            raw = Vec::new();
            put_varint(&mut raw, number << 3 | 2);
            put_varint(&mut raw, inner.len() as u64);
            raw.extend_from_slice(&inner);
        }
        fields.push((number, raw));
        start = rest.at();
    }
    fields.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let mut out = Vec::new();
    for (_, raw) in fields {
        out.extend_from_slice(&raw);
        // Field 900, a varint: what a later version of the protocol might bring.
        out.extend_from_slice(&[0xa0, 0x38, 7]);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn traces_become_the_events_of_a_plain_conversion_in_any_order_of_fields(
        request in any::traces(),
    ) {
        let (expected, refused) = reference::traces(&request, NOW);
        for body in [request.encode_to_vec(), reordered(&request.encode_to_vec(), TRACES)] {
            let (events, rejections) = decoded(decode_traces, &body).unwrap();
            prop_assert_eq!(rejections.events, refused);
            prop_assert_eq!(canonical(events), canonical(expected.clone()));
        }
    }

    #[test]
    fn logs_become_the_events_of_a_plain_conversion_in_any_order_of_fields(request in any::logs()) {
        let (expected, refused) = reference::logs(&request, NOW);
        for body in [request.encode_to_vec(), reordered(&request.encode_to_vec(), LOGS)] {
            let (events, rejections) = decoded(decode_logs, &body).unwrap();
            prop_assert_eq!(rejections.events, refused);
            prop_assert_eq!(canonical(events), canonical(expected.clone()));
        }
    }

    #[test]
    fn damaged_requests_are_decoded_or_refused_and_never_panic(
        request in any::traces(),
        logs in any::logs(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for (decode, mut body) in [
            (decode_traces as Decode, request.encode_to_vec()),
            (decode_logs as Decode, logs.encode_to_vec()),
        ] {
            if body.is_empty() {
                continue;
            }
            for (at, byte) in &damage {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            let _ = decoded(decode, &body);
        }
    }

    #[test]
    fn garbage_is_refused_or_means_nothing(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decoded(decode_traces, &body);
        let _ = decoded(decode_logs, &body);
    }
}

#[test]
fn a_request_cut_anywhere_is_decoded_exactly_where_prost_decodes_it() {
    let traces = any::sample(any::traces()).encode_to_vec();
    let logs = any::sample(any::logs()).encode_to_vec();
    assert!(traces.len() > 200 && logs.len() > 200);
    for length in 0..traces.len() {
        let ours = decoded(decode_traces, &traces[..length]).is_ok();
        let theirs = ExportTraceServiceRequest::decode(&traces[..length]).is_ok();
        assert_eq!(ours, theirs, "traces cut at {length}");
    }
    for length in 0..logs.len() {
        let ours = decoded(decode_logs, &logs[..length]).is_ok();
        let theirs = ExportLogsServiceRequest::decode(&logs[..length]).is_ok();
        assert_eq!(ours, theirs, "logs cut at {length}");
    }
}

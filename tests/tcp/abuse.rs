//! Bad input: each gets a named error and a counter, and harms nobody else.

use annal::ErrorKind;
use annal::codec::{crc32, put_varint, zigzag};
use annal::format::frame::{Codec, FrameHeader};
use annal::net::message::{Hello, Message};
use annal::{Batch, Timestamp};
use tokio::io::AsyncWriteExt;

use crate::support::{NOON_NS, PRODUCER, Raw, Served, batch, frame, hello, numbered};

/// A frame with anything in it, header fields that follow from the payload put right.
fn forged(payload: Vec<u8>, edit: impl Fn(&mut FrameHeader)) -> Vec<u8> {
    let mut header = FrameHeader {
        stored_length: payload.len() as u32,
        raw_length: payload.len() as u32,
        min_time: Timestamp(NOON_NS),
        max_time: Timestamp(NOON_NS),
        events: 1,
        epoch: 1,
        producer_id: PRODUCER,
        payload_crc: crc32(&payload),
        ..FrameHeader::default()
    };
    edit(&mut header);
    [&header.encode()[..], &payload].concat()
}

/// A good batch with an altered header.
fn claiming(edit: impl Fn(&mut FrameHeader)) -> Vec<u8> {
    let good: Batch = numbered(0, 10, 0);
    let mut header = *good.header();
    edit(&mut header);
    [&header.encode()[..], good.payload()].concat()
}

/// What one column of a payload is made of.
struct Column {
    id: &'static [u8],
    encoding: u8,
    body: Vec<u8>,
}

/// A payload of events with constant times, all of one type and with one attribute.
fn payload(events: u64, event_type: &[u8], value: &[u8], time_ns: i64) -> Vec<u8> {
    let constant = |value: i64| {
        let mut body = Vec::new();
        put_varint(&mut body, zigzag(value));
        body
    };
    let text = |value: &[u8]| {
        let mut body = vec![1];
        put_varint(&mut body, value.len() as u64);
        [body, value.to_vec()].concat()
    };
    let columns = [
        Column { id: &[0, 1, 1], encoding: 16, body: text(b"s") },
        Column { id: &[2, 0, 1, 1, b'k', 0], encoding: 16, body: text(value) },
        Column { id: &[2, 7, 2], encoding: 1, body: constant(0) },
        Column { id: &[2, 9, 2], encoding: 1, body: constant(time_ns) },
        Column { id: &[2, 11, 2], encoding: 1, body: constant(2) },
        Column { id: &[2, 12, 1], encoding: 16, body: text(event_type) },
    ];
    let mut out = vec![1];
    [1, 0, events, 0, 0].into_iter().for_each(|rows| put_varint(&mut out, rows));
    out.extend([0, columns.len() as u8]);
    for column in &columns {
        out.extend_from_slice(column.id);
        out.extend([0, column.encoding]);
        put_varint(&mut out, column.body.len() as u64);
        // No tail.
        out.push(0);
    }
    columns.iter().for_each(|column| out.extend_from_slice(&column.body));
    out
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

/// Name, body of an append, expected kind and field.
type Case = (&'static str, Vec<u8>, ErrorKind, Option<&'static str>);

fn bad_appends() -> Vec<Case> {
    use ErrorKind::{Invalid, Limit, Unsupported};
    let good = frame(&numbered(0, 10, 0));
    let with = |at: usize, byte: u8| {
        let mut frame = good.clone();
        frame[at] ^= byte;
        frame
    };
    let plain = || payload(1, b"type", b"v", NOON_NS);
    let at_once = |events: u32| move |h: &mut FrameHeader| h.events = events;
    let bomb = zstd(&vec![0; 100 << 20]);
    let two_days_ns = 2 * 86_400 * 1_000_000_000;
    let ahead = annal::time::Clock::now(&annal::time::SystemClock::new()).0 + two_days_ns;
    let at = |time: i64| {
        forged(payload(1, b"type", b"v", time), move |h| {
            (h.min_time, h.max_time) = (Timestamp(time), Timestamp(time));
        })
    };
    let unknown_encoding = {
        let mut payload = plain();
        let at = payload.windows(5).position(|w| w == [2, 7, 2, 0, 1]).unwrap();
        payload[at + 4] = 99;
        payload
    };
    vec![
        ("no whole frame header", good[..100].to_vec(), Invalid, Some("length")),
        ("truncated frame", good[..good.len() - 1].to_vec(), Invalid, Some("stored_length")),
        ("bytes behind the frame", [&good[..], b"x"].concat(), Invalid, Some("stored_length")),
        ("damaged frame header", with(100, 1), Invalid, Some("crc")),
        ("damaged payload", with(200, 1), Invalid, Some("payload_crc")),
        ("wrong magic", with(0, 1), Invalid, Some("magic")),
        ("unknown frame version", with(4, 8), Unsupported, Some("version")),
        ("stored length", claiming(|h| h.stored_length = 9 << 20), Limit, Some("stored_length")),
        ("raw length", claiming(|h| h.raw_length = 9 << 20), Limit, Some("raw_length")),
        ("count of events", claiming(|h| h.events = 70_000), Limit, Some("events")),
        ("other count of events", claiming(|h| h.events = 11), Invalid, Some("events")),
        ("other times", claiming(|h| h.min_time.0 += 1), Invalid, Some("min_time")),
        ("other raw length", claiming(|h| h.raw_length += 1), Invalid, Some("raw_length")),
        ("another's producer", claiming(|h| h.producer_id.0[0] ^= 1), Invalid, Some("producer_id")),
        ("another epoch", claiming(|h| h.epoch = 2), Invalid, Some("producer_id")),
        ("a salt", claiming(|h| h.salt = 1), Invalid, Some("salt")),
        ("a sequence", claiming(|h| h.first_sequence = 1), Invalid, Some("first_sequence")),
        (
            "a kind",
            claiming(|h| h.kind = annal::format::frame::FrameKind::Seal),
            Invalid,
            Some("kind"),
        ),
        (
            "zstd bomb",
            forged(bomb, |h| (h.codec, h.raw_length) = (Codec::Zstd, 8 << 20)),
            Invalid,
            Some("raw_length"),
        ),
        ("no zstd", forged(plain(), |h| h.codec = Codec::Zstd), Invalid, None),
        (
            "bytes behind the zstd frame",
            forged([zstd(&plain()), vec![0]].concat(), |h| {
                (h.codec, h.raw_length) = (Codec::Zstd, plain().len() as u32);
            }),
            Invalid,
            None,
        ),
        (
            "columnar bomb",
            forged(payload(65_536, b"type", &[b'v'; 60_000], NOON_NS), at_once(65_536)),
            Limit,
            Some("expanded_bytes"),
        ),
        ("unknown encoding", forged(unknown_encoding, |_| ()), Unsupported, Some("resource")),
        (
            "text not UTF-8",
            forged(payload(1, b"\xff", b"v", NOON_NS), |_| ()),
            Invalid,
            Some("type"),
        ),
        ("a day ahead and more", at(ahead), Invalid, Some("time")),
        ("before 1970", at(-1), Invalid, Some("time")),
        ("no payload", forged(Vec::new(), |_| ()), Invalid, None),
        ("no such payload", forged(b"\x09hello".to_vec(), |_| ()), Unsupported, Some("payload")),
        ("gap in the numbers", frame(&numbered(0, 10, 5)), ErrorKind::OutOfSequence, None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_append_gets_its_named_error_and_harms_nobody() {
    let served = Served::start().await;
    let other = annal::net::ClientOptions { producer: None, ..crate::support::options() };
    let other = annal::net::Client::connect(&served.address, other).await.unwrap();
    let (mut raw, _) = Raw::welcomed(&served.address).await;
    let mut stored = 0;
    for (request, (name, body, kind, field)) in (1..).zip(bad_appends()) {
        let reason = kind.policy().name;
        let before = served.rejected(reason);
        raw.append(request, body).await;
        let (answered, failure) = raw.failure().await;
        let told = failure.to_error();
        assert_eq!((answered, failure.fatal), (request, false), "{name}: {told:?}");
        assert_eq!(told.kind(), kind, "{name}: {told:?}");
        if field.is_some() {
            assert_eq!(told.field(), field, "{name}: {told:?}");
        }
        assert!(served.rejected(reason) > before, "{name} is not counted");
        other.append(batch(1_000 + stored, 1)).await.unwrap().await.unwrap();
        stored += 1;
    }
    // The connection that sent all of this goes on too, with the number that none has consumed.
    raw.append(1_000, frame(&numbered(0, 10, 0))).await;
    assert!(matches!(raw.answer().await, Some((1_000, Message::Ack(_)))));
    assert_eq!(served.events(), (0..10).chain(1_000..1_000 + stored).collect::<Vec<_>>());
    drop(raw);
    other.close().await;
    served.stop().await;
}

fn encoded(request: u64, message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(request, &mut out);
    out
}

/// Name, bytes behind the welcome, expected kind and field.
fn broken_streams() -> Vec<Case> {
    use ErrorKind::{Invalid, Limit, Unsupported};
    let ping = encoded(1, &Message::Ping(b"x".to_vec().into()));
    let with = |at: usize, byte: u8| {
        let mut bytes = ping.clone();
        bytes[at] ^= byte;
        bytes
    };
    let good = Message::Append(frame(&numbered(0, 10, 0)).into());
    vec![
        ("checksum", with(20, 1), Invalid, Some("crc")),
        ("length", with(3, 0x7f), Limit, Some("length")),
        ("unknown type", with(4, 0x40), Unsupported, Some("type")),
        ("unknown flag", with(5, 0x40), Unsupported, Some("flags")),
        ("reserved", with(6, 1), Invalid, Some("reserved")),
        ("second hello", encoded(0, &hello()), Invalid, Some("type")),
        ("a server's message", encoded(1, &Message::Ack(1)), Invalid, Some("type")),
        ("append without a request", encoded(0, &good), Invalid, Some("request")),
        ("half a message", ping[..ping.len() - 1].to_vec(), Invalid, None),
        ("half an envelope", ping[..10].to_vec(), Invalid, None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_stream_ends_with_an_error_and_alone() {
    let served = Served::start().await;
    let other = annal::net::ClientOptions { producer: None, ..crate::support::options() };
    let other = annal::net::Client::connect(&served.address, other).await.unwrap();
    for (name, bytes, kind, field) in broken_streams() {
        let before = served.rejected(kind.policy().name);
        let (mut raw, welcome) = Raw::welcomed(&served.address).await;
        assert_eq!(welcome.next_batch_number, None, "nothing was stored under the producer");
        raw.stream.write_all(&bytes).await.unwrap();
        raw.stream.shutdown().await.unwrap();
        let (request, failure) = raw.failure().await;
        let told = failure.to_error();
        assert_eq!((request, failure.fatal), (0, true), "{name}: {told:?}");
        assert_eq!((told.kind(), told.field()), (kind, field), "{name}: {told:?}");
        assert!(raw.next().await.is_none(), "{name}: the connection goes on");
        assert!(served.rejected(kind.policy().name) > before, "{name} is not counted");
        other.append(batch(0, 1)).await.unwrap().await.unwrap();
    }
    other.close().await;
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_hello_is_refused() {
    use ErrorKind::{Invalid, Unsupported};
    let served = Served::start().await;
    let with = |oldest, newest| {
        encoded(
            0,
            &Message::Hello(Hello {
                version_oldest: oldest,
                version_newest: newest,
                producer: None,
                name: String::new(),
            }),
        )
    };
    let cases: Vec<Case> = vec![
        ("HTTP", b"GET / HTTP/1.1\r\nHost: annal\r\n\r\n".to_vec(), Unsupported, Some("flags")),
        ("zeroes", vec![0; 64], Unsupported, Some("type")),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and what follows in a hello".to_vec(),
            Invalid,
            Some("reserved"),
        ),
        ("a ping first", encoded(1, &Message::Ping(Vec::new().into())), Invalid, Some("type")),
        ("later versions only", with(2, 9), Unsupported, Some("version")),
        ("no version", with(1, 0), Unsupported, Some("version")),
    ];
    for (name, bytes, kind, field) in cases {
        let mut raw = Raw::connect(&served.address).await;
        raw.stream.write_all(&bytes).await.unwrap();
        let (_, failure) = raw.failure().await;
        let told = failure.to_error();
        assert!(failure.fatal, "{name}");
        assert_eq!((told.kind(), told.field()), (kind, field), "{name}: {told:?}");
        assert!(raw.next().await.is_none(), "{name}");
    }
    let mut raw = Raw::connect(&served.address).await;
    raw.stream.write_all(&with(1, 9)).await.unwrap();
    let Some((_, Message::Welcome(welcome))) = raw.next().await else { panic!("not welcome") };
    assert_eq!(welcome.version, 1);
    drop(raw);
    served.stop().await;
}

//! Conformance vectors: `<name>.bin` is what comes over the wire, `<name>.txt` what a receiver that
//! knows version 1 makes of it. `ANNAL_WRITE_VECTORS=1` writes them anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use annal::net::envelope::{HEAD_BYTES, Parsed, parse};
use annal::net::message::{Message, split_frame};
use bytes::Bytes;

use super::samples;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire")
}

/// Replaces bytes of the body and puts the checksum right again.
fn altered(mut message: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    message[HEAD_BYTES + at..HEAD_BYTES + at + bytes.len()].copy_from_slice(bytes);
    sealed(message)
}

/// Puts length and checksum of a message right.
fn sealed(mut message: Vec<u8>) -> Vec<u8> {
    let length = (message.len() - HEAD_BYTES) as u32;
    message[..4].copy_from_slice(&length.to_le_bytes());
    let covered = [&message[..16], &message[HEAD_BYTES..]].concat();
    message[16..20].copy_from_slice(&annal::codec::crc32(&covered).to_le_bytes());
    message
}

/// All vectors: name and bytes.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let mut vectors: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, request, message) in samples() {
        let mut bytes = Vec::new();
        message.encode(request, &mut bytes);
        vectors.push((name.to_owned(), bytes));
    }
    let of = |name: &str| vectors.iter().find(|(n, _)| n == name).unwrap().1.clone();
    let edited = |name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = of(name);
        edit(&mut bytes);
        bytes
    };
    let damaged = vec![
        ("truncated-envelope", of("ack")[..HEAD_BYTES - 1].to_vec()),
        ("truncated-body", edited("ack", &|b| b.truncate(b.len() - 1))),
        ("wrong-checksum", edited("ack", &|b| b[HEAD_BYTES] ^= 1)),
        ("flipped-request", edited("ack", &|b| b[8] ^= 1)),
        ("oversized-length", edited("ack", &|b| b[3] = 0x7f)),
        ("unknown-type", edited("ack", &|b| b[4] = 200)),
        ("unknown-type-to-skip", {
            let mut bytes = of("ack");
            (bytes[4], bytes[5]) = (200, 1);
            sealed(bytes)
        }),
        ("unknown-flag", edited("ack", &|b| b[5] = 2)),
        ("reserved-set", edited("ack", &|b| b[6] = 1)),
        ("http-request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("hello-wrong-magic", altered(of("hello"), 0, b"ANLx")),
        ("hello-unknown-flag", altered(of("hello"), 8, &[3, 0])),
        ("hello-name-not-utf8", altered(of("hello"), 32, &[0xff])),
        ("hello-name-too-long", altered(of("hello"), 10, &[1, 1])),
        ("hello-name-beyond-the-body", altered(of("hello"), 10, &[9, 0])),
        ("hello-zero-producer", altered(of("hello"), 12, &[0; 16])),
        ("hello-other-versions", altered(of("hello"), 4, &[2, 0, 9, 0])),
        ("hello-extension-to-skip", {
            let mut bytes = of("hello");
            bytes.extend_from_slice(&[1, 0, 2, 0, 0xaa, 0xbb]);
            sealed(bytes)
        }),
        ("hello-extension-required", {
            let mut bytes = of("hello");
            bytes.extend_from_slice(&[1, 0x80, 0, 0]);
            sealed(bytes)
        }),
        ("ack-left-over", {
            let mut bytes = of("credits");
            bytes.extend_from_slice(&[0; 3]);
            bytes[4] = 5;
            sealed(bytes)
        }),
        ("append-without-header", {
            let mut bytes = of("append");
            bytes.truncate(HEAD_BYTES + 100);
            sealed(bytes)
        }),
        ("append-wrong-header-checksum", altered(of("append"), 124, &[0; 4])),
        ("append-other-payload-length", {
            let mut bytes = of("append");
            bytes.push(0);
            sealed(bytes)
        }),
        ("append-unknown-version", altered(of("append"), 4, &[2, 0])),
        ("query-unknown-signal", altered(of("query"), 26, &[9, 0])),
        ("query-expression-too-long", altered(of("query"), 88, &[1, 0, 1, 0])),
        ("query-data-claims-too-many", altered(of("query-data"), 0, &[0xff; 8])),
    ];
    vectors.extend(damaged.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)));
    vectors
}

/// What a receiver makes of the bytes, in one line.
fn outcome(bytes: &[u8]) -> String {
    let bytes = Bytes::copy_from_slice(bytes);
    let error = |e: annal::Error, what: &str| {
        let mut line = format!("{what} {}", e.kind());
        if let Some(field) = e.field() {
            let _ = write!(line, " field={field}");
        }
        line
    };
    let (head, body) = match parse(&bytes) {
        Err(e) => return error(e, "connection-error"),
        Ok(Parsed::Needs(needed)) => return format!("needs {needed} bytes"),
        Ok(Parsed::Message(head, body)) => (head, bytes.slice_ref(body)),
    };
    let Some(kind) = head.known_kind() else { return "skip".to_owned() };
    match Message::decode(kind, &body) {
        Err(e) => error(e, "connection-error"),
        Ok(Message::Append(frame)) => match split_frame(&frame) {
            Err(e) => error(e, "append-error"),
            Ok((header, payload)) => format!(
                "append request={} events={} batch_number={} payload_bytes={}",
                head.request,
                header.events,
                header.batch_number,
                payload.len()
            ),
        },
        Ok(message) => {
            format!(
                "message {:?} request={} body_bytes={}",
                message.kind(),
                head.request,
                body.len()
            )
        }
    }
}

#[test]
fn the_conformance_vectors_are_what_the_code_sends_and_makes_of_them() {
    let write = std::env::var_os("ANNAL_WRITE_VECTORS").is_some();
    let mut names = vec!["README.md".to_owned()];
    for (name, bytes) in vectors() {
        let line = format!("{}\n", outcome(&bytes));
        let (bin, txt) = (format!("{name}.bin"), format!("{name}.txt"));
        if write {
            std::fs::write(folder().join(&bin), &bytes).unwrap();
            std::fs::write(folder().join(&txt), &line).unwrap();
        }
        assert_eq!(std::fs::read(folder().join(&bin)).unwrap(), bytes, "{name}");
        assert_eq!(std::fs::read_to_string(folder().join(&txt)).unwrap(), line, "{name}");
        names.extend([bin, txt]);
    }
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is no vector");
    }
}

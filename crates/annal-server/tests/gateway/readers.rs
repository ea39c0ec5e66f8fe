//! Clients that ask for much and do not read it: they are cut off, and hold little until then.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use annal::ingest::IngestOptions;
use annal_server::http::HttpOptions;

use crate::harness::Server;

const LARGE: &str = "/api/v1/events?limit=5";

/// With events of 4 MB: what five of them take is more than the kernel buffers for a connection.
fn server_of_large_events(options: HttpOptions) -> Server {
    let server = Server::with(options, IngestOptions::default());
    let value = "v".repeat(64_000);
    let attributes: Vec<_> = (0..62).map(|i| format!("\"k{i}\":\"{value}\"")).collect();
    let attributes = attributes.join(",");
    let line =
        format!("{{\"time\":1,\"source\":\"a\",\"type\":\"x\",\"attributes\":{{{attributes}}}}}\n");
    for _ in 0..5 {
        assert_eq!(server.post("/api/v1/events", &[], line.as_bytes()).status, 200);
    }
    server
}

/// Asks, and never reads.
fn ask_and_look_away(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    write!(stream, "GET {LARGE} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    while server.metric("annal_http_unsent_bytes") == 0 {
        std::thread::yield_now();
    }
    stream
}

#[test]
fn answers_that_nobody_reads_leave_room_for_small_ones_and_end_with_their_connection() {
    let options = HttpOptions { unsent_bytes_max: 1 << 20, ..HttpOptions::default() };
    let server = server_of_large_events(options);
    let stream = ask_and_look_away(&server);
    let refused = server.get(LARGE);
    assert_eq!(refused.status, 429, "{}", refused.head);
    assert_eq!(refused.json()["error"]["kind"], "Busy");
    assert_eq!(refused.json()["error"]["retry_after_ms"], 1_000);
    assert_eq!(server.count(), 5);
    drop(stream);
    while server.metric("annal_http_unsent_bytes") > 0 {
        std::thread::yield_now();
    }
    let answer = server.get(LARGE);
    assert_eq!(answer.json()["events"].as_array().unwrap().len(), 5);
    assert_eq!(server.metric("annal_http_connections_cut_total"), 0);
}

#[test]
fn who_does_not_read_is_cut_off_and_counted() {
    let options =
        HttpOptions { write_timeout: Duration::from_millis(300), ..HttpOptions::default() };
    let server = server_of_large_events(options);
    let streams = [ask_and_look_away(&server), ask_and_look_away(&server)];
    while server.metric("annal_http_connections_cut_total") < 2 {
        std::thread::yield_now();
    }
    while server.metric("annal_http_unsent_bytes") > 0 {
        std::thread::yield_now();
    }
    assert_eq!(server.count(), 5);
    drop(streams);
}

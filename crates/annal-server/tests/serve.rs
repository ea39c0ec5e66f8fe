//! `annal serve` and those who send to it: addresses, locks, an orderly end, kills.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use annal::net::{BlockingClient, ClientOptions};
use annal::{Batch, BatchBuilder, Event, Timestamp};
use support::{Server, annal, count, expect, run, stderr, text};

#[test]
fn a_terminated_server_finishes_seals_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        // Whatever is missing of the path is made.
        let data = directory.path().join("parent/store");
        let server = Server::start(&data);
        let url = server.tcp.clone();
        expect(0, &["generate", "--events", "5000", "--url", &url]);
        server.signal(signal);
        let (code, said) = server.ended();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.ends_with("annal: stopped\n"), "{said}");
        assert_eq!(count(&data), 5_000);
        assert!(expect(0, &["verify", "--data", text(&data)]).is_empty());
        let again = Server::start(&data);
        let (_, said) = again.terminate();
        assert!(!said.contains("unclean"), "{said}");
    }
}

#[test]
fn a_store_that_is_served_is_locked_and_the_url_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let server = Server::start(&data);
    for arguments in [
        &["query", "--count"][..],
        &["inspect"],
        &["verify"],
        &["generate", "--events", "1"],
        &["serve", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"],
    ] {
        let output = run(&[arguments, &["--data", text(&data)]].concat());
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(&server.http), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_taken_address_is_named_and_the_store_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (http, tcp) in [(&*address, "127.0.0.1:0"), ("127.0.0.1:0", &*address)] {
        let output = run(&["serve", "--data", text(&data), "--http", http, "--tcp", tcp]);
        assert_eq!(output.status.code(), Some(3));
        assert!(stderr(&output).contains(&address), "{}", stderr(&output));
        assert!(!data.exists());
    }
}

/// The value of a metric; `None` if the server does not answer now.
fn metric_or_none(http: &str, name: &str) -> Option<u64> {
    let mut answer = ureq::get(&format!("{http}/metrics")).call().ok()?;
    let page = answer.body_mut().read_to_string().unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Some(line.unwrap_or_else(|| panic!("{name} is not in {page}")).parse().unwrap())
}

fn metric(http: &str, name: &str) -> u64 {
    metric_or_none(http, name).unwrap()
}

fn batch(number: u64) -> Batch {
    let mut builder = BatchBuilder::new();
    for i in 0..500 {
        let time = Timestamp(1_661_169_600_000_000_000 + (number * 500 + i) as i64);
        let noise = (number * 500 + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let noise = (noise ^ (noise >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let id = annal::event::Value::Int(noise as i64);
        let attributes = vec![annal::event::Attribute::new("id", id)];
        let (source, event_type) = ("cart".into(), "x".into());
        builder.push(&Event { time, source, event_type, attributes, ..Event::default() }).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn idle_connections_leave_the_store_the_descriptors_that_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let server = Server::start_after("ulimit -n 64", &data, &["--segment-bytes", "64KiB"]);
    let client =
        BlockingClient::connect(&server.tcp.replace("tcp://", ""), ClientOptions::default())
            .unwrap();
    let addresses = [server.http.replace("http://", ""), server.tcp.replace("tcp://", "")];
    let idle: Vec<_> =
        (0..80).map(|i| TcpStream::connect(addresses[i % 2].as_str()).unwrap()).collect();
    for number in 0..60 {
        client.append(batch(number)).unwrap().wait().unwrap();
    }
    client.close();
    drop(idle);
    // Those that were taken are given back, and others are served.
    while metric_or_none(&server.http, "annal_segments").is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(metric(&server.http, "annal_segments") > 2);
    assert!(metric(&server.http, "annal_http_connections_refused_total") > 0);
    assert_eq!(server.terminate().0, Some(0));
    assert_eq!(count(&data), 30_000);
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_after("ulimit -S -n 64", &directory.path().join("store"), &[]);
    let address = server.http.replace("http://", "");
    let idle: Vec<_> = (0..100).map(|_| TcpStream::connect(&*address).unwrap()).collect();
    assert!(metric(&server.http, "annal_http_connections") > 100);
    drop(idle);
    assert_eq!(server.terminate().0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_whose_storage_fails_says_why_and_ends_with_5() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let server = Server::start_after("trap '' XFSZ", &data, &[]);
    expect(0, &["generate", "--events", "10", "--url", &server.tcp]);
    // The segment is there; from here on the system refuses to write to most of it.
    let limit = Rlimit { current: Some(8_192), maximum: Some(8_192) };
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::Fsize, limit).unwrap();
    let sent = run(&["generate", "--events", "20000", "--url", &server.tcp]);
    assert_eq!(sent.status.code(), Some(5), "{}", stderr(&sent));
    let row = "annal_rejected_total{protocol=\"tcp\",reason=\"Poisoned\"}";
    assert!(metric(&server.http, row) > 0, "what could not become durable is counted");
    let (code, said) = server.ended();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("annal: storage failed (") && said.contains("File too large"), "{said}");
    assert!(!said.contains("sync"), "{said}");
}

#[test]
fn what_is_refused_over_tcp_stands_on_the_page_of_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("store"));
    let tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and what follows in a hello";
    let said: [(&str, &[u8]); 2] =
        [("Unsupported", b"GET / HTTP/1.1\r\nHost: annal\r\n\r\n"), ("Invalid", tls)];
    for (reason, bytes) in said {
        let mut stream = TcpStream::connect(server.tcp.replace("tcp://", "")).unwrap();
        stream.write_all(bytes).unwrap();
        // Until the server has told its error and ended the connection.
        let mut told = Vec::new();
        stream.read_to_end(&mut told).unwrap();
        assert!(!told.is_empty());
        let row = format!("annal_rejected_total{{protocol=\"tcp\",reason=\"{reason}\"}}");
        assert_eq!(metric(&server.http, &row), 1);
    }
    assert_eq!(server.terminate().0, Some(0));
}

#[test]
fn settings_come_from_a_file_too() {
    let directory = tempfile::tempdir().unwrap();
    let (data, config) = (directory.path().join("store"), directory.path().join("annal.toml"));
    fs::write(&config, "segment_bytes = \"64KiB\"\nretention_age = \"9000d\"\n").unwrap();
    let server = Server::start_at(&data, "127.0.0.1:0", &["--config", text(&config)]);
    expect(0, &["generate", "--events", "60000", "--url", &server.tcp]);
    assert_eq!(server.terminate().0, Some(0));
    let segments = expect(0, &["inspect", "--data", text(&data), "--json"]);
    assert!(segments.lines().filter(|l| l.contains("\"segment\"")).count() > 2, "{segments}");
    fs::write(&config, "retention = \"90d\"\n").unwrap();
    expect(2, &["serve", "--data", text(&data), "--config", text(&config)]);
}

#[test]
fn an_import_that_is_killed_goes_on_with_resume_and_nothing_is_stored_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("e.otlp"), directory.path().join("store"));
    expect(0, &["generate", "--events", "150000", "--format", "otlp-proto", "--out", text(&file)]);
    let server = Server::start(&data);
    let arguments =
        ["import", "--url", &server.tcp, "--format", "otlp-proto", "--resume", text(&file)];
    for pause_ms in [0, 40, 90, 160] {
        let mut child =
            annal().args(arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause_ms));
        // It may have ended already: then there is nothing left to resume.
        let _ = child.kill();
        child.wait().unwrap();
    }
    expect(0, &arguments);
    assert_eq!(server.terminate().0, Some(0));
    assert_eq!(count(&data), 150_000);
}

#[test]
fn an_import_survives_a_kill_of_the_server_and_nothing_is_stored_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("e.otlp"), directory.path().join("store"));
    expect(0, &["generate", "--events", "150000", "--format", "otlp-proto", "--out", text(&file)]);
    let server = Server::start(&data);
    let (url, address) = (server.tcp.clone(), server.tcp.replace("tcp://", ""));
    let arguments = ["import", "--url", &url, "--format", "otlp-proto", text(&file)];
    let import = annal().args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(150));
    server.kill();
    let server = Server::start_at(&data, &address, &[]);
    let output = import.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.terminate().0, Some(0));
    assert_eq!(count(&data), 150_000);
    assert!(expect(0, &["verify", "--data", text(&data)]).is_empty());
}

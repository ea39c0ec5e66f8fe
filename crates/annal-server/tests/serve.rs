//! `annal serve` and those who send to it: addresses, locks, an orderly end, kills.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use support::{Server, annal, count, expect, run, stderr, text};

#[test]
fn a_terminated_server_finishes_seals_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("store");
        let server = Server::start(&data);
        let url = server.tcp.clone();
        expect(0, &["generate", "--events", "5000", "--url", &url]);
        server.signal(signal);
        let (code, said) = server.terminate();
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

//! The commands as a person or a script meets them: what they print where, and how they end.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use support::{Server, annal, count, expect, run, run_with_input, stderr, text};

fn lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_same_seed_makes_the_same_bytes_in_both_formats() {
    for format in ["ndjson", "otlp-proto"] {
        let make =
            |seed| run(&["generate", "--events", "500", "--seed", seed, "--format", format]).stdout;
        assert_eq!(make("3"), make("3"), "{format}");
        assert_ne!(make("3"), make("4"), "{format}");
    }
    assert_eq!(expect(0, &["generate", "--events", "777"]).lines().count(), 777);
}

#[test]
fn what_was_generated_comes_back_the_same_from_either_format_and_from_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let generated = expect(0, &["generate", "--events", "3000"]);
    fs::write(path("e.ndjson"), &generated).unwrap();
    expect(
        0,
        &["generate", "--events", "3000", "--format", "otlp-proto", "--out", text(&path("e.otlp"))],
    );
    expect(0, &["generate", "--events", "3000", "--data", text(&path("direct"))]);
    for (store, format, file) in [("a", "ndjson", "e.ndjson"), ("b", "otlp-proto", "e.otlp")] {
        let (store, file) = (path(store), path(file));
        expect(0, &["import", "--data", text(&store), "--format", format, text(&file)]);
    }
    // The store adds these two.
    let as_sent = |text: &str| -> BTreeSet<String> {
        let mut events = lines(text);
        for event in &mut events {
            let event = event.as_object_mut().unwrap();
            event.remove("sequence");
            event.remove("received");
        }
        events.iter().map(ToString::to_string).collect()
    };
    let wanted = as_sent(&generated);
    assert_eq!(wanted.len(), 3_000);
    for store in ["direct", "a", "b"] {
        let data = path(store);
        let arguments = ["query", "--data", text(&data), "--json", "--limit", "9999"];
        let found = as_sent(&expect(0, &arguments));
        let missing: Vec<_> = wanted.difference(&found).take(1).collect();
        let unknown: Vec<_> = found.difference(&wanted).take(1).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{store}: {missing:?}\n{unknown:?}");
    }
}

#[test]
fn good_lines_are_stored_and_bad_ones_told_with_their_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let input = b"{\"time\":1,\"source\":\"a\",\"type\":\"x\"}\n\nnonsense\n\
        {\"time\":2,\"source\":\"a\",\"type\":\"x\",\"colour\":1}\n\
        {\"time\":\"2022-08-22T12:00:00Z\",\"source\":\"a\",\"type\":\"x\"}";
    let arguments = ["import", "--data", text(&data), "--format", "ndjson", "-"];
    let output = run_with_input(&arguments, input);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("-:3: ") && told.contains("-:4: ") && told.contains("colour"), "{told}");
    assert!(told.contains("refused 2"), "{told}");
    assert!(output.stdout.is_empty());
    assert_eq!(count(&data), 2);
}

#[test]
fn large_lines_that_fit_no_common_batch_are_all_stored_and_resumed() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("e.ndjson"), directory.path().join("store"));
    // Values of 64 KB: 3.9 MB, and 4.8 MB, which one batch cannot hold together.
    let value = "v".repeat(64_000);
    let line = |values: usize| {
        let attributes: Vec<_> = (0..values).map(|i| format!("\"k{i}\":\"{i}{value}\"")).collect();
        let attributes = attributes.join(",");
        format!("{{\"time\":1,\"source\":\"a\",\"type\":\"x\",\"attributes\":{{{attributes}}}}}\n")
    };
    fs::write(&file, [line(61), line(75)].concat()).unwrap();
    let import = ["import", "--resume", "--data", text(&data), "--format", "ndjson", text(&file)];
    expect(0, &import);
    assert_eq!(count(&data), 2);
    expect(0, &import);
    assert_eq!(count(&data), 2);
}

#[test]
fn a_cut_file_gives_what_is_whole_and_an_error_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("e.otlp"), directory.path().join("store"));
    expect(0, &["generate", "--events", "20000", "--format", "otlp-proto", "--out", text(&file)]);
    let mut bytes = fs::read(&file).unwrap();
    bytes.pop();
    fs::write(&file, bytes).unwrap();
    let output = run(&["import", "--data", text(&data), "--format", "otlp-proto", text(&file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("ends inside a request"), "{}", stderr(&output));
    assert!(count(&data) > 10_000);
}

#[test]
fn resuming_stores_nothing_twice_and_importing_again_does() {
    let directory = tempfile::tempdir().unwrap();
    let (file, data) = (directory.path().join("e.ndjson"), directory.path().join("store"));
    expect(0, &["generate", "--events", "2000", "--out", text(&file)]);
    let import = ["import", "--data", text(&data), "--format", "ndjson", text(&file)];
    let resume = [&import[..], &["--resume"]].concat();
    expect(0, &resume);
    assert_eq!(count(&data), 2_000);
    let again = run(&resume);
    assert!(stderr(&again).contains("2,000 events in 1 batches were there already"));
    assert_eq!(count(&data), 2_000);
    expect(0, &import);
    assert_eq!(count(&data), 4_000);
    expect(2, &["import", "--data", text(&data), "--format", "ndjson", "--resume", "-"]);
}

#[test]
fn exit_codes_say_what_happened() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let data = text(&data);
    expect(0, &["generate", "--events", "100", "--data", data]);
    let nothing = "00000000000000000000000000000001";
    expect(1, &["query", "--data", data, "--source", "nobody"]);
    assert_eq!(
        expect(0, &["query", "--data", data, "--source", "nobody", "--count", "--json"]),
        "{\"count\":0}\n"
    );
    expect(1, &["trace", nothing, "--data", data]);
    expect(1, &["trace", "0000000000000001", "--data", data]);
    expect(2, &["query", "--data", data, "--since", "yesterday"]);
    expect(2, &["query", "--data", data, "--limit", "-1"]);
    expect(2, &["query", "--data", data, "--url", "http://127.0.0.1:1"]);
    expect(2, &["query", "--data", data, "--by", "source"]);
    expect(2, &["query", "--data", data, "--count", "--by", "colour"]);
    expect(2, &["trace", "xyz", "--data", data]);
    expect(2, &["import", "--data", data, "--format", "ndjson", "/nowhere/file"]);
    expect(2, &["serve"]);
    expect(2, &["serve", "--data", data, "--http", "0.0.0.0:0"]);
    expect(2, &["nonsense"]);
    // Port 1 of the loopback: nobody listens there.
    expect(3, &["query", "--url", "http://127.0.0.1:1"]);
    expect(3, &["trace", nothing, "--url", "http://127.0.0.1:1"]);
    expect(3, &["generate", "--events", "1", "--url", "tcp://127.0.0.1:1"]);
    expect(0, &["--help"]);
    expect(0, &["--version"]);
}

#[test]
fn explain_tells_what_would_be_read_and_reads_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let data = text(&data);
    expect(0, &["generate", "--events", "100", "--data", data]);
    let told = expect(0, &["query", "--data", data, "--explain"]);
    assert!(told.contains("events    100, 100 certain to match"), "{told}");
    let json = expect(0, &["query", "--data", data, "--source", "nobody", "--explain", "--json"]);
    let explain: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&explain["events_read_max"], &explain["order"]), (&0.into(), &"newest".into()));
    assert_eq!(explain["frames_by_series"], explain["frames"]);
    assert!(explain["frames"].as_u64() > Some(0), "{json}");
    expect(2, &["query", "--data", data, "--explain", "--count"]);
}

#[test]
fn a_directory_without_a_store_is_a_mistake_of_usage_and_none_is_made_by_reading() {
    let directory = tempfile::tempdir().unwrap();
    let (none, empty) = (directory.path().join("none"), directory.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for data in [&none, &empty] {
        for command in [
            &["query"][..],
            &["query", "--count"],
            &["trace", "00000000000000000000000000000001"],
            &["inspect"],
            &["verify"],
        ] {
            let output = run(&[command, &["--data", text(data)]].concat());
            assert_eq!(output.status.code(), Some(2), "{command:?} {}", stderr(&output));
            assert!(!output.stderr.is_empty(), "{command:?}");
        }
    }
    assert!(!none.exists());
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn a_store_is_made_with_its_parents_by_those_that_write() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("a/b/c");
    expect(0, &["generate", "--events", "10", "--data", text(&data)]);
    assert_eq!(count(&data), 10);
}

#[test]
fn an_error_in_an_expression_has_a_caret_under_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    expect(0, &["generate", "--events", "10", "--data", text(&data)]);
    let filter = "source = \"cart\" && duration >";
    let output = run(&["query", "--data", text(&data), "--where", filter]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[1].trim_start(), filter);
    assert_eq!(told[2].find('^'), Some(told[1].len()), "{told:?}");
}

#[test]
fn verify_names_each_damage_with_file_and_offset() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    expect(0, &["generate", "--events", "30000", "--data", text(&data)]);
    assert_eq!(expect(0, &["verify", "--data", text(&data)]), "");
    let segment = data.join("log-0000000000000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let told = expect(4, &["verify", "--data", text(&data)]);
    assert!(told.contains("log-0000000000000001.seg:"), "{told}");
    let told = lines(&expect(4, &["verify", "--data", text(&data), "--json"]));
    assert_eq!(told[0]["file"], "log-0000000000000001.seg");
    assert!(told[0]["offset"].as_u64().is_some_and(|at| at <= 5_000), "{told:?}");
    assert_eq!(told.last().unwrap()["damage"].as_u64(), Some(told.len() as u64 - 1));
}

#[test]
fn inspect_adds_up_to_what_was_stored() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    expect(0, &["generate", "--events", "5000", "--data", text(&data)]);
    let rows = lines(&expect(0, &["inspect", "--data", text(&data), "--json"]));
    let sum = |key: &str| -> u64 {
        let of_kind = rows.iter().filter(|r| r.get(key).is_some());
        of_kind.map(|r| r["events"].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("segment"), sum("source")), (5_000, 5_000));
    let table = expect(0, &["inspect", "--data", text(&data)]);
    assert!(table.contains("5,000 events") && table.contains("log-0000000000000001.seg"));
}

#[test]
fn the_bytes_that_inspect_shows_add_up_to_those_of_all_files() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let generate = |events| expect(0, &["generate", "--events", events, "--data", text(&data)]);
    let bytes = || lines(&expect(0, &["inspect", "--bytes", "--json", "--data", text(&data)]));
    let sum = |rows: &[serde_json::Value]| -> u64 {
        rows.iter().map(|row| row["bytes"].as_u64().unwrap()).sum()
    };
    let on_disk = || -> u64 {
        let entries = fs::read_dir(&data).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
    };
    generate("20000");
    let log = bytes();
    assert_eq!(sum(&log), on_disk());
    assert!(log.iter().any(|row| row["part"] == "payloads"), "{log:?}");
    expect(0, &["compact", "--data", text(&data)]);
    // Both kinds of segments, one of them preallocated and without a footer, and another file.
    let server = Server::start(&data);
    expect(0, &["generate", "--events", "3000", "--url", &server.tcp]);
    server.kill();
    fs::write(data.join("notes.tmp"), "something").unwrap();
    let rows = bytes();
    assert_eq!(sum(&rows), on_disk());
    let parts: BTreeSet<_> = rows.iter().map(|row| row["part"].as_str().unwrap()).collect();
    for part in ["column", "block_heads", "payloads", "section", "unused", "manifests"] {
        assert!(parts.contains(part), "{part} is not among {parts:?}");
    }
    let ids = rows.iter().find(|row| row["column"] == "span_id").unwrap();
    assert_eq!(ids["encodings"], serde_json::json!(["id plain"]));
    // What no part claims may align sections, and is no more than that.
    let gaps = rows.iter().filter(|row| row["part"] == "gaps").cloned().collect::<Vec<_>>();
    assert!(sum(&gaps) < 1_024, "{gaps:?}");
    let table = expect(0, &["inspect", "--bytes", "--data", text(&data)]);
    assert!(table.contains("attributes.") && table.contains('█') && !table.contains('\x1b'));
}

#[test]
fn counts_have_only_the_keys_that_were_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    let input = b"{\"time\":61000000000,\"source\":\"a\",\"type\":\"x\"}\n\
        {\"time\":59000000000,\"source\":\"a\",\"type\":\"y\"}\n\
        {\"time\":1000000000,\"source\":\"b\",\"type\":\"x\"}";
    let arguments = ["import", "--data", text(&data), "--format", "ndjson", "-"];
    assert!(run_with_input(&arguments, input).status.success());
    let by = |keys| expect(0, &["query", "--data", text(&data), "--count", "--json", "--by", keys]);
    assert_eq!(by("source"), "{\"source\":\"a\",\"count\":2}\n{\"source\":\"b\",\"count\":1}\n");
    assert_eq!(by("minute"), "{\"minute\":0,\"count\":2}\n{\"minute\":60000000000,\"count\":1}\n");
    assert_eq!(lines(&by("source,type,minute")).len(), 3);
}

#[test]
fn a_trace_of_a_store_is_drawn_with_its_logs_and_without_colours_in_a_pipe() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    expect(0, &["generate", "--events", "30000", "--data", text(&data)]);
    let filter = "status = error";
    let arguments = ["query", "--data", text(&data), "--json", "--source", "payment"];
    let found = expect(0, &[&arguments[..], &["--where", filter, "--limit", "1"]].concat());
    let trace = lines(&found)[0]["trace_id"].as_str().unwrap().to_owned();
    let tree = expect(0, &["trace", &trace, "--data", text(&data)]);
    assert!(tree.contains("payment  shop.PaymentService/Charge  ✗"), "{tree}");
    assert!(tree.contains("└─ ") && tree.contains("INFO  placing order"), "{tree}");
    assert!(!tree.contains('\x1b'), "{tree}");
    let table = expect(0, &["query", "--data", text(&data)]);
    assert!(!table.contains('\x1b'));
    let events = lines(&expect(0, &["trace", &trace, "--data", text(&data), "--json"]));
    assert!(events.iter().all(|e| e["trace_id"] == trace.as_str()));
    assert!(events.iter().any(|e| e["signal"] == "log"));
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let mut child = annal()
        .args(["generate", "--events", "200000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("annal: writing"), "{}", stderr(&output));
}

#[test]
fn limits_are_printed_with_their_reasons() {
    let table = expect(0, &["serve", "--print-limits"]);
    assert!(table.contains("batch_events_max"), "{table}");
    assert_eq!(table.lines().count(), annal::limits::ALL.len() + 1);
}

#[test]
fn the_demo_fills_a_store_and_shows_a_trace_and_what_to_try() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("demo");
    let arguments = ["demo", "--no-serve", "--events", "5000", "--data", text(&data)];
    let screen = expect(0, &arguments);
    assert!(screen.contains("trace ") && screen.contains("└─ "), "{screen}");
    assert!(screen.contains(" query ") && screen.contains(" trace "), "{screen}");
    assert_eq!(count(&data), 5_000);
    expect(0, &arguments);
    assert_eq!(count(&data), 5_000, "a store that holds events gets no more of them");
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = annal();
    demo.args(["demo", "--no-serve", "--events", "50000000"]).env("TMPDIR", temporary.path());
    let mut child = demo.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let kept = temporary.path().join(format!("annal-demo-{}", child.id()));
    while !kept.join("log-0000000000000001.seg").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    support::signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!kept.exists());
}

#[test]
fn the_bench_has_a_figure_for_each_way() {
    let rows = lines(&expect(0, &["bench", "--events", "2000", "--runs", "1", "--json"]));
    assert!(rows.len() >= 7, "{rows:?}");
    for row in rows {
        assert!(row["median_ns"].as_u64().is_some_and(|ns| ns > 0), "{row}");
    }
}

#[test]
fn the_bench_of_a_store_finds_something_with_each_question_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("store");
    expect(0, &["generate", "--events", "20000", "--data", text(&data)]);
    let files = || -> BTreeSet<(String, Vec<u8>)> {
        let entries = fs::read_dir(&data).unwrap().map(Result::unwrap);
        let file = |e: fs::DirEntry| (text(&e.path()).to_owned(), fs::read(e.path()).unwrap());
        entries.map(file).collect()
    };
    let before = files();
    let arguments = ["bench", "--data", text(&data), "--questions", "30", "--json"];
    let rows = lines(&expect(0, &arguments));
    assert_eq!(rows.len(), 9, "{rows:?}");
    for row in rows {
        assert!(row["events"].as_u64().is_some_and(|n| n > 0) && row["empty"] == 0, "{row}");
        assert!(row["p50_ms"].as_f64() <= row["p99_ms"].as_f64(), "{row}");
    }
    assert!(files() == before);
}

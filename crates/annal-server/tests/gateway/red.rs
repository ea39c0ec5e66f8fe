//! `GET /api/v1/red`: points per source, or source and type, and step.

use serde_json::{Value as Json, json};

use crate::harness::{Server, request_of, span};

const START_NS: u64 = 1_661_169_600_000_000_000;
const MINUTE_NS: u64 = 60_000_000_000;

/// 600 spans over ten minutes, one of ten an error, durations from 1 ms on; `odd` and `even`.
fn filled() -> Server {
    let server = Server::start();
    for service in ["a", "b"] {
        let spans = (0..600).map(|i| {
            let mut span = span(i);
            span.start_time_unix_nano = START_NS + i * 1_000_000_000;
            span.end_time_unix_nano = span.start_time_unix_nano + 1_000_000 * (i % 60 + 1);
            span
        });
        assert_eq!(server.traces(&request_of(service, spans.collect())).status, 200);
    }
    server
}

fn ask(server: &Server, query: &str) -> Json {
    let answer = server.get(&format!("/api/v1/red?{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.words());
    answer.json()["series"].clone()
}

fn near(found: &Json, wanted: f64) -> bool {
    (found.as_f64().unwrap() - wanted).abs() <= wanted * 0.01
}

#[test]
fn each_step_of_each_source_has_its_count_errors_and_percentiles() {
    let server = filled();
    let series =
        ask(&server, &format!("start={START_NS}&end={}&step=60s", START_NS + 10 * MINUTE_NS));
    assert_eq!(series.as_array().unwrap().len(), 2);
    assert_eq!((&series[0]["source"], &series[1]["source"]), (&json!("a"), &json!("b")));
    let points = series[0]["points"].as_array().unwrap();
    assert_eq!((points.len(), series[0].get("type")), (10, None));
    for (i, point) in points.iter().enumerate() {
        assert_eq!(point["time"], START_NS + i as u64 * MINUTE_NS);
        assert_eq!((&point["count"], &point["errors"]), (&json!(60), &json!(6)));
        assert!(near(&point["p50"], 30e6) && near(&point["p90"], 54e6), "{point}");
        assert!(near(&point["p99"], 60e6), "{point}");
    }
}

#[test]
fn a_selection_narrows_what_is_counted() {
    let server = filled();
    let series = ask(&server, "by=type&source=b&step=1h&where=status%3Derror");
    // Multiples of ten are even.
    let wanted: Vec<_> = (series.as_array().unwrap().iter())
        .map(|s| (s["source"].clone(), s["type"].clone(), s["points"][0]["count"].clone()))
        .collect();
    assert_eq!(wanted, [(json!("b"), json!("even"), json!(60))]);
    let one = ask(&server, &format!("start={START_NS}&end={}&source=a", START_NS + 1));
    assert_eq!(
        (&one[0]["points"][0]["count"], one[0]["points"].as_array().unwrap().len()),
        (&json!(1), 1)
    );
    assert_eq!(ask(&server, "source=nobody"), json!([]));
    assert_eq!(ask(&server, "signal=log"), json!([]));
}

#[test]
fn steps_without_spans_have_no_percentiles() {
    let server = Server::start();
    let line = format!("{{\"source\":\"a\",\"type\":\"tick\",\"time\":{START_NS}}}\n");
    assert_eq!(server.post("/api/v1/events", &[], line.as_bytes()).status, 200);
    let wanted = json!([{"source": "a", "points": [{"time": START_NS, "count": 1, "errors": 0,
        "p50": null, "p90": null, "p99": null}]}]);
    assert_eq!(ask(&server, "step=1m"), wanted);
}

#[test]
fn what_cannot_be_a_step_or_a_group_is_refused() {
    let server = Server::start();
    for (query, field) in [
        ("step=60", "step"),
        ("step=0s", "step"),
        ("step=x", "step"),
        ("by=minute", "by"),
        ("start=x", "start"),
        ("colour=red", "colour"),
    ] {
        let answer = server.get(&format!("/api/v1/red?{query}"));
        assert_eq!(
            (answer.status, &answer.json()["error"]["field"]),
            (400, &json!(field)),
            "{query}"
        );
    }
}

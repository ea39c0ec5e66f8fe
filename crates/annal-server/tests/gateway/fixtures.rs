//! Jaeger's own storage fixtures, from `../shared/data/jaeger`: each trace in through OTLP and out
//! as Jaeger JSON, each query case asked. Without the data they say so and pass, except under
//! `CI=true`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value as Json, json};

use crate::harness::{Server, encoded};
use crate::otlp_json::{list, number, request, text};

/// The folder of fixtures.
fn folder() -> Option<PathBuf> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/jaeger");
    if std::path::Path::new(path).is_dir() {
        return Some(path.into());
    }
    assert!(std::env::var("CI").is_err(), "{path} is missing");
    println!("{path} is missing: nothing is tested");
    None
}

fn read(folder: &std::path::Path, name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn store(server: &Server, fixture: &Json) {
    let answer = server.traces(&request(fixture));
    assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.words());
}

/// The spans of a fixture with what stands around them.
fn spans(fixture: &Json) -> Vec<(&Json, &Json, &Json)> {
    let mut spans = Vec::new();
    for group in list(&fixture["resourceSpans"]) {
        for scope in list(&group["scopeSpans"]) {
            let inner = list(&scope["spans"]).iter();
            spans.extend(inner.map(|span| (span, &scope["scope"], &group["resource"])));
        }
    }
    spans
}

/// 16 digits where the upper half is zero.
fn short(id: &Json) -> String {
    text(id).trim_start_matches("0000000000000000").to_owned()
}

fn sorted(mut tags: Vec<Json>) -> Json {
    tags.sort_by_key(|tag| tag["key"].to_string());
    Json::Array(tags)
}

fn tag(key: &str, of_type: &str, value: impl Into<Json>) -> Json {
    json!({"key": key, "type": of_type, "value": value.into()})
}

fn tags(attributes: &Json) -> Vec<Json> {
    let tags = list(attributes).iter().map(|pair| {
        let (kind, value) = pair["value"].as_object().unwrap().iter().next().unwrap();
        let key = text(&pair["key"]);
        match kind.as_str() {
            "stringValue" => tag(&key, "string", value.clone()),
            "boolValue" => tag(&key, "bool", value.clone()),
            "intValue" => tag(&key, "int64", number(value)),
            "doubleValue" => tag(&key, "float64", value.as_f64().unwrap()),
            "bytesValue" => tag(&key, "binary", value.clone()),
            other => panic!("a fixture with {other}"),
        }
    });
    tags.collect()
}

/// What Jaeger makes of a span, its process in place of the process's id.
fn expected(span: &Json, scope: &Json, resource: &Json) -> Json {
    let mut span_tags = tags(&span["attributes"]);
    for (field, key) in [("name", "otel.scope.name"), ("version", "otel.scope.version")] {
        span_tags.extend(scope[field].as_str().map(|text| tag(key, "string", text)));
    }
    let kinds = ["", "internal", "server", "client", "producer", "consumer"];
    let kind = kinds[number(&span["kind"]) as usize];
    if !kind.is_empty() {
        span_tags.push(tag("span.kind", "string", kind));
    }
    match number(&span["status"]["code"]) {
        0 => {}
        1 => span_tags.push(tag("otel.status_code", "string", "OK")),
        _ => {
            span_tags.push(tag("otel.status_code", "string", "ERROR"));
            span_tags.push(tag("error", "bool", true));
        }
    }
    let message = text(&span["status"]["message"]);
    if !message.is_empty() {
        span_tags.push(tag("otel.status_description", "string", message));
    }
    let mut references = Vec::new();
    if !text(&span["parentSpanId"]).is_empty() {
        references.push(json!({"refType": "CHILD_OF", "traceID": short(&span["traceId"]),
            "spanID": span["parentSpanId"]}));
    }
    references.extend(list(&span["links"]).iter().map(|link| {
        let says = |a: &Json| {
            a["key"] == "opentracing.ref_type" && a["value"]["stringValue"] == "child_of"
        };
        let child = list(&link["attributes"]).iter().any(says);
        json!({"refType": if child { "CHILD_OF" } else { "FOLLOWS_FROM" },
            "traceID": short(&link["traceId"]), "spanID": link["spanId"]})
    }));
    let logs = list(&span["events"]).iter().map(|event| {
        let mut fields = tags(&event["attributes"]);
        fields.extend(event["name"].as_str().map(|name| tag("event", "string", name)));
        json!({"timestamp": number(&event["timeUnixNano"]) / 1_000, "fields": sorted(fields)})
    });
    let mut process_tags = tags(&resource["attributes"]);
    process_tags.retain(|tag| tag["key"] != "service.name");
    let service = list(&resource["attributes"]).iter().find(|a| a["key"] == "service.name");
    let (start, end) = (number(&span["startTimeUnixNano"]), number(&span["endTimeUnixNano"]));
    json!({
        "traceID": short(&span["traceId"]),
        "spanID": span["spanId"],
        "operationName": span["name"],
        "references": references,
        "startTime": start / 1_000,
        "duration": (end - start) / 1_000,
        "tags": sorted(span_tags),
        "logs": logs.collect::<Vec<_>>(),
        "process": {"serviceName": service.unwrap()["value"]["stringValue"],
            "tags": sorted(process_tags)},
        "warnings": null,
    })
}

/// A span as it came back, with its process in place, tags sorted.
fn found(span: &Json, processes: &Json) -> Json {
    let mut span = span.clone();
    let object = span.as_object_mut().unwrap();
    let id = object.remove("processID").unwrap();
    let mut process = processes[id.as_str().unwrap()].clone();
    process["tags"] = sorted(list(&process["tags"]).to_vec());
    object.insert("process".into(), process);
    let tags = sorted(list(&object["tags"]).to_vec());
    object.insert("tags".into(), tags);
    for log in object["logs"].as_array_mut().unwrap() {
        log["fields"] = sorted(list(&log["fields"]).to_vec());
    }
    span
}

#[test]
fn each_trace_of_the_fixtures_comes_back_field_by_field() {
    let Some(folder) = folder() else { return };
    let server = Server::start();
    let mut names: Vec<String> = (std::fs::read_dir(folder.join("traces")).unwrap())
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 32);
    let fixtures: Vec<Json> =
        names.iter().map(|name| read(&folder, &format!("traces/{name}"))).collect();
    fixtures.iter().for_each(|fixture| store(&server, fixture));
    for (name, fixture) in names.iter().zip(&fixtures) {
        let mut wanted: Vec<Json> =
            spans(fixture).iter().map(|s| expected(s.0, s.1, s.2)).collect();
        let id = text(&spans(fixture)[0].0["traceId"]);
        let answer = server.get(&format!("/jaeger/api/traces/{id}")).json();
        assert_eq!((&answer["total"], &answer["errors"]), (&json!(1), &Json::Null), "{name}");
        let trace = &answer["data"][0];
        assert_eq!(trace["traceID"], wanted[0]["traceID"], "{name}");
        assert_eq!(trace["warnings"], Json::Null);
        let mut came: Vec<Json> =
            list(&trace["spans"]).iter().map(|s| found(s, &trace["processes"])).collect();
        let times: Vec<_> = came.iter().map(|span| span["startTime"].as_u64()).collect();
        assert!(times.is_sorted(), "{name}: {times:?}");
        for side in [&mut wanted, &mut came] {
            side.sort_by_key(|span| span["spanID"].to_string());
        }
        assert_eq!(came, wanted, "{name}");
    }
    let services = server.get("/jaeger/api/services").json();
    let services: Vec<String> = list(&services["data"]).iter().map(text).collect();
    let of_fixtures: BTreeSet<String> = (fixtures.iter().flat_map(spans))
        .map(|(span, scope, resource)| {
            text(&expected(span, scope, resource)["process"]["serviceName"])
        })
        .collect();
    assert_eq!(services, of_fixtures.into_iter().collect::<Vec<_>>());
    let operations = server.get("/jaeger/api/operations?service=example-service-1").json();
    let wanted = json!([
        {"name": "example-operation-1", "spanKind": ""},
        {"name": "example-operation-3", "spanKind": "server"},
        {"name": "example-operation-4", "spanKind": "client"},
    ]);
    assert_eq!(operations["data"], wanted);
}

/// `2017-01-26T15:46:31.639875Z` in microseconds.
fn micros(json: &Json) -> i64 {
    let instant: jiff::Timestamp = text(json).parse().unwrap();
    instant.as_microsecond()
}

/// The path of a case; durations of the fixtures are nanoseconds.
fn path(query: &Json, repeated_tags: bool) -> String {
    let mut path = format!(
        "/jaeger/api/traces?service={}&operation={}&start={}&end={}&limit={}",
        encoded(&text(&query["ServiceName"])),
        encoded(&text(&query["OperationName"])),
        micros(&query["StartTimeMin"]),
        micros(&query["StartTimeMax"]),
        query["NumTraces"],
    );
    for (name, field) in [("minDuration", "DurationMin"), ("maxDuration", "DurationMax")] {
        let bound = number(&query[field]);
        path.push_str(&if bound == 0 { String::new() } else { format!("&{name}={bound}ns") });
    }
    let pairs = query["Tags"].as_object().into_iter().flatten();
    let pairs = pairs.map(|(key, value)| {
        let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (key.clone(), plain)
    });
    let pairs: Vec<(String, String)> = pairs.collect();
    if repeated_tags {
        for (key, value) in pairs {
            path.push_str(&format!("&tag={}", encoded(&format!("{key}:{value}"))));
        }
    } else if !pairs.is_empty() {
        let object: serde_json::Map<String, Json> =
            pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
        path.push_str(&format!("&tags={}", encoded(&Json::Object(object).to_string())));
    }
    path
}

/// Trace ids with their numbers of spans.
fn shape(traces: impl Iterator<Item = (String, usize)>) -> BTreeSet<(String, usize)> {
    traces.collect()
}

#[test]
fn each_query_case_finds_its_fixtures_and_no_other() {
    let Some(folder) = folder() else { return };
    let cases = read(&folder, "queries.json");
    assert_eq!(list(&cases).len(), 25);
    let fixture = |name: &Json| read(&folder, &format!("traces/{}.json", text(name)));
    let server = Server::start();
    // All fixtures first: each case has the others as counter-examples.
    let names: BTreeSet<String> = (list(&cases).iter())
        .flat_map(|case| list(&case["ExpectedFixtures"]).iter().map(text))
        .collect();
    assert_eq!(names.len(), 27);
    names.iter().for_each(|name| store(&server, &fixture(&json!(name))));
    let mut failed = Vec::new();
    for case in list(&cases) {
        let wanted: Vec<Json> = list(&case["ExpectedFixtures"]).iter().map(fixture).collect();
        let wanted =
            shape(wanted.iter().map(|f| (short(&spans(f)[0].0["traceId"]), spans(f).len())));
        for repeated_tags in [false, true] {
            let path = path(&case["Query"], repeated_tags);
            let answer = server.get(&path);
            assert_eq!(answer.status, 200, "{path}: {}", answer.words());
            let answer = answer.json();
            let came = list(&answer["data"]).iter();
            let came = shape(came.map(|t| (text(&t["traceID"]), list(&t["spans"]).len())));
            if came != wanted {
                failed.push(format!("{}: {came:?}, not {wanted:?}, by {path}", case["Caption"]));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

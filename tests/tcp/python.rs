//! The producer in plain Python against the real server.

use std::process::Command;

use crate::support::{NOON_NS, Served};

async fn run(served: &Served, more: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/python/producer.py");
    let mut command = Command::new("python3");
    command.args([script, &served.address, "--events", "2500", "--batch", "100"]);
    command.args(["--first-ns", &NOON_NS.to_string(), "--producer", &"ab".repeat(16)]);
    command.args(more);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_in_plain_python_stores_its_events_once() {
    let served = Served::start().await;
    let said = run(&served, &[]).await;
    assert!(said.starts_with("2500 events in 25 batches are durable"), "{said}");
    assert_eq!(served.events(), (0..2_500).collect::<Vec<_>>());
    let snapshot = served.store.snapshot();
    let segment = &snapshot.segments()[0];
    let directory = segment.directory().unwrap();
    let entry = segment.frames(&directory).nth(3).unwrap();
    let (header, view) = segment.read(entry).unwrap();
    let event = view.materialise(&header, &[7]).unwrap().remove(0);
    assert_eq!((&*event.source, &*event.event_type), ("python-shop", "pay"));
    assert_eq!(event.time.0, NOON_NS + 307);
    assert_eq!(event.trace_id.unwrap().0, 31u128.to_be_bytes());
    assert_eq!(event.span_id.unwrap().0, 308u64.to_be_bytes());
    assert_eq!(event.duration, Some(1_000_000 + 307 * 7_919 % 500_000));
    let told: Vec<_> = event.attributes.iter().map(|a| (&*a.key, a.value.clone())).collect();
    let text = |value: &str| annal::Value::String(value.to_owned());
    assert_eq!(told, [("host", text("node-3")), ("user.id", text("u-7"))]);
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_in_plain_python_mends_its_connection_and_stores_nothing_twice() {
    let served = Served::start().await;
    run(&served, &["--drop-every", "4"]).await;
    assert_eq!(served.events(), (0..2_500).collect::<Vec<_>>());
    served.stop().await;
}

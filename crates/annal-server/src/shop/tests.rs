use std::collections::{BTreeSet, HashMap, HashSet};

use annal::event::{Signal, Status};

use super::*;

const START: Timestamp = Timestamp(1_767_571_200_000_000_000);
const HOUR_NS: i64 = 3_600_000_000_000;

fn requests(seed: u64, n: usize) -> Vec<Vec<Event>> {
    let mut shop = Shop::new(seed, START, n as f64);
    (0..n).map(|_| shop.next_request()).collect()
}

#[test]
fn the_same_seed_gives_the_same_events_and_another_one_others() {
    assert_eq!(requests(7, 200), requests(7, 200));
    assert_ne!(requests(7, 1), requests(8, 1));
}

#[test]
fn a_request_makes_as_many_events_as_said() {
    let (mut events, mut total) = (0, 0);
    for seed in 0..10 {
        let all = requests(seed, 2_000);
        events += all.iter().map(Vec::len).sum::<usize>();
        total += all.len();
    }
    let mean = events as f64 / f64::from(u32::try_from(total).unwrap());
    assert!((mean / EVENTS_PER_REQUEST - 1.0).abs() < 0.05, "{mean}");
}

#[test]
fn every_parent_and_every_log_finds_its_span_and_children_lie_within_their_parents() {
    for request in requests(3, 500) {
        let spans: HashMap<_, &Event> =
            request.iter().filter(|e| e.signal == Signal::Span).map(|e| (e.span_id, e)).collect();
        let end = |e: &Event| e.time.as_ns() + e.duration.unwrap_or(0);
        for event in &request {
            if event.signal == Signal::Log {
                assert_eq!(spans[&event.span_id].trace_id, event.trace_id);
            } else if let Some(parent) = event.parent_span_id {
                let parent = spans[&Some(parent)];
                assert_eq!(parent.trace_id, event.trace_id);
                assert!(parent.time <= event.time && end(event) <= end(parent), "{event:?}");
            }
        }
    }
}

#[test]
fn a_day_has_errors_retries_links_logs_and_all_services() {
    let all: Vec<Event> = requests(1, 20_000).into_iter().flatten().collect();
    let sources: BTreeSet<&str> = all.iter().map(|e| e.source.as_str()).collect();
    assert_eq!(sources, services::NAMES.into_iter().collect());
    let share = |of: &dyn Fn(&Event) -> bool| {
        all.iter().filter(|e| of(e)).count() as f64 / all.len() as f64
    };
    let errors = share(&|e| e.status == Status::Error);
    assert!((0.001..0.05).contains(&errors), "{errors}");
    assert!(share(&|e| e.signal == Signal::Log) > 0.05);
    let retried = |e: &Event| {
        e.attributes
            .iter()
            .any(|a| a.key == "app.payment.attempt" && a.value != annal::Value::Int(1))
    };
    assert!(all.iter().any(retried));
    let traces: HashSet<_> = all.iter().map(|e| e.trace_id).collect();
    for link in all.iter().flat_map(|e| &e.links) {
        assert!(traces.contains(&Some(link.trace_id)));
    }
}

#[test]
fn evenings_are_busier_than_nights() {
    let at: Vec<i64> =
        requests(1, 5_000).iter().map(|r| r[0].time.as_ns() - START.as_ns()).collect();
    assert!(at.is_sorted());
    let between = |from: i64, to: i64| {
        at.iter().filter(|&&t| from * HOUR_NS <= t && t < to * HOUR_NS).count()
    };
    assert!(between(19, 21) > 4 * between(2, 4), "{} {}", between(19, 21), between(2, 4));
    let whole_day = between(0, 24);
    assert!((4_700..=5_000).contains(&whole_day), "{whole_day}");
}

//! `annal bench --data DIR`: how long a program that embeds the engine waits for answers of a store
//! that is there already. The store is opened read-only in this process and asked through the
//! library: no server, no JSON, one thread.
//!
//! Questions come from events picked at random, so that each has an answer; a seed picks the same
//! ones again. Everything is asked once before it is timed: pages and caches are as warm as they
//! are in a process that runs.

use std::io::{self, Write};
use std::path::Path;

use annal::event::{Status, Value};
use annal::query::{AttributeScope, By, Order, SeriesBy};
use annal::time::{Clock, MINUTE_NS, SystemClock};
use annal::{Event, Options, Query, Snapshot, Store, TimeRange, Timestamp};
use serde_json::json;

use super::Args;
use crate::exit::{self, Failure, Outcome};
use crate::shop::Random;
use crate::terminal::{Align, Paint, Table, count};

/// Events that a search gives.
const LIMIT: usize = 20;
/// Times that something is asked which is the same question each time.
const WHOLE_QUESTIONS: usize = 20;
/// Half of a search's shorter range.
const AROUND_NS: i64 = 15 * MINUTE_NS / 2;
/// Events drawn for a question, at most.
const DRAWS_PER_QUESTION: usize = 20;
/// The attribute that is asked for if events have it: few events of a value, all over a store.
const ATTRIBUTE: &str = "user.id";

/// The answers to one kind of question.
struct Answers {
    name: &'static str,
    /// Nanoseconds of each answer, sorted.
    took_ns: Vec<u64>,
    /// Events in them, or counted by them.
    events: u64,
    /// Answers without any.
    empty: u64,
}

impl Answers {
    fn percentile_ms(&self, percent: usize) -> f64 {
        let rank = (self.took_ns.len() * percent).div_ceil(100);
        self.took_ns.get(rank.saturating_sub(1)).map_or(0.0, |ns| *ns as f64 / 1e6)
    }
}

/// What questions are made of.
struct Picked {
    events: Vec<Event>,
    /// An attribute, and events' values of it.
    attribute: Option<(String, Vec<String>)>,
}

pub(super) fn run(args: &Args, data: &Path) -> Outcome {
    let store = Store::open_read_only(Options::new(data))?;
    let snapshot = store.snapshot();
    let picked = pick(&snapshot, args)?;
    let answers = ask(&snapshot, &picked)?;
    let mut out = io::stdout().lock();
    if args.json {
        for a in &answers {
            let line = json!({"name": a.name, "questions": a.took_ns.len(),
                "p50_ms": a.percentile_ms(50), "p99_ms": a.percentile_ms(99),
                "events": a.events, "empty": a.empty});
            writeln!(out, "{line}")?;
        }
        return Ok(exit::DONE);
    }
    table(&answers).write(&mut out, Paint::stdout())?;
    let segments = snapshot.segments();
    eprintln!(
        "{} events in {} segments, {} of them compacted; attribute {}; seed {}",
        count(segments.iter().map(|s| s.events()).sum()),
        segments.len(),
        segments.iter().filter(|s| s.is_compacted()).count(),
        picked.attribute.as_ref().map_or("none", |(key, _)| key),
        args.seed
    );
    Ok(exit::DONE)
}

fn table(answers: &[Answers]) -> Table {
    let columns = ["questions", "p50 ms", "p99 ms", "events", "empty"];
    let mut heads = vec![("what", Align::Left)];
    heads.extend(columns.map(|name| (name, Align::Right)));
    let mut table = Table::new(&heads);
    for a in answers {
        table.row(vec![
            a.name.to_owned(),
            count(a.took_ns.len() as u64),
            format!("{:.3}", a.percentile_ms(50)),
            format!("{:.3}", a.percentile_ms(99)),
            count(a.events),
            count(a.empty),
        ]);
    }
    table
}

/// Picks events at random, all over the store.
fn pick(snapshot: &Snapshot, args: &Args) -> Outcome<Picked> {
    let kept: Vec<(u64, u64)> = snapshot.segments().iter().map(|s| s.sequences()).collect();
    let first = kept.first().map_or(0, |s| s.0);
    let span = snapshot.next_sequence().saturating_sub(first);
    let mut random = Random::new(args.seed);
    // Sequences may be missing, and so may an event's attribute: a draw can find nothing.
    let draws = args.questions.saturating_mul(DRAWS_PER_QUESTION);
    let mut draw = || snapshot.event(first + random.below(span));
    let mut events = Vec::new();
    for _ in 0..draws {
        if events.len() < args.questions {
            events.extend(draw()?);
        }
    }
    if events.is_empty() {
        return Err(Failure::usage("the store holds no events"));
    }
    let Some(key) = attribute(&events) else { return Ok(Picked { events, attribute: None }) };
    let mut values = Vec::new();
    for _ in 0..draws {
        if values.len() < args.questions {
            let event = draw()?;
            let of_key = event.iter().flat_map(texts).find(|(k, _)| *k == key);
            values.extend(of_key.map(|(_, value)| value.to_owned()));
        }
    }
    Ok(Picked { events, attribute: Some((key, values)) })
}

/// The attributes of an event that are text.
fn texts(event: &Event) -> impl Iterator<Item = (&str, &str)> {
    event.attributes.iter().filter_map(|a| match &a.value {
        Value::String(text) => Some((a.key.as_str(), text.as_str())),
        _ => None,
    })
}

/// The attribute to ask for.
fn attribute(events: &[Event]) -> Option<String> {
    let mut keys: Vec<&str> = events.iter().flat_map(texts).map(|(key, _)| key).collect();
    if keys.contains(&ATTRIBUTE) {
        return Some(ATTRIBUTE.to_owned());
    }
    // What the most events have.
    keys.sort_unstable();
    let most = keys.chunk_by(|a, b| a == b).max_by_key(|run| run.len())?;
    most.first().map(|key| (*key).to_owned())
}

/// Asks everything. What is given are the events of an answer, or those counted by it.
fn ask(snapshot: &Snapshot, picked: &Picked) -> Outcome<Vec<Answers>> {
    let all = || Query::new(TimeRange::ALL);
    let found = |query: &Query| Ok(snapshot.query(query)?.events.len() as u64);
    let counted = |query: &Query, by| {
        let counts = snapshot.count(query, by)?.counts;
        Ok(counts.iter().map(|c| c.count).sum())
    };
    let by_source = By { source: true, ..By::default() };
    let traces: Vec<_> = picked.events.iter().filter_map(|e| e.trace_id).collect();
    let mut searches: Vec<Query> = picked.events.iter().map(search).collect();
    let mut answers = vec![
        timed("trace by id", &traces, |id| Ok(snapshot.trace(*id)?.events.len() as u64))?,
        timed("search, limit 20", &searches, found)?,
    ];
    for (query, event) in searches.iter_mut().zip(&picked.events) {
        query.range = around(event.time);
    }
    answers.push(timed("search, limit 20, 15 minutes", &searches, found)?);
    if let Some((key, values)) = &picked.attribute {
        let equal = |value: &String| {
            let condition = all().limit(LIMIT).attr_in(AttributeScope::Span, key);
            condition.eq(value.as_str())
        };
        let queries: Vec<Query> = values.iter().map(equal).collect();
        answers.push(timed("attribute, limit 20", &queries, found)?);
        answers.push(timed("count of an attribute", &queries, |q| counted(q, By::default()))?);
    }
    let sequences: Vec<u64> = picked.events.iter().map(|e| e.sequence).collect();
    answers.push(timed("event by sequence", &sequences, |sequence| {
        Ok(u64::from(snapshot.event(*sequence)?.is_some()))
    })?);
    let whole = vec![all(); WHOLE_QUESTIONS];
    answers.push(timed("RED by source and minute", &whole, |query| {
        let answer = snapshot.series(query, MINUTE_NS, SeriesBy::Source)?;
        Ok(answer.series.iter().flat_map(|s| &s.points).map(|p| p.count).sum())
    })?);
    let by_minute = By { minute: true, ..by_source };
    answers.push(timed("count by source and minute", &whole, |q| counted(q, by_minute))?);
    let failed = vec![all().status(Status::Error); WHOLE_QUESTIONS];
    answers.push(timed("errors by source", &failed, |q| counted(q, by_source))?);
    Ok(answers)
}

/// Asks for events like this one.
fn search(event: &Event) -> Query {
    let query = Query::new(TimeRange::ALL).limit(LIMIT).order(Order::Newest);
    let query = query.source(event.source.as_str()).event_type(event.event_type.as_str());
    match event.duration {
        Some(duration) => query.duration_ns(duration..i64::MAX),
        None => query,
    }
}

fn around(time: Timestamp) -> TimeRange {
    let bound = |ns| Timestamp(time.0.saturating_add(ns));
    TimeRange::from(bound(-AROUND_NS)..bound(AROUND_NS))
}

/// Asks the first of the questions once, then all of them against the clock.
fn timed<Q>(
    name: &'static str,
    questions: &[Q],
    mut answer: impl FnMut(&Q) -> annal::Result<u64>,
) -> Outcome<Answers> {
    let mut answers =
        Answers { name, took_ns: Vec::with_capacity(questions.len()), events: 0, empty: 0 };
    if let Some(first) = questions.first() {
        answer(first)?;
    }
    for question in questions {
        let clock = SystemClock::new();
        let events = answer(question)?;
        answers.took_ns.push(clock.monotonic_ns());
        answers.events += events;
        answers.empty += u64::from(events == 0);
    }
    answers.took_ns.sort_unstable();
    Ok(answers)
}

//! What every store can do here, and what it is asked.

use std::collections::BTreeMap;

use annal::Event;
use annal::index::Histogram;

use crate::Outcome;
use crate::rows::{Keys, Row};

/// Matches that an answer holds.
pub const LIMIT: usize = 20;
/// The attribute that is asked for.
pub const USER: &str = "user.id";
/// Length of a step.
pub const MINUTE_NS: i64 = 60_000_000_000;
/// The code of a failed span.
pub const STATUS_ERROR: u8 = annal::event::Status::Error as u8;

/// A store that is compared.
pub trait Engine {
    /// How the table calls it.
    fn name(&self) -> &'static str;
    /// Stores a portion: events and, for those that take rows, the same as rows. What it says to be
    /// stored is durable.
    fn load(&mut self, events: &[Event], rows: &[Row]) -> Outcome<()>;
    /// Does what the store would do in the background in the end: compaction, checkpoints.
    fn settle(&mut self) -> Outcome<()>;
    /// Answers a question.
    fn ask(&mut self, question: &Question) -> Outcome<Answer>;
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Question {
    /// All spans of a trace.
    Trace([u8; 16]),
    /// The newest spans of a service and an operation that took so long at least.
    Search { service: String, operation: String, duration_min: i64 },
    /// The newest spans with this user.
    User(String),
    /// How many spans have this user.
    Count(String),
    /// Spans, errors and the 99th percentile of durations, per service and minute, of everything.
    Red,
    /// The services.
    Services,
    /// The operations of a service.
    Operations(String),
}

/// What a store says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Newest first; of a trace in any order.
    Rows(Vec<Row>),
    Count(u64),
    /// By service and start of the minute.
    Red(BTreeMap<(String, i64), Minute>),
    /// Sorted.
    Names(Vec<String>),
}

/// A minute of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Minute {
    pub spans: u64,
    pub errors: u64,
    /// Nanoseconds, as annal's histogram has it.
    pub p99: i64,
}

/// Adds up minutes, for stores that give spans one by one.
#[derive(Default)]
pub struct Minutes {
    sums: BTreeMap<String, BTreeMap<i64, (u64, u64, Histogram)>>,
}

impl Minutes {
    /// Adds a span.
    pub fn add(&mut self, service: &str, time: i64, status: u8, duration: i64) {
        if !self.sums.contains_key(service) {
            self.sums.insert(service.to_owned(), BTreeMap::new());
        }
        if let Some(minutes) = self.sums.get_mut(service) {
            let minute = time.div_euclid(MINUTE_NS) * MINUTE_NS;
            let (spans, errors, durations) = minutes.entry(minute).or_default();
            *spans += 1;
            *errors += u64::from(status == STATUS_ERROR);
            durations.record(duration);
        }
    }

    /// The sums.
    pub fn answer(self) -> Answer {
        let of = |(spans, errors, durations): (u64, u64, Histogram)| {
            let p99 = durations.percentile(99).unwrap_or_default();
            Minute { spans, errors, p99 }
        };
        let flat = self.sums.into_iter().flat_map(|(service, minutes)| {
            minutes.into_iter().map(move |(at, sums)| ((service.clone(), at), of(sums)))
        });
        Answer::Red(flat.collect())
    }
}

impl Answer {
    /// The answer in a form that is the same for equal answers.
    pub fn normal(mut self, question: &Question) -> Answer {
        if let (Answer::Rows(rows), Question::Trace(_)) = (&mut self, question) {
            rows.sort();
        }
        self
    }
}

/// The questions, from spans that were picked out of the data.
pub fn questions(picked: &[Row], keys: &Keys) -> Outcome<Vec<(&'static str, Vec<Question>)>> {
    let user = keys.of(USER)?;
    let users = || picked.iter().filter_map(|row| row.text(user)).map(str::to_owned);
    let search = |row: &Row| Question::Search {
        service: row.service.clone(),
        operation: row.operation.clone(),
        duration_min: row.duration / 2,
    };
    let lists = picked.iter().map(|row| Question::Operations(row.service.clone()));
    Ok(vec![
        ("trace by id", picked.iter().map(|row| Question::Trace(row.trace)).collect()),
        ("search, limit 20", picked.iter().map(search).collect()),
        ("user.id, limit 20", users().map(Question::User).collect()),
        ("count of a user.id", users().map(Question::Count).collect()),
        ("RED per minute", vec![Question::Red; 5]),
        ("lists", lists.chain([Question::Services]).collect()),
    ])
}

//! Which blocks a question has to read, and how many bytes of them, if pruning were perfect: the
//! times of a block, its series, its traces and the values of its attributes are known exactly.

use std::cmp::Reverse;

use annal::event::Value;
use annal::{Error, Event, Result, TraceId};

use crate::blocks::Built;

/// Samples that are asked for.
const SAMPLES_MAX: usize = 50;
/// Matches that an answer holds.
const LIMIT: usize = 20;

/// A span that questions are made from.
pub(crate) struct Sample {
    trace: TraceId,
    duration: i64,
    source: String,
    event_type: String,
    user: String,
}

/// What a question reads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    pub(crate) blocks: usize,
    /// Heads, and the columns that are needed.
    pub(crate) bytes: u64,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// All events of a trace.
    Trace,
    /// The newest of a service and an operation that took half as long as the sample at least.
    Search,
    /// The newest with the sample's `user.id`.
    User,
    /// Rate, errors and durations per minute and source, of everything.
    Red,
    /// Number of events per source; a block of one source has it in the directory.
    Count,
}

impl Question {
    pub(crate) const ALL: [Question; 5] =
        [Question::Trace, Question::Search, Question::User, Question::Red, Question::Count];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Question::Trace => "trace by id",
            Question::Search => "service + operation + duration, newest 20",
            Question::User => "`user.id` =, newest 20",
            Question::Red => "RED per minute and source",
            Question::Count => "count by source",
        }
    }

    /// Whether it is another question for each sample.
    pub(crate) fn has_samples(self) -> bool {
        !matches!(self, Question::Red | Question::Count)
    }

    pub(crate) fn ask(self, sample: &Sample, blocks: &[Built<'_>]) -> Cost {
        match self {
            Question::Trace => {
                let of_trace = |event: &&&Event| event.trace_id == Some(sample.trace);
                let read = blocks.iter().filter(|block| block.events.iter().any(|e| of_trace(&e)));
                read.fold(Cost::default(), |cost, block| cost.and(block.bytes()))
            }
            Question::Search => newest(
                blocks,
                &["resource.source", "resource", "type", "duration", "time"],
                |e| e.event_type == sample.event_type && e.source == sample.source,
                |e| e.duration.is_some_and(|ns| ns >= sample.duration / 2),
            ),
            Question::User => newest(
                blocks,
                &["attributes.user.id", "time"],
                |e| user(e) == sample.user,
                |_| true,
            ),
            Question::Red => {
                let columns = ["resource.source", "resource", "time", "duration", "status"];
                blocks.iter().fold(Cost::default(), |cost, b| cost.and(b.bytes_of(&columns)))
            }
            Question::Count => {
                let mixed = |block: &&Built<'_>| {
                    block.events.windows(2).any(|pair| pair[0].source != pair[1].source)
                };
                let columns = ["resource.source", "resource"];
                let read = blocks.iter().filter(mixed);
                read.fold(Cost::default(), |cost, block| cost.and(block.bytes_of(&columns)))
            }
        }
    }
}

impl Cost {
    fn and(self, bytes: u64) -> Cost {
        Cost { blocks: self.blocks + 1, bytes: self.bytes + bytes }
    }
}

/// Reads blocks that hold `candidate`s, newest first, until no other can hold anything newer than
/// the answer; then the rest of the columns of those that the answer's events stand in.
fn newest(
    blocks: &[Built<'_>],
    columns: &[&str],
    candidate: impl Fn(&Event) -> bool,
    matches: impl Fn(&Event) -> bool,
) -> Cost {
    let mut left: Vec<&Built<'_>> =
        blocks.iter().filter(|block| block.events.iter().any(|e| candidate(e))).collect();
    left.sort_by_key(|block| Reverse(block.max_time));
    let mut found: Vec<(i64, usize)> = Vec::new();
    let mut cost = Cost::default();
    for (at, block) in left.iter().enumerate() {
        if found.len() == LIMIT && found.iter().all(|f| f.0 >= block.max_time.as_ns()) {
            break;
        }
        cost = cost.and(block.bytes_of(columns));
        let here = block.events.iter().filter(|e| candidate(e) && matches(e));
        found.extend(here.map(|event| (event.time.as_ns(), at)));
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.truncate(LIMIT);
    }
    let mut answer: Vec<usize> = found.iter().map(|f| f.1).collect();
    answer.sort_unstable();
    answer.dedup();
    let rest = |at: usize| left.get(at).map_or(0, |block| block.bytes() - block.bytes_of(columns));
    cost.bytes += answer.into_iter().map(rest).sum::<u64>();
    cost
}

fn user(event: &Event) -> &str {
    let attribute = event.attributes.iter().find(|attribute| attribute.key == "user.id");
    match attribute.map(|attribute| &attribute.value) {
        Some(Value::String(user)) => user,
        _ => "",
    }
}

/// Samples, evenly from a list.
pub(crate) fn samples(list: &str) -> Result<Vec<Sample>> {
    let lines: Vec<&str> = list.lines().collect();
    let step = lines.len().div_ceil(SAMPLES_MAX).max(1);
    let samples: Result<Vec<Sample>> =
        lines.iter().step_by(step).map(|line| sample(line)).collect();
    match samples {
        Ok(samples) if samples.is_empty() => Err(Error::invalid("the list has no samples")),
        samples => samples,
    }
}

fn sample(line: &str) -> Result<Sample> {
    let bad = || Error::invalid(format!("no sample: {line}"));
    let fields: Vec<&str> = line.split('\t').collect();
    let [trace, _, duration, source, event_type, user] = fields[..] else { return Err(bad()) };
    Ok(Sample {
        trace: TraceId::from_hex(trace).ok_or_else(bad)?,
        duration: duration.parse().map_err(|_| bad())?,
        source: source.into(),
        event_type: event_type.into(),
        user: user.into(),
    })
}

//! annal, embedded: batches of a portion's events, acknowledged one portion at a time.

use std::path::{Path, PathBuf};

use annal::query::{By, Catalog, SeriesBy};
use annal::{BatchBuilder, Event, Options, Query, Snapshot, Store, TimeRange, TraceId};

use crate::Outcome;
use crate::engine::{Answer, Engine, LIMIT, MINUTE_NS, Minute, Question, USER};
use crate::rows::{Keys, Row};

/// A store with what an embedder would keep beside it.
pub struct Annal {
    store: Store,
    directory: PathBuf,
    builder: BatchBuilder,
    keys: Keys,
    /// Taken when all is loaded.
    snapshot: Option<Snapshot>,
    /// Lists, kept up to date from snapshot to snapshot.
    catalog: Catalog,
}

impl Annal {
    /// A new store.
    pub fn open(directory: &Path, keys: &Keys) -> Outcome<Annal> {
        let (store, _) = Store::open(Options::new(directory))?;
        let (builder, catalog) = (BatchBuilder::new(), Catalog::default());
        let (keys, directory) = (keys.clone(), directory.to_owned());
        Ok(Annal { store, directory, builder, keys, snapshot: None, catalog })
    }

    fn rows(&self, events: &[Event]) -> Outcome<Answer> {
        events.iter().map(|event| self.keys.row(event)).collect::<Outcome<_>>().map(Answer::Rows)
    }
}

impl Engine for Annal {
    fn name(&self) -> &'static str {
        "annal"
    }

    fn load(&mut self, events: &[Event], _: &[Row]) -> Outcome<()> {
        let mut tickets = Vec::new();
        for event in events {
            self.builder.push(event)?;
            if self.builder.is_full() {
                tickets.push(self.store.append(self.builder.finish()?)?);
            }
        }
        if self.builder.events() > 0 {
            tickets.push(self.store.append(self.builder.finish()?)?);
        }
        for ticket in tickets {
            ticket.wait()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Outcome<()> {
        self.store.compact()?;
        // Closed, it is as large as its data: what the active segment has preallocated goes.
        self.store.close()?;
        self.store = Store::open_read_only(Options::new(&self.directory))?;
        let snapshot = self.store.snapshot();
        self.catalog.refresh(&snapshot)?;
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn ask(&mut self, question: &Question) -> Outcome<Answer> {
        let snapshot = self.snapshot.as_ref().ok_or("not settled yet")?;
        let query = Query::new(TimeRange::ALL).limit(LIMIT);
        match question {
            Question::Trace(id) => self.rows(&snapshot.trace(TraceId(*id))?.events),
            Question::Search { service, operation, duration_min } => {
                let query = query.source(service).event_type(operation);
                let query = query.duration_ns(*duration_min..i64::MAX);
                self.rows(&snapshot.query(&query)?.events)
            }
            Question::User(user) => {
                self.rows(&snapshot.query(&query.attr(USER).eq(user.as_str()))?.events)
            }
            Question::Count(user) => {
                let counts = snapshot.count(&query.attr(USER).eq(user.as_str()), By::default())?;
                Ok(Answer::Count(counts.counts.iter().map(|count| count.count).sum()))
            }
            Question::Red => {
                let answer = snapshot.series(&query, MINUTE_NS, SeriesBy::Source)?;
                let minutes = answer.series.into_iter().flat_map(|series| {
                    let source = series.source;
                    series.points.into_iter().map(move |point| {
                        let p99 = point.durations.percentile(99).unwrap_or_default();
                        let minute = Minute { spans: point.count, errors: point.errors, p99 };
                        ((source.clone(), point.time.as_ns()), minute)
                    })
                });
                Ok(Answer::Red(minutes.collect()))
            }
            Question::Services => Ok(Answer::Names(self.catalog.services())),
            Question::Operations(service) => {
                let operations = self.catalog.operations(Some(service));
                let names = operations.into_iter().map(|(series, _)| series.event_type);
                Ok(Answer::Names(names.collect()))
            }
        }
    }
}

//! fjall, a log-structured merge tree: rows under their numbers, and four keyspaces that lead to
//! them. A batch over all keyspaces per portion, synced.

use std::path::Path;

use annal::Event;
use annal::codec::Cursor;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::Outcome;
use crate::engine::{Answer, Engine, LIMIT, Minutes, Question, USER};
use crate::rows::{Keys, Row};

/// A database.
pub struct Fjall {
    database: Database,
    /// Row by number, big-endian.
    rows: Keyspace,
    /// trace, number
    by_trace: Keyspace,
    /// time, number
    by_time: Keyspace,
    /// service 0 operation 0 time number -> duration
    by_operation: Keyspace,
    /// user 0 time number
    by_user: Keyspace,
    next: u64,
    user: u16,
}

impl Fjall {
    /// A new database.
    pub fn open(directory: &Path, keys: &Keys) -> Outcome<Fjall> {
        let database = Database::builder(directory).cache_size(256 << 20).open()?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        Ok(Fjall {
            rows: keyspace("rows")?,
            by_trace: keyspace("by_trace")?,
            by_time: keyspace("by_time")?,
            by_operation: keyspace("by_operation")?,
            by_user: keyspace("by_user")?,
            database,
            next: 0,
            user: keys.of(USER)?,
        })
    }

    fn row(&self, index_key: &[u8]) -> Outcome<Row> {
        let number = index_key.last_chunk::<8>().ok_or("an index key without a number")?;
        let row = self.rows.get(number)?.ok_or("an index leads to no row")?;
        Row::decode(&row)
    }

    /// The first part of each key behind a prefix, up to the next zero; each part once.
    fn names(&self, prefix: &[u8]) -> Outcome<Answer> {
        let (mut names, mut from) = (Vec::new(), prefix.to_vec());
        loop {
            let Some(next) = self.by_operation.range(from..).next() else { break };
            let key = next.key()?;
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let name = rest.split(|&byte| byte == 0).next().unwrap_or_default();
            names.push(std::str::from_utf8(name)?.to_owned());
            // 1 comes behind the 0 that ends the name, whatever follows it.
            from = [prefix, name, &[1]].concat();
        }
        Ok(Answer::Names(names))
    }
}

/// Texts, each with a zero behind it: no text here has one.
fn prefix(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| text.bytes().chain([0])).collect()
}

impl Engine for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn load(&mut self, _: &[Event], rows: &[Row]) -> Outcome<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for row in rows {
            let (number, time) = (self.next.to_be_bytes(), row.time.to_be_bytes());
            self.next += 1;
            let mut value = Vec::new();
            row.encode(&mut value);
            batch.insert(&self.rows, number, value);
            batch.insert(&self.by_trace, [&row.trace[..], &number].concat(), []);
            batch.insert(&self.by_time, [time, number].concat(), []);
            let key = [&prefix(&[&row.service, &row.operation])[..], &time, &number].concat();
            batch.insert(&self.by_operation, key, row.duration.to_le_bytes());
            if let Some(user) = row.text(self.user) {
                batch.insert(&self.by_user, [&prefix(&[user])[..], &time, &number].concat(), []);
            }
        }
        Ok(batch.commit()?)
    }

    fn settle(&mut self) -> Outcome<()> {
        let all = [&self.rows, &self.by_trace, &self.by_time, &self.by_operation, &self.by_user];
        for keyspace in all {
            keyspace.rotate_memtable_and_wait()?;
            keyspace.major_compact()?;
        }
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }

    fn ask(&mut self, question: &Question) -> Outcome<Answer> {
        match question {
            Question::Trace(id) => {
                let keys = self.by_trace.prefix(id).map(|item| self.row(&item.key()?));
                Ok(Answer::Rows(keys.collect::<Outcome<_>>()?))
            }
            Question::Search { service, operation, duration_min } => {
                let mut found = Vec::new();
                for item in self.by_operation.prefix(prefix(&[service, operation])).rev() {
                    let (key, duration) = item.into_inner()?;
                    let duration = i64::from_le_bytes(duration[..].try_into()?);
                    if duration >= *duration_min {
                        found.push(self.row(&key)?);
                    }
                    if found.len() == LIMIT {
                        break;
                    }
                }
                Ok(Answer::Rows(found))
            }
            Question::User(user) => {
                let newest = self.by_user.prefix(prefix(&[user])).rev().take(LIMIT);
                let rows = newest.map(|item| self.row(&item.key()?));
                Ok(Answer::Rows(rows.collect::<Outcome<_>>()?))
            }
            Question::Count(user) => {
                Ok(Answer::Count(self.by_user.prefix(prefix(&[user])).count() as u64))
            }
            Question::Red => {
                let mut minutes = Minutes::default();
                for item in self.rows.iter() {
                    let value = item.value()?;
                    let row = Row::decode_front(&mut Cursor::new(&value))?;
                    minutes.add(&row.service, row.time, row.status, row.duration);
                }
                Ok(minutes.answer())
            }
            Question::Services => self.names(&[]),
            Question::Operations(service) => self.names(&prefix(&[service])),
        }
    }
}

//! SQLite: one table with a column per attribute, four indexes, a transaction per portion with
//! `synchronous = FULL`.

use std::path::Path;

use annal::Event;
use annal::index::Histogram;
use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params};

use crate::Outcome;
use crate::engine::{Answer, Engine, LIMIT, MINUTE_NS, Minute, Question, STATUS_ERROR, USER};
use crate::rows::{Cell, Keys, Row};

/// Columns before those of the attributes.
const FIXED: [&str; 9] =
    ["time", "duration", "trace", "span", "parent", "kind", "status", "service", "operation"];
/// The search indexes have the time as well: the newest come first without sorting.
const INDEXES: [&str; 4] = [
    "by_trace on spans (trace)",
    "by_time on spans (time)",
    "by_operation on spans (service, operation, time)",
    "by_user on spans (\"user.id\", time)",
];

/// A database.
pub struct Sqlite {
    connection: Connection,
    insert: String,
    attributes: usize,
}

impl Sqlite {
    /// A new database.
    pub fn open(directory: &Path, keys: &Keys) -> Outcome<Sqlite> {
        let connection = Connection::open(directory.join("spans.db"))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // In KiB, when negative: what the whole file needs while indexes are written to.
        connection.pragma_update(None, "cache_size", -262_144)?;
        let attributes: Vec<String> = keys.iter().map(|(key, _, _)| quoted(key)).collect();
        let all = [&FIXED.map(str::to_owned)[..], &attributes].concat();
        connection.execute_batch(&format!("create table spans ({})", all.join(", ")))?;
        for index in INDEXES {
            connection.execute_batch(&format!("create index {index}"))?;
        }
        let holes = vec!["?"; all.len()].join(", ");
        let flags = FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_UTF8;
        connection.create_aggregate_function("p99", 1, flags, Percentile)?;
        let insert = format!("insert into spans values ({holes})");
        Ok(Sqlite { connection, insert, attributes: attributes.len() })
    }

    fn rows(&self, condition: &str, values: &[&dyn ToSql]) -> Outcome<Answer> {
        let text = format!("select * from spans where {condition}");
        let mut statement = self.connection.prepare_cached(&text)?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let mut attributes = Vec::new();
            for key in 0..self.attributes {
                let cell = match row.get_ref(FIXED.len() + key)? {
                    ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text)?.to_owned()),
                    ValueRef::Integer(number) => Cell::Int(number),
                    _ => continue,
                };
                attributes.push((u16::try_from(key)?, cell));
            }
            found.push(Row {
                time: row.get(0)?,
                duration: row.get(1)?,
                trace: row.get(2)?,
                span: row.get(3)?,
                parent: row.get(4)?,
                kind: row.get(5)?,
                status: row.get(6)?,
                service: row.get(7)?,
                operation: row.get(8)?,
                attributes,
            });
        }
        Ok(Answer::Rows(found))
    }

    fn names(&self, text: &str, values: &[&dyn ToSql]) -> Outcome<Answer> {
        let mut statement = self.connection.prepare_cached(text)?;
        let names = statement.query_map(values, |row| row.get(0))?;
        Ok(Answer::Names(names.collect::<Result<_, _>>()?))
    }

    fn red(&self) -> Outcome<Answer> {
        let text = format!(
            "select service, time / {MINUTE_NS}, count(*), sum(status = {STATUS_ERROR}), \
             p99(duration) from spans group by 1, 2"
        );
        let mut statement = self.connection.prepare_cached(&text)?;
        let minutes = statement.query_map([], |row| {
            let (service, minute): (String, i64) = (row.get(0)?, row.get(1)?);
            let (spans, errors): (i64, i64) = (row.get(2)?, row.get(3)?);
            let (spans, errors) = (spans.unsigned_abs(), errors.unsigned_abs());
            let sums = Minute { spans, errors, p99: row.get(4)? };
            Ok(((service, minute * MINUTE_NS), sums))
        })?;
        Ok(Answer::Red(minutes.collect::<Result<_, _>>()?))
    }
}

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn load(&mut self, _: &[Event], rows: &[Row]) -> Outcome<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(&self.insert)?;
            for row in rows {
                let fixed = params![
                    row.time,
                    row.duration,
                    row.trace,
                    row.span,
                    row.parent,
                    row.kind,
                    row.status,
                    row.service,
                    row.operation
                ];
                for (at, value) in (1..).zip(fixed) {
                    insert.raw_bind_parameter(at, value)?;
                }
                let mut attributes = row.attributes.iter().peekable();
                for key in 0..self.attributes {
                    let here = attributes.next_if(|attribute| usize::from(attribute.0) == key);
                    insert.raw_bind_parameter(1 + FIXED.len() + key, here.map(|a| &a.1))?;
                }
                insert.raw_execute()?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn settle(&mut self) -> Outcome<()> {
        self.connection.execute_batch("analyze")?;
        let checkpoint = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let busy = self.connection.query_row("pragma wal_checkpoint(truncate)", [], checkpoint)?;
        if busy == 0 { Ok(()) } else { Err("the checkpoint was not finished".into()) }
    }

    fn ask(&mut self, question: &Question) -> Outcome<Answer> {
        let newest = format!("order by time desc, rowid desc limit {LIMIT}");
        match question {
            Question::Trace(id) => self.rows("trace = ?", params![id]),
            Question::Search { service, operation, duration_min } => self.rows(
                &format!("service = ? and operation = ? and duration >= ? {newest}"),
                params![service, operation, duration_min],
            ),
            Question::User(user) => self.rows(&format!("\"{USER}\" = ? {newest}"), params![user]),
            Question::Count(user) => {
                let text = format!("select count(*) from spans where \"{USER}\" = ?");
                let mut statement = self.connection.prepare_cached(&text)?;
                let count: i64 = statement.query_row([user], |row| row.get(0))?;
                Ok(Answer::Count(count.unsigned_abs()))
            }
            Question::Red => self.red(),
            Question::Services => self.names("select distinct service from spans order by 1", &[]),
            Question::Operations(service) => self.names(
                "select distinct operation from spans where service = ? order by 1",
                params![service],
            ),
        }
    }
}

/// A name of whatever text.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Cell::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cell::Int(number) => ToSqlOutput::Owned(Value::Integer(*number)),
        })
    }
}

/// The 99th percentile as annal has it, so that answers can be compared.
struct Percentile;

impl Aggregate<Histogram, i64> for Percentile {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Histogram> {
        Ok(Histogram::default())
    }

    fn step(&self, context: &mut Context<'_>, durations: &mut Histogram) -> rusqlite::Result<()> {
        durations.record(context.get(0)?);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, durations: Option<Histogram>) -> rusqlite::Result<i64> {
        Ok(durations.and_then(|durations| durations.percentile(99)).unwrap_or_default())
    }
}

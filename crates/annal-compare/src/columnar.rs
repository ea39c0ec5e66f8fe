//! One Parquet file, read as the standard's own library reads it: a column per attribute, zstd,
//! row groups in the order of arrival, bloom filters of traces and users. It is written in one go:
//! nothing of it is durable, or can be asked for, before its end.
//!
//! Row groups are left out by their bloom filters, and by their times once enough was found; of the
//! others the columns of the condition are read first, then the rows that are left.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use annal::Event;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArray};
use parquet::data_type::{FixedLenByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use crate::Outcome;
use crate::engine::{Answer, Engine, LIMIT, Minutes, Question, USER};
use crate::rows::{Cell, Keys, Row};

/// Rows of a row group.
const GROUP_ROWS: usize = 65_536;
const ZSTD_LEVEL: i32 = 3;

/// Columns before those of the attributes, by number.
const FIXED: [(&str, &str); 9] = [
    ("time", "required int64"),
    ("duration", "required int64"),
    ("kind", "required int64"),
    ("status", "required int64"),
    ("trace", "required fixed_len_byte_array(16)"),
    ("span", "required fixed_len_byte_array(8)"),
    ("parent", "optional fixed_len_byte_array(8)"),
    ("service", "required binary"),
    ("operation", "required binary"),
];
const TIME: usize = 0;
const DURATION: usize = 1;
const STATUS: usize = 3;
const TRACE: usize = 4;
const SERVICE: usize = 7;
const OPERATION: usize = 8;

/// A file being written, then read.
pub struct Parquet {
    path: PathBuf,
    writer: Option<SerializedFileWriter<File>>,
    waiting: Vec<Row>,
    /// Whether the values of each attribute are integers.
    are_ints: Vec<bool>,
    /// The column of users.
    user: usize,
    reader: Option<SerializedFileReader<File>>,
    groups: Vec<Group>,
}

/// What is kept of a row group.
struct Group {
    max_time: i64,
    traces: Option<Sbbf>,
    users: Option<Sbbf>,
}

impl Parquet {
    /// A new file.
    pub fn create(directory: &Path, keys: &Keys) -> Outcome<Parquet> {
        let mut fields: Vec<String> =
            FIXED.iter().map(|(name, form)| format!("{form} {name};")).collect();
        for (_, number, is_int) in keys.iter() {
            let form = if is_int { "int64" } else { "binary" };
            fields.push(format!("optional {form} a{number};"));
        }
        let schema = parse_message_type(&format!("message spans {{ {} }}", fields.join(" ")))?;
        let user = FIXED.len() + usize::from(keys.of(USER)?);
        let column = |name: &str| ColumnPath::from(name);
        let user_name = format!("a{}", keys.of(USER)?);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
            .set_column_bloom_filter_enabled(column("trace"), true)
            .set_column_bloom_filter_enabled(column(&user_name), true);
        for name in ["time", "duration", "span", "parent"] {
            properties = properties.set_column_dictionary_enabled(column(name), false);
        }
        properties = properties.set_column_encoding(column("time"), Encoding::DELTA_BINARY_PACKED);
        let path = directory.join("spans.parquet");
        let (file, properties) = (File::create(&path)?, Arc::new(properties.build()));
        let writer = SerializedFileWriter::new(file, Arc::new(schema), properties)?;
        Ok(Parquet {
            path,
            writer: Some(writer),
            waiting: Vec::new(),
            are_ints: keys.iter().map(|key| key.2).collect(),
            user,
            reader: None,
            groups: Vec::new(),
        })
    }

    fn write_group(&mut self) -> Outcome<()> {
        let rows = std::mem::take(&mut self.waiting);
        let writer = self.writer.as_mut().ok_or("the file is finished")?;
        let mut group = writer.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            let number = |row: &Row| match at {
                TIME => row.time,
                DURATION => row.duration,
                STATUS => row.status.into(),
                _ => row.kind.into(),
            };
            let fixed = |bytes: &[u8]| FixedLenByteArray::from(bytes.to_vec());
            let text = |text: &str| Some(ByteArray::from(text));
            match at {
                0..TRACE => put::<Int64Type>(&mut column, &rows, false, |row| Some(number(row)))?,
                TRACE => put::<FixedLenByteArrayType>(&mut column, &rows, false, |row| {
                    Some(fixed(&row.trace))
                })?,
                5 => put::<FixedLenByteArrayType>(&mut column, &rows, false, |row| {
                    Some(fixed(&row.span))
                })?,
                6 => put::<FixedLenByteArrayType>(&mut column, &rows, true, |row| {
                    row.parent.map(|id| fixed(&id))
                })?,
                SERVICE => {
                    put::<ByteArrayType>(&mut column, &rows, false, |row| text(&row.service))?;
                }
                OPERATION => {
                    put::<ByteArrayType>(&mut column, &rows, false, |row| text(&row.operation))?;
                }
                _ if self.are_ints.get(at - FIXED.len()) == Some(&true) => {
                    put::<Int64Type>(&mut column, &rows, true, |row| match attribute(row, at) {
                        Some(Cell::Int(number)) => Some(*number),
                        _ => None,
                    })?;
                }
                _ => put::<ByteArrayType>(&mut column, &rows, true, |row| {
                    match attribute(row, at) {
                        Some(Cell::Text(value)) => text(value),
                        _ => None,
                    }
                })?,
            }
            column.close()?;
            at += 1;
        }
        group.close()?;
        Ok(())
    }

    /// The values of a column of a row group: of all rows, or of these, which ascend.
    fn column<T: DataType>(
        &self,
        group: usize,
        at: usize,
        wanted: Option<&[usize]>,
    ) -> Outcome<Vec<Option<T::T>>> {
        let reader = self.reader.as_ref().ok_or("the file is not finished")?;
        let group = reader.get_row_group(group)?;
        let rows = usize::try_from(group.metadata().num_rows())?;
        let mut column = get_typed_column_reader::<T>(group.get_column_reader(at)?);
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        match wanted {
            None => {
                column.read_records(rows, Some(&mut levels), None, &mut values)?;
            }
            Some(wanted) => {
                let mut next = 0;
                for &row in wanted {
                    column.skip_records(row - next)?;
                    column.read_records(1, Some(&mut levels), None, &mut values)?;
                    next = row + 1;
                }
            }
        }
        if levels.is_empty() {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        Ok(levels.into_iter().map(|level| values.next_if_present(level)).collect())
    }

    /// Those of the wanted rows of a column that hold a text.
    fn rows_with_text(
        &self,
        group: usize,
        at: usize,
        wanted: Option<&[usize]>,
        text: &str,
    ) -> Outcome<Vec<usize>> {
        let values = self.column::<ByteArrayType>(group, at, wanted)?;
        Ok(select(wanted, &values, |value| value.data() == text.as_bytes()))
    }

    /// Whole rows of a row group.
    fn rows(&self, group: usize, wanted: &[usize]) -> Outcome<Vec<Row>> {
        let mut rows = vec![Row::default(); wanted.len()];
        let wanted = Some(wanted);
        for at in 0..4 {
            for (row, value) in rows.iter_mut().zip(self.column::<Int64Type>(group, at, wanted)?) {
                let value = value.unwrap_or_default();
                match at {
                    TIME => row.time = value,
                    DURATION => row.duration = value,
                    STATUS => row.status = u8::try_from(value)?,
                    _ => row.kind = u8::try_from(value)?,
                }
            }
        }
        for at in TRACE..SERVICE {
            let values = self.column::<FixedLenByteArrayType>(group, at, wanted)?;
            for (row, value) in rows.iter_mut().zip(values) {
                let Some(value) = value else { continue };
                match at {
                    TRACE => row.trace = value.data().try_into()?,
                    5 => row.span = value.data().try_into()?,
                    _ => row.parent = Some(value.data().try_into()?),
                }
            }
        }
        for at in SERVICE..FIXED.len() + self.are_ints.len() {
            let key = at.checked_sub(FIXED.len());
            if key.is_some_and(|key| self.are_ints[key]) {
                let values = self.column::<Int64Type>(group, at, wanted)?;
                for (row, value) in rows.iter_mut().zip(values) {
                    let number = u16::try_from(at - FIXED.len())?;
                    row.attributes.extend(value.map(|value| (number, Cell::Int(value))));
                }
                continue;
            }
            let values = self.column::<ByteArrayType>(group, at, wanted)?;
            for (row, value) in rows.iter_mut().zip(values) {
                let Some(value) = value else { continue };
                let text = value.as_utf8()?.to_owned();
                match at {
                    SERVICE => row.service = text,
                    OPERATION => row.operation = text,
                    _ => row.attributes.push((u16::try_from(at - FIXED.len())?, Cell::Text(text))),
                }
            }
        }
        Ok(rows)
    }

    /// The newest rows that `find` says of the row groups.
    fn newest(&self, find: impl Fn(usize) -> Outcome<Vec<usize>>) -> Outcome<Answer> {
        let mut groups: Vec<usize> = (0..self.groups.len()).collect();
        groups.sort_by_key(|&group| std::cmp::Reverse(self.groups[group].max_time));
        let mut best: Vec<(i64, usize, usize)> = Vec::new();
        for group in groups {
            let oldest = best.last().filter(|_| best.len() == LIMIT);
            if oldest.is_some_and(|oldest| oldest.0 > self.groups[group].max_time) {
                break;
            }
            let found = find(group)?;
            if found.is_empty() {
                continue;
            }
            let times = self.column::<Int64Type>(group, TIME, Some(&found))?;
            let times = times.into_iter().zip(found);
            best.extend(times.map(|(time, row)| (time.unwrap_or_default(), group, row)));
            best.sort_unstable_by(|a, b| b.cmp(a));
            best.truncate(LIMIT);
        }
        let mut answer: Vec<((i64, usize, usize), Row)> = Vec::new();
        let groups: BTreeSet<usize> = best.iter().map(|found| found.1).collect();
        for group in groups {
            let mut here: Vec<_> = best.iter().filter(|found| found.1 == group).collect();
            here.sort_by_key(|found| found.2);
            let wanted: Vec<usize> = here.iter().map(|found| found.2).collect();
            answer.extend(here.into_iter().copied().zip(self.rows(group, &wanted)?));
        }
        answer.sort_by_key(|found| std::cmp::Reverse(found.0));
        Ok(Answer::Rows(answer.into_iter().map(|(_, row)| row).collect()))
    }

    fn with_user(&self, group: usize, user: &str) -> Outcome<Vec<usize>> {
        match may_hold(&self.groups[group].users, user.as_bytes()) {
            true => self.rows_with_text(group, self.user, None, user),
            false => Ok(Vec::new()),
        }
    }

    fn search(&self, group: usize, names: [&str; 2], duration_min: i64) -> Outcome<Vec<usize>> {
        let rows = self.rows_with_text(group, SERVICE, None, names[0])?;
        let rows = self.rows_with_text(group, OPERATION, Some(&rows), names[1])?;
        let durations = self.column::<Int64Type>(group, DURATION, Some(&rows))?;
        Ok(select(Some(&rows), &durations, |duration| *duration >= duration_min))
    }
}

impl Engine for Parquet {
    fn name(&self) -> &'static str {
        "Parquet"
    }

    fn load(&mut self, _: &[Event], rows: &[Row]) -> Outcome<()> {
        for row in rows {
            self.waiting.push(row.clone());
            if self.waiting.len() == GROUP_ROWS {
                self.write_group()?;
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Outcome<()> {
        if !self.waiting.is_empty() {
            self.write_group()?;
        }
        self.writer.take().ok_or("the file is finished")?.close()?;
        let file = File::open(&self.path)?;
        file.sync_all()?;
        let reader = SerializedFileReader::new(file.try_clone()?)?;
        for group in reader.metadata().row_groups() {
            let max_time = match group.column(TIME).statistics() {
                Some(Statistics::Int64(times)) => times.max_opt().copied(),
                _ => None,
            };
            let filter = |at| Sbbf::read_from_column_chunk(group.column(at), &file);
            let (traces, users) = (filter(TRACE)?, filter(self.user)?);
            self.groups.push(Group { max_time: max_time.unwrap_or(i64::MAX), traces, users });
        }
        self.reader = Some(reader);
        Ok(())
    }

    fn ask(&mut self, question: &Question) -> Outcome<Answer> {
        let all = 0..self.groups.len();
        match question {
            Question::Trace(id) => {
                let mut rows = Vec::new();
                for group in all.filter(|&group| may_hold(&self.groups[group].traces, id)) {
                    let ids = self.column::<FixedLenByteArrayType>(group, TRACE, None)?;
                    let found = select(None, &ids, |other| other.data() == id);
                    if !found.is_empty() {
                        rows.extend(self.rows(group, &found)?);
                    }
                }
                Ok(Answer::Rows(rows))
            }
            Question::Search { service, operation, duration_min } => {
                self.newest(|group| self.search(group, [service, operation], *duration_min))
            }
            Question::User(user) => self.newest(|group| self.with_user(group, user)),
            Question::Count(user) => {
                let found: Outcome<Vec<_>> = all.map(|group| self.with_user(group, user)).collect();
                Ok(Answer::Count(found?.iter().map(|rows| rows.len() as u64).sum()))
            }
            Question::Red => {
                let mut minutes = Minutes::default();
                for group in all {
                    let number = |at| self.column::<Int64Type>(group, at, None);
                    let (times, durations) = (number(TIME)?, number(DURATION)?);
                    let statuses = number(STATUS)?;
                    let services = self.column::<ByteArrayType>(group, SERVICE, None)?;
                    let of = |numbers: &[Option<i64>], row: usize| numbers[row].unwrap_or_default();
                    for (row, service) in services.iter().enumerate() {
                        let service = service.as_ref().map_or(Ok(""), ByteArray::as_utf8)?;
                        let status = u8::try_from(of(&statuses, row))?;
                        minutes.add(service, of(&times, row), status, of(&durations, row));
                    }
                }
                Ok(minutes.answer())
            }
            Question::Services | Question::Operations(_) => {
                let mut names = BTreeSet::new();
                for group in all {
                    let values = match question {
                        Question::Operations(service) => {
                            let rows = self.rows_with_text(group, SERVICE, None, service)?;
                            self.column::<ByteArrayType>(group, OPERATION, Some(&rows))?
                        }
                        _ => self.column::<ByteArrayType>(group, SERVICE, None)?,
                    };
                    names.extend(values.into_iter().flatten().map(|name| name.data().to_vec()));
                }
                let names = names.into_iter().map(String::from_utf8);
                Ok(Answer::Names(names.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// Takes the next value where a row has one.
trait NextIfPresent: Iterator {
    fn next_if_present(&mut self, level: i16) -> Option<Self::Item> {
        if level > 0 { self.next() } else { None }
    }
}

impl<I: Iterator> NextIfPresent for I {}

fn put<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    rows: &[Row],
    optional: bool,
    value: impl Fn(&Row) -> Option<T::T>,
) -> Outcome<()> {
    let all: Vec<Option<T::T>> = rows.iter().map(value).collect();
    let levels: Vec<i16> = all.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = all.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, optional.then_some(&levels[..]), None)?;
    Ok(())
}

fn attribute(row: &Row, at: usize) -> Option<&Cell> {
    let key = at - FIXED.len();
    row.attributes.iter().find(|attribute| usize::from(attribute.0) == key).map(|found| &found.1)
}

/// The rows whose value is wanted; `values` are those of `rows`, or of all.
fn select<T>(
    rows: Option<&[usize]>,
    values: &[Option<T>],
    wanted: impl Fn(&T) -> bool,
) -> Vec<usize> {
    let found = values.iter().enumerate().filter(|(_, value)| value.as_ref().is_some_and(&wanted));
    found.filter_map(|(at, _)| rows.map_or(Some(at), |rows| rows.get(at).copied())).collect()
}

fn may_hold(filter: &Option<Sbbf>, value: &[u8]) -> bool {
    filter.as_ref().is_none_or(|filter| filter.check(value))
}

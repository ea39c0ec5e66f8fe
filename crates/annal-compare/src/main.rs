//! The same spans and the same questions in annal and in other embedded stores, side by side. The
//! only crate that depends on other engines; it stands outside of the workspace.
//!
//! 1. Read the file once: which attributes there are, and some spans to ask about.
//! 2. Read it again and give every store every portion, one after another; the time that counts is
//!    that of the store.
//! 3. Let the stores settle, measure their files, ask all the same questions.
//! 4. Answers that differ end the run: a fast wrong answer is worth nothing.
//!
//! ```text
//! cargo run --release --manifest-path crates/annal-compare/Cargo.toml -- FILE --dir DIR [--json]
//! ```
//! FILE: OTLP requests, each behind its length as a big-endian u32, as `annal import` reads it. DIR:
//! where the stores are made; each of them must not exist yet.

mod columnar;
mod embedded;
mod engine;
mod input;
mod lsm;
mod report;
mod rows;
mod sqlite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use engine::{Answer, Engine, Question};
use report::Measured;
use rows::{Keys, Row};

/// What fails here is told as it is.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Spans that are asked about, at most.
const PICKED_MAX: usize = 100;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("annal-compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = arguments.iter().position(|a| a == "--json").map(|at| arguments.remove(at));
    let [file, option, directory] = arguments.as_slice() else {
        return Err("usage: annal-compare FILE --dir DIR [--json]".into());
    };
    if option != "--dir" {
        return Err(format!("{option}: unknown").into());
    }
    let (file, directory) = (Path::new(file), PathBuf::from(directory));
    let (keys, picked) = look(file)?;
    let fresh = |name: &str| -> Outcome<PathBuf> {
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(name);
        std::fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    };
    let mut stores: Vec<(PathBuf, Box<dyn Engine>)> = Vec::new();
    let path = fresh("annal")?;
    stores.push((path.clone(), Box::new(embedded::Annal::open(&path, &keys)?)));
    let path = fresh("sqlite")?;
    stores.push((path.clone(), Box::new(sqlite::Sqlite::open(&path, &keys)?)));
    let path = fresh("parquet")?;
    stores.push((path.clone(), Box::new(columnar::Parquet::create(&path, &keys)?)));
    let path = fresh("fjall")?;
    stores.push((path.clone(), Box::new(lsm::Fjall::open(&path, &keys)?)));

    let mut measured = load(file, &keys, &mut stores)?;
    let questions = engine::questions(&picked, &keys)?;
    for (name, asked) in &questions {
        let mut answers: Vec<Answer> = Vec::new();
        for ((_, store), measured) in stores.iter_mut().zip(&mut measured) {
            let p50 = ask(store.as_mut(), name, asked, &mut answers)?;
            measured.questions.push((*name, p50));
        }
    }
    match json {
        Some(_) => report::write_json(&measured),
        None => report::write_table(&measured),
    }
    Ok(())
}

/// Which attributes there are, and spans to ask about, evenly from all of the file.
fn look(file: &Path) -> Outcome<(Keys, Vec<Row>)> {
    let (mut keys, mut samples) = (Keys::default(), Vec::new());
    input::read(file, |events| {
        events.iter().try_for_each(|event| keys.learn(event))?;
        // Each portion gives its first with a user; a portion is a small part of any file.
        let has_user = |event: &&annal::Event| {
            event.attributes.iter().any(|attribute| attribute.key == engine::USER)
        };
        samples.extend(events.iter().step_by(97).filter(has_user).take(4).cloned());
        Ok(())
    })?;
    keys.number();
    let step = samples.len().div_ceil(PICKED_MAX).max(1);
    let picked: Outcome<Vec<Row>> = samples.iter().step_by(step).map(|e| keys.row(e)).collect();
    Ok((keys, picked?))
}

/// Loads all of the file into all stores, portion by portion.
fn load(
    file: &Path,
    keys: &Keys,
    stores: &mut [(PathBuf, Box<dyn Engine>)],
) -> Outcome<Vec<Measured>> {
    let mut measured: Vec<Measured> =
        stores.iter().map(|(_, store)| Measured::new(store.name())).collect();
    input::read(file, |events| {
        let rows = events.iter().map(|event| keys.row(event)).collect::<Outcome<Vec<_>>>()?;
        for ((_, store), measured) in stores.iter_mut().zip(&mut measured) {
            let started = Instant::now();
            store.load(events, &rows)?;
            measured.load_s += started.elapsed().as_secs_f64();
            measured.spans += rows.len() as u64;
        }
        Ok(())
    })?;
    for ((path, store), measured) in stores.iter_mut().zip(&mut measured) {
        let started = Instant::now();
        store.settle()?;
        measured.settle_s = started.elapsed().as_secs_f64();
        measured.bytes = report::bytes(path)?;
    }
    Ok(measured)
}

/// The median time of a question in milliseconds. The first store's answers are kept, those of the
/// others must be the same.
fn ask(
    store: &mut dyn Engine,
    name: &str,
    questions: &[Question],
    answers: &mut Vec<Answer>,
) -> Outcome<f64> {
    let first = answers.is_empty();
    let mut times = Vec::new();
    for (at, question) in questions.iter().enumerate() {
        let started = Instant::now();
        let answer = store.ask(question)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        let answer = answer.normal(question);
        if first {
            answers.push(answer);
        } else if answers.get(at) != Some(&answer) {
            let what = format!("{name}: {} answers {question:?} differently", store.name());
            return Err(what.into());
        }
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().ok_or_else(|| "no span to ask about".into())
}

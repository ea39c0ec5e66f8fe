//! COM-1 on a real disk: a process that appends to an embedded store is killed, over and over, and
//! what it was told is durable is there, in order, once.
//!
//! `ANNAL_KILLS` says how often. This file is its own victim: it starts itself with the ignored test.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "tests print and unwrap")]
#![allow(clippy::disallowed_methods, reason = "starts a process and waits before it kills it")]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use annal::{Options, Store};
use annal_sim::oracle::{Key, Stored};
use annal_sim::random::hash;
use annal_sim::{Random, Stock};
use common::{STOCK, env};

const DIRECTORY: &str = "ANNAL_VICTIM_DIRECTORY";
const PRODUCER: u64 = 9;

fn options(directory: &Path) -> Options {
    Options { segment_bytes: 256 << 10, ..Options::new(directory) }
}

fn key(number: u64) -> Key {
    Key { producer: PRODUCER, epoch: 0, number }
}

fn content(number: u64) -> usize {
    (hash([number, 0, 0]) % STOCK.len() as u64) as usize
}

/// Appends as fast as it can and says which number was acknowledged with which sequence.
#[test]
#[ignore = "the victim of the test below"]
fn victim() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let (store, _) = Store::open(options(Path::new(&directory))).unwrap();
    let batch = STOCK.batch(0, Some(key(0)));
    let id = batch.header().producer_id;
    let first = store.next_batch_number(id, 0).unwrap().unwrap_or(0);
    let mut out = std::io::stdout();
    writeln!(out, "\nfirst {first}").unwrap();
    let mut waiting = std::collections::VecDeque::new();
    for number in first.. {
        let ticket = store.append(STOCK.batch(content(number), Some(key(number)))).unwrap();
        waiting.push_back((number, ticket));
        if waiting.len() > 20 {
            let (number, ticket) = waiting.pop_front().unwrap();
            let ack = ticket.wait().unwrap();
            writeln!(out, "ack {number} {}", ack.first_sequence.unwrap()).unwrap();
        }
    }
}

/// Runs the victim for a while and gives what it was told.
fn run_and_kill(directory: &Path, after: Duration) -> BTreeMap<u64, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut told = BTreeMap::new();
        for line in out.lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split(' ').collect();
            if let ["ack", number, sequence] = words[..]
                && let (Ok(number), Ok(sequence)) = (number.parse(), sequence.parse())
            {
                told.insert(number, sequence);
            }
        }
        told
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn look(directory: &Path, stock: &Stock) -> Vec<Stored> {
    let (store, _) = Store::open(options(directory)).unwrap();
    let contents = stock.recognise(&store.snapshot(), false).unwrap();
    store.close().unwrap();
    contents
}

#[test]
fn what_a_killed_process_was_told_is_durable_is_there_once_and_in_order() {
    let kills = env("ANNAL_KILLS", 50);
    let mut random = Random::new(env("ANNAL_SEED", 1));
    let directory = tempfile::tempdir().unwrap();
    let mut told: BTreeMap<u64, u64> = BTreeMap::new();
    for kill in 0..kills {
        let after = Duration::from_millis(20 + random.below(150));
        for (number, sequence) in run_and_kill(directory.path(), after) {
            assert_eq!(told.insert(number, sequence), None, "{number} was acknowledged twice");
        }
        // Half of the kills are found by the next victim, and only then looked at.
        if kill % 2 == 0 || kill + 1 == kills {
            let contents = look(directory.path(), &STOCK);
            for (number, stored) in contents.iter().enumerate() {
                let number = number as u64;
                assert_eq!(stored.key, Some(key(number)), "a hole or a duplicate");
                assert_eq!(stored.content, content(number), "batch {number} has other bytes");
                let sequence = told.get(&number);
                assert!(sequence.is_none_or(|s| *s == stored.first_sequence), "batch {number}");
            }
            let last = told.last_key_value().map_or(0, |(number, _)| number + 1);
            assert!(contents.len() as u64 >= last, "{last} told, {} there", contents.len());
        }
    }
    println!("SIGKILL: {kills} kills, {} batches acknowledged, 0 lost", told.len());
    assert!(told.len() as u64 > kills, "the victims hardly got anything done");
}

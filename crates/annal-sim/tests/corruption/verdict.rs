//! What may come of a damaged store, and how the many verdicts of a sweep are counted.

use std::fmt;

/// What came of a damaged store.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The open said that something is corrupt.
    Refused,
    /// A read said so; all others gave what they should.
    Unreadable,
    /// Everything is as it was, whichever way it is asked for.
    Whole,
    /// Only so many of the batches are there, all as they were, from the first one on.
    Prefix(usize),
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    refused: u64,
    unreadable: u64,
    whole: u64,
    prefix: u64,
    wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn add(
        &mut self,
        verdict: Result<Verdict, String>,
        allowed: impl Fn(&Verdict) -> bool,
        what: impl fmt::Display,
    ) {
        match &verdict {
            Ok(Verdict::Refused) => self.refused += 1,
            Ok(Verdict::Unreadable) => self.unreadable += 1,
            Ok(Verdict::Whole) => self.whole += 1,
            Ok(Verdict::Prefix(_)) => self.prefix += 1,
            Err(_) => {}
        }
        match verdict {
            Ok(verdict) if allowed(&verdict) => {}
            wrong => self.wrong.push(format!("{what}: {wrong:?}")),
        }
    }

    pub(crate) fn conclude(self, what: &str) {
        let runs = self.refused + self.unreadable + self.whole + self.prefix;
        println!(
            "{what}: {runs} damaged stores, {} refused, {} read errors, {} unharmed, {} torn tails, \
             {} wrong verdicts",
            self.refused,
            self.unreadable,
            self.whole,
            self.prefix,
            self.wrong.len()
        );
        let first = self.wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.wrong.is_empty(), "{what}: {} wrong\n{first}", self.wrong.len());
        let noticed = self.refused + self.unreadable;
        assert!(noticed > 0, "{what}: nothing was noticed at all");
    }
}

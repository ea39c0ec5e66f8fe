//! A store to damage, what it holds and answers, and what it says once it is damaged.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use annal::{Error, ErrorKind, OpenReport, Options, Store};
use annal_sim::oracle::Stored;
use annal_sim::{Loss, ManualClock, Settings, SimStorage, World};

use crate::answers::{Answer, FEW, Questions};
use crate::common::{STOCK, env};
use crate::verdict::{Tally, Verdict};

/// How closely a damaged store is looked at. What passes its checksum is the same bytes: not every
/// flip needs every field compared.
#[derive(Clone, Copy, PartialEq)]
enum Look {
    /// The checksums of all frames of the log; of blocks, a few questions.
    Light,
    /// All questions.
    Questions,
    /// All of that, and every field of every event.
    Deep,
}

/// A store with what it holds.
pub(crate) struct Sample {
    pub(crate) disk: SimStorage,
    pub(crate) contents: Vec<Stored>,
    questions: Questions,
    answers: Vec<Answer>,
    /// All events are in blocks: without reading them there is nothing to recognise.
    compacted: bool,
}

impl Sample {
    /// Stopped cleanly: every segment is named by the manifest.
    pub(crate) fn closed() -> Sample {
        Sample::filled(|world| {
            assert!(world.close());
            world.disk.copy()
        })
    }

    /// Killed after the silence that puts the last group's durability on record.
    pub(crate) fn killed() -> Sample {
        Sample::filled(|world| {
            world.rest();
            world.disk.after(Loss::All)
        })
    }

    fn filled(end: impl FnOnce(&mut World<'_>) -> SimStorage) -> Sample {
        let settings = Settings { fault_percent: 0, ..Settings::default() };
        let mut world = World::new(7, settings, &STOCK);
        assert!(world.recover(0));
        while world.files_of_log() < 2 {
            world.script(1);
        }
        world.drain();
        assert!(world.findings().is_empty(), "{:?}", world.findings());
        Sample::of(end(&mut world))
    }

    /// A store as it stands on a disk.
    pub(crate) fn of(disk: SimStorage) -> Sample {
        let (store, _) = open(&disk.copy()).unwrap();
        let snapshot = store.snapshot();
        let contents = STOCK.recognise(&snapshot, true).unwrap();
        let questions = Questions::of(&snapshot);
        let answers = questions.ask(&snapshot, true).map(Result::unwrap).collect();
        let compacted = snapshot.segments().iter().all(|segment| segment.is_compacted());
        drop((snapshot, store));
        let sample = Sample { disk, contents, questions, answers, compacted };
        assert_eq!(sample.open(&sample.disk.copy(), "none"), Ok(Verdict::Whole));
        sample
    }

    pub(crate) fn files(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let found: Vec<_> =
            self.disk.files().into_iter().filter(|(name, _)| name.starts_with(prefix)).collect();
        assert!(!found.is_empty(), "no file {prefix}* in the sample");
        found
    }

    /// What comes of the store after something happened to this file of it.
    pub(crate) fn open(&self, disk: &SimStorage, file: &str) -> Result<Verdict, String> {
        self.open_and_read(disk, file, Look::Deep)
    }

    fn open_and_read(&self, disk: &SimStorage, file: &str, look: Look) -> Result<Verdict, String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.verdict(disk, file, look)));
        outcome.unwrap_or_else(|_| Err("panic".to_owned()))
    }

    fn verdict(&self, disk: &SimStorage, file: &str, look: Look) -> Result<Verdict, String> {
        let before = disk.changes();
        let store = match open(disk) {
            Ok((store, _)) => store,
            Err(error) => {
                names(&error, file)?;
                // REC-1: a refusal changes nothing and is repeated.
                if disk.changes() > before + 1 {
                    return Err(format!("refused with {error:?} and changed more than LOCK"));
                }
                return match open(disk) {
                    Err(e) if e.kind() == error.kind() => Ok(Verdict::Refused),
                    other => Err(format!("refused, then {:?}", other.map(|(_, report)| report))),
                };
            }
        };
        let snapshot = store.snapshot();
        let mut verdict = Verdict::Whole;
        if look == Look::Deep || !self.compacted {
            match STOCK.recognise(&snapshot, look == Look::Deep) {
                Ok(found) if found == self.contents => {}
                Ok(found) if self.contents.starts_with(&found) => {
                    return Ok(Verdict::Prefix(found.len()));
                }
                Ok(found) => return Err(format!("wrong events: {found:?}")),
                Err(error) => {
                    names(&error, file)?;
                    verdict = Verdict::Unreadable;
                }
            }
        }
        // A frame of the log is read as a whole or not at all: one error says it.
        let one_is_enough = !self.compacted;
        let all = look != Look::Light || !self.compacted;
        let few = self.answers.len() - FEW;
        let mut expected = self.answers.iter().skip(if all { 0 } else { few });
        let mut asked = self.questions.ask(&snapshot, all);
        while !(one_is_enough && verdict == Verdict::Unreadable) {
            match (asked.next(), expected.next()) {
                (Some(Ok(answer)), Some(right)) if answer == *right => {}
                (Some(Err(error)), Some(_)) => {
                    names(&error, file)?;
                    verdict = Verdict::Unreadable;
                }
                (None, None) => break,
                (answer, right) => return Err(format!("{answer:?} where {right:?} is right")),
            }
        }
        Ok(verdict)
    }

    /// Flips bits of a file, one after another. Only where `harmless` says so may a flip go by
    /// unnoticed by all readers.
    pub(crate) fn flip(
        &self,
        tally: &mut Tally,
        name: &str,
        bytes: Range<usize>,
        every_bit: bool,
        harmless: impl Fn(&Sample, &SimStorage, usize) -> bool,
    ) {
        let exhaustive = every_bit || env("ANNAL_EXHAUSTIVE", 0) > 0;
        for offset in bytes {
            let bits = if exhaustive { 0..8 } else { offset % 8..offset % 8 + 1 };
            for bit in bits {
                let damaged = || {
                    let disk = self.disk.copy();
                    disk.flip(name, offset, 1 << bit);
                    disk
                };
                let look = match every_bit {
                    _ if offset % 16 == 0 => Look::Deep,
                    true => Look::Questions,
                    false => Look::Light,
                };
                let verdict = self.open_and_read(&damaged(), name, look);
                let allowed = |verdict: &Verdict| match verdict {
                    Verdict::Refused | Verdict::Unreadable => true,
                    Verdict::Whole => harmless(self, &damaged(), offset),
                    Verdict::Prefix(_) => false,
                };
                tally.add(verdict, allowed, format_args!("{name}, byte {offset}, bit {bit}"));
            }
        }
    }
}

/// Damage is told as such, and where it is.
fn names(error: &Error, file: &str) -> Result<(), String> {
    let damaged = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported);
    match damaged && error.file() == Some(file) {
        true => Ok(()),
        false => Err(format!("not an error of {file}: {error:?}")),
    }
}

pub(crate) fn open(disk: &SimStorage) -> annal::Result<(Store, OpenReport)> {
    let clock = Arc::new(ManualClock::default());
    Store::open_with(Arc::new(disk.clone()), clock, options())
}

fn options() -> Options {
    Options { manual: true, seed: Some(1), ..Options::new("simulated") }
}

/// What no reader needs to notice, verify does: the digest of the file stands in the manifest.
pub(crate) fn told_by_verify(_: &Sample, disk: &SimStorage, _: usize) -> bool {
    !Store::verify_with(disk, &options(), &mut |_| {}).unwrap().damage.is_empty()
}

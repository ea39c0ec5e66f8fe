//! Reads, decodes on several threads, and hands on in the order of the file.
//!
//! 1. One thread reads chunks and puts each, with a slot for its outcome, into two queues.
//! 2. Decoders take chunks from the first queue and fill the slots.
//! 3. The caller's thread takes the slots from the second queue, in the order of the file, and
//!    waits for each. The queues are short: they bound what is in memory.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use annal::Result;

use super::split::{Chunk, Splitter};
use crate::exit::{Failure, Outcome};

type Work<T> = (Chunk, SyncSender<T>);
type Slot<T> = Result<Receiver<T>>;

/// Decodes all chunks of a file; `each` gets the outcomes in order, then what ended the file early.
/// An error of `each` ends everything.
pub(super) fn run<R: Read + Send, T: Send>(
    splitter: Splitter<R>,
    threads: usize,
    decode: impl Fn(Chunk) -> T + Sync,
    mut each: impl FnMut(Result<T>) -> Outcome<()>,
) -> Outcome<()> {
    let (to_decoders, work) = sync_channel::<Work<T>>(threads);
    let (to_caller, slots) = sync_channel::<Slot<T>>(threads * 2);
    let work = Mutex::new(work);
    thread::scope(|scope| {
        scope.spawn(move || read(splitter, &to_decoders, &to_caller));
        for _ in 0..threads {
            scope.spawn(|| decode_all(&work, &decode));
        }
        // Dropping the slots on an early end makes the reader stop, and the decoders after it.
        for slot in slots {
            let outcome = match slot {
                Ok(slot) => slot.recv().map_err(|_| Failure::new(1, "a decoder thread ended"))?,
                Err(error) => {
                    each(Err(error))?;
                    continue;
                }
            };
            each(Ok(outcome))?;
        }
        Ok(())
    })
}

fn read<R: Read, T>(
    mut splitter: Splitter<R>,
    to_decoders: &SyncSender<Work<T>>,
    to_caller: &SyncSender<Slot<T>>,
) {
    loop {
        match splitter.next() {
            Ok(Some(chunk)) => {
                let (fill, slot) = sync_channel(1);
                if to_caller.send(Ok(slot)).is_err() || to_decoders.send((chunk, fill)).is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                // A caller that has gone needs no error.
                let _ = to_caller.send(Err(error));
                return;
            }
        }
    }
}

fn decode_all<T>(work: &Mutex<Receiver<Work<T>>>, decode: &impl Fn(Chunk) -> T) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((chunk, fill)) = next else { return };
        // A caller that has gone needs no outcome.
        let _ = fill.send(decode(chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::super::split::Format;
    use super::*;

    #[test]
    fn outcomes_come_in_the_order_of_the_file_and_the_error_last() {
        let mut file = Vec::new();
        for i in 0..40u32 {
            let body = vec![0u8; 1 << 20 | i as usize];
            file.extend((body.len() as u32).to_be_bytes());
            file.extend(body);
        }
        file.pop();
        let mut seen = Vec::new();
        let mut error = None;
        run(
            Splitter::new(&file[..], Format::OtlpProto),
            3,
            |chunk| chunk.first_record,
            |outcome| {
                assert!(error.is_none(), "nothing comes after the error");
                match outcome {
                    Ok(first) => seen.push(first),
                    Err(e) => error = Some(e),
                }
                Ok(())
            },
        )
        .unwrap();
        assert!(seen.len() >= 9 && seen.is_sorted(), "{seen:?}");
        assert!(error.is_some());
    }

    #[test]
    fn an_error_of_the_caller_ends_everything() {
        let file = "{}\n".repeat(20 << 20);
        let mut calls = 0;
        let outcome = run(
            Splitter::new(file.as_bytes(), Format::Ndjson),
            2,
            |_| (),
            |_| {
                calls += 1;
                Err(Failure::usage("enough"))
            },
        );
        assert_eq!((outcome.unwrap_err().message.as_str(), calls), ("enough", 1));
    }
}

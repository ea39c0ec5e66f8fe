//! Events a line, cut into batches: what the NDJSON route and `import` share, so that a file comes
//! out of both as the same batches.

use annal::column::BATCH_FIELD;
use annal::{Batch, BatchBuilder, Error, Event, Result, Timestamp};

use super::read_event;

/// Reads lines; `each` is told what became of each that is not blank, by its number from `first`
/// on. An error of the outcome is that of the batch and not of a line: nothing of the text counts.
pub(crate) fn read_lines(
    text: &[u8],
    first: u64,
    now: Timestamp,
    builder: &mut BatchBuilder,
    batches: &mut Vec<Batch>,
    mut each: impl FnMut(u64, Result<(), Error>),
) -> Result<()> {
    builder.clear();
    for (number, line) in (first..).zip(text.split(|&byte| byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read_event(line, now) {
            Ok(event) => each(number, push(builder, batches, &event)?),
            Err(error) => each(number, Err(error)),
        }
    }
    flush(builder, batches)
}

/// Adds the event, to the next batch if this one has no room. The inner error is the event's own.
fn push(builder: &mut BatchBuilder, batches: &mut Vec<Batch>, event: &Event) -> Result<Result<()>> {
    let pushed = match builder.push(event) {
        Err(error) if error.field() == Some(BATCH_FIELD) => {
            flush(builder, batches)?;
            builder.push(event)
        }
        pushed => pushed,
    };
    if builder.is_full() {
        flush(builder, batches)?;
    }
    Ok(pushed)
}

fn flush(builder: &mut BatchBuilder, batches: &mut Vec<Batch>) -> Result<()> {
    if builder.events() > 0 {
        batches.push(builder.finish()?);
    }
    builder.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of about so many values of 64 KB.
    fn line(values: usize) -> String {
        let value = "v".repeat(64_000);
        let attributes: Vec<_> = (0..values).map(|i| format!("\"k{i}\":\"{i}{value}\"")).collect();
        let attributes = attributes.join(",");
        format!("{{\"time\":1,\"source\":\"a\",\"type\":\"x\",\"attributes\":{{{attributes}}}}}")
    }

    #[test]
    fn lines_that_fit_no_common_batch_get_one_each_and_bad_ones_are_named() {
        let text = [&line(60), "", "nonsense", &line(75), &line(1)].join("\n");
        let (mut batches, mut told) = (Vec::new(), Vec::new());
        let mut builder = BatchBuilder::new();
        let now = Timestamp(1_661_169_600_000_000_000);
        let each = |line, outcome: Result<()>| told.push((line, outcome.is_ok()));
        read_lines(text.as_bytes(), 7, now, &mut builder, &mut batches, each).unwrap();
        assert_eq!(told, [(7, true), (9, false), (10, true), (11, true)]);
        assert_eq!(batches.iter().map(Batch::events).collect::<Vec<_>>(), [1, 2]);
    }
}

//! Cuts a file into chunks that can be decoded apart: a pure function of the file's bytes, so that
//! a resumed import cuts where the first one did.
//!
//! A chunk ends behind the first record with which it holds [`CHUNK_BYTES`] or more.

use std::io::Read;

use annal::{Error, Result, limits};

/// Bytes after which a chunk is closed: some thousands of events, so that their columns compress
/// well and the threads have something to share.
const CHUNK_BYTES: usize = 4 << 20;

/// How records stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// OTLP requests (traces or logs), each behind its length as a big-endian u32, as the
    /// OpenTelemetry Collector's file exporter writes them.
    OtlpProto,
    /// One event a line, as JSON.
    Ndjson,
}

/// Consecutive records.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The bytes, record after record; lengths of OTLP requests included.
    pub(crate) bytes: Vec<u8>,
    /// Number of the first record (request or line) in the file, from 1.
    pub(crate) first_record: u64,
    /// Records in it.
    pub(crate) records: u64,
}

/// Reads chunks from a file, front to back.
#[derive(Debug)]
pub(crate) struct Splitter<R> {
    source: R,
    format: Format,
    /// Read and not yet given away.
    pending: Vec<u8>,
    records: u64,
    offset: u64,
    at_end: bool,
}

impl<R: Read> Splitter<R> {
    pub(crate) fn new(source: R, format: Format) -> Splitter<R> {
        let pending = Vec::new();
        Splitter { source, format, pending, records: 0, offset: 0, at_end: false }
    }

    /// The next chunk; `None` at the end. An error names the record and ends the file: where a
    /// length is wrong nothing behind it can be trusted.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>> {
        // Records of the chunk, and the bytes they take at the front of `pending`.
        let (mut records, mut whole) = (0, 0);
        while whole < CHUNK_BYTES {
            let end = match self.record_end(whole) {
                // What is whole goes first; the error comes back with the next call.
                Err(_) if whole > 0 => break,
                end => end?,
            };
            match end {
                Some(end) => {
                    records += 1;
                    whole = end;
                }
                None if self.at_end => {
                    if whole == 0 {
                        return Ok(None);
                    }
                    break;
                }
                None => self.fill()?,
            }
        }
        let rest = self.pending.split_off(whole);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let first_record = self.records + 1;
        self.records += records;
        self.offset += bytes.len() as u64;
        Ok(Some(Chunk { bytes, first_record, records }))
    }

    /// Where the record ends that begins here; `None`: more has to be read, or there is no more.
    fn record_end(&self, start: usize) -> Result<Option<usize>> {
        let rest = self.pending.get(start..).unwrap_or_default();
        match self.format {
            Format::Ndjson => Ok(match rest.iter().position(|&b| b == b'\n') {
                Some(at) => Some(start + at + 1),
                // The last line may lack its end.
                None if self.at_end && !rest.is_empty() => Some(self.pending.len()),
                None => self.line_fits(rest.len(), start).map(|()| None)?,
            }),
            Format::OtlpProto => {
                let Some(head) = rest.first_chunk::<4>() else {
                    return self.none_at_end(rest.len(), start);
                };
                let length = u32::from_be_bytes(*head) as usize;
                self.length_fits(length, start)?;
                match rest.len() - 4 >= length {
                    true => Ok(Some(start + 4 + length)),
                    false => self.none_at_end(rest.len(), start),
                }
            }
        }
    }

    fn none_at_end(&self, left: usize, start: usize) -> Result<Option<usize>> {
        if self.at_end && left > 0 {
            let what = "the file ends inside a request: it may still be written, or was cut";
            return Err(self.error_at(Error::invalid(what), start));
        }
        Ok(None)
    }

    fn length_fits(&self, length: usize, start: usize) -> Result<()> {
        if length <= limits::REQUEST_BYTES_MAX {
            return Ok(());
        }
        let what = format!(
            "a request of {length} bytes, at most {} are allowed: is this a file of OTLP requests \
             behind their lengths?",
            limits::REQUEST_BYTES_MAX
        );
        Err(self.error_at(Error::limit(what), start))
    }

    fn line_fits(&self, length: usize, start: usize) -> Result<()> {
        if length <= limits::REQUEST_BYTES_MAX {
            return Ok(());
        }
        let what = format!("a line of more than {} bytes", limits::REQUEST_BYTES_MAX);
        Err(self.error_at(Error::limit(what), start))
    }

    fn error_at(&self, error: Error, start: usize) -> Error {
        error.at(self.offset + start as u64)
    }

    fn fill(&mut self) -> Result<()> {
        let before = self.pending.len();
        let read = (&mut self.source).take(READ_BYTES).read_to_end(&mut self.pending);
        read.map_err(|cause| Error::io("reading the file", cause))?;
        self.at_end = self.pending.len() == before;
        Ok(())
    }
}

/// Bytes asked of the file at a time.
const READ_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(bytes: &[u8], format: Format) -> Result<Vec<Chunk>> {
        let mut splitter = Splitter::new(bytes, format);
        let mut chunks = Vec::new();
        while let Some(chunk) = splitter.next()? {
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    fn requests(lengths: impl IntoIterator<Item = usize>) -> Vec<u8> {
        let record = |length: usize| {
            let head = u32::try_from(length).unwrap().to_be_bytes();
            [head.to_vec(), vec![7; length]].concat()
        };
        lengths.into_iter().flat_map(record).collect()
    }

    #[test]
    fn chunks_end_behind_whole_records_and_together_are_the_file() {
        let file = requests((0..3_000).map(|i| i * 7 % 9_000));
        let chunks = chunks(&file, Format::OtlpProto).unwrap();
        assert!(chunks.len() > 2);
        assert_eq!(chunks.iter().flat_map(|c| c.bytes.clone()).collect::<Vec<u8>>(), file);
        let mut record = 1;
        for chunk in &chunks {
            assert_eq!(chunk.first_record, record);
            record += chunk.records;
        }
        assert_eq!(record, 3_001);
    }

    #[test]
    fn the_last_line_needs_no_end_and_empty_files_have_no_chunk() {
        let all = chunks(b"{}\n{}\n{}", Format::Ndjson).unwrap();
        assert_eq!((all.len(), all[0].records), (1, 3));
        assert!(chunks(b"", Format::Ndjson).unwrap().is_empty());
        assert!(chunks(b"", Format::OtlpProto).unwrap().is_empty());
    }

    #[test]
    fn a_cut_or_absurd_request_is_named_with_its_offset() {
        let mut file = requests([10, 20]);
        file.pop();
        let mut splitter = Splitter::new(&file[..], Format::OtlpProto);
        assert_eq!(splitter.next().unwrap().unwrap().records, 1);
        let error = splitter.next().unwrap_err();
        assert_eq!(error.offset(), Some(14), "{error}");
        let error = chunks(b"{\"time\":1}", Format::OtlpProto).unwrap_err();
        assert_eq!(error.kind(), annal::ErrorKind::Limit);
    }
}

//! Reads a file front to back through a window, so that a scan costs one `pread` per MiB and no
//! mapping: recovery, verify and the copy of a torn segment go through here.

use crate::error::Result;
use crate::storage::File;

/// Bytes read ahead.
const WINDOW_BYTES: usize = 1 << 20;

/// A buffered reader of a file of known length.
pub(crate) struct Window<'a> {
    file: &'a dyn File,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// Over the first `length` bytes of a file.
    pub(crate) fn new(file: &'a dyn File, length: u64) -> Window<'a> {
        Window { file, length, start: 0, bytes: Vec::new() }
    }

    /// Bytes that can be read.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// These bytes; `None` if they reach beyond the end.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let held = self.start..=self.start + self.bytes.len() as u64;
        if !held.contains(&offset) || !held.contains(&(offset + length as u64)) {
            self.fill(offset, length)?;
        }
        let within = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(within..).and_then(|b| b.get(..length)))
    }

    /// As much as the window holds from here, at least one byte unless at the end.
    pub(crate) fn chunk(&mut self, offset: u64) -> Result<&[u8]> {
        let left = self.length.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        Ok(self.get(offset, length)?.unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, length: usize) -> Result<()> {
        let left = usize::try_from(self.length - offset).unwrap_or(usize::MAX);
        self.bytes.resize(length.max(WINDOW_BYTES).min(left), 0);
        self.start = offset;
        crate::storage::read_exact_at(self.file, offset, &mut self.bytes)
    }
}

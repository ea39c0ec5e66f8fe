//! Parts of a section, one per block, behind a table that says where each ends: one is read without
//! the others, and nothing is decoded before.

use std::ops::Range;

use crate::codec::{Cursor, put_varint};
use crate::error::Result;

/// Appends the number of parts of these lengths and where each ends; `None` beyond 4 GiB.
pub(super) fn put_ends(
    out: &mut Vec<u8>,
    lengths: impl ExactSizeIterator<Item = usize>,
) -> Option<()> {
    put_varint(out, lengths.len() as u64);
    let mut end = 0_u32;
    for length in lengths {
        end = end.checked_add(u32::try_from(length).ok()?)?;
        out.extend_from_slice(&end.to_le_bytes());
    }
    Some(())
}

/// Where the parts of a section stand.
#[derive(Debug)]
pub(super) struct Parts {
    /// The table; the parts follow.
    ends: Range<usize>,
}

impl Parts {
    /// Reads the table that the rest of a section of so many bytes begins with: the parts have
    /// lengths that `fits` takes, and end with the section.
    pub(super) fn read(
        c: &mut Cursor<'_>,
        section_bytes: usize,
        fits: impl Fn(usize) -> bool,
    ) -> Result<Parts> {
        let count = c.length(c.remaining() / 4, "blocks of a segment")?;
        let start = section_bytes - c.remaining();
        let mut before = 0;
        for end in c.take(4 * count)?.as_chunks::<4>().0 {
            let end = u32::from_le_bytes(*end) as usize;
            if !end.checked_sub(before).is_some_and(&fits) {
                return Err(c.error("the part of a block has a wrong length"));
            }
            before = end;
        }
        if before != c.remaining() {
            return Err(c.error("parts of blocks end elsewhere than the section"));
        }
        Ok(Parts { ends: start..start + 4 * count })
    }

    /// Number of parts.
    pub(super) fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// A part of the section's bytes; `None` if there is no such part.
    pub(super) fn get<'a>(&self, section: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let (ends, _) = section.get(self.ends.clone())?.as_chunks::<4>();
        let end = |index: usize| ends.get(index).map(|end| u32::from_le_bytes(*end) as usize);
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => end(before)?,
        };
        section.get(self.ends.end..)?.get(start..end(index)?)
    }
}

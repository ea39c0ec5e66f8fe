//! Bytes of an immutable file, however they came: mapped or read.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

/// Immutable bytes that are cheap to clone and keep what they come from alive.
#[derive(Clone)]
pub struct Region {
    owner: Owner,
    start: usize,
    end: usize,
}

#[derive(Clone)]
enum Owner {
    Read(Bytes),
    Mapped(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl Region {
    /// Bytes that were read.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Region {
        let end = bytes.len();
        Region { owner: Owner::Read(bytes), start: 0, end }
    }

    /// Part of a mapping; `None` if the range does not lie inside it.
    #[must_use]
    pub fn from_mapping(
        mapping: Arc<dyn AsRef<[u8]> + Send + Sync>,
        start: usize,
        length: usize,
    ) -> Option<Region> {
        let end = start.checked_add(length)?;
        (end <= (*mapping).as_ref().len()).then_some(Region {
            owner: Owner::Mapped(mapping),
            start,
            end,
        })
    }

    /// Whether it is part of a mapping: what is read of it twice comes from the same pages. Else it
    /// was read for whoever asked.
    #[must_use]
    pub fn is_mapped(&self) -> bool {
        matches!(self.owner, Owner::Mapped(_))
    }

    /// A part of this region; `None` if it does not lie inside.
    #[must_use]
    pub fn slice(&self, start: usize, length: usize) -> Option<Region> {
        let start = self.start.checked_add(start)?;
        let end = start.checked_add(length)?;
        (end <= self.end).then(|| Region { owner: self.owner.clone(), start, end })
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.owner {
            Owner::Read(bytes) => bytes,
            Owner::Mapped(mapping) => (**mapping).as_ref(),
        };
        // The constructors checked the range.
        all.get(self.start..self.end).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Region({} bytes)", self.len())
    }
}

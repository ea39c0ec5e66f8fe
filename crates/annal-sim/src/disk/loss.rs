//! Which of the volatile changes survive a power loss.

use super::inode::Change;
use super::{PAGE_BYTES, SECTOR_BYTES};
use crate::random::hash;

/// Which of the volatile changes survive a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// None.
    All,
    /// All of them.
    Nothing,
    /// All but the one at this change of the disk.
    One(u64),
    /// Each change survives in so many of 100 cases, as a whole.
    Changes {
        /// Chooses.
        seed: u64,
        /// Of 100.
        survive_percent: u64,
    },
    /// Each sector is as it was at some moment, for itself.
    Sectors {
        /// Chooses.
        seed: u64,
    },
    /// Each page of 4 KiB is as it was at some moment, for itself.
    Pages {
        /// Chooses.
        seed: u64,
    },
    /// What came before this change of the disk survives, what came after does not, and it itself
    /// is torn between sectors.
    TornAt {
        /// The change.
        stamp: u64,
        /// Chooses.
        seed: u64,
    },
}

impl Loss {
    /// The loss of a seed, given the number of the last change.
    #[must_use]
    pub fn from_seed(seed: u64, last_stamp: u64) -> Loss {
        let choice = hash([seed, 1, 0]);
        let stamp = last_stamp.saturating_sub(hash([seed, 2, 0]) % 4);
        match choice % 10 {
            0 => Loss::All,
            1 => Loss::Nothing,
            2 => Loss::One(stamp),
            3 | 4 => Loss::Changes { seed, survive_percent: [20, 50, 80, 95][(seed % 4) as usize] },
            5 | 6 => Loss::Sectors { seed },
            7 => Loss::Pages { seed },
            _ => Loss::TornAt { stamp, seed },
        }
    }

    /// Whether a change that cannot be torn survives.
    pub(super) fn survives(self, stamp: u64) -> bool {
        match self {
            Loss::All => false,
            Loss::Nothing => true,
            Loss::One(lost) => stamp != lost,
            Loss::Changes { seed, survive_percent } => {
                hash([seed, stamp, 3]) % 100 < survive_percent
            }
            Loss::Sectors { seed } | Loss::Pages { seed } => {
                hash([seed, stamp, 4]).is_multiple_of(2)
            }
            Loss::TornAt { stamp: torn, seed } => {
                stamp < torn || stamp == torn && hash([seed, stamp, 5]).is_multiple_of(2)
            }
        }
    }

    /// The first stamp of those that did not survive in a sector.
    pub(super) fn sector_cut(self, inode: usize, sector: usize, touching: &[&Change]) -> u64 {
        let any = |place: usize, seed: u64| {
            let of = touching.len() as u64 + 1;
            let kept = (hash([seed, inode as u64, place as u64]) % of) as usize;
            touching.get(kept).map_or(u64::MAX, |first_lost| first_lost.stamp)
        };
        match self {
            Loss::Sectors { seed } => any(sector, seed),
            Loss::Pages { seed } => any(sector / (PAGE_BYTES / SECTOR_BYTES), seed),
            Loss::TornAt { stamp, seed } => {
                stamp + u64::from(hash([seed, inode as u64, sector as u64]).is_multiple_of(2))
            }
            // A later change of the same sector that survives brings the earlier ones along: the
            // page cache holds one state of a sector.
            _ => touching.iter().rev().find(|c| self.survives(c.stamp)).map_or(0, |c| c.stamp + 1),
        }
    }

    /// The first stamp of those whose length did not survive.
    pub(super) fn length_cut(self, inode: usize, changes: &[Change]) -> u64 {
        match self {
            Loss::Sectors { seed } | Loss::Pages { seed } => {
                let of = changes.len() as u64 + 1;
                let kept = (hash([seed, inode as u64, u64::MAX]) % of) as usize;
                changes.get(kept).map_or(u64::MAX, |first_lost| first_lost.stamp)
            }
            _ => changes.iter().rev().find(|c| self.survives(c.stamp)).map_or(0, |c| c.stamp + 1),
        }
    }
}

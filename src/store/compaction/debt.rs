//! Debt: sealed log that waits for compaction, and what is done when it becomes much.
//!
//! Queries of log segments cost more than those of blocks, and what waits must be read and written
//! once more. A store that is sent more than it can compact must say so before the debt is that of
//! a week: above the limit new batches are refused as `Busy` until a quarter of it is worked off.
//! Before that, above half of it, compaction stops to give way to all else.
//!
//! Only what compaction will take counts. While it is off or paused, or cannot go on for want of
//! space, nobody is refused for it: they would wait for ever.

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Debt {
    /// Batches are refused.
    pub(crate) refuses: bool,
    /// Compaction takes its full share of the processor.
    pub(crate) hurries: bool,
}

impl Debt {
    /// What follows from so many bytes that wait, of so many that may, after what was before.
    pub(crate) fn owing(self, bytes: u64, bytes_max: u64) -> Debt {
        let quarter = bytes_max / 4;
        let refused_above = if self.refuses { bytes_max - quarter } else { bytes_max };
        let hurried_above = if self.hurries { quarter } else { 2 * quarter };
        Debt { refuses: bytes > refused_above, hurries: bytes > hurried_above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_goes_on_until_a_good_part_is_worked_off() {
        let mut debt = Debt::default();
        let mut after = |bytes| {
            debt = debt.owing(bytes, 400);
            (debt.hurries, debt.refuses)
        };
        assert_eq!(after(200), (false, false));
        assert_eq!(after(201), (true, false));
        assert_eq!(after(400), (true, false));
        assert_eq!(after(401), (true, true));
        assert_eq!(after(301), (true, true));
        assert_eq!(after(300), (true, false));
        assert_eq!(after(400), (true, false));
        assert_eq!(after(101), (true, false));
        assert_eq!(after(100), (false, false));
    }
}

//! Sets of rows, one bit each: what predicates narrow down.

use crate::column::Bitmap;

/// Some of the rows of a table. Bits beyond the last row are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    words: Vec<u64>,
    rows: usize,
}

impl Selection {
    /// No row.
    pub(super) fn none(rows: usize) -> Selection {
        Selection { words: vec![0; rows.div_ceil(64)], rows }
    }

    /// Every row.
    pub(super) fn all(rows: usize) -> Selection {
        let mut all = Selection { words: vec![u64::MAX; rows.div_ceil(64)], rows };
        all.trim();
        all
    }

    /// The rows of a column that have a value.
    pub(super) fn of_present(present: Option<&Bitmap>, rows: usize) -> Selection {
        match present {
            None => Selection::all(rows),
            Some(bitmap) => Selection::of_words(bitmap.words.clone(), rows),
        }
    }

    /// The rows whose bits are set.
    pub(super) fn of_words(mut words: Vec<u64>, rows: usize) -> Selection {
        words.resize(rows.div_ceil(64), 0);
        let mut selection = Selection { words, rows };
        selection.trim();
        selection
    }

    /// The rows for which the test holds.
    pub(super) fn of(rows: usize, mut test: impl FnMut(usize) -> bool) -> Selection {
        let mut words = Vec::with_capacity(rows.div_ceil(64));
        let mut row = 0;
        while row < rows {
            let end = rows.min(row + 64);
            let word = (row..end).fold(0, |word, r| word | u64::from(test(r)) << (r - row));
            words.push(word);
            row = end;
        }
        Selection { words, rows }
    }

    fn trim(&mut self) {
        if let (Some(last), true) = (self.words.last_mut(), !self.rows.is_multiple_of(64)) {
            *last &= (1 << (self.rows % 64)) - 1;
        }
    }

    /// Number of rows of the table.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a row is among them.
    pub(super) fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|w| w >> (row % 64) & 1 == 1)
    }

    /// Puts a row among them.
    pub(super) fn insert(&mut self, row: usize) {
        if row < self.rows
            && let Some(word) = self.words.get_mut(row / 64)
        {
            *word |= 1 << (row % 64);
        }
    }

    /// Keeps those that are in both.
    pub(super) fn and(&mut self, other: &Selection) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= b);
    }

    /// Keeps those that are not in the other.
    pub(super) fn and_not(&mut self, other: &Selection) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a &= !b);
    }

    /// Adds those of the other.
    pub(super) fn or(&mut self, other: &Selection) {
        self.words.iter_mut().zip(&other.words).for_each(|(a, b)| *a |= b);
    }

    /// Their words, for kernels that add rows.
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// Their numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(i, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                (left != 0).then(|| {
                    left &= left - 1;
                    i * 64 + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_sets_of_rows() {
        for rows in [0, 1, 63, 64, 65, 130] {
            let thirds = Selection::of(rows, |r| r % 3 == 0);
            let mut rest = Selection::all(rows);
            assert_eq!(rest.count(), rows);
            rest.and_not(&thirds);
            assert!(rest.iter().eq((0..rows).filter(|r| r % 3 != 0)));
            rest.or(&thirds);
            assert_eq!(rest, Selection::all(rows));
            rest.and(&thirds);
            assert_eq!(rest, thirds);
            assert!(!rest.contains(rows) && Selection::none(rows).is_empty());
        }
    }
}

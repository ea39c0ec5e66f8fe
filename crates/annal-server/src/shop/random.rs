//! The home of made-up chance: one seeded generator (SplitMix64) and the shapes drawn from it.

/// Gives the same numbers for the same seed, on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, not including, `n`; 0 for 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // The high half of the product: no division, and a bias that nobody will see.
        let product = u128::from(self.next()) * u128::from(n);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// From 0.0 up to, not including, 1.0.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of them; the first of none would be a bug, so there must be one.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let index = self.below(of.len() as u64) as usize;
        &of[index]
    }

    /// Small indexes more often than large ones, as customers and products are.
    pub(crate) fn skewed(&mut self, n: u64) -> u64 {
        let unit = self.unit();
        ((unit * unit * unit * n as f64) as u64).min(n.saturating_sub(1))
    }

    /// Gaps between things that happen independently, 1.0 on average.
    pub(crate) fn gap(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// How long work takes: half of all cases below the median, a long tail above it.
    pub(crate) fn took(&mut self, median_us: f64) -> i64 {
        // The sum of four uniforms is near enough to a normal distribution.
        let normal = (0..4).map(|_| self.unit()).sum::<f64>() - 2.0;
        (median_us * 1_000.0 * (normal * 0.9).exp()) as i64
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            let drawn = self.next().to_le_bytes();
            chunk.copy_from_slice(drawn.get(..chunk.len()).unwrap_or_default());
        }
        bytes
    }
}

//! A small seeded random number generator, for jitter and for choosing between equal nodes.
//!
//! Its seed comes from `Transport::seed`, once per client, so that one number replays a run. It
//! must not be used for secrets.
//!
//! Spec: SplitMix64 (Steele, Lea, Flood 2014): equidistributed; any seed is good.

/// A stream of pseudo-random numbers, equal for equal seeds.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    /// The counter that the next number is computed from.
    state: u64,
}

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0. Lemire's multiplication: biased by less than
    /// `bound / 2^64`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Full jitter: a duration from zero to `cap`, all equally likely.
    pub(crate) fn jitter(&mut self, cap: std::time::Duration) -> std::time::Duration {
        let nanos = u64::try_from(cap.as_nanos()).unwrap_or(u64::MAX);
        std::time::Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn equal_seeds_give_equal_streams_and_bounds_hold() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        for bound in 1..1000 {
            let x = a.below(bound);
            assert_eq!(x, b.below(bound));
            assert!(x < bound);
        }
        assert_eq!(a.below(0), 0);
        assert_eq!(a.jitter(Duration::ZERO), Duration::ZERO);
        assert!((0..100).all(|_| a.jitter(Duration::from_millis(5)) <= Duration::from_millis(5)));
    }
}

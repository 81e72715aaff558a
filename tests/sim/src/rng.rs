//! The random generator of a simulation: small and seeded.
//!
//! **Invariants**: every choice of a run (which task is polled, how long a packet travels, which
//! fault occurs) is drawn from a generator that is derived from the run's seed, so one number
//! replays the run. Not for secrets.
//!
//! Spec: SplitMix64 (Steele, Lea, Flood 2014). It is written here and not taken from the client,
//! because a simulator that shares code with the client would hide bugs of that code.

use std::time::Duration;

/// A stream of pseudo-random numbers, equal for equal seeds.
#[derive(Clone, Debug)]
pub struct Rng {
    /// The counter that the next number is mixed from.
    state: u64,
}

impl Rng {
    /// The stream of `seed`; every seed is a good one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A separate generator for one purpose. Drawing more numbers for one purpose then does not
    /// change the others.
    #[must_use]
    pub fn fork(&mut self, purpose: u64) -> Self {
        Self::new(self.next_u64() ^ purpose.wrapping_mul(0xA24B_AED4_963E_E407))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something that has `len` elements; 0 when it has none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `1 / (per_mille / 1000)` draws.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// Any duration from zero up to `cap`.
    pub fn duration(&mut self, cap: Duration) -> Duration {
        let nanos = u64::try_from(cap.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }

    /// One of `choices`, or nothing when there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        if choices.is_empty() { None } else { choices.get(self.index(choices.len())) }
    }
}

/// The finaliser of SplitMix64: spreads every bit of `z` over all 64.
pub(crate) fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams_and_bounds_hold() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        for bound in 1..1000 {
            let x = a.below(bound);
            assert_eq!(x, b.below(bound));
            assert!(x < bound);
        }
        assert_eq!(a.below(0), 0);
        assert_eq!(a.duration(Duration::ZERO), Duration::ZERO);
        assert_eq!(a.pick::<u8>(&[]), None);
        assert!(!a.chance(0) && a.chance(1000));
    }

    #[test]
    fn a_fork_is_a_stream_of_its_own() {
        let mut root = Rng::new(1);
        let (mut a, mut b) = (root.fork(1), root.fork(2));
        assert_ne!(a.next_u64(), b.next_u64());
    }
}

//! Time and seeds for both reactors: one epoch for the process, and random numbers from the OS.
//!
//! Invariant: there is one epoch, so the timestamps of all transports of this crate can be
//! compared.

use slotcar_core::Timestamp;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::time::Instant;

/// The epoch of every [`Timestamp`] of this crate.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) fn now() -> Timestamp {
    Timestamp::from_duration(EPOCH.elapsed())
}

/// `deadline` as an instant; `None` for one that never comes.
pub(crate) fn instant(deadline: Timestamp) -> Option<Instant> {
    if deadline == Timestamp::FAR_FUTURE {
        return None;
    }
    EPOCH.checked_add(deadline.since_epoch())
}

/// A number that differs at each call. It comes from the keys of the standard library's hash maps,
/// which are random numbers of the OS and change at each use.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn instants_and_timestamps_agree() {
        let before = now();
        let after = before.after(Duration::from_secs(5));
        let (a, b) = (instant(before).expect("near"), instant(after).expect("near"));
        assert_eq!(b - a, Duration::from_secs(5));
        assert!(now() >= before);
        assert_eq!(instant(Timestamp::FAR_FUTURE), None);
    }

    #[test]
    fn seeds_differ() {
        let seeds: BTreeSet<u64> = (0..1000).map(|_| seed()).collect();
        assert_eq!(seeds.len(), 1000);
    }
}

//! Time as the core sees it: a [`Timestamp`] counted from an epoch that the transport chose.
//!
//! `std::time::Instant` panics on `wasm32-unknown-unknown` and cannot be forged for a test, so the
//! core has a time of its own. Only `Transport::now` makes one from a real clock; everything below
//! the driver takes `now` as an argument.
//!
//! Invariants: arithmetic saturates and never panics. Unit: nanoseconds; range: 584 years from the
//! epoch.

use std::time::Duration;

/// A moment, counted from the epoch of the transport that gave it.
///
/// Moments of two transports cannot be compared in a meaningful way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Nanoseconds since the epoch.
    nanos: u64,
}

impl Timestamp {
    /// The epoch itself.
    pub const ZERO: Self = Self { nanos: 0 };
    /// Later than every moment that a clock can give: "no deadline".
    pub const FAR_FUTURE: Self = Self { nanos: u64::MAX };

    /// The moment `since_epoch` after the epoch.
    #[must_use]
    pub const fn from_duration(since_epoch: Duration) -> Self {
        Self { nanos: saturating_nanos(since_epoch) }
    }

    /// How long after the epoch this moment is.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The moment so many nanoseconds after the epoch.
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds after the epoch.
    pub(crate) const fn nanos(self) -> u64 {
        self.nanos
    }

    /// The moment `by` later; stays at [`Timestamp::FAR_FUTURE`] when it would overflow.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(saturating_nanos(by)) }
    }

    /// How long this moment is after `earlier`; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

/// `Duration::as_nanos` without its 128 bits: this runs once per command.
const fn saturating_nanos(d: Duration) -> u64 {
    d.as_secs().saturating_mul(1_000_000_000).saturating_add(d.subsec_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let t = Timestamp::from_duration(Duration::from_secs(2));
        assert_eq!(t.after(Duration::from_secs(1)).since(t), Duration::from_secs(1));
        assert_eq!(t.since(t.after(Duration::from_secs(1))), Duration::ZERO);
        assert_eq!(t.after(Duration::MAX), Timestamp::FAR_FUTURE);
        assert_eq!(Timestamp::from_duration(Duration::MAX), Timestamp::FAR_FUTURE);
        assert!(Timestamp::ZERO < t && t < Timestamp::FAR_FUTURE);
    }
}

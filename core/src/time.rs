//! The time of the core: a [`Timestamp`], counted from an epoch that the transport chose.
//!
//! `std::time::Instant` panics on `wasm32-unknown-unknown`, and a test cannot make one, so the core
//! has a type of its own. Only `Transport::now` reads a clock; everything below the driver takes
//! `now` as an argument.
//!
//! Invariants: arithmetic saturates and never panics. Unit: nanoseconds; range: 584 years from the
//! epoch.

use std::time::Duration;

/// A point in time, counted from the epoch of the transport that returned it.
///
/// Timestamps of two transports cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Nanoseconds since the epoch.
    nanos: u64,
}

impl Timestamp {
    /// The epoch itself.
    pub const ZERO: Self = Self { nanos: 0 };
    /// Later than any time of a clock: "no deadline".
    pub const FAR_FUTURE: Self = Self { nanos: u64::MAX };

    /// The time `since_epoch` after the epoch.
    #[must_use]
    pub const fn from_duration(since_epoch: Duration) -> Self {
        Self { nanos: saturating_nanos(since_epoch) }
    }

    /// The time since the epoch.
    #[must_use]
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// The time this many nanoseconds after the epoch.
    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self { nanos }
    }

    /// Nanoseconds after the epoch.
    pub(crate) const fn nanos(self) -> u64 {
        self.nanos
    }

    /// The time `by` later; at most [`Timestamp::FAR_FUTURE`].
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self { nanos: self.nanos.saturating_add(saturating_nanos(by)) }
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

/// Like `Duration::as_nanos`, in 64 bits: this runs once per command.
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

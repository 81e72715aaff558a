//! One look at the clock for many choices.
//!
//! Commands that come in a burst are enqueued between two turns of a driver, in no time. The first
//! choice of a node reads the clock, the others of the burst take its word, and the next turn of
//! any driver of the client ends the moment. Each choice is followed by a turn: by the one that
//! writes what was enqueued.
//!
//! Limit: a moment lasts until a driver that was called runs, so it is no older than the host's
//! background is late. Called by `driver/io.rs`, which ends moments, and by `Environment::moment`.

use crate::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the head of this file. Nanoseconds, or 0 when nobody has looked yet.
#[derive(Debug, Default)]
pub(crate) struct CachedClock(AtomicU64);

impl CachedClock {
    /// The time, read by `now` if nobody has since the last turn.
    #[inline]
    pub(crate) fn get(&self, now: impl FnOnce() -> Timestamp) -> Timestamp {
        match self.0.load(Ordering::Relaxed) {
            0 => {
                let now = now();
                self.0.store(now.nanos(), Ordering::Relaxed);
                now
            }
            nanos => Timestamp::from_nanos(nanos),
        }
    }

    /// Time passes.
    #[inline]
    pub(crate) fn clear(&self) {
        // Drivers on several threads share it: where nobody chooses, nothing is written.
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock is read once for each moment, and anew after its end.
    #[test]
    fn a_moment_lasts_until_its_end() {
        let moment = CachedClock::default();
        let at = |nanos| move || Timestamp::from_nanos(nanos);
        assert_eq!(moment.get(at(5)), Timestamp::from_nanos(5));
        assert_eq!(moment.get(|| unreachable!("nobody asks twice")), Timestamp::from_nanos(5));
        moment.clear();
        assert_eq!(moment.get(at(7)), Timestamp::from_nanos(7));
    }
}

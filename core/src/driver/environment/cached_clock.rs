//! The time for choosing nodes: read once for many commands.
//!
//! Commands that come in a burst are all enqueued between two turns of a link's driver, within
//! microseconds. The first choice of a node in a burst reads the clock and the others use its
//! value. Every turn of every link of the client clears the value, and each choice of a node is
//! followed by the turn that writes the command.
//!
//! Limit: the value is cleared by the next turn of a driver that was woken, so it is as old as the
//! host's background task is late. Cleared in `driver/link/io.rs`.

use crate::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the head of this file. Nanoseconds, or 0 while no value is cached.
#[derive(Debug, Default)]
pub(crate) struct CachedClock(AtomicU64);

impl CachedClock {
    /// The cached time. Reads the clock by `now` if there is none.
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

    /// Forgets the cached time.
    #[inline]
    pub(crate) fn clear(&self) {
        // Drivers on several threads share this: nothing is written unless a value is cached.
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_once_until_the_value_is_cleared() {
        let clock = CachedClock::default();
        let at = |nanos| move || Timestamp::from_nanos(nanos);
        assert_eq!(clock.get(at(5)), Timestamp::from_nanos(5));
        assert_eq!(clock.get(|| unreachable!("a value is cached")), Timestamp::from_nanos(5));
        clock.clear();
        assert_eq!(clock.get(at(7)), Timestamp::from_nanos(7));
    }
}

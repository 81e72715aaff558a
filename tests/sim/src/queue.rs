//! The event queue: future events in order. It is the only clock of a simulation.
//!
//! Entries are ordered by time. At the same time, the one that was added first comes first. The
//! virtual clock is the time of the entry that was taken last, so waiting costs nothing: the clock
//! jumps.
//!
//! **Invariants**: the clock never goes backwards; an entry for the past is due now (asserted in
//! [`Queue::pop`]).

use slotcar::Timestamp;
use std::collections::BTreeMap;

/// Identifies an entry for [`Queue::cancel`].
pub(crate) type Key = (Timestamp, u64);

/// Future events of type `E`, and the current time.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// By time, then by the order of insertion.
    entries: BTreeMap<Key, E>,
    /// The number of the next entry.
    sequence: u64,
    /// The time of the last entry taken.
    now: Timestamp,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { entries: BTreeMap::new(), sequence: 0, now: Timestamp::ZERO }
    }

    /// The current virtual time.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds `event` at `at`, or now when that has passed.
    pub(crate) fn push(&mut self, at: Timestamp, event: E) -> Key {
        let key = (at.max(self.now), self.sequence);
        self.sequence += 1;
        self.entries.insert(key, event);
        key
    }

    /// Removes an entry; false when it was taken already.
    pub(crate) fn cancel(&mut self, key: Key) -> bool {
        self.entries.remove(&key).is_some()
    }

    /// An entry that has not happened yet.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut E> {
        self.entries.get_mut(&key)
    }

    /// When the next entry is due.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.entries.first_key_value().map(|(key, _)| key.0)
    }

    /// Takes the next entry and moves the clock to it.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let ((at, _), event) = self.entries.pop_first()?;
        assert!(at >= self.now, "push keeps entries out of the past");
        self.now = at;
        Some(event)
    }

    /// Moves the clock to `to` if no entry is due before, for a caller with a real clock.
    pub(crate) fn advance_to(&mut self, to: Timestamp) {
        let limit = self.next_at().unwrap_or(Timestamp::FAR_FUTURE);
        self.now = self.now.max(to.min(limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_duration(Duration::from_millis(ms))
    }

    #[test]
    fn order_is_time_then_insertion_and_the_clock_jumps() {
        let mut queue = Queue::new();
        queue.push(at(5), "c");
        queue.push(at(2), "a");
        let gone = queue.push(at(3), "cancelled");
        queue.push(at(2), "b");
        assert!(queue.cancel(gone) && !queue.cancel(gone));
        assert_eq!((queue.pop(), queue.now()), (Some("a"), at(2)));
        // An entry for the past comes after what is due now already.
        queue.push(at(0), "late");
        assert_eq!(queue.pop(), Some("b"));
        assert_eq!((queue.pop(), queue.now()), (Some("late"), at(2)));
        queue.advance_to(at(9));
        assert_eq!(queue.now(), at(5));
        assert_eq!((queue.pop(), queue.pop()), (Some("c"), None));
    }
}

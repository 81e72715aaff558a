//! Deadlines of entries: a turn of the driver registers them, and fails the entries at their time.
//!
//! **Invariant**: `CommandQueue::earliest` is not later than any deadline of an entry that a turn
//! has seen, or of a caller that waits for the budget here.

use super::{CommandQueue, Deadline, EntryState, NONE, Wakers};
use crate::connection::outcome::Failure;
use crate::time::Timestamp;

impl CommandQueue {
    /// A turn sees all entries: the deadlines of those that came since the last turn are
    /// registered. Their timeouts begin `now`.
    pub(crate) fn see(&mut self, now: Timestamp) {
        let mut index = std::mem::replace(&mut self.unseen, NONE);
        // Nearly all entries of a turn have the same timeout.
        let mut last = (Deadline::At(Timestamp::FAR_FUTURE), Timestamp::FAR_FUTURE);
        while index != NONE {
            let place = &mut self.places[index as usize];
            if place.deadline != last.0 {
                last = (place.deadline, place.deadline.from(now));
                self.earliest = self.earliest.min(last.1);
            }
            place.deadline = Deadline::At(last.1);
            index = place.next;
        }
    }

    /// Whether there are entries that no turn has seen.
    pub(crate) fn has_unseen(&self) -> bool {
        self.unseen != NONE
    }

    /// Fails the entries past their deadlines. The stream has accepted `written` bytes in total.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp, written: u64, wake: &mut Wakers) {
        if now < self.earliest {
            return;
        }
        let mut earliest = Timestamp::FAR_FUTURE;
        let mut index = if self.in_flight > 0 { self.first } else { NONE };
        while index != NONE {
            let place = &mut self.places[index as usize];
            index = place.next;
            let EntryState::Waiting(waker) = &mut place.state else { continue };
            let deadline = place.deadline.from(now);
            if deadline > now {
                earliest = earliest.min(deadline);
                continue;
            }
            if let Some(waker) = waker.take() {
                wake.push(waker);
            }
            place.fail(Failure::TimedOut, written);
            self.waiting -= 1;
            self.ready += 1;
        }
        self.earliest = earliest.min(self.budget.handle_timeout(now, wake));
    }

    /// A time that is not later than any deadline.
    pub(crate) fn earliest(&self) -> Timestamp {
        let nobody_waits = self.in_flight == 0 && !self.budget.is_awaited();
        if nobody_waits { Timestamp::FAR_FUTURE } else { self.earliest }
    }
}

//! When entries are due: from the driver's first look at them to their time-out.
//!
//! Invariant: no deadline of an entry that the driver has seen, or of a caller that waits for the
//! budget here, is earlier than `Queue::earliest`.
//! Called by `driver/io.rs`.

use super::{Deadline, NONE, Queue, State, Wakers};
use crate::connection::outcome::Failure;
use crate::time::Timestamp;

impl Queue {
    /// The driver sees all entries; those that came since it last did begin to be due `now`.
    pub(crate) fn see(&mut self, now: Timestamp) {
        let mut index = std::mem::replace(&mut self.unseen, NONE);
        // Nearly all have the same time.
        let mut last = (Deadline::At(Timestamp::FAR_FUTURE), Timestamp::FAR_FUTURE);
        while index != NONE {
            let slot = &mut self.slots[index as usize];
            if slot.due != last.0 {
                last = (slot.due, slot.due.from(now));
                self.earliest = self.earliest.min(last.1);
            }
            slot.due = Deadline::At(last.1);
            index = slot.next;
        }
    }

    /// Whether there are entries that the driver has not seen.
    pub(crate) fn has_unseen(&self) -> bool {
        self.unseen != NONE
    }

    /// Fails what is past its deadline. `written`: bytes that the stream has accepted.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp, written: u64, wake: &mut Wakers) {
        if now < self.earliest {
            return;
        }
        let mut earliest = Timestamp::FAR_FUTURE;
        let mut index = if self.in_flight > 0 { self.first } else { NONE };
        while index != NONE {
            let slot = &mut self.slots[index as usize];
            index = slot.next;
            let State::Waiting(waker) = &mut slot.state else { continue };
            let deadline = slot.due.from(now);
            if deadline > now {
                earliest = earliest.min(deadline);
                continue;
            }
            if let Some(waker) = waker.take() {
                wake.push(waker);
            }
            slot.fail(Failure::TimedOut, written);
            self.waiting -= 1;
            self.ready += 1;
        }
        self.earliest = earliest.min(self.budget.handle_timeout(now, wake));
    }

    /// No deadline is earlier than this.
    pub(crate) fn earliest(&self) -> Timestamp {
        let nobody_waits = self.in_flight == 0 && !self.budget.is_awaited();
        if nobody_waits { Timestamp::FAR_FUTURE } else { self.earliest }
    }
}

//! Deadlines of entries: a turn of the driver registers them, and fails the entries at their time.
//!
//! An entry costs nothing for its deadline until a timer fires, which is seldom: nearly all have a
//! reply by then. Those that have none are put in order once (`Due`), so that thousands that time
//! out one after the other are not each looked for among all.
//!
//! **Invariants**: `CommandQueue::earliest` is not later than any deadline of an entry that a turn
//! has seen, or of a caller that waits for the budget here; each entry in flight up to `Due::last`
//! whose deadline counts is in `Due::entries`; an entry whose caller is told that it was not sent
//! is never written.

use super::{CommandQueue, Deadline, EntryState, Judged, NONE, Ticket, Wakers};
use crate::connection::outcome::Failure;
use crate::connection::place::Place;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Range;

/// What the driver has taken from the queue to write it.
pub(crate) struct Taken<'a> {
    /// All of it.
    pub(crate) bytes: &'a mut Vec<u8>,
    /// How many of these bytes the stream has accepted.
    pub(crate) sent: usize,
    /// Bytes that the stream has accepted since it was opened.
    pub(crate) written: u64,
}

/// More entries that have ended than this, and than there are in flight, are forgotten.
const ENDED_MAX: usize = 64;

/// Whether the deadline of an entry matters to anybody. `written`: bytes that the stream has
/// accepted.
fn can_expire(place: &Place, written: u64) -> bool {
    match place.state {
        EntryState::Waiting(_) => true,
        EntryState::Abandoned => place.start >= written && place.replies_are != Judged::AfterPushes,
        EntryState::Free(_) | EntryState::Done(_) => false,
    }
}

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

    /// Fails the entries past their deadlines. Those of which the stream has accepted nothing are
    /// withdrawn: they are never written.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp, taken: Taken<'_>, wake: &mut Wakers) {
        if now < self.earliest {
            return;
        }
        self.put_in_order(taken.written);
        let mut withdraws = false;
        let mut earliest = Timestamp::FAR_FUTURE;
        while let Some(Reverse((deadline, index, generation))) = self.due.entries.peek().copied() {
            self.visit();
            let place = &mut self.places[index as usize];
            let is_there = place.generation == generation
                && place.owed > 0
                && can_expire(place, taken.written);
            if is_there && deadline > now {
                earliest = deadline;
                break;
            }
            self.due.entries.pop();
            if !is_there {
                continue;
            }
            let is_unsent = place.start >= taken.written;
            withdraws |= is_unsent;
            if let EntryState::Waiting(waker) = &mut place.state {
                wake.extend(waker.take());
                // The rest of an entry is written when its beginning was: all of it may run.
                let written = if is_unsent { taken.written } else { u64::MAX };
                place.fail(Failure::TimedOut, written);
                self.waiting -= 1;
                self.ready += 1;
            }
        }
        if withdraws {
            self.withdraw_expired(now, taken, wake);
        }
        // The next turn sees these. Until then they count from now on.
        let mut index = self.unseen;
        while index != NONE {
            let place = &self.places[index as usize];
            earliest = earliest.min(place.deadline.from(now));
            index = place.next;
        }
        self.earliest = earliest.min(self.budget.handle_timeout(now, wake));
    }

    /// Puts the entries into `due` that came since the last time, and that a turn has seen.
    fn put_in_order(&mut self, written: u64) {
        if self.due.entries.len() > 2 * self.in_flight + ENDED_MAX {
            // The others had replies, or will be put in again.
            (self.due.entries, self.due.last) = (BinaryHeap::new(), None);
        }
        let known = self.due.last.filter(|last| {
            let place = &self.places[last.index as usize];
            place.generation == last.generation && place.owed > 0
        });
        let mut index = match known {
            Some(last) => self.places[last.index as usize].next,
            None if self.in_flight > 0 => self.first,
            None => NONE,
        };
        while index != NONE && index != self.unseen {
            self.visit();
            let place = &self.places[index as usize];
            let generation = place.generation;
            if let Deadline::At(deadline) = place.deadline
                && can_expire(place, written)
            {
                self.due.entries.push(Reverse((deadline, index, generation)));
            }
            self.due.last = Some(Ticket { index, generation });
            index = place.next;
        }
    }

    /// Counts an entry that is looked at. Tests bound how many are.
    #[inline]
    pub(super) fn visit(&mut self) {
        #[cfg(test)]
        {
            self.due.visits += 1;
        }
    }

    /// Takes the entries past their deadlines out of the list, and their bytes out of what is to be
    /// written, if the stream has accepted none of them.
    #[cold]
    fn withdraw_expired(&mut self, now: Timestamp, taken: Taken<'_>, wake: &mut Wakers) {
        let mut cuts = Vec::new();
        let (mut shift, mut kept, mut index) = (0, NONE, self.first);
        // For each entry with a shape, whether it is withdrawn.
        let mut withdrawn = VecDeque::new();
        while index != NONE {
            let place = &mut self.places[index as usize];
            let next = place.next;
            let can_expire = place.replies_are != Judged::AfterPushes;
            let is_expired = can_expire && place.deadline.from(now) <= now;
            let is_withdrawn = is_expired && place.start >= taken.written;
            if place.replies_are == Judged::ByShape {
                withdrawn.push_back(is_withdrawn);
            }
            if is_withdrawn {
                cuts.push(place.start..place.end);
                shift += place.end - place.start;
                place.owed = 0;
                self.budget.give(place.cost, wake);
                self.in_flight -= 1;
                if let EntryState::Abandoned = place.state {
                    self.free(index);
                }
                match kept {
                    NONE => self.first = next,
                    kept => self.places[kept as usize].next = next,
                }
                if self.due.last.is_some_and(|last| last.index == index) {
                    let before = (kept != NONE).then(|| &self.places[kept as usize]);
                    let generation = before.map(|place| place.generation);
                    self.due.last = generation.map(|it| Ticket { index: kept, generation: it });
                }
                if self.unseen == index {
                    self.unseen = next;
                }
            } else {
                if place.start >= taken.written {
                    place.start -= shift;
                    place.end -= shift;
                }
                kept = index;
            }
            index = next;
        }
        self.last = kept;
        self.shapes.retain(|_| withdrawn.pop_front() == Some(false));
        let queued = self.encoded - self.out.len() as u64;
        self.encoded -= shift;
        cut(&mut self.out, 0, queued, &cuts);
        cut(taken.bytes, taken.sent, taken.written, &cuts);
    }

    /// A time that is not later than any deadline.
    pub(crate) fn earliest(&self) -> Timestamp {
        let nobody_waits = self.in_flight == 0 && !self.budget.is_awaited();
        if nobody_waits { Timestamp::FAR_FUTURE } else { self.earliest }
    }
}

/// Removes ranges of the stream's bytes from a buffer whose byte number `from` is byte number
/// `offset` of the stream. The ranges ascend; some of them may be in another buffer.
fn cut(buffer: &mut Vec<u8>, from: usize, offset: u64, ranges: &[Range<u64>]) {
    let len = buffer.len();
    let at = |place: u64| len.min(from + place.saturating_sub(offset) as usize);
    let (mut end, mut read) = (from, from);
    for range in ranges {
        let (first, next) = (at(range.start).max(read), at(range.end).max(read));
        buffer.copy_within(read..first, end);
        end += first - read;
        read = next;
    }
    buffer.copy_within(read.., end);
    buffer.truncate(end + len - read);
}

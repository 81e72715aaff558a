//! Which tasks a queue wakes to drive: the only caller, the background task, or all.
//!
//! **Invariant**: a caller that is woken may be polled late or never, so a single one is relied on
//! only if no other caller waits.

use super::{CommandQueue, EntryState, NONE, Ticket, Wakers};
use crate::connection::budget::BackgroundRegistration;
use std::task::Waker;

impl CommandQueue {
    /// Wakes the task that is to drive: the only caller that waits, else the background task, else
    /// all callers.
    ///
    /// A caller that waits alone drives by itself, without a hand-over. If several wait, none of
    /// them may be relied on, because it may never be polled again. Then the background task drives
    /// or, where there is none, all callers are woken. Pushes concern more tasks than the only
    /// caller.
    pub(crate) fn wake_driver(&mut self, wake: &mut Wakers) {
        let alone = self.waiting == 1 && !self.budget.is_awaited();
        if alone || !self.background {
            self.wake_waiting(wake);
        }
        if alone && !self.push_readers.expected {
            return;
        }
        if self.background {
            wake.extend(self.wake_background());
        } else {
            self.budget.wake_all(wake);
            self.push_readers.wake_all(wake);
        }
    }

    /// Adds the wakers of all callers that wait, oldest first.
    // Apart, so that who wakes a background task alone saves no registers for it.
    #[inline(never)]
    fn wake_waiting(&mut self, wake: &mut Wakers) {
        let mut left = self.waiting;
        let mut index = if self.in_flight > 0 { self.first } else { NONE };
        while left > 0 && index != NONE {
            let at = index;
            let place = &mut self.places[index as usize];
            index = place.next;
            if let EntryState::Waiting(waker) = &mut place.state {
                if let Some(waker) = waker.take() {
                    wake.push(waker);
                }
                left -= 1;
            } else {
                index = self.pass_over(at, left == self.waiting);
            }
        }
    }

    /// The first entry behind the one at `index` whose caller waits. If this one is among those of
    /// which no caller has waited since the `oldest` in flight, all of these are passed over once,
    /// not each time: callers that have gone do not come back.
    #[cold]
    fn pass_over(&mut self, index: u32, oldest: bool) -> u32 {
        let here = &self.places[index as usize];
        let (start, mut index) = (here.start, here.next);
        if let Some(known) = self.oldest_waiting {
            let place = &self.places[known.index as usize];
            let is_behind = place.generation == known.generation && place.start > start;
            if is_behind && place.owed > 0 {
                index = known.index;
            }
        }
        while index != NONE {
            self.visit();
            let place = &self.places[index as usize];
            if let EntryState::Waiting(_) = place.state {
                break;
            }
            index = place.next;
        }
        if oldest {
            let place = (index != NONE).then(|| &self.places[index as usize]);
            let generation = place.map(|place| place.generation);
            self.oldest_waiting = generation.map(|generation| Ticket { index, generation });
        }
        index
    }

    /// A background task drives this connection from now on. `io_waker`, the link's waker, wakes it
    /// when a caller begins to wait for the budget: then the only caller may be relied on no more.
    pub(crate) fn attach_background(&mut self, io_waker: &Waker) {
        self.background = true;
        self.background_registration = Some(self.budget.register_background(io_waker.clone()));
        self.background_again = true;
    }

    /// No background task drives this connection any more: all who wait are woken, to drive by
    /// themselves. Returns what the task has left behind.
    #[must_use = "to be dropped without a lock"]
    pub(crate) fn detach_background(
        &mut self,
        wake: &mut Wakers,
    ) -> (Option<BackgroundRegistration>, Option<Waker>) {
        self.background = false;
        self.background_again = false;
        self.wake_driver(wake);
        (self.background_registration.take(), self.background_waker.take())
    }

    /// Whether a background task drives this connection.
    pub(crate) fn has_background(&self) -> bool {
        self.background
    }

    /// The background task wants to sleep; `waker` wakes it. False if it has to drive again first.
    pub(crate) fn may_background_sleep(&mut self, waker: &Waker) -> bool {
        if std::mem::take(&mut self.background_again) {
            return false;
        }
        self.background_waker = Some(waker.clone());
        true
    }

    /// The background task's waker. If that task is awake, it is told to drive again instead.
    #[must_use = "a waker that is dropped is a task that never wakes"]
    pub(super) fn wake_background(&mut self) -> Option<Waker> {
        let waker = self.background_waker.take();
        self.background_again |= waker.is_none();
        waker
    }

    /// Whether a task will come to drive when `wake_driver` is called: one that it wakes, or one
    /// that was woken before and has not come yet.
    pub(crate) fn has_driver(&self) -> bool {
        self.background
            || self.waiting > 0
            || self.budget.is_awaited()
            || self.push_readers.are_waiting()
    }

    /// Whether a caller that is polled has to drive by itself.
    pub(crate) fn caller_drives(&self) -> bool {
        !self.background || (self.waiting <= 1 && !self.budget.is_awaited())
    }
}

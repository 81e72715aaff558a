//! Whom a queue wakes to look at the stream: callers, the background task, or all.
//!
//! Invariant: whoever is woken may be polled late or never, so none is relied on alone unless it is
//! the only one that waits.
//! Called by the link's waker (`driver/signal.rs`) and by the background task.

use super::{NONE, Queue, State, Wakers};
use std::task::Waker;

impl Queue {
    /// Wakes whoever is to look at the stream: the only caller that waits, else the background
    /// task, else everybody.
    ///
    /// One caller alone drives its own I/O with no hand-over. As soon as there are more, no single
    /// one may be relied on, for it may never be polled again: the background task is, and where
    /// there is none, all of them are woken. Pushes are for more than the one caller, too.
    pub(crate) fn wake_driver(&mut self, wake: &mut Wakers) {
        let alone = self.waiting == 1 && !self.budget.is_awaited();
        if alone || !self.background {
            self.wake_waiting(wake);
        }
        if alone && !self.listeners.listen {
            return;
        }
        if self.background {
            wake.extend(self.call_background());
        } else {
            self.budget.call_all(wake);
            self.listeners.call_all(wake);
        }
    }

    /// The wakers of all callers that wait, oldest first.
    fn wake_waiting(&mut self, wake: &mut Wakers) {
        let mut left = self.waiting;
        let mut index = if self.in_flight > 0 { self.first } else { NONE };
        while left > 0 && index != NONE {
            let slot = &mut self.slots[index as usize];
            index = slot.next;
            if let State::Waiting(waker) = &mut slot.state {
                if let Some(waker) = waker.take() {
                    wake.push(waker);
                }
                left -= 1;
            }
        }
    }

    /// A background task looks after this connection from now on. `signal` calls it when the only
    /// caller that was called so far is not to be relied on any more.
    pub(crate) fn attach_background(&mut self, signal: &Waker) {
        self.background = true;
        self.driver = Some(self.budget.join(signal.clone()));
        self.background_again = true;
    }

    /// Whether a background task looks after this connection.
    pub(crate) fn has_background(&self) -> bool {
        self.background
    }

    /// The background task wants to sleep. False when it has to look again first.
    pub(crate) fn may_background_sleep(&mut self, waker: &Waker) -> bool {
        if std::mem::take(&mut self.background_again) {
            return false;
        }
        self.background_waker = Some(waker.clone());
        true
    }

    /// The background task's waker, or a note for it when it is awake.
    #[must_use = "a waker that is dropped is a task that never wakes"]
    pub(super) fn call_background(&mut self) -> Option<Waker> {
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
            || self.listeners.are_watching()
    }

    /// Whether a caller that is polled should look at the stream itself.
    pub(crate) fn drives_itself(&self) -> bool {
        !self.background || (self.waiting <= 1 && !self.budget.is_awaited())
    }
}

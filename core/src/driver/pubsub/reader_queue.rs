//! The queue of one subscription: the driver of a link adds updates, the reader takes them.
//!
//! Invariants: an update that is added wakes the reader once; the reader is woken for the first
//! update after it found the queue empty, not for each of them. The lock is held for a few
//! instructions only.
//! Limits: those of the subscription (`subscription/backlog.rs`).

use crate::connection::entry::Wakers;
use crate::lock::lock;
use crate::subscription::backlog::{Backlog, BacklogLimits, PushOutcome, UpdateQueue};
use crate::subscription::message::Message;
use crate::subscription::update::Update;
use std::sync::Mutex;
use std::task::{Poll, Waker};

#[cfg(test)]
mod tests;

/// The queue of one subscription, shared by the link's driver and the reader.
#[derive(Debug)]
pub(crate) struct ReaderQueue {
    /// Everything that changes.
    state: Mutex<State>,
}

/// What the lock of a [`ReaderQueue`] protects.
#[derive(Debug)]
struct State {
    /// The waiting updates.
    updates: UpdateQueue,
    /// Wakes the reader, while it waits.
    waker: Option<Waker>,
    /// The subscription's connections are paused until there is room.
    paused: bool,
}

/// What the reader gets from [`ReaderQueue::take`].
#[derive(Debug)]
pub(crate) struct Taken {
    /// The next update; `None` after the end of the subscription; pending while none waits.
    pub(crate) update: Poll<Option<Update>>,
    /// There is room again: the caller lets the paused connections go on.
    pub(crate) resume_reading: bool,
}

impl ReaderQueue {
    pub(crate) fn new(limits: BacklogLimits) -> Self {
        let state = State { updates: UpdateQueue::new(limits), waker: None, paused: false };
        Self { state: Mutex::new(state) }
    }

    /// Adds a message. `batch` is the number of the read that brought it. The reader's waker, if it
    /// waits, is added to `wake`.
    #[inline]
    pub(crate) fn push_message(
        &self,
        message: Message,
        batch: u64,
        wake: &mut Wakers,
    ) -> PushOutcome {
        let mut state = lock(&self.state);
        let outcome = state.updates.push_message(message, batch);
        state.paused |= outcome == PushOutcome::Pause;
        if let Some(waker) = state.waker.take() {
            wake.push(waker);
        }
        outcome
    }

    /// Adds another update.
    pub(crate) fn push_update(&self, update: Update, wake: &mut Wakers) {
        let mut state = lock(&self.state);
        state.updates.push_update(update);
        wake.extend(state.waker.take());
    }

    /// Ends the queue: nothing follows what waits.
    pub(crate) fn finish(&self, wake: &mut Wakers) {
        let mut state = lock(&self.state);
        state.updates.finish();
        wake.extend(state.waker.take());
    }

    /// Takes the next update; `waker` is woken when there is one.
    #[inline]
    pub(crate) fn take(&self, waker: &Waker) -> Taken {
        let mut state = lock(&self.state);
        let update = match state.updates.pop() {
            Some(update) => Poll::Ready(Some(update)),
            None if state.updates.is_ended() => Poll::Ready(None),
            None => {
                match &mut state.waker {
                    Some(kept) => kept.clone_from(waker),
                    none => *none = Some(waker.clone()),
                }
                Poll::Pending
            }
        };
        let resume_reading = state.paused && state.updates.has_room();
        state.paused &= !resume_reading;
        Taken { update, resume_reading }
    }

    /// Registers `waker` for the next update or the end, without taking anything.
    pub(crate) fn register_waker(&self, waker: &Waker) {
        lock(&self.state).waker = Some(waker.clone());
    }

    /// The counts of this moment.
    pub(crate) fn backlog(&self) -> Backlog {
        lock(&self.state).updates.backlog()
    }
}

//! Where a subscription's updates wait for its reader: a backlog, and whom to wake.
//!
//! Invariant: one wake per read, whatever that brought. Called by `driver/hub.rs`, which puts in,
//! and by `client/subscription.rs`, which takes out.

use crate::connection::entry::Wakers;
use crate::lock::lock;
use crate::subscription::backlog::{Backlog, BacklogLimits, Queue, Taken};
use crate::subscription::message::Message;
use crate::subscription::update::Update;
use std::sync::Mutex;
use std::task::{Poll, Waker};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Locked for moments only.
    state: Mutex<State>,
}

/// See `Inbox::state`.
#[derive(Debug)]
struct State {
    /// What waits.
    queue: Queue,
    /// The reader, while it waits.
    waker: Option<Waker>,
    /// Its connection reads nothing until there is room.
    paused: bool,
}

/// What a reader took.
#[derive(Debug)]
pub(crate) struct Taking {
    /// The update; none once the subscription has ended, pending while there is none yet.
    pub(crate) update: Poll<Option<Update>>,
    /// A connection that was paused is to go on.
    pub(crate) resumes: bool,
}

impl Inbox {
    pub(crate) fn new(limits: BacklogLimits) -> Self {
        let state = State { queue: Queue::new(limits), waker: None, paused: false };
        Self { state: Mutex::new(state) }
    }

    /// A message came; `batch` names the read that brought it.
    #[inline]
    pub(crate) fn push(&self, message: Message, batch: u64, wake: &mut Wakers) -> Taken {
        let mut state = lock(&self.state);
        let taken = state.queue.push(message, batch);
        state.paused |= taken == Taken::Pause;
        if let Some(waker) = state.waker.take() {
            wake.push(waker);
        }
        taken
    }

    /// Something else is to be told.
    pub(crate) fn tell(&self, update: Update, wake: &mut Wakers) {
        let mut state = lock(&self.state);
        state.queue.tell(update);
        wake.extend(state.waker.take());
    }

    /// Nothing follows what waits.
    pub(crate) fn finish(&self, wake: &mut Wakers) {
        let mut state = lock(&self.state);
        state.queue.finish();
        wake.extend(state.waker.take());
    }

    /// Takes the next update; `waker` is woken when there is one.
    #[inline]
    pub(crate) fn take(&self, waker: &Waker) -> Taking {
        let mut state = lock(&self.state);
        let update = match state.queue.pop() {
            Some(update) => Poll::Ready(Some(update)),
            None if state.queue.is_ended() => Poll::Ready(None),
            None => {
                match &mut state.waker {
                    Some(kept) => kept.clone_from(waker),
                    none => *none = Some(waker.clone()),
                }
                Poll::Pending
            }
        };
        let resumes = state.paused && state.queue.has_room();
        state.paused &= !resumes;
        Taking { update, resumes }
    }

    /// `waker` is woken when something comes, and nothing is taken.
    pub(crate) fn watch(&self, waker: &Waker) {
        lock(&self.state).waker = Some(waker.clone());
    }

    /// How it stands.
    pub(crate) fn stand(&self) -> Backlog {
        lock(&self.state).queue.stand()
    }
}

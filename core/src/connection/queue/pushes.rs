//! The part of the queue that is about pushes: commands that are answered by them, who is called
//! when some may have come, and how long a retired connection stays for their sake.
//!
//! A command that subscribes has no reply of its own, only pushes, unless it fails: then it has an
//! error for a reply. So such commands are posted as one entry with a last command that always
//! replies; errors before that reply are theirs. Called by `driver/io.rs` and `driver/link.rs`.

use super::{ENTRY_OVERHEAD, Queue};
use crate::connection::slot::State;
use crate::time::Timestamp;
use std::task::Waker;

impl Queue {
    /// Takes in commands that are answered by pushes or by errors, and a last one, whose reply is
    /// the entry's. A retired connection takes them, too: subscriptions are ended by them.
    pub(crate) fn post(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.lost.is_some() {
            return;
        }
        let before = self.out.len();
        write(&mut self.out);
        let len = self.out.len() - before;
        let index = self.place();
        let slot = &mut self.slots[index as usize];
        slot.owed = 1;
        slot.posted = true;
        slot.cost = len + ENTRY_OVERHEAD;
        slot.deadline = Timestamp::FAR_FUTURE;
        slot.start = self.encoded;
        slot.state = State::Abandoned;
        self.bytes += slot.cost;
        self.encoded += len as u64;
        slot.end = self.encoded;
        self.held = false;
        self.in_flight.push_back(index);
    }

    /// Whether the next reply belongs to commands that were posted, so that an error before it is
    /// an answer to one of them and no reply of its own.
    #[inline]
    pub(crate) fn is_posted(&self) -> bool {
        self.listened && self.in_flight.front().is_some_and(|at| self.slots[*at as usize].posted)
    }

    /// Pushes are listened for from now on.
    pub(crate) fn listen(&mut self) {
        self.listened = true;
    }

    /// Whether something is subscribed to. A retired connection is spent when nothing is.
    pub(crate) fn keep(&mut self, kept: bool) {
        self.kept = kept;
    }

    /// `waker` is woken whenever the stream is to be looked at, until `unwatch`.
    pub(crate) fn watch(&mut self, name: u64, waker: &Waker) {
        match self.watchers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, kept)) => kept.clone_from(waker),
            None => self.watchers.push((name, waker.clone())),
        }
    }

    /// Ends a `watch`.
    pub(crate) fn unwatch(&mut self, name: u64) {
        self.watchers.retain(|(known, _)| *known != name);
    }
}

//! The part of the queue that is about pushes: commands that are answered by them, who is called
//! when some may have come, and how long a retired connection stays for their sake.
//!
//! A command that subscribes has no reply of its own, only pushes, unless it fails: then it has an
//! error for a reply. So such commands are posted as one entry with a last command that always
//! replies; errors before that reply are theirs. Called by `driver/io.rs` and `driver/link.rs`.

use super::{Phase, Queue, State, cost_of};
use crate::connection::entry::Entry;
use crate::time::Timestamp;
use std::task::Waker;

impl Queue {
    /// Takes in commands that are answered by pushes or by errors, and a last one, whose reply is
    /// the entry's. A retired connection takes them, too: subscriptions are ended by them.
    pub(crate) fn post(&mut self, commands: &[u8]) {
        if let Phase::Lost(_) = self.phase {
            return;
        }
        self.say_greeting();
        let entry = Entry { len: commands.len(), replies: 1, deadline: Timestamp::FAR_FUTURE };
        self.budget.charge(cost_of(entry.len));
        let write = |out: &mut Vec<u8>| out.extend_from_slice(commands);
        let ticket = self.append(entry.into(), State::Abandoned, write);
        self.slot(ticket).posted = true;
    }

    /// Whether the next reply belongs to commands that were posted, so that an error before it is
    /// an answer to one of them and no reply of its own.
    #[inline]
    pub(crate) fn is_posted(&self) -> bool {
        self.listeners.listen && self.in_flight > 0 && self.slots[self.first as usize].posted
    }

    /// Pushes are listened for from now on.
    pub(crate) fn listen(&mut self) {
        self.listeners.listen = true;
    }

    /// Whether something is subscribed to. A retired connection is spent when nothing is.
    pub(crate) fn keep(&mut self, keep: bool) {
        self.listeners.keep = keep;
    }

    /// `waker` is woken the next time that the stream is to be looked at.
    pub(crate) fn watch(&mut self, name: u64, waker: &Waker) {
        self.listeners.watch(name, waker);
    }

    /// Ends a `watch`.
    pub(crate) fn unwatch(&mut self, name: u64) {
        self.listeners.unwatch(name);
    }

    /// Whether the connection was retired and owes nothing any more, not even
    /// messages.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self.phase, Phase::Retired(_)) && self.in_flight == 0 && !self.listeners.keep
    }
}

//! The part of the queue for pushes: commands that are answered by pushes, the readers to wake, and
//! how long a retired connection stays open for its subscriptions.
//!
//! A command that subscribes is answered by pushes, or by an error if it fails; it has no other
//! reply. So such commands are enqueued as one entry, with a last command that always has a reply.
//! Errors that come before that reply belong to the entry.

use super::{CommandQueue, EntryState, Judged, Phase, cost_of};
use crate::connection::entry::Entry;
use crate::time::Timestamp;
use std::task::Waker;

impl CommandQueue {
    /// Enqueues commands that are answered by pushes or errors, and a last one, whose reply ends
    /// the entry. A retired connection takes them, too, because they also end subscriptions.
    pub(crate) fn enqueue_push_commands(&mut self, commands: &[u8]) {
        if let Phase::Lost(_) = self.phase {
            return;
        }
        self.write_handshake();
        let entry = Entry { len: commands.len(), replies: 1, deadline: Timestamp::FAR_FUTURE };
        self.budget.charge(cost_of(entry.len));
        let write = |out: &mut Vec<u8>| out.extend_from_slice(commands);
        let ticket = self.append(entry.into(), EntryState::Abandoned, write);
        self.place_of(ticket).replies_are = Judged::AfterPushes;
    }

    /// Whether the next reply belongs to commands that are answered by pushes. Then an error
    /// answers one of those commands and does not end the entry.
    #[inline]
    pub(crate) fn awaits_pushes(&self) -> bool {
        self.push_readers.expected
            && self.in_flight > 0
            && self.places[self.first as usize].replies_are == Judged::AfterPushes
    }

    /// Pushes are received from now on.
    pub(crate) fn expect_pushes(&mut self) {
        self.push_readers.expected = true;
    }

    /// Whether a subscription uses the connection, which stays open as long, also if it is retired.
    pub(crate) fn set_subscribed(&mut self, subscribed: bool) {
        self.push_readers.subscribed = subscribed;
        self.held = subscribed;
    }

    /// `waker` is woken the next time that the stream has something to do.
    pub(crate) fn register_reader(&mut self, reader: u64, waker: &Waker) {
        self.push_readers.register(reader, waker);
    }

    /// Ends a `register_reader`.
    pub(crate) fn unregister_reader(&mut self, reader: u64) {
        self.push_readers.unregister(reader);
    }

    /// Whether the connection was retired, and no reply and no subscription needs it any more.
    pub(crate) fn is_spent(&self) -> bool {
        matches!(self.phase, Phase::Retired(_))
            && self.in_flight == 0
            && !self.push_readers.subscribed
    }
}

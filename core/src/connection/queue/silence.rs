//! A connection whose server owes replies and sends nothing: it takes no entries, and those in
//! flight go on waiting, each until its own deadline.
//!
//! **Invariant**: a connection is silent only while a caller waits on it.

use super::{CommandQueue, EntryState, NONE, Phase, Wakers};
use crate::connection::outcome::{Failure, Lost};
use std::sync::Arc;

impl CommandQueue {
    /// Takes no entries until `end_silence`. Entries that another node can answer fail with
    /// `cause`; the stream has accepted `written` bytes in total. False if the connection may as
    /// well be given up: no caller waits any more, or it was replaced.
    pub(crate) fn begin_silence(&mut self, cause: Lost, written: u64, wake: &mut Wakers) -> bool {
        if !matches!(self.phase, Phase::Open) {
            return false;
        }
        let cause = Arc::new(cause);
        let mut index = if self.in_flight > 0 { self.first } else { NONE };
        while index != NONE {
            let place = &mut self.places[index as usize];
            index = place.next;
            if place.can_move
                && let EntryState::Waiting(waker) = &mut place.state
            {
                wake.extend(waker.take());
                place.fail(Failure::Lost(Arc::clone(&cause)), written);
                self.waiting -= 1;
                self.ready += 1;
            }
        }
        if self.waiting == 0 {
            return false;
        }
        self.phase = Phase::Silent(cause);
        // Who waits for room goes where the next entries go.
        self.budget.wake_all(wake);
        true
    }

    /// The server has sent something: entries are taken again. False if the connection is not
    /// silent any more.
    pub(crate) fn end_silence(&mut self) -> bool {
        let is_silent = self.is_silent();
        if is_silent {
            self.phase = Phase::Open;
        }
        is_silent
    }

    /// Whether the server owes replies and sends nothing.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.phase, Phase::Silent(_))
    }

    /// Whether any caller waits for an outcome.
    pub(crate) fn has_callers(&self) -> bool {
        self.waiting > 0
    }
}

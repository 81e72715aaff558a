//! A place in a connection's queue, and the states that its entry goes through.
//!
//! Only `connection/queue.rs` uses it; its invariants are there.

use super::entry::Deadline;
use super::outcome::{Failed, Failure, Outcome};
use crate::time::Timestamp;
use bytes::Bytes;
use std::task::Waker;

/// A place in the slab.
#[derive(Debug)]
pub(super) struct Slot {
    /// Counts the entries that had this place.
    pub(super) generation: u32,
    /// Replies still to come.
    pub(super) owed: u32,
    /// It is answered by pushes and errors up to one reply, and nobody waits for that.
    pub(super) posted: bool,
    /// What the budget is charged while it is owed something.
    pub(super) cost: usize,
    /// When its caller gives up.
    pub(super) due: Deadline,
    /// The place of the entry whose bytes follow, or `NONE`.
    pub(super) next: u32,
    /// Offset of its first byte in the connection's stream.
    pub(super) start: u64,
    /// Offset after its last byte.
    pub(super) end: u64,
    /// Replies that came already; without capacity where one is expected, or nobody waits.
    pub(super) got: Vec<Bytes>,
    /// Where it stands.
    pub(super) state: State,
}

/// ```text
/// Free ──enqueue──► Waiting ──reply, deadline or loss──► Done ──take──► Free
///                      │                                  └──take, replies owed──┐
///                      └────────────abandon────────────► Abandoned ◄─────────────┘
///                                                           └──last reply──► Free
/// ```
#[derive(Debug)]
pub(super) enum State {
    /// Not in use; the next free place.
    Free(u32),
    /// The caller waits; its waker, unless it was woken.
    Waiting(Option<Waker>),
    /// The outcome is here and the caller has not come for it.
    Done(Outcome),
    /// The caller has gone, the server still owes replies.
    Abandoned,
}

/// The end of the list of free places.
pub(super) const NONE: u32 = u32::MAX;

impl Slot {
    /// A new place, not in use and the last of the free ones.
    pub(super) fn free() -> Self {
        Self {
            generation: 0,
            owed: 0,
            posted: false,
            cost: 0,
            due: Deadline::At(Timestamp::FAR_FUTURE),
            next: NONE,
            start: 0,
            end: 0,
            got: Vec::new(),
            state: State::Free(NONE),
        }
    }

    /// The caller's outcome is this failure; `written` bytes of the connection were.
    pub(super) fn fail(&mut self, failure: Failure, written: u64) {
        let written = written.min(self.end).saturating_sub(self.start);
        let replies = std::mem::take(&mut self.got);
        let failed = Failed { failure, replies, written, len: self.end - self.start };
        self.state = State::Done(Err(Box::new(failed)));
    }
}

//! A place in a connection's queue, and the states of the entry that is in it.
//!
//! The invariants are those of `queue.rs`, which alone uses it.

use super::entry::Deadline;
use super::outcome::{Failed, Failure, Outcome};
use super::reply_shape::Expected;
use crate::time::Timestamp;
use bytes::Bytes;
use std::task::Waker;

/// A place in the queue's list of places: holds one entry, and is used again for later ones.
#[derive(Debug)]
pub(super) struct Place {
    /// Number of entries that had this place before, to tell their tickets from this entry's.
    pub(super) generation: u32,
    /// Replies that are still to come.
    pub(super) owed: u32,
    /// How its replies are judged.
    pub(super) replies_are: Judged,
    /// Another node can answer it: it fails as soon as the server is silent.
    pub(super) can_move: bool,
    /// Bytes that the budget is charged until its last reply.
    pub(super) cost: usize,
    /// When its caller gives up.
    pub(super) deadline: Deadline,
    /// Index of the entry whose bytes follow, or `NONE`.
    pub(super) next: u32,
    /// Offset of its first byte in the connection's stream.
    pub(super) start: u64,
    /// Offset after its last byte.
    pub(super) end: u64,
    /// Replies that have come, if several are expected and a caller waits; else without capacity.
    pub(super) replies: Vec<Bytes>,
    /// The state of the entry.
    pub(super) state: EntryState,
}

/// ```text
/// Free ──enqueue──► Waiting ──reply, deadline or loss──► Done ──take──► Free
///                      │                                  └──take, replies owed──┐
///                      └────────────abandon────────────► Abandoned ◄─────────────┘
///                                                           └──last reply──► Free
/// ```
#[derive(Debug)]
pub(super) enum EntryState {
    /// No entry; the index of the next free place.
    Free(u32),
    /// The caller waits. Its waker, unless it was woken and has not polled since.
    Waiting(Option<Waker>),
    /// The outcome, which the caller has not taken yet.
    Done(Outcome),
    /// No caller waits any more, but the server still owes replies.
    Abandoned,
}

/// How the replies of an entry are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Any is right but `+QUEUED`.
    Values,
    /// Any is right.
    Anything,
    /// By the oldest of the queue's shapes.
    ByShape,
    /// Its commands are answered by pushes and errors, and by one reply at the end. No caller
    /// waits.
    AfterPushes,
}

impl From<Expected<'_>> for Judged {
    #[inline]
    fn from(expected: Expected<'_>) -> Self {
        match expected {
            Expected::Values => Self::Values,
            Expected::Anything => Self::Anything,
            Expected::ValuesBut(_) | Expected::Transaction { .. } => Self::ByShape,
        }
    }
}

/// The end of the list of free places.
pub(super) const NONE: u32 = u32::MAX;

impl Place {
    /// A new place without an entry, the last of the free ones.
    pub(super) fn free() -> Self {
        Self {
            generation: 0,
            owed: 0,
            replies_are: Judged::Values,
            can_move: false,
            cost: 0,
            deadline: Deadline::At(Timestamp::FAR_FUTURE),
            next: NONE,
            start: 0,
            end: 0,
            replies: Vec::new(),
            state: EntryState::Free(NONE),
        }
    }

    /// The caller's outcome is this failure. The stream has accepted `written` bytes in total.
    pub(super) fn fail(&mut self, failure: Failure, written: u64) {
        let written = written.min(self.end).saturating_sub(self.start);
        let replies = std::mem::take(&mut self.replies);
        let failed = Failed { failure, replies, written, len: self.end - self.start };
        self.state = EntryState::Done(Err(Box::new(failed)));
    }
}

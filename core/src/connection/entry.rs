//! The plain types between a connection's queue and its users: what goes in and what comes back.
//!
//! An entry is one or more commands that are written in one piece, with one or more replies.

pub(crate) use super::wakers::Wakers;

use super::outcome::Lost;
use super::reply_shape::Expected;
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Names an entry until its outcome is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Index of the entry's place.
    pub(super) index: u32,
    /// Tells the entry from earlier ones in the same place.
    pub(super) generation: u32,
}

/// Which task writes the entry that was just enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// The caller itself, now: no other task waits.
    Now,
    /// The caller itself, when it is polled again. Until then other tasks may add their entries.
    Later,
    /// A task that drives already, or was woken for it.
    ByOther,
}

/// Why an entry was not enqueued.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// The connection is lost or retired.
    Closed(Arc<Lost>),
    /// The budget has no room now, or other callers wait for it.
    Full,
}

/// Why a frame is not the reply to any entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// No entry is owed a reply, or no byte of the oldest was written.
    Unasked(Bytes),
    /// The oldest entry cannot get it; what is wrong with it.
    Wrong(String),
}

/// An entry without its bytes, with a deadline that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Bytes that it will write.
    pub(crate) len: usize,
    /// Replies that it will get, at least 1.
    pub(crate) replies: u32,
    /// When its caller gives up.
    pub(crate) deadline: Timestamp,
}

/// When a caller gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// At this time.
    At(Timestamp),
    /// This long after the next turn of the driver, which follows at once. So the clock is read
    /// once for all entries of a turn.
    After(Duration),
}

impl Deadline {
    /// The time, if the entry's first turn is `now`.
    #[inline]
    pub(crate) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(deadline) => deadline,
            Self::After(timeout) => now.after(timeout),
        }
    }
}

/// Under which condition an entry is admitted to the node's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// If there is room, and no caller waits for it.
    New,
    /// If there is room: its caller has waited for it.
    Waited,
    /// Always. For a handshake: without it a connection carries nothing, and other connections may
    /// have taken all the room.
    Forced,
}

/// An entry without its bytes, as the queue takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEntry<'a> {
    /// Bytes that it will write.
    pub(crate) len: usize,
    /// Replies that it will get, at least 1.
    pub(crate) replies: u32,
    /// When its caller gives up.
    pub(crate) deadline: Deadline,
    /// Under which condition it is admitted to the budget.
    pub(crate) admission: Admission,
    /// Which replies it may get.
    pub(crate) expected: Expected<'a>,
    /// Another node can answer it: it fails as soon as the server is silent.
    pub(crate) can_move: bool,
}

impl From<Entry> for NewEntry<'_> {
    #[inline]
    fn from(entry: Entry) -> Self {
        let Entry { len, replies, deadline } = entry;
        Self {
            len,
            replies,
            deadline: Deadline::At(deadline),
            admission: Admission::New,
            can_move: false,
            expected: Expected::Values,
        }
    }
}

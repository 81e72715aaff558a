//! The words between a connection's queue and those who use it: what goes in, what comes back.
//!
//! Called by `connection/queue.rs`, which gives them out, and by everything that enqueues.

pub(crate) use super::wakers::Wakers;

use super::outcome::Lost;
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Names an entry until its outcome is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The entry's place in the slab.
    pub(super) index: u32,
    /// Tells it from those that had the place before.
    pub(super) generation: u32,
}

/// Who writes what was just enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// The caller itself, at once: nobody else is here.
    Now,
    /// The caller itself, when it is polled again: others may add theirs until then.
    Later,
    /// Somebody who was woken before, or is at work already.
    Covered,
}

/// Why an entry was not taken.
#[derive(Debug)]
pub(crate) enum Rejected {
    /// The connection is gone.
    Closed(Arc<Lost>),
    /// The budget is used up.
    Full,
    /// It exceeds the budget by itself.
    Large,
}

/// What to enqueue, beside the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Bytes that it will write.
    pub(crate) len: usize,
    /// Replies that it will get; at least 1.
    pub(crate) replies: u32,
    /// When its caller gives up.
    pub(crate) deadline: Timestamp,
}

/// When a caller gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// At this moment.
    At(Timestamp),
    /// So long after the driver first sees the entry, which is at once: a clock is then read for
    /// all entries together.
    After(Duration),
}

impl Deadline {
    /// The moment, if the entry is seen `now` for the first time.
    #[inline]
    pub(crate) fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(deadline) => deadline,
            Self::After(timeout) => now.after(timeout),
        }
    }
}

/// By what right an entry takes room in the node's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// If there is room, and nobody waits for it.
    New,
    /// If there is room: its caller had a place in the row.
    Waited,
    /// In any case: a handshake, without which a lane carries nothing, while others may have taken
    /// all the room.
    Must,
}

/// An entry as the queue takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEntry {
    /// Bytes that it will write.
    pub(crate) len: usize,
    /// Replies that it will get; at least 1.
    pub(crate) replies: u32,
    /// When its caller gives up.
    pub(crate) due: Deadline,
    /// By what right it takes room in the budget.
    pub(crate) admission: Admission,
}

impl From<Entry> for NewEntry {
    #[inline]
    fn from(entry: Entry) -> Self {
        let Entry { len, replies, deadline } = entry;
        Self { len, replies, due: Deadline::At(deadline), admission: Admission::New }
    }
}

//! The entries of a connection by their deadlines, as far as a timer has fired.
//!
//! Part of a queue; the rules are in `queue/deadlines.rs`.

use super::entry::Ticket;
use crate::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries by their deadlines.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Deadline, index and generation, the earliest first; also of entries that have ended.
    pub(super) entries: BinaryHeap<Reverse<(Timestamp, u32, u32)>>,
    /// The youngest entry that was put in.
    pub(super) last: Option<Ticket>,
    /// How many entries were looked at one by one.
    #[cfg(test)]
    pub(super) visits: usize,
}

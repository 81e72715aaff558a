//! Whether a connection gets pushes, and the readers that drive it for them.
//!
//! Part of a queue; the rules are in `queue/pushes.rs`.

use super::entry::Wakers;
use crate::sorted::SortedMap;
use std::task::Waker;

/// What a connection knows of its subscriptions.
#[derive(Debug, Default)]
pub(super) struct PushReaders {
    /// Pushes are received.
    pub(super) expected: bool,
    /// A subscription uses the connection, which stays open as long, also if it is retired.
    pub(super) subscribed: bool,
    /// Readers that wait, each by its number; on hosts without background tasks.
    waiting: SortedMap<u64, Waker>,
}

impl PushReaders {
    /// Whether a reader waits to be woken.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Wakes all readers. They register again when they are polled.
    pub(super) fn wake_all(&mut self, wake: &mut Wakers) {
        wake.extend(std::mem::take(&mut self.waiting).into_values());
    }

    /// Wakes `waker` the next time, instead of the one that this reader gave before.
    pub(super) fn register(&mut self, reader: u64, waker: &Waker) {
        match self.waiting.get_mut(&reader) {
            Some(kept) => kept.clone_from(waker),
            None => drop(self.waiting.insert(reader, waker.clone())),
        }
    }

    /// Ends a `register`.
    pub(super) fn unregister(&mut self, reader: u64) {
        self.waiting.remove(&reader);
    }
}

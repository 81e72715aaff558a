//! Who listens for pushes on a connection, and who watches its stream for them.
//!
//! Part of a queue; the rules are in `connection/queue/pushes.rs`.

use super::entry::Wakers;
use std::task::Waker;

/// Who listens for pushes on a connection.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Somebody does.
    pub(super) listen: bool,
    /// Something is subscribed to: a retired connection stays until it is let go of.
    pub(super) keep: bool,
    /// Where there is no background: who watches, and by which name.
    watchers: Vec<(u64, Waker)>,
}

impl Listeners {
    /// Whether any task waits to be woken.
    pub(super) fn are_watching(&self) -> bool {
        !self.watchers.is_empty()
    }

    /// Wakes all that watch; they watch again when they are polled.
    pub(super) fn call_all(&mut self, wake: &mut Wakers) {
        wake.extend(self.watchers.drain(..).map(|(_, waker)| waker));
    }

    /// Wakes `waker` the next time, in place of the one that `name` gave before.
    pub(super) fn watch(&mut self, name: u64, waker: &Waker) {
        match self.watchers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, kept)) => kept.clone_from(waker),
            None => self.watchers.push((name, waker.clone())),
        }
    }

    /// Ends a `watch`.
    pub(super) fn unwatch(&mut self, name: u64) {
        self.watchers.retain(|(known, _)| *known != name);
    }
}

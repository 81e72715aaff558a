//! Counts what a client holds of its transport: sockets, timers and tasks.
//!
//! **Invariants**: a socket counts from the call that opens it, name lookup included, until it is
//! dropped; a timer from when it is made until it has fired or is dropped; a task until it has
//! ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What clients hold of a transport and its clones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sockets that are open or being opened.
    pub sockets: usize,
    /// The most sockets at any time.
    pub sockets_max: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Background tasks.
    pub tasks: usize,
}

/// The counts behind [`Usage`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// See [`Usage`].
    pub(crate) sockets: Count,
    /// See [`Usage`].
    pub(crate) timers: Count,
    /// See [`Usage`].
    pub(crate) tasks: Count,
}

impl Counts {
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            sockets: self.sockets.0.now.load(Ordering::Relaxed),
            sockets_max: self.sockets.0.max.load(Ordering::Relaxed),
            timers: self.timers.0.now.load(Ordering::Relaxed),
            tasks: self.tasks.0.now.load(Ordering::Relaxed),
        }
    }
}

/// How many there are of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<Numbers>);

#[derive(Debug, Default)]
struct Numbers {
    /// Now.
    now: AtomicUsize,
    /// At most.
    max: AtomicUsize,
}

impl Count {
    /// One more, until the result is dropped.
    pub(crate) fn add(&self) -> One {
        let now = self.0.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.max.fetch_max(now, Ordering::Relaxed);
        One(self.clone())
    }
}

/// One that is counted.
#[derive(Debug)]
pub(crate) struct One(Count);

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

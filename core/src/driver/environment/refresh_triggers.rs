//! What links shout and the topology hears: a connection was lost, or a server owes replies and is
//! silent, or tells another role.
//!
//! A shout is remembered until it is taken, so that it is never missed by a listener that was busy.
//! Raised by `driver/io.rs` and `driver/checkup.rs`, taken by `driver/watch.rs` and
//! `driver/reads.rs`.

use event_listener::{Event, EventListener};
use std::sync::atomic::{AtomicBool, Ordering};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct RefreshTriggers {
    /// A connection was lost that nobody closed.
    lost: AtomicBool,
    /// A server owes replies and is silent.
    silent: AtomicBool,
    /// A sentinel announced something about the service.
    news: AtomicBool,
    /// A node says that it has another role than it is held to have.
    role: AtomicBool,
    /// Whoever waits for any of them, or for another reason to look up.
    event: Event,
}

impl RefreshTriggers {
    /// A connection was lost.
    pub(crate) fn report_connection_lost(&self) {
        self.lost.store(true, Ordering::Release);
        self.event.notify(usize::MAX);
    }

    /// A server is silent.
    pub(crate) fn report_server_silent(&self) {
        self.silent.store(true, Ordering::Release);
        self.event.notify(usize::MAX);
    }

    /// A sentinel announced something.
    pub(crate) fn report_sentinel_message(&self) {
        self.news.store(true, Ordering::Release);
        self.event.notify(usize::MAX);
    }

    /// A node has another role than it is held to have.
    pub(crate) fn report_role_changed(&self) {
        self.role.store(true, Ordering::Release);
        self.event.notify(usize::MAX);
    }

    /// Wakes the listeners for a reason of their own.
    pub(crate) fn wake_listeners(&self) {
        self.event.notify(usize::MAX);
    }

    /// Whether a connection was lost since the last time.
    pub(crate) fn take_connection_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Whether a server was silent since the last time.
    pub(crate) fn take_server_silent(&self) -> bool {
        self.silent.swap(false, Ordering::AcqRel)
    }

    /// Whether a sentinel announced something since the last time.
    pub(crate) fn take_sentinel_message(&self) -> bool {
        self.news.swap(false, Ordering::AcqRel)
    }

    /// Whether a node told another role since the last time.
    pub(crate) fn take_role_changed(&self) -> bool {
        self.role.swap(false, Ordering::AcqRel)
    }

    /// Ends at the next shout or nudge after this call.
    pub(crate) fn listen(&self) -> EventListener {
        self.event.listen()
    }
}

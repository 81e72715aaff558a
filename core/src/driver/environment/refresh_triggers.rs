//! Flags that connections and health checks set, and that the topology's background refresh reads:
//! reasons to read the topology again.
//!
//! A flag stays set until it is taken, so no report is lost while the refresh task is busy.

use event_listener::{Event, EventListener};
use std::sync::atomic::{AtomicBool, Ordering};

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct RefreshTriggers {
    /// A connection was lost that this client did not close.
    connection_lost: AtomicBool,
    /// A server owes replies and sends nothing.
    server_silent: AtomicBool,
    /// A sentinel sent a message about the service.
    sentinel_message: AtomicBool,
    /// A node reports another role than the topology gives it.
    role_changed: AtomicBool,
    /// A connection led to another server than the one that was meant.
    wrong_node: AtomicBool,
    /// Wakes the tasks that wait for any of the flags, or for `wake_listeners`.
    event: Event,
}

impl RefreshTriggers {
    /// A connection was lost that this client did not close.
    pub(crate) fn report_connection_lost(&self) {
        self.report(&self.connection_lost);
    }

    /// A server owes replies and sends nothing.
    pub(crate) fn report_server_silent(&self) {
        self.report(&self.server_silent);
    }

    /// A sentinel sent a message about the service.
    pub(crate) fn report_sentinel_message(&self) {
        self.report(&self.sentinel_message);
    }

    /// A node reports another role than the topology gives it.
    pub(crate) fn report_role_changed(&self) {
        self.report(&self.role_changed);
    }

    /// A connection led to another server than the one that was meant.
    pub(crate) fn report_wrong_node(&self) {
        self.report(&self.wrong_node);
    }

    fn report(&self, flag: &AtomicBool) {
        // While it is set, everyone who listens was woken for it or will look first: a thousand
        // connections that are lost at once wake each of them once.
        if !flag.swap(true, Ordering::AcqRel) {
            self.event.notify(usize::MAX);
        }
    }

    /// Wakes the listeners without a flag: they have another reason to look.
    pub(crate) fn wake_listeners(&self) {
        self.event.notify(usize::MAX);
    }

    /// Whether a connection was lost since the last call.
    pub(crate) fn take_connection_lost(&self) -> bool {
        self.connection_lost.swap(false, Ordering::AcqRel)
    }

    /// Whether a server was reported as silent since the last call.
    pub(crate) fn take_server_silent(&self) -> bool {
        self.server_silent.swap(false, Ordering::AcqRel)
    }

    /// Whether a sentinel sent a message since the last call.
    pub(crate) fn take_sentinel_message(&self) -> bool {
        self.sentinel_message.swap(false, Ordering::AcqRel)
    }

    /// Whether a node reported another role since the last call.
    pub(crate) fn take_role_changed(&self) -> bool {
        self.role_changed.swap(false, Ordering::AcqRel)
    }

    /// Whether a connection led to another server since the last call.
    pub(crate) fn take_wrong_node(&self) -> bool {
        self.wrong_node.swap(false, Ordering::AcqRel)
    }

    /// A future that ends with the first report or `wake_listeners` after this call.
    pub(crate) fn listen(&self) -> EventListener {
        self.event.listen()
    }
}

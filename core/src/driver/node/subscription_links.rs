//! The connections of one server that carry subscriptions and no commands. Each belongs to a
//! subscriber, which dials it when a channel needs it.
//!
//! The node refers to them weakly, and only to end them: when the client is closed, and when
//! another server listens at the address. Invariant: none is dialled after `close`.

use crate::driver::environment::weak_list::WeakList;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::lock::lock;
use std::sync::{Arc, Mutex};

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct SubscriptionLinks {
    /// Everything that changes.
    state: Mutex<State>,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct State {
    /// The connections; gone with their subscribers.
    links: WeakList<ReconnectingLink>,
    /// The client is closed.
    closed: bool,
}

impl SubscriptionLinks {
    /// Adds a connection.
    pub(super) fn add(&self, link: &Arc<ReconnectingLink>) {
        let closed = {
            let mut state = lock(&self.state);
            state.links.push(Arc::downgrade(link));
            state.closed
        };
        if closed {
            link.close();
        }
    }

    /// All connections of subscribers that exist.
    pub(super) fn all(&self) -> Vec<Arc<ReconnectingLink>> {
        lock(&self.state).links.all()
    }

    /// Closes all connections, and each that is added later.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.all().iter().for_each(|link| link.close());
    }
}

//! The client's handle, what its clones share, and its views.
//!
//! A `Client` is an `Arc` and a few words of its own, so that a view with another timeout costs a
//! clone. Methods that send commands stand beside the types that they return: `send` in `call.rs`,
//! `pipeline` in `pipeline.rs`, and so on.
//!
//! Invariant: when the last clone is dropped, all connections close and all background tasks end.

use crate::command::Command;
use crate::connection::queue::Deadline;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::events::Events;
use crate::driver::environment::metrics::Metrics;
use crate::driver::node::node::Node;
use crate::driver::pubsub::subscriber::{AnySubscriber, Subscriber};
use crate::driver::replica::policy::{ReadSettings, SharedReadSettings};
use crate::error::Error;
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::snapshot::Topology;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

/// A connection to a deployment: one server, a cluster, or a service behind sentinels.
///
/// Clones share everything. All methods may be called from any task, thread or executor; no
/// background task is needed for any of them.
#[derive(Clone)]
pub struct Client {
    /// What all clones share.
    pub(super) shared: Arc<Shared>,
    /// The timeout of this view's commands; `None` for the one of the configuration.
    pub(super) timeout: Option<Duration>,
    /// The read settings of this view; `None` for those that all clones share.
    pub(super) read_settings: Option<Arc<ReadSettings>>,
}

/// What all clones of a client share.
pub(super) struct Shared {
    /// Transport, configuration, clock, random numbers.
    pub(super) env: Arc<Environment>,
    /// The current topology: which node each command goes to.
    pub(super) topology: Arc<LiveTopology>,
    /// The read settings of all views that have none of their own.
    pub(super) reads: SharedReadSettings,
    /// The subscriber of all subscriptions that share connections; set by the first of them. Behind
    /// a trait, so that a program without subscriptions does not link the subscriber's code.
    pub(super) subscriber: OnceLock<Arc<dyn AnySubscriber>>,
    /// The subscribers that may use replicas, one for each read policy in use.
    pub(super) replica_subscribers: Mutex<Vec<Weak<Subscriber>>>,
    /// How many subscriptions have connections of their own.
    pub(super) own_connection_subscriptions: Arc<AtomicUsize>,
    /// The only node of a deployment whose topology is never refreshed: commands need not look it
    /// up in the routes.
    pub(super) sole_node: Option<Arc<Node>>,
    /// Set when that node redirected a command: from then on the routes decide.
    pub(super) was_redirected: AtomicBool,
}

impl Shared {
    /// The node that every command goes to, where there is but one.
    #[inline]
    pub(super) fn sole_node(&self) -> Option<&Arc<Node>> {
        self.sole_node.as_ref().filter(|_| !self.was_redirected.load(Ordering::Relaxed))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.topology.close();
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Client {
    /// A view of this client whose commands have this long, over queueing, connecting and all
    /// attempts.
    ///
    /// Blocking commands, which otherwise wait as long as their own argument says, end after this
    /// time too.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self.clone() }
    }

    /// Closes all connections of this client and its clones. Commands in flight and later ones fail
    /// with `Closed`.
    pub fn close(&self) {
        self.shared.topology.close();
    }

    /// Looks at the topology now and returns when the look has ended, or after the client's
    /// deadline. Does nothing where there is only one server.
    ///
    /// Commands go on meanwhile. Dropping the future cancels the wait; the look goes on for others
    /// who wait.
    ///
    /// # Errors
    /// What the look failed with.
    pub async fn refresh(&self) -> Result<(), Error> {
        let Shared { env, topology, .. } = &*self.shared;
        topology.request_refresh(RefreshReason::Requested);
        topology.wait_for_refresh(env.now().after(self.command_timeout())).await;
        topology.refresh_failure().map_or(Ok(()), Err)
    }

    /// What this client did by itself (retries, redirects, dials, looks at the topology), and how
    /// its nodes do.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let nodes = self.shared.topology.routes().metrics();
        Metrics { nodes, ..self.shared.env.telemetry().metrics() }
    }

    /// Everything that the client notices or does by itself from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.env.telemetry().listen()
    }

    /// What the client knows of the deployment: shards, nodes, epochs and how old that knowledge
    /// is. Serialisable.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.shared.topology.snapshot()
    }

    #[inline]
    pub(super) fn due_for(&self, command: &Command) -> Deadline {
        match self.timeout {
            None if command.is_blocking() => Deadline::At(Timestamp::FAR_FUTURE),
            _ => Deadline::After(self.command_timeout()),
        }
    }

    pub(super) fn deadline_for(&self, command: &Command) -> Timestamp {
        self.due_for(command).from(self.shared.env.now())
    }

    pub(super) fn command_timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.shared.env.config().command_timeout)
    }

    /// The options of a call that begins now.
    pub(super) fn call_options_from_now(&self) -> CallOptions {
        self.call_options(self.shared.env.now().after(self.command_timeout()))
    }

    /// The options of a call that ends at `deadline`.
    pub(super) fn call_options(&self, deadline: Timestamp) -> CallOptions {
        CallOptions {
            deadline,
            timeout: self.command_timeout(),
            retry_unknown: self.shared.env.config().retry_unknown,
        }
    }
}

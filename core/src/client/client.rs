//! The client's handle, what its clones share, and its views.
//!
//! A `Client` is an `Arc` and a few words of its own, so that a view with another timeout costs a
//! clone. Methods that send commands stand beside the types that they return: `send` in `call.rs`,
//! `pipeline` in `pipeline.rs`, and so on.
//!
//! Invariant: when the last clone is dropped, all connections close and all background tasks end.

use crate::command::{Command, ServerWait};
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
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

/// A client of a deployment: one server, a cluster, or a service behind sentinels.
///
/// Clones share connections, topology and limits. All methods may be called from any task, thread
/// and executor; none of them needs a background task. When the last clone is dropped, together
/// with its views, subscriptions, scans and consumers, all connections close.
///
/// # Commands
///
/// Each method with a command's name sends that command. These methods are those of the traits in
/// [`commands`](crate::commands), one for each group: `use slotcar::prelude::*` brings them into
/// scope. Pipelines and transactions have the same. The documentation of a method shows the
/// command's syntax and, after the colon, the reply. Where the reply has more than one sensible
/// type, the caller names it: any type that implements serde's `Deserialize`. Whether it fits
/// depends on the type and on the shape of the reply, never on the number of elements or the
/// protocol: `docs/decoding.md` of the repository has the rules and a table. All of them, and
/// [`Client::send`] for any other command, return a [`Call`](crate::Call):
///
/// - nothing is sent before the call is awaited;
/// - its errors are those of [`Client::send`];
/// - dropped before its reply came, the command may or may not have run.
///
/// # Views
///
/// A view is a client with another timeout or another read policy. It shares everything else, and
/// costs as much as a clone.
///
/// ```no_run
/// # extern crate slotcar_core as slotcar;
/// # async fn example(client: &slotcar::Client) -> Result<(), slotcar::Error> {
/// use slotcar::prelude::*;
/// use slotcar::ReadFrom;
/// use std::time::Duration;
///
/// let reports = client
///     .with_timeout(Duration::from_secs(30))
///     .with_read_from(ReadFrom::PreferReplica)
///     .with_max_staleness(Duration::from_secs(1));
/// let totals: Vec<u64> = reports.lrange("totals", 0, -1).await?;
/// # Ok(()) }
/// ```
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
}

impl Shared {
    /// The node that every command goes to, where there is but one.
    #[inline]
    pub(super) fn sole_node(&self) -> Option<&Arc<Node>> {
        self.sole_node.as_ref()
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
    /// A view of this client with another timeout: the longest time that a command may take, from
    /// its first poll to its reply, with connecting and all attempts. Default: `command_timeout` of
    /// the configuration.
    ///
    /// Without this, a blocking command (BLPOP, XREAD BLOCK, WAIT) may take as long as its own
    /// argument says and `command_timeout` on top. One that waits without an end (`BLPOP key 0`)
    /// ends with an error when its server has answered nothing for `progress_timeout` and
    /// `command_timeout` together, not even a PING on another connection, or was replaced.
    /// In the view it ends after `timeout` at the latest.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self.clone() }
    }

    /// Closes this client, its clones and its views: all connections close; refreshes, background
    /// tasks and their timers end.
    ///
    /// Commands in flight and all later commands fail with [`ErrorKind::Closed`]; a command in
    /// flight may have run. Subscriptions and [`Client::events`] end after what is queued. Returns
    /// at once; a second call does nothing. A call that waits for its deadline lets go of its timer
    /// when it is polled next, for which it is woken, or dropped.
    ///
    /// [`ErrorKind::Closed`]: crate::ErrorKind::Closed
    pub fn close(&self) {
        self.shared.topology.close();
    }

    /// Refreshes the topology, and waits until the refresh has ended, at most for this client's
    /// timeout. Does nothing where there is one server without a cluster and without sentinels.
    ///
    /// Programs need not call this: the client refreshes on redirects, on lost nodes, and from time
    /// to time. Commands go on during a refresh.
    ///
    /// # Errors
    /// The error of the last refresh, if it got no usable answer from any node. A refresh that is
    /// still running after the timeout is no error. `Closed` after [`Client::close`].
    ///
    /// Dropping the future ends the wait; the refresh goes on if other tasks wait for it.
    pub async fn refresh(&self) -> Result<(), Error> {
        let Shared { env, topology, .. } = &*self.shared;
        topology.request_refresh(RefreshReason::Requested);
        topology.wait_for_refresh(env.now().after(self.command_timeout())).await;
        if env.is_closed() {
            return Err(topology.no_node_error());
        }
        topology.refresh_failure().map_or(Ok(()), Err)
    }

    /// What this client did on its own since it was made: connection attempts, retries, redirects
    /// and refreshes, and the state of each node. Clones and views share the counts.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let nodes = self.shared.topology.routes().metrics();
        Metrics { nodes, ..self.shared.env.telemetry().metrics() }
    }

    /// What the client notices or does on its own from now on, as a stream of
    /// [`Event`](crate::Event)s: lost nodes, moved slots, refreshes.
    ///
    /// At most 1024 events wait for a slow listener; further ones are dropped and counted
    /// ([`Event::Lagged`](crate::Event::Lagged)). The stream ends (`None`) after [`Client::close`].
    ///
    /// ```no_run
    /// # extern crate slotcar_core as slotcar;
    /// # async fn example(client: &slotcar::Client) {
    /// use slotcar::Event;
    /// let mut events = client.events();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         Event::NodeLost { endpoint, error } => eprintln!("lost {endpoint}: {error}"),
    ///         Event::NodeBack { endpoint } => eprintln!("{endpoint} is back"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        let env = &self.shared.env;
        let events = env.telemetry().listen();
        if env.is_closed() {
            env.telemetry().close();
        }
        events
    }

    /// What the client knows of the deployment now: shards, nodes, epochs, and how old that
    /// knowledge is. It implements serde's `Serialize` and `Deserialize`:
    /// [`Client::with_topology`] starts another client with it.
    #[must_use]
    pub fn topology(&self) -> Topology {
        self.shared.topology.snapshot()
    }

    /// When a command ends that begins now. What it waits at the server by its own argument comes
    /// on top, unless this view has a timeout of its own.
    pub(super) fn due_for(&self, command: &Command) -> Deadline {
        match self.own_wait(command) {
            ServerWait::None => Deadline::After(self.command_timeout()),
            ServerWait::UpTo(wait) => Deadline::After(self.command_timeout().saturating_add(wait)),
            ServerWait::Endless => Deadline::At(Timestamp::FAR_FUTURE),
        }
    }

    /// How long a command waits at the server beyond this view's timeout.
    fn own_wait(&self, command: &Command) -> ServerWait {
        if self.timeout.is_some() { ServerWait::None } else { command.server_wait() }
    }

    /// The same as a moment.
    pub(super) fn deadline_for(&self, command: &Command) -> Timestamp {
        self.due_for(command).from(self.shared.env.now())
    }

    /// The timeout of this view's commands.
    pub(super) fn command_timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.shared.env.config().command_timeout)
    }

    /// The options of a call that begins now.
    pub(super) fn call_options_from_now(&self) -> CallOptions {
        self.call_options(self.shared.env.now().after(self.command_timeout()))
    }

    /// The options of a call of this command that ends at `deadline`.
    pub(super) fn call_options_for(&self, command: &Command, deadline: Timestamp) -> CallOptions {
        let own_wait = match self.own_wait(command) {
            ServerWait::UpTo(wait) => wait,
            ServerWait::None | ServerWait::Endless => Duration::ZERO,
        };
        CallOptions { own_wait, ..self.call_options(deadline) }
    }

    /// The options of a call that ends at `deadline`.
    pub(super) fn call_options(&self, deadline: Timestamp) -> CallOptions {
        CallOptions {
            deadline,
            timeout: self.command_timeout(),
            own_wait: Duration::ZERO,
            retry_unknown: self.shared.env.config().retry_unknown,
        }
    }
}

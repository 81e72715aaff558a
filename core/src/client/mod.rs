//! The client: a cheap handle that everything starts from.
//!
//! A `Client` is an `Arc` and a few words of its own, so that a view with another deadline costs a
//! clone. Dropping the last one closes all connections and ends all background tasks.

mod call;
mod commands;
mod consumer;
mod pipeline;
mod reads;
mod scan;
mod script;
mod subscription;
mod targets;
mod transaction;

pub use call::Call;
pub use consumer::{StreamConsumer, StreamEntry};
pub use pipeline::{Pipeline, Reply};
pub use reads::{Explanation, NodeExplanation};
pub use scan::{KeyScan, Scan};
pub use script::Script;
pub use subscription::{Subscribe, Subscription};
pub use targets::{NodeReply, Target};
pub use transaction::{Transaction, Watch};

use crate::command::Command;
use crate::config::{Config, ConfigError, Deployment, ReadFrom};
use crate::connection::queue::Due;
use crate::driver::attempt::next_step::CallOptions;
use crate::driver::discovery::background_refresh;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::environment::Environment;
use crate::driver::environment::telemetry::{Events, Metrics};
use crate::driver::link::dial::WANTS_TLS;
use crate::driver::node::node::Node;
use crate::driver::pubsub::subscriber::{AnySubscriber, Subscriber};
use crate::driver::replica::policy::{ReadSettings, Reads};
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::features::{READ_POLICIES, SENTINEL, left_out};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::snapshot::Topology;
use crate::transport::Transport;
use serde::de::DeserializeOwned;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

/// A connection to a deployment: one server, or a cluster.
///
/// Clones share everything. All methods may be called from any task, thread or executor; no
/// background task is needed for any of them.
#[derive(Clone)]
pub struct Client {
    /// What all clones share.
    shared: Arc<Shared>,
    /// A deadline of this view's own.
    timeout: Option<Duration>,
    /// Where this view reads from, if that is its own.
    rule: Option<Arc<ReadSettings>>,
}

/// What all clones of a client share.
struct Shared {
    /// Transport, configuration, chance.
    env: Arc<Environment>,
    /// Knows where commands go.
    topology: Arc<LiveTopology>,
    /// Where views without a rule of their own read from.
    reads: Reads,
    /// Subscriptions that share connections, once there is one. By a trait, so that a program
    /// without subscriptions does not carry what ends them.
    hub: OnceLock<Arc<dyn AnySubscriber>>,
    /// Those that read from replicas, by their policies.
    replica_hubs: Mutex<Vec<Weak<Subscriber>>>,
    /// How many subscriptions have connections of their own.
    own_hubs: Arc<AtomicUsize>,
    /// The only node that there is, of a deployment that nobody looks at: the routes need not be
    /// asked.
    only: Option<Arc<Node>>,
    /// It has sent a command elsewhere, though: the routes know better from then on.
    redirects: AtomicBool,
}

impl Shared {
    /// The node that every command goes to, where there is but one.
    #[inline]
    fn only_node(&self) -> Option<&Arc<Node>> {
        self.only.as_ref().filter(|_| !self.redirects.load(Ordering::Relaxed))
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
    /// Connects over `transport` and returns once the server has accepted the handshake.
    ///
    /// Dials once; an application that wants to start before its server does can use
    /// [`Client::connect_lazy`].
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself; `Connect`, `Handshake`, `Protocol` or
    /// `Timeout` for a server that cannot be reached or refuses.
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(transport: impl Transport, config: Config) -> Result<Self, Error> {
        let client = Self::connect_lazy(transport, config)?;
        let Shared { env, topology, .. } = &*client.shared;
        let timeout = env.config().connect_timeout;
        let deadline = env.now().after(timeout);
        if topology.is_dynamic() {
            topology.wait_for_refresh(deadline).await;
            return if topology.routes().nodes.is_empty() {
                Err(topology.no_node_error())
            } else {
                Ok(client)
            };
        }
        let node = topology.routes().dialable().next().cloned();
        if let Some(node) = node {
            // The dial has the same time-out, and tells more when it ends by that.
            node.connect(env, deadline.after(timeout)).await?;
        }
        // In one write with the handshake, where that has not been sent yet.
        let pinged = client.with_timeout(timeout).send::<()>(crate::command::cmd("PING")).await;
        match pinged {
            Ok(()) => Ok(client),
            Err(lost) if lost.kind() == ErrorKind::Connect && !env.config().tls => {
                Err(lost.with_hint(WANTS_TLS))
            }
            Err(error) => Err(error),
        }
    }

    /// A client that dials when its first command needs it.
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself.
    pub fn connect_lazy(transport: impl Transport, config: Config) -> Result<Self, Error> {
        Self::start(transport, config, None)
    }

    /// A client of a cluster that an earlier client knew ([`Client::topology`]): its first command
    /// goes straight to the owner of its slot, without a look at the topology before.
    ///
    /// What has changed since is learned from redirects, from nodes that cannot be reached, and by
    /// the periodic look; the configured endpoints stay seeds. Where there is no cluster, there is
    /// nothing to know, and this is [`Client::connect_lazy`].
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself, and for a topology that does, or that
    /// another version wrote.
    pub fn with_topology(
        transport: impl Transport,
        config: Config,
        topology: &Topology,
    ) -> Result<Self, Error> {
        Self::start(transport, config, Some(topology))
    }

    fn start(
        transport: impl Transport,
        config: Config,
        topology: Option<&Topology>,
    ) -> Result<Self, Error> {
        config.validate()?;
        if config.needs_tls() && transport.tls().is_none() {
            return Err(ConfigError::no_tls().into());
        }
        if !SENTINEL && matches!(config.deployment, Deployment::Sentinel { .. }) {
            return Err(left_out("sentinels", "sentinel"));
        }
        if !READ_POLICIES && config.read_from != ReadFrom::Primary {
            return Err(left_out("a read policy", "read-policies"));
        }
        let env = Arc::new(Environment::new(Arc::new(transport), config));
        let unusable = |error| {
            let message = format!("a topology that cannot be used: {error}");
            Error::new(ErrorKind::Config, Delivery::NotSent, message)
        };
        let known = topology.map(|known| known.to_map(env.now())).transpose().map_err(unusable)?;
        let topology = LiveTopology::start(Arc::clone(&env), known);
        background_refresh::start(&topology);
        let only = match topology.routes().nodes.as_slice() {
            [node] if !topology.is_dynamic() => node.clone(),
            _ => None,
        };
        let (hub, own_hubs) = (OnceLock::new(), Arc::default());
        let reads = Reads::new(env.config());
        let (replica_hubs, redirects) = (Mutex::default(), AtomicBool::new(false));
        let shared = Shared { env, topology, reads, hub, replica_hubs, own_hubs, only, redirects };
        Ok(Self { shared: Arc::new(shared), timeout: None, rule: None })
    }

    /// Runs any command and decodes its reply into `T`.
    ///
    /// # Errors
    /// Every kind; see [`Error`]. A command that cannot have run is tried again until the deadline.
    /// `Config` for one that would change the connection, which callers share (SELECT, AUTH, MULTI,
    /// WATCH, SUBSCRIBE, CLIENT REPLY, RESET and their kin); the error names what to use instead.
    pub fn send<T: DeserializeOwned>(&self, command: Command) -> Call<'_, T> {
        Call::new(self, command)
    }

    /// Commands to be sent together, in one write.
    pub fn pipeline(&self) -> Pipeline<'_> {
        Pipeline::new(self)
    }

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
    fn due_for(&self, command: &Command) -> Due {
        match self.timeout {
            None if command.is_blocking() => Due::At(Timestamp::FAR_FUTURE),
            _ => Due::After(self.command_timeout()),
        }
    }

    fn deadline_for(&self, command: &Command) -> Timestamp {
        self.due_for(command).from(self.shared.env.now())
    }

    fn command_timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.shared.env.config().command_timeout)
    }

    /// For work that begins now.
    fn fresh_terms(&self) -> CallOptions {
        self.terms(self.shared.env.now().after(self.command_timeout()))
    }

    fn terms(&self, deadline: Timestamp) -> CallOptions {
        CallOptions {
            deadline,
            timeout: self.command_timeout(),
            retry_unknown: self.shared.env.config().retry_unknown,
        }
    }
}

/// What a pipeline or a transaction of so many commands fails with, if it is too long.
fn too_many(what: &str, commands: usize, config: &Config) -> Option<Error> {
    let max = config.pipeline_commands_max as usize;
    let message = format!("a {what} of {commands} commands; {max} are allowed");
    let limit = ErrorDetail::Limit { name: "pipeline_commands_max", max: max as u64 };
    let error = || Error::new(ErrorKind::Limit, Delivery::NotSent, message).with_detail(limit);
    (commands > max).then(error)
}

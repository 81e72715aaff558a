//! How a client begins: connected, at its first command, or with a topology known from before.
//!
//! Invariant: a configuration that contradicts itself fails here, before anything is sent. Limit:
//! `connect_timeout`, as [`Client::connect`] says.

use super::client::{Client, Shared};
use crate::command::cmd;
use crate::config::{Config, ConfigError, Deployment, ReadFrom};
use crate::connection::courtesy::Withheld;
use crate::connection::handshake::is_unready;
use crate::driver::discovery::background_refresh;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::node::node::Node;
use crate::driver::replica::policy::SharedReadSettings;
use crate::error::{Delivery, Error, ErrorDetail, ErrorKind};
use crate::features::{CLUSTER, READ_POLICIES, SENTINEL, left_out};
use crate::resp::{ErrorClass, ServerError};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::snapshot::Topology;
use crate::transport::Transport;
use std::sync::{Arc, Mutex, OnceLock};

#[cfg(test)]
mod tests;

impl Client {
    /// Connects over `transport`. Returns when a server has accepted the handshake:
    ///
    /// - without a cluster or sentinels, when the server has also answered PING, in any words but
    ///   those about credentials. With `courtesies` off, there is no PING: a server that wants no
    ///   credentials is only known to accept connections;
    /// - in a cluster, when one node has told the topology. Others may not be there;
    /// - behind sentinels, when the server that they name the primary has taken the credentials and
    ///   answers. If it says that it is no primary, commands wait for the next one that is named.
    ///   Replicas may not be there.
    ///
    /// A server that is there and takes no commands for now, because it loads its data or runs a
    /// long script, is waited for, within `connect_timeout`. Other failures are final. A program
    /// that may start before its servers uses [`Client::connect_lazy`], whose commands wait for a
    /// server that is not there.
    ///
    /// Takes at most `connect_timeout`, or twice that where a server accepts a connection and then
    /// does not answer. Behind sentinels, the primary has as long again.
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself or needs what `transport` does not
    /// have; `Connect`, `Handshake`, `Protocol`, `Timeout` or `Topology` when no server can be
    /// reached, or one refuses.
    ///
    /// Dropping the future closes the connections that were opened.
    pub async fn connect(transport: impl Transport, config: Config) -> Result<Self, Error> {
        let client = Self::connect_lazy(transport, config)?;
        let Shared { env, topology, .. } = &*client.shared;
        let timeout = env.config().connect_timeout;
        let deadline = env.now().after(timeout);
        if topology.is_dynamic() {
            topology.wait_for_refresh(deadline).await;
            // A server that did not answer a courtesy is asked without. The first refresh may still
            // be ending.
            for _ in 0..2 {
                if topology.routes().nodes.is_empty() && topology.suspects_courtesies() {
                    topology.request_refresh(RefreshReason::Start);
                    topology.wait_for_refresh(deadline.after(timeout)).await;
                }
            }
            if topology.routes().nodes.is_empty() {
                return Err(topology.no_node_error());
            }
            // What answered in a cluster is one of its nodes. Here it was a sentinel.
            let has_sentinels = matches!(env.config().deployment, Deployment::Sentinel { .. });
            let primary = topology.routes().primaries().next().cloned();
            let Some(primary) = primary.filter(|_| has_sentinels) else { return Ok(client) };
            let deadline = env.now().after(timeout);
            return match reach(&primary, env, deadline, deadline.after(timeout)).await {
                // The sentinels are about to name another one.
                Err(error) if !matches!(error.details(), Some(ErrorDetail::NotPrimary)) => {
                    Err(error)
                }
                _ => Ok(client),
            };
        }
        let Some(node) = topology.routes().dialable().next().cloned() else { return Ok(client) };
        let late = deadline.after(timeout);
        // The attempt itself ends after `connect_timeout`, with a better error than this one's.
        let link = reach(&node, env, deadline, late).await?;
        if !env.config().courtesies {
            return Ok(client);
        }
        // Sent in one write with the handshake, if that is still to be sent.
        let pinged = client.with_timeout(timeout).send::<()>(cmd("PING")).await;
        let Err(error) = pinged else { return Ok(client) };
        match error.kind() {
            _ if error.server_error().is_some_and(is_any_answer) => Ok(client),
            _ if error.server_error().is_some() => Err(error),
            // It hung up: on the handshake, or on PING. The handshake alone tells which, and why.
            ErrorKind::Connect => {
                node.target().doubt();
                node.connect(env, late).await.map(|_| client)
            }
            // It does not answer PING, but has answered the handshake.
            ErrorKind::Timeout if link.has_answered_handshake() => Ok(client),
            ErrorKind::Timeout => {
                node.target().suspect(Withheld::INTRODUCTION);
                node.redial();
                node.connect(env, late).await.map(|_| client).map_err(|_| error)
            }
            _ => Err(error),
        }
    }

    /// A client that connects when its first command needs it.
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself or needs what `transport` does not
    /// have.
    pub fn connect_lazy(transport: impl Transport, config: Config) -> Result<Self, Error> {
        Self::start(transport, config, None)
    }

    /// A client that starts with the topology of an earlier client ([`Client::topology`]): its
    /// first command goes straight to the owner of its slot, without a refresh before. It connects
    /// when that command needs it.
    ///
    /// The client learns what has changed since from redirects, from nodes that cannot be reached,
    /// and by periodic refreshes; the configured endpoints stay the seeds. Without a cluster this
    /// is [`Client::connect_lazy`].
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself or needs what `transport` does not
    /// have; `Config` for a topology that contradicts itself, or that another version wrote.
    pub fn with_topology(
        transport: impl Transport,
        config: Config,
        topology: &Topology,
    ) -> Result<Self, Error> {
        Self::start(transport, config, Some(topology))
    }

    /// Checks the configuration and makes the client; no I/O.
    fn start(
        transport: impl Transport,
        config: Config,
        topology: Option<&Topology>,
    ) -> Result<Self, Error> {
        config.validate()?;
        if config.needs_tls() && transport.tls().is_none() {
            return Err(ConfigError::no_tls().into());
        }
        if !CLUSTER && config.deployment == Deployment::Cluster {
            return Err(left_out("a cluster", "cluster"));
        }
        if !SENTINEL && matches!(config.deployment, Deployment::Sentinel { .. }) {
            return Err(left_out("sentinels", "sentinel"));
        }
        if !READ_POLICIES && config.read_from != ReadFrom::Primary {
            return Err(left_out("a read policy", "read-policies"));
        }
        let env = Arc::new(Environment::new(Arc::new(transport), config));
        let unusable = |error| {
            let message = format!("the given topology cannot be used: {error}");
            Error::new(ErrorKind::Config, Delivery::NotSent, message)
        };
        let known = topology
            .filter(|_| CLUSTER)
            .map(|known| known.to_map(env.now()))
            .transpose()
            .map_err(unusable)?;
        let topology = LiveTopology::start(Arc::clone(&env), known);
        background_refresh::start(&topology);
        let sole_node = match &*topology.routes().nodes {
            [node] if !topology.is_dynamic() => node.clone(),
            _ => None,
        };
        let shared = Shared {
            reads: SharedReadSettings::new(env.config()),
            env,
            topology,
            subscriber: OnceLock::new(),
            replica_subscribers: Mutex::default(),
            own_connection_subscriptions: Arc::default(),
            sole_node,
        };
        Ok(Self { shared: Arc::new(shared), timeout: None, read_settings: None })
    }
}

/// A connection to a node. A server that says that it takes no commands for now is waited for until
/// `deadline`, with the pauses of dials; other failures end it.
async fn reach(
    node: &Node,
    env: &Arc<Environment>,
    deadline: Timestamp,
    late: Timestamp,
) -> Result<Arc<Link>, Error> {
    loop {
        match node.connect(env, late).await {
            Err(error) if env.now() < deadline && is_soon_ready(&error) => {}
            // It did not answer a courtesy: it is dialled without. What it says then counts.
            Err(first) if node.target().suspects_any(Withheld::OF_HANDSHAKE) => {
                let again = node.connect(env, late).await;
                return again
                    .map_err(|again| again.server_error().map_or(first, |_| again.clone()));
            }
            result => return result,
        }
    }
}

/// Whether a server has said that it will take commands later.
fn is_soon_ready(error: &Error) -> bool {
    error.kind() == ErrorKind::Connect
        && error
            .server_error()
            .is_some_and(|said| matches!(said.class(), ErrorClass::Busy | ErrorClass::Loading))
}

/// Whether a server that answers PING so will take commands of this client.
fn is_any_answer(error: &ServerError) -> bool {
    let is_closed_to_us =
        matches!(error.class(), ErrorClass::WrongCredentials | ErrorClass::ProtectedMode);
    !is_unready(error) && !is_closed_to_us
}

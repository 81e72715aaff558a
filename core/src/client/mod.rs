//! The client: a cheap handle that everything starts from.
//!
//! A `Client` is an `Arc` and a few words of its own, so that a view with another deadline costs a
//! clone. Dropping the last one closes all connections and ends all background tasks.

mod call;
mod counters;
mod expiry;
mod hashes;
mod keys;
mod lists;
mod pipeline;
mod scripts;
mod server;
mod sets;
mod sorted_sets;
mod strings;

pub use call::Call;
pub use pipeline::{Pipeline, Reply};

use crate::command::Command;
use crate::config::Config;
use crate::driver::dispatch::{Routes, Terms};
use crate::driver::host::Host;
use crate::driver::node::Node;
use crate::error::Error;
use crate::time::Timestamp;
use crate::topology::slot_map::{Shard, SlotMap};
use crate::transport::Transport;
use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;

/// A connection to a deployment: one server, for now.
///
/// Clones share everything. All methods may be called from any task, thread or executor; no
/// background task is needed for any of them.
#[derive(Clone)]
pub struct Client {
    /// What all clones share.
    shared: Arc<Shared>,
    /// A deadline of this view's own.
    timeout: Option<Duration>,
}

/// What all clones of a client share.
struct Shared {
    /// Transport, configuration, chance.
    host: Arc<Host>,
    /// The current map and nodes.
    routes: Arc<ArcSwap<Routes>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn close(&self) {
        self.routes.load().nodes.iter().for_each(|node| node.close());
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
    /// [`Client::lazy`].
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself; `Connect`, `Handshake`, `Protocol` or
    /// `Timeout` for a server that cannot be reached or refuses.
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(transport: impl Transport, config: Config) -> Result<Self, Error> {
        let client = Self::lazy(transport, config)?;
        let host = &client.shared.host;
        let timeout = host.config().connect_timeout;
        let node = client.shared.routes.load().nodes.first().cloned();
        if let Some(node) = node {
            node.connect(host, host.now().after(timeout)).await?;
        }
        // In one write with the handshake, where that has not been sent yet.
        client.with_deadline(timeout).send::<()>(crate::command::cmd("PING")).await?;
        Ok(client)
    }

    /// A client that dials when its first command needs it.
    ///
    /// # Errors
    /// `Config` for a configuration that contradicts itself.
    pub fn lazy(transport: impl Transport, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let host = Arc::new(Host::new(Arc::new(transport), config));
        let nodes: Vec<_> = host
            .config()
            .endpoints
            .iter()
            .take(1)
            .map(|endpoint| Arc::new(Node::new(endpoint.clone(), &host)))
            .collect();
        let map = SlotMap::single(Shard { primary: 0, replicas: Vec::new() });
        let routes = Arc::new(ArcSwap::from_pointee(Routes { map, nodes }));
        Ok(Self { shared: Arc::new(Shared { host, routes }), timeout: None })
    }

    /// Runs any command and decodes its reply into `T`.
    ///
    /// # Errors
    /// Every kind; see [`Error`]. A command that cannot have run is tried again until the deadline.
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
    pub fn with_deadline(&self, timeout: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), timeout: Some(timeout) }
    }

    /// Closes all connections of this client and its clones. Commands in flight and later ones fail
    /// with `Closed`.
    pub fn close(&self) {
        self.shared.close();
    }

    fn deadline_for(&self, command: &Command) -> Timestamp {
        match self.timeout {
            None if command.is_blocking() => Timestamp::FAR_FUTURE,
            _ => self.shared.host.now().after(self.command_timeout()),
        }
    }

    fn command_timeout(&self) -> Duration {
        self.timeout.unwrap_or(self.shared.host.config().command_timeout)
    }

    fn terms(&self, deadline: Timestamp) -> Terms {
        Terms {
            deadline,
            timeout: self.command_timeout(),
            retry_unknown: self.shared.host.config().retry_unknown,
        }
    }
}

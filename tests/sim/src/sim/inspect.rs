//! What a test can see and a client cannot: data on each server, which server ran a command, and
//! the trace.
//!
//! **Invariants**: nothing here takes time or changes anything.

use super::Sim;
use crate::server::value::Value;
use bytes::Bytes;
use slotcar::Timestamp;
use std::collections::BTreeMap;

/// A marked write that a server ran for a client; see [`crate::TOKEN_PREFIX`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Executed {
    /// The mark.
    pub token: Bytes,
    /// The server.
    pub server: String,
    /// When it ran.
    pub at: Timestamp,
}

impl Sim {
    /// A string as it is stored on this server, in its first database, expired or not.
    #[must_use]
    pub fn peek(&self, server: &str, key: &str) -> Option<Bytes> {
        self.with_server(server, |server| {
            match &server.keyspace.databases.first()?.entries.get(key.as_bytes())?.value {
                Value::Str(text) => Some(text.clone()),
                _ => None,
            }
        })
    }

    /// How often a server ran a command, in lower case, since its start or the last `CONFIG
    /// RESETSTAT`.
    #[must_use]
    pub fn calls(&self, server: &str, command: &str) -> u64 {
        self.with_server(server, |server| server.stats.calls.get(command).copied().unwrap_or(0))
    }

    /// How many connections a server has open.
    #[must_use]
    pub fn connections(&self, server: &str) -> usize {
        self.with_server(server, |server| server.sessions.len())
    }

    /// How many connections a server has accepted since the start of the run.
    #[must_use]
    pub fn accepted(&self, server: &str) -> u64 {
        self.with_server(server, |server| server.stats.connections)
    }

    /// Whether a server has the role of a primary in its own view.
    #[must_use]
    pub fn is_primary(&self, server: &str) -> bool {
        self.with_server(server, |server| !server.replication.is_replica())
    }

    /// Whether a server's process runs and answers.
    #[must_use]
    pub fn is_up(&self, server: &str) -> bool {
        let host = self.host(server);
        self.shared.with_world(|world| world.network.is_up(host))
    }

    /// The sharded channels with subscribers on a server.
    #[must_use]
    pub fn shard_channels(&self, server: &str) -> Vec<Bytes> {
        self.with_server(server, |server| server.channels.shard.keys().cloned().collect())
    }

    /// Every marked write that a server ran for a client, in order.
    #[must_use]
    pub fn executed(&self) -> Vec<Executed> {
        self.shared.with_world(|world| {
            let entry = |e: &crate::journal::Execution| Executed {
                token: e.token.clone(),
                server: world.network.host(e.host).name.clone(),
                at: e.at,
            };
            world.journal.executions.iter().map(entry).collect()
        })
    }

    /// Every promotion of a server to primary by sentinels, in order: the server, the time, and the
    /// epoch of that failover.
    #[must_use]
    pub fn promotions(&self) -> Vec<(String, Timestamp, u64)> {
        self.shared.with_world(|world| {
            let entry = |p: &crate::journal::Promotion| {
                (world.network.host(p.host).name.clone(), p.at, p.epoch)
            };
            world.journal.promotions.iter().map(entry).collect()
        })
    }

    /// What the sentinels reported as primary, in order: the time since when, the sentinel, the
    /// epoch and the primary.
    pub(crate) fn opinions(&self) -> Vec<(Timestamp, String, u64, String)> {
        self.shared.with_world(|world| {
            let hosts = || world.network.host_ids().map(|id| world.network.host(id));
            let by_address: BTreeMap<_, _> =
                hosts().filter_map(|host| Some((host.address?, host.name.clone()))).collect();
            let entry = |o: &crate::journal::Opinion| {
                let primary = by_address.get(&o.primary).cloned();
                let primary = primary.unwrap_or_else(|| o.primary.to_string());
                (o.at, world.network.host(o.sentinel).name.clone(), o.epoch, primary)
            };
            world.journal.opinions.iter().map(entry).collect()
        })
    }

    /// The names of all servers.
    #[must_use]
    pub fn servers(&self) -> Vec<String> {
        self.shared.with_world(|world| world.fleet.servers().map(|s| s.name.clone()).collect())
    }

    /// The last lines of the trace.
    #[must_use]
    pub fn trace(&self, lines_max: usize) -> String {
        self.shared.with_world(|world| world.trace.tail(lines_max))
    }

    /// A hash of the trace. It is the same for two runs in which the same things happened in the
    /// same order.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.shared.with_world(|world| world.trace.hash())
    }
}

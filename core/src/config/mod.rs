//! Everything that a user can choose, as plain data: where the servers are, and every limit.
//!
//! A [`Config`] comes from setters, from serde or from a URL ([`Config::from_url`]); the three take
//! the same names and the same text forms. Invariants: every limit has a default, and each field's
//! doc says its unit and why it is what it is; a key that is no setting is an error;
//! [`Config::validate`] passes before anything is dialled (`Client` asserts it); no password is in
//! a `Debug` or an error text.
//! Called by callers, and read by every level above.

mod choices;
mod error;
mod keys;
mod policy;
mod secret;
mod setters;
#[cfg(test)]
mod tests;
mod text;
mod url;
mod validate;

pub use choices::{Among, Deployment, Protocol, ReadFrom, WhenFull, WhenLagging};
pub use error::ConfigError;
pub use policy::{Candidate, Custom, ReadPolicy};
pub use secret::Secret;

use crate::endpoint::Endpoint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A client's configuration.
///
/// ```
/// # extern crate slotcar_core as slotcar;
/// use slotcar::Config;
/// use std::time::Duration;
///
/// let config = Config::from_url("redis-cluster://10.0.0.1:7000,10.0.0.2:7000?read_from=replica")?
///     .command_timeout(Duration::from_secs(1));
/// config.validate()?;
/// # Ok::<(), slotcar::config::ConfigError>(())
/// ```
///
/// As text (URL query, serde), durations are written `500ms`, `2s`, `1m`; sizes `64KiB`, `1MiB`;
/// endpoints `host:port`.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to look first: the server, the cluster's seeds, or the sentinels. They are kept for
    /// ever as written, and names are resolved again at every dial. Default: none, and one is
    /// needed: a client that quietly fell back to localhost would be found out in production.
    #[serde(with = "text::endpoints")]
    pub endpoints: Vec<Endpoint>,
    /// How nodes are found. Default: standalone.
    pub deployment: Deployment,
    /// Replicas of a standalone server, which nobody tells us about. Default: none.
    #[serde(with = "text::endpoints")]
    pub replicas: Vec<Endpoint>,
    /// Where to dial instead of an address that servers announce: network address translation,
    /// tunnels. Default: empty, addresses are dialled as announced.
    #[serde(with = "text::table")]
    pub address_map: BTreeMap<Endpoint, Endpoint>,
    /// The ACL user; needs a password. Default: none, the server's default user.
    pub username: Option<String>,
    /// The password. Default: none, no `AUTH` is sent.
    pub password: Option<Secret>,
    /// The database to select, from 0. Default: 0, for which no `SELECT` is sent.
    pub database: u32,
    /// The name that connections show in `CLIENT LIST`, printable ASCII without spaces. Default:
    /// none.
    pub client_name: Option<String>,
    /// The protocol. Default: RESP3, for its pushes; RESP2 where the server knows no other.
    pub protocol: Protocol,
    /// Whether to speak TLS to the servers, which needs a transport that can (`slotcar-tls`). Whom
    /// to trust is the transport's business. Default: false, as servers are set up by default.
    pub tls: bool,

    /// Where reads go. Default: the primary, the one choice that never reads old data.
    pub read_from: ReadFrom,
    /// Only replicas that are known to have everything that was written this long ago serve reads;
    /// one of which nothing is known does not. Default: off, any lag.
    ///
    /// A replica has everything that was written before a moment at which the primary stood at some
    /// place of its replication stream, once it stands there itself. Both are asked where they
    /// stand, in the connections that they have, while reads want to know: four times within this
    /// time, but at most once in 25ms. So a bound below 100ms leaves out replicas that keep it, and
    /// while the primary does not answer no replica is known to keep any. Never more than this plus
    /// the read's own way to the server, whatever the servers' clocks say.
    #[serde(with = "text::setting")]
    pub max_staleness: Option<Duration>,
    /// Of a shard's reads, the percentage that `PreferReplica` and `Zone` may send to the primary
    /// when no replica can answer; beyond it they fail with `NoReplica`. Default: 100, since an
    /// answer is worth more than a spared primary; lower it where the primary could not carry the
    /// reads.
    pub primary_fallback_percent_max: u32,
    /// Availability zones of nodes whose servers do not tell theirs, for `ReadFrom::Zone`. Default:
    /// empty, the servers tell.
    #[serde(with = "text::table")]
    pub zones: BTreeMap<Endpoint, String>,

    /// The one deadline of a call: waiting for room, dialling, every attempt and every wait between
    /// them. Default: 5s, long enough for a failover of a well-tuned cluster.
    #[serde(with = "text::setting")]
    pub command_timeout: Duration,
    /// For one dial: name, stream, TLS and the first commands. Default: 2s, so that one dead
    /// address leaves time for another within `command_timeout`.
    #[serde(with = "text::setting")]
    pub connect_timeout: Duration,
    /// A connection that owes replies and brings no byte for this long is dead, whatever TCP says.
    /// Default: 2s: a dead connection and one more dial still fit into `command_timeout`, so reads
    /// survive it. Raise it, and `command_timeout` with it, where single commands or scripts keep
    /// a server busy for longer. Does not count for blocking commands.
    #[serde(with = "text::setting")]
    pub progress_timeout: Duration,
    /// A connection that waits for messages is probed after this much silence, because a lost link
    /// is silent as well. Default: 10s. Off: only TCP notices.
    #[serde(with = "text::setting")]
    pub probe_interval: Option<Duration>,

    /// The wait before the second attempt is a random part of this; it doubles with each attempt.
    /// Default: 20ms, a few round trips inside a region.
    #[serde(with = "text::setting")]
    pub backoff_base: Duration,
    /// The longest wait between attempts. Default: 2s, so that a node that comes back is used again
    /// within about that time.
    #[serde(with = "text::setting")]
    pub backoff_cap: Duration,
    /// Attempts for one command, the first included; redirects do not count. Default: 16: with the
    /// default backoff they last about twice `command_timeout`, so that the deadline decides.
    pub attempts_max: u32,
    /// Redirects for one command. Default: 8; a settled cluster needs one, a slot on the move two.
    pub redirects_max: u32,
    /// Whether to send a command again when its bytes were written and no reply came. Default:
    /// false: only commands that are known to be read-only are. True means that a write may run
    /// twice.
    pub retry_unknown: bool,
    /// Dials for each node in a second, in bursts of at most this many. Default: 20: an outage must
    /// not end in a storm of connections.
    pub dials_per_second: u32,
    /// Looks at the topology in a second, in bursts of at most this many, by the whole client.
    /// Default: 5: fast enough to follow a failover, slow enough for a thousand clients that see
    /// it.
    pub refreshes_per_second: u32,
    /// How often the topology is looked at without cause, give or take a tenth, while the client is
    /// in use. Default: 60s, which finds added replicas. Off: only when a call shows that it
    /// changed.
    #[serde(with = "text::setting")]
    pub refresh_interval: Option<Duration>,
    /// How often sentinels are asked for the primary without cause, while the client is in use, and
    /// never more often. Default: 10s, as often as sentinels themselves ask the servers who they
    /// are.
    ///
    /// Most failovers are noticed without it: by a connection that is lost, hangs, or says
    /// READONLY, and where the host has a background by what two sentinels announce. It is left for
    /// a primary that was replaced and lives on: until sentinels make it a replica, which they do
    /// some 10 to 20 seconds later, it acknowledges writes that will be lost. Hosts without a
    /// background hear no announcement. There the interval is how long that can last, counted in
    /// use: the first command after it, which still goes to the primary that is known, begins the
    /// look and waits for it for up to 100ms, and those that follow go where it says. 1s to 2s suit
    /// such hosts: a look costs a round trip to two or three sentinels, beside the commands.
    #[serde(with = "text::setting")]
    pub sentinel_interval: Duration,

    /// Connections for each node that all callers share. Default: 1, which puts everybody's
    /// commands into the fewest writes; more keep small calls from waiting behind huge replies.
    pub connections_per_node: u32,
    /// Connections for each node that one caller holds alone: blocking commands, watched
    /// transactions, subscriptions with a connection of their own. Default: 64.
    pub exclusive_connections_max: u32,
    /// Bytes of commands for one node, from the moment they are queued to their reply. Default:
    /// 64MiB: bounds what a dead node costs. A single larger command is refused.
    #[serde(with = "text::setting")]
    pub node_bytes_max: usize,
    /// What a call does at that limit. Default: wait.
    pub when_full: WhenFull,
    /// Commands in one pipeline or transaction. Default: 100000: all its replies are held at once.
    pub pipeline_commands_max: u32,
    /// Bytes of one reply. Default: 1GiB, twice the largest string that servers take by default.
    #[serde(with = "text::setting")]
    pub reply_bytes_max: usize,
    /// How deep a reply may nest, up to 128. Default: 128; commands need less than ten, scripts may
    /// build more.
    pub reply_depth_max: u32,
    /// Bytes of messages that wait in one subscription for its reader. Default: 8MiB, where servers
    /// begin to count a slow subscriber out.
    #[serde(with = "text::setting")]
    pub subscription_bytes_max: usize,
    /// Messages that wait in one subscription for its reader. Default: 100000, so that with usual
    /// messages the bytes decide.
    pub subscription_messages_max: u32,
    /// What a subscription does at those limits. Default: drop the oldest and tell how many.
    pub when_lagging: WhenLagging,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            deployment: Deployment::Standalone,
            replicas: Vec::new(),
            address_map: BTreeMap::new(),
            username: None,
            password: None,
            database: 0,
            client_name: None,
            protocol: Protocol::Resp3,
            tls: false,
            read_from: ReadFrom::Primary,
            max_staleness: None,
            primary_fallback_percent_max: 100,
            zones: BTreeMap::new(),
            command_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            progress_timeout: Duration::from_secs(2),
            probe_interval: Some(Duration::from_secs(10)),
            backoff_base: Duration::from_millis(20),
            backoff_cap: Duration::from_secs(2),
            attempts_max: 16,
            redirects_max: 8,
            retry_unknown: false,
            dials_per_second: 20,
            refreshes_per_second: 5,
            refresh_interval: Some(Duration::from_secs(60)),
            sentinel_interval: Duration::from_secs(10),
            connections_per_node: 1,
            exclusive_connections_max: 64,
            node_bytes_max: 64 << 20,
            when_full: WhenFull::Wait,
            pipeline_commands_max: 100_000,
            reply_bytes_max: 1 << 30,
            reply_depth_max: 128,
            subscription_bytes_max: 8 << 20,
            subscription_messages_max: 100_000,
            when_lagging: WhenLagging::DropOldest,
        }
    }
}

impl Config {
    /// Whether any connection is to be encrypted: to the servers, or to the sentinels.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        self.tls || self.sentinels_tls()
    }

    /// Whether connections to sentinels, if there are any, are to be encrypted.
    pub(crate) fn sentinels_tls(&self) -> bool {
        match &self.deployment {
            Deployment::Sentinel { tls, .. } => tls.unwrap_or(self.tls),
            _ => self.tls,
        }
    }
}

//! The configuration of a client, as plain data: where the servers are, and every limit.
//!
//! A [`Config`] comes from setters, from serde or from a URL ([`Config::from_url`]). All three use
//! the same names and the same text forms.
//!
//! Invariants: every limit has a default, and each field's doc says unit, default and reason; an
//! unknown key is an error; [`Config::validate`] passes before the client dials; no `Debug` and no
//! error text shows a password.

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

pub use choices::{
    Among, Deployment, Protocol, ReadFrom, SubscriptionConnection, WhenFull, WhenLagging,
};
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
    /// The server, the seeds of the cluster, or the sentinels. The client keeps them as written and
    /// resolves their names again at every dial. Default: none, and at least one is required: a
    /// client that silently used localhost would be noticed only in production.
    #[serde(with = "text::endpoints")]
    pub endpoints: Vec<Endpoint>,
    /// How the client finds the nodes. Default: standalone.
    pub deployment: Deployment,
    /// The replicas of a standalone server; a cluster and sentinels report theirs. Default: none.
    #[serde(with = "text::endpoints")]
    pub replicas: Vec<Endpoint>,
    /// Maps an address that servers announce to the address to dial instead, for network address
    /// translation and tunnels. Default: empty, addresses are dialled as announced.
    #[serde(with = "text::table")]
    pub address_map: BTreeMap<Endpoint, Endpoint>,
    /// The ACL user; needs a password. Default: none, which is the server's default user.
    pub username: Option<String>,
    /// The password. Default: none, and no `AUTH` is sent; nor for an empty one without a user,
    /// which is a template that was filled with nothing.
    pub password: Option<Secret>,
    /// The database to select, from 0. Default: 0, for which no `SELECT` is sent. A cluster has
    /// more than database 0 since Valkey 9 (`cluster-databases`); others refuse the connection.
    pub database: u32,
    /// The name that connections show in `CLIENT LIST`, printable ASCII without spaces. Default:
    /// none.
    pub client_name: Option<String>,
    /// The protocol. Default: RESP3, because it has push messages; RESP2 with a server that does
    /// not know RESP3.
    pub protocol: Protocol,
    /// Whether the client introduces itself, and asks what it could do without: HELLO, CLIENT
    /// SETINFO, CLIENT SETNAME, CLUSTER MYID, ROLE at a dial, PING when it connects, COMMAND INFO,
    /// SUBSCRIBE at sentinels. `docs/courtesies.md` in the repository lists all, and what is lost.
    /// Default: true. A server that refuses one is used without it, and one that hangs up is
    /// dialled again; false is for proxies that break on them in other ways. Then `protocol` has no
    /// effect, `client_name` is refused, and a command may be sent to a server that was not seen to
    /// answer.
    pub courtesies: bool,
    /// Whether to use TLS to the servers. It needs a transport with TLS (feature `tls`, or
    /// `slotcar-tls`), which decides what certificates to trust. Default: false, as in the servers'
    /// default configuration.
    pub tls: bool,

    /// Which nodes reads go to. Default: the primary, the only choice that never reads old data.
    pub read_from: ReadFrom,
    /// The greatest lag of a replica that serves reads: it must be known to have everything that
    /// was written this long ago. A replica whose lag is not known serves no reads. Default: off,
    /// any lag is accepted.
    ///
    /// How the lag is measured: while reads need it, the client asks the primary and the replica
    /// for their replication offsets, on the connections that it has. Once the replica has reached
    /// an offset that the primary had at some time, the replica has all that was written before
    /// that time. The servers' clocks play no part. The client asks four times within the bound,
    /// but at most once in 25ms. So with a bound below 100ms some replicas that meet it are left
    /// out, and while the primary does not answer, no replica is known to meet any bound. A read is
    /// never older than the bound plus the time that the read takes to reach the server.
    #[serde(with = "text::setting")]
    pub max_staleness: Option<Duration>,
    /// The percentage of a shard's reads that `PreferReplica` and `Zone` may send to the primary
    /// when no replica can answer; the others fail with `NoReplica`. Default: 100, because an
    /// answer is usually worth more than a spared primary. Lower it if the primary cannot carry the
    /// reads.
    pub primary_fallback_percent_max: u32,
    /// Availability zones of nodes that do not report theirs, for `ReadFrom::Zone`. Default: empty,
    /// the servers report them.
    #[serde(with = "text::table")]
    pub zones: BTreeMap<Endpoint, String>,

    /// The longest that a call may take in all: waiting for space, dialling, every attempt and
    /// every wait between them. Default: 5s, enough for a failover of a well-tuned cluster. A
    /// command that waits at the server (BLPOP, XREAD BLOCK, WAIT, MIGRATE) has its own time on
    /// top.
    #[serde(with = "text::setting")]
    pub command_timeout: Duration,
    /// The longest that one dial may take: name lookup, connection, TLS and the first commands.
    /// Default: 2s, so that one dead address leaves time for another within `command_timeout`.
    #[serde(with = "text::setting")]
    pub connect_timeout: Duration,
    /// A connection with commands in flight that receives no byte for this long is suspected to be
    /// dead, even if TCP still considers it alive. Default: 2s: a dead connection and one more dial
    /// fit into `command_timeout`, so reads survive it.
    ///
    /// Silence alone fails no command: a server that runs one long script looks like one that is
    /// suspended. What is in flight waits on, each command until its own timeout; reads that a read
    /// policy may send to another node go there. The client asks the server over a second
    /// connection, which costs one more connection while the silence lasts. If the server answers
    /// there and has nothing to do for the first connection, that one is closed: its reads are sent
    /// again, its writes fail. Until then new commands wait, and are sent to the server as soon as
    /// it answers over either. A node that the topology replaces is left at once.
    ///
    /// While a blocking command waits, its node gets a PING on another connection each time.
    #[serde(with = "text::setting")]
    pub progress_timeout: Duration,
    /// A connection with subscriptions gets a PING after this much silence, because a lost
    /// connection is silent too. Default: 3s: with `progress_timeout`, a connection that has gone
    /// silent is replaced 5s after its last byte. Each connection costs 420 bytes
    /// of payload in a minute of silence. Off: only TCP notices a lost connection.
    #[serde(with = "text::setting")]
    pub probe_interval: Option<Duration>,

    /// The wait before the second attempt is a random duration up to this; the bound doubles with
    /// each attempt. Default: 20ms, a few round trips inside a region.
    #[serde(with = "text::setting")]
    pub backoff_base: Duration,
    /// The longest wait between attempts. Default: 2s, so that a node that is back is used again
    /// within about that time.
    #[serde(with = "text::setting")]
    pub backoff_cap: Duration,
    /// Attempts for one command, the first included; redirects do not count. Default: 16: with the
    /// default back-off they take about twice `command_timeout`, so the timeout ends the call.
    pub attempts_max: u32,
    /// Redirects that one command follows. Default: 8; a stable cluster needs one, a slot that is
    /// being moved two. One to an address that neither this configuration nor the nodes' view of
    /// the cluster names waits for a refresh: a user that may not send CLUSTER lists all nodes as
    /// `endpoints`.
    pub redirects_max: u32,
    /// The longest that one command waits, and is sent again, while servers refuse it: because a
    /// script keeps one busy (BUSY), because it loads its data (LOADING), because a slot has no
    /// owner or is half moved (CLUSTERDOWN, TRYAGAIN), because it is no primary (READONLY) or has
    /// lost its own (MASTERDOWN). Counted from the first refusal; then the call fails with the
    /// refusal. Default: off, as long as `command_timeout` allows, which is enough for a failover.
    /// Callers that want to know early set it below that; 500ms is usual. A failed connection does
    /// not count, nor does a redirect.
    #[serde(with = "text::setting")]
    pub refusal_wait_max: Option<Duration>,
    /// Whether to send a command again if its bytes were written and no reply came. Default: false:
    /// only commands that are known to be read-only are sent again. True: a write may run twice.
    pub retry_unknown: bool,
    /// Dials to each node in a second, in bursts of at most this many. Default: 20, so that an
    /// outage does not end in a storm of connections.
    pub dials_per_second: u32,
    /// Refreshes of the topology in a second, in bursts of at most this many, by the whole client.
    /// Default: 5: often enough to follow a failover, seldom enough for a thousand clients that
    /// notice the same failover.
    pub refreshes_per_second: u32,
    /// The time between periodic refreshes of the topology, give or take a tenth, while the client
    /// is in use. Default: 60s, which finds added replicas. Off: the topology is refreshed only
    /// when a call shows that it has changed.
    #[serde(with = "text::setting")]
    pub refresh_interval: Option<Duration>,
    /// The time between periodic queries of the sentinels for the primary, while the client is in
    /// use; they are never queried more often. Default: 10s, as often as sentinels themselves query
    /// the servers for their roles.
    ///
    /// Most failovers are noticed without it: when a connection is lost or hangs, when a server
    /// replies READONLY, and, where the transport has background tasks, when two sentinels announce
    /// the failover. The interval is for a primary that was replaced and still runs: until the
    /// sentinels make it a replica, some 10 to 20 seconds later, it acknowledges writes that will
    /// be lost. Without background tasks the client receives no announcements. Then the interval is
    /// how long this can last while the client is in use: the first command after it starts a
    /// query, waits for it for up to 100ms and still goes to the primary that was known; the
    /// commands after it go to the primary that the sentinels name. 1s to 2s suit such hosts: a
    /// query costs a round trip to two or three sentinels, beside the commands.
    #[serde(with = "text::setting")]
    pub sentinel_interval: Duration,

    /// Connections to each node that all callers share. Default: 1, which puts the commands of all
    /// callers into the fewest writes. With more, small replies wait less behind huge ones.
    pub connections_per_node: u32,
    /// Connections to each node that a single caller uses: for blocking commands, watched
    /// transactions, writes that wait for replicas, and subscriptions with
    /// [`own_connection`](crate::Subscribe::own_connection). Default: 64. One that nobody used for
    /// a minute is closed.
    pub exclusive_connections_max: u32,
    /// Connections of the whole client: those of commands, those that a single caller uses, those
    /// of subscriptions, to sentinels and for questions about the topology; being opened, in use,
    /// or waiting for their last replies. Default: off. For hosts that allow few, as edge functions
    /// do.
    ///
    /// When another one is needed, the one that was idle for the longest time is closed. If none
    /// is, the dial waits in a queue, and the next of those that callers share takes no new
    /// commands and closes when what is in flight on it has been answered. A call whose timeout
    /// passes meanwhile fails with `Timeout` and names this limit; `when_full` has no effect.
    /// Blocking commands, open transactions, writes that wait for replicas and subscriptions keep
    /// their connections: as many of them as the limit allows leave room for nothing else, not even
    /// for another command of the task that holds them. A future that has begun to connect and is
    /// polled no more keeps its place until it is dropped. With fewer connections than nodes in
    /// use, the client dials again and again, which costs round trips.
    pub connections_max: Option<u32>,
    /// Which connections subscriptions use. Default: their own, because a server closes a
    /// connection with subscriptions if too many bytes of replies wait on it.
    pub subscription_connection: SubscriptionConnection,
    /// Bytes of commands for one node, counted from when they are queued until they are answered.
    /// Default: 64MiB: it bounds the memory that a dead node costs. A command or a pipeline that is
    /// larger, up to the 512MB that servers take for one value, is sent when nothing else is in
    /// flight to the node, and nothing else is until it is answered; see `when_full`.
    #[serde(with = "text::setting")]
    pub node_bytes_max: usize,
    /// What a call does when `node_bytes_max` or `exclusive_connections_max` is reached. Default:
    /// it waits, until its timeout.
    pub when_full: WhenFull,
    /// Commands in one pipeline or transaction. Default: 100000, because all its replies are in
    /// memory at once.
    pub pipeline_commands_max: u32,
    /// Bytes of one reply. Default: 1GiB, twice the largest string that servers accept by default.
    #[serde(with = "text::setting")]
    pub reply_bytes_max: usize,
    /// How deep a reply may nest, up to 128 levels. Default: 128; commands need less than ten,
    /// scripts may return more.
    pub reply_depth_max: u32,
    /// Bytes of messages that one subscription holds for its reader. Default: 8MiB, where servers
    /// begin to measure how long a subscriber stays slow before they disconnect it.
    #[serde(with = "text::setting")]
    pub subscription_bytes_max: usize,
    /// Messages that one subscription holds for its reader. Default: 100000, so that with messages
    /// of usual size `subscription_bytes_max` is reached first.
    pub subscription_messages_max: u32,
    /// What a subscription does at those limits. Default: it drops the oldest messages and reports
    /// how many.
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
            courtesies: true,
            tls: false,
            read_from: ReadFrom::Primary,
            max_staleness: None,
            primary_fallback_percent_max: 100,
            zones: BTreeMap::new(),
            command_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(2),
            progress_timeout: Duration::from_secs(2),
            probe_interval: Some(Duration::from_secs(3)),
            backoff_base: Duration::from_millis(20),
            backoff_cap: Duration::from_secs(2),
            attempts_max: 16,
            redirects_max: 8,
            refusal_wait_max: None,
            retry_unknown: false,
            dials_per_second: 20,
            refreshes_per_second: 5,
            refresh_interval: Some(Duration::from_secs(60)),
            sentinel_interval: Duration::from_secs(10),
            connections_per_node: 1,
            exclusive_connections_max: 64,
            connections_max: None,
            subscription_connection: SubscriptionConnection::Own,
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
    /// Whether TLS is used to the servers or to the sentinels.
    #[must_use]
    pub fn needs_tls(&self) -> bool {
        self.tls || self.sentinels_tls()
    }

    /// Whether TLS is used to the sentinels, if there are any.
    pub(crate) fn sentinels_tls(&self) -> bool {
        match &self.deployment {
            Deployment::Sentinel { tls, .. } => tls.unwrap_or(self.tls),
            _ => self.tls,
        }
    }
}

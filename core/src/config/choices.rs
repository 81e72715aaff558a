//! The settings that are a choice between named values.
//!
//! Invariants: each value has one text form, in URLs as in serde; if a read policy falls back to
//! another node, its doc says to which.

use super::policy::{Custom, ReadPolicy};
use super::secret::Secret;
use super::text::Setting;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// How the client finds the nodes.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Deployment {
    /// One primary at the only endpoint, and the replicas that `Config::replicas` lists.
    #[default]
    Standalone,
    /// The cluster reports its nodes; the endpoints are its seeds.
    ///
    /// A node says who it is (CLUSTER MYID) before it gets a command: a server that took over a
    /// node's address gets the handshake, with the credentials, and nothing else. Not promised for
    /// a server that does not answer that question (an ACL forbids it, a proxy does not know it),
    /// and before the first view of the cluster: the seeds are taken as they are.
    Cluster,
    /// Sentinels report the primary and its replicas; the endpoints are those of the sentinels.
    ///
    /// A primary confirms its role. That it is the primary of this service, the sentinels know:
    /// where the primary of another service takes over its address, they take that one for it, and
    /// so does the client.
    Sentinel {
        /// The name under which the sentinels monitor the primary.
        service: String,
        /// The ACL user at the sentinels; the servers' users are not known there. Default: none.
        #[serde(default)]
        username: Option<String>,
        /// The password at the sentinels. Default: none.
        #[serde(default)]
        password: Option<Secret>,
        /// Whether to use TLS to the sentinels. Default: as `Config::tls`.
        #[serde(default)]
        tls: Option<bool>,
    },
}

/// The version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// RESP3, and RESP2 with a server that does not know `HELLO`.
    #[default]
    Resp3,
    /// RESP2 only; `HELLO` is not sent.
    Resp2,
}

/// What a call does when `Config::node_bytes_max` or `Config::exclusive_connections_max` is
/// reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Waits until replies have made space, or a connection is free, for as long as its timeout
    /// allows.
    #[default]
    Wait,
    /// Fails at once with [`ErrorKind::Limit`](crate::ErrorKind::Limit).
    Fail,
}

/// Which connections subscriptions use.
///
/// A server closes a connection with a subscription once 32MB of its output wait, or 8MB for a
/// minute (`client-output-buffer-limit pubsub`). A connection without subscriptions has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionConnection {
    /// Subscriptions share connections that carry no commands: one more for each node that serves a
    /// wanted channel. So large replies and subscriptions cost each other nothing.
    #[default]
    Own,
    /// Subscriptions use the connections of commands, where the server speaks RESP3. For hosts that
    /// allow few connections, and for commands whose replies are small: if the replies that wait
    /// exceed the server's limit for subscribers, it closes the connection, and with it the
    /// commands of all callers that are in flight.
    Shared,
}

/// What a subscription does when it holds as many messages as it may, because its reader is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenLagging {
    /// Drops the oldest messages and reports how many.
    #[default]
    DropOldest,
    /// Drops the newest messages and reports how many.
    DropNewest,
    /// Ends the subscription with an error.
    Disconnect,
    /// Stops reading from the server. The subscription gets a connection of its own, which the
    /// server may close when its output buffer limit is reached.
    PauseReading,
}

/// Which nodes of a shard a policy chooses among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Among {
    /// Replicas only, never the primary. If none can answer, a `NoReplica` error.
    Replicas,
    /// Replicas and the primary.
    All,
}

/// A read policy: which nodes reads go to. A read is a command that is read-only in the servers'
/// own command table. Writes, and reads inside a transaction, go to the primary under every policy.
///
/// A node that has failed, is loading its data set or has not replied for too long is quarantined:
/// it gets no reads for a time that grows with each failure, up to a second, and is then tried
/// again. A replica that has lost its primary is used only if no other node that the policy allows
/// can answer: its data may be of any age, unless there is a `max_staleness`. No policy reads from
/// another shard than the one that owns the key.
///
/// Its text form is `primary`, `prefer_replica`, `replica`, `round_robin:replicas`,
/// `round_robin:all`, `random:replicas`, `random:all`, `nearest:replicas`, `nearest:all`,
/// `least_loaded:replicas`, `least_loaded:all`, or `zone:NAME`. A custom policy is code: it is
/// written `custom:NAME`, which cannot be read back.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ReadFrom {
    /// Always the primary.
    #[default]
    Primary,
    /// A replica that can answer, the less loaded of two. If the shard has none: the primary,
    /// within `Config::primary_fallback_percent_max`, and a `NoReplica` error beyond that.
    PreferReplica,
    /// A replica that can answer, the less loaded of two; never the primary. If none can answer, a
    /// `NoReplica` error.
    Replica,
    /// Each node that can answer in turn; each shard has a turn of its own.
    RoundRobin(Among),
    /// A random node of those that can answer.
    Random(Among),
    /// The node whose replies came fastest recently, or any whose replies take at most a quarter
    /// longer. A node that has not replied for a second gets a read, to measure it.
    Nearest(Among),
    /// The less loaded of two random nodes. The load is the number of commands in flight times the
    /// latency; a difference of less than a quarter does not count. A node that has not replied for
    /// a second gets a read, to measure it.
    LeastLoaded(Among),
    /// A replica in this availability zone. If none can answer: the primary if it is in the zone,
    /// then any other replica, then the primary as with `PreferReplica`. Of several nodes, the less
    /// loaded of two. The zones are those that the servers report, or else `Config::zones`.
    Zone(Arc<str>),
    /// A policy of the application; see [`ReadFrom::custom`].
    Custom(Custom),
}

impl ReadFrom {
    /// A policy of the application.
    #[must_use]
    pub fn custom(policy: impl ReadPolicy) -> Self {
        Self::Custom(Custom::new(policy))
    }
}

/// The text form, as in a URL.
impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// The policies without an argument, by their text forms.
const READ_FROM: [(&str, ReadFrom); 11] = [
    ("primary", ReadFrom::Primary),
    ("prefer_replica", ReadFrom::PreferReplica),
    ("replica", ReadFrom::Replica),
    ("round_robin:replicas", ReadFrom::RoundRobin(Among::Replicas)),
    ("round_robin:all", ReadFrom::RoundRobin(Among::All)),
    ("random:replicas", ReadFrom::Random(Among::Replicas)),
    ("random:all", ReadFrom::Random(Among::All)),
    ("nearest:replicas", ReadFrom::Nearest(Among::Replicas)),
    ("nearest:all", ReadFrom::Nearest(Among::All)),
    ("least_loaded:replicas", ReadFrom::LeastLoaded(Among::Replicas)),
    ("least_loaded:all", ReadFrom::LeastLoaded(Among::All)),
];

impl Setting for ReadFrom {
    const ALLOWED: &'static str = "one of primary, prefer_replica, replica, round_robin:replicas, \
         round_robin:all, random:replicas, random:all, nearest:replicas, nearest:all, \
         least_loaded:replicas, least_loaded:all and zone:NAME";

    fn from_text(text: &str) -> Option<Self> {
        if let Some(zone) = text.strip_prefix("zone:") {
            return (!zone.is_empty()).then(|| Self::Zone(zone.into()));
        }
        READ_FROM.iter().find(|(name, _)| *name == text).map(|(_, policy)| policy.clone())
    }

    fn to_text(&self) -> String {
        match READ_FROM.iter().find(|(_, policy)| policy == self) {
            Some((name, _)) => (*name).to_owned(),
            None => match self {
                Self::Zone(zone) => format!("zone:{zone}"),
                Self::Custom(custom) => format!("custom:{}", custom.policy().name()),
                _ => unreachable!("READ_FROM holds every policy without an argument"),
            },
        }
    }
}

impl From<ReadFrom> for String {
    fn from(policy: ReadFrom) -> Self {
        policy.to_text()
    }
}

impl TryFrom<String> for ReadFrom {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::from_text(&text).ok_or_else(|| format!("`{text}` is not {}", Self::ALLOWED))
    }
}

/// Implements the text forms of a choice.
macro_rules! choice {
    ($type:ident, $allowed:literal, $($text:literal => $variant:ident),+) => {
        impl Setting for $type {
            const ALLOWED: &'static str = $allowed;

            fn from_text(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn to_text(&self) -> String {
                match self {
                    $(Self::$variant => $text.to_owned(),)+
                }
            }
        }
    };
}

choice!(Protocol, "resp3 or resp2", "resp3" => Resp3, "resp2" => Resp2);
choice!(SubscriptionConnection, "own or shared", "own" => Own, "shared" => Shared);
choice!(WhenFull, "wait or fail", "wait" => Wait, "fail" => Fail);
choice!(
    WhenLagging,
    "one of drop_oldest, drop_newest, disconnect and pause_reading",
    "drop_oldest" => DropOldest,
    "drop_newest" => DropNewest,
    "disconnect" => Disconnect,
    "pause_reading" => PauseReading
);

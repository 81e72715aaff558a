//! The settings that are a choice between named things.
//!
//! Invariants: each choice has one text form, used in URLs and in serde alike; a name does exactly
//! what it says, and where a read policy falls back, its doc says to what.
//! Called by `config`, `routing` (read policies), `connection` (protocol) and `driver` (the rest).

use super::policy::{Custom, ReadPolicy};
use super::secret::Secret;
use super::text::Setting;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// How the nodes are found.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Deployment {
    /// One primary at the one endpoint, and the replicas that `Config::replicas` lists.
    #[default]
    Standalone,
    /// The cluster tells; the endpoints are its seeds.
    Cluster,
    /// Sentinels tell; the endpoints are theirs.
    Sentinel {
        /// The name under which the sentinels watch the service.
        service: String,
        /// The user to be at the sentinels, which do not share the servers' users. Default: none.
        #[serde(default)]
        username: Option<String>,
        /// The password for the sentinels. Default: none.
        #[serde(default)]
        password: Option<Secret>,
        /// Whether to speak TLS to the sentinels. Default: as `Config::tls`.
        #[serde(default)]
        tls: Option<bool>,
    },
}

/// The protocol to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// RESP3, and RESP2 where the server does not know `HELLO`.
    #[default]
    Resp3,
    /// RESP2 only; `HELLO` is not sent.
    Resp2,
}

/// What a call does when a node's limit on bytes is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Waits for room, until its deadline.
    #[default]
    Wait,
    /// Fails at once with [`ErrorKind::Limit`](crate::ErrorKind::Limit).
    Fail,
}

/// What a subscription does when its backlog is full because its reader is slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenLagging {
    /// Drops the oldest messages and tells how many.
    #[default]
    DropOldest,
    /// Drops the newest messages and tells how many.
    DropNewest,
    /// Ends the subscription with an error.
    Disconnect,
    /// Stops reading from the server: the subscription gets a connection of its own, and the server
    /// may cut it at its output limit.
    PauseReading,
}

/// Which nodes of a shard a policy chooses among.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Among {
    /// Replicas only, never the primary. None that can answer is a `NoReplica` error.
    Replicas,
    /// Replicas and the primary.
    All,
}

/// Where reads go: commands of which the servers' own command table says that they only read.
/// Writes, and reads inside a transaction, go to the primary under every policy.
///
/// A node that has failed of late, is loading its data set or owes a reply for too long is passed
/// by for a while that grows with each failure, up to a second; then it is tried again. A replica
/// that has lost its primary serves when no other node does that the policy allows: its data may
/// be of any age, unless there is a `max_staleness`. No policy leaves the shard that owns the key.
///
/// Its text form is `primary`, `prefer_replica`, `replica`, `round_robin:replicas`,
/// `round_robin:all`, `random:replicas`, `random:all`, `nearest:replicas`, `nearest:all`,
/// `least_loaded:replicas`, `least_loaded:all`, or `zone:NAME`. A custom policy is code and has a
/// name only: it is written `custom:NAME` and cannot be read back.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ReadFrom {
    /// The primary, always.
    #[default]
    Primary,
    /// A replica that can answer, the less loaded of two; the primary when the shard has none,
    /// within `Config::primary_fallback_percent_max`, and a `NoReplica` error beyond that.
    PreferReplica,
    /// A replica that can answer, the less loaded of two; never the primary. None that can answer
    /// is a `NoReplica` error.
    Replica,
    /// Each that can answer in turn, shard by shard.
    RoundRobin(Among),
    /// Each that can answer with the same chance.
    Random(Among),
    /// The one whose real replies came fastest of late; any of those that take at most a quarter
    /// more. One from which nothing was heard for a second gets a read to find out.
    Nearest(Among),
    /// The less loaded of two drawn at random: by commands in flight times latency, where a quarter
    /// makes no difference. One from which nothing was heard for a second gets a read to find out.
    LeastLoaded(Among),
    /// A replica in this availability zone; if none can answer, the primary if it is in the zone;
    /// if not, any replica; if none, the primary, as for `PreferReplica`. Of several, the less
    /// loaded of two. Zones are what the servers tell, or else `Config::zones`.
    Zone(Arc<str>),
    /// The application's own choice; see [`ReadFrom::custom`].
    Custom(Custom),
}

impl ReadFrom {
    /// A policy of the application's own.
    #[must_use]
    pub fn custom(policy: impl ReadPolicy) -> Self {
        Self::Custom(Custom::new(policy))
    }
}

/// As in a URL.
impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// Policies and their text, except for those that have an argument of their own.
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
                _ => unreachable!("the table holds every policy without an argument"),
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

/// Writes the text forms of a choice without arguments.
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
choice!(WhenFull, "wait or fail", "wait" => Wait, "fail" => Fail);
choice!(
    WhenLagging,
    "one of drop_oldest, drop_newest, disconnect and pause_reading",
    "drop_oldest" => DropOldest,
    "drop_newest" => DropNewest,
    "disconnect" => Disconnect,
    "pause_reading" => PauseReading
);

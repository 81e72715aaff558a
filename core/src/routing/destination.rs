//! What a command is aimed at: a place that means the same while the topology changes.
//!
//! Resolved anew at every attempt, so that a retry after a failover goes to the new primary, and
//! one to a node that left ends with an error instead of a surprise.
//! Called by `driver/routes.rs`, which resolves it, and by everything that sends.

use crate::endpoint::Endpoint;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use std::fmt;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Any primary.
    Any,
    /// The node that listens there.
    At(Endpoint),
    /// The owner of the command's first key; without a key, any primary.
    Key,
    /// This node, whatever its role.
    Node(NodeId),
    /// This node, as long as it is a primary.
    Primary(NodeId),
    /// The primary of the shard that owns this slot, for the shard's sake.
    Shard(Slot),
    /// The owner of this slot, for a key in it.
    Slot(Slot),
}

impl Destination {
    /// Whether only one node will do: where it is not, nothing is to be waited for.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self, Self::At(_) | Self::Node(_) | Self::Primary(_))
    }

    /// Whether a redirect is followed; where not, it is the answer.
    pub(crate) fn follows_redirects(&self) -> bool {
        matches!(self, Self::Any | Self::Key | Self::Slot(_))
    }
}

/// For errors: what is not there.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(endpoint) => write!(f, "node at {endpoint}"),
            Self::Any | Self::Key => f.write_str("primary"),
            Self::Node(id) => write!(f, "node {id}"),
            Self::Primary(id) => write!(f, "primary {id}"),
            Self::Shard(slot) | Self::Slot(slot) => write!(f, "owner of slot {slot}"),
        }
    }
}

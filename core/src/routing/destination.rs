//! Where a command goes, in terms that mean the same while the topology changes.
//!
//! Resolved again at every attempt (`driver/discovery/routes.rs`), so that a retry after a failover
//! goes to the new primary, and one to a node that left ends with an error.

use crate::endpoint::Endpoint;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use std::fmt;

/// Where a command goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Any primary.
    Any,
    /// The node that listens there.
    At(Endpoint),
    /// The owner of the command's first key; without a key, any primary.
    Key,
    /// This node, primary or replica.
    Node(NodeId),
    /// This node, as long as it is a primary.
    Primary(NodeId),
    /// The primary of the shard that owns this slot, on behalf of the whole shard: redirects are
    /// returned, not followed.
    Shard(Slot),
    /// The owner of this slot, for a key in it.
    Slot(Slot),
}

impl Destination {
    /// Whether it is one certain node: if that has left, there is nothing to wait for.
    pub(crate) fn is_pinned(&self) -> bool {
        matches!(self, Self::At(_) | Self::Node(_) | Self::Primary(_))
    }

    /// Whether a redirect is followed; if not, it is the result.
    pub(crate) fn follows_redirects(&self) -> bool {
        matches!(self, Self::Any | Self::Key | Self::Slot(_))
    }
}

/// For errors: the node that does not exist.
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

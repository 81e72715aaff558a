//! Which node or nodes a command is for, as a caller names them.
//!
//! A target of one node is a [`Destination`]; one of several nodes becomes a list of destinations
//! (`driver/dispatch/fan_out.rs`), since only the slot map knows how many there are.
//!
//! Invariant: pure; a target means the same while the topology changes.

use crate::command::ToArg;
use crate::endpoint::Endpoint;
use crate::routing::destination::Destination;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;

/// Which node or nodes a command is for, whatever its keys say.
///
/// In a deployment without slots, the one primary owns all of them.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every primary, and every replica that the cluster does not consider failed.
    AllNodes,
    /// Every primary.
    AllPrimaries,
    /// One primary: another one for each command, preferably one with a live connection.
    AnyPrimary,
    /// The node with this address, if the topology has one.
    Endpoint(Endpoint),
    /// This node, primary or replica.
    Node(NodeId),
    /// The primary that owns this slot, and its replicas that the cluster does not consider failed.
    Shard(Slot),
    /// The primary that owns this slot.
    Slot(Slot),
}

impl Target {
    /// The primary that owns a key's slot.
    pub fn key(key: impl ToArg) -> Self {
        let mut slot = Slot::FIRST;
        key.with_bytes(|bytes| slot = Slot::of(bytes));
        Self::Slot(slot)
    }

    /// The destination of a target that is one node; `None` for several nodes.
    pub(crate) fn destination(&self) -> Option<Destination> {
        match self {
            Self::AllNodes | Self::AllPrimaries | Self::Shard(_) => None,
            Self::AnyPrimary => Some(Destination::Any),
            Self::Endpoint(endpoint) => Some(Destination::At(endpoint.clone())),
            Self::Node(id) => Some(Destination::Node(id.clone())),
            Self::Slot(slot) => Some(Destination::Slot(*slot)),
        }
    }
}

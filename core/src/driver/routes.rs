//! What a command is routed by: a map and the nodes that it speaks of.
//!
//! Invariant: never changes. Whatever changes publishes another (`driver/topology.rs`), so that the
//! data path reads it without a lock. Called by `client/call.rs` and everything above
//! `driver/topology.rs`.

use super::node::Node;
use crate::command::Command;
use crate::topology::cluster_map::ClusterMap;
use std::sync::Arc;

/// A slot map and the nodes that it speaks of: what a command is routed by. Never changes; a change
/// publishes another.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Slots to shards, shards to nodes.
    pub(crate) map: ClusterMap,
    /// The nodes, by the map's indexes; none where the servers do not say where to dial.
    pub(crate) nodes: Vec<Option<Arc<Node>>>,
}

impl Routes {
    /// The node at one of the map's indexes.
    pub(crate) fn node(&self, index: usize) -> Option<&Arc<Node>> {
        self.nodes.get(index)?.as_ref()
    }

    /// All nodes that can be dialled.
    pub(crate) fn dialable(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().flatten()
    }

    /// All primaries that can be dialled.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.map.shards().filter_map(|(shard, _)| self.node(shard.primary))
    }

    /// The node that a command goes to.
    pub(crate) fn node_for(&self, command: &Command) -> Option<&Arc<Node>> {
        let slots = self.map.slots();
        let shard = match command.first_key() {
            Some(key) => slots.shard_of(key),
            None => slots.shards().first(),
        };
        self.node(shard?.primary)
    }
}

//! What changed between two maps.
//!
//! Two maps may number shards and nodes differently, so they are compared by ids. A node that was
//! known by its endpoint only and has a real id now is the same node.

use super::cluster_map::ClusterMap;
use super::node_id::NodeId;
use super::slot::Slot;
use super::slot_map::Shard;
use super::slot_range::{SlotRange, every_slot, runs};
use super::view::{NodeView, Role};
use crate::endpoint::Endpoint;
use crate::sorted::{SortedMap, SortedSet};
use std::sync::Arc;

/// See the head of this file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Nodes that were not known before.
    pub(crate) added: Vec<NodeId>,
    /// Nodes that are gone.
    pub(crate) removed: Vec<NodeId>,
    /// Nodes with another endpoint. Open connections may go on.
    pub(crate) relocated: Vec<Relocated>,
    /// Nodes that changed their role, and the new one.
    pub(crate) roles: Vec<(NodeId, Role)>,
    /// Slots with another primary, ascending.
    pub(crate) slots: Vec<Reassigned>,
    /// How many slots were served before.
    pub(crate) coverage_before: u16,
    /// How many are served after.
    pub(crate) coverage_after: u16,
}

/// A node with another address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relocated {
    /// Which node.
    pub(crate) id: NodeId,
    /// Where it was.
    pub(crate) from: Option<Endpoint>,
    /// Where it is.
    pub(crate) to: Option<Endpoint>,
}

/// Slots with another primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reassigned {
    /// Which slots.
    pub(crate) slots: SlotRange,
    /// Their primary before; `None` if they had none.
    pub(crate) from: Option<NodeId>,
    /// Their primary after.
    pub(crate) to: Option<NodeId>,
    /// The primary changed within the shard: a failover. Otherwise the slots moved.
    pub(crate) within_shard: bool,
}

impl Difference {
    /// What changed from `old` to `new`.
    pub(crate) fn between(old: &ClusterMap, new: &ClusterMap) -> Self {
        let renames = NodeRenames::new(old, new);
        let mut difference = Self {
            coverage_before: old.coverage(),
            coverage_after: new.coverage(),
            ..Self::default()
        };
        let before: SortedMap<&NodeId, &Arc<NodeView>> =
            old.nodes().iter().map(|node| (renames.current_id(&node.id), node)).collect();
        for node in new.nodes() {
            let Some(was) = before.get(&node.id) else {
                difference.added.push(node.id.clone());
                continue;
            };
            if was.endpoint != node.endpoint {
                let (from, to) = (was.endpoint.clone(), node.endpoint.clone());
                difference.relocated.push(Relocated { id: node.id.clone(), from, to });
            }
            if was.role != node.role {
                difference.roles.push((node.id.clone(), node.role));
            }
        }
        let after: SortedSet<&NodeId> = new.nodes().iter().map(|node| &node.id).collect();
        let gone = before.keys().filter(|id| !after.contains(*id));
        difference.removed = gone.map(|id| (*id).clone()).collect();
        difference.slots = renames.reassigned(old, new);
        difference
    }

    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { added, removed, relocated, roles, slots, coverage_before, coverage_after } =
            self;
        added.is_empty()
            && removed.is_empty()
            && relocated.is_empty()
            && roles.is_empty()
            && slots.is_empty()
            && coverage_before == coverage_after
    }
}

/// The ids of the old map's nodes in the new map.
struct NodeRenames<'a> {
    /// Provisional ids of nodes, and the real ids that are known now.
    renamed: SortedMap<&'a NodeId, &'a NodeId>,
}

impl<'a> NodeRenames<'a> {
    fn new(old: &'a ClusterMap, new: &'a ClusterMap) -> Self {
        let unnamed = old.nodes().iter().filter(|n| n.id.is_provisional());
        let real = |node: &'a Arc<NodeView>| {
            let index = new.node_at(node.endpoint.as_ref()?)?;
            Some((&node.id, &new.node(index).id))
        };
        Self { renamed: unnamed.filter_map(real).collect() }
    }

    fn current_id<'b>(&'b self, id: &'b NodeId) -> &'b NodeId {
        self.renamed.get(id).copied().unwrap_or(id)
    }

    fn reassigned(&self, old: &ClusterMap, new: &ClusterMap) -> Vec<Reassigned> {
        let ids = |map: &'_ ClusterMap| map.nodes().iter().map(|node| node.id.clone()).collect();
        let (before, after): (Vec<NodeId>, Vec<NodeId>) = (ids(old), ids(new));
        // Most refreshes find no change.
        if before == after && old.slots() == new.slots() {
            return Vec::new();
        }
        let change = |slot: Slot| {
            let (from, to) = (old.slots().owner_at(slot), new.slots().owner_at(slot));
            (slot, Some((from, to)))
        };
        let shard =
            |map: &'_ ClusterMap, owner: u16| map.slots().shards().get(usize::from(owner)).cloned();
        let primary = |map: &ClusterMap, shard: &Option<Shard>| {
            shard.as_ref().map(|shard| map.node(shard.primary).id.clone())
        };
        let mut changed = Vec::new();
        for (slots, (from, to)) in runs(every_slot().map(change)) {
            let (from, to) = (shard(old, from), shard(new, to));
            let was = primary(old, &from).map(|id| self.current_id(&id).clone());
            let is = primary(new, &to);
            if was != is {
                let within_shard = self.related(old, from.as_ref(), new, to.as_ref());
                changed.push(Reassigned { slots, from: was, to: is, within_shard });
            }
        }
        changed
    }

    /// Whether one primary was a node of the other one's shard.
    fn related(
        &self,
        old: &ClusterMap,
        from: Option<&Shard>,
        new: &ClusterMap,
        to: Option<&Shard>,
    ) -> bool {
        let (Some(from), Some(to)) = (from, to) else { return false };
        let has = |map: &ClusterMap, shard: &Shard, id: &NodeId| {
            shard.replicas.iter().any(|index| self.current_id(&map.node(*index).id) == id)
        };
        let (was, is) = (self.current_id(&old.node(from.primary).id), &new.node(to.primary).id);
        has(old, from, is) || has(new, to, was)
    }
}

#[cfg(test)]
mod tests;

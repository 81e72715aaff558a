//! What one node says about the whole cluster: checked, and independent of the command that told
//! it.
//!
//! A view may be old, partial, or of another cluster; `merge` decides what to believe. Invariants
//! (`View::checked` makes all views): no slot has two owners, no node appears twice, slots
//! have a primary, and not all nodes are reached at one endpoint.
//! Limits: `NODES_MAX` nodes and as many shards; the number of slots bounds the ranges.

use super::node_id::NodeId;
use super::slot::SLOT_COUNT;
use super::slot_range::SlotRange;
use super::view_error::ViewError;
use crate::endpoint::Endpoint;
use crate::sorted::SortedMap;
use serde::{Deserialize, Serialize};

mod mend;

/// More nodes than any cluster has: servers recommend a thousand at most.
pub(crate) const NODES_MAX: usize = 16_384;

/// What a node is in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Role {
    /// It takes writes.
    Primary,
    /// It replicates a primary.
    Replica,
}

/// What the servers say about a node's health. From best to worst, after `Unknown`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReportedHealth {
    /// The servers do not tell. Treated like `Online`.
    #[default]
    Unknown,
    /// It serves.
    Online,
    /// It is loading its data set, or its link to its primary is down.
    Loading,
    /// The node that was asked cannot reach it; others may.
    Suspected,
    /// The cluster agrees that it is down.
    Failed,
}

/// A node as a view shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeView {
    /// Its id.
    pub(crate) id: NodeId,
    /// Where to dial it; `None` when the servers do not say.
    pub(crate) endpoint: Option<Endpoint>,
    /// The same before the address map: what a certificate or a table of zones may know it by.
    pub(crate) announced: Option<Endpoint>,
    /// Other endpoints that the servers tell for it, after the address map: a redirect may use any
    /// of them. Never dialled; without `endpoint`.
    pub(crate) aliases: Vec<Endpoint>,
    /// Primary or replica.
    pub(crate) role: Role,
    /// Its availability zone, if the servers know one.
    pub(crate) zone: Option<String>,
    /// How much of the replication stream it has, in bytes.
    pub(crate) offset: Option<u64>,
    /// What the servers say about its health.
    pub(crate) health: ReportedHealth,
    /// Whether the node that was asked has a link to it over the cluster bus; true where the reply
    /// does not tell.
    pub(crate) link_up: bool,
}

/// A primary, its replicas and its slots, as a view shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShardView {
    /// What it owns, in the server's order.
    pub(crate) slots: Vec<SlotRange>,
    /// The primary's config epoch, if it was asked for. Of two claims the higher one is right.
    pub(crate) epoch: Option<u64>,
    /// `None` when the node asked does not know it; then there are no slots.
    pub(crate) primary: Option<NodeView>,
    /// The others.
    pub(crate) replicas: Vec<NodeView>,
}

impl ShardView {
    /// The primary and the replicas.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.primary.iter().chain(&self.replicas)
    }
}

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// The node that was asked, once known.
    pub(crate) told_by: Option<NodeId>,
    /// All shards, also those without slots.
    shards: Vec<ShardView>,
    /// How many entries of the replies were left out, because they could not be read or did not
    /// agree with others.
    pub(crate) left_out: u32,
}

impl View {
    /// A view of these shards, if they agree with each other.
    ///
    /// # Errors
    /// `TooMany`, `NodeTwice`, `Overlap` or `Folded`.
    pub(crate) fn checked(
        told_by: Option<NodeId>,
        mut shards: Vec<ShardView>,
    ) -> Result<Self, ViewError> {
        let nodes = shards.iter().map(|shard| shard.nodes().count()).sum::<usize>();
        for (what, count) in [("shards", shards.len()), ("nodes", nodes)] {
            if count > NODES_MAX {
                return Err(ViewError::TooMany { what, max: NODES_MAX });
            }
        }
        let mut owned = vec![0; usize::from(SLOT_COUNT)];
        for shard in &mut shards {
            if shard.primary.is_none() {
                // There is no node to send them to: uncovered, and no reason to lose the rest.
                shard.slots.clear();
            }
            mark(&mut owned, &shard.slots)?;
        }
        let view = Self { told_by, shards, left_out: 0 };
        let mut seen = SortedMap::new();
        for node in view.nodes() {
            if seen.insert(&node.id, ()).is_some() {
                return Err(ViewError::NodeTwice { id: node.id.clone() });
            }
        }
        view.check_folding()?;
        Ok(view)
    }

    /// The shards, in the server's order.
    pub(crate) fn shards(&self) -> &[ShardView] {
        &self.shards
    }

    /// The shards, by value.
    pub(crate) fn into_shards(self) -> Vec<ShardView> {
        self.shards
    }

    /// Every node of the view.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &NodeView> {
        self.shards.iter().flat_map(ShardView::nodes)
    }

    /// How many slots have an owner.
    pub(crate) fn coverage(&self) -> u16 {
        self.shards.iter().flat_map(|shard| &shard.slots).map(|range| range.count()).sum()
    }

    /// An address map, or servers that announce one address for all, would send each redirect back
    /// to the node that it came from. Two cases are certain: all nodes that are up are reached at
    /// one endpoint; or two that own slots have addresses of their own and one endpoint after the
    /// map. Failed nodes do not count: their address may be somebody else's by now.
    fn check_folding(&self) -> Result<(), ViewError> {
        let up =
            |node: &&NodeView| node.health != ReportedHealth::Failed && node.endpoint.is_some();
        let mut at: SortedMap<&Option<Endpoint>, Vec<&NodeView>> = SortedMap::new();
        for node in self.nodes().filter(up) {
            at.get_or_insert_with(&node.endpoint, Vec::new).push(node);
        }
        let owns = |node: &NodeView| {
            let owns = |s: &ShardView| !s.slots.is_empty() && s.primary.as_ref() == Some(node);
            self.shards.iter().any(owns)
        };
        for (endpoint, nodes) in at.iter() {
            let [first, rest @ ..] = nodes.as_slice() else { continue };
            let mapped = |n: &&&NodeView| n.announced != first.announced && owns(n) && owns(first);
            let second = if at.len() == 1 { rest.first() } else { rest.iter().find(mapped) };
            if let (Some(second), Some(endpoint)) = (second, endpoint) {
                return Err(ViewError::Folded {
                    endpoint: endpoint.clone(),
                    first: first.id.clone(),
                    second: second.id.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Marks the slots as owned, with a 1.
fn mark(owned: &mut [u8], ranges: &[SlotRange]) -> Result<(), ViewError> {
    for range in ranges {
        let entries = owned.get_mut(range.as_indexes()).expect("as many as slots");
        if entries.contains(&1) {
            let mut slots = range.slots().zip(entries.iter());
            let (slot, _) = slots.find(|(_, taken)| **taken == 1).expect("one of these is taken");
            return Err(ViewError::Overlap { slot });
        }
        entries.fill(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

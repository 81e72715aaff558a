//! Views of several nodes, and the known map, to the next map.
//!
//! No single node is believed: nodes lag behind, are partitioned, were reset, or belong to another
//! cluster by now. `view_filter` rejects whole views, `slot_owners` decides each slot by epoch and
//! majority, `membership` assigns the nodes to shards.
//!
//! Invariants (property-tested): a slot that has an owner keeps one; the epoch of a slot's owner
//! never falls while views tell epochs; the order of the views does not matter.

use crate::endpoint::Endpoint;
use crate::sorted::{SortedMap, SortedSet};
use crate::time::Timestamp;
use crate::topology::cluster_map::{ClusterMap, MapParts};
use crate::topology::merge::membership::Membership;
use crate::topology::merge::slot_owners::decide;
use crate::topology::merge::view_filter::{self, Rejection};
use crate::topology::node_id::NodeId;
use crate::topology::view::{NodeView, ReportedHealth, Role, View};
use std::sync::Arc;

/// What follows from the views of a refresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The next map. It has the version of the known one if no route changed.
    pub(crate) map: ClusterMap,
    /// For each view, why it was rejected, if it was.
    pub(crate) rejections: Vec<Option<Rejection>>,
}

impl Decision {
    /// Whether every view is of another cluster. `replaced_cluster` decides when that means that
    /// the cluster was replaced.
    pub(crate) fn is_foreign(&self) -> bool {
        let mut said =
            self.rejections.iter().filter(|rejection| **rejection != Some(Rejection::Empty));
        let foreign = |rejection: &Option<Rejection>| *rejection == Some(Rejection::Foreign);
        said.clone().next().is_some() && said.all(foreign)
    }
}

/// [`merge_by_evidence`], where the client has not tried to reach any node.
pub(crate) fn merge(
    held: Option<&ClusterMap>,
    views: &[View],
    began: u64,
    now: Timestamp,
) -> Decision {
    merge_by_evidence(held, views, began, now, &std::iter::empty().collect())
}

/// The map that follows from the known one, `held`, and from `views`, which were requested when the
/// map had the version `began`. `held` is `None` if none is known, or the known one was given up.
/// The client cannot reach the nodes that are `unreachable`.
pub(crate) fn merge_by_evidence(
    held: Option<&ClusterMap>,
    views: &[View],
    began: u64,
    now: Timestamp,
    unreachable: &SortedSet<NodeId>,
) -> Decision {
    let empty = ClusterMap::empty();
    let held = held.unwrap_or(&empty);
    let rejections = view_filter::judge(held, views);
    let counted = views.iter().zip(&rejections).filter(|(_, rejection)| rejection.is_none());
    let counted: Vec<&View> = counted.map(|(view, _)| view).collect();
    if counted.is_empty() {
        return Decision { map: held.clone(), rejections };
    }
    let renamed = rename(held, &counted);
    let mut decided = decide(held, &counted, &renamed, began, unreachable);
    let patches = std::mem::take(&mut decided.patches);
    let since = |slot| (slot, held.uncovered_since(slot).unwrap_or(now));
    let uncovered = decided.denied.iter().copied().map(since).collect();
    let membership = Membership::new(held, &counted, &renamed, &decided, unreachable);
    let parts = membership.into_map_parts(&decided);
    let map = ClusterMap::assemble(held.version(), MapParts { patches, uncovered, ..parts });
    let map = if same_routes(held, &map) { map } else { map.with_version(held.version() + 1) };
    Decision { map, rejections }
}

/// The real ids of nodes of which redirects have told the endpoint only.
fn rename(held: &ClusterMap, views: &[&View]) -> SortedMap<NodeId, NodeId> {
    let provisional = held.nodes().iter().filter(|node| node.id.is_provisional());
    let real = |node: &Arc<NodeView>| {
        let endpoint = node.endpoint.as_ref()?;
        let shards = views.iter().flat_map(|view| view.shards());
        let nodes = shards.flat_map(|shard| {
            let owner = if shard.slots.is_empty() { None } else { shard.primary.as_ref() };
            shard.nodes().map(move |node| (owner.is_none_or(|owner| owner.id != node.id), node))
        });
        let there = nodes.filter(|(_, other)| {
            other.endpoint.as_ref() == Some(endpoint) || other.aliases.contains(endpoint)
        });
        let best = there.min_by_key(|(idle, node)| {
            let alias = node.endpoint.as_ref() != Some(endpoint);
            (alias, node.health == ReportedHealth::Failed, *idle, &node.id)
        });
        best.map(|(_, real)| (node.id.clone(), real.id.clone()))
    };
    provisional.filter_map(real).collect()
}

/// Whether two maps route every command alike. Replication offsets grow all the time and do not
/// matter.
fn same_routes(held: &ClusterMap, next: &ClusterMap) -> bool {
    let plain = |node: &Arc<NodeView>| NodeView { offset: None, ..node.as_ref().clone() };
    held.nodes().len() == next.nodes().len()
        && held.nodes().iter().map(plain).eq(next.nodes().iter().map(plain))
        && held.slots() == next.slots()
        && held.shards().map(|(_, epoch)| epoch).eq(next.shards().map(|(_, epoch)| epoch))
        && held.patches() == next.patches()
        && held.uncovered() == next.uncovered()
}

/// Whether two maps have the same nodes at the same addresses and in the same roles, and the same
/// owners of slots. What else nodes report, epochs and redirects do not matter.
pub(crate) fn same_places(held: &ClusterMap, next: &ClusterMap) -> bool {
    fn places(map: &ClusterMap) -> impl Iterator<Item = (&NodeId, Option<&Endpoint>, Role)> {
        map.nodes().iter().map(|node| (&node.id, node.endpoint.as_ref(), node.role))
    }
    held.coverage() == next.coverage()
        && held.slots() == next.slots()
        && places(held).eq(places(next))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

//! Which views count: those that have slots, and are of the known cluster.
//!
//! A node that was reset or forgotten answers with nothing or with itself alone; a name may lead to
//! another cluster; a node may have moved to one. Such views are rejected as a whole, before slots
//! are compared. If only views of another cluster come for long, while no known node answers, the
//! caller starts over with no map: the cluster was replaced (`replaced_cluster`).
//!
//! Invariant: the order of the views does not matter.

use crate::sorted::SortedSet;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::node_id::NodeId;
use crate::topology::view::View;

/// Why a view is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// It has no slot.
    Empty,
    /// It is of another cluster.
    Foreign,
}

/// The ids in a view.
type Ids<'a> = SortedSet<&'a NodeId>;

/// For each view, why it is rejected, if it is.
pub(crate) fn judge(held: &ClusterMap, views: &[View]) -> Vec<Option<Rejection>> {
    let ids: Vec<Ids<'_>> =
        views.iter().map(|v| v.nodes().map(|node| &node.id).collect()).collect();
    let told: Vec<usize> = (0..views.len()).filter(|i| views[*i].coverage() > 0).collect();
    let known: Ids<'_> =
        held.nodes().iter().map(|node| &node.id).filter(|id| !id.is_provisional()).collect();
    let home = if known.is_empty() {
        largest_cluster(&told, &ids, views)
    } else {
        same_cluster(&told, &ids, views, &known)
    };
    let verdict = |index: usize| match index {
        _ if views[index].coverage() == 0 => Some(Rejection::Empty),
        _ if !home.contains(&index) => Some(Rejection::Foreign),
        _ => None,
    };
    (0..views.len()).map(verdict).collect()
}

/// The views of the known cluster. Several of them must also share most nodes with each other: a
/// node that moved to another cluster would otherwise vouch for all of its new neighbours.
fn same_cluster(told: &[usize], ids: &[Ids<'_>], views: &[View], known: &Ids<'_>) -> Vec<usize> {
    let related = |index: &&usize| is_related(&views[**index], &ids[**index], known);
    let related: Vec<usize> = told.iter().filter(related).copied().collect();
    let weight = |index: &usize| (ids[*index].shared(known).count(), &ids[*index]);
    let Some(best) = related.iter().max_by_key(|index| weight(index)) else { return related };
    let alike = |index: &usize| {
        let (ours, theirs) = (&ids[*best], &ids[*index]);
        ours.shared(theirs).count() * 2 >= ours.len().min(theirs.len())
    };
    related.iter().copied().filter(alike).collect()
}

/// Whether a view is of the cluster that `known` is of. That the view contains the node that told
/// it proves nothing: it must contain another known node, or known nodes must own most of its
/// slots.
fn is_related(view: &View, ids: &Ids<'_>, known: &Ids<'_>) -> bool {
    if ids.shared(known).any(|id| Some(*id) != view.told_by.as_ref()) {
        return true;
    }
    let ours = view
        .shards()
        .iter()
        .filter(|shard| shard.primary.as_ref().is_some_and(|primary| known.contains(&primary.id)));
    let slots: u16 = ours.flat_map(|shard| &shard.slots).map(|range| range.count()).sum();
    u32::from(slots) * 2 > u32::from(view.coverage())
}

/// No map is known, so any cluster is accepted, but only one: that of most views, then of most
/// slots.
fn largest_cluster(told: &[usize], ids: &[Ids<'_>], views: &[View]) -> Vec<usize> {
    let mut clusters: Vec<(Ids<'_>, Vec<usize>)> = Vec::new();
    for index in told {
        let (mut all, mut members) = (ids[*index].clone(), vec![*index]);
        clusters.retain(|(others, more)| {
            let apart = others.shared(&all).next().is_none();
            if !apart {
                all.extend(others.iter().copied());
                members.extend(more);
            }
            apart
        });
        clusters.push((all, members));
    }
    let slots = |members: &[usize]| members.iter().map(|i| views[*i].coverage()).max();
    let largest = clusters.iter().max_by_key(|(all, members)| {
        (members.len(), slots(members), std::cmp::Reverse(all.first().copied()))
    });
    largest.map(|(_, members)| members.clone()).unwrap_or_default()
}

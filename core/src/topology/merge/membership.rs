//! Which shard each node belongs to, and its properties, once the owners of slots are decided.
//!
//! A node is where the newest views put it: those that were right about its shard, among them those
//! with the highest epoch, among them the majority. Its address, zone and health are what most of
//! these say; among equals the address stays, since servers learn a new name one after the other.
//! An address at which the client reached nobody gives way to any other that a view has.
//! Where all views were wrong about its shard, it stays where the known map has it. Nodes that no
//! view contains are kept only while they own slots, or replicate one that no view contains.
//! Invariant: the order of the views does not matter.

use crate::sorted::{SortedMap, SortedSet};
use crate::topology::cluster_map::{ClusterMap, MapParts};
use crate::topology::merge::slot_owners::Decided;
use crate::topology::node_id::NodeId;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::slot_map::{Shard, UNCOVERED};
use crate::topology::view::{NodeView, ReportedHealth, Role, View};
use std::sync::Arc;

/// A node's position in a view. Ordered only to break ties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    /// It is a primary, with slots or without.
    Primary,
    /// It replicates this node.
    ReplicaOf(NodeId),
    /// It replicates a node that the view does not contain.
    Orphan,
}

/// What one view says about a node.
#[derive(Clone, Debug)]
struct Mention<'a> {
    /// Whether the view was right about the node's shard, and the shard's epoch. Higher is better.
    weight: (bool, Option<u64>),
    /// Its position.
    position: Position,
    /// Its other properties.
    node: &'a NodeView,
}

/// Everything that is known about the nodes.
pub(crate) struct Membership<'a> {
    /// By id, what each view says.
    mentions: SortedMap<&'a NodeId, Vec<Mention<'a>>>,
    /// What the known map says, under real ids.
    held: SortedMap<&'a NodeId, &'a Arc<NodeView>>,
    /// The positions in the known map, under real ids.
    held_positions: SortedMap<&'a NodeId, Position>,
    /// The nodes that own slots.
    owners: SortedSet<&'a NodeId>,
    /// The nodes that the client cannot reach at the address that the known map has.
    unreachable: &'a SortedSet<NodeId>,
}

impl<'a> Membership<'a> {
    /// Collects what the known map and the views say.
    pub(crate) fn new(
        held: &'a ClusterMap,
        views: &[&'a View],
        renamed: &'a SortedMap<NodeId, NodeId>,
        decided: &'a Decided,
        unreachable: &'a SortedSet<NodeId>,
    ) -> Self {
        let named = |id: &'a NodeId| renamed.get(id).unwrap_or(id);
        let mut membership = Self {
            mentions: SortedMap::new(),
            held: SortedMap::new(),
            held_positions: SortedMap::new(),
            owners: decided.owners.iter().map(|owner| decided.id(*owner)).collect(),
            unreachable,
        };
        for node in held.nodes() {
            // A node that is known under both ids is described by the real one.
            let id = named(&node.id);
            if *id == node.id {
                membership.held.insert(id, node);
            } else {
                membership.held.get_or_insert_with(id, || node);
            }
        }
        for (shard, _) in held.shards() {
            let primary = named(&held.node(shard.primary).id);
            membership.held_positions.insert(primary, Position::Primary);
            for replica in &shard.replicas {
                let position = Position::ReplicaOf(primary.clone());
                let id = named(&held.node(*replica).id);
                membership.held_positions.get_or_insert_with(id, || position);
            }
        }
        for shard in views.iter().flat_map(|view| view.shards()) {
            let is_owner = |node: &NodeView| membership.owners.contains(&node.id);
            // A view that gives slots to a node that ended up with none is out of date here.
            let right = shard.slots.is_empty() || shard.primary.as_ref().is_some_and(is_owner);
            let weight = (right, shard.epoch);
            for node in shard.nodes() {
                let position = match (&shard.primary, node.role) {
                    (_, Role::Primary) => Position::Primary,
                    (Some(primary), Role::Replica) => Position::ReplicaOf(primary.id.clone()),
                    (None, Role::Replica) => Position::Orphan,
                };
                let mention = Mention { weight, position, node };
                membership.mentions.get_or_insert_with(&node.id, Vec::new).push(mention);
            }
        }
        membership
    }

    /// The nodes, shards and table of the next map.
    pub(crate) fn into_map_parts(self, decided: &Decided) -> MapParts {
        let ids: SortedSet<&NodeId> =
            self.mentions.keys().chain(self.held.keys()).copied().collect();
        let mut nodes = Vec::new();
        let mut shards: SortedMap<&NodeId, Shard> = SortedMap::new();
        let mut replicas: Vec<(NodeId, usize)> = Vec::new();
        for id in ids.into_values() {
            let Some(assignment) = self.assignment(id) else { continue };
            let index = nodes.len();
            let role = match &assignment {
                Assignment::Primary => Role::Primary,
                Assignment::ReplicaOf(_) => Role::Replica,
                Assignment::NoShard(role) => *role,
            };
            nodes.push(Arc::new(self.describe(id, role)));
            match assignment {
                Assignment::Primary => {
                    shards.insert(id, Shard { primary: index, replicas: Vec::new() });
                }
                Assignment::ReplicaOf(primary) => replicas.push((primary, index)),
                Assignment::NoShard(_) => {}
            }
        }
        for (primary, index) in replicas {
            let shard = shards.get_mut(&primary).expect("`assignment` names owners only");
            shard.replicas.push(index);
        }
        // Owners are numbered in the order of ids, and so are shards by their primaries.
        let mut indexes =
            vec![UNCOVERED; decided.owners.iter().last().map_or(0, |last| *last as usize + 1)];
        for (index, owner) in (0..).zip(decided.owners.iter()) {
            *indexes.get_mut(*owner as usize).expect("no owner is beyond the last") = index;
        }
        let mut owners = vec![UNCOVERED; usize::from(SLOT_COUNT)];
        for (run, owner) in &decided.table {
            let index = owner.and_then(|owner| indexes.get(owner as usize).copied());
            let entries = owners.get_mut(run.as_indexes()).expect("a range is within the slots");
            entries.fill(index.unwrap_or(UNCOVERED));
        }
        let epochs = decided.owners.iter().map(|owner| decided.epochs.get(owner).copied());
        let epochs = epochs.collect();
        MapParts {
            nodes,
            epochs,
            owners,
            shards: shards.into_values().collect(),
            ..MapParts::default()
        }
    }

    /// Where a node belongs in the next map; `None` if it is gone.
    fn assignment(&self, id: &NodeId) -> Option<Assignment> {
        if self.owners.contains(id) {
            return Some(Assignment::Primary);
        }
        let Some(position) = self.position(id) else {
            // No view contains it. It stays if it replicates an owner that no view contains either.
            let Some(Position::ReplicaOf(primary)) = self.held_positions.get(id) else {
                return None;
            };
            let forgotten = !self.mentions.contains_key(primary) && self.owners.contains(primary);
            return forgotten.then(|| Assignment::ReplicaOf(primary.clone()));
        };
        match position {
            Position::Primary => Some(Assignment::NoShard(Role::Primary)),
            Position::Orphan => match self.held_positions.get(id) {
                Some(Position::ReplicaOf(primary)) if self.owners.contains(primary) => {
                    Some(Assignment::ReplicaOf(primary.clone()))
                }
                _ => Some(Assignment::NoShard(Role::Replica)),
            },
            Position::ReplicaOf(primary) if self.owners.contains(&primary) => {
                Some(Assignment::ReplicaOf(primary))
            }
            // Its primary was replaced: it belongs where that one belongs now.
            Position::ReplicaOf(primary) => match self.position(&primary) {
                Some(Position::ReplicaOf(next)) if self.owners.contains(&next) => {
                    Some(Assignment::ReplicaOf(next))
                }
                _ => Some(Assignment::NoShard(Role::Replica)),
            },
        }
    }

    /// A node's position by the newest views.
    fn position(&self, id: &NodeId) -> Option<Position> {
        let mentions = self.mentions.get(id)?;
        let held = self.held_positions.get(id);
        if let Some(held) = held
            && mentions.iter().all(|mention| !mention.weight.0)
        {
            return Some(held.clone());
        }
        most(newest(mentions).map(|mention| &mention.position), held).cloned()
    }

    /// The properties of a node in the next map.
    fn describe(&self, id: &NodeId, role: Role) -> NodeView {
        let held = self.held.get(id).map(|node| node.as_ref());
        let mentions = self.mentions.get(id).map_or([].as_slice(), Vec::as_slice);
        let newest: Vec<&NodeView> = newest(mentions).map(|mention| mention.node).collect();
        if newest.is_empty() {
            let held = held.expect("the known map or a view contains each node").clone();
            return NodeView { id: id.clone(), role, ..held };
        }
        let told = |endpoint| newest.iter().copied().filter(move |n| n.endpoint == endpoint).min();
        let known = held.and_then(|held| held.endpoint.as_ref());
        let endpoints = newest.iter().filter_map(|node| node.endpoint.as_ref());
        // Nobody answers at the known address: any other one is better.
        let tried = known.filter(|_| self.unreachable.contains(id));
        let others = endpoints.clone().filter(|endpoint| Some(*endpoint) != tried);
        let endpoint = most(others, known).or_else(|| most(endpoints, known)).cloned();
        let address = if endpoint.is_some() { told(endpoint) } else { held.or(told(None)) };
        let address = address.expect("chosen among these nodes");
        let zones = newest.iter().filter_map(|node| node.zone.as_ref());
        let known = |node: &&&NodeView| node.health != ReportedHealth::Unknown;
        NodeView {
            id: id.clone(),
            endpoint: address.endpoint.clone(),
            announced: address.announced.clone(),
            aliases: address.aliases.clone(),
            role,
            zone: most(zones, None).or(held.and_then(|held| held.zone.as_ref())).cloned(),
            offset: newest.iter().filter_map(|node| node.offset).max(),
            health: most(newest.iter().filter(known).map(|node| node.health), None)
                .unwrap_or_default(),
            link_up: newest.iter().any(|node| node.link_up),
        }
    }
}

/// The mentions with the highest weight.
fn newest<'a, 'b>(mentions: &'b [Mention<'a>]) -> impl Iterator<Item = &'b Mention<'a>> {
    let top = mentions.iter().map(|mention| mention.weight).max();
    mentions.iter().filter(move |mention| Some(mention.weight) == top)
}

/// Where a node of the next map belongs.
enum Assignment {
    /// It owns slots.
    Primary,
    /// It replicates this node, which owns slots.
    ReplicaOf(NodeId),
    /// It owns no slots and replicates no node that does.
    NoShard(Role),
}

/// The most frequent value; among equals `favourite`, then the least.
fn most<T: Ord>(values: impl Iterator<Item = T>, favourite: Option<T>) -> Option<T> {
    let mut counts: SortedMap<T, usize> = SortedMap::new();
    for value in values {
        *counts.get_or_insert_with(value, || 0) += 1;
    }
    let top = *counts.values().max()?;
    match favourite {
        Some(value) if counts.get(&value) == Some(&top) => Some(value),
        _ => counts.into_entries().find(|(_, count)| *count == top).map(|(value, _)| value),
    }
}

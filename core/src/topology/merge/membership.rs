//! Which shard each node belongs to, and what is true of it, once the owners of slots are decided.
//!
//! A node is where the newest views put it: those that were right about its shard, among them those
//! with the highest epoch, among them the most. Its address, zone and health are what most of these
//! say; among equals an address stays as it is, since servers learn a new name one after the other.
//! Where all views were wrong about its shard, it stays where it is held to be.
//! Nodes that no view names are kept only while they own slots, or copy one that no view names.
//! Invariant: the order of the views does not matter. Called by `merge`.

use crate::sorted::{SortedMap, SortedSet};
use crate::topology::cluster_map::{ClusterMap, Parts};
use crate::topology::merge::slot_owners::Decided;
use crate::topology::node_id::NodeId;
use crate::topology::slot::SLOT_COUNT;
use crate::topology::slot_map::{Shard, UNCOVERED};
use crate::topology::view::{NodeView, ReportedHealth, Role, View};
use std::sync::Arc;

/// Where a view puts a node. Ordered only to break ties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// It takes writes, for slots or for none yet.
    Primary,
    /// It copies this node.
    ReplicaOf(NodeId),
    /// It copies a node that the view does not know.
    Orphan,
}

/// A node in a view.
#[derive(Clone, Debug)]
struct Mention<'a> {
    /// The more, the better: whether the view was right about its shard, and the shard's epoch.
    weight: (bool, Option<u64>),
    /// Its place.
    place: Place,
    /// What the view says of it.
    node: &'a NodeView,
}

/// Everything that is known of the nodes.
pub(crate) struct Members<'a> {
    /// By id, all mentions in the views that count.
    mentions: SortedMap<&'a NodeId, Vec<Mention<'a>>>,
    /// What is held of a node, under its real id.
    held: SortedMap<&'a NodeId, &'a Arc<NodeView>>,
    /// Where it is held to be, under real ids.
    held_places: SortedMap<&'a NodeId, Place>,
    /// Who owns slots.
    owners: SortedSet<&'a NodeId>,
}

impl<'a> Members<'a> {
    /// Collects what is held and what the views say.
    pub(crate) fn new(
        held: &'a ClusterMap,
        views: &[&'a View],
        renamed: &'a SortedMap<NodeId, NodeId>,
        decided: &'a Decided,
    ) -> Self {
        let named = |id: &'a NodeId| renamed.get(id).unwrap_or(id);
        let mut members = Self {
            mentions: SortedMap::new(),
            held: SortedMap::new(),
            held_places: SortedMap::new(),
            owners: decided.owners.iter().map(|owner| decided.id(*owner)).collect(),
        };
        for node in held.nodes() {
            // A node that is known under both ids is described by the real one.
            let id = named(&node.id);
            if *id == node.id {
                members.held.insert(id, node);
            } else {
                members.held.get_or_insert_with(id, || node);
            }
        }
        for (shard, _) in held.shards() {
            let primary = named(&held.node(shard.primary).id);
            members.held_places.insert(primary, Place::Primary);
            for replica in &shard.replicas {
                let place = Place::ReplicaOf(primary.clone());
                let id = named(&held.node(*replica).id);
                members.held_places.get_or_insert_with(id, || place);
            }
        }
        for shard in views.iter().flat_map(|view| view.shards()) {
            let is_owner = |node: &NodeView| members.owners.contains(&node.id);
            // Slots that the view gives to a node which ended up with none: it is out of date here.
            let right = shard.slots.is_empty() || shard.primary.as_ref().is_some_and(is_owner);
            let weight = (right, shard.epoch);
            for node in shard.nodes() {
                let place = match (&shard.primary, node.role) {
                    (_, Role::Primary) => Place::Primary,
                    (Some(primary), Role::Replica) => Place::ReplicaOf(primary.id.clone()),
                    (None, Role::Replica) => Place::Orphan,
                };
                let mention = Mention { weight, place, node };
                members.mentions.get_or_insert_with(&node.id, Vec::new).push(mention);
            }
        }
        members
    }

    /// The nodes, shards and table of the next map.
    pub(crate) fn into_parts(self, decided: &Decided) -> Parts {
        let ids: SortedSet<&NodeId> =
            self.mentions.keys().chain(self.held.keys()).copied().collect();
        let mut nodes = Vec::new();
        let mut shards: SortedMap<&NodeId, Shard> = SortedMap::new();
        let mut replicas: Vec<(NodeId, usize)> = Vec::new();
        for id in ids.into_values() {
            let Some(home) = self.home(id) else { continue };
            let index = nodes.len();
            let role = match &home {
                Home::Owner => Role::Primary,
                Home::Shard(_) => Role::Replica,
                Home::Nowhere(role) => *role,
            };
            nodes.push(Arc::new(self.describe(id, role)));
            match home {
                Home::Owner => {
                    shards.insert(id, Shard { primary: index, replicas: Vec::new() });
                }
                Home::Shard(primary) => replicas.push((primary, index)),
                Home::Nowhere(_) => {}
            }
        }
        for (primary, index) in replicas {
            let shard = shards.get_mut(&primary).expect("`home` names owners only");
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
        Parts { nodes, epochs, owners, shards: shards.into_values().collect(), ..Parts::default() }
    }

    /// Where a node belongs; `None` if it is gone.
    fn home(&self, id: &NodeId) -> Option<Home> {
        if self.owners.contains(id) {
            return Some(Home::Owner);
        }
        let Some(place) = self.place(id) else {
            // No view names it. It stays if it copies an owner that no view names either.
            let Some(Place::ReplicaOf(primary)) = self.held_places.get(id) else { return None };
            let forgotten = !self.mentions.contains_key(primary) && self.owners.contains(primary);
            return forgotten.then(|| Home::Shard(primary.clone()));
        };
        match place {
            Place::Primary => Some(Home::Nowhere(Role::Primary)),
            Place::Orphan => match self.held_places.get(id) {
                Some(Place::ReplicaOf(primary)) if self.owners.contains(primary) => {
                    Some(Home::Shard(primary.clone()))
                }
                _ => Some(Home::Nowhere(Role::Replica)),
            },
            Place::ReplicaOf(primary) if self.owners.contains(&primary) => {
                Some(Home::Shard(primary))
            }
            // Its primary was replaced: it follows to where that one belongs now.
            Place::ReplicaOf(primary) => match self.place(&primary) {
                Some(Place::ReplicaOf(next)) if self.owners.contains(&next) => {
                    Some(Home::Shard(next))
                }
                _ => Some(Home::Nowhere(Role::Replica)),
            },
        }
    }

    /// Where the newest views put a node.
    fn place(&self, id: &NodeId) -> Option<Place> {
        let mentions = self.mentions.get(id)?;
        let held = self.held_places.get(id);
        if let Some(held) = held
            && mentions.iter().all(|mention| !mention.weight.0)
        {
            return Some(held.clone());
        }
        most(newest(mentions).map(|mention| &mention.place), held).cloned()
    }

    /// What is true of a node.
    fn describe(&self, id: &NodeId, role: Role) -> NodeView {
        let held = self.held.get(id).map(|node| node.as_ref());
        let mentions = self.mentions.get(id).map_or([].as_slice(), Vec::as_slice);
        let newest: Vec<&NodeView> = newest(mentions).map(|mention| mention.node).collect();
        if newest.is_empty() {
            let held = held.expect("a node is held, or a view names it").clone();
            return NodeView { id: id.clone(), role, ..held };
        }
        let told = |endpoint| newest.iter().copied().filter(move |n| n.endpoint == endpoint).min();
        let endpoints = newest.iter().filter_map(|node| node.endpoint.as_ref());
        let endpoint = most(endpoints, held.and_then(|held| held.endpoint.as_ref())).cloned();
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

/// The mentions of the most weight.
fn newest<'a, 'b>(mentions: &'b [Mention<'a>]) -> impl Iterator<Item = &'b Mention<'a>> {
    let top = mentions.iter().map(|mention| mention.weight).max();
    mentions.iter().filter(move |mention| Some(mention.weight) == top)
}

/// Where a node of the next map belongs.
enum Home {
    /// It owns slots.
    Owner,
    /// It copies this node, which owns slots.
    Shard(NodeId),
    /// It owns nothing and copies nobody who does.
    Nowhere(Role),
}

/// What stands most often; among equals `favourite`, then the least.
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

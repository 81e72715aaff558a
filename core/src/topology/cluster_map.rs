//! What the client knows about a deployment: nodes, shards, slots, epochs.
//!
//! A map never changes; a redirect (`patch`) or a refresh (`merge`) makes the next one. The data
//! path reads its [`SlotMap`], whose indexes point into [`ClusterMap::nodes`].
//!
//! Invariants: a node is in one shard at most, and primaries have that role (asserted where a map
//! is assembled); a version stands for one state of the routing, and grows with each change; a
//! patch appends nodes, so that their indexes stay valid.

use super::node_id::NodeId;
use super::slot::Slot;
use super::slot_map::{Shard, SlotMap};
use super::view::{NodeView, ReportedHealth, Role};
use crate::endpoint::Endpoint;
use crate::sorted::SortedMap;
use crate::time::Timestamp;
use std::sync::Arc;

/// How many nodes redirects may add between two refreshes: more than any cluster adds, and few
/// enough that a server that names ever new addresses costs nothing.
const UNNAMED_MAX: usize = 1024;

/// A slot that a redirect has moved, until a view confirms it or knows better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// The version of the map with the redirect. A refresh that began at an older one knows less.
    pub(crate) version: u64,
    /// The epoch of the owner that sent the redirect. Claims up to this epoch are out of date.
    pub(crate) floor: Option<u64>,
}

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterMap {
    /// Grows with each change; 0 is the empty map.
    version: u64,
    /// All nodes, also those without slots that replicate no node.
    nodes: Vec<Arc<NodeView>>,
    /// Slots to shards, shards to indexes of `nodes`.
    slots: SlotMap,
    /// The config epoch of each shard of `slots`, where one was told.
    epochs: Vec<Option<u64>>,
    /// Slots that a redirect has moved and no view has confirmed.
    patches: SortedMap<Slot, Patch>,
    /// Slots that no node serves, by what the nodes say, and since when this client knows. They may
    /// still have an owner here: the last one that was known.
    uncovered: SortedMap<Slot, Timestamp>,
}

/// The parts of a map, as `merge` makes them.
#[derive(Debug, Default)]
pub(crate) struct MapParts {
    /// See `ClusterMap`.
    pub(crate) nodes: Vec<Arc<NodeView>>,
    /// See `ClusterMap`.
    pub(crate) shards: Vec<Shard>,
    /// See `SlotMap`.
    pub(crate) owners: Vec<u16>,
    /// See `ClusterMap`.
    pub(crate) epochs: Vec<Option<u64>>,
    /// See `ClusterMap`.
    pub(crate) patches: SortedMap<Slot, Patch>,
    /// See `ClusterMap`.
    pub(crate) uncovered: SortedMap<Slot, Timestamp>,
}

impl ClusterMap {
    /// The empty map: no node, no slot.
    pub(crate) fn empty() -> Self {
        let owners = vec![super::slot_map::UNCOVERED; usize::from(super::slot::SLOT_COUNT)];
        Self::assemble(0, MapParts { owners, ..MapParts::default() })
    }

    /// The map of a deployment without slots: one primary, which owns all of them, and its
    /// replicas.
    pub(crate) fn single(primary: NodeView, replicas: Vec<NodeView>) -> Self {
        let mut nodes = vec![Arc::new(NodeView { role: Role::Primary, ..primary })];
        let replicas = replicas.into_iter();
        nodes.extend(replicas.map(|node| Arc::new(NodeView { role: Role::Replica, ..node })));
        let shards = vec![Shard { primary: 0, replicas: (1..nodes.len()).collect() }];
        let owners = vec![0; usize::from(super::slot::SLOT_COUNT)];
        let epochs = vec![None];
        Self::assemble(1, MapParts { nodes, shards, owners, epochs, ..MapParts::default() })
    }

    /// The map of these parts.
    pub(crate) fn assemble(version: u64, parts: MapParts) -> Self {
        let MapParts { nodes, shards, owners, epochs, patches, uncovered } = parts;
        assert_eq!(shards.len(), epochs.len(), "each shard has an entry for its epoch");
        let mut taken = vec![false; nodes.len()];
        for shard in &shards {
            for index in shard.replicas.iter().chain([&shard.primary]) {
                let taken = taken.get_mut(*index).expect("shards consist of nodes of the map");
                assert!(!std::mem::replace(taken, true), "a node is in one shard at most");
            }
            let role = nodes.get(shard.primary).map(|node| node.role);
            assert_eq!(role, Some(Role::Primary), "a shard's primary has that role");
        }
        let slots = SlotMap::new(shards, owners);
        Self { version, nodes, slots, epochs, patches, uncovered }
    }

    /// Grows with each change of the routing. A refresh remembers it when it begins.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The same map under another version.
    pub(crate) fn with_version(self, version: u64) -> Self {
        Self { version, ..self }
    }

    /// All nodes. The indexes that `slots` uses.
    pub(crate) fn nodes(&self) -> &[Arc<NodeView>] {
        &self.nodes
    }

    /// The slot map, which the data path reads.
    pub(crate) fn slots(&self) -> &SlotMap {
        &self.slots
    }

    /// The shards, each with its index in the table of slots and its epoch.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (&Shard, Option<u64>)> {
        self.slots.shards().iter().zip(self.epochs.iter().copied())
    }

    /// The node at an index that this map gave out.
    pub(crate) fn node(&self, index: usize) -> &Arc<NodeView> {
        self.nodes.get(index).expect("an index of this map")
    }

    /// The primary that owns `slot`.
    pub(crate) fn owner(&self, slot: Slot) -> Option<&Arc<NodeView>> {
        self.slots.shard_at(slot).map(|shard| self.node(shard.primary))
    }

    /// Slots that a redirect has moved and no view has confirmed.
    pub(crate) fn patches(&self) -> &SortedMap<Slot, Patch> {
        &self.patches
    }

    /// Whether slots belong to a node that only a redirect has named.
    pub(crate) fn has_unconfirmed_owners(&self) -> bool {
        let mut patched = self.patches.keys();
        patched.any(|slot| self.owner(*slot).is_some_and(|owner| owner.id.is_provisional()))
    }

    /// Slots that no node serves, and since when this client knows.
    pub(crate) fn uncovered(&self) -> &SortedMap<Slot, Timestamp> {
        &self.uncovered
    }

    /// Since when this client knows that no node serves the slot.
    pub(crate) fn uncovered_since(&self, slot: Slot) -> Option<Timestamp> {
        self.uncovered.get(&slot).copied()
    }

    /// How many slots are served: they have an owner, and are not `uncovered`.
    pub(crate) fn coverage(&self) -> u16 {
        let denied = self.uncovered.keys().filter(|slot| self.owner(**slot).is_some()).count();
        self.slots.owned() - u16::try_from(denied).expect("no more than all slots")
    }

    /// The index of the node that listens at `endpoint`, by its endpoint or, failing that, by an
    /// alias that no other node shares. Of several nodes at one endpoint, one that has not failed,
    /// since the address of one that has may be reused; then the one that owns slots.
    pub(crate) fn node_at(&self, endpoint: &Endpoint) -> Option<usize> {
        let nodes = || self.nodes.iter().enumerate();
        let there = nodes().filter(|(_, node)| node.endpoint.as_ref() == Some(endpoint));
        let owns = |index| self.slots.shards().iter().any(|shard| shard.primary == index);
        let has_failed = |node: &NodeView| node.health == ReportedHealth::Failed;
        let rank = |(index, node): &(usize, &Arc<NodeView>)| {
            (has_failed(node), !owns(*index), node.health)
        };
        if let Some((index, _)) = there.min_by_key(rank) {
            return Some(index);
        }
        let mut aliased = nodes().filter(|(_, node)| node.aliases.contains(endpoint));
        match (aliased.next(), aliased.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }

    /// The next map, in which the node at `to` owns `slot`, as a redirect says; `None` if this map
    /// says so already.
    ///
    /// Only this slot changes its owner. A node that no view has named gets a provisional id and a
    /// shard of its own, until a refresh tells its id.
    // spec: cluster-spec, "MOVED Redirection"
    pub(crate) fn patch(&self, slot: Slot, to: &Endpoint) -> Option<Self> {
        let before = self.slots.shard_at(slot);
        let found = self.node_at(to);
        let settled = found.is_some() && before.map(|shard| shard.primary) == found;
        if settled && !self.uncovered.contains_key(&slot) {
            return None;
        }
        let unnamed = || self.nodes.iter().filter(|node| node.id.is_provisional()).count();
        if found.is_none() && unnamed() >= UNNAMED_MAX {
            return None;
        }
        let (mut nodes, mut shards) = (self.nodes.clone(), self.slots.shards().to_vec());
        let target = found.unwrap_or_else(|| {
            nodes.push(Arc::new(NodeView::provisional(to)));
            nodes.len() - 1
        });
        let node = nodes.get_mut(target).expect("found or pushed above");
        if node.role != Role::Primary || node.endpoint.is_none() {
            let node = Arc::make_mut(node);
            node.role = Role::Primary;
            node.endpoint.get_or_insert_with(|| to.clone());
        }
        let mut epochs = self.epochs.clone();
        let owner = shards.iter().position(|shard| shard.primary == target).unwrap_or_else(|| {
            shards.iter_mut().for_each(|shard| shard.replicas.retain(|index| *index != target));
            shards.push(Shard { primary: target, replicas: Vec::new() });
            epochs.push(None);
            shards.len() - 1
        });
        let version = self.version + 1;
        let (mut patches, mut uncovered) = (self.patches.clone(), self.uncovered.clone());
        let floor = self.epochs.get(usize::from(self.slots.owner_at(slot))).copied().flatten();
        patches.insert(slot, Patch { version, floor });
        uncovered.remove(&slot);
        let owner = u16::try_from(owner).ok().filter(|owner| *owner < u16::MAX)?;
        let slots = self.slots.with_shards(shards).with_owner(slot, owner);
        Some(Self { version, nodes, slots, epochs, patches, uncovered })
    }
}

impl NodeView {
    /// A primary of which only the endpoint is known.
    pub(crate) fn provisional(endpoint: &Endpoint) -> Self {
        Self {
            id: NodeId::provisional(endpoint),
            endpoint: Some(endpoint.clone()),
            announced: None,
            aliases: Vec::new(),
            role: Role::Primary,
            zone: None,
            offset: None,
            health: ReportedHealth::Unknown,
            link_up: true,
        }
    }
}

#[cfg(test)]
mod tests;

//! What the client knows about a deployment: nodes, shards, slots, epochs.
//!
//! A map never changes; a redirect (`patch`) or a refresh (`merge`) makes the next one. The data
//! path reads its [`SlotMap`], whose indexes point into [`ClusterMap::nodes`].
//!
//! Invariants: a node is in one shard at most, and primaries have that role (asserted where a map
//! is assembled); a version stands for one state of the routing, and grows with each change; a
//! patch appends nodes, so that their indexes stay valid.

use super::node_id::NodeId;
use super::node_index::NodeIndex;
use super::slot::Slot;
use super::slot_map::{Shard, SlotMap, UNCOVERED};
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
    nodes: Arc<[Arc<NodeView>]>,
    /// The same by their ids and endpoints.
    index: Arc<NodeIndex>,
    /// Of each node, the shard of which it is the primary, or `UNCOVERED`.
    led: Arc<[u16]>,
    /// Slots to shards, shards to indexes of `nodes`.
    slots: SlotMap,
    /// The config epoch of each shard of `slots`, where one was told.
    epochs: Arc<[Option<u64>]>,
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
        let owners = vec![UNCOVERED; usize::from(super::slot::SLOT_COUNT)];
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
        let mut led = vec![UNCOVERED; nodes.len()];
        for (number, shard) in (0..).zip(&shards) {
            for index in shard.replicas.iter().chain([&shard.primary]) {
                let taken = taken.get_mut(*index).expect("shards consist of nodes of the map");
                assert!(!std::mem::replace(taken, true), "a node is in one shard at most");
            }
            let role = nodes.get(shard.primary).map(|node| node.role);
            assert_eq!(role, Some(Role::Primary), "a shard's primary has that role");
            led[shard.primary] = number;
        }
        let slots = SlotMap::new(shards, owners);
        let index = Arc::new(NodeIndex::of(&nodes));
        let (nodes, led, epochs) = (nodes.into(), led.into(), epochs.into());
        Self { version, nodes, index, led, slots, epochs, patches, uncovered }
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

    /// The index of the node with this id.
    pub(crate) fn node_with_id(&self, id: &NodeId) -> Option<usize> {
        self.index.with_id(&self.nodes, id)
    }

    /// The shard of which the node at an index is the primary.
    pub(crate) fn shard_led_by(&self, index: usize) -> Option<&Shard> {
        self.slots.shards().get(usize::from(*self.led.get(index)?))
    }

    /// Whether `other` has the same nodes and shards, so that only slots have other owners.
    pub(crate) fn has_nodes_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.nodes, &other.nodes) && Arc::ptr_eq(&self.led, &other.led)
    }

    /// The indexes of the nodes that are known by this endpoint, each with whether it is an alias.
    /// The nodes that are dialled there come first.
    pub(crate) fn nodes_at<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> impl Iterator<Item = (usize, bool)> + Clone + 'a {
        self.index.at(&self.nodes, endpoint)
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
        let known = self.nodes_at(endpoint);
        let there = known.clone().take_while(|(_, is_alias)| !is_alias).map(|(index, _)| index);
        let rank = |index: &usize| {
            let health = self.node(*index).health;
            (health == ReportedHealth::Failed, self.shard_led_by(*index).is_none(), health)
        };
        if let Some(index) = there.min_by_key(rank) {
            return Some(index);
        }
        // None is dialled there: all of these are aliases.
        let mut aliased = known;
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
        if let Some(owner) = found.and_then(|index| self.led.get(index)).copied()
            && owner != UNCOVERED
            && found.is_some_and(|index| self.node(index).endpoint.is_some())
        {
            return Some(self.clone().with_patch(slot, owner, self));
        }
        let unnamed = || self.nodes.iter().filter(|node| node.id.is_provisional()).count();
        if found.is_none() && unnamed() >= UNNAMED_MAX {
            return None;
        }
        let (mut nodes, mut shards) = (self.nodes.to_vec(), self.slots.shards().to_vec());
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
        let mut epochs = self.epochs.to_vec();
        let owner = shards.iter().position(|shard| shard.primary == target).unwrap_or_else(|| {
            shards.iter_mut().for_each(|shard| shard.replicas.retain(|index| *index != target));
            shards.push(Shard { primary: target, replicas: Vec::new() });
            epochs.push(None);
            shards.len() - 1
        });
        let owner = u16::try_from(owner).ok().filter(|owner| *owner < UNCOVERED)?;
        let mut led = vec![UNCOVERED; nodes.len()];
        (0..).zip(&shards).for_each(|(number, shard)| led[shard.primary] = number);
        let next = Self {
            slots: self.slots.with_shards(shards),
            index: Arc::new(NodeIndex::of(&nodes)),
            nodes: nodes.into(),
            led: led.into(),
            epochs: epochs.into(),
            ..self.clone()
        };
        Some(next.with_patch(slot, owner, self))
    }

    /// The same map, after `held`, in which a redirect has given `slot` to the shard at `owner`.
    fn with_patch(mut self, slot: Slot, owner: u16, held: &Self) -> Self {
        self.version = held.version + 1;
        let floor = held.epochs.get(usize::from(held.slots.owner_at(slot))).copied().flatten();
        self.patches.insert(slot, Patch { version: self.version, floor });
        self.uncovered.remove(&slot);
        self.slots = self.slots.with_owner(slot, owner);
        self
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

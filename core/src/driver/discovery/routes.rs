//! A slot map together with its nodes: what commands are routed by.
//!
//! It never changes; a change publishes another one. The data path reads it without a lock.
//! Commands without a key go to the primaries in turn. Primaries without a live connection are
//! passed over, so that one that is down delays no such command, and none is dialled for one.

use crate::Endpoint;
use crate::command::Command;
use crate::driver::environment::metrics::{NodeMetrics, NodeState};
use crate::driver::node::node::Node;
use crate::rng::Rng;
use crate::routing::destination::Destination;
use crate::sorted::SortedMap;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use crate::topology::view::{NodeView, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Slots to shards, shards to nodes.
    pub(crate) map: ClusterMap,
    /// The nodes, by the map's indexes; `None` where the servers do not say where to dial.
    pub(crate) nodes: Arc<[Option<Arc<Node>>]>,
    /// The indexes of the nodes, by their numbers.
    members: Arc<SortedMap<u64, usize>>,
    /// Round-robin counter over the primaries, for commands without a key; wraps around.
    next_primary: AtomicUsize,
    /// The shard whose primary was found connected last, where few are.
    connected: AtomicUsize,
}

/// So many primaries are looked at in turn for one that is connected. Where none of them is, all
/// are searched once, and the one that is found takes such commands as long as it is connected.
const IN_TURN_MAX: usize = 16;

impl Routes {
    /// `rng` chooses the primary to begin with, so that clients that start together spread out.
    pub(crate) fn new(map: ClusterMap, nodes: Vec<Option<Arc<Node>>>, rng: &mut Rng) -> Self {
        let first = rng.below(nodes.len().max(1) as u64) as usize;
        let mut members = SortedMap::new();
        for (index, node) in nodes.iter().enumerate() {
            if let Some(node) = node {
                members.get_or_insert_with(node.number(), || index);
            }
        }
        let (next_primary, connected) = (AtomicUsize::new(first), AtomicUsize::new(first));
        Self { map, nodes: nodes.into(), members: Arc::new(members), next_primary, connected }
    }

    /// The routes of a map that differs in the owners of slots only.
    pub(crate) fn with_owners(&self, map: ClusterMap) -> Self {
        let (nodes, members) = (Arc::clone(&self.nodes), Arc::clone(&self.members));
        let [next_primary, connected] = [&self.next_primary, &self.connected]
            .map(|number| AtomicUsize::new(number.load(Ordering::Relaxed)));
        Self { map, nodes, members, next_primary, connected }
    }

    /// The nodes that the map knows by this endpoint. A node is also here if it is connected by
    /// another name than the map prefers, since that is an alias there.
    pub(crate) fn nodes_at<'a>(
        &'a self,
        endpoint: &'a Endpoint,
    ) -> impl Iterator<Item = &'a Arc<Node>> {
        self.map.nodes_at(endpoint).filter_map(|(index, _)| self.node(index))
    }

    /// The indexes of the nodes, by their numbers. Routes with the same nodes share it.
    pub(crate) fn members(&self) -> &Arc<SortedMap<u64, usize>> {
        &self.members
    }

    /// Whether this is one of the nodes.
    pub(crate) fn contains(&self, node: &Node) -> bool {
        self.members.contains_key(&node.number())
    }

    /// The node at one of the map's indexes.
    pub(crate) fn node(&self, index: usize) -> Option<&Arc<Node>> {
        self.nodes.get(index)?.as_ref()
    }

    /// All nodes that can be dialled.
    pub(crate) fn dialable(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().flatten()
    }

    /// State and load of the nodes that can be dialled.
    pub(crate) fn metrics(&self) -> Vec<NodeMetrics> {
        let views = self.map.nodes().iter().zip(&*self.nodes);
        let one = |(view, node): (&Arc<NodeView>, &Option<Arc<Node>>)| {
            let node = node.as_ref()?;
            let in_flight = node.in_flight();
            let state = match in_flight {
                Some(_) => NodeState::Connected,
                None if node.is_failing() => NodeState::Failing,
                None => NodeState::Idle,
            };
            let (exclusive_busy, exclusive_idle) = node.exclusive_count();
            Some(NodeMetrics {
                id: view.id.clone(),
                endpoint: node.endpoint().clone(),
                primary: view.role == Role::Primary,
                state,
                in_flight: in_flight.unwrap_or_default(),
                exclusive_busy,
                exclusive_idle,
            })
        };
        views.filter_map(one).collect()
    }

    /// All primaries that can be dialled.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.map.shards().filter_map(|(shard, _)| self.node(shard.primary))
    }

    /// The node that every command goes to, if there is only one.
    pub(crate) fn only(&self) -> Option<&Arc<Node>> {
        match &*self.nodes {
            [node] if self.map.slots().only().is_some() => node.as_ref(),
            _ => None,
        }
    }

    /// The node that a command goes to by its first key.
    #[inline]
    pub(crate) fn node_for(&self, command: &Command) -> Option<&Arc<Node>> {
        let slots = self.map.slots();
        if let Some(shard) = slots.only() {
            return self.node(shard.primary);
        }
        match command.first_key() {
            Some(key) => self.node(slots.shard_of(key)?.primary),
            None => self.next_primary(),
        }
    }

    /// The primary that owns a slot.
    #[inline]
    pub(crate) fn owner(&self, slot: Slot) -> Option<&Arc<Node>> {
        self.node(self.map.slots().shard_at(slot)?.primary)
    }

    /// The node that a destination means now.
    pub(crate) fn resolve(
        &self,
        destination: &Destination,
        command: &Command,
    ) -> Option<&Arc<Node>> {
        match destination {
            Destination::Any => self.next_primary(),
            Destination::Key => self.node_for(command),
            _ => self.node(self.index_of(destination)?),
        }
    }

    /// The index of the node that a destination means now, without regard to the command.
    pub(crate) fn index_of(&self, destination: &Destination) -> Option<usize> {
        let find = |id: &NodeId| self.map.node_with_id(id);
        match destination {
            Destination::Any | Destination::Key => None,
            Destination::At(endpoint) => self.map.node_at(endpoint),
            Destination::Node(id) => find(id),
            Destination::Primary(id) => {
                find(id).filter(|index| self.map.shard_led_by(*index).is_some())
            }
            Destination::Shard(slot) | Destination::Slot(slot) => {
                Some(self.map.slots().shard_at(*slot)?.primary)
            }
        }
    }

    /// Whether a destination means another node than this one now, or none.
    pub(crate) fn leads_away(
        &self,
        destination: &Destination,
        command: &Command,
        node: &Arc<Node>,
    ) -> bool {
        match destination {
            // Any node can run it, this one too.
            Destination::Any => false,
            Destination::Key if command.first_key().is_none() => false,
            Destination::Key | Destination::Shard(_) | Destination::Slot(_) => {
                self.resolve(destination, command).is_some_and(|other| !Arc::ptr_eq(other, node))
            }
            _ => self.resolve(destination, command).is_none_or(|other| !Arc::ptr_eq(other, node)),
        }
    }

    /// The next primary with a live connection; where none has one, the next primary.
    // Not a part of its callers, which are on the way of commands with keys.
    #[inline(never)]
    fn next_primary(&self) -> Option<&Arc<Node>> {
        let shards = self.map.slots().shards();
        if let [only] = shards {
            return self.node(only.primary);
        }
        let first = self.next_primary.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..shards.len()).map(|step| first.wrapping_add(step) % shards.len());
        let primary = |at: usize| self.node(shards.get(at)?.primary);
        let live = |at: &usize| {
            let link = primary(*at).and_then(|node| node.ready());
            link.is_some_and(|link| !link.is_closed())
        };
        let found = in_turn.clone().take(IN_TURN_MAX).find(live).or_else(|| {
            let known = self.connected.load(Ordering::Relaxed);
            let found = Some(known).filter(live).or_else(|| in_turn.clone().find(live))?;
            self.connected.store(found, Ordering::Relaxed);
            Some(found)
        });
        found.and_then(primary).or_else(|| in_turn.filter_map(primary).next())
    }
}

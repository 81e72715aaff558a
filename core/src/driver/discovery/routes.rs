//! A slot map with the nodes that it speaks of: what a command is routed by.
//!
//! Never changes; a change publishes another. The data path reads it without a lock.
//! Commands without a key go to the primaries in turn, and past those that have no live connection:
//! a primary that is down costs them nothing, and none is dialled for their sake.
//! Called by `driver/topology.rs`, which publishes, and by everything that sends.

use crate::command::Command;
use crate::driver::environment::metrics::{NodeMetrics, NodeState};
use crate::driver::node::node::Node;
use crate::rng::Rng;
use crate::routing::destination::Destination;
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
    /// The nodes, by the map's indexes; none where the servers do not say where to dial.
    pub(crate) nodes: Vec<Option<Arc<Node>>>,
    /// Which primary is next for a command without a key; any number.
    turn: AtomicUsize,
}

impl Routes {
    /// `chance` says with which primary to begin.
    pub(crate) fn new(map: ClusterMap, nodes: Vec<Option<Arc<Node>>>, chance: &mut Rng) -> Self {
        let turn = chance.below(nodes.len().max(1) as u64) as usize;
        Self { map, nodes, turn: AtomicUsize::new(turn) }
    }

    /// The node at one of the map's indexes.
    pub(crate) fn node(&self, index: usize) -> Option<&Arc<Node>> {
        self.nodes.get(index)?.as_ref()
    }

    /// All nodes that can be dialled.
    pub(crate) fn dialable(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.iter().flatten()
    }

    /// How the nodes do that can be dialled.
    pub(crate) fn metrics(&self) -> Vec<NodeMetrics> {
        let views = self.map.nodes().iter().zip(&self.nodes);
        let one = |(view, node): (&Arc<NodeView>, &Option<Arc<Node>>)| {
            let node = node.as_ref()?;
            let live = node.ready().filter(|link| !link.is_closed());
            let state = match &live {
                Some(_) => NodeState::Connected,
                None if node.is_failing() => NodeState::Failing,
                None => NodeState::Idle,
            };
            Some(NodeMetrics {
                id: view.id.clone(),
                endpoint: node.endpoint().clone(),
                primary: view.role == Role::Primary,
                state,
                in_flight: live.map_or(0, |link| link.load()),
            })
        };
        views.filter_map(one).collect()
    }

    /// All primaries that can be dialled.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.map.shards().filter_map(|(shard, _)| self.node(shard.primary))
    }

    /// The node that every command goes to, whatever it is, if there is but one.
    pub(crate) fn only(&self) -> Option<&Arc<Node>> {
        match self.nodes.as_slice() {
            [node] if self.map.slots().only().is_some() => node.as_ref(),
            _ => None,
        }
    }

    /// The node that a command goes to by itself.
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

    /// The node that an aim means now.
    pub(crate) fn resolve(&self, aim: &Destination, command: &Command) -> Option<&Arc<Node>> {
        match aim {
            Destination::Any => self.next_primary(),
            Destination::Key => self.node_for(command),
            _ => self.node(self.index_of(aim)?),
        }
    }

    /// The index of the node that an aim means by itself now.
    pub(crate) fn index_of(&self, aim: &Destination) -> Option<usize> {
        let find = |id: &NodeId| self.map.nodes().iter().position(|node| node.id == *id);
        match aim {
            Destination::Any | Destination::Key => None,
            Destination::At(endpoint) => self.map.node_at(endpoint),
            Destination::Node(id) => find(id),
            Destination::Primary(id) => {
                let leads = |index: &usize| self.map.shards().any(|(s, _)| s.primary == *index);
                find(id).filter(leads)
            }
            Destination::Shard(slot) | Destination::Slot(slot) => {
                Some(self.map.slots().shard_at(*slot)?.primary)
            }
        }
    }

    /// Whether an aim means another node than this by now, or none.
    pub(crate) fn leads_away(
        &self,
        aim: &Destination,
        command: &Command,
        node: &Arc<Node>,
    ) -> bool {
        match aim {
            // Anybody will do, and this one is as good as the next.
            Destination::Any => false,
            Destination::Key if command.first_key().is_none() => false,
            Destination::Key | Destination::Shard(_) | Destination::Slot(_) => {
                self.resolve(aim, command).is_some_and(|other| !Arc::ptr_eq(other, node))
            }
            _ => self.resolve(aim, command).is_none_or(|other| !Arc::ptr_eq(other, node)),
        }
    }

    /// The next primary with a live connection; the next one at all where none has.
    fn next_primary(&self) -> Option<&Arc<Node>> {
        let shards = self.map.slots().shards();
        if let [only] = shards {
            return self.node(only.primary);
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..shards.len()).map(|step| turn.wrapping_add(step) % shards.len());
        let mut nodes = in_turn.filter_map(|at| self.node(shards[at].primary));
        let live = |node: &&Arc<Node>| node.ready().is_some_and(|link| !link.is_closed());
        nodes.clone().find(live).or_else(|| nodes.next())
    }
}

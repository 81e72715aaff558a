//! A new map becomes the routes that commands use: nodes that are known already are kept.
//!
//! Invariants: a node keeps its connections through every change that keeps its id and leaves its
//! endpoint among its names; other nodes are retired, which ends their connections when nothing is
//! in flight on them. Seeds are kept for the client's whole life.

use crate::Endpoint;
use crate::connection::handshake::Profile;
use crate::driver::discovery::live_topology::{LiveTopology, State};
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::view::{NodeView, ReportedHealth, Role};
use std::sync::Arc;

impl LiveTopology {
    /// Makes routes of a map, and publishes them.
    pub(super) fn publish(&self, state: &mut State, map: ClusterMap) {
        let old = self.routes.load_full();
        let nodes = self.nodes_of(&map, &old, state);
        // Reads go to other replicas first while the servers say that this one is down.
        let views = map.nodes().iter().zip(&nodes);
        for (view, node) in views.filter_map(|(view, node)| Some((view, node.as_ref()?))) {
            let is_down = view.health >= ReportedHealth::Suspected && !node.is_live();
            if view.role == Role::Replica && is_down {
                node.health().record_failure(self.env.now(), "the servers say that it is down");
            }
        }
        let is_kept = |node: &Arc<Node>| nodes.iter().flatten().any(|kept| Arc::ptr_eq(kept, node));
        // A primary that is listed without a slot: what is in flight to it ends as at one that has
        // left. If it lives, it answers.
        let owning = owners(&map);
        let owns = |node: &Arc<Node>| {
            let mut owners = owning.iter().filter_map(|index| nodes[*index].as_ref());
            owners.any(|owner| Arc::ptr_eq(owner, node))
        };
        let owned = owners(&old.map).into_iter().filter_map(|index| old.node(index));
        owned.filter(|node| is_kept(node) && !owns(node)).for_each(|node| node.redial());
        let seeds = &self.env.config().endpoints;
        let removed: Vec<_> = old.dialable().filter(|node| !is_kept(node)).cloned().collect();
        state.unlisted.retain(|node| seeds.contains(node.endpoint()) || !is_kept(node));
        for node in removed {
            if !seeds.contains(node.endpoint()) {
                node.retire();
            } else if !state.unlisted.iter().any(|other| Arc::ptr_eq(other, &node)) {
                // A seed that is no member any more can still be asked. What is in flight to it as
                // a member ends as at any other that has left.
                node.redial();
                state.unlisted.push(node);
            }
        }
        self.routes.store(Arc::new(Routes::new(map, nodes, &mut self.env.rng())));
        self.published.notify(usize::MAX);
    }

    /// The node of each view of the map, known or new; none where the servers do not say where to
    /// dial.
    fn nodes_of(&self, map: &ClusterMap, old: &Routes, state: &State) -> Vec<Option<Arc<Node>>> {
        // Behind sentinels, a server that was made the primary is dialled again, so that its ROLE
        // confirms it; one that was made a replica loses what is in flight to it as a primary.
        // In a cluster, connections to replicas begin with READONLY, which a primary must never
        // get: made a replica, it would answer commands that are meant for the primary.
        let (primary, replica) = match state.sentinels {
            Some(_) => (Profile::Primary, Profile::Server),
            None => (Profile::Server, Profile::Replica),
        };
        let profile_of = |view: &NodeView| match view.role {
            Role::Primary => primary,
            Role::Replica => replica,
        };
        let find = |endpoint: &Endpoint, profile| {
            let mut known = old.dialable().chain(&state.unlisted);
            known.find(|n| n.endpoint() == endpoint && n.profile() == profile).cloned()
        };
        let node = |view: &Arc<NodeView>| {
            let endpoint = view.endpoint.as_ref()?;
            let profile = profile_of(view);
            let new = || Arc::new(Node::new(endpoint.clone(), profile, &self.env));
            let same = renamed(old, map, view).filter(|node| node.profile() == profile);
            Some(same.cloned().or_else(|| find(endpoint, profile)).unwrap_or_else(new))
        };
        map.nodes().iter().map(node).collect()
    }
}

/// The indexes of the nodes that own a slot.
fn owners(map: &ClusterMap) -> Vec<usize> {
    let slots = map.slots();
    if let Some(shard) = slots.only() {
        return vec![shard.primary];
    }
    let mut owners: Vec<usize> = Vec::new();
    for shard in slots.edges().filter_map(|slot| slots.shard_at(slot)) {
        if !owners.contains(&shard.primary) {
            owners.push(shard.primary);
        }
    }
    owners
}

/// The node that had this view's id before, if it is connected under another of the view's names.
/// Servers tell an address at one time and a host name at another; the connection stays as good.
fn renamed<'r>(old: &'r Routes, map: &ClusterMap, view: &NodeView) -> Option<&'r Arc<Node>> {
    let before = old.map.nodes().iter().position(|node| node.id == view.id)?;
    let node = old.node(before)?;
    let has_its_endpoint = |other: &Arc<NodeView>| {
        other.id != view.id && other.endpoint.as_ref() == Some(node.endpoint())
    };
    let fits = view.aliases.contains(node.endpoint())
        && node.is_live()
        && !map.nodes().iter().any(has_its_endpoint);
    fits.then_some(node)
}

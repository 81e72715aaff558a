//! A new map becomes the routes that commands use: nodes that are known already are kept.
//!
//! Invariants: a node keeps its connections through every change that keeps its id and leaves its
//! endpoint among its names; other nodes are retired, which ends their connections when nothing is
//! in flight on them. A node has one id for its whole life: where the map has another id at an
//! endpoint, there is another node. Seeds are kept for the client's whole life, as endpoints: one
//! that leaves the map may be any node of the cluster again.

use crate::Endpoint;
use crate::connection::handshake::Profile;
use crate::driver::discovery::live_topology::{LiveTopology, State};
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::node_id::NodeId;
use crate::topology::view::{NodeView, ReportedHealth, Role};
use std::sync::Arc;

impl LiveTopology {
    /// Makes routes of a map, and publishes them.
    pub(super) fn publish(&self, state: &mut State, map: ClusterMap) {
        let old = self.routes.load_full();
        let nodes = self.nodes_of(&map, &old, state);
        self.env.members().set(&map);
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
        state.unlisted.retain(|node| seeds.contains(node.endpoint()) || !is_kept(node));
        for seed in &mut state.unlisted {
            if is_kept(seed) {
                continue;
            }
            let (endpoint, profile) = (seed.endpoint().clone(), seed.profile());
            if seed.target().expected().is_some() {
                // No member any more. It can still be asked, whichever node it is by now.
                let there = |n: &&Arc<Node>| n.endpoint() == &endpoint && n.profile() == profile;
                let listed = nodes.iter().flatten().find(there).cloned();
                seed.retire();
                *seed = listed.unwrap_or_else(|| Arc::new(Node::new(endpoint, profile, &self.env)));
            } else if old.dialable().any(|node| Arc::ptr_eq(node, seed)) {
                // What is in flight to it as a member ends as at any other that has left.
                seed.redial();
            }
        }
        let is_unlisted = |node: &Arc<Node>| state.unlisted.iter().any(|o| Arc::ptr_eq(o, node));
        let removed = old.dialable().filter(|node| !is_kept(node) && !is_unlisted(node));
        removed.for_each(|node| node.retire());
        nodes.iter().flatten().chain(&state.unlisted).for_each(|node| node.recheck(&self.env));
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
        let find = |endpoint: &Endpoint, profile, id: &NodeId| {
            let known = || {
                let all = old.dialable().chain(&state.unlisted);
                all.filter(|n| n.endpoint() == endpoint && n.profile() == profile)
            };
            // Of several nodes at one endpoint, the one that is known to have the id.
            let exact = known().find(|node| node.target().expected() == Some(id));
            exact.or_else(|| known().find(|node| node.may_be(id))).cloned()
        };
        let node = |view: &Arc<NodeView>| {
            let endpoint = view.endpoint.as_ref()?;
            let profile = profile_of(view);
            let new = || Arc::new(Node::new(endpoint.clone(), profile, &self.env));
            let same = renamed(old, map, view).filter(|node| node.profile() == profile);
            let node =
                same.cloned().or_else(|| find(endpoint, profile, &view.id)).unwrap_or_else(new);
            if state.sentinels.is_none() {
                node.target().expect(&view.id);
            }
            Some(node)
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

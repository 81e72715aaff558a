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
use crate::sorted::{SortedMap, SortedSet};
use crate::topology::cluster_map::ClusterMap;
use crate::topology::node_id::NodeId;
use crate::topology::slot::Slot;
use crate::topology::view::{NodeView, ReportedHealth, Role};
use std::sync::Arc;

impl LiveTopology {
    /// Publishes a map in which a redirect has moved `slot`. Mostly to a primary that owned slots
    /// before: then no node is looked at but the two.
    pub(super) fn publish_moved(&self, state: &mut State, slot: Slot, map: ClusterMap) {
        let old = self.routes.load_full();
        if !map.has_nodes_of(&old.map) {
            return self.publish(state, map);
        }
        // What is in flight to a primary without a slot ends as at one that has left.
        if !map.slots().owns_any(old.map.slots().owner_at(slot))
            && let Some(before) = old.owner(slot)
        {
            before.redial();
        }
        self.routes.store(Arc::new(old.with_owners(map)));
        self.published.notify(usize::MAX);
    }

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
        let routes = Arc::new(Routes::new(map, nodes, &mut self.env.rng()));
        let is_kept = |node: &Arc<Node>| routes.contains(node);
        // A primary that is listed without a slot: what is in flight to it ends as at one that has
        // left. If it lives, it answers.
        let owning = owners(&routes);
        let owned = owners(&old).into_entries().filter(|(number, _)| !owning.contains_key(number));
        owned.map(|(_, node)| node).filter(|node| is_kept(node)).for_each(|node| node.redial());
        let seeds = &self.env.config().endpoints;
        state.unlisted.retain(|node| !is_kept(node) || seeds.contains(node.endpoint()));
        for seed in &mut state.unlisted {
            if is_kept(seed) {
                continue;
            }
            let (endpoint, profile) = (seed.endpoint().clone(), seed.profile());
            if seed.target().expected().is_some() {
                // No member any more. It can still be asked, whichever node it is by now.
                let there = |n: &&Arc<Node>| n.endpoint() == &endpoint && n.profile() == profile;
                let listed = routes.nodes_at(&endpoint).find(there).cloned();
                seed.retire();
                *seed = listed.unwrap_or_else(|| Arc::new(Node::new(endpoint, profile, &self.env)));
            } else if old.contains(seed) {
                // What is in flight to it as a member ends as at any other that has left.
                seed.redial();
            }
        }
        let unlisted: SortedSet<u64> = state.unlisted.iter().map(|node| node.number()).collect();
        let is_unlisted = |node: &Arc<Node>| unlisted.contains(&node.number());
        let removed = old.dialable().filter(|node| !is_kept(node) && !is_unlisted(node));
        removed.for_each(|node| node.retire());
        routes.dialable().chain(&state.unlisted).for_each(|node| node.recheck(&self.env));
        self.routes.store(routes);
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
                let all = old.nodes_at(endpoint).chain(&state.unlisted);
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

/// The nodes that own a slot, by their numbers.
fn owners(routes: &Routes) -> SortedMap<u64, &Arc<Node>> {
    let slots = routes.map.slots();
    let mut owns = vec![false; slots.shards().len()];
    for slot in slots.edges() {
        if let Some(owns) = owns.get_mut(usize::from(slots.owner_at(slot))) {
            *owns = true;
        }
    }
    let owning = slots.shards().iter().zip(owns).filter(|(_, owns)| *owns);
    let nodes = owning.filter_map(|(shard, _)| routes.node(shard.primary));
    nodes.map(|node| (node.number(), node)).collect()
}

/// The node that had this view's id before, if it is connected under another of the view's names.
/// Servers tell an address at one time and a host name at another; the connection stays as good.
fn renamed<'r>(old: &'r Routes, map: &ClusterMap, view: &NodeView) -> Option<&'r Arc<Node>> {
    let node = old.node(old.map.node_with_id(&view.id)?)?;
    let mut there = map.nodes_at(node.endpoint()).filter(|(_, is_alias)| !is_alias);
    let fits = view.aliases.contains(node.endpoint())
        && node.is_live()
        && !there.any(|(index, _)| map.node(index).id != view.id);
    fits.then_some(node)
}

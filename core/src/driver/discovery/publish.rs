//! What becomes of a new map: routes with the nodes that there are already, where they fit.
//!
//! Invariants: a node keeps its connections through every change that keeps its id and leaves its
//! endpoint among its names; others are retired, not cut. Seeds are kept for ever; of other nodes
//! that are in no map, `STRANGERS_MAX`. Called by `driver/look.rs` and `driver/topology.rs`.

use crate::Endpoint;
use crate::connection::handshake::Profile;
use crate::driver::discovery::live_topology::{LiveTopology, State};
use crate::driver::discovery::routes::Routes;
use crate::driver::node::node::Node;
use crate::topology::cluster_map::ClusterMap;
use crate::topology::view::{NodeView, ReportedHealth, Role};
use std::sync::Arc;

/// Nodes that redirects named and no view has confirmed: more than slots move to at a time, and few
/// enough that a server which names ever new places costs nothing.
const STRANGERS_MAX: usize = 64;

impl LiveTopology {
    /// Makes routes of a map, and publishes them.
    pub(in crate::driver) fn publish(&self, state: &mut State, map: ClusterMap) {
        let old = self.routes.load_full();
        // A server that sentinels made the primary is dialled anew, to say so itself; one that they
        // made a replica loses what is under way to it as a primary.
        // A cluster's replica is told that old data will do, and a primary must never be: made a
        // replica, it would answer who wants the primary.
        let (primary, replica) = match state.sentinels {
            Some(_) => (Profile::Primary, Profile::Server),
            None => (Profile::Server, Profile::Replica),
        };
        let profile_of = |view: &NodeView| match view.role {
            Role::Primary => primary,
            Role::Replica => replica,
        };
        let find = |endpoint: &Endpoint, profile| {
            let mut known = old.dialable().chain(&state.others);
            known.find(|n| n.endpoint() == endpoint && n.profile() == profile).cloned()
        };
        let nodes: Vec<Option<Arc<Node>>> = map
            .nodes()
            .iter()
            .map(|view| {
                let endpoint = view.endpoint.as_ref()?;
                let profile = profile_of(view);
                let new = || Arc::new(Node::new(endpoint.clone(), profile, &self.env));
                let same = renamed(&old, &map, view).filter(|node| node.profile() == profile);
                Some(same.cloned().or_else(|| find(endpoint, profile)).unwrap_or_else(new))
            })
            .collect();
        // A replica of which the servers say that it is down, others go before.
        let views = map.nodes().iter().zip(&nodes);
        for (view, node) in views.filter_map(|(view, node)| Some((view, node.as_ref()?))) {
            if view.role == Role::Replica
                && view.health >= ReportedHealth::Suspected
                && !node.is_live()
            {
                node.health().record_failure(self.env.now(), "the servers say that it is down");
            }
        }
        let kept = |node: &Arc<Node>| nodes.iter().flatten().any(|kept| Arc::ptr_eq(kept, node));
        let seeds = &self.env.config().endpoints;
        let gone: Vec<_> = old.dialable().filter(|node| !kept(node)).cloned().collect();
        // A seed stays, also when it is no member now; it waits among the others.
        state.others.retain(|node| seeds.contains(node.endpoint()) || !kept(node));
        for node in gone {
            if !seeds.contains(node.endpoint()) {
                node.retire();
            } else if !state.others.iter().any(|other| Arc::ptr_eq(other, &node)) {
                state.others.push(node);
            }
        }
        self.routes.store(Arc::new(Routes::new(map, nodes, &mut self.env.rng())));
        self.published.notify(usize::MAX);
    }

    /// The node that listens at exactly this endpoint, known or new.
    pub(in crate::driver) fn node_in(&self, state: &mut State, endpoint: &Endpoint) -> Arc<Node> {
        let routes = self.routes.load();
        let at = |node: &&Arc<Node>| node.endpoint() == endpoint;
        if let Some(node) = routes.dialable().chain(&state.others).find(at) {
            return Arc::clone(node);
        }
        let node = Arc::new(Node::new(endpoint.clone(), Profile::Server, &self.env));
        if state.closed {
            node.close();
        }
        state.others.push(Arc::clone(&node));
        let seeds = &self.env.config().endpoints;
        let is_stranger = |node: &Arc<Node>| !seeds.contains(node.endpoint());
        if state.others.iter().filter(|node| is_stranger(node)).count() > STRANGERS_MAX
            && let Some(oldest) = state.others.iter().position(is_stranger)
        {
            // Whoever still sends to it has it, and its connection ends when all replies came.
            state.others.remove(oldest).retire();
        }
        node
    }
}

/// The node that had this view's id before, if it is connected under another of the view's names:
/// servers take turns in telling an address and a host name, and no connection is worse for it.
fn renamed<'r>(old: &'r Routes, map: &ClusterMap, view: &NodeView) -> Option<&'r Arc<Node>> {
    let before = old.map.nodes().iter().position(|node| node.id == view.id)?;
    let node = old.node(before)?;
    let stranger = |other: &&Arc<NodeView>| {
        other.id != view.id && other.endpoint.as_ref() == Some(node.endpoint())
    };
    let fits = view.aliases.contains(node.endpoint())
        && node.is_live()
        && !map.nodes().iter().any(|other| stranger(&other));
    fits.then_some(node)
}

//! Which node an endpoint means, and which node to ask about a slot that the map does not know.
//!
//! Invariant: there is one node for an endpoint, a profile and an id, so that its connections are
//! shared.
//! Limit: `UNLISTED_MAX` nodes that redirects have named by a further name of theirs; the oldest
//! one is retired.

use crate::Endpoint;
use crate::connection::handshake::Profile;
use crate::driver::discovery::live_topology::{LiveTopology, State};
use crate::driver::node::node::Node;
use crate::lock::lock;
use crate::topology::view::ReportedHealth;
use std::sync::Arc;

/// Nodes that redirects have named by a further name of theirs: more than slots move to at a time.
const UNLISTED_MAX: usize = 64;

impl LiveTopology {
    /// The node of the map that listens at `endpoint` or has it as an alias.
    pub(crate) fn known_node_at(&self, endpoint: &Endpoint) -> Option<Arc<Node>> {
        let routes = self.routes.load();
        routes.node(routes.map.node_at(endpoint)?).cloned()
    }

    /// Whether the configuration or the map names this address. Redirects to others are not
    /// followed: whatever listens there would get the credentials.
    pub(crate) fn is_named(&self, endpoint: &Endpoint) -> bool {
        let config = self.env.config();
        let routes = self.routes.load();
        routes.map.nodes_at(endpoint).next().is_some()
            || config.endpoints.contains(endpoint)
            || config.address_map.values().any(|mapped| mapped == endpoint)
    }

    /// The node at `endpoint`, known or new; the map does not change.
    pub(crate) fn node_at(&self, endpoint: &Endpoint) -> Arc<Node> {
        let known = self.known_node_at(endpoint);
        known.unwrap_or_else(|| self.find_or_add_node(&mut lock(&self.state), endpoint))
    }

    /// The node that listens at exactly this endpoint, known or new.
    pub(super) fn find_or_add_node(&self, state: &mut State, endpoint: &Endpoint) -> Arc<Node> {
        let routes = self.routes.load();
        // A node that is connected by another of its names has that as an alias in the map.
        let at = |node: &&Arc<Node>| node.endpoint() == endpoint;
        let listed = routes.nodes_at(endpoint).find(at);
        if let Some(node) = listed.or_else(|| state.unlisted.iter().find(at)) {
            return Arc::clone(node);
        }
        let node = Arc::new(Node::new(endpoint.clone(), Profile::Server, &self.env));
        if state.closed {
            node.close();
        }
        state.unlisted.push(Arc::clone(&node));
        let seeds = &self.env.config().endpoints;
        let is_removable = |node: &Arc<Node>| !seeds.contains(node.endpoint());
        if state.unlisted.iter().filter(|node| is_removable(node)).count() > UNLISTED_MAX
            && let Some(oldest) = state.unlisted.iter().position(is_removable)
        {
            // Callers that still send to it hold it, and its connection ends after the last reply.
            state.unlisted.remove(oldest).retire();
        }
        node
    }

    /// A node that can say more about a slot that the map does not know: a primary, else any node;
    /// connected ones first, then the seeds in their order, so that the first command travels with
    /// the first refresh.
    pub(crate) fn any_node(&self) -> Option<Arc<Node>> {
        let routes = self.routes.load();
        let state = lock(&self.state);
        let (shards, listed) = (routes.map.slots().shards(), routes.nodes.len());
        let primary = |at: usize| routes.node(shards.get(at)?.primary);
        let other = |at: usize| state.unlisted.get(at.checked_sub(listed)?);
        let any = |at: usize| routes.node(at).or_else(|| other(at));
        let all = listed + state.unlisted.len();
        self.find_from_anywhere(shards.len(), primary, |node| node.is_live())
            .or_else(|| self.find_from_anywhere(all, any, |node| node.is_live()))
            .or_else(|| self.find_from_anywhere(listed, any, |node| !node.is_failing()))
            .or_else(|| state.unlisted.iter().find(|node| !node.is_failing()).cloned())
            .or_else(|| self.find_from_anywhere(all, any, |_| true))
    }

    /// The first node that fits, from a random one of `count` on: where most fit, few are looked
    /// at.
    fn find_from_anywhere<'a>(
        &self,
        count: usize,
        node: impl Fn(usize) -> Option<&'a Arc<Node>>,
        fits: impl Fn(&Node) -> bool,
    ) -> Option<Arc<Node>> {
        let first = self.env.rng().below(count.max(1) as u64) as usize;
        let mut nodes = (0..count).filter_map(|step| node((first + step) % count));
        nodes.find(|node| fits(node)).cloned()
    }

    /// Whether another node could replace this one, so that a refresh may find that it has. A
    /// primary without a living replica comes back by itself or not at all; but where no node is
    /// connected, all of them may have moved; and where another server answers, the node is
    /// elsewhere.
    pub(super) fn may_be_replaced(&self, node: &Arc<Node>) -> bool {
        let routes = self.routes.load();
        let is_alive = |index: &usize| routes.map.node(*index).health != ReportedHealth::Failed;
        let index = routes.members().get(&node.number());
        let shard = index.and_then(|index| routes.map.shard_led_by(*index));
        shard.is_none_or(|shard| shard.replicas.iter().any(is_alive))
            || node.target().is_mistaken()
            || !routes.dialable().any(|node| node.is_live())
    }
}

//! The nodes of a map by their ids and by their endpoints, so that none is looked for one by one: a
//! redirect in a cluster of a thousand nodes costs what it costs in one of three.
//!
//! It has indexes only; each method takes the nodes that it was made of.

use super::node_id::NodeId;
use super::view::NodeView;
use crate::endpoint::Endpoint;
use crate::sorted::sort_by_key;
use std::sync::Arc;

/// See the head of this file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeIndex {
    /// The nodes, by their ids.
    by_id: Vec<u32>,
    /// The nodes, by each endpoint that they have; those that are dialled there come first.
    by_endpoint: Vec<Place>,
}

/// One endpoint of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// The node's index.
    node: u32,
    /// Which of its aliases; `None` for the endpoint at which it is dialled.
    alias: Option<u32>,
}

impl Place {
    fn endpoint(self, nodes: &[Arc<NodeView>]) -> Option<&Endpoint> {
        let node = &nodes[self.node as usize];
        match self.alias {
            Some(alias) => node.aliases.get(alias as usize),
            None => node.endpoint.as_ref(),
        }
    }
}

impl NodeIndex {
    pub(crate) fn of(nodes: &[Arc<NodeView>]) -> Self {
        let mut by_id: Vec<u32> = (0..).take(nodes.len()).collect();
        sort_by_key(&mut by_id, |node| (&nodes[*node as usize].id, *node));
        let mut by_endpoint = Vec::with_capacity(nodes.len());
        for (number, node) in (0..).zip(nodes) {
            by_endpoint.extend(node.endpoint.iter().map(|_| Place { node: number, alias: None }));
            let aliases = (0..).zip(&node.aliases);
            by_endpoint.extend(aliases.map(|(at, _)| Place { node: number, alias: Some(at) }));
        }
        sort_by_key(&mut by_endpoint, |at| (at.endpoint(nodes), at.alias.is_some(), at.node));
        Self { by_id, by_endpoint }
    }

    /// The index of the node with this id; of several the first one.
    pub(crate) fn with_id(&self, nodes: &[Arc<NodeView>], id: &NodeId) -> Option<usize> {
        let first = self.by_id.partition_point(|node| nodes[*node as usize].id < *id);
        let found = *self.by_id.get(first)? as usize;
        (nodes[found].id == *id).then_some(found)
    }

    /// The indexes of the nodes at this endpoint, each with whether it is an alias. The nodes that
    /// are dialled there come first.
    pub(crate) fn at<'a>(
        &'a self,
        nodes: &'a [Arc<NodeView>],
        endpoint: &'a Endpoint,
    ) -> impl Iterator<Item = (usize, bool)> + Clone + 'a {
        let before = |at: &Place| at.endpoint(nodes) < Some(endpoint);
        let first = self.by_endpoint.partition_point(before);
        let there = self.by_endpoint.iter().skip(first);
        let there = there.take_while(move |at| at.endpoint(nodes) == Some(endpoint));
        there.map(|at| (at.node as usize, at.alias.is_some()))
    }
}

//! The topology as plain data: what a caller sees, and what a cold start can be given.
//!
//! Field names do not change within a `version`, unknown fields are ignored, and a topology of
//! another version is refused when it is used. Nothing in it is trusted: it may be old, or edited.
//! Limits: those of a view, see `View::checked`.

use super::cluster_map::ClusterMap;
use super::merge::merge;
use super::node_id::NodeId;
use super::slot::SLOT_COUNT;
use super::slot_range::{SlotRange, every_slot, runs};
use super::view::{NodeView, ReportedHealth, Role, ShardView, View};
use super::view_error::ViewError;
use crate::endpoint::Endpoint;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The version of the form that this crate writes.
const VERSION: u32 = 1;

/// What a client knew about its deployment at some time.
///
/// It can be stored (serde) and given to the next client, which then needs no discovery before its
/// first command. What has changed since then, the client learns from redirects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Topology {
    /// The version of this form: 1.
    pub version: u32,
    /// How long before its creation the servers had last confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Duration>,
    /// The shards that own slots.
    pub shards: Vec<TopologyShard>,
    /// Nodes that own no slots and replicate no node that does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<TopologyNode>,
}

/// A primary, its replicas and its slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopologyShard {
    /// Its slots, ascending.
    pub slots: Vec<SlotRange>,
    /// The primary's config epoch, where the servers tell it. Newer claims have a higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The node that takes writes.
    pub primary: TopologyNode,
    /// The nodes that replicate it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<TopologyNode>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopologyNode {
    /// Its id.
    pub id: NodeId,
    /// Where it is dialled; `None` where the servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text")]
    pub endpoint: Option<Endpoint>,
    /// Its availability zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What the servers said about its health.
    #[serde(default)]
    pub health: ReportedHealth,
}

impl Topology {
    /// The topology of a map.
    pub(crate) fn of(map: &ClusterMap, age: Option<Duration>) -> Self {
        let node = |index: &usize| TopologyNode::of(map.node(*index));
        let owner = |slot| Some(map.slots().owner_at(slot));
        let mut owned: Vec<Vec<SlotRange>> = vec![Vec::new(); map.slots().shards().len()];
        for (range, owner) in runs(every_slot().map(|slot| (slot, owner(slot)))) {
            if let Some(own) = owned.get_mut(usize::from(owner)) {
                own.push(range);
            }
        }
        let mut busy = vec![false; map.nodes().len()];
        for shard in map.slots().shards() {
            let nodes = shard.replicas.iter().chain([&shard.primary]);
            nodes.for_each(|index| busy[*index] = true);
        }
        let shard = |((shard, epoch), slots): ((&super::slot_map::Shard, _), _)| TopologyShard {
            slots,
            epoch,
            primary: node(&shard.primary),
            replicas: shard.replicas.iter().map(node).collect(),
        };
        // Between a redirect and a refresh a shard may have lost its last slot.
        let (shards, spent): (Vec<_>, Vec<_>) =
            map.shards().zip(owned).map(shard).partition(|shard| !shard.slots.is_empty());
        let nodes = busy.into_iter().enumerate();
        let idle = nodes.filter(|(_, busy)| !busy).map(|(index, _)| node(&index));
        let spent = spent.into_iter().flat_map(|s| std::iter::once(s.primary).chain(s.replicas));
        Self { version: VERSION, age, shards, idle: idle.chain(spent).collect() }
    }

    /// The map that a client starts with.
    ///
    /// # Errors
    /// `Version` for a topology of another version; otherwise as `View::checked`.
    pub(crate) fn to_map(&self, now: Timestamp) -> Result<ClusterMap, ViewError> {
        if self.version != VERSION {
            return Err(ViewError::Version { found: self.version });
        }
        let shard = |shard: &TopologyShard| ShardView {
            slots: shard.slots.clone(),
            epoch: shard.epoch,
            primary: Some(shard.primary.to_view(Role::Primary)),
            replicas: shard.replicas.iter().map(|node| node.to_view(Role::Replica)).collect(),
        };
        let idle = |node: &TopologyNode| ShardView {
            slots: Vec::new(),
            epoch: None,
            primary: Some(node.to_view(Role::Primary)),
            replicas: Vec::new(),
        };
        let shards = self.shards.iter().map(shard).chain(self.idle.iter().map(idle)).collect();
        let view = View::checked(None, shards)?;
        Ok(merge(None, &[view], 0, now).map)
    }

    /// How many of the 16384 slots have an owner.
    #[must_use]
    pub fn coverage(&self) -> u16 {
        let slots = self.shards.iter().flat_map(|shard| &shard.slots);
        slots.fold(0_u16, |sum, range| sum.saturating_add(range.count())).min(SLOT_COUNT)
    }
}

impl TopologyNode {
    fn of(node: &Arc<NodeView>) -> Self {
        Self {
            id: node.id.clone(),
            endpoint: node.endpoint.clone(),
            zone: node.zone.clone(),
            health: node.health,
        }
    }

    fn to_view(&self, role: Role) -> NodeView {
        NodeView {
            id: self.id.clone(),
            endpoint: self.endpoint.clone(),
            announced: None,
            aliases: Vec::new(),
            role,
            zone: self.zone.clone(),
            offset: None,
            health: self.health,
            link_up: true,
        }
    }
}

/// Endpoints as `host:port` or `unix:/path`.
mod text {
    use super::Endpoint;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        endpoint: &Option<Endpoint>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match endpoint {
            Some(endpoint) => to.collect_str(endpoint),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Endpoint>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Some(Endpoint::unix(path)));
        }
        let endpoint = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok().filter(|port| *port > 0)?;
            (!host.is_empty()).then(|| Endpoint::tcp(host, port))
        });
        endpoint.map(Some).ok_or_else(|| {
            de::Error::custom(format_args!("\"{}\" is no endpoint", text.escape_debug()))
        })
    }
}

#[cfg(test)]
mod tests;

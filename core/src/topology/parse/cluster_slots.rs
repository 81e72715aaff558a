//! CLUSTER SLOTS (every version that has clusters) to a view.
//!
//! The reply lists ranges, each with its primary and replicas; here they become shards again, by
//! the primary's id. Replicas that failed and nodes without slots are not in the reply.
//! Since Redis 7 a node has metadata (`ip`, `hostname`, Valkey's `availability-zone`): a map, a
//! flat array in RESP2, or nothing. Spec: redis.io/commands/cluster-slots.

use crate::resp::Value;
use crate::sorted::SortedMap;
use crate::topology::node_id::NodeId;
use crate::topology::parse::announced_address::{AddressRule, Announcement};
use crate::topology::parse::fields::{host, list, node_id, port, range, slot, zone};
use crate::topology::slot_range::SlotRange;
use crate::topology::view::{NODES_MAX, NodeView, ReportedHealth, Role, ShardView, View};
use crate::topology::view_error::ViewError;

/// The view in a reply to CLUSTER SLOTS.
///
/// # Errors
/// The reply is an error (`Refused`), or it is malformed; the error names the part.
pub(crate) fn parse_slots(reply: &Value, rule: AddressRule<'_>) -> Result<View, ViewError> {
    let mut found: SortedMap<NodeId, ShardBuilder> = SortedMap::new();
    let entries = list("slot ranges", reply)?;
    // No two ranges of a view share a slot, so there cannot be more ranges than slots.
    if entries.len() > usize::from(crate::topology::slot::SLOT_COUNT) {
        let max = usize::from(crate::topology::slot::SLOT_COUNT);
        return Err(ViewError::TooMany { what: "slot ranges", max });
    }
    for entry in entries {
        let [start, end, primary, replicas @ ..] = list("slot range", entry)? else {
            return Err(ViewError::Missing { what: "a slot range's primary" });
        };
        if replicas.len() > NODES_MAX {
            return Err(ViewError::TooMany { what: "nodes", max: NODES_MAX });
        }
        let slots = range(slot(start)?, slot(end)?)?;
        let primary = parse_node(primary, Role::Primary, rule)?;
        let shard = found.get_or_insert_with(primary.id.clone(), || ShardBuilder::new(primary));
        shard.slots.push(slots);
        for replica in replicas {
            let replica = parse_node(replica, Role::Replica, rule)?;
            shard.replicas.insert(replica.id.clone(), replica);
        }
    }
    View::checked(None, found.into_values().map(ShardBuilder::into_shard).collect())
}

/// A shard while its ranges are read: each range names the nodes again.
struct ShardBuilder {
    /// Its ranges so far.
    slots: Vec<SlotRange>,
    /// Its primary.
    primary: NodeView,
    /// Its replicas.
    replicas: SortedMap<NodeId, NodeView>,
}

impl ShardBuilder {
    fn new(primary: NodeView) -> Self {
        Self { slots: Vec::new(), primary, replicas: SortedMap::new() }
    }

    fn into_shard(self) -> ShardView {
        ShardView {
            slots: self.slots,
            epoch: None,
            primary: Some(self.primary),
            replicas: self.replicas.into_values().collect(),
        }
    }
}

/// `[host, port, id, metadata]`; the id came with Redis 4, the metadata with Redis 7.
fn parse_node(node: &Value, role: Role, rule: AddressRule<'_>) -> Result<NodeView, ViewError> {
    let [preferred, number, id, rest @ ..] = list("node", node)? else {
        return Err(ViewError::Missing { what: "node id" });
    };
    let metadata = rest.first();
    let told = |key| metadata.and_then(|metadata| metadata.get(key));
    let found = rule.resolve(Announcement {
        host: host(preferred)?,
        port: port(number)?,
        tls_port: None,
        other_hosts: [told("ip").map_or(Ok(""), host)?, told("hostname").map_or(Ok(""), host)?],
    });
    Ok(NodeView {
        id: node_id(id)?,
        endpoint: found.endpoint,
        announced: found.announced,
        aliases: found.aliases,
        role,
        zone: told("availability-zone").map_or(Ok(None), zone)?,
        offset: None,
        health: ReportedHealth::Unknown,
        link_up: true,
    })
}

#[cfg(test)]
mod tests;

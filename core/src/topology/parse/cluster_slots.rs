//! CLUSTER SLOTS (every version that has clusters) to a view.
//!
//! The reply lists ranges, each with its primary and replicas; here they become shards again, by
//! the primary's id. Replicas that failed and nodes without slots are not in the reply.
//! Since Redis 7 a node has metadata (`ip`, `hostname`, Valkey's `availability-zone`): a map, a
//! flat array in RESP2, or nothing. A range or a replica that cannot be read is left out; of a
//! node's fields only its id is needed. Before Redis 4 there was none: it is known by its address,
//! until CLUSTER NODES tells the id (`View::with_epochs`). Spec: redis.io/commands/cluster-slots.

use crate::resp::Value;
use crate::sorted::SortedMap;
use crate::topology::left_out::LeftOut;
use crate::topology::node_id::NodeId;
use crate::topology::parse::announced_address::{AddressRule, Announcement};
use crate::topology::parse::fields::{host, list, node_id, port, range, slot, zone};
use crate::topology::slot_range::SlotRange;
use crate::topology::view::{NODES_MAX, NodeView, ReportedHealth, Role, ShardView, View};
use crate::topology::view_error::ViewError;

/// The view in a reply to CLUSTER SLOTS.
///
/// # Errors
/// The reply is an error (`Refused`), or nothing of it can be read; the error names the first part.
pub(crate) fn parse_slots(reply: &Value, rule: AddressRule<'_>) -> Result<View, ViewError> {
    let mut found: SortedMap<NodeId, ShardBuilder> = SortedMap::new();
    let entries = list("slot ranges", reply)?;
    // No two ranges of a view share a slot, so there cannot be more ranges than slots.
    if entries.len() > usize::from(crate::topology::slot::SLOT_COUNT) {
        let max = usize::from(crate::topology::slot::SLOT_COUNT);
        return Err(ViewError::TooMany { what: "slot ranges", max });
    }
    let mut left_out = LeftOut::default();
    for entry in entries {
        let entry = parse_entry(entry, rule, &mut left_out);
        let Some((slots, primary, replicas)) = left_out.take(entry) else { continue };
        let shard = found.get_or_insert_with(primary.id.clone(), || ShardBuilder::new(primary));
        shard.slots.push(slots);
        if replicas.len() > NODES_MAX {
            return Err(ViewError::TooMany { what: "nodes", max: NODES_MAX });
        }
        for replica in replicas {
            let replica = parse_node(replica, Role::Replica, rule, &mut left_out);
            if let Some(replica) = left_out.take(replica) {
                shard.replicas.insert(replica.id.clone(), replica);
            }
        }
    }
    let left_out = left_out.finish(found.is_empty())?;
    View::mended(None, found.into_values().map(ShardBuilder::into_shard).collect(), left_out)
}

/// A range, its primary, and its replicas as they were written.
fn parse_entry<'a>(
    entry: &'a Value,
    rule: AddressRule<'_>,
    left_out: &mut LeftOut,
) -> Result<(SlotRange, NodeView, &'a [Value]), ViewError> {
    let [start, end, primary, replicas @ ..] = list("slot range", entry)? else {
        return Err(ViewError::Missing { what: "a slot range's primary" });
    };
    let slots = range(slot(start)?, slot(end)?)?;
    Ok((slots, parse_node(primary, Role::Primary, rule, left_out)?, replicas))
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
fn parse_node(
    node: &Value,
    role: Role,
    rule: AddressRule<'_>,
    left_out: &mut LeftOut,
) -> Result<NodeView, ViewError> {
    let [preferred, number, rest @ ..] = list("node", node)? else {
        return Err(ViewError::Missing { what: "node id" });
    };
    let id = rest.first().map(node_id).transpose()?;
    let metadata = rest.get(1);
    let told = |key| metadata.and_then(|metadata| metadata.get(key));
    // A host that cannot be read is not known.
    let mut text = |value| left_out.take(host(value)).unwrap_or("?");
    let preferred = text(preferred);
    let other_hosts = [told("ip").map_or("", &mut text), told("hostname").map_or("", &mut text)];
    let port = left_out.take(port(number)).flatten();
    let told_address = Announcement { host: preferred, port, tls_port: None, other_hosts };
    let found = rule.resolve(told_address);
    let by_address = || found.endpoint.as_ref().map(NodeId::provisional);
    let id = id.or_else(by_address).ok_or(ViewError::Missing { what: "node id" })?;
    Ok(NodeView {
        id,
        endpoint: found.endpoint,
        announced: found.announced,
        aliases: found.aliases,
        role,
        zone: told("availability-zone").and_then(|value| left_out.take(zone(value))?),
        offset: None,
        health: ReportedHealth::Unknown,
        link_up: true,
    })
}

#[cfg(test)]
mod tests;

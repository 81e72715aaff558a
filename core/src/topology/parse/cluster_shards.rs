//! CLUSTER SHARDS (Redis 7 and later, Valkey) to a view.
//!
//! Real servers list nodes by their lineage, not by their present role. After a failover one entry
//! holds two masters, the failed one first (Redis 8.0, Valkey 8.0 to 9.1), or the failed one has an
//! entry of its own without slots (Redis 7.0). Redis 8.0 leaves out the slots whose primary failed
//! without a successor. CLUSTER NODES is right in these cases: see `View::with_epochs`.
//! Unknown keys are ignored. A node or a slot range that cannot be read is left out; of a node's
//! fields only its id and its role are needed. Spec: redis.io/commands/cluster-shards.

use crate::resp::Value;
use crate::topology::left_out::LeftOut;
use crate::topology::parse::announced_address::{AddressRule, Announcement};
use crate::topology::parse::fields::{field, health, host, list, node_id, port, range, slot, zone};
use crate::topology::slot_range::SlotRange;
use crate::topology::view::{NODES_MAX, NodeView, Role, ShardView, View};
use crate::topology::view_error::ViewError;

/// The view in a reply to CLUSTER SHARDS.
///
/// # Errors
/// The reply is an error (`Refused`), or nothing of it can be read; the error names the first part.
pub(crate) fn parse_shards(reply: &Value, rule: AddressRule<'_>) -> Result<View, ViewError> {
    let entries = list("shards", reply)?;
    if entries.len() > NODES_MAX {
        return Err(ViewError::TooMany { what: "shards", max: NODES_MAX });
    }
    let (mut shards, mut left_out) = (Vec::new(), LeftOut::default());
    for entry in entries {
        let nodes = left_out.take(field(entry, "nodes").and_then(|nodes| list("nodes", nodes)));
        let nodes = nodes.unwrap_or_default();
        if nodes.len() > NODES_MAX {
            return Err(ViewError::TooMany { what: "nodes", max: NODES_MAX });
        }
        let nodes = nodes.iter().filter_map(|node| {
            let node = parse_node(node, rule, &mut left_out);
            left_out.take(node)
        });
        let nodes: Vec<NodeView> = nodes.collect();
        let slots = left_out.take(field(entry, "slots").and_then(|slots| list("slots", slots)));
        let slots = parse_ranges(slots.unwrap_or_default(), &mut left_out);
        if !nodes.is_empty() {
            add_shards(&mut shards, slots, nodes);
        }
    }
    let left_out = left_out.finish(shards.is_empty())?;
    View::mended(None, shards, left_out)
}

/// One entry as shards: one for each primary. The slots go to the primary that is up. Others become
/// shards of their own, because they are not its replicas.
fn add_shards(shards: &mut Vec<ShardView>, slots: Vec<SlotRange>, nodes: Vec<NodeView>) {
    let (mut primaries, replicas): (Vec<_>, Vec<_>) =
        nodes.into_iter().partition(|node| node.role == Role::Primary);
    let best = primaries.iter().map(|node| node.health).min();
    // Among equals the first one in the reply.
    let first = primaries.iter().position(|node| Some(node.health) == best);
    let primary = first.map(|index| primaries.remove(index));
    shards.push(ShardView { slots, epoch: None, primary, replicas });
    shards.extend(primaries.into_iter().map(|primary| ShardView {
        slots: Vec::new(),
        epoch: None,
        primary: Some(primary),
        replicas: Vec::new(),
    }));
}

/// `[start, end, start, end, ..]`.
fn parse_ranges(slots: &[Value], left_out: &mut LeftOut) -> Vec<SlotRange> {
    let (pairs, rest) = slots.as_chunks::<2>();
    if !rest.is_empty() {
        left_out.take::<()>(Err(ViewError::Missing { what: "the end of a slot range" }));
    }
    let parse = |[start, end]: &[Value; 2]| range(slot(start)?, slot(end)?);
    pairs.iter().filter_map(|pair| left_out.take(parse(pair))).collect()
}

fn parse_node(
    node: &Value,
    rule: AddressRule<'_>,
    left_out: &mut LeftOut,
) -> Result<NodeView, ViewError> {
    let role = field(node, "role")?;
    let id = node_id(field(node, "id")?)?;
    // A host that cannot be read is not known.
    let mut text = |key| node.get(key).map(|value| left_out.take(host(value)).unwrap_or("?"));
    let (ip, endpoint, hostname) = (text("ip"), text("endpoint"), text("hostname"));
    let mut number = |key| node.get(key).and_then(|value| left_out.take(port(value))?);
    let found = rule.resolve(Announcement {
        host: endpoint.or(ip).unwrap_or_default(),
        port: number("port"),
        tls_port: number("tls-port"),
        other_hosts: [ip, hostname].map(Option::unwrap_or_default),
    });
    Ok(NodeView {
        id,
        endpoint: found.endpoint,
        announced: found.announced,
        aliases: found.aliases,
        role: match role.as_str() {
            Some("master" | "primary") => Role::Primary,
            Some("replica" | "slave") => Role::Replica,
            _ => return Err(ViewError::bad_value("role", role)),
        },
        zone: node.get("availability-zone").and_then(|value| left_out.take(zone(value))?),
        offset: node
            .get("replication-offset")
            .and_then(Value::as_i64)
            .and_then(|offset| u64::try_from(offset).ok()),
        health: node.get("health").map_or_else(Default::default, health),
        link_up: true,
    })
}

#[cfg(test)]
mod tests;

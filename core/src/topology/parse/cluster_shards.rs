//! CLUSTER SHARDS (Redis 7 and later, Valkey) to a view.
//!
//! Real servers list nodes by their lineage, not by their present role. After a failover one entry
//! holds two masters, the failed one first (Redis 8.0, Valkey 8.0 to 9.1), or the failed one has an
//! entry of its own without slots (Redis 7.0). Redis 8.0 leaves out the slots whose primary failed
//! without a successor. CLUSTER NODES is right in these cases: see `View::with_epochs`.
//! Unknown keys are ignored. Spec: redis.io/commands/cluster-shards.

use crate::resp::Value;
use crate::topology::parse::announced_address::{AddressRule, Announcement};
use crate::topology::parse::fields::{field, health, host, list, node_id, port, range, slot, zone};
use crate::topology::slot_range::SlotRange;
use crate::topology::view::{NODES_MAX, NodeView, Role, ShardView, View};
use crate::topology::view_error::ViewError;

/// The view in a reply to CLUSTER SHARDS.
///
/// # Errors
/// The reply is an error (`Refused`), or it is malformed; the error names the part.
pub(crate) fn parse_shards(reply: &Value, rule: AddressRule<'_>) -> Result<View, ViewError> {
    let entries = list("shards", reply)?;
    if entries.len() > NODES_MAX {
        return Err(ViewError::TooMany { what: "shards", max: NODES_MAX });
    }
    let mut shards = Vec::new();
    for entry in entries {
        let nodes = list("nodes", field(entry, "nodes")?)?;
        if nodes.len() > NODES_MAX {
            return Err(ViewError::TooMany { what: "nodes", max: NODES_MAX });
        }
        let nodes = nodes.iter().map(|node| parse_node(node, rule)).collect::<Result<_, _>>()?;
        add_shards(&mut shards, parse_ranges(field(entry, "slots")?)?, nodes);
    }
    View::checked(None, shards)
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
fn parse_ranges(value: &Value) -> Result<Vec<SlotRange>, ViewError> {
    let (pairs, rest) = list("slots", value)?.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ViewError::Missing { what: "the end of a slot range" });
    }
    pairs.iter().map(|[start, end]| range(slot(start)?, slot(end)?)).collect()
}

fn parse_node(node: &Value, rule: AddressRule<'_>) -> Result<NodeView, ViewError> {
    let text = |key| node.get(key).map_or(Ok(""), host);
    let number = |key| node.get(key).map_or(Ok(None), port);
    let ip = text("ip")?;
    let found = rule.resolve(Announcement {
        host: node.get("endpoint").map_or(Ok(ip), host)?,
        port: number("port")?,
        tls_port: number("tls-port")?,
        other_hosts: [ip, text("hostname")?],
    });
    let role = field(node, "role")?;
    Ok(NodeView {
        id: node_id(field(node, "id")?)?,
        endpoint: found.endpoint,
        announced: found.announced,
        aliases: found.aliases,
        role: match role.as_str() {
            Some("master" | "primary") => Role::Primary,
            Some("replica" | "slave") => Role::Replica,
            _ => return Err(ViewError::bad_value("role", role)),
        },
        zone: node.get("availability-zone").map_or(Ok(None), zone)?,
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

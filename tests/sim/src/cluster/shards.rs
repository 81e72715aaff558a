//! `CLUSTER SHARDS` and `CLUSTER SLOTS`: the slot map for clients.
//!
//! Spec: command pages of CLUSTER SHARDS and CLUSTER SLOTS.

use super::{Cluster, Peer, PreferredEndpoint};
use crate::ids::HostId;
use crate::resp::Reply;
use crate::server::Server;
use crate::server::call::Call;
use crate::server::command::Outcome;
use bytes::Bytes;
use std::collections::BTreeMap;

fn text(text: impl Into<String>) -> Reply {
    Reply::string(text)
}

/// `CLUSTER SLOTS`
pub(crate) fn slots(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let server = &*call.server;
    let Some(cluster) = server.cluster.as_ref() else { return Ok(Reply::Null) };
    let mut ranges = Vec::new();
    for (start, end, owner) in cluster.owners.iter() {
        let Some(primary) = cluster.peers.get(&owner) else { continue };
        let mut row = vec![Reply::Int(i64::from(start)), Reply::Int(i64::from(end))];
        row.push(node(server, cluster, primary));
        for (host, replica) in cluster.replicas_of(owner) {
            if replica.failed.is_none() && offset(server, cluster, host, replica) > 0 {
                row.push(node(server, cluster, replica));
            }
        }
        ranges.push(Reply::Array(row));
    }
    Ok(Reply::Array(ranges))
}

/// A node in `CLUSTER SLOTS`: preferred endpoint, port, id, and further fields.
fn node(server: &Server, cluster: &Cluster, peer: &Peer) -> Reply {
    let address = peer.client_address();
    let mut parts = vec![
        cluster.endpoint_of(peer).map_or(Reply::Null, text),
        Reply::Int(i64::from(address.port())),
        text(&*peer.id),
    ];
    if server.config.version.commands() >= (7, 0) {
        let mut more = Vec::new();
        if cluster.settings.endpoint != PreferredEndpoint::Ip {
            more.push((Reply::text("ip"), text(address.ip().to_string())));
        }
        if cluster.settings.endpoint != PreferredEndpoint::Hostname
            && let Some(hostname) = &peer.hostname
        {
            more.push((Reply::text("hostname"), text(&**hostname)));
        }
        parts.push(Reply::Map(more));
    }
    Reply::Array(parts)
}

fn offset(server: &Server, cluster: &Cluster, host: HostId, peer: &Peer) -> u64 {
    // A simulated history may be empty; a replica that has all of it is available all the same.
    let offset = if host == cluster.me { server.replication.offset } else { peer.offset };
    offset + u64::from(host != cluster.me || server.replication.link_is_up())
}

/// `CLUSTER SHARDS`
pub(crate) fn shards(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let server = &*call.server;
    let Some(cluster) = server.cluster.as_ref() else { return Ok(Reply::Null) };
    let mut shards: BTreeMap<&str, Vec<HostId>> = BTreeMap::new();
    for (host, peer) in &cluster.peers {
        shards.entry(&peer.shard).or_default().push(*host);
    }
    let shard = |mut members: Vec<HostId>| {
        members.sort_by_key(|host| (!cluster.peers[host].is_primary(), *host));
        let slots = members.iter().flat_map(|host| cluster.owners.of(*host));
        let slots = slots.flat_map(|(s, e)| [Reply::Int(i64::from(s)), Reply::Int(i64::from(e))]);
        let nodes = members.iter().map(|host| details(server, cluster, *host));
        Reply::Map(vec![
            (Reply::text("slots"), Reply::Array(slots.collect())),
            (Reply::text("nodes"), Reply::Array(nodes.collect())),
        ])
    };
    Ok(Reply::Array(shards.into_values().map(shard).collect()))
}

/// A node in `CLUSTER SHARDS`.
fn details(server: &Server, cluster: &Cluster, host: HostId) -> Reply {
    let peer = &cluster.peers[&host];
    let address = peer.client_address();
    let mut pairs = vec![
        ("id", text(&*peer.id)),
        ("port", Reply::Int(i64::from(address.port()))),
        ("ip", text(address.ip().to_string())),
        ("endpoint", cluster.endpoint_of(peer).map_or(Reply::text(""), text)),
    ];
    if let Some(hostname) = &peer.hostname {
        pairs.push(("hostname", text(&**hostname)));
    }
    let own_offset = offset(server, cluster, host, peer);
    let health = match peer.failed {
        Some(_) => "fail",
        None if !peer.is_primary() && own_offset == 0 => "loading",
        None => "online",
    };
    let role = if peer.is_primary() { "master" } else { "replica" };
    let shown = if host == cluster.me { server.replication.offset } else { peer.offset };
    pairs.push(("role", Reply::text(role)));
    pairs.push(("replication-offset", Reply::Int(shown as i64)));
    pairs.push(("health", Reply::text(health)));
    let version = server.config.version;
    if version.valkey && version.major >= 8 && !server.config.zone.is_empty() && host == cluster.me
    {
        pairs.push(("availability-zone", text(&*server.config.zone)));
    }
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::text(name), value)).collect())
}

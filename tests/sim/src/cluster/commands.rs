//! `CLUSTER`: the commands that read a node's state and view. The commands that change the cluster
//! are in `admin` and `set_slot`.
//!
//! Spec: command pages of the "cluster" group.

use super::slots::{SLOTS, key_slot};
use super::{Cluster, Peer, admin, gossip, migrate, set_slot, shards};
use crate::ids::HostId;
use crate::resp::Reply;
use crate::server::Server;
use crate::server::arguments::int;
use crate::server::call::Call;
use crate::server::command::Keys::Range;
use crate::server::command::{
    ADMIN, LOADING, MOVABLE, NO_ASYNC_LOADING, NOSCRIPT, Outcome, STALE, Spec, Stop, W, fail,
    fail_with,
};
use bytes::Bytes;
use std::fmt::Write as _;

const FLAGS: u32 = STALE;
const SERVES: u32 = LOADING | STALE;
const CHANGES: u32 = ADMIN | STALE | NO_ASYNC_LOADING;

/// A cluster command: refused on a server that is no cluster node.
macro_rules! cluster {
    ($name:literal, $arity:expr, $flags:expr, $run:expr) => {
        Spec::server($name, $arity, $flags, |call, arguments| {
            call.require_cluster()?;
            let run: fn(&mut Call<'_, '_>, &[Bytes]) -> Outcome = $run;
            run(call, arguments)
        })
    };
}

pub(crate) const COMMANDS: &[Spec] = &[
    Spec::container("cluster"),
    cluster!("cluster|addslots", -3, CHANGES, |c, a| admin::change_slots(c, a, true)),
    cluster!("cluster|addslotsrange", -4, CHANGES, |c, a| admin::change_ranges(c, a, true))
        .since(7, 0),
    cluster!("cluster|bumpepoch", 2, CHANGES, admin::bump_epoch),
    cluster!("cluster|count-failure-reports", 3, ADMIN | STALE, failure_reports),
    cluster!("cluster|countkeysinslot", 3, FLAGS, count_keys),
    cluster!("cluster|delslots", -3, CHANGES, |c, a| admin::change_slots(c, a, false)),
    cluster!("cluster|delslotsrange", -4, CHANGES, |c, a| admin::change_ranges(c, a, false))
        .since(7, 0),
    cluster!("cluster|failover", -2, CHANGES, admin::failover),
    cluster!("cluster|flushslots", 2, CHANGES, admin::flush_slots),
    cluster!("cluster|forget", 3, CHANGES, admin::forget),
    cluster!("cluster|getkeysinslot", 4, FLAGS, get_keys),
    cluster!("cluster|info", 2, FLAGS, info),
    cluster!("cluster|keyslot", 3, FLAGS, |_, a| Ok(Reply::Int(i64::from(key_slot(&a[2]))))),
    cluster!("cluster|links", 2, FLAGS, |_, _| Ok(Reply::Array(Vec::new()))).since(7, 0),
    cluster!("cluster|meet", -4, CHANGES, admin::meet),
    cluster!("cluster|myid", 2, FLAGS, |c, _| Ok(Reply::string(&*myself(c)?.id))),
    cluster!("cluster|myshardid", 2, FLAGS, |c, _| Ok(Reply::string(&*myself(c)?.shard)))
        .since(7, 2),
    cluster!("cluster|nodes", 2, FLAGS, nodes),
    cluster!("cluster|replicas", 3, ADMIN | STALE, replicas).since(5, 0),
    cluster!("cluster|replicate", 3, CHANGES, admin::replicate),
    cluster!("cluster|reset", -2, ADMIN | STALE | NOSCRIPT, admin::reset),
    cluster!("cluster|saveconfig", 2, CHANGES, |_, _| Ok(Reply::OK)),
    cluster!("cluster|set-config-epoch", 3, CHANGES, admin::set_config_epoch),
    cluster!("cluster|setslot", -4, CHANGES, set_slot::set_slot),
    cluster!("cluster|shards", 2, SERVES, shards::shards).since(7, 0),
    cluster!("cluster|slaves", 3, ADMIN | STALE, replicas),
    cluster!("cluster|slots", 2, SERVES, shards::slots),
    Spec::server("migrate", -6, W | MOVABLE, migrate::migrate).keyed(Range(3, 3, 1)),
];

pub(crate) fn cluster<'c>(call: &'c Call<'_, '_>) -> Result<&'c Cluster, Stop> {
    let disabled = fail("ERR This instance has cluster support disabled");
    call.server.cluster.as_deref().ok_or(disabled)
}

fn myself<'c>(call: &'c Call<'_, '_>) -> Result<&'c Peer, Stop> {
    Ok(cluster(call)?.myself())
}

/// A slot's number.
pub(crate) fn slot(argument: &[u8]) -> Result<u16, Stop> {
    let number = crate::server::value::parse_int(argument);
    let number = number.and_then(|n| u16::try_from(n).ok()).filter(|n| *n < SLOTS);
    number.ok_or(fail("ERR Invalid or out of range slot"))
}

/// The node with that id.
pub(crate) fn node(cluster: &Cluster, id: &[u8]) -> Result<HostId, Stop> {
    cluster
        .find(id)
        .ok_or_else(|| fail_with(format!("ERR Unknown node {}", String::from_utf8_lossy(id))))
}

impl Server {
    /// The keys of a slot, in order.
    pub(crate) fn keys_in_slot(&self, slot: u16) -> impl Iterator<Item = &Bytes> {
        self.keyspace.databases[0].entries.keys().filter(move |key| key_slot(key) == slot)
    }
}

fn count_keys(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let number = int(&arguments[2])?;
    let slot = u16::try_from(number).ok().filter(|n| *n < SLOTS);
    let slot = slot.ok_or(fail("ERR Invalid slot"))?;
    Ok(Reply::count(call.server.keys_in_slot(slot).count()))
}

fn get_keys(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (number, count) = (int(&arguments[2])?, int(&arguments[3])?);
    let invalid = fail("ERR Invalid slot or number of keys");
    let slot = u16::try_from(number).ok().filter(|n| *n < SLOTS).ok_or(invalid.clone())?;
    let count = usize::try_from(count).map_err(|_| invalid)?;
    Ok(Reply::bulks(call.server.keys_in_slot(slot).take(count).cloned()))
}

fn failure_reports(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let cluster = cluster(call)?;
    let host = node(cluster, &arguments[2])?;
    Ok(Reply::count(cluster.peers[&host].reports.len()))
}

fn info(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let cluster = cluster(call)?;
    let slots_where = |wanted: &dyn Fn(&Peer) -> bool| -> usize {
        let hosts = cluster.peers.iter().filter(|(_, p)| wanted(p)).map(|(host, _)| *host);
        hosts.map(|host| cluster.owners.count_of(host)).sum()
    };
    let assigned = cluster.owners.count();
    let suspected = slots_where(&|p| p.suspected);
    let failed = slots_where(&|p| p.failed.is_some());
    let lines = [
        ("cluster_state", if cluster.ok { "ok" } else { "fail" }.to_owned()),
        ("cluster_slots_assigned", assigned.to_string()),
        ("cluster_slots_ok", (assigned - suspected - failed).to_string()),
        ("cluster_slots_pfail", suspected.to_string()),
        ("cluster_slots_fail", failed.to_string()),
        ("cluster_known_nodes", cluster.peers.len().to_string()),
        ("cluster_size", cluster.size().to_string()),
        ("cluster_current_epoch", cluster.current_epoch.to_string()),
        ("cluster_my_epoch", epoch(cluster, cluster.me).to_string()),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let _ = write!(text, "{name}:{value}\r\n");
    }
    Ok(Reply::Verbatim("txt", text))
}

/// A node's config epoch; for a replica its primary's.
fn epoch(cluster: &Cluster, host: HostId) -> u64 {
    let Some(peer) = cluster.peers.get(&host) else { return 0 };
    let primary = peer.replica_of.and_then(|primary| cluster.peers.get(&primary));
    primary.unwrap_or(peer).config_epoch
}

fn nodes(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let epoch_ms = call.env.epoch_ms;
    let cluster = cluster(call)?;
    let lines: String =
        cluster.peers.keys().map(|host| describe(cluster, *host, epoch_ms) + "\n").collect();
    Ok(Reply::Verbatim("txt", lines))
}

fn replicas(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let epoch_ms = call.env.epoch_ms;
    let cluster = cluster(call)?;
    let host = node(cluster, &arguments[2])?;
    if !cluster.peers[&host].is_primary() {
        return Err(fail("ERR The specified node is not a master"));
    }
    let lines = cluster.replicas_of(host).map(|(host, _)| describe(cluster, host, epoch_ms));
    Ok(Reply::Array(lines.map(Reply::string).collect()))
}

/// A node's line in `CLUSTER NODES`.
fn describe(cluster: &Cluster, host: HostId, epoch_ms: u64) -> String {
    let peer = &cluster.peers[&host];
    let address = peer.client_address();
    let mut line = format!(
        "{} {}:{}@{}",
        peer.id,
        address.ip(),
        address.port(),
        address.port() as u32 + 10_000
    );
    if let Some(hostname) = &peer.hostname {
        let _ = write!(line, ",{hostname}");
    }
    let mut flags = Vec::new();
    if host == cluster.me {
        flags.push("myself");
    }
    flags.push(if peer.is_primary() { "master" } else { "slave" });
    if peer.failed.is_some() {
        flags.push("fail");
    } else if peer.suspected {
        flags.push("fail?");
    }
    let primary = peer.replica_of.and_then(|primary| cluster.peers.get(&primary));
    let unix = |at: slotcar::Timestamp| epoch_ms + at.since_epoch().as_millis() as u64;
    let linked = host == cluster.me || !gossip::is_failing(peer);
    let _ = write!(
        line,
        " {} {} {} {} {} {}",
        flags.join(","),
        primary.map_or("-", |p| &p.id),
        peer.ping_sent.map_or(0, unix),
        if host == cluster.me { 0 } else { unix(peer.pong_at) },
        epoch(cluster, host),
        if linked { "connected" } else { "disconnected" },
    );
    for (start, end) in cluster.owners.of(host) {
        let _ =
            if start == end { write!(line, " {start}") } else { write!(line, " {start}-{end}") };
    }
    if host == cluster.me {
        let id = |host: &HostId| cluster.peers.get(host).map_or("?", |p| &p.id);
        for (slot, target) in &cluster.migrating {
            let _ = write!(line, " [{slot}->-{}]", id(target));
        }
        for (slot, source) in &cluster.importing {
            let _ = write!(line, " [{slot}-<-{}]", id(source));
        }
    }
    line
}

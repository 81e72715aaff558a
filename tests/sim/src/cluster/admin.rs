//! `CLUSTER`: the commands with which an operator changes a node's view.
//!
//! Spec: command pages of the "cluster" group; `clusterCommandSpecial`.

use super::Cluster;
use super::commands::{cluster, node, slot};
use super::slots::SLOTS;
use crate::env::Env;
use crate::resp::Reply;
use crate::server::Server;
use crate::server::arguments::{int, is};
use crate::server::call::Call;
use crate::server::command::{Outcome, Run, SYNTAX, Stop, fail, fail_with};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// How long gossip about a forgotten node is ignored.
const FORGET_TIME: Duration = Duration::from_secs(60);

fn cluster_mut<'c>(call: &'c mut Call<'_, '_>) -> Result<&'c mut Cluster, Stop> {
    let disabled = fail("ERR This instance has cluster support disabled");
    call.server.cluster.as_deref_mut().ok_or(disabled)
}

/// `ADDSLOTS` and `DELSLOTS`
pub(crate) fn change_slots(call: &mut Call<'_, '_>, arguments: &[Bytes], add: bool) -> Outcome {
    let mut wanted = Vec::new();
    for argument in &arguments[2..] {
        let slot = slot(argument)?;
        wanted.push((slot, slot));
    }
    change(call, &wanted, add)
}

/// `ADDSLOTSRANGE` and `DELSLOTSRANGE`
pub(crate) fn change_ranges(call: &mut Call<'_, '_>, arguments: &[Bytes], add: bool) -> Outcome {
    if !arguments.len().is_multiple_of(2) {
        let name = if add { "addslotsrange" } else { "delslotsrange" };
        let text = format!("ERR wrong number of arguments for 'cluster|{name}' command");
        return Err(fail_with(text));
    }
    let mut wanted = Vec::new();
    for pair in arguments[2..].chunks_exact(2) {
        let (start, end) = (slot(&pair[0])?, slot(&pair[1])?);
        if start > end {
            return Err(fail_with(format!(
                "ERR start slot number {start} is greater than end slot number {end}"
            )));
        }
        wanted.push((start, end));
    }
    change(call, &wanted, add)
}

fn change(call: &mut Call<'_, '_>, wanted: &[(u16, u16)], add: bool) -> Outcome {
    let cluster = cluster_mut(call)?;
    let mut seen = BTreeSet::new();
    for slot in wanted.iter().flat_map(|(start, end)| *start..=*end) {
        let owner = cluster.owners.owner(slot);
        if add && owner.is_some() {
            return Err(fail_with(format!("ERR Slot {slot} is already busy")));
        }
        if !add && owner.is_none() {
            return Err(fail_with(format!("ERR Slot {slot} is already unassigned")));
        }
        if !seen.insert(slot) {
            return Err(fail_with(format!("ERR Slot {slot} specified multiple times")));
        }
    }
    let me = cluster.me;
    for (start, end) in wanted {
        cluster.assign(*start, *end, add.then_some(me));
        cluster.importing.retain(|slot, _| !(*start..=*end).contains(slot));
    }
    if !add {
        call.server.slots_left(wanted);
        call.server.redirect_blocked(call.env);
    }
    call.server.update_cluster_state(call.env);
    Ok(Reply::OK)
}

pub(crate) fn flush_slots(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    if !call.server.keyspace.databases[0].entries.is_empty() {
        return Err(fail("ERR DB must be empty to perform CLUSTER FLUSHSLOTS."));
    }
    let me = call.server.host;
    call.server.rebind(call.env, me, None);
    call.server.update_cluster_state(call.env);
    Ok(Reply::OK)
}

pub(crate) fn bump_epoch(call: &mut Call<'_, '_>, _arguments: &[Bytes]) -> Outcome {
    let cluster = cluster_mut(call)?;
    let word = if cluster.bump_epoch() { "BUMPED" } else { "STILL" };
    let epoch = cluster.myself().config_epoch;
    Ok(Reply::Status(format!("{word} {epoch}").into()))
}

pub(crate) fn set_config_epoch(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let epoch = int(&arguments[2])?;
    let Ok(wanted) = u64::try_from(epoch) else {
        return Err(fail_with(format!("ERR Invalid config epoch specified: {epoch}")));
    };
    let cluster = cluster_mut(call)?;
    if cluster.peers.len() > 1 {
        return Err(fail(
            "ERR The user can assign a config epoch only when the node does not know any other \
             node.",
        ));
    }
    if cluster.myself().config_epoch != 0 {
        return Err(fail("ERR Node config epoch is already non-zero"));
    }
    cluster.myself_mut().config_epoch = wanted;
    cluster.current_epoch = cluster.current_epoch.max(wanted);
    Ok(Reply::OK)
}

pub(crate) fn failover(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let (force, takeover) = match &arguments[2..] {
        [] => (false, false),
        [word] if is(word, "FORCE") => (true, false),
        [word] if is(word, "TAKEOVER") => (false, true),
        _ => return Err(SYNTAX),
    };
    let view = cluster(call)?;
    let Some(primary) = view.myself().replica_of else {
        return Err(fail("ERR You should send CLUSTER FAILOVER to a replica"));
    };
    let Some(primary) = view.peers.get(&primary) else {
        return Err(fail("ERR I'm a replica but my master is unknown to me"));
    };
    if !force && !takeover && (primary.failed.is_some() || primary.suspected) {
        return Err(fail("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE"));
    }
    if takeover {
        cluster_mut(call)?.bump_epoch();
        call.env.decide(call.server.host, "takes over without a vote");
        call.server.take_over(call.env);
    } else {
        call.server.start_manual_failover(call.env, force);
    }
    Ok(Reply::OK)
}

pub(crate) fn forget(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let until = call.env.now().after(FORGET_TIME);
    let cluster = cluster_mut(call)?;
    let host = node(cluster, &arguments[2])?;
    if host == cluster.me {
        return Err(fail("ERR I tried hard but I can't forget myself..."));
    }
    if cluster.myself().replica_of == Some(host) {
        return Err(fail("ERR Can't forget my master!"));
    }
    call.server.forget_node(host, until);
    call.server.update_cluster_state(call.env);
    Ok(Reply::OK)
}

impl Server {
    /// Forgets a node, and ignores gossip about it until then.
    pub(crate) fn forget_node(&mut self, host: crate::ids::HostId, until: slotcar::Timestamp) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        for (start, end) in cluster.owners.of(host) {
            cluster.assign(start, end, None);
        }
        cluster.peers.remove(&host);
        cluster.forgotten.insert(host, until);
        cluster.migrating.retain(|_, other| *other != host);
        cluster.importing.retain(|_, other| *other != host);
        for peer in cluster.peers.values_mut() {
            peer.reports.remove(&host);
        }
    }

    /// Deletes keys of slots of other nodes; replicas and client caches are told.
    pub(crate) fn delete_keys(&mut self, env: &mut Env<'_>, keys: Vec<Bytes>) {
        let mut request = vec![Bytes::from_static(b"DEL")];
        request.extend(keys);
        let (seed, now_ms) = (env.rng.next_u64(), env.unix_ms());
        if let Ok(spec) = self.find(&request)
            && let Run::Data(run) = spec.run
        {
            let (_, changes) = self.apply(0, now_ms, seed, run, &request);
            self.record(0, now_ms, seed, &request);
            self.absorb(None, changes);
        }
    }
}

pub(crate) fn meet(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let (ip, port) = (text(&arguments[2]), text(&arguments[3]));
    let Ok(number) = port.parse::<u16>() else {
        return Err(fail_with(format!("ERR Invalid base port specified: {port}")));
    };
    let Ok(parsed) = ip.parse() else {
        return Err(fail_with(format!("ERR Invalid node address specified: {ip}:{port}")));
    };
    cluster_mut(call)?.meeting.insert(SocketAddr::new(parsed, number));
    Ok(Reply::OK)
}

pub(crate) fn replicate(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let empty = call.server.keyspace.databases[0].entries.is_empty();
    let view = cluster(call)?;
    let host = node(view, &arguments[2])?;
    if host == view.me {
        return Err(fail("ERR Can't replicate myself"));
    }
    if !view.peers[&host].is_primary() {
        return Err(fail("ERR I can only replicate a master, not a replica."));
    }
    if view.is_primary() && (!empty || view.owners.count_of(view.me) > 0) {
        return Err(fail("ERR To set a master the node must be empty and without assigned slots."));
    }
    call.server.become_replica_of(call.env, host);
    call.server.broadcast_pong(call.env);
    call.server.update_cluster_state(call.env);
    Ok(Reply::OK)
}

pub(crate) fn reset(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let hard = match &arguments[2..] {
        [] => false,
        [word] if is(word, "SOFT") => false,
        [word] if is(word, "HARD") => true,
        _ => return Err(SYNTAX),
    };
    let empty = call.server.keyspace.databases[0].entries.is_empty();
    if cluster(call)?.is_primary() && !empty {
        let text = "ERR CLUSTER RESET can't be called with master nodes containing keys";
        return Err(fail(text));
    }
    if !cluster(call)?.is_primary() {
        call.server.keyspace.databases[0] = crate::server::keyspace::Database::default();
        call.server.follow(call.env, None);
    }
    let cluster = cluster_mut(call)?;
    let me = cluster.me;
    cluster.assign(0, SLOTS - 1, None);
    cluster.peers.retain(|host, _| *host == me);
    cluster.myself_mut().replica_of = None;
    cluster.migrating.clear();
    cluster.importing.clear();
    if hard {
        cluster.current_epoch = 0;
        cluster.last_vote_epoch = 0;
        cluster.myself_mut().config_epoch = 0;
    }
    call.server.slots_left(&[(0, SLOTS - 1)]);
    call.server.update_cluster_state(call.env);
    Ok(Reply::OK)
}

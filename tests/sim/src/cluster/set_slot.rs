//! `CLUSTER SETSLOT`: the steps of moving a slot.
//!
//! Spec: command page of CLUSTER SETSLOT.

use super::Cluster;
use super::commands::{node, slot};
use crate::env::Env;
use crate::ids::HostId;
use crate::resp::Reply;
use crate::server::Server;
use crate::server::arguments::is;
use crate::server::call::Call;
use crate::server::command::{Outcome, Stop, fail, fail_with};
use bytes::Bytes;

/// The new state of a slot.
enum Step {
    /// This node migrates it to that one.
    Migrating(HostId),
    /// This node imports it from that one.
    Importing(HostId),
    /// Neither.
    Stable,
    /// That node owns it now.
    Node(HostId),
}

pub(crate) fn set_slot(call: &mut Call<'_, '_>, arguments: &[Bytes]) -> Outcome {
    let Some(cluster) = call.server.cluster.as_deref() else { return Ok(Reply::Null) };
    if !cluster.is_primary() {
        return Err(fail("ERR Please use SETSLOT only with masters."));
    }
    let slot = slot(&arguments[2])?;
    let step = parse(cluster, slot, &arguments[3..])?;
    match step {
        Step::Node(owner) => finish(call, slot, owner)?,
        step => {
            let Some(cluster) = call.server.cluster.as_deref_mut() else { return Ok(Reply::Null) };
            match step {
                Step::Migrating(to) => {
                    cluster.migrating.insert(slot, to);
                }
                Step::Importing(from) => {
                    cluster.importing.insert(slot, from);
                }
                Step::Stable | Step::Node(_) => {
                    cluster.migrating.remove(&slot);
                    cluster.importing.remove(&slot);
                }
            }
        }
    }
    call.server.update_cluster_state(call.env);
    Ok(Reply::OK)
}

fn parse(cluster: &Cluster, slot: u16, arguments: &[Bytes]) -> Result<Step, Stop> {
    let mine = cluster.owners.owner(slot) == Some(cluster.me);
    let step = match arguments {
        [word, id, ..] if is(word, "MIGRATING") => {
            if !mine {
                return Err(fail_with(format!("ERR I'm not the owner of hash slot {slot}")));
            }
            Step::Migrating(known(cluster, id)?)
        }
        [word, id, ..] if is(word, "IMPORTING") => {
            if mine {
                return Err(fail_with(format!("ERR I'm already the owner of hash slot {slot}")));
            }
            Step::Importing(known(cluster, id)?)
        }
        [word, ..] if is(word, "STABLE") => return Ok(Step::Stable),
        [word, id, ..] if is(word, "NODE") => Step::Node(node(cluster, id)?),
        _ => {
            let text =
                "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP";
            return Err(fail(text));
        }
    };
    let (Step::Migrating(other) | Step::Importing(other) | Step::Node(other)) = step else {
        return Ok(step);
    };
    if !cluster.peers[&other].is_primary() {
        return Err(fail("ERR Target node is not a master"));
    }
    Ok(step)
}

fn known(cluster: &Cluster, id: &[u8]) -> Result<HostId, Stop> {
    cluster.find(id).ok_or_else(|| {
        fail_with(format!("ERR I don't know about node {}", String::from_utf8_lossy(id)))
    })
}

fn finish(call: &mut Call<'_, '_>, slot: u16, owner: HostId) -> Result<(), Stop> {
    let keys = call.server.keys_in_slot(slot).count();
    let me = call.server.host;
    let was_mine = call
        .server
        .cluster
        .as_deref()
        .is_some_and(|cluster| cluster.owners.owner(slot) == Some(me));
    if was_mine && owner != me && keys > 0 {
        return Err(fail_with(format!(
            "ERR Can't assign hashslot {slot} to a different node while I still hold keys for this \
             hash slot."
        )));
    }
    call.server.assign_slot(call.env, slot, owner);
    Ok(())
}

impl Server {
    /// Sets the owner of a slot in this node's view: this node or another.
    pub(crate) fn assign_slot(&mut self, env: &mut Env<'_>, slot: u16, owner: HostId) {
        let keys = self.keys_in_slot(slot).count();
        let Some(cluster) = self.cluster.as_deref_mut() else { return };
        let me = cluster.me;
        let was_mine = cluster.owners.owner(slot) == Some(me);
        if keys == 0 {
            cluster.migrating.remove(&slot);
        }
        let imported = owner == me && cluster.importing.remove(&slot).is_some();
        cluster.assign(slot, slot, Some(owner));
        if imported {
            // There was no vote: the claim needs an epoch that beats the old owner's.
            cluster.bump_epoch();
            let epoch = cluster.myself().config_epoch;
            env.decide(me, format!("slot {slot} is imported, in epoch {epoch}"));
            self.broadcast_pong(env);
        } else {
            self.slots_left(&[(slot, slot)]);
        }
        let emptied = self
            .cluster
            .as_deref()
            .is_some_and(|cluster| was_mine && owner != me && cluster.owners.count_of(me) == 0);
        if emptied {
            self.become_replica_of(env, owner);
        }
        self.redirect_blocked(env);
    }
}

//! A node's view of roles and slots, and how claims of other nodes change it.
//!
//! A claim with a greater config epoch wins; a node whose own claim is out of date gets an UPDATE.
//! This is all that a cluster needs to agree about slots.
//!
//! Spec: cluster-spec, "Hash slots configuration propagation", "UPDATE messages";
//! `clusterUpdateSlotsConfigWith`.

use super::bus::{Header, Packet};
use super::slots::{self, key_slot};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use std::sync::Arc;

impl Server {
    /// A node reports whether it is a primary, and if not, which primary it replicates.
    pub(crate) fn note_role(&mut self, env: &mut Env<'_>, from: HostId, header: &Header) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let Some(peer) = cluster.peers.get_mut(&from) else { return };
        let was_primary = peer.is_primary();
        peer.shard = Arc::clone(&header.shard);
        let Some(primary) = header.replica_of else {
            peer.replica_of = None;
            return;
        };
        peer.replica_of = Some(primary);
        if was_primary {
            // A primary that became a replica owns nothing any more; the new owner of its slots
            // will claim them.
            if let Some(new) = cluster.peers.get_mut(&primary)
                && header.config_epoch >= new.config_epoch
            {
                new.config_epoch = header.config_epoch;
                if primary != self.host {
                    new.replica_of = None;
                }
            }
            let same_shard = cluster.peers.get(&primary).is_some_and(|p| p.shard == header.shard);
            if !same_shard {
                self.rebind(env, from, None);
            }
        }
        self.avoid_chains(env);
    }

    /// A replica's primary became a replica itself: its primary is the one to replicate.
    fn avoid_chains(&mut self, env: &mut Env<'_>) {
        let Some(cluster) = self.cluster.as_ref() else { return };
        let Some(primary) = cluster.myself().replica_of else { return };
        let above = cluster.peers.get(&primary).and_then(|p| p.replica_of);
        if let Some(above) = above
            && above != cluster.me
        {
            self.become_replica_of(env, above);
        }
    }

    /// A primary claims its slots.
    pub(crate) fn consider_claim(&mut self, env: &mut Env<'_>, from: HostId, header: &Header) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let Some(peer) = cluster.peers.get_mut(&from) else { return };
        let seen = peer.claim.as_ref().is_some_and(|(claim, epoch)| {
            Arc::ptr_eq(claim, &header.claim) && *epoch == header.config_epoch
        });
        if seen {
            return;
        }
        peer.claim = Some((Arc::clone(&header.claim), header.config_epoch));
        self.apply_claim(env, from, header.config_epoch, &header.claim);
        self.send_update(env, from, header);
    }

    /// Tells a node that another node owns its slots, with a greater epoch.
    fn send_update(&mut self, env: &mut Env<'_>, from: HostId, header: &Header) {
        let Some(cluster) = self.cluster.as_ref() else { return };
        let pieces = header.claim.iter().flat_map(|(s, e)| cluster.owners.within(*s, *e));
        let newer = pieces.filter_map(|(.., owner)| owner).find(|owner| {
            *owner != from
                && cluster.peers.get(owner).is_some_and(|p| p.config_epoch > header.config_epoch)
        });
        if let Some(owner) = newer {
            let epoch = cluster.peers[&owner].config_epoch;
            let claim = Arc::new(cluster.owners.of(owner));
            self.send_packet(env, from, Packet::Update(owner, epoch, claim));
        }
    }

    /// A node says that a third node owns slots that have another owner in this node's view.
    pub(crate) fn apply_update(
        &mut self,
        env: &mut Env<'_>,
        about: HostId,
        epoch: u64,
        claim: &[(u16, u16)],
    ) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let me = cluster.me;
        let Some(peer) = cluster.peers.get_mut(&about) else { return };
        if about == me || peer.config_epoch >= epoch {
            return;
        }
        peer.replica_of = None;
        peer.config_epoch = epoch;
        self.apply_claim(env, about, epoch, claim);
        self.update_cluster_state(env);
    }

    /// Gives a node the slots that it claims, if its epoch is greater than the former owner's.
    fn apply_claim(&mut self, env: &mut Env<'_>, sender: HostId, epoch: u64, claim: &[(u16, u16)]) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        if sender == cluster.me {
            return;
        }
        let my_primary = cluster.my_primary();
        let had_slots = cluster.owners.count_of(my_primary) > 0;
        let mut taken = Vec::new();
        for (start, end) in claim.iter().copied() {
            for (start, end, owner) in cluster.owners.within(start, end) {
                let older = owner.is_none_or(|owner| {
                    owner != sender
                        && cluster.peers.get(&owner).is_none_or(|p| p.config_epoch < epoch)
                });
                // A slot that is being imported changes its owner only by a command of the
                // operator.
                let importing = cluster.importing.range(start..=end).next().is_some();
                if older && !importing {
                    taken.push((start, end, owner));
                }
            }
        }
        if taken.is_empty() {
            return;
        }
        let lost_mine = taken.iter().any(|(.., owner)| *owner == Some(my_primary));
        for (start, end, _) in &taken {
            cluster.assign(*start, *end, Some(sender));
            cluster.migrating.retain(|slot, _| !(*start..=*end).contains(slot));
        }
        let left = cluster.owners.count_of(my_primary);
        let ranges: Vec<(u16, u16)> = taken.iter().map(|(s, e, _)| (*s, *e)).collect();
        let count = slots::count(&ranges);
        env.decide(
            self.host,
            format!("accepts the node of epoch {epoch} as owner of {count} slots"),
        );
        self.slots_left(&ranges);
        if lost_mine && had_slots && left == 0 {
            self.become_replica_of(env, sender);
        } else if lost_mine {
            self.drop_foreign_keys(env, &ranges);
        }
        self.redirect_blocked(env);
    }

    /// Ends what must end when slots change their owner: sharded subscriptions.
    pub(crate) fn slots_left(&mut self, ranges: &[(u16, u16)]) {
        self.drop_shard_channels(|channel| slots::contains(ranges, key_slot(channel)));
    }

    /// A primary that lost slots while it still held keys of them drops these keys.
    fn drop_foreign_keys(&mut self, env: &mut Env<'_>, ranges: &[(u16, u16)]) {
        let foreign: Vec<bytes::Bytes> = self.keyspace.databases[0]
            .entries
            .keys()
            .filter(|key| slots::contains(ranges, key_slot(key)))
            .cloned()
            .collect();
        if foreign.is_empty() || self.replication.is_replica() {
            return;
        }
        env.decide(self.host, format!("drops {} keys of slots that it lost", foreign.len()));
        self.delete_keys(env, foreign);
    }

    /// Moves all slots of a node to another one, or removes their owner.
    pub(crate) fn rebind(&mut self, env: &mut Env<'_>, from: HostId, to: Option<HostId>) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let ranges = cluster.owners.of(from);
        for (start, end) in ranges.iter().copied() {
            cluster.assign(start, end, to);
        }
        self.slots_left(&ranges);
        self.redirect_blocked(env);
    }

    /// Two primaries with one epoch: the one with the lesser id takes a new one.
    pub(crate) fn resolve_epoch_collision(&mut self, env: &mut Env<'_>, from: HostId, epoch: u64) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let Some(peer) = cluster.peers.get(&from) else { return };
        let mine = cluster.myself();
        if !mine.is_primary() || mine.config_epoch != epoch || peer.id <= mine.id {
            return;
        }
        cluster.current_epoch += 1;
        let epoch = cluster.current_epoch;
        cluster.myself_mut().config_epoch = epoch;
        env.decide(self.host, format!("takes epoch {epoch}: another node had the same one"));
    }

    /// Makes this node a replica.
    pub(crate) fn become_replica_of(&mut self, env: &mut Env<'_>, primary: HostId) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        let Some(peer) = cluster.peers.get(&primary) else { return };
        let (address, shard) = (peer.address, Arc::clone(&peer.shard));
        let me = cluster.me;
        cluster.migrating.clear();
        cluster.importing.clear();
        cluster.manual = None;
        let own = cluster.owners.of(me);
        for (start, end) in own {
            cluster.assign(start, end, None);
        }
        let mine = cluster.myself_mut();
        mine.replica_of = Some(primary);
        mine.shard = shard;
        cluster.own_claim = None;
        self.follow(env, Some(address));
        self.end_pause(env);
        self.redirect_blocked(env);
    }

    /// Decides whether this node serves requests.
    pub(crate) fn update_cluster_state(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let host = self.host;
        let Some(cluster) = self.cluster.as_mut() else { return };
        let timeout = cluster.settings.node_timeout;
        let primary = cluster.is_primary();
        let mut ok = true;
        if cluster.settings.full_coverage {
            let failed =
                |owner: HostId| cluster.peers.get(&owner).is_none_or(|p| p.failed.is_some());
            ok = cluster.owners.count() == usize::from(slots::SLOTS)
                && !cluster.owners.iter().any(|(.., owner)| failed(owner));
        }
        let reachable = cluster
            .peers
            .iter()
            .filter(|(host, p)| cluster.votes(**host) && !p.suspected && p.failed.is_none())
            .count();
        if reachable < cluster.quorum() {
            ok = false;
            cluster.minority_at = Some(now);
        }
        if ok == cluster.ok {
            return;
        }
        // A primary that was cut off waits, so that the others can send it what it missed.
        let rejoin = timeout.clamp(REJOIN_MIN, REJOIN_MAX);
        let too_early = cluster.minority_at.is_some_and(|at| now.since(at) < rejoin)
            || (now.since(cluster.started_at) < WRITABLE_DELAY
                && cluster.started_at > slotcar::Timestamp::ZERO);
        if ok && primary && too_early {
            return;
        }
        cluster.ok = ok;
        env.decide(host, if ok { "cluster is ok" } else { "cluster is down" });
        if !ok {
            self.redirect_blocked(env);
        }
    }
}

/// A primary that was in a minority waits at least this long before it serves again.
const REJOIN_MIN: std::time::Duration = std::time::Duration::from_millis(500);
/// And at most this long.
const REJOIN_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// A primary that has just started waits this long before it serves.
const WRITABLE_DELAY: std::time::Duration = std::time::Duration::from_secs(2);

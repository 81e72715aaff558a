//! Heartbeats: which node is pinged and when, failure detection, and gossip about third nodes.
//!
//! Spec: cluster-spec, "Failure detection"; `clusterCron`, `clusterProcessGossipSection`.

use super::bus::{GossipEntry, Packet};
use super::{Cluster, Peer};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::message::Message;
use crate::server::{Server, Timer};
use std::sync::Arc;
use std::time::Duration;

/// How often a node checks its peers.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// Ticks between pings of a random peer.
const RANDOM_PING_TICKS: u64 = 10;
/// How long a failure report is valid, in node timeouts.
const REPORT_VALIDITY: u32 = 2;
/// A failed primary that replies again, and whose slots no node took, counts as healthy after this
/// many node timeouts.
const FAIL_UNDO: u32 = 2;
/// Healthy nodes that a heartbeat mentions, in addition to all failing ones.
const GOSSIP_ENTRIES: usize = 3;

impl Server {
    /// Runs ten times a second.
    pub(crate) fn cluster_tick(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        self.timer(env, now.after(TICK), Timer::Cluster);
        let Some(cluster) = self.cluster.as_mut() else { return };
        cluster.ticks += 1;
        cluster.forgotten.retain(|_, until| *until > now);
        let mut to_ping = cluster.overdue(now);
        if cluster.ticks.is_multiple_of(RANDOM_PING_TICKS)
            && let Some(host) = cluster.oldest_reply_of_a_few(env)
            && !to_ping.contains(&host)
        {
            to_ping.push(host);
        }
        let meeting: Vec<_> = cluster.meeting.iter().copied().collect();
        let suspects = cluster.suspect(now);
        for address in meeting {
            self.send_meet(env, address);
        }
        for host in to_ping {
            self.ping(env, host);
        }
        for (host, new) in suspects {
            if new {
                env.decide(self.host, format!("suspects node {}", host.0));
            }
            self.fail_if_agreed(env, host);
        }
        self.update_cluster_state(env);
        self.tick_failover(env);
    }

    pub(crate) fn ping(&mut self, env: &mut Env<'_>, host: HostId) {
        let now = env.now();
        let gossip = self.gossip(env, host);
        let Some(header) = self.bus_header() else { return };
        if let Some(peer) = self.cluster.as_mut().and_then(|c| c.peers.get_mut(&host)) {
            peer.ping_sent.get_or_insert(now);
        }
        self.send_packet(env, host, Packet::Ping(Box::new(header), gossip));
    }

    fn send_meet(&mut self, env: &mut Env<'_>, address: std::net::SocketAddr) {
        let gossip = self.gossip(env, self.host);
        if let Some(header) = self.bus_header() {
            let packet = Packet::Meet(Box::new(header), gossip);
            env.send(self.host, address, Message::Bus(packet));
        }
    }

    /// The gossip section of a heartbeat to `to`: all failing nodes, and a few healthy ones.
    pub(crate) fn gossip(&self, env: &mut Env<'_>, to: HostId) -> Vec<GossipEntry> {
        let Some(cluster) = self.cluster.as_ref() else { return Vec::new() };
        let others: Vec<(&HostId, &Peer)> =
            cluster.peers.iter().filter(|(h, _)| **h != cluster.me && **h != to).collect();
        let mut gossip: Vec<GossipEntry> = others
            .iter()
            .filter(|(_, p)| is_failing(p))
            .map(|(h, p)| gossip_entry(**h, p))
            .collect();
        if others.len() > gossip.len() {
            let start = env.rng.index(others.len());
            let healthy = others
                .iter()
                .cycle()
                .skip(start)
                .take(others.len())
                .filter(|(_, p)| !is_failing(p));
            gossip.extend(healthy.take(GOSSIP_ENTRIES).map(|(h, p)| gossip_entry(**h, p)));
        }
        gossip
    }

    /// The reply to a ping.
    pub(crate) fn note_pong(&mut self, env: &mut Env<'_>, from: HostId) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_mut() else { return };
        let votes = cluster.votes(from);
        let undo = cluster.settings.node_timeout * FAIL_UNDO;
        let Some(peer) = cluster.peers.get_mut(&from) else { return };
        peer.pong_at = now;
        peer.ping_sent = None;
        peer.suspected = false;
        // A primary whose slots another node may be about to take stays failed for a while.
        if peer.failed.is_some_and(|at| !votes || now.since(at) > undo) {
            peer.failed = None;
            env.decide(self.host, format!("node {} replies again", from.0));
        }
    }

    /// Handles reports of failing nodes, and nodes that are new.
    pub(crate) fn handle_gossip(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        gossip: Vec<GossipEntry>,
    ) {
        let now = env.now();
        for entry in gossip {
            let Some(cluster) = self.cluster.as_mut() else { return };
            if entry.host == cluster.me {
                continue;
            }
            let trusted = cluster.votes(from);
            let my_primary = cluster.myself().replica_of;
            let Some(peer) = cluster.peers.get_mut(&entry.host) else {
                if !cluster.forgotten.contains_key(&entry.host) {
                    let mut peer = Peer::new(entry.id, entry.shard, entry.address);
                    peer.pong_at = now;
                    cluster.peers.insert(entry.host, peer);
                }
                continue;
            };
            let mut moved = false;
            if is_failing(peer) && !entry.failing && peer.address != entry.address {
                // A node that reaches it knows its address better.
                peer.address = entry.address;
                moved = true;
            }
            if trusted && entry.failing {
                peer.reports.insert(from, now);
                self.fail_if_agreed(env, entry.host);
            } else if trusted {
                peer.reports.remove(&from);
            }
            if moved && my_primary == Some(entry.host) {
                self.follow(env, Some(entry.address));
            }
        }
    }

    /// Declares a suspected node failed when a majority reports it.
    fn fail_if_agreed(&mut self, env: &mut Env<'_>, host: HostId) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_mut() else { return };
        let quorum = cluster.quorum();
        let own_vote = usize::from(cluster.votes(cluster.me));
        let validity = cluster.settings.node_timeout * REPORT_VALIDITY;
        let Some(peer) = cluster.peers.get_mut(&host) else { return };
        peer.reports.retain(|_, at| now.since(*at) <= validity);
        if !peer.suspected || peer.failed.is_some() || peer.reports.len() + own_vote < quorum {
            return;
        }
        peer.suspected = false;
        peer.failed = Some(now);
        env.decide(self.host, format!("declares node {} failed", host.0));
        self.broadcast(env, &Packet::Fail(host));
        self.update_cluster_state(env);
    }

    /// A node says that a majority has declared another node failed.
    pub(crate) fn note_failed(&mut self, env: &mut Env<'_>, host: HostId) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_mut() else { return };
        if host == cluster.me {
            return;
        }
        let Some(peer) = cluster.peers.get_mut(&host) else { return };
        if peer.failed.is_none() {
            peer.failed = Some(now);
            peer.suspected = false;
            self.update_cluster_state(env);
        }
    }
}

impl Cluster {
    /// Nodes without a message for half the node timeout, and without a ping in flight.
    fn overdue(&self, now: slotcar::Timestamp) -> Vec<HostId> {
        let limit = self.settings.node_timeout / 2;
        let paused_for = self.manual.as_ref().and_then(|m| m.replica);
        let overdue = |host: &HostId, p: &Peer| {
            let quiet = p.ping_sent.is_none() && now.since(p.pong_at) > limit;
            // A ping without a reply is repeated, as a new connection would do.
            let lost = p.ping_sent.is_some_and(|at| now.since(at) > limit);
            quiet || lost || paused_for == Some(*host)
        };
        self.peers
            .iter()
            .filter(|(host, p)| **host != self.me && overdue(host, p))
            .map(|(host, _)| *host)
            .collect()
    }

    /// Of five random nodes, the one whose last reply is the oldest.
    fn oldest_reply_of_a_few(&self, env: &mut Env<'_>) -> Option<HostId> {
        let others: Vec<(&HostId, &Peer)> =
            self.peers.iter().filter(|(h, p)| **h != self.me && p.ping_sent.is_none()).collect();
        (0..5)
            .filter_map(|_| env.rng.pick(&others).copied())
            .min_by_key(|(_, p)| p.pong_at)
            .map(|(host, _)| *host)
    }

    /// Marks nodes that did not reply in time. Returns all marked nodes and whether the mark is
    /// new.
    fn suspect(&mut self, now: slotcar::Timestamp) -> Vec<(HostId, bool)> {
        let timeout = self.settings.node_timeout;
        let mut suspects = Vec::new();
        for (host, peer) in &mut self.peers {
            let Some(sent) = peer.ping_sent else { continue };
            let silence = now.since(sent.max(peer.heard_at));
            let new = silence > timeout && !is_failing(peer);
            peer.suspected |= new;
            // Reports of others may have come in since, so a suspect is checked on each tick.
            if peer.suspected {
                suspects.push((*host, new));
            }
        }
        suspects
    }
}

/// Whether a node is suspected or failed, in this node's view.
pub(crate) fn is_failing(peer: &Peer) -> bool {
    peer.suspected || peer.failed.is_some()
}

fn gossip_entry(host: HostId, peer: &Peer) -> GossipEntry {
    GossipEntry {
        host,
        id: Arc::clone(&peer.id),
        shard: Arc::clone(&peer.shard),
        address: peer.address,
        failing: is_failing(peer),
    }
}

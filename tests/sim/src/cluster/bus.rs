//! The cluster bus: messages between nodes, and how a node handles them.
//!
//! Spec: cluster-spec, "Heartbeat and gossip messages", "Hash slots configuration propagation";
//! `clusterProcessPacket`.

use super::slots::Ranges;
use super::{Cluster, Peer};
use crate::env::Env;
use crate::ids::HostId;
use crate::server::Server;
use crate::server::message::Message;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;

/// The header of a heartbeat: the state of its sender.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// Its id.
    pub(crate) id: Arc<str>,
    /// Its address on the bus.
    pub(crate) address: SocketAddr,
    /// The endpoint for clients.
    pub(crate) announced: Option<SocketAddr>,
    /// Its host name.
    pub(crate) hostname: Option<Arc<str>>,
    /// Its shard.
    pub(crate) shard: Arc<str>,
    /// Its primary.
    pub(crate) replica_of: Option<HostId>,
    /// The greatest epoch that it has seen.
    pub(crate) current_epoch: u64,
    /// The epoch of its claim, or of its primary's.
    pub(crate) config_epoch: u64,
    /// The slots that it, or its primary, serves.
    pub(crate) claim: Arc<Ranges>,
    /// Its replication offset.
    pub(crate) offset: u64,
    /// It has paused its clients for a manual failover.
    pub(crate) paused: bool,
}

/// The gossip section of a heartbeat: the state of a third node.
#[derive(Clone, Debug)]
pub(crate) struct GossipEntry {
    /// The host of that node.
    pub(crate) host: HostId,
    /// Its id.
    pub(crate) id: Arc<str>,
    /// Its shard.
    pub(crate) shard: Arc<str>,
    /// Its address on the bus.
    pub(crate) address: SocketAddr,
    /// It does not reply.
    pub(crate) failing: bool,
}

/// The kind of a packet.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// A heartbeat that wants a reply.
    Ping(Box<Header>, Vec<GossipEntry>),
    /// The reply, or an announcement without a request.
    Pong(Box<Header>, Vec<GossipEntry>),
    /// A ping of a node that asks to join.
    Meet(Box<Header>, Vec<GossipEntry>),
    /// A majority says that a node has failed.
    Fail(HostId),
    /// A replica asks for a vote; true when its primary need not have failed.
    VoteRequest(Box<Header>, bool),
    /// A vote, in that epoch.
    Vote(u64),
    /// A node's claim is out of date: another node owns these slots, with that epoch.
    Update(HostId, u64, Arc<Ranges>),
    /// A replica asks its primary to pause its clients.
    ManualStart,
    /// A message for subscribers of all nodes; true for a sharded channel.
    Publish(Bytes, Bytes, bool),
}

impl Server {
    /// This node's header.
    pub(crate) fn bus_header(&mut self) -> Option<Header> {
        let offset = self.replication.offset;
        let cluster = self.cluster.as_mut()?;
        let claim = cluster.own_claim();
        let primary = cluster.my_primary();
        let config_epoch = cluster.peers.get(&primary).map_or(0, |p| p.config_epoch);
        let paused = cluster.manual.as_ref().is_some_and(|m| m.replica.is_some());
        let me = cluster.myself();
        Some(Header {
            id: Arc::clone(&me.id),
            address: me.address,
            announced: me.announced,
            hostname: me.hostname.clone(),
            shard: Arc::clone(&me.shard),
            replica_of: me.replica_of,
            current_epoch: cluster.current_epoch,
            config_epoch,
            claim,
            offset,
            paused,
        })
    }

    /// Sends a packet to a node, at the address that this node knows.
    pub(crate) fn send_packet(&self, env: &mut Env<'_>, to: HostId, packet: Packet) {
        let peer = self.cluster.as_ref().and_then(|c| c.peers.get(&to));
        if let Some(peer) = peer {
            env.send(self.host, peer.address, Message::Bus(packet));
        }
    }

    /// Sends a packet to every other node.
    pub(crate) fn broadcast(&self, env: &mut Env<'_>, packet: &Packet) {
        let Some(cluster) = self.cluster.as_ref() else { return };
        for (host, peer) in &cluster.peers {
            if *host != cluster.me {
                env.send(self.host, peer.address, Message::Bus(packet.clone()));
            }
        }
    }

    /// Announces this node to all others at once.
    pub(crate) fn broadcast_pong(&mut self, env: &mut Env<'_>) {
        if let Some(header) = self.bus_header() {
            self.broadcast(env, &Packet::Pong(Box::new(header), Vec::new()));
        }
    }

    /// A packet arrived.
    pub(crate) fn handle_packet(&mut self, env: &mut Env<'_>, from: HostId, packet: Packet) {
        let known = match self.cluster.as_ref() {
            Some(cluster) => cluster.peers.contains_key(&from),
            None => return,
        };
        match packet {
            Packet::Meet(header, gossip) => {
                self.meet(env, from, &header);
                self.heartbeat(env, from, *header, gossip);
                self.answer_ping(env, from);
            }
            Packet::Ping(header, gossip) if known => {
                self.heartbeat(env, from, *header, gossip);
                self.answer_ping(env, from);
            }
            Packet::Pong(header, gossip) => {
                let met = self.complete_handshake(from, &header);
                if known || met {
                    self.note_pong(env, from);
                    self.heartbeat(env, from, *header, gossip);
                }
            }
            Packet::Fail(failed) if known => self.note_failed(env, failed),
            Packet::VoteRequest(header, forced) if known => {
                self.note_header(env, from, &header);
                self.consider_vote(env, from, &header, forced);
            }
            Packet::Vote(epoch) if known => self.count_vote(env, from, epoch),
            Packet::Update(about, epoch, claim) if known => {
                self.apply_update(env, about, epoch, &claim);
            }
            Packet::ManualStart if known => self.pause_for_failover(env, from),
            Packet::Publish(channel, payload, sharded) if known => {
                if sharded {
                    self.deliver_shard(&channel, &payload);
                } else {
                    self.deliver(&channel, &payload);
                }
            }
            // The sender is not known to this node, or not any more.
            _ => {}
        }
    }

    fn answer_ping(&mut self, env: &mut Env<'_>, to: HostId) {
        let gossip = self.gossip(env, to);
        if let Some(header) = self.bus_header() {
            self.send_packet(env, to, Packet::Pong(Box::new(header), gossip));
        }
    }

    /// A node that is not known yet asks to join.
    fn meet(&mut self, env: &mut Env<'_>, from: HostId, header: &Header) {
        let Some(cluster) = self.cluster.as_mut() else { return };
        if !cluster.peers.contains_key(&from) {
            cluster.add_peer(env, from, header);
            env.decide(self.host, format!("met {}", header.address));
        }
    }

    /// The reply of a node that this one was ordered to meet.
    fn complete_handshake(&mut self, from: HostId, header: &Header) -> bool {
        let Some(cluster) = self.cluster.as_mut() else { return false };
        let wanted = cluster.meeting.remove(&header.address);
        if wanted && !cluster.peers.contains_key(&from) {
            let (id, shard) = (Arc::clone(&header.id), Arc::clone(&header.shard));
            cluster.peers.insert(from, Peer::new(id, shard, header.address));
        }
        wanted
    }

    /// Handles all sections of a heartbeat.
    fn heartbeat(
        &mut self,
        env: &mut Env<'_>,
        from: HostId,
        header: Header,
        gossip: Vec<GossipEntry>,
    ) {
        self.note_header(env, from, &header);
        self.note_role(env, from, &header);
        if header.replica_of.is_none() {
            self.consider_claim(env, from, &header);
            self.resolve_epoch_collision(env, from, header.config_epoch);
        }
        self.handle_gossip(env, from, gossip);
        self.update_cluster_state(env);
        if self.cluster.as_ref().is_some_and(|c| c.manual.is_some()) {
            self.tick_failover(env);
        }
    }

    /// Epochs, offset, address.
    fn note_header(&mut self, env: &mut Env<'_>, from: HostId, header: &Header) {
        let now = env.now();
        let Some(cluster) = self.cluster.as_mut() else { return };
        cluster.current_epoch = cluster.current_epoch.max(header.current_epoch);
        let my_primary = cluster.myself().replica_of;
        let Some(peer) = cluster.peers.get_mut(&from) else { return };
        peer.heard_at = now;
        peer.offset = header.offset;
        peer.announced = header.announced;
        peer.hostname.clone_from(&header.hostname);
        if header.replica_of.is_none() {
            peer.config_epoch = peer.config_epoch.max(header.config_epoch);
        }
        let moved = peer.address != header.address;
        peer.address = header.address;
        if let Some(manual) = cluster.manual.as_mut()
            && header.paused
            && my_primary == Some(from)
        {
            manual.primary_offset.get_or_insert(header.offset);
        }
        if moved {
            env.decide(self.host, format!("knows a new address: {}", header.address));
            if my_primary == Some(from) {
                self.follow(env, Some(header.address));
            }
        }
    }

    /// Publishes to the other nodes that have subscribers for it.
    pub(crate) fn spread_publish(
        &self,
        env: &mut Env<'_>,
        channel: &Bytes,
        payload: &Bytes,
        sharded: bool,
    ) {
        let Some(cluster) = self.cluster.as_ref() else { return };
        let packet = Packet::Publish(channel.clone(), payload.clone(), sharded);
        if sharded {
            let primary = cluster.my_primary();
            let in_shard =
                |host: HostId, peer: &Peer| host == primary || peer.replica_of == Some(primary);
            for (host, peer) in &cluster.peers {
                if *host != cluster.me && in_shard(*host, peer) {
                    env.send(self.host, peer.address, Message::Bus(packet.clone()));
                }
            }
        } else {
            self.broadcast(env, &packet);
        }
    }
}

impl Cluster {
    /// Adds a node that has introduced itself.
    fn add_peer(&mut self, env: &Env<'_>, host: HostId, header: &Header) {
        let (id, shard) = (Arc::clone(&header.id), Arc::clone(&header.shard));
        let mut peer = Peer::new(id, shard, header.address);
        peer.pong_at = env.now();
        self.peers.insert(host, peer);
        self.forgotten.remove(&host);
    }
}

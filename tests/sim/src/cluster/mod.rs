//! A server's part in a cluster: the nodes that it knows, the owners of slots in its view, and the
//! operations that it takes part in.
//!
//! Every node has its own view. Views differ for as long as messages take, or for good behind a
//! partition. They spread by gossip and are ordered by config epochs, as in a real cluster; the
//! simulation has no global truth.
//!
//! Spec: "Redis cluster specification"; `cluster_legacy.c` where the specification is silent.

pub(crate) mod admin;
pub(crate) mod bus;
pub(crate) mod commands;
pub(crate) mod election;
pub(crate) mod gossip;
pub(crate) mod migrate;
pub(crate) mod redirect;
pub(crate) mod set_slot;
pub(crate) mod shards;
pub(crate) mod slots;
pub(crate) mod topology;

use crate::env::Env;
use crate::ids::HostId;
use crate::server::{Server, Timer};
use election::{Election, ManualFailover};
use slotcar::Timestamp;
use slots::{Owners, Ranges};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The kind of endpoint that a node announces to clients (`cluster-preferred-endpoint-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreferredEndpoint {
    /// The address.
    #[default]
    Ip,
    /// The host name, or `?` for a node that has none.
    Hostname,
    /// Nothing: the client is to use the host that it sent the request to.
    Unknown,
}

/// The configuration of all nodes of a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// A node without a reply for this long counts as failing (`cluster-node-timeout`).
    pub(crate) node_timeout: Duration,
    /// A slot without an owner makes the whole cluster refuse requests
    /// (`cluster-require-full-coverage`).
    pub(crate) full_coverage: bool,
    /// Reads are served while the cluster is down (`cluster-allow-reads-when-down`).
    pub(crate) reads_when_down: bool,
    /// The kind of endpoint that nodes announce to clients.
    pub(crate) endpoint: PreferredEndpoint,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_timeout: Duration::from_secs(1),
            full_coverage: true,
            reads_when_down: false,
            endpoint: PreferredEndpoint::Ip,
        }
    }
}

/// A node, as another node or itself knows it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its id, 40 hexadecimal digits, which never changes.
    pub(crate) id: Arc<str>,
    /// Its address for other nodes.
    pub(crate) address: SocketAddr,
    /// Its address for clients, if that differs (`cluster-announce-ip`).
    pub(crate) announced: Option<SocketAddr>,
    /// Its host name (`cluster-announce-hostname`).
    pub(crate) hostname: Option<Arc<str>>,
    /// Its shard.
    pub(crate) shard: Arc<str>,
    /// Its primary; `None` for a primary.
    pub(crate) replica_of: Option<HostId>,
    /// The epoch of its claim to its slots.
    pub(crate) config_epoch: u64,
    /// It has not replied to this node for too long.
    pub(crate) suspected: bool,
    /// Since when a majority reports it failed.
    pub(crate) failed: Option<Timestamp>,
    /// When the ping was sent that has no reply yet.
    pub(crate) ping_sent: Option<Timestamp>,
    /// When the last reply came.
    pub(crate) pong_at: Timestamp,
    /// When the last message of any kind came.
    pub(crate) heard_at: Timestamp,
    /// Primaries that report it as failing, and when they did.
    pub(crate) reports: BTreeMap<HostId, Timestamp>,
    /// Its replication offset.
    pub(crate) offset: u64,
    /// Its last claim, so that the same claim need not be checked twice.
    pub(crate) claim: Option<(Arc<Ranges>, u64)>,
    /// When this node voted about a replica of this one.
    pub(crate) voted_at: Option<Timestamp>,
}

impl Peer {
    pub(crate) fn new(id: Arc<str>, shard: Arc<str>, address: SocketAddr) -> Self {
        Self {
            id,
            address,
            announced: None,
            hostname: None,
            shard,
            replica_of: None,
            config_epoch: 0,
            suspected: false,
            failed: None,
            ping_sent: None,
            pong_at: Timestamp::ZERO,
            heard_at: Timestamp::ZERO,
            reports: BTreeMap::new(),
            offset: 0,
            claim: None,
            voted_at: None,
        }
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.replica_of.is_none()
    }

    /// Its address for clients.
    pub(crate) fn client_address(&self) -> SocketAddr {
        self.announced.unwrap_or(self.address)
    }
}

/// A node's view of its cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// This node.
    pub(crate) me: HostId,
    /// The configuration of the cluster.
    pub(crate) settings: Arc<Settings>,
    /// All nodes that it knows, itself included.
    pub(crate) peers: BTreeMap<HostId, Peer>,
    /// The owners of slots, in its view.
    pub(crate) owners: Owners,
    /// The greatest epoch that it has seen.
    pub(crate) current_epoch: u64,
    /// The epoch of its last vote.
    pub(crate) last_vote_epoch: u64,
    /// Slots that it migrates, and to which node.
    pub(crate) migrating: BTreeMap<u16, HostId>,
    /// Slots that it imports, and from which node.
    pub(crate) importing: BTreeMap<u16, HostId>,
    /// Whether it serves requests.
    pub(crate) ok: bool,
    /// When it was last in a minority.
    pub(crate) minority_at: Option<Timestamp>,
    /// When it started.
    pub(crate) started_at: Timestamp,
    /// The election in which it is a candidate.
    pub(crate) election: Election,
    /// A manual failover that it takes part in.
    pub(crate) manual: Option<ManualFailover>,
    /// Nodes that it was ordered to forget, and until when.
    pub(crate) forgotten: BTreeMap<HostId, Timestamp>,
    /// Addresses that it was ordered to meet.
    pub(crate) meeting: BTreeSet<SocketAddr>,
    /// Counts ticks.
    pub(crate) ticks: u64,
    /// Its own claim, computed again when the owners change.
    own_claim: Option<(HostId, Arc<Ranges>)>,
}

impl Cluster {
    pub(crate) fn new(me: HostId, myself: Peer, settings: Arc<Settings>) -> Self {
        Self {
            me,
            settings,
            peers: BTreeMap::from([(me, myself)]),
            owners: Owners::default(),
            current_epoch: 0,
            last_vote_epoch: 0,
            migrating: BTreeMap::new(),
            importing: BTreeMap::new(),
            ok: false,
            minority_at: None,
            started_at: Timestamp::ZERO,
            election: Election::default(),
            manual: None,
            forgotten: BTreeMap::new(),
            meeting: BTreeSet::new(),
            ticks: 0,
            own_claim: None,
        }
    }

    /// This node as it knows itself.
    pub(crate) fn myself(&self) -> &Peer {
        &self.peers[&self.me]
    }

    pub(crate) fn myself_mut(&mut self) -> &mut Peer {
        self.peers.get_mut(&self.me).expect("a node knows itself")
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.myself().is_primary()
    }

    /// This node, or its primary.
    pub(crate) fn my_primary(&self) -> HostId {
        self.myself().replica_of.unwrap_or(self.me)
    }

    /// The node with that id.
    pub(crate) fn find(&self, id: &[u8]) -> Option<HostId> {
        self.peers.iter().find(|(_, p)| p.id.as_bytes() == id).map(|(host, _)| *host)
    }

    /// Replicas of a primary.
    pub(crate) fn replicas_of(&self, primary: HostId) -> impl Iterator<Item = (HostId, &Peer)> {
        self.peers
            .iter()
            .filter(move |(_, p)| p.replica_of == Some(primary))
            .map(|(host, p)| (*host, p))
    }

    /// Whether a node may vote: a primary with slots.
    pub(crate) fn votes(&self, host: HostId) -> bool {
        self.peers.get(&host).is_some_and(Peer::is_primary) && self.owners.count_of(host) > 0
    }

    /// How many nodes may vote.
    pub(crate) fn size(&self) -> usize {
        self.peers.keys().filter(|host| self.votes(**host)).count()
    }

    /// How many votes make a majority.
    pub(crate) fn quorum(&self) -> usize {
        self.size() / 2 + 1
    }

    /// The slots that this node, or its primary, serves.
    pub(crate) fn own_claim(&mut self) -> Arc<Ranges> {
        let primary = self.my_primary();
        match &self.own_claim {
            Some((host, claim)) if *host == primary => Arc::clone(claim),
            _ => {
                let claim = Arc::new(self.owners.of(primary));
                self.own_claim = Some((primary, Arc::clone(&claim)));
                claim
            }
        }
    }

    /// Sets or removes the owner of slots, in this node's view.
    pub(crate) fn assign(&mut self, start: u16, end: u16, owner: Option<HostId>) {
        self.owners.assign(start, end, owner);
        self.own_claim = None;
        // A claim that was checked before has to be checked again.
        for peer in self.peers.values_mut() {
            peer.claim = None;
        }
    }

    /// The greatest epoch of any node.
    pub(crate) fn greatest_epoch(&self) -> u64 {
        self.peers.values().map(|p| p.config_epoch).max().unwrap_or(0).max(self.current_epoch)
    }

    /// Takes a new epoch without a vote; false when it has the greatest one already.
    pub(crate) fn bump_epoch(&mut self) -> bool {
        let greatest = self.greatest_epoch();
        let mine = self.myself().config_epoch;
        if mine != 0 && mine == greatest {
            return false;
        }
        self.current_epoch = greatest + 1;
        self.myself_mut().config_epoch = self.current_epoch;
        true
    }
}

impl Server {
    /// The process starts as a node of its cluster.
    pub(crate) fn start_cluster(&mut self, env: &mut Env<'_>) {
        let now = env.now();
        let (address, first) = (self.address, self.incarnation == 1);
        let Some(cluster) = self.cluster.as_mut() else { return };
        cluster.started_at = now;
        cluster.ok = first;
        cluster.manual = None;
        cluster.election = Election::default();
        cluster.myself_mut().address = address;
        for peer in cluster.peers.values_mut() {
            peer.ping_sent = None;
            peer.suspected = false;
            peer.reports.clear();
        }
        // Ticks of different nodes do not coincide.
        let tick = now.after(env.rng.duration(gossip::TICK));
        self.timer(env, tick, Timer::Cluster);
    }
}

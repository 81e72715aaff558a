//! Makes servers a cluster, and adds a second cluster to a network that has one.
//!
//! **Invariants**: all nodes of a cluster know each other and have the same view; nodes of two
//! clusters do not know each other.

use super::Sim;
use super::builder::SimBuilder;
use crate::cluster::slots::{Owners, even_split};
use crate::cluster::{Cluster, Peer};
use crate::ids::HostId;
use crate::server::replication::new_history;
use crate::world::World;
use slotcar::Endpoint;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The shard that is named `x`: the first one of a second cluster.
const FIRST_FOREIGN: usize = 23;

impl Sim {
    /// Adds another cluster to the network, of up to three shards. Its primaries are `x`, `y` and
    /// `z`, its replicas `x1` and so on. [`Sim::servers`] and [`Sim::config`] name its nodes, too:
    /// a client of the first cluster gets the endpoints of [`Sim::endpoints_of`].
    ///
    /// # Panics
    /// When there is a second cluster already.
    pub fn add_cluster(&self, shards: usize, replicas: usize) {
        let builder = SimBuilder::cluster(shards.clamp(1, 3), replicas);
        self.shared.with_world(|world| {
            assert!(world.network.find_host("x").is_none(), "there is a second cluster already");
            world.note_fault("another cluster starts");
            let hosts = builder.build_cluster(world, FIRST_FOREIGN, shards.clamp(1, 3), replicas);
            for host in hosts {
                let (mut env, _, fleet) = world.split();
                fleet.started(&mut env, host);
            }
        });
    }

    /// A node leaves its cluster for that of another one and keeps its id. It has no slots there.
    /// Those that it left still know it; so isolate it from them first.
    ///
    /// # Panics
    /// When one of the two is no node of a cluster.
    pub fn join_other_cluster(&self, name: &str, other: &str) {
        let (node, other) = (self.host(name), self.host(other));
        self.shared.with_world(|world| {
            world.note_fault(format!("{name} joins another cluster"));
            let cluster = |world: &mut World, host| -> Option<(_, _)> {
                let cluster = world.fleet.server_mut(host)?.cluster.as_ref()?;
                Some((cluster.peers.clone(), cluster.owners.clone()))
            };
            let (mut peers, owners) = cluster(world, other).expect("it is a node of a cluster");
            let server = world.fleet.server_mut(node);
            let own = server.and_then(|server| server.cluster.as_mut());
            let own = own.expect("it is a node of a cluster");
            let mut me = own.peers[&node].clone();
            me.replica_of = None;
            peers.insert(node, me);
            (own.peers, own.owners) = (peers, owners);
        });
    }

    /// The endpoints of these servers, by their names.
    #[must_use]
    pub fn endpoints_of(&self, servers: &[&str]) -> Vec<Endpoint> {
        let named = |server: &&str| match self.endpoint(server) {
            Endpoint::Tcp { port, .. } => Endpoint::tcp(&format!("{server}.sim"), port),
            other => other,
        };
        servers.iter().map(named).collect()
    }
}

impl SimBuilder {
    /// Shards, numbered from `first` on, that are one cluster; not started yet.
    pub(super) fn build_cluster(
        &self,
        world: &mut World,
        first: usize,
        shards: usize,
        replicas: usize,
    ) -> Vec<HostId> {
        let shards: Vec<Vec<HostId>> =
            (0..shards).map(|index| self.build_shard(world, first + index, replicas)).collect();
        self.join_cluster(world, first, &shards);
        shards.into_iter().flatten().collect()
    }

    /// Makes shards a cluster in which all nodes know each other and have the same view.
    fn join_cluster(&self, world: &mut World, first: usize, shards: &[Vec<HostId>]) {
        let settings = Arc::new(self.cluster.clone());
        let mut peers = BTreeMap::new();
        let mut owners = Owners::default();
        for ((start, end), (index, hosts)) in
            even_split(shards.len()).into_iter().zip(shards.iter().enumerate())
        {
            let shard: Arc<str> = new_history(world.rng.next_u64()).into();
            owners.assign(start, end, Some(hosts[0]));
            for (member, host) in hosts.iter().enumerate() {
                let id = new_history(world.rng.next_u64()).into();
                let address = self.address(first + index, member);
                let mut peer = Peer::new(id, Arc::clone(&shard), address);
                peer.replica_of = (member > 0).then_some(hosts[0]);
                peer.config_epoch = if member == 0 { index as u64 + 1 } else { 0 };
                if self.hostnames {
                    peer.hostname = Some(format!("{}.sim", world.network.host(*host).name).into());
                }
                peers.insert(*host, peer);
            }
        }
        for host in peers.keys() {
            let Some(server) = world.fleet.server_mut(*host) else { continue };
            let mut cluster = Cluster::new(*host, peers[host].clone(), Arc::clone(&settings));
            cluster.peers = peers.clone();
            cluster.owners = owners.clone();
            cluster.current_epoch = shards.len() as u64;
            server.cluster = Some(Box::new(cluster));
        }
    }
}

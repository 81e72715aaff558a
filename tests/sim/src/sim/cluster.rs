//! What a test can do to a cluster: move slots, fail over, make nodes forget each other, and make
//! them announce other addresses.

use super::Sim;
use crate::cluster::slots::{Owners, SLOTS, key_slot};
use crate::cluster::{PreferredEndpoint, Settings};
use crate::ids::HostId;
use crate::world::World;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

impl Sim {
    /// The slot of a key.
    #[must_use]
    pub fn slot_of(key: &str) -> u16 {
        key_slot(key.as_bytes())
    }

    /// The server that serves a slot: of the servers that claim it, the one with the greatest
    /// epoch.
    ///
    /// # Panics
    /// When no server claims it.
    #[must_use]
    pub fn owner_of(&self, slot: u16) -> String {
        self.shared.with_world(|world| {
            let owner =
                world.slot_owner(slot).unwrap_or_else(|| panic!("no node serves slot {slot}"));
            world.network.host(owner).name.clone()
        })
    }

    /// The primary of a server's shard in that server's own view.
    #[must_use]
    pub fn primary_of(&self, server: &str) -> String {
        let primary = self.with_server(server, |server| {
            server.cluster.as_ref().map_or(server.host, |cluster| cluster.my_primary())
        });
        self.shared.with_world(|world| world.network.host(primary).name.clone())
    }

    /// The node id of a server.
    ///
    /// # Panics
    /// When the server is no cluster node.
    #[must_use]
    pub fn node_id(&self, server: &str) -> String {
        self.with_server(server, |server| {
            let cluster = server.cluster.as_ref().expect("the server is a cluster node");
            cluster.myself().id.to_string()
        })
    }

    /// Whether a server serves requests, in its own view.
    #[must_use]
    pub fn cluster_is_ok(&self, server: &str) -> bool {
        self.with_server(server, |server| server.cluster.as_ref().is_some_and(|c| c.ok))
    }

    /// Moves a slot with its keys at once; other nodes learn it by gossip.
    pub fn move_slot(&self, slot: u16, to: &str) {
        self.begin_move(slot, to);
        self.move_keys(slot, to, usize::MAX);
        self.finish_move(slot, to);
    }

    /// Moves a slot key by key, as `redis-cli --cluster reshard` does, one key per `pace`.
    pub async fn migrate_slot(&self, slot: u16, to: &str, pace: Duration) {
        self.begin_move(slot, to);
        while self.move_keys(slot, to, 1) > 0 {
            self.advance(pace).await;
        }
        self.finish_move(slot, to);
    }

    /// The first step of moving a slot: the owner redirects with ASK for keys that it does not
    /// have.
    pub fn begin_move(&self, slot: u16, to: &str) {
        let to_host = self.host(to);
        self.shared.with_world(|world| {
            let Some(from) = world.slot_owner(slot) else { return };
            world.note_fault(format!("slot {slot} starts to move to {to}"));
            world.with_cluster(to_host, |cluster| {
                cluster.importing.insert(slot, from);
            });
            world.with_cluster(from, |cluster| {
                cluster.migrating.insert(slot, to_host);
            });
        });
    }

    /// The second step: moves up to `keys_max` keys to the new owner. Returns how many were moved.
    pub fn move_keys(&self, slot: u16, to: &str, keys_max: usize) -> usize {
        let to_host = self.host(to);
        self.shared.with_world(|world| world.move_keys(slot, to_host, keys_max))
    }

    /// The last step: the new owner claims the slot with a new epoch, and the old owner accepts it.
    pub fn finish_move(&self, slot: u16, to: &str) {
        let to_host = self.host(to);
        self.shared.with_world(|world| {
            world.note_fault(format!("slot {slot} belongs to {to}"));
            world.finish_move(slot, to_host);
        });
    }

    /// Removes the owner of a slot, on all nodes.
    pub fn uncover_slot(&self, slot: u16) {
        self.shared.with_world(|world| {
            world.note_fault(format!("no node serves slot {slot}"));
            world.assign_everywhere(slot, slot, None);
        });
    }

    /// Makes a server believe that another node, or none, owns these slots, and report this to
    /// clients until gossip corrects it.
    pub fn believe(&self, server: &str, slots: RangeInclusive<u16>, owner: Option<&str>) {
        let (host, owner_host) = (self.host(server), owner.map(|name| self.host(name)));
        self.shared.with_world(|world| {
            world.note_fault(format!("{server} believes that {slots:?} belong to {owner:?}"));
            let (start, end) = (*slots.start(), *slots.end());
            world.with_cluster(host, |cluster| cluster.assign(start, end, owner_host));
        });
    }

    /// Changes what all nodes announce to clients as their endpoint.
    pub fn set_endpoints(&self, preferred: PreferredEndpoint) {
        self.shared.with_world(|world| {
            world.note_fault(format!("nodes announce the endpoint type {preferred:?} from now on"));
            for host in world.network.host_ids() {
                world.with_cluster(host, |cluster| {
                    let endpoint = preferred;
                    let settings = Settings { endpoint, ..(*cluster.settings).clone() };
                    cluster.settings = settings.into();
                });
            }
        });
    }

    /// Gives a slot that has no owner to a server, on all nodes.
    pub fn cover_slot(&self, slot: u16, server: &str) {
        let host = self.host(server);
        self.shared.with_world(|world| {
            world.note_fault(format!("{server} serves slot {slot}"));
            world.assign_everywhere(slot, slot, Some(host));
        });
    }

    /// `CLUSTER FAILOVER` on a replica: it takes its primary's place without losing a write.
    pub fn failover(&self, replica: &str) {
        self.start_failover(replica, false);
    }

    /// `CLUSTER FAILOVER FORCE`: the same without the consent of the primary.
    pub fn force_failover(&self, replica: &str) {
        self.start_failover(replica, true);
    }

    /// The server that serves a slot, if there is one.
    pub(crate) fn find_owner(&self, slot: u16) -> Option<String> {
        self.shared.with_world(|world| {
            let owner = world.slot_owner(slot)?;
            Some(world.network.host(owner).name.clone())
        })
    }

    /// Whether a slot has an owner, and the owner is another server.
    pub(crate) fn is_owned_by_other(&self, slot: u16, server: &str) -> bool {
        self.find_owner(slot).is_some_and(|owner| owner != server)
    }

    /// Slots in which some server has keys.
    pub(crate) fn used_slots(&self) -> Vec<u16> {
        self.shared.with_world(|world| {
            let keys = world.fleet.servers().filter(|s| s.cluster.is_some());
            let keys = keys.flat_map(|s| s.keyspace.databases[0].entries.keys());
            keys.map(|key| key_slot(key)).collect::<BTreeSet<u16>>().into_iter().collect()
        })
    }

    /// Introduces every node of a cluster to every other one, as `CLUSTER MEET` does.
    pub(crate) fn introduce_nodes(&self) {
        self.shared.with_world(World::introduce_all);
    }

    /// Ends unfinished slot moves, as an operator would: keys go to the final owner of the slot.
    pub(crate) fn settle_slots(&self) {
        self.shared.with_world(World::settle_slots);
    }

    fn start_failover(&self, replica: &str, forced: bool) {
        let host = self.host(replica);
        self.shared.with_world(|world| {
            let (mut env, _, fleet) = world.split();
            fleet.with(host, |server| {
                server.start_manual_failover(&mut env, forced);
                server.settle(&mut env);
            });
        });
    }

    /// `CLUSTER FAILOVER TAKEOVER`: without votes.
    pub fn take_over(&self, replica: &str) {
        let host = self.host(replica);
        self.shared.with_world(|world| {
            world.with_cluster(host, |cluster| {
                cluster.bump_epoch();
            });
            let (mut env, _, fleet) = world.split();
            fleet.with(host, |server| {
                server.take_over(&mut env);
                server.settle(&mut env);
            });
        });
    }

    /// `CLUSTER FORGET` on one node about another.
    pub fn forget(&self, server: &str, other: &str) {
        let other = self.host(other);
        let until = self.now().after(Duration::from_secs(60));
        self.with_server(server, |server| server.forget_node(other, until));
    }

    /// Makes a node announce another address than the one where it listens, as behind NAT.
    pub fn announce(&self, server: &str, address: SocketAddr) {
        let host = self.host(server);
        self.shared.with_world(|world| {
            for other in world.network.host_ids() {
                world.with_cluster(other, |cluster| {
                    if let Some(peer) = cluster.peers.get_mut(&host) {
                        peer.announced = Some(address);
                    }
                });
            }
        });
    }

    /// Changes or removes a node's host name.
    pub fn set_hostname(&self, server: &str, hostname: Option<&str>) {
        let host = self.host(server);
        self.shared.with_world(|world| {
            for other in world.network.host_ids() {
                world.with_cluster(other, |cluster| {
                    if let Some(peer) = cluster.peers.get_mut(&host) {
                        peer.hostname = hostname.map(Into::into);
                    }
                });
            }
        });
    }

    /// Moves every server to another address at once, as when all pods of a deployment are
    /// replaced. The operator has introduced the nodes to each other again; clients have only
    /// names.
    pub fn readdress_all(&self, network: [u8; 3]) {
        let servers = self.servers();
        for (index, server) in servers.iter().enumerate() {
            let [a, b, c] = network;
            self.restart_at(server, [a, b, c, index as u8 + 1].into());
        }
        self.introduce_nodes();
    }
}

impl World {
    /// Of the running primaries that claim a slot, the one with the greatest epoch.
    fn slot_owner(&self, slot: u16) -> Option<HostId> {
        let claims = self.fleet.servers().filter_map(|server| {
            let cluster = server.cluster.as_ref()?;
            let mine = cluster.is_primary() && cluster.owners.owner(slot) == Some(server.host);
            (mine && self.network.is_up(server.host))
                .then(|| (cluster.myself().config_epoch, server.host))
        });
        claims.max().map(|(_, host)| host)
    }

    fn with_cluster(&mut self, host: HostId, change: impl FnOnce(&mut crate::cluster::Cluster)) {
        let server = self.fleet.server_mut(host);
        if let Some(cluster) = server.and_then(|s| s.cluster.as_deref_mut()) {
            change(cluster);
        }
    }

    fn move_keys(&mut self, slot: u16, to: HostId, keys_max: usize) -> usize {
        let from = self.fleet.servers().find(|server| {
            server.cluster.as_ref().is_some_and(|c| c.migrating.get(&slot) == Some(&to))
        });
        let Some(from) = from else { return 0 };
        let source = from.host;
        let entries: Vec<_> = from
            .keys_in_slot(slot)
            .take(keys_max)
            .filter_map(|key| {
                let entry = from.keyspace.databases[0].entries.get(key)?;
                Some((key.clone(), entry.clone()))
            })
            .collect();
        let keys: Vec<Bytes> = entries.iter().map(|(key, _)| key.clone()).collect();
        let count = keys.len();
        if count > 0 {
            let (mut env, _, fleet) = self.split();
            fleet.with(to, |server| {
                server.place(entries);
                server.settle(&mut env);
            });
            fleet.with(source, |server| {
                server.delete_keys(&mut env, keys);
                server.settle(&mut env);
            });
        }
        count
    }

    fn finish_move(&mut self, slot: u16, to: HostId) {
        let from = self.slot_owner(slot).filter(|from| *from != to);
        let (mut env, _, fleet) = self.split();
        for host in [Some(to), from].into_iter().flatten() {
            fleet.with(host, |server| {
                server.assign_slot(&mut env, slot, to);
                server.settle(&mut env);
            });
        }
    }

    fn assign_everywhere(&mut self, start: u16, end: u16, owner: Option<HostId>) {
        for host in self.network.host_ids() {
            let (mut env, _, fleet) = self.split();
            fleet.with(host, |server| {
                if let Some(cluster) = server.cluster.as_deref_mut() {
                    cluster.assign(start, end, owner);
                    server.slots_left(&[(start, end)]);
                    server.redirect_blocked(&mut env);
                    server.update_cluster_state(&mut env);
                    server.settle(&mut env);
                }
            });
        }
    }

    /// Ends unfinished slot moves, and gives slots that no running primary claims to one of them:
    /// what `redis-cli --cluster fix` does.
    fn settle_slots(&mut self) {
        let moves: Vec<(u16, HostId)> = self
            .fleet
            .servers()
            .filter_map(|server| server.cluster.as_deref())
            .flat_map(|cluster| cluster.importing.keys().map(|slot| (*slot, cluster.me)))
            .collect();
        for (slot, to) in moves {
            self.move_keys(slot, to, usize::MAX);
            self.finish_move(slot, to);
        }
        for host in self.network.host_ids() {
            self.with_cluster(host, |cluster| cluster.migrating.clear());
        }
        let mut served = Owners::default();
        let mut heir = None;
        for server in self.fleet.servers().filter(|server| self.network.is_up(server.host)) {
            let Some(cluster) = server.cluster.as_ref().filter(|c| c.is_primary()) else {
                continue;
            };
            let claim = cluster.owners.of(server.host);
            heir = heir.max(Some((claim.len(), server.host)));
            for (start, end) in claim {
                served.assign(start, end, Some(server.host));
            }
        }
        let Some((_, heir)) = heir else { return };
        for (start, end, owner) in served.within(0, SLOTS - 1) {
            if owner.is_none() {
                self.note_fault(format!("slots {start}-{end} without an owner get one"));
                self.assign_everywhere(start, end, Some(heir));
            }
        }
    }

    /// Introduces every node to the present address of every other node.
    fn introduce_all(&mut self) {
        let addresses: Vec<(HostId, SocketAddr)> = self
            .fleet
            .servers()
            .filter(|s| s.cluster.is_some())
            .map(|s| (s.host, s.address))
            .collect();
        if addresses.is_empty() {
            return;
        }
        self.note_fault("nodes are introduced to each other");
        for host in self.network.host_ids() {
            self.with_cluster(host, |cluster| {
                for (other, address) in &addresses {
                    if let Some(peer) = cluster.peers.get_mut(other) {
                        peer.address = *address;
                    }
                }
            });
            let (mut env, _, fleet) = self.split();
            fleet.with(host, |server| {
                let primary = server.cluster.as_ref().and_then(|cluster| {
                    let primary = cluster.myself().replica_of?;
                    cluster.peers.get(&primary).map(|p| p.address)
                });
                if primary.is_some() {
                    server.follow(&mut env, primary);
                }
            });
        }
    }
}

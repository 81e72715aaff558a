//! A real cluster: every node on a loopback address of its own, ready in seconds.
//!
//! Nodes are named by their index, which never changes: `0..primaries` start as primaries with
//! equal shares of the slots, the others as replicas (`primaries + i` replicates `i % primaries`).
//! Which node is a primary later, `view.rs` reads from the nodes themselves. `faults.rs` breaks
//! clusters, `slots.rs` moves slots.
//! **Invariants**: in a started cluster all nodes agree: each says `ok`, knows every other node and
//! the owner of every slot, and each replica is in sync. No node replaces another by itself unless
//! [`Options::quick_failover`] asked for it. Replicas never migrate to other primaries.
//! **Limits**: a node is suspected after `NODE_TIMEOUT`; with a quick failover after the time that
//! the cluster needed to form, at least `QUICK_MIN` and at most `NODE_TIMEOUT`.

mod faults;
mod slots;
mod view;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::process::Server;
use super::version::Version;
use super::wait::until_true;
use super::wire::Reply;

pub use faults::Failover;
pub use slots::{SLOT_COUNT, key_in, slot_of};
pub use view::NodeLine;

/// `cluster-node-timeout`: no starved machine keeps a node silent for so long.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);
/// `cluster-node-timeout` for a quick failover on a machine with nothing else to do.
const QUICK_MIN: Duration = Duration::from_secs(1);

/// Options for the start of a cluster; made by [`Cluster::of`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Which program.
    version: Version,
    /// Shards.
    primaries: usize,
    /// Replicas of each.
    replicas: usize,
    /// A silent primary is replaced soon.
    quick_failover: bool,
    /// Configuration lines of every node.
    lines: String,
    /// The default user's password.
    password: Option<String>,
}

impl Options {
    /// Number of shards; 3 if not given.
    pub fn primaries(mut self, count: usize) -> Options {
        self.primaries = count;
        self
    }

    /// Replicas of each primary; 1 if not given.
    pub fn replicas(mut self, count: usize) -> Options {
        self.replicas = count;
        self
    }

    /// Replaces a silent primary as soon as the machine allows: for tests that wait for it.
    ///
    /// The nodes get their short `cluster-node-timeout` after they agreed. It is the time that they
    /// needed to agree, so it grows with the load of the machine: a node that only waits for the
    /// processor must not be taken for dead. A failover takes about twice as long.
    pub fn quick_failover(mut self) -> Options {
        self.quick_failover = true;
        self
    }

    /// Configuration lines for every node; `{ip}` in them becomes the node's address.
    ///
    /// A shard that is down takes all slots down unless `cluster-require-full-coverage no`.
    pub fn config(mut self, lines: &str) -> Options {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }

    /// Sets the default user's password on every node.
    pub fn password(mut self, password: &str) -> Options {
        self.password = Some(password.to_owned());
        self
    }

    /// Starts all nodes, joins them and waits until they agree.
    pub fn start(self) -> Cluster {
        let began = Instant::now();
        let nodes = self.launch_nodes();
        for node in &nodes {
            node.wait_until_ready();
        }
        let ids = nodes.iter().map(|n| n.call(&["CLUSTER", "MYID"]).ok().text()).collect();
        let mut cluster = Cluster { nodes, ids, quick_timeout: None };
        cluster.give_slots(self.primaries);
        cluster.meet();
        until_true("every node to know every other", || {
            (0..cluster.nodes.len()).all(|i| cluster.knows_everyone(i))
        });
        for at in self.primaries..cluster.nodes.len() {
            let primary = &cluster.ids[(at - self.primaries) % self.primaries];
            cluster.nodes[at].call(&["CLUSTER", "REPLICATE", primary]).ok();
        }
        // All nodes learn the new roles at once: gossip would take rounds.
        cluster.meet();
        cluster.wait_until_agreed();
        if self.quick_failover {
            cluster.quick_timeout = Some(began.elapsed().clamp(QUICK_MIN, NODE_TIMEOUT));
            cluster.set_quick_timeout();
        }
        cluster
    }

    fn launch_nodes(&self) -> Vec<Server> {
        let count = self.primaries * (1 + self.replicas);
        let launch = |_| {
            let mut options = Server::of(&self.version).config(&format!(
                "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-announce-ip {{ip}}\n\
                 cluster-node-timeout {}\ncluster-migration-barrier 999\n{}",
                NODE_TIMEOUT.as_millis(),
                self.lines
            ));
            if let Some(password) = &self.password {
                options = options.password(password);
            }
            options.launch()
        };
        (0..count).map(launch).collect()
    }
}

/// A cluster of real servers.
#[derive(Debug)]
pub struct Cluster {
    /// Its nodes; the order never changes.
    nodes: Vec<Server>,
    /// Their node ids, in the same order.
    ids: Vec<String>,
    /// `cluster-node-timeout` while no node restarts, if it is a short one.
    quick_timeout: Option<Duration>,
}

impl Cluster {
    /// Begins to describe a cluster: 3 primaries with a replica each unless changed.
    pub fn of(version: &Version) -> Options {
        Options {
            version: version.clone(),
            primaries: 3,
            replicas: 1,
            quick_failover: false,
            lines: String::new(),
            password: None,
        }
    }

    /// A node by index.
    pub fn node(&self, index: usize) -> &Server {
        &self.nodes[index]
    }

    /// All nodes, in the order of their indexes.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// A node's id.
    pub fn id(&self, index: usize) -> &str {
        &self.ids[index]
    }

    /// The index of a node id, if it is one of this cluster's.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.ids.iter().position(|known| known == id)
    }

    /// The index of the node that listens at an address now.
    pub fn index_at(&self, address: SocketAddr) -> Option<usize> {
        self.nodes.iter().position(|node| node.address() == address)
    }

    /// Where all nodes listen, in the order of their indexes.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Server::address).collect()
    }

    /// A URL with all nodes as seeds, and the password if there is one.
    pub fn url(&self) -> String {
        let first = self.nodes[0].url();
        let rest: Vec<String> = self.addresses()[1..].iter().map(SocketAddr::to_string).collect();
        let seeds = [vec![first.replacen("redis://", "", 1)], rest].concat();
        format!("redis-cluster://{}", seeds.join(","))
    }

    /// A URL with one node as the only seed.
    pub fn url_of(&self, index: usize) -> String {
        self.nodes[index].url().replacen("redis://", "redis-cluster://", 1)
    }

    fn give_slots(&self, primaries: usize) {
        for (at, node) in self.nodes.iter().enumerate() {
            // Distinct epochs from the start: nodes with equal ones would change them later.
            node.call(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]).ok();
            if at < primaries {
                let share = |n: usize| n * usize::from(SLOT_COUNT) / primaries;
                // ADDSLOTSRANGE exists since 7.0; the long form works everywhere.
                let slots = (share(at)..share(at + 1)).map(|slot| slot.to_string());
                let words: Vec<String> = ["CLUSTER".to_owned(), "ADDSLOTS".to_owned()]
                    .into_iter()
                    .chain(slots)
                    .collect();
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                node.call(&words).ok();
            }
        }
    }

    /// Gives all nodes the short `cluster-node-timeout`, if the cluster has one. A node that is
    /// started again has the long one until then.
    fn set_quick_timeout(&self) {
        let Some(timeout) = self.quick_timeout else { return };
        for node in self.nodes.iter().filter(|node| node.is_up()) {
            node.set_config("cluster-node-timeout", &timeout.as_millis().to_string());
        }
    }

    /// Introduces every running node to every other: gossip alone takes rounds.
    fn meet(&self) {
        let up: Vec<&Server> = self.nodes.iter().filter(|node| node.is_up()).collect();
        for node in &up {
            let mut conn = node.conn().expect("the node answers");
            for other in up.iter().map(|other| other.address()) {
                if other != node.address() {
                    let (ip, port) = (other.ip().to_string(), other.port().to_string());
                    let reply = conn.call(&["CLUSTER", "MEET", &ip, &port]);
                    assert_eq!(reply.expect("the node answers"), Reply::Status("OK".to_owned()));
                }
            }
        }
    }
}

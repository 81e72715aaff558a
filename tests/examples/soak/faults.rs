//! What is done to the cluster while the load runs.
//!
//! **Invariant**: no fault loses an acknowledged write by itself, so a lost one is the client's.
//! Replication is asynchronous, and a replica that takes over without its primary may lack the last
//! writes. So no replica takes over by itself (`cluster-replica-no-failover`); a killed primary
//! comes back with all that it acknowledged (`appendfsync always`); and before a replica is made
//! the primary by force, writes are suspended until it has all of them.

use slotcar_tests::real::proxy::{Fault as Broken, Proxy};
use slotcar_tests::real::wait::until_true;
use slotcar_tests::real::{Cluster, Failover};
use slotcar_tests::watched::next;
use std::time::Duration;

/// How long a process stands still, or a network is a black hole: longer than calls wait.
const STILL: Duration = Duration::from_secs(3);
/// Slots that one fault moves.
const MOVED: usize = 4;

/// What every node of the cluster needs for the invariant.
pub(crate) const CONFIG: &str = "appendonly yes\nappendfsync always\ncluster-replica-no-failover \
                                 yes\ncluster-require-full-coverage no";

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing passes the proxy of a node for a while; then what was held passes.
    BlackHole,
    /// A primary hands over to its replica.
    Graceful,
    /// A primary is killed and comes back.
    Kill,
    /// The server closes all connections of clients.
    KillConnections,
    /// A primary is killed, its replica takes over, and it comes back as a replica.
    KillAndPromote,
    /// A replica is killed and comes back.
    KillReplica,
    /// A primary stands still for a while.
    Pause,
    /// A replica takes over by vote, without its primary's help.
    Promote,
    /// All connections through a proxy are reset.
    Reset,
    /// Some slots of the load move to another primary.
    Reshard,
    /// A replica takes over without a vote.
    Takeover,
}

/// All kinds.
const ALL: [Fault; 11] = [
    Fault::BlackHole,
    Fault::Graceful,
    Fault::Kill,
    Fault::KillConnections,
    Fault::KillAndPromote,
    Fault::KillReplica,
    Fault::Pause,
    Fault::Promote,
    Fault::Reset,
    Fault::Reshard,
    Fault::Takeover,
];

/// The cluster, and what chooses its faults.
pub(crate) struct Faults {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// Proxies, with the index of the node behind each.
    pub(crate) proxies: Vec<(usize, Proxy)>,
    /// Slots that the load uses.
    pub(crate) slots: Vec<u16>,
    /// Kinds that are still to come in this round.
    round: Vec<Fault>,
    /// Chooses.
    random: u64,
}

impl Faults {
    pub(crate) fn new(
        cluster: Cluster,
        proxies: Vec<(usize, Proxy)>,
        slots: Vec<u16>,
        seed: u64,
    ) -> Faults {
        Faults { cluster, proxies, slots, round: Vec::new(), random: next(seed | 1) }
    }

    /// Applies a fault, and returns when the cluster is well again. Every kind comes once in a
    /// round, in a random order.
    pub(crate) fn apply_next(&mut self) -> Fault {
        if self.round.is_empty() {
            self.round = ALL.to_vec();
        }
        let at = self.choose(self.round.len());
        let fault = self.round.swap_remove(at);
        self.apply(fault);
        self.cluster.wait_until_agreed();
        fault
    }

    fn choose(&mut self, count: usize) -> usize {
        self.random = next(self.random);
        usize::try_from(self.random >> 33).expect("31 bits") % count
    }

    /// A slot of the load, and the primary that owns it.
    fn shard(&mut self) -> (u16, usize) {
        let at = self.choose(self.slots.len());
        let slot = self.slots[at];
        (slot, self.cluster.primary_of(slot))
    }

    fn apply(&mut self, fault: Fault) {
        let (_, primary) = self.shard();
        match fault {
            Fault::BlackHole => {
                let at = self.choose(self.proxies.len());
                let proxy = &self.proxies[at].1;
                proxy.set(Broken::BlackHole);
                std::thread::sleep(STILL);
                proxy.clear();
            }
            Fault::Graceful => {
                let replica = self.cluster.replica_of(primary);
                self.cluster.failover(replica, Failover::Graceful);
            }
            Fault::Kill => {
                self.wait_until_durable(primary);
                self.cluster.node(primary).restart();
            }
            Fault::KillConnections => {
                for node in self.cluster.nodes() {
                    node.kill_clients("normal");
                    node.kill_clients("pubsub");
                }
            }
            Fault::KillAndPromote => {
                let replica = self.suspend_writes(primary);
                self.cluster.node(primary).kill();
                // Without a vote: it has no primary to be in sync with, and no time is lost.
                let promoted = self.cluster.node(replica);
                promoted.call(&["CLUSTER", "FAILOVER", "TAKEOVER"]).ok();
                until_true("the replica to take over", || promoted.role() == "master");
                self.cluster.node(primary).restart();
            }
            Fault::KillReplica => {
                let replica = self.cluster.replica_of(primary);
                self.cluster.node(replica).restart();
            }
            Fault::Pause => {
                self.cluster.node(primary).pause();
                std::thread::sleep(STILL);
                self.cluster.node(primary).resume();
            }
            Fault::Promote | Fault::Takeover => {
                let replica = self.suspend_writes(primary);
                let how = match fault {
                    Fault::Promote => Failover::Force,
                    _ => Failover::Takeover,
                };
                self.cluster.failover(replica, how);
                self.cluster.node(primary).unpause_writes();
            }
            Fault::Reset => {
                let at = self.choose(self.proxies.len());
                self.proxies[at].1.reset_now();
            }
            Fault::Reshard => self.reshard(),
        }
    }

    fn reshard(&mut self) {
        for _ in 0..MOVED {
            let (slot, from) = self.shard();
            let others: Vec<usize> =
                self.cluster.primaries().into_iter().filter(|other| *other != from).collect();
            let to = others[self.choose(others.len())];
            self.cluster.move_slot(slot, to);
        }
    }

    /// Waits until a restart of the node loses nothing: after it has copied another node's data, it
    /// writes its log anew, and has none until then.
    fn wait_until_durable(&self, node: usize) {
        until_true("the server to have its log on disk", || {
            let info = self.cluster.node(node).info("persistence");
            let is = |name: &str, value: &str| info.get(name).is_some_and(|v| v == value);
            is("aof_enabled", "1")
                && is("aof_rewrite_in_progress", "0")
                && is("aof_rewrite_scheduled", "0")
                && is("aof_last_bgrewrite_status", "ok")
        });
    }

    /// Suspends the writes of a primary, and returns a replica that has all of them.
    fn suspend_writes(&self, primary: usize) -> usize {
        let replica = self.cluster.replica_of(primary);
        self.cluster.wait_until_agreed();
        self.cluster.node(primary).pause_writes();
        let offset = |node: usize, name: &str| {
            let info = self.cluster.node(node).info("replication");
            info.get(name).and_then(|text| text.parse::<u64>().ok())
        };
        until_true("the replica to have all writes", || {
            let (all, has) =
                (offset(primary, "master_repl_offset"), offset(replica, "slave_repl_offset"));
            all.is_some() && all == has
        });
        replica
    }
}

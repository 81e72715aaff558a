//! Changes of whole clusters: failovers, new addresses, new host names, new passwords.
//!
//! **Invariant**: each helper returns when all nodes that are up agree on the result.

use std::time::{Duration, Instant};

use super::Cluster;
use crate::real::address;
use crate::real::wait::until_true;
use crate::real::wire::Reply;

/// After this time a failover is ordered again: servers give up after 5 s.
const GIVEN_UP: Duration = Duration::from_secs(6);

/// The three forms of CLUSTER FAILOVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failover {
    /// Without the primary's consent, by vote.
    Force,
    /// With the primary's help: no write is lost.
    Graceful,
    /// Without consent and without a vote.
    Takeover,
}

impl Cluster {
    /// Makes a replica the primary, and waits until it says so and the old one, if alive, follows.
    #[track_caller]
    pub fn failover(&self, replica: usize, how: Failover) {
        let old = self.myself(replica).and_then(|me| self.index_of(&me.primary?));
        let old = old.unwrap_or_else(|| panic!("node {replica} is no replica"));
        let words: &[&str] = match how {
            Failover::Force => &["CLUSTER", "FAILOVER", "FORCE"],
            Failover::Graceful => &["CLUSTER", "FAILOVER"],
            Failover::Takeover => &["CLUSTER", "FAILOVER", "TAKEOVER"],
        };
        // A replica that misses a vote asks for votes again only after four times
        // `cluster-node-timeout`: because its epoch has passed, or a node has no connection to it.
        self.wait_until_agreed();
        // Shortly after its primary has moved, a replica takes the primary for down.
        until_true("the replica to agree to the failover", || {
            self.nodes[replica].call(words) == Reply::Status("OK".to_owned())
        });
        let mut asked = Instant::now();
        until_true("the replica to become primary", || {
            if asked.elapsed() > GIVEN_UP && self.myself(replica).is_some_and(|me| me.is("slave")) {
                asked = Instant::now();
                self.nodes[replica].call(words);
            }
            let promoted = self.myself(replica).is_some_and(|me| me.is("master"));
            let demoted = self.myself(old).is_none_or(|me| me.is("slave"));
            promoted && demoted
        });
    }

    /// Kills all nodes and starts them on new addresses with their old ids, as pods do.
    ///
    /// Returns when the cluster agrees again. Nodes do not find each other by themselves when all
    /// have moved: they are introduced again, as an operator would.
    #[track_caller]
    pub fn restart_all_elsewhere(&self) {
        for node in &self.nodes {
            node.kill();
        }
        for node in &self.nodes {
            let ip = address::fresh();
            node.relaunch_on((ip, address::free_port(ip)).into());
        }
        self.rejoin();
    }

    /// Kills all nodes and starts them where they were; returns when the cluster agrees again.
    #[track_caller]
    pub fn restart_all(&self) {
        for node in &self.nodes {
            node.kill();
        }
        for node in &self.nodes {
            node.relaunch_on(node.address());
        }
        self.rejoin();
    }

    /// Restarts one node on a new address with its old id; returns when the cluster agrees again.
    #[track_caller]
    pub fn restart_elsewhere(&self, index: usize) {
        let ip = address::fresh();
        self.nodes[index].restart_on((ip, address::free_port(ip)).into());
        self.rejoin();
    }

    /// Waits for all nodes, introduces them, and waits until they agree.
    #[track_caller]
    pub fn rejoin(&self) {
        for node in &self.nodes {
            node.wait_until_ready();
        }
        self.meet();
        self.wait_until_agreed();
        self.set_quick_timeout();
    }

    /// Lets every node announce a host name and prefer it (`hostname`), or no endpoint at all
    /// (`unknown-endpoint`), or its address (`ip`). Needs 7.0.
    #[track_caller]
    pub fn announce(&self, preferred: &str, host_of: impl Fn(usize) -> String) {
        for (at, node) in self.nodes.iter().enumerate() {
            node.set_config("cluster-announce-hostname", &host_of(at));
            node.set_config("cluster-preferred-endpoint-type", preferred);
        }
        // The names travel by gossip; until they did, other nodes' replies show "?".
        self.until_heard("the host names to be known", || {
            self.nodes.iter().all(|node| {
                let text = node.call(&["CLUSTER", "NODES"]).ok().text();
                (0..self.nodes.len()).all(|at| text.contains(&format!(",{}", host_of(at))))
            })
        });
    }

    /// Changes the password (`None` removes it) of every node, for new connections.
    #[track_caller]
    pub fn set_password(&self, password: Option<&str>) {
        for node in &self.nodes {
            node.set_password(password);
        }
    }
}

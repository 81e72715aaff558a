//! How each node sees its cluster, and waits until all nodes agree.
//!
//! Reads CLUSTER NODES, which every version has and which names what a node knows of all others.
//! Spec: command page CLUSTER NODES, "Serialization format".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Cluster, SLOT_COUNT};
use crate::real::wait::{until, until_true};

/// The first pause before nodes that do not know something yet are made to talk; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// One line of CLUSTER NODES.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeLine {
    /// Node id.
    pub id: String,
    /// Address for clients; `None` if the node has none.
    pub address: Option<SocketAddr>,
    /// Such as `myself`, `master`, `slave`, `fail?`, `handshake`.
    pub flags: Vec<String>,
    /// The primary's id, for a replica.
    pub primary: Option<String>,
    /// Configuration epoch.
    pub epoch: u64,
    /// Whether the node that replied has a connection to it; without one it cannot send a vote.
    pub connected: bool,
    /// Ranges of slots, first and last.
    pub slots: Vec<(u16, u16)>,
    /// Slots on their way, such as `[93-<-ID]`.
    pub moving: Vec<String>,
}

impl NodeLine {
    fn parse(line: &str) -> Option<NodeLine> {
        let words: Vec<&str> = line.split(' ').collect();
        let [id, address, flags, primary, _, _, epoch, link, slots @ ..] = words.as_slice() else {
            return None;
        };
        let range = |text: &&&str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let moving = slots.iter().filter(|s| s.starts_with('['));
        Some(NodeLine {
            id: (*id).to_owned(),
            address: address.split('@').next()?.parse().ok(),
            flags: flags.split(',').map(str::to_owned).collect(),
            primary: (*primary != "-").then(|| (*primary).to_owned()),
            epoch: epoch.parse().ok()?,
            connected: *link == "connected",
            slots: slots.iter().filter(|s| !s.starts_with('[')).filter_map(|s| range(&s)).collect(),
            moving: moving.map(|s| (*s).to_owned()).collect(),
        })
    }

    /// Whether a flag is set.
    pub fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    /// Whether it owns a slot.
    pub fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}

impl Cluster {
    /// How one node sees the cluster; `None` if it is down or frozen.
    pub fn view(&self, index: usize) -> Option<Vec<NodeLine>> {
        self.ask(index, &["CLUSTER", "NODES"])?.lines().map(NodeLine::parse).collect()
    }

    /// The node that itself says that it is a slot's primary; of several, the newest epoch's.
    ///
    /// Waits until a node says so.
    #[track_caller]
    pub fn primary_of(&self, slot: u16) -> usize {
        until(&format!("a node to say that it owns slot {slot}"), || {
            self.claimants(slot).into_iter().max().map(|(_, index)| index)
        })
    }

    /// The nodes that call themselves primaries and own slots.
    pub fn primaries(&self) -> Vec<usize> {
        let serves =
            |i: &usize| self.myself(*i).is_some_and(|m| m.is("master") && !m.slots.is_empty());
        (0..self.nodes.len()).filter(serves).collect()
    }

    /// The nodes that call themselves replicas of `primary`.
    pub fn replicas_of(&self, primary: usize) -> Vec<usize> {
        let id = Some(self.ids[primary].clone());
        let follows = |i: &usize| self.myself(*i).is_some_and(|m| m.primary == id);
        (0..self.nodes.len()).filter(follows).collect()
    }

    /// A replica of `primary` that is in sync with it; waits until there is one.
    #[track_caller]
    pub fn replica_of(&self, primary: usize) -> usize {
        until(&format!("a replica in sync with node {primary}"), || {
            self.replicas_of(primary).into_iter().find(|replica| self.in_sync(*replica))
        })
    }

    /// Waits until another node than `old` serves a slot as its primary; returns that node.
    #[track_caller]
    pub fn wait_for_new_primary(&self, slot: u16, old: usize) -> usize {
        until(&format!("a new primary of slot {slot}"), || {
            let (_, owner) = self.claimants(slot).into_iter().max()?;
            (owner != old && self.says_ok(owner)).then_some(owner)
        })
    }

    /// Waits until every node that is up says `ok`, all say the same, all are connected with each
    /// other, and replicas are in sync.
    ///
    /// Nodes that are down or paused are left out. Other nodes must serve their slots, unless full
    /// coverage is not required.
    #[track_caller]
    pub fn wait_until_agreed(&self) {
        self.until_heard("the cluster to agree", || {
            let up: Vec<usize> = (0..self.nodes.len()).filter(|i| self.nodes[*i].is_up()).collect();
            let mut opinions = up.iter().map(|i| self.opinion(*i));
            let Some(Some(first)) = opinions.next() else { return false };
            opinions.all(|other| other.as_ref() == Some(&first))
                && up.iter().all(|i| self.says_ok(*i) && self.in_sync(*i))
        });
    }

    /// Waits until every other node marks `node` as failed, or as not failed.
    #[track_caller]
    pub fn wait_until_failed(&self, node: usize, failed: bool) {
        until_true("the nodes to agree on which node failed", || {
            let others = (0..self.nodes.len()).filter(|i| *i != node);
            others.filter_map(|i| self.view(i)).all(|view| {
                view.iter().any(|line| line.id == self.ids[node] && line.is("fail") == failed)
            })
        });
    }

    /// Waits for something that nodes hear from each other.
    ///
    /// A node with a long `cluster-node-timeout` talks to one other node a second, so all of them
    /// are made to talk to each other, again and again.
    #[track_caller]
    pub(super) fn until_heard(&self, what: &str, mut heard: impl FnMut() -> bool) {
        let (mut pause, mut last) = (FIRST_PAUSE, Instant::now());
        until_true(what, || {
            if heard() {
                return true;
            }
            if last.elapsed() > pause {
                self.meet();
                (pause, last) = (pause * 2, Instant::now());
            }
            false
        });
    }

    /// Nodes that say that they own a slot, with the epoch of their claim.
    fn claimants(&self, slot: u16) -> Vec<(u64, usize)> {
        let claim = |i| {
            let me = self.myself(i)?;
            (me.is("master") && me.owns(slot)).then_some((me.epoch, i))
        };
        (0..self.nodes.len()).filter_map(claim).collect()
    }

    /// A node's line about itself.
    pub(super) fn myself(&self, index: usize) -> Option<NodeLine> {
        self.view(index)?.into_iter().find(|line| line.is("myself"))
    }

    pub(super) fn knows_everyone(&self, index: usize) -> bool {
        let Some(view) = self.view(index) else { return false };
        let met = |id: &String| view.iter().any(|l| l.id == *id && !l.is("handshake"));
        self.ids.iter().all(met)
    }

    fn says_ok(&self, index: usize) -> bool {
        let info = self.ask(index, &["CLUSTER", "INFO"]);
        info.is_some_and(|text| text.contains("cluster_state:ok"))
    }

    fn in_sync(&self, index: usize) -> bool {
        let info = self.ask(index, &["INFO", "replication"]);
        info.is_some_and(|text| {
            text.contains("role:master") || text.contains("master_link_status:up")
        })
    }

    /// What must be equal at all nodes: epoch, nodes and owners of slots. `None` if the node does
    /// not answer, or has something left to settle.
    fn opinion(&self, index: usize) -> Option<Opinion> {
        let view = self.view(index)?;
        let mut owners = vec![None; usize::from(SLOT_COUNT)];
        let mut nodes = BTreeMap::new();
        for line in &view {
            // A node that is being introduced has a made-up id. The end of the introduction closes
            // a connection that the two nodes had before, and with it a vote that is on its way.
            let member = self.index_of(&line.id)?;
            for (first, last) in &line.slots {
                owners[usize::from(*first)..=usize::from(*last)].fill(Some(member));
            }
            if self.nodes[member].is_up() && !line.connected {
                return None;
            }
            let seen_as = (line.address, line.primary.clone(), line.is("fail"), line.is("fail?"));
            nodes.insert(member, seen_as);
        }
        let info = self.ask(index, &["CLUSTER", "INFO"])?;
        let epoch = info.lines().find_map(|l| l.strip_prefix("cluster_current_epoch:"))?.to_owned();
        let settled = nodes.len() == self.nodes.len() && nodes.values().all(|node| !node.3);
        settled.then_some(Opinion { epoch, owners, nodes })
    }

    /// The text that a node replies; `None` at once if the node is down or frozen.
    pub(super) fn ask(&self, index: usize, words: &[&str]) -> Option<String> {
        let node = &self.nodes[index];
        if !node.is_up() {
            return None;
        }
        Some(node.try_call(words).ok()?.text())
    }
}

/// See [`Cluster::opinion`].
#[derive(PartialEq)]
struct Opinion {
    /// The latest epoch that the node knows.
    epoch: String,
    /// Slot to node index.
    owners: Vec<Option<usize>>,
    /// Node index to address, primary, failed, suspected.
    nodes: BTreeMap<usize, (Option<SocketAddr>, Option<String>, bool, bool)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    // What versions differ in: host name after the address, slots on their way, no address.
    #[test]
    fn node_lines_are_read() {
        let line = "07c3 127.0.0.1:30004@31004,host,,shard-id=6 myself,master - 0 14 4 connected \
                    0-5460 5462 [93-<-292f] [77->-e7d1]";
        let line = NodeLine::parse(line).unwrap();
        assert_eq!(line.address, Some("127.0.0.1:30004".parse().unwrap()));
        assert!(line.is("myself") && line.is("master") && line.primary.is_none());
        assert_eq!((line.epoch, line.slots.len(), line.moving.len()), (4, 2, 2));
        assert!(line.owns(5462) && !line.owns(5461));
        let line = "e7d1 :0@0 slave,fail 07c3 1 2 3 disconnected";
        let line = NodeLine::parse(line).unwrap();
        assert_eq!((line.address, line.primary.as_deref()), (None, Some("07c3")));
        assert!(!line.connected);
        assert_eq!(NodeLine::parse("e7d1 short"), None);
    }
}

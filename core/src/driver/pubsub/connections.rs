//! The open connections of a subscriber: by their numbers and by their nodes, those that no channel
//! uses, and when each is to be probed.
//!
//! Invariants: what is done for one connection looks at no other one; a connection is in `unused`
//! from when its use has ended until it is used again or was told as expired; each one that is used
//! has one entry in `probes`, not later than its probe is due.

use crate::command::cmd;
use crate::driver::link::link::Link;
use crate::driver::node::node::Node;
use crate::sorted::{SortedMap, SortedSet};
use crate::subscription::channel_table::{ChannelCommand, ConnectionId};
use crate::time::Timestamp;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection is kept that no channel uses: so a program that subscribes again and again
/// dials once, and one that moved on holds no connection for long.
const UNUSED_KEPT: Duration = Duration::from_secs(5);

/// An open connection that channels can be subscribed on.
#[derive(Debug)]
pub(super) struct PubSubConnection {
    /// The server.
    pub(super) node: Arc<Node>,
    /// The link to it.
    pub(super) link: Arc<Link>,
    /// When it last brought a frame for this subscriber.
    pub(super) heard_at: Timestamp,
    /// A probe was sent, and no frame came since.
    pub(super) is_probed: bool,
    /// Since when no channel uses it; `None` while one does.
    unused_since: Option<Timestamp>,
    /// Its entry in `Connections::probes`.
    probe_at: Option<Timestamp>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// All of them.
    all: BTreeMap<ConnectionId, PubSubConnection>,
    /// Those of each node, by the node's number; ascending.
    by_node: SortedMap<u64, SmallVec<[ConnectionId; 1]>>,
    /// Those that no channel uses, and since when.
    unused: SortedSet<(Timestamp, ConnectionId)>,
    /// When to look whether a connection is to be probed.
    probes: SortedSet<(Timestamp, ConnectionId)>,
}

impl PubSubConnection {
    pub(super) fn new(node: &Arc<Node>, link: &Arc<Link>, now: Timestamp) -> Self {
        let (node, link) = (Arc::clone(node), Arc::clone(link));
        Self { node, link, heard_at: now, is_probed: false, unused_since: None, probe_at: None }
    }

    /// Queues commands, and the marker that ends a write.
    pub(super) fn queue(&self, commands: &[ChannelCommand]) {
        let mut bytes = Vec::new();
        for command in commands {
            let kind = command.kind;
            let name = if command.subscribe { kind.subscribe() } else { kind.unsubscribe() };
            let names = command.names.iter().map(|name| &name[..]);
            cmd(name).args(names).write_to(&mut bytes);
        }
        // It has a reply in both protocols, subscribed or not. An ACL that forbids it is a reply,
        // too.
        cmd("PING").write_to(&mut bytes);
        self.link.enqueue_push_commands(&bytes);
    }
}

impl Connections {
    pub(super) fn insert(&mut self, id: ConnectionId, connection: PubSubConnection) {
        let number = connection.node.number();
        self.by_node.get_or_insert_with(number, SmallVec::new).push(id);
        self.all.insert(id, connection);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<PubSubConnection> {
        let connection = self.all.remove(&id)?;
        let number = connection.node.number();
        if let Some(own) = self.by_node.get_mut(&number) {
            own.retain(|other| *other != id);
            if own.is_empty() {
                self.by_node.remove(&number);
            }
        }
        connection.unused_since.map(|since| self.unused.remove(&(since, id)));
        connection.probe_at.map(|at| self.probes.remove(&(at, id)));
        Some(connection)
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&PubSubConnection> {
        self.all.get(&id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut PubSubConnection> {
        self.all.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &PubSubConnection)> {
        self.all.iter().map(|(id, connection)| (*id, connection))
    }

    /// Whether there is any connection to a node, open or not.
    pub(super) fn has(&self, node: &Node) -> bool {
        self.by_node.contains_key(&node.number())
    }

    /// The connection to a node that takes commands; of several the oldest.
    pub(super) fn usable(&self, node: &Node) -> Option<ConnectionId> {
        let own = self.by_node.get(&node.number())?;
        let is_usable = |id: &&ConnectionId| self.get(**id).is_some_and(|c| !c.link.is_closed());
        own.iter().find(is_usable).copied()
    }

    /// A connection is used by channels from now on, or by none. `interval`: of its probes. Returns
    /// the connection if it is not used any more.
    pub(super) fn set_used(
        &mut self,
        id: ConnectionId,
        is_used: bool,
        now: Timestamp,
        interval: Option<Duration>,
    ) -> Option<&PubSubConnection> {
        let connection = self.all.get_mut(&id)?;
        if is_used {
            if let Some(since) = connection.unused_since.take() {
                self.unused.remove(&(since, id));
            }
            connection.link.set_subscribed(true);
            if let (None, Some(interval)) = (connection.probe_at, interval) {
                let at = connection.heard_at.after(interval);
                connection.probe_at = Some(at);
                self.probes.insert((at, id));
            }
            return None;
        }
        if connection.unused_since.is_some() {
            return None;
        }
        connection.unused_since = Some(now);
        self.unused.insert((now, id));
        // From here on it ends by itself when it is given up.
        connection.link.set_subscribed(false);
        Some(connection)
    }

    /// The next connection that no channel has used for long; it is not told again.
    pub(super) fn take_expired(&mut self, now: Timestamp) -> Option<Arc<Link>> {
        let (since, id) = *self.unused.first()?;
        if since.after(UNUSED_KEPT) > now {
            return None;
        }
        self.unused.remove(&(since, id));
        let connection = self.all.get_mut(&id)?;
        // It keeps its time: it is unused still, until it is lost.
        Some(Arc::clone(&connection.link))
    }

    /// When the next connection will have been unused for long.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.unused.first().map(|(since, _)| since.after(UNUSED_KEPT))
    }

    /// The links that no channel uses of nodes for which `which` holds.
    pub(super) fn unused(&self, which: impl Fn(&Node) -> bool) -> Vec<Arc<Link>> {
        let unused = self.unused.iter().filter_map(|(_, id)| self.get(*id));
        let own = unused.filter(|connection| which(&connection.node));
        own.map(|connection| Arc::clone(&connection.link)).collect()
    }

    /// The next connection that is to be probed now, because it has brought nothing for `interval`.
    pub(super) fn take_probe(
        &mut self,
        now: Timestamp,
        interval: Duration,
    ) -> Option<(ConnectionId, &PubSubConnection)> {
        while let Some((at, id)) = self.probes.first().copied().filter(|(at, _)| *at <= now) {
            self.probes.remove(&(at, id));
            let Some(connection) = self.all.get_mut(&id) else { continue };
            connection.probe_at = None;
            if connection.unused_since.is_some() {
                continue;
            }
            let due = connection.heard_at.after(interval);
            let is_due = due <= now && !connection.is_probed;
            let next = if due <= now { now.after(interval) } else { due };
            connection.probe_at = Some(next);
            self.probes.insert((next, id));
            if is_due {
                connection.is_probed = true;
                return self.get(id).map(|connection| (id, connection));
            }
        }
        None
    }

    /// When to look again for connections to probe.
    pub(super) fn next_probe(&self) -> Option<Timestamp> {
        self.probes.first().map(|(at, _)| *at)
    }
}

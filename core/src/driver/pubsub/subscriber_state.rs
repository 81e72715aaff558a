//! What a subscriber knows: its connections, its readers, and the table of channels.
//!
//! Everything here runs under the subscriber's lock. It gives frames to the table of channels,
//! messages to the readers' queues, and the table's commands to the connections.
//!
//! Invariants:
//! - nothing here waits, wakes a task or touches a stream: wakers and links are handed back to the
//!   caller, which uses them after it has released the lock;
//! - commands are queued on a link under the lock, so that each connection gets them in the order
//!   of the plans;
//! - the messages of one read reach their readers under one lock, with one wake for each reader.

use crate::command::cmd;
use crate::connection::entry::Wakers;
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::node::node::Node;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::driver::pubsub::placement::{
    UnreachableNode, by_read_policy, by_slot, is_unreachable, primaries,
};
use crate::driver::pubsub::reader_queue::ReaderQueue;
use crate::driver::replica::policy::ReadSettings;
use crate::error::Error;
use crate::resp::{FrameKind, ServerError, frame_kind};
use crate::subscription::backlog::PushOutcome;
use crate::subscription::channel_table::{
    ChannelCommand, ChannelTable, ConnectionId, ReaderId, UnknownState,
};
use crate::subscription::kind::{Channel, ChannelKind};
use crate::subscription::message::Message;
use crate::subscription::push::{Push, refuses_ping};
use crate::time::Timestamp;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection is kept that no channel uses: so a program that subscribes again and again
/// dials once, and one that moved on holds no connection for long.
const UNUSED_KEPT: Duration = Duration::from_secs(5);

/// What the lock of a subscriber protects.
#[derive(Debug)]
pub(super) struct State {
    /// Decides which connection gets which command.
    pub(super) channels: ChannelTable,
    /// The queue of each reader.
    pub(super) readers: BTreeMap<ReaderId, Arc<ReaderQueue>>,
    /// The open connections.
    pub(super) connections: BTreeMap<ConnectionId, PubSubConnection>,
    /// Connections that carry no commands, by their nodes: they know the back-off of their dials.
    pub(super) own_links: Vec<(Arc<Node>, Arc<ReconnectingLink>)>,
    /// Nodes that a connection is being made to.
    pub(super) connecting: Vec<Arc<Node>>,
    /// Nodes that the last attempt could not connect to.
    pub(super) unreachable: Vec<UnreachableNode>,
    /// Errors that may say something about the topology, and the nodes that sent them.
    pub(super) topology_errors: Vec<(Arc<Node>, ServerError)>,
    /// The last number given to a reader or a connection.
    pub(super) last_id: u64,
    /// How many reads brought frames.
    pub(super) batch: u64,
    /// When the slots' owners were last known to be those of the last plan.
    pub(super) owners_known_at: Timestamp,
    /// The version of the slot map that the last plan was made with.
    pub(super) map_version: Option<u64>,
    /// The primaries of that map; `None` for those that cannot be dialled.
    pub(super) primaries: Vec<Option<Arc<Node>>>,
    /// The subscriber has ended: nothing is sent any more.
    pub(super) closed: bool,
}

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
    pub(super) unused_since: Option<Timestamp>,
}

/// What the last plan lacks.
#[derive(Debug, Default)]
pub(super) struct MissingConnections {
    /// Nodes that a connection has to be made to.
    pub(super) nodes: Vec<Arc<Node>>,
    /// A channel has no node, or an unreachable one: the topology has to be refreshed.
    pub(super) needs_refresh: bool,
    /// When the next connection is to be closed that no channel uses.
    pub(super) release_at: Option<Timestamp>,
}

/// The state of one reader's channels.
#[derive(Debug)]
pub(crate) enum ReaderStatus {
    /// The client or the subscription was closed.
    Closed,
    /// All channels are confirmed.
    Live,
    /// This channel is not confirmed; the error is that of a failed connection, if there is one.
    Unconfirmed(Channel, Option<Error>),
    /// The server refuses this channel.
    Refused(Channel, ServerError),
}

impl State {
    pub(super) fn new(channels: ChannelTable) -> Self {
        Self {
            channels,
            readers: BTreeMap::new(),
            connections: BTreeMap::new(),
            own_links: Vec::new(),
            connecting: Vec::new(),
            unreachable: Vec::new(),
            topology_errors: Vec::new(),
            last_id: 0,
            batch: 0,
            owners_known_at: Timestamp::ZERO,
            map_version: None,
            primaries: Vec::new(),
            closed: false,
        }
    }

    /// A number that no other reader and no other connection has.
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The links of all connections.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        self.connections.values().map(|connection| Arc::clone(&connection.link)).collect()
    }

    /// The state of one reader's channels.
    pub(super) fn status(&self, reader: ReaderId) -> ReaderStatus {
        if self.closed {
            return ReaderStatus::Closed;
        }
        if let Some((channel, error)) = self.channels.refusal(reader) {
            return ReaderStatus::Refused(channel.clone(), error.clone());
        }
        match self.channels.unconfirmed(reader).next() {
            None => ReaderStatus::Live,
            Some(channel) => {
                let error = self.unreachable.first().map(|one| one.error.clone());
                ReaderStatus::Unconfirmed(channel.clone(), error)
            }
        }
    }

    /// Handles a frame. Returns whether the loop has something to do.
    ///
    /// # Errors
    /// What the connection is subscribed to is not known any more.
    #[inline]
    pub(super) fn handle_frame(
        &mut self,
        id: ConnectionId,
        frame: Bytes,
        now: Timestamp,
        wake: &mut Wakers,
    ) -> Result<bool, UnknownState> {
        let handled = match Push::parse(&frame) {
            Push::Message { kind, pattern, channel, payload } => {
                let message = Message::new(frame, kind, pattern, channel, payload);
                return Ok(self.deliver(kind, message, wake));
            }
            Push::Subscribed(kind, name) => {
                self.channels.handle_subscribed(id, kind, &frame[name], now)
            }
            Push::Unsubscribed(kind, name) => {
                self.channels.handle_unsubscribed(id, kind, &frame[name], now)
            }
            Push::Other => match frame_kind(&frame) {
                FrameKind::Push => return Ok(false),
                FrameKind::Reply => self.channels.handle_marker(id, now),
                FrameKind::Error if refuses_ping(&frame) => self.channels.handle_marker(id, now),
                FrameKind::Error => {
                    let Some(error) = ServerError::from_frame(&frame) else { return Ok(false) };
                    let handled = self.channels.handle_error(id, &error, now);
                    if let Some(connection) = self.connections.get(&id) {
                        self.topology_errors.push((Arc::clone(&connection.node), error));
                    }
                    handled
                }
            },
        };
        self.pass_updates(wake);
        handled.map(|()| true)
    }

    /// Gives a message to its readers. Returns whether the loop has something to do.
    #[inline]
    fn deliver(&mut self, kind: ChannelKind, message: Message, wake: &mut Wakers) -> bool {
        let mut readers = self.channels.readers(kind, message.source_name());
        let mut ended = Vec::new();
        let mut pauses = false;
        let batch = self.batch;
        let mut give =
            |id: ReaderId, message: Message, readers: &BTreeMap<_, Arc<ReaderQueue>>| match readers
                .get(&id)
                .map(|queue: &Arc<ReaderQueue>| queue.push_message(message, batch, wake))
            {
                Some(PushOutcome::Pause) => pauses = true,
                Some(PushOutcome::Ended) => ended.push(id),
                Some(PushOutcome::Continue) | None => {}
            };
        // Nearly every message has one reader, which gets it without another reference.
        let Some(first) = readers.next() else { return false };
        for id in readers {
            give(id, message.clone(), &self.readers);
        }
        give(first, message, &self.readers);
        if pauses {
            self.connections.values().for_each(|one| one.link.pause_reading(true));
        }
        for id in &ended {
            self.channels.remove_reader(*id);
        }
        !ended.is_empty()
    }

    /// Moves the table's updates into the readers' queues.
    pub(super) fn pass_updates(&mut self, wake: &mut Wakers) {
        for (id, update) in self.channels.take_updates() {
            if let Some(queue) = self.readers.get(&id) {
                queue.push_update(update, wake);
            }
        }
    }

    /// Makes a plan and queues its commands; the links that have to write are added to `write`.
    pub(super) fn queue_plan(
        &mut self,
        routes: &Routes,
        settings: Option<&Arc<ReadSettings>>,
        now: Timestamp,
        write: &mut Vec<Arc<Link>>,
    ) -> MissingConnections {
        let version = routes.map.version();
        if self.map_version.replace(version) != Some(version) {
            self.primaries = primaries(routes);
            let endpoint =
                |node: &Option<Arc<Node>>| Some(Arc::new(node.as_ref()?.endpoint().clone()));
            let endpoints = self.primaries.iter().map(endpoint).collect();
            self.channels.follow_primaries(endpoints, self.owners_known_at, now);
            self.channels.handle_owner_change(now, self.owners_known_at);
            let is_member = |one: &Arc<Node>| routes.dialable().any(|node| Arc::ptr_eq(node, one));
            self.unreachable.retain(|one| is_member(&one.node));
            let (connections, connecting) = (&self.connections, &self.connecting);
            let is_used = |node: &Arc<Node>| {
                let mut used = connections.values().map(|one| &one.node).chain(connecting);
                used.any(|one| Arc::ptr_eq(one, node))
            };
            self.own_links.retain(|(node, _)| is_member(node) || is_used(node));
        }
        let usable: Vec<(ConnectionId, Arc<Node>)> = {
            let open = self.connections.iter().filter(|(_, one)| !one.link.is_closed());
            open.map(|(id, one)| (*id, Arc::clone(&one.node))).collect()
        };
        let mut missing = MissingConnections::default();
        let (connections, unreachable) = (&self.connections, &self.unreachable);
        let primaries = &self.primaries;
        let plan = self.channels.plan(now, |query| {
            let current = query.current.and_then(|id| connections.get(&id)).map(|one| &one.node);
            let node = match (query.primary, settings) {
                (Some(primary), _) => primaries.get(primary).and_then(Option::as_ref),
                (None, Some(rule)) => {
                    by_read_policy(query.slot, current, unreachable, routes, rule, now)
                }
                (None, None) => by_slot(query.kind, query.slot, current, unreachable, routes),
            };
            let Some(node) = node else {
                missing.needs_refresh = true;
                return None;
            };
            let known = usable.iter().find(|(_, other)| Arc::ptr_eq(other, node));
            if known.is_none() && !missing.nodes.iter().any(|other| Arc::ptr_eq(other, node)) {
                missing.nodes.push(Arc::clone(node));
                missing.needs_refresh |= is_unreachable(unreachable, node);
            }
            known.map(|(id, _)| *id)
        });
        for (id, writes) in plan {
            if let Some(connection) = self.connections.get(&id) {
                writes.iter().for_each(|commands| connection.queue(commands));
                write.push(Arc::clone(&connection.link));
            }
        }
        missing
    }

    /// Gives up connections that no channel uses: at once if they are closed or their node has
    /// left, others after a while, unless `keeps_unused`. The links to be retired are added to
    /// `unused`. Returns when the next connection is to be given up.
    pub(super) fn release_unused(
        &mut self,
        routes: &Routes,
        keeps_unused: bool,
        now: Timestamp,
        unused: &mut Vec<Arc<Link>>,
    ) -> Option<Timestamp> {
        let mut next = None;
        for (id, connection) in &mut self.connections {
            if self.channels.is_in_use(*id) {
                connection.unused_since = None;
                continue;
            }
            let until = connection.unused_since.get_or_insert(now).after(UNUSED_KEPT);
            let is_member = || routes.dialable().any(|node| Arc::ptr_eq(node, &connection.node));
            let expired = !keeps_unused && until <= now;
            if expired || connection.link.is_closed() || !is_member() {
                connection.link.set_subscribed(false);
                unused.push(Arc::clone(&connection.link));
            } else if !keeps_unused {
                next = Some(next.map_or(until, |next: Timestamp| next.min(until)));
            }
        }
        next
    }

    /// The connection to a node that carries no commands. It was dialled, if a channel needed it.
    pub(super) fn own_link(
        &mut self,
        node: &Arc<Node>,
        env: &Environment,
    ) -> Arc<ReconnectingLink> {
        if let Some((_, link)) = self.own_links.iter().find(|(other, _)| Arc::ptr_eq(other, node)) {
            return Arc::clone(link);
        }
        let link = node.subscription_link(env);
        self.own_links.push((Arc::clone(node), Arc::clone(&link)));
        link
    }
}

impl PubSubConnection {
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

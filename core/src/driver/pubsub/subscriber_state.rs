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

use crate::connection::entry::Wakers;
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::environment::Environment;
use crate::driver::link::link::Link;
use crate::driver::node::node::Node;
use crate::driver::node::reconnecting_link::ReconnectingLink;
use crate::driver::pubsub::connections::Connections;
use crate::driver::pubsub::placement::{Unreachable, by_read_policy, by_slot, primaries};
use crate::driver::pubsub::reader_queue::ReaderQueue;
use crate::driver::replica::policy::ReadSettings;
use crate::error::Error;
use crate::resp::{FrameKind, ServerError, frame_kind};
use crate::sorted::SortedMap;
use crate::subscription::backlog::PushOutcome;
use crate::subscription::channel_table::{
    ChannelTable, ConnectionId, Placement, ReaderId, UnknownState, WaitKey,
};
use crate::subscription::kind::{Channel, ChannelKind};
use crate::subscription::message::Message;
use crate::subscription::push::{Push, refuses_ping};
use crate::time::Timestamp;
use crate::topology::slot_map::SlotMap;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What the lock of a subscriber protects.
#[derive(Debug)]
pub(super) struct State {
    /// Decides which connection gets which command.
    pub(super) channels: ChannelTable,
    /// The queue of each reader.
    pub(super) readers: BTreeMap<ReaderId, Arc<ReaderQueue>>,
    /// The open connections.
    pub(super) connections: Connections,
    /// Connections that carry no commands, by the numbers of their nodes: they know the back-off of
    /// their dials.
    pub(super) own_links: SortedMap<u64, (Arc<Node>, Arc<ReconnectingLink>)>,
    /// Nodes that a channel waits for, and that no attempt to connect was begun to.
    pub(super) wanted: SortedMap<u64, Arc<Node>>,
    /// Nodes that a connection is being made to.
    pub(super) connecting: SortedMap<u64, Arc<Node>>,
    /// Nodes that the last attempt could not connect to.
    pub(super) unreachable: Unreachable,
    /// A channel has no node, or an unreachable one: the topology has to be refreshed.
    needs_refresh: bool,
    /// When a refresh may be requested again.
    refresh_at: Timestamp,
    /// When the channels that wait for a connection may be looked at again.
    recheck_at: Timestamp,
    /// Errors that may say something about the topology, and the nodes that sent them.
    pub(super) topology_errors: Vec<(Arc<Node>, ServerError)>,
    /// The last number given to a reader or a connection.
    pub(super) last_id: u64,
    /// How many reads brought frames.
    pub(super) batch: u64,
    /// When the slots' owners were last known to be those of the last plan.
    pub(super) owners_known_at: Timestamp,
    /// What the last plan was made with.
    planned: Option<PlannedRoutes>,
    /// The primaries, if a channel tells of keys; `None` for those that cannot be dialled.
    primaries: Vec<Option<Arc<Node>>>,
    /// The version of the map that they are of.
    primaries_version: Option<u64>,
    /// The subscriber has ended: nothing is sent any more.
    pub(super) closed: bool,
}

/// The routes that a plan was made with, without their nodes.
#[derive(Debug)]
struct PlannedRoutes {
    /// The version of the map.
    version: u64,
    /// The owners of slots.
    slots: SlotMap,
    /// Which nodes there were.
    members: Arc<SortedMap<u64, usize>>,
}

/// How connections are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    /// Also those that no channel uses.
    pub(super) unused: bool,
    /// After so long without a frame, a connection is probed.
    pub(super) interval: Option<Duration>,
}

/// What a channel waits for that has no node; other channels wait for nodes, by their numbers.
const NO_NODE: WaitKey = 0;

/// How often a refresh is requested while a channel has no node.
const NO_OWNER_INTERVAL: Duration = Duration::from_millis(100);

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
            connections: Connections::default(),
            own_links: SortedMap::new(),
            wanted: SortedMap::new(),
            connecting: SortedMap::new(),
            unreachable: SortedMap::new(),
            needs_refresh: false,
            refresh_at: Timestamp::ZERO,
            recheck_at: Timestamp::ZERO,
            topology_errors: Vec::new(),
            last_id: 0,
            batch: 0,
            owners_known_at: Timestamp::ZERO,
            planned: None,
            primaries: Vec::new(),
            primaries_version: None,
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
        self.connections.iter().map(|(_, connection)| Arc::clone(&connection.link)).collect()
    }

    /// The state of one reader's channels. `from`: where the last search for one that is not
    /// confirmed has ended.
    pub(super) fn status(&self, reader: ReaderId, from: &mut usize) -> ReaderStatus {
        if self.closed {
            return ReaderStatus::Closed;
        }
        if let Some((channel, error)) = self.channels.refusal(reader) {
            return ReaderStatus::Refused(channel.clone(), error.clone());
        }
        match self.channels.unconfirmed(reader, *from) {
            None => ReaderStatus::Live,
            Some((number, channel)) => {
                *from = number;
                let error = self.unreachable.values().next().cloned();
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
                return Ok(self.deliver(id, kind, message, wake));
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
                    if let Some(connection) = self.connections.get(id) {
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
    fn deliver(
        &mut self,
        from: ConnectionId,
        kind: ChannelKind,
        message: Message,
        wake: &mut Wakers,
    ) -> bool {
        let mut readers = self.channels.readers(kind, message.source_name(), from);
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
            self.connections.iter().for_each(|(_, one)| one.link.pause_reading(true));
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

    /// Whether the last plan was made with routes of this version.
    pub(super) fn has_planned(&self, version: u64) -> bool {
        self.planned.as_ref().is_some_and(|planned| planned.version == version)
    }

    /// Notes the routes that a plan is made with, and lets it check the channels that these
    /// concern. Returns whether there are other nodes than before.
    fn note_routes(&mut self, routes: &Routes, now: Timestamp) -> bool {
        let (version, slots) = (routes.map.version(), routes.map.slots());
        if self.has_planned(version) {
            return false;
        }
        let members = routes.members();
        let (slots, members) = (slots.clone(), Arc::clone(members));
        let old = self.planned.replace(PlannedRoutes { version, slots, members });
        let known_at = self.owners_known_at;
        if let Some(old) = old.filter(|old| Arc::ptr_eq(&old.members, routes.members())) {
            // A redirect has moved a slot: channels in others are not concerned.
            let moved = routes.map.slots().changed_since(&old.slots);
            self.channels.handle_owner_change_of(moved.into_iter(), now, known_at);
            return false;
        }
        self.channels.handle_owner_change(now, known_at);
        self.unreachable.retain(|number, _| routes.members().contains_key(number));
        let (connections, connecting) = (&self.connections, &self.connecting);
        self.own_links.retain(|number, (node, _)| {
            let is_used = connections.has(node) || connecting.contains_key(number);
            is_used || routes.contains(node)
        });
        true
    }

    /// Tells the table which primaries the routes have, if that matters to a channel.
    fn note_primaries(&mut self, routes: &Routes, now: Timestamp) {
        let version = Some(routes.map.version());
        if self.channels.has_wholes() && self.primaries_version != version {
            self.primaries_version = version;
            self.primaries = primaries(routes);
            let endpoint =
                |node: &Option<Arc<Node>>| Some(Arc::new(node.as_ref()?.endpoint().clone()));
            let endpoints = self.primaries.iter().map(endpoint).collect();
            self.channels.follow_primaries(endpoints, self.owners_known_at, now);
        }
    }

    /// Makes a plan and queues its commands; the links that have to write are added to `write`.
    /// Returns whether there are other nodes than before.
    pub(super) fn queue_plan(
        &mut self,
        routes: &Routes,
        settings: Option<&Arc<ReadSettings>>,
        now: Timestamp,
        write: &mut Vec<Arc<Link>>,
    ) -> bool {
        self.note_primaries(routes, now);
        let has_other_nodes = self.note_routes(routes, now);
        if self.needs_refresh && self.recheck_at <= now {
            (self.needs_refresh, self.recheck_at) = (false, now.after(NO_OWNER_INTERVAL));
            self.channels.recheck_all_waiting();
        }
        let (connections, unreachable) = (&self.connections, &self.unreachable);
        let primaries = &self.primaries;
        let (wanted, connecting) = (&mut self.wanted, &self.connecting);
        let needs_refresh = &mut self.needs_refresh;
        let plan = self.channels.plan(now, |query| {
            let current = query.current.and_then(|id| connections.get(id)).map(|one| &one.node);
            let node = match (query.primary, settings) {
                (Some(primary), _) => primaries.get(primary).and_then(Option::as_ref),
                (None, Some(rule)) => {
                    by_read_policy(query.slot, current, unreachable, routes, rule, now)
                }
                (None, None) => by_slot(query.kind, query.slot, current, unreachable, routes),
            };
            let Some(node) = node else {
                *needs_refresh = true;
                return Placement::Later(NO_NODE);
            };
            if let Some(id) = connections.usable(node) {
                return Placement::At(id);
            }
            let number = node.number();
            if !connecting.contains_key(&number) {
                wanted.get_or_insert_with(number, || Arc::clone(node));
            }
            *needs_refresh |= unreachable.contains_key(&number);
            Placement::Later(number)
        });
        for (id, writes) in plan {
            if let Some(connection) = self.connections.get(id) {
                writes.iter().for_each(|commands| connection.queue(commands));
                write.push(Arc::clone(&connection.link));
            }
        }
        has_other_nodes
    }

    /// Notes which connections the channels use, and gives up those that none uses: at once if they
    /// are closed or their node has left, others after a while, if they are not kept. The links to
    /// be retired are added to `unused`.
    pub(super) fn release_unused(
        &mut self,
        routes: &Routes,
        has_other_nodes: bool,
        keeps: Kept,
        now: Timestamp,
        unused: &mut Vec<Arc<Link>>,
    ) {
        for id in self.channels.take_use_changes() {
            let is_used = self.channels.is_in_use(id);
            let ended = self.connections.set_used(id, is_used, now, keeps.interval);
            unused.extend(
                ended
                    .filter(|one| one.link.is_closed() || !routes.contains(&one.node))
                    .map(|one| Arc::clone(&one.link)),
            );
        }
        if has_other_nodes {
            unused.extend(self.connections.unused(|node| !routes.contains(node)));
        }
        if !keeps.unused {
            unused.extend(std::iter::from_fn(|| self.connections.take_expired(now)));
        }
    }

    /// Takes the nodes that a connection has to be made to, if a channel waits for them still.
    pub(super) fn take_wanted(&mut self) -> Vec<Arc<Node>> {
        let wanted = std::mem::take(&mut self.wanted).into_values();
        wanted.filter(|node| self.channels.is_awaited(node.number())).collect()
    }

    /// Whether the topology has to be refreshed now; at most once in `NO_OWNER_INTERVAL`.
    pub(super) fn take_refresh(&mut self, now: Timestamp) -> bool {
        let is_due = self.needs_refresh && self.refresh_at <= now;
        if is_due {
            self.refresh_at = now.after(NO_OWNER_INTERVAL);
        }
        is_due
    }

    /// When there is something to do without any event: a channel is to be asked for again, a
    /// connection to be probed or, unless `keeps_unused`, to be closed, the topology to be
    /// refreshed.
    pub(super) fn next(&self, keeps_unused: bool) -> Timestamp {
        let expiry = self.connections.next_expiry().filter(|_| !keeps_unused);
        let refresh = self.needs_refresh.then_some(self.refresh_at);
        let all = [self.channels.next(), self.connections.next_probe(), expiry, refresh];
        all.into_iter().flatten().min().unwrap_or(Timestamp::FAR_FUTURE)
    }

    /// The connection to a node that carries no commands. It was dialled, if a channel needed it.
    pub(super) fn own_link(
        &mut self,
        node: &Arc<Node>,
        env: &Environment,
    ) -> Arc<ReconnectingLink> {
        let new = || (Arc::clone(node), node.subscription_link(env));
        let (_, link) = self.own_links.get_or_insert_with(node.number(), new);
        Arc::clone(link)
    }
}

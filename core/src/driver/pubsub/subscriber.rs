//! The subscriber: it serves the subscriptions of a client that share connections.
//!
//! A client has one for all its subscriptions. Its connections carry no commands, unless the
//! configuration says that they are shared: servers close a connection with a subscription when too
//! much output waits on it, and then all replies that it owed would be lost. A subscription with
//! connections to itself has a subscriber of its own, and so have the subscriptions under one read
//! policy. What needs no wait happens here, in the task that calls: the driver of a link, a caller
//! that adds a channel, a subscription that is dropped. What waits (connecting, timers, the
//! topology) is in `subscriber_loop.rs`.
//!
//! Invariants: `state` is locked for a short time only; under the lock no waker is woken, no stream
//! is touched and no other subscriber is called.

use crate::bounds::{MaybeSend, MaybeSync};
use crate::connection::entry::Wakers;
use crate::connection::outcome::Lost;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::environment::environment::EndsWithClient;
use crate::driver::environment::shared_future::SharedFuture;
use crate::driver::link::link::Link;
use crate::driver::link::push_sink::PushSink;
use crate::driver::node::node::Node;
use crate::driver::pubsub::connections::{Connections, PubSubConnection};
use crate::driver::pubsub::reader_queue::ReaderQueue;
use crate::driver::pubsub::subscriber_state::{Kept, ReaderStatus, State};
use crate::driver::replica::policy::ReadSettings;
use crate::lock::lock;
use crate::rng::Rng;
use crate::sorted::SortedMap;
use crate::subscription::backlog::BacklogLimits;
use crate::subscription::channel_table::{ChannelTable, ConnectionId, ReaderId, UnknownState};
use crate::subscription::kind::Channel;
use crate::subscription::update::GapCause;
use crate::time::Timestamp;
use bytes::Bytes;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

/// Which connections a subscriber uses, and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubscriberKind {
    /// Those that commands use, where they can carry pushes. It lives as long as the client.
    SharesWithCommands,
    /// Connections without commands. It lives as long as the client.
    OwnConnections,
    /// Connections without commands. It ends with its last reader.
    OwnConnectionsOfReaders,
}

/// Serves subscriptions that share connections; see the head of this file.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// The current topology.
    pub(super) topology: Arc<LiveTopology>,
    /// Which connections it uses.
    pub(super) kind: SubscriberKind,
    /// The read settings that choose among a shard's nodes; `None` where the owners serve.
    pub(super) read_settings: Option<Arc<ReadSettings>>,
    /// Everything that changes.
    pub(super) state: Mutex<State>,
    /// Wakes the loop when there is something to do that waits.
    pub(super) changed: event_listener::Event,
    /// The loop; see `subscriber_loop.rs`.
    pub(super) loop_task: Mutex<LoopTask>,
}

/// The loop of a subscriber, as a future that each of its readers can poll.
pub(crate) type SubscriberLoop = SharedFuture<()>;

/// The running loop of a subscriber.
#[derive(Debug, Default)]
pub(super) struct LoopTask {
    /// The loop; started with the first reader.
    pub(super) future: Option<SubscriberLoop>,
    /// The host runs it in the background, so that readers need not poll it.
    pub(super) has_background: bool,
}

/// Passes a link's pushes on to its subscriber.
#[derive(Debug)]
struct ConnectionSink {
    /// The subscriber; gone when there are no subscriptions any more.
    subscriber: Weak<Subscriber>,
    /// The connection's name.
    id: ConnectionId,
}

impl PushSink for ConnectionSink {
    fn handle(&self, frames: &mut Vec<Bytes>, now: Timestamp) -> Result<(), UnknownState> {
        match self.subscriber.upgrade() {
            Some(subscriber) => subscriber.handle(self.id, frames, now),
            None => Ok(()),
        }
    }

    fn handle_lost(&self, cause: &Lost) {
        if let Some(subscriber) = self.subscriber.upgrade() {
            subscriber.handle_lost(self.id, cause);
        }
    }
}

/// A link that was just opened. Dropped before a subscriber took it, it is closed.
#[derive(Debug)]
pub(super) struct NewLink {
    /// The link; `None` once it was taken.
    link: Option<Arc<Link>>,
}

impl NewLink {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link: Some(link) }
    }
}

impl Drop for NewLink {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

impl EndsWithClient for Subscriber {
    fn end(&self) {
        self.close();
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.close();
    }
}

/// A subscriber behind a pointer whose type does not name it: a program without subscriptions does
/// not link its code.
pub(crate) trait AnySubscriber: MaybeSend + MaybeSync {
    /// The subscriber itself.
    fn into_subscriber(self: Arc<Self>) -> Arc<Subscriber>;
}

impl AnySubscriber for Subscriber {
    fn into_subscriber(self: Arc<Self>) -> Arc<Subscriber> {
        self
    }
}

impl Subscriber {
    pub(crate) fn new(
        topology: Arc<LiveTopology>,
        kind: SubscriberKind,
        read_settings: Option<Arc<ReadSettings>>,
    ) -> Arc<Self> {
        let env = topology.env();
        let pauses = (env.config().backoff_base, env.config().backoff_cap);
        let rng = Rng::new(env.rng().next_u64());
        let state = State::new(ChannelTable::new(env.has_slots(), pauses, rng));
        let subscriber = Arc::new(Self {
            topology,
            kind,
            read_settings,
            state: Mutex::new(state),
            changed: event_listener::Event::new(),
            loop_task: Mutex::default(),
        });
        let env = Arc::clone(subscriber.topology.env());
        env.end_with_client(&(Arc::clone(&subscriber) as Arc<dyn EndsWithClient>));
        subscriber
    }

    /// Adds a reader, without channels. `None` after the end of the subscriber.
    pub(crate) fn add_reader(&self, limits: BacklogLimits) -> Option<(ReaderId, Arc<ReaderQueue>)> {
        let queue = Arc::new(ReaderQueue::new(limits));
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        let id = ReaderId(state.next_id());
        state.readers.insert(id, Arc::clone(&queue));
        Some((id, queue))
    }

    /// Whether readers can be added.
    pub(crate) fn is_open(&self) -> bool {
        !lock(&self.state).closed
    }

    /// Whether it chooses nodes as these settings say.
    pub(crate) fn has_read_settings(&self, settings: &ReadSettings) -> bool {
        let same = |own: &Arc<ReadSettings>| {
            own.policy == settings.policy && own.max_staleness == settings.max_staleness
        };
        self.read_settings.as_ref().is_some_and(same)
    }

    /// Changes the channels of a reader, and sends the commands that follow.
    pub(crate) fn change_channels(&self, change: impl FnOnce(&mut ChannelTable)) {
        let mut wake = Wakers::new();
        {
            let mut state = lock(&self.state);
            change(&mut state.channels);
            state.pass_updates(&mut wake);
        }
        wake.drain(..).for_each(Waker::wake);
        self.send_plan();
        self.changed.notify(usize::MAX);
    }

    /// Removes a reader and unsubscribes from its channels.
    pub(crate) fn remove_reader(&self, reader: ReaderId) {
        let has_background = self.has_background();
        let (links, is_last) = {
            let mut state = lock(&self.state);
            state.readers.remove(&reader);
            let is_last = state.readers.is_empty();
            state.closed |= is_last && self.kind == SubscriberKind::OwnConnectionsOfReaders;
            // Where the background drives, no reader has registered with a link.
            (if has_background { Vec::new() } else { state.links() }, is_last)
        };
        links.iter().for_each(|link| link.unregister_reader(reader.0));
        if is_last && self.kind == SubscriberKind::OwnConnectionsOfReaders {
            return self.close();
        }
        self.change_channels(|channels| channels.remove_reader(reader));
        if is_last && self.kind == SubscriberKind::OwnConnections && !has_background {
            self.close_idle();
        }
    }

    /// Closes all connections: nothing would close them later, because on a host without background
    /// tasks only readers poll the loop. The next reader starts another loop.
    fn close_idle(&self) {
        let now = self.topology.env().now();
        let connections = {
            let mut state = lock(&self.state);
            if !state.readers.is_empty() {
                return;
            }
            state.connecting = SortedMap::new();
            let connections = std::mem::take(&mut state.connections);
            for (id, _) in connections.iter() {
                state.channels.close(id, now, GapCause::NodeLeft);
            }
            connections
        };
        let future = lock(&self.loop_task).future.take();
        drop(future);
        close_all(&connections);
    }

    /// Whether the channels of a reader are confirmed. `from`: 0, or what the last call has left
    /// there, so that it goes on where that one has ended.
    pub(crate) fn status(&self, reader: ReaderId, from: &mut usize) -> ReaderStatus {
        lock(&self.state).status(reader, from)
    }

    /// The channels of a reader, confirmed or not.
    pub(crate) fn channels(&self, reader: ReaderId) -> Vec<Channel> {
        lock(&self.state).channels.channels(reader).cloned().collect()
    }

    /// Lets connections go on that were paused for a slow reader.
    pub(crate) fn resume_reading(&self) {
        for link in self.links() {
            link.pause_reading(false);
            link.move_bytes();
        }
    }

    /// The links of all connections.
    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.state).links()
    }

    /// Ends the subscriber: readers get the updates that wait, and nothing more.
    pub(crate) fn close(&self) {
        let mut wake = Wakers::new();
        let connections = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.readers.values().for_each(|queue| queue.finish(&mut wake));
            std::mem::take(&mut state.connections)
        };
        // Shared links, too: the client has gone with its last subscriber, and a link may belong to
        // a node that the topology no longer has.
        close_all(&connections);
        wake.drain(..).for_each(Waker::wake);
        self.changed.notify(usize::MAX);
        // Its timers and dials end now, also where only readers poll it and none does any more.
        let future = lock(&self.loop_task).future.clone();
        if let Some(future) = future {
            future.end(());
        }
    }

    /// Makes a plan, and queues and writes its commands. What the plan lacks, the loop finds in the
    /// state.
    pub(super) fn send_plan(&self) {
        let now = self.topology.env().now();
        // The time is read before the map: so the map is at least as new as the time says.
        let refreshed_at = self.topology.refreshed_at();
        let routes = Arc::clone(&self.topology.routes());
        let mut wake = Wakers::new();
        let (mut write, mut unused) = (Vec::new(), Vec::new());
        {
            let mut state = lock(&self.state);
            if state.closed {
                return;
            }
            if state.has_planned(routes.map.version()) {
                state.owners_known_at = refreshed_at.unwrap_or(now);
            }
            let settings = self.read_settings.as_ref();
            let has_other_nodes = state.queue_plan(&routes, settings, now, &mut write);
            let keeps = Kept {
                unused: self.keeps_unused(),
                interval: self.topology.env().config().probe_interval,
            };
            state.release_unused(&routes, has_other_nodes, keeps, now, &mut unused);
            state.pass_updates(&mut wake);
        }
        wake.drain(..).for_each(Waker::wake);
        write.iter().for_each(|link| link.move_bytes());
        unused.iter().for_each(|link| link.retire());
    }

    /// Whether connections stay that no channel uses: those that commands use.
    pub(super) fn keeps_unused(&self) -> bool {
        self.kind == SubscriberKind::SharesWithCommands
    }

    /// Adds a connection: its pushes come here from now on.
    pub(super) fn add_connection(self: &Arc<Self>, node: &Arc<Node>, mut new: NewLink) {
        let now = self.topology.env().now();
        let (id, link) = {
            let mut state = lock(&self.state);
            if state.closed {
                return;
            }
            let Some(link) = new.link.take() else { return };
            let id = ConnectionId(state.next_id());
            state.channels.open(id, Arc::new(node.endpoint().clone()));
            link.set_subscribed(true);
            state.connections.insert(id, PubSubConnection::new(node, &link, now));
            state.channels.recheck_waiting(node.number());
            (id, link)
        };
        let sink = ConnectionSink { subscriber: Arc::downgrade(self), id };
        if !link.set_push_sink(Arc::new(sink)) || link.is_lost() {
            self.handle_lost(id, &Lost::ByPeer);
        }
    }

    /// Handles the frames of one read: all of them, also after one that it did not expect.
    fn handle(
        &self,
        id: ConnectionId,
        frames: &mut Vec<Bytes>,
        now: Timestamp,
    ) -> Result<(), UnknownState> {
        let mut wake = Wakers::new();
        let mut has_work = false;
        let mut known = Ok(());
        {
            let mut state = lock(&self.state);
            let Some(connection) = state.connections.get_mut(id) else { return known };
            (connection.heard_at, connection.is_probed) = (now, false);
            state.batch += 1;
            for frame in frames.drain(..) {
                match state.handle_frame(id, frame, now, &mut wake) {
                    Ok(work) => has_work |= work,
                    Err(unknown) => known = Err(unknown),
                }
            }
        }
        wake.drain(..).for_each(Waker::wake);
        if has_work {
            self.changed.notify(usize::MAX);
        }
        known
    }

    /// Removes a lost connection: gaps begin.
    fn handle_lost(&self, id: ConnectionId, cause: &Lost) {
        {
            let mut state = lock(&self.state);
            let Some(connection) = state.connections.remove(id) else { return };
            let now = self.topology.env().now();
            let (since, cause) = match cause {
                // It may have been dead since its last frame.
                Lost::NoProgress(_) => (connection.heard_at, GapCause::Silent),
                Lost::Retired | Lost::ByUs => (now, GapCause::NodeLeft),
                _ => (now, GapCause::ConnectionLost),
            };
            state.channels.close(id, since, cause);
        }
        self.changed.notify(usize::MAX);
    }
}

fn close_all(connections: &Connections) {
    connections.iter().for_each(|(_, connection)| connection.link.close());
}

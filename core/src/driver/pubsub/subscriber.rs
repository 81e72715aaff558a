//! Subscriptions at work: gives frames to the reconciler and messages to their readers, and its
//! orders to the connections.
//!
//! A client has one hub, whose subscriptions share the connections that commands use (or, where
//! servers speak RESP2, one more per node); a subscription with a connection of its own has a hub
//! of its own. Everything that need not wait happens here, in whoever's turn it is: the driver of a
//! link, a caller who adds a channel, a subscription that is dropped. What waits (dials, timers,
//! topology) is in `driver/pubsub.rs`.
//!
//! Invariants:
//! - `state` is locked for moments only, no waker, stream or other hub is called under it; what is
//!   sent is queued under it, so that a connection gets orders in the order of the plans;
//! - messages of one read reach their readers under one lock, with one wake for each.
//!
//! Called by `driver/io.rs` (through [`PushSink`]), `driver/pubsub.rs` and the client.

use crate::BoxFuture;
use crate::bounds::{MaybeSend, MaybeSync};
use crate::connection::entry::Wakers;
use crate::connection::outcome::Lost;
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::link::link::Link;
use crate::driver::link::push_sink::PushSink;
use crate::driver::node::node::Node;
use crate::driver::pubsub::reader_queue::Inbox;
use crate::driver::replica::policy::ReadSettings;
use crate::error::Error;
use crate::lock::lock;
use crate::resp::{FrameKind, ServerError, frame_kind};
use crate::rng::Rng;
use crate::subscription::backlog::{BacklogLimits, Taken};
use crate::subscription::kind::{Channel, ChannelKind};
use crate::subscription::message::Message;
use crate::subscription::push::Push;
use crate::subscription::reconcile::{ReaderId, Reconciler, SessionId};
use crate::subscription::update::GapCause;
use crate::time::Timestamp;
use bytes::Bytes;
use futures::future::Shared;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// Knows where commands go.
    pub(in crate::driver) topology: Arc<LiveTopology>,
    /// Its connections carry nothing else.
    pub(in crate::driver) own: bool,
    /// By which nodes are chosen, where not the owners' alone.
    pub(in crate::driver) rule: Option<Arc<ReadSettings>>,
    /// Everything that changes.
    pub(in crate::driver) state: Mutex<State>,
    /// Told when there is something to do that waits.
    pub(in crate::driver) nudge: event_listener::Event,
    /// What waits; see `driver/pubsub.rs`.
    pub(in crate::driver) work: Mutex<Work>,
}

/// What a hub waits for, driven by whoever does.
pub(crate) type Waits = Shared<BoxFuture<'static, ()>>;

/// The running future of a hub.
#[derive(Debug, Default)]
pub(in crate::driver) struct Work {
    /// Begun with the first reader.
    pub(in crate::driver) waits: Option<Waits>,
    /// The host drives it, too.
    pub(in crate::driver) background: bool,
}

/// See `Subscriber::state`.
#[derive(Debug)]
pub(in crate::driver) struct State {
    /// Decides.
    pub(in crate::driver) reconciler: Reconciler,
    /// Whom messages go to.
    readers: BTreeMap<ReaderId, Arc<Inbox>>,
    /// Connections that can be asked.
    pub(in crate::driver) sessions: BTreeMap<SessionId, Session>,
    /// Nodes that a connection is being made to.
    pub(in crate::driver) attaching: Vec<Arc<Node>>,
    /// Nodes to which none could be made of late.
    pub(in crate::driver) failed: Vec<Failing>,
    /// Errors that say something about the topology, and who sent them.
    pub(in crate::driver) learnt: Vec<(Arc<Node>, ServerError)>,
    /// The last name given out.
    names: u64,
    /// Counts reads.
    batch: u64,
    /// When the owners were last known to be those of the last plan.
    pub(in crate::driver) owners_at: Timestamp,
    /// The map's version that the last plan was made with.
    pub(in crate::driver) version: Option<u64>,
    /// Nothing is sent any more.
    pub(in crate::driver) closed: bool,
}

/// A connection that can be asked.
#[derive(Debug)]
pub(in crate::driver) struct Session {
    /// Where it leads.
    pub(in crate::driver) node: Arc<Node>,
    /// The connection.
    pub(in crate::driver) link: Arc<Link>,
    /// In RESP2, PING ends a write; else HELLO, which no ACL forbids.
    pub(in crate::driver) resp3: bool,
    /// When it last brought anything for us.
    pub(in crate::driver) heard: Timestamp,
    /// It was asked whether it is alive, and has not answered.
    pub(in crate::driver) probed: bool,
}

/// A node that no connection could be made to.
#[derive(Debug)]
pub(in crate::driver) struct Failing {
    /// Which.
    pub(in crate::driver) node: Arc<Node>,
    /// What the last attempt failed with.
    pub(in crate::driver) error: Error,
    /// How many failed in a row.
    pub(in crate::driver) times: u32,
}

/// Hands a link's pushes to its hub.
#[derive(Debug)]
struct Sink {
    /// Gone once nobody subscribes any more.
    hub: Weak<Subscriber>,
    /// Which connection it is.
    id: SessionId,
}

impl PushSink for Sink {
    fn handle(&self, frames: &mut Vec<Bytes>, now: Timestamp) {
        if let Some(hub) = self.hub.upgrade() {
            hub.handle(self.id, frames, now);
        }
    }

    fn handle_lost(&self, cause: &Lost) {
        if let Some(hub) = self.hub.upgrade() {
            hub.handle_lost(self.id, cause);
        }
    }
}

/// A connection that was just made; closed if nobody takes it, for then the hub has gone.
#[derive(Debug)]
pub(in crate::driver) struct Fresh {
    /// Gone once it was taken.
    link: Option<Arc<Link>>,
}

impl Fresh {
    pub(in crate::driver) fn new(link: Arc<Link>) -> Self {
        Self { link: Some(link) }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.shut();
    }
}

/// A hub, behind a pointer whose type says nothing of what is in it.
pub(crate) trait AnySubscriber: MaybeSend + MaybeSync {
    /// The hub.
    fn as_hub(self: Arc<Self>) -> Arc<Subscriber>;
}

impl AnySubscriber for Subscriber {
    fn as_hub(self: Arc<Self>) -> Arc<Subscriber> {
        self
    }
}

impl Subscriber {
    /// `own`: whether it makes connections that carry nothing else. It ends with its last reader
    /// then.
    pub(crate) fn new(
        topology: Arc<LiveTopology>,
        own: bool,
        rule: Option<Arc<ReadSettings>>,
    ) -> Arc<Self> {
        let env = topology.env();
        let pauses = (env.config().backoff_base, env.config().backoff_cap);
        let rng = Rng::new(env.rng().next_u64());
        let state = State {
            reconciler: Reconciler::new(env.has_slots(), pauses, rng),
            readers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            attaching: Vec::new(),
            failed: Vec::new(),
            learnt: Vec::new(),
            names: 0,
            batch: 0,
            owners_at: Timestamp::ZERO,
            version: None,
            closed: false,
        };
        let (state, nudge) = (Mutex::new(state), event_listener::Event::new());
        Arc::new(Self { topology, own, rule, state, nudge, work: Mutex::default() })
    }

    /// A new reader, of no channel yet; none once the hub has ended.
    pub(crate) fn join(&self, limits: BacklogLimits) -> Option<(ReaderId, Arc<Inbox>)> {
        let inbox = Arc::new(Inbox::new(limits));
        let mut state = lock(&self.state);
        if state.closed {
            return None;
        }
        state.names += 1;
        let id = ReaderId(state.names);
        state.readers.insert(id, Arc::clone(&inbox));
        Some((id, inbox))
    }

    /// Whether readers may join it.
    pub(crate) fn is_open(&self) -> bool {
        !lock(&self.state).closed
    }

    /// Whether its nodes are chosen by this rule.
    pub(crate) fn follows(&self, rule: &ReadSettings) -> bool {
        let same = |own: &Arc<ReadSettings>| {
            own.policy == rule.policy && own.max_staleness == rule.max_staleness
        };
        self.rule.as_ref().is_some_and(same)
    }

    /// Changes what a reader wants, and sends what follows from that.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Reconciler)) {
        let mut wake = Wakers::new();
        {
            let mut state = lock(&self.state);
            change(&mut state.reconciler);
            state.tell(&mut wake);
        }
        wake.drain(..).for_each(Waker::wake);
        self.pump();
        self.nudge.notify(usize::MAX);
    }

    /// A reader has gone: its channels are unsubscribed from.
    pub(crate) fn leave(&self, reader: ReaderId) {
        let (links, ends): (Vec<Arc<Link>>, bool) = {
            let mut state = lock(&self.state);
            state.readers.remove(&reader);
            let ends = self.own && state.readers.is_empty();
            state.closed |= ends;
            (state.sessions.values().map(|session| Arc::clone(&session.link)).collect(), ends)
        };
        links.iter().for_each(|link| link.unregister_reader(reader.0));
        if ends {
            self.shut();
        } else {
            self.change(|reconciler| reconciler.forget(reader));
        }
    }

    /// Whether every channel of a reader is subscribed to; if not, which is not, and why.
    pub(crate) fn stands(&self, reader: ReaderId) -> Standing {
        let state = lock(&self.state);
        if state.closed {
            return Standing::Closed;
        }
        if let Some((channel, error)) = state.reconciler.refusal(reader) {
            return Standing::Refused(channel.clone(), error.clone());
        }
        match state.reconciler.missing(reader).next() {
            None => Standing::Live,
            Some(channel) => {
                let cause = state.failed.first().map(|failing| failing.error.clone());
                Standing::Missing(channel.clone(), cause)
            }
        }
    }

    /// The channels that a reader wants.
    pub(crate) fn channels(&self, reader: ReaderId) -> Vec<Channel> {
        lock(&self.state).reconciler.channels(reader).cloned().collect()
    }

    /// A connection that was paused for a slow reader goes on.
    pub(crate) fn resume(&self) {
        for link in self.links() {
            link.pause_reading(false);
            link.move_bytes();
        }
    }

    /// All connections.
    pub(in crate::driver) fn links(&self) -> Vec<Arc<Link>> {
        lock(&self.state).sessions.values().map(|session| Arc::clone(&session.link)).collect()
    }

    /// Ends everything: readers get what waits, and nothing more.
    pub(crate) fn shut(&self) {
        let mut wake = Wakers::new();
        let sessions = {
            let mut state = lock(&self.state);
            state.closed = true;
            state.readers.values().for_each(|inbox| inbox.finish(&mut wake));
            std::mem::take(&mut state.sessions)
        };
        // Those that are shared belong to a client that has gone, and perhaps to nodes that nobody
        // knows any more.
        sessions.values().for_each(|session| session.link.close());
        wake.drain(..).for_each(Waker::wake);
        self.nudge.notify(usize::MAX);
    }

    /// A connection was made; its pushes come here from now on.
    pub(in crate::driver) fn attached(self: &Arc<Self>, node: &Arc<Node>, mut fresh: Fresh) {
        let now = self.topology.env().now();
        let (id, link) = {
            let mut state = lock(&self.state);
            if state.closed {
                return;
            }
            let Some(link) = fresh.link.take() else { return };
            let resp3 = link.is_resp3();
            state.names += 1;
            let id = SessionId(state.names);
            state.reconciler.open(id, Arc::new(node.endpoint().clone()));
            link.set_subscribed(true);
            let (node, kept) = (Arc::clone(node), Arc::clone(&link));
            let session = Session { node, link: kept, resp3, heard: now, probed: false };
            state.sessions.insert(id, session);
            (id, link)
        };
        let sink = Sink { hub: Arc::downgrade(self), id };
        if !link.set_push_sink(Arc::new(sink)) || link.is_lost() {
            self.handle_lost(id, &Lost::ByPeer);
        }
    }

    fn handle(&self, id: SessionId, frames: &mut Vec<Bytes>, now: Timestamp) {
        let mut wake = Wakers::new();
        let mut news = false;
        {
            let mut state = lock(&self.state);
            let Some(session) = state.sessions.get_mut(&id) else { return };
            (session.heard, session.probed) = (now, false);
            state.batch += 1;
            for frame in frames.drain(..) {
                news |= state.handle_frame(id, frame, now, &mut wake);
            }
        }
        wake.drain(..).for_each(Waker::wake);
        if news {
            self.nudge.notify(usize::MAX);
        }
    }

    fn handle_lost(&self, id: SessionId, cause: &Lost) {
        {
            let mut state = lock(&self.state);
            let Some(session) = state.sessions.remove(&id) else { return };
            let now = self.topology.env().now();
            let (since, cause) = match cause {
                // Nobody knows how long it had been dead.
                Lost::NoProgress(_) => (session.heard, GapCause::Silent),
                Lost::Retired | Lost::ByUs => (now, GapCause::NodeLeft),
                _ => (now, GapCause::ConnectionLost),
            };
            state.reconciler.close(id, since, cause);
        }
        self.nudge.notify(usize::MAX);
    }
}

/// How a reader's channels stand.
#[derive(Debug)]
pub(crate) enum Standing {
    /// The client, or the subscription, was closed.
    Closed,
    /// All are subscribed to.
    Live,
    /// One is not, and perhaps why.
    Missing(Channel, Option<Error>),
    /// The server refuses one.
    Refused(Channel, ServerError),
}

impl State {
    /// Takes a frame in. Whether something follows from it besides a message.
    #[inline]
    fn handle_frame(
        &mut self,
        id: SessionId,
        frame: Bytes,
        now: Timestamp,
        wake: &mut Wakers,
    ) -> bool {
        match Push::parse(&frame) {
            Push::Message { kind, pattern, channel, payload } => {
                let message = Message::new(frame, kind, pattern, channel, payload);
                return self.deliver(kind, message, wake);
            }
            Push::Subscribed(kind, name) => {
                self.reconciler.handle_subscribed(id, kind, &frame[name], now);
            }
            Push::Unsubscribed(kind, name) => {
                self.reconciler.handle_unsubscribed(id, kind, &frame[name], now);
            }
            Push::Other => match frame_kind(&frame) {
                FrameKind::Push => return false,
                FrameKind::Reply => self.reconciler.handle_marker(id, now),
                FrameKind::Error => {
                    let Some(error) = ServerError::from_frame(&frame) else { return false };
                    self.reconciler.handle_error(id, &error, now);
                    if let Some(session) = self.sessions.get(&id) {
                        self.learnt.push((Arc::clone(&session.node), error));
                    }
                }
            },
        }
        self.tell(wake);
        true
    }

    /// Gives a message to its readers. Whether something follows.
    #[inline]
    fn deliver(&mut self, kind: ChannelKind, message: Message, wake: &mut Wakers) -> bool {
        let mut readers = self.reconciler.readers(kind, message.source_name());
        let mut ended = Vec::new();
        let mut pauses = false;
        let batch = self.batch;
        let mut give =
            |id: ReaderId, message: Message, readers: &BTreeMap<_, Arc<Inbox>>| match readers
                .get(&id)
                .map(|inbox: &Arc<Inbox>| inbox.push(message, batch, wake))
            {
                Some(Taken::Pause) => pauses = true,
                Some(Taken::Ended) => ended.push(id),
                Some(Taken::Well) | None => {}
            };
        // The only reader of a message, as nearly all have, takes it without another reference.
        let Some(first) = readers.next() else { return false };
        for id in readers {
            give(id, message.clone(), &self.readers);
        }
        give(first, message, &self.readers);
        if pauses {
            self.sessions.values().for_each(|session| session.link.pause_reading(true));
        }
        for id in &ended {
            self.reconciler.forget(*id);
        }
        !ended.is_empty()
    }

    /// Gives readers what the reconciler has for them.
    pub(in crate::driver) fn tell(&mut self, wake: &mut Wakers) {
        for (id, update) in self.reconciler.take_told() {
            if let Some(inbox) = self.readers.get(&id) {
                inbox.tell(update, wake);
            }
        }
    }
}

//! What a hub waits for: connections, timers, newer maps. One future, driven by whoever reads a
//! subscription and, where the host has one, by the background.
//!
//! Each turn learns from errors, makes a plan, queues and writes it, and begins the connections
//! that the plan lacks; then it sleeps until something happens. A connection is watched: after
//! `probe_interval` without a word it is asked for one, and the progress time-out does the rest.
//!
//! Invariants: holds the hub weakly, and ends when the hub or the client does; one attempt at a
//! time for each node. Limits: `connect_timeout` for each attempt, `backoff_base` to `backoff_cap`
//! between those for connections of a hub's own. Called by `client/subscription.rs`.

use crate::BoxFuture;
use crate::command::{Command, cmd};
use crate::config::Protocol;
use crate::connection::entry::{Entry, Wakers};
use crate::driver::attempt::redirect::{Redirected, resolve};
use crate::driver::discovery::live_topology::LiveTopology;
use crate::driver::discovery::routes::Routes;
use crate::driver::environment::environment::Environment;
use crate::driver::link::dial::open;
use crate::driver::link::link::Link;
use crate::driver::link::submit::submit;
use crate::driver::node::node::Node;
use crate::driver::pubsub::subscriber::{Failing, Fresh, Session, State, Subscriber, Waits};
use crate::driver::replica::policy::ReadSettings;
use crate::driver::replica::select::{SelectionContext, choice, table};
use crate::driver::replica::shard_lookup::members;
use crate::error::{Delivery, Error, ErrorKind};
use crate::features::BACKGROUND;
use crate::lock::lock;
use crate::resp::ServerError;
use crate::routing::error_policy::{ErrorOrigin, reply_policy};
use crate::subscription::kind::ChannelKind;
use crate::subscription::reconcile::{Order, ReaderId, SessionId, Wish};
use crate::time::Timestamp;
use crate::topology::refresh::RefreshReason;
use crate::topology::slot::Slot;
use futures::future::{Either, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How often a missing owner is asked for.
const UNSETTLED: Duration = Duration::from_millis(100);

/// An attempt to get a connection.
type Attaching = FuturesUnordered<BoxFuture<'static, (Arc<Node>, Attached)>>;
/// What it came to.
type Attached = Result<Fresh, Error>;

impl Subscriber {
    /// Begins to wait, with the first reader.
    pub(crate) fn start(self: &Arc<Self>) -> Waits {
        let mut work = lock(&self.work);
        if let Some(waits) = &work.waits {
            return waits.clone();
        }
        let waits: BoxFuture<'static, ()> =
            Box::pin(run(Arc::downgrade(self), Arc::clone(&self.topology)));
        let waits = waits.shared();
        work.background =
            BACKGROUND && self.topology.env().transport().spawn(Box::pin(waits.clone()));
        work.waits.insert(waits).clone()
    }

    /// Whether somebody drives it who does not read.
    pub(crate) fn has_background(&self) -> bool {
        lock(&self.work).background
    }

    /// Does what a background would: for a reader on a host without one.
    pub(crate) fn drive(&self, waits: &mut Waits, reader: ReaderId, cx: &mut Context<'_>) {
        if waits.peek().is_none() {
            let _ = Pin::new(waits).poll(cx);
        }
        for link in self.links() {
            link.register_reader(reader.0, cx.waker());
            link.move_bytes();
        }
    }

    /// Queues and writes what can be sent now. Says what is wanted besides.
    pub(crate) fn pump(&self) -> Wanted {
        let now = self.topology.env().now();
        // In this order: what was looked at later may be of a later map.
        let looked = self.topology.refreshed_at();
        let routes = Arc::clone(&self.topology.routes());
        let mut wake = Wakers::new();
        let (mut write, mut leave) = (Vec::new(), Vec::new());
        let wanted = {
            let mut state = lock(&self.state);
            if state.closed {
                return Wanted::default();
            }
            if state.version == Some(routes.map.version()) {
                state.owners_at = looked.unwrap_or(now);
            }
            let rule = self.rule.as_ref();
            let wanted = state.send(&routes, rule, now, &mut write);
            state.let_go(&routes, &mut leave);
            state.tell(&mut wake);
            wanted
        };
        wake.drain(..).for_each(Waker::wake);
        write.iter().for_each(|link| link.move_bytes());
        leave.iter().for_each(|link| link.retire());
        wanted
    }

    /// Asks every connection for a word that was silent for too long. Returns when to ask again.
    fn probe(&self, now: Timestamp) -> Timestamp {
        let Some(interval) = self.topology.env().config().probe_interval else {
            return Timestamp::FAR_FUTURE;
        };
        let mut next = Timestamp::FAR_FUTURE;
        let mut write = Vec::new();
        {
            let mut guard = lock(&self.state);
            let State { sessions, reconciler, .. } = &mut *guard;
            for (id, session) in sessions {
                if session.probed {
                    continue;
                }
                let due = session.heard.after(interval);
                if due <= now {
                    session.probed = true;
                    reconciler.probe(*id);
                    session.post(&[]);
                    write.push(Arc::clone(&session.link));
                } else {
                    next = next.min(due);
                }
            }
        }
        write.iter().for_each(|link| link.move_bytes());
        next
    }

    /// What errors say about the topology.
    fn learn(&self) {
        let learnt = std::mem::take(&mut lock(&self.state).learnt);
        for (node, error) in learnt {
            learn_from(&self.topology, &node, &error);
        }
    }

    /// An attempt has ended.
    fn handle_attached(self: &Arc<Self>, node: &Arc<Node>, attached: Attached) {
        {
            let mut state = lock(&self.state);
            state.attaching.retain(|other| !Arc::ptr_eq(other, node));
            let before = state.failed.iter().position(|f| Arc::ptr_eq(&f.node, node));
            let times = before.map_or(0, |at| state.failed.swap_remove(at).times);
            if let Err(error) = &attached {
                let (node, error) = (Arc::clone(node), error.clone());
                state.failed.push(Failing { node, error, times: times.saturating_add(1) });
            }
        }
        match attached {
            Ok(fresh) => self.attached(node, fresh),
            Err(_) => self.topology.request_refresh(RefreshReason::NodeLost),
        }
    }
}

/// The loop; see the head of this file.
async fn run(hub: Weak<Subscriber>, topology: Arc<LiveTopology>) {
    let env = Arc::clone(topology.env());
    let mut attaching = Attaching::new();
    loop {
        let (listener, version, until) = {
            let Some(hub) = hub.upgrade() else { return };
            let listener = hub.nudge.listen();
            hub.learn();
            let version = topology.routes().map.version();
            let wanted = hub.pump();
            let mut until = hub.probe(env.now());
            if wanted.owner {
                // For as long as a channel has no node to go to, somebody has to look for one.
                topology.request_refresh(RefreshReason::Uncovered);
                until = until.min(env.now().after(UNSETTLED));
            }
            if !begin(&hub, wanted.nodes, &mut attaching) {
                return;
            }
            let next = lock(&hub.state).reconciler.next();
            (listener, version, until.min(next.unwrap_or(Timestamp::FAR_FUTURE)))
        };
        let attached = {
            let newer = pin!(topology.wait_for_newer_map(version));
            let changed = select(listener, newer);
            // Without any attempt there is none that ends.
            let attempts = poll_fn(|cx| match attaching.poll_next_unpin(cx) {
                Poll::Ready(Some(attached)) => Poll::Ready(attached),
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            });
            let happens = select(attempts, changed);
            let waits = env.with_deadline(until, topology.while_refreshing(happens));
            match env.while_open(waits).await {
                Some(Some(Either::Left((attached, _)))) => Some(attached),
                Some(_) => None,
                None => {
                    if let Some(hub) = hub.upgrade() {
                        hub.shut();
                    }
                    return;
                }
            }
        };
        if let Some((node, attached)) = attached {
            let Some(hub) = hub.upgrade() else { return };
            hub.handle_attached(&node, attached);
        }
    }
}

/// Begins the connections that are wanted and not being made. False once the hub is closed.
fn begin(hub: &Subscriber, wanted: Vec<Arc<Node>>, attaching: &mut Attaching) -> bool {
    let env = hub.topology.env();
    let mut state = lock(&hub.state);
    for node in wanted {
        if state.attaching.iter().any(|other| Arc::ptr_eq(other, &node)) {
            continue;
        }
        // Shared lanes keep their own pace.
        let times = state.failed.iter().find(|f| Arc::ptr_eq(&f.node, &node)).map(|f| f.times);
        let pause = times.map_or(Duration::ZERO, |n| env.backoff(if hub.own { n } else { 0 }));
        state.attaching.push(Arc::clone(&node));
        let attempt = attach(Arc::clone(env), Arc::clone(&node), hub.own, env.now().after(pause));
        attaching.push(Box::pin(async move { (node, attempt.await) }));
    }
    !state.closed
}

/// A connection to a node: the one that commands use if that can be, else one more.
async fn attach(
    env: Arc<Environment>,
    node: Arc<Node>,
    own: bool,
    not_before: Timestamp,
) -> Attached {
    env.sleep_until(not_before).await;
    let deadline = env.now().after(env.config().connect_timeout);
    if !own && env.config().protocol == Protocol::Resp3 {
        let link = node.connect(&env, deadline).await?;
        greet(&env, &link, deadline).await?;
        if link.is_resp3() {
            return Ok(Fresh::new(link));
        }
    }
    let settings = env.link_settings(&env.node_budget());
    // Its greeting is answered: what it is used for depends on the protocol.
    let link = open(node.endpoint(), node.profile(), &env, settings, false).await?;
    if !link.is_resp3() {
        link.treat_lists_as_pushes();
    }
    Ok(Fresh::new(link))
}

/// Makes sure that the server has spoken: its first word tells which protocol it speaks.
async fn greet(env: &Environment, link: &Arc<Link>, deadline: Timestamp) -> Result<(), Error> {
    if link.has_answered() {
        return Ok(());
    }
    let ping = cmd("PING");
    let entry = Entry { len: ping.encoded_len(), replies: 1, deadline };
    match submit(env, link, entry, &|out: &mut Vec<u8>| ping.write_to(out)).await? {
        Ok(_) => Ok(()),
        Err(failed) => {
            let message = format!("the server gave no answer: {:?}", failed.failure);
            let error = Error::new(ErrorKind::Connect, Delivery::NotSent, message);
            Err(error.with_endpoint(link.endpoint()))
        }
    }
}

/// What an error to a subscribe command says about the topology.
fn learn_from(topology: &LiveTopology, node: &Arc<Node>, error: &ServerError) {
    if let Some(Ok(redirect)) = error.redirect() {
        match resolve(topology, &redirect, node, 1) {
            Redirected::Sender => return node.redial(),
            Redirected::Moved { slot, endpoint, literally } => {
                return drop(topology.handle_moved(slot, &endpoint, literally));
            }
            // A subscription goes only where the map says.
            Redirected::Ask(_) | Redirected::Unusable => {}
        }
    }
    if let Some(reason) = reply_policy(error, ErrorOrigin::Server).refresh {
        topology.request_refresh(reason);
    }
}

/// What a plan lacks.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Nodes that a connection is wanted to.
    nodes: Vec<Arc<Node>>,
    /// A channel belongs to nobody who can be reached.
    owner: bool,
}

impl State {
    /// Queues a plan. Says what it lacks.
    fn send(
        &mut self,
        routes: &Routes,
        rule: Option<&Arc<ReadSettings>>,
        now: Timestamp,
        write: &mut Vec<Arc<Link>>,
    ) -> Wanted {
        let version = routes.map.version();
        if self.version.replace(version) != Some(version) {
            self.reconciler.hurry(now, self.owners_at);
            let member = |one: &Arc<Node>| routes.dialable().any(|node| Arc::ptr_eq(node, one));
            self.failed.retain(|failing| member(&failing.node));
        }
        let open = |session: &&Session| !session.link.is_closed();
        let usable: Vec<(SessionId, Arc<Node>)> = {
            let sessions = self.sessions.iter().map(|(id, session)| (*id, session));
            let open = sessions.filter(|(_, session)| open(session));
            open.map(|(id, session)| (id, Arc::clone(&session.node))).collect()
        };
        let mut wanted = Wanted::default();
        let (sessions, failed) = (&self.sessions, &self.failed);
        let plan = self.reconciler.plan(now, |wish| {
            let held = wish.held.and_then(|id| sessions.get(&id)).map(|session| &session.node);
            let node = match rule {
                Some(rule) => by_rule(held, failed, routes, rule, wish.slot, now),
                None => by_slot(held, failed, routes, wish),
            };
            let Some(node) = node else {
                wanted.owner = true;
                return None;
            };
            let known = usable.iter().find(|(_, other)| Arc::ptr_eq(other, node));
            if known.is_none() && !wanted.nodes.iter().any(|other| Arc::ptr_eq(other, node)) {
                wanted.nodes.push(Arc::clone(node));
                wanted.owner |= has_failed(failed, node);
            }
            known.map(|(id, _)| *id)
        });
        for (id, orders) in plan {
            if let Some(session) = self.sessions.get(&id) {
                session.post(&orders);
                write.push(Arc::clone(&session.link));
            }
        }
        wanted
    }

    /// Lets go of connections that are not used any more and that nobody will want again.
    fn let_go(&self, routes: &Routes, leave: &mut Vec<Arc<Link>>) {
        for (id, session) in &self.sessions {
            let member = routes.dialable().any(|node| Arc::ptr_eq(node, &session.node));
            if (session.link.is_closed() || !member) && !self.reconciler.uses(*id) {
                session.link.set_subscribed(false);
                leave.push(Arc::clone(&session.link));
            }
        }
    }
}

/// The node that a channel is to be subscribed to at. A sharded one belongs to its slot's owner;
/// all others may be anywhere: they are spread as if they had slots, and stay where they are held
/// for as long as they can.
fn by_slot<'r>(
    held: Option<&'r Arc<Node>>,
    failed: &[Failing],
    routes: &'r Routes,
    wish: Wish,
) -> Option<&'r Arc<Node>> {
    let owner = routes.owner(wish.slot);
    let single = routes.map.slots().shards().len() == 1;
    if wish.kind == ChannelKind::Sharded || single {
        return owner;
    }
    let member = |node: &&Arc<Node>| routes.dialable().any(|other| Arc::ptr_eq(other, node));
    let well = |node: &&Arc<Node>| !has_failed(failed, node) && !node.is_failing();
    held.filter(member)
        .or(owner.filter(well))
        .or_else(|| routes.primaries().find(well))
        .or_else(|| routes.dialable().find(well))
        .or(owner)
}

/// The same where reads may go to replicas: a node of the shard by the policy, and then that one
/// for as long as the policy has nothing against it. A replica sends what its primary does.
// spec: SSUBSCRIBE, "in a Redis cluster, shard channels": a primary or any replica of the shard
fn by_rule<'r>(
    held: Option<&'r Arc<Node>>,
    failed: &[Failing],
    routes: &'r Routes,
    rule: &Arc<ReadSettings>,
    slot: Slot,
    now: Timestamp,
) -> Option<&'r Arc<Node>> {
    let shard = routes.map.slots().shard_at(slot)?;
    let mut allowed = members(shard)
        .skip(usize::from(!rule.may_use_primary()))
        .filter_map(|index| routes.node(index))
        .filter(|node| !has_failed(failed, node));
    if let Some(held) = held.filter(|held| allowed.any(|node| Arc::ptr_eq(node, held))) {
        return Some(held);
    }
    let tried: Vec<Arc<Node>> = failed.iter().map(|failing| Arc::clone(&failing.node)).collect();
    let call = SelectionContext { settings: rule, tried: &tried, capped: false, now };
    let (rows, nodes) = table(routes, shard, &call);
    let turn = routes.node(shard.primary)?.health().next_choice();
    let choice = choice(routes, shard, &call, &rows, turn)?;
    nodes.get(choice.index).copied()
}

/// Whether no connection to a node could be made, the last time.
fn has_failed(failed: &[Failing], node: &Arc<Node>) -> bool {
    failed.iter().any(|failing| Arc::ptr_eq(&failing.node, node))
}

impl Session {
    /// Queues orders, and the marker that ends a write.
    fn post(&self, orders: &[Order]) {
        // Redis 6.0 does not know HELLO without a version; to say the same again changes nothing.
        let marker = cmd(if self.resp3 { "HELLO 3" } else { "PING" });
        let mut commands = Vec::new();
        orders.iter().for_each(|order| command(order).write_to(&mut commands));
        marker.write_to(&mut commands);
        self.link.enqueue_push_commands(&commands);
    }
}

fn command(order: &Order) -> Command {
    let kind = order.kind;
    let name = if order.subscribe { kind.subscribe() } else { kind.unsubscribe() };
    cmd(name).args(order.names.iter().map(|name| &name[..]))
}
